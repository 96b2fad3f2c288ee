// Where processes came from, when those that made them are gone.
#include <algorithm>

#include "enrich/thread_table.h"

namespace quell::enrich {
namespace {

constexpr size_t kMaxCmdline = 1024;

}  // namespace

/// Writes down who this process is and, up to `levels` above, whom it came from. Null if too much is remembered already
/// or nothing is known.
ForebearPtr ThreadTable::remember(Entry& owner, int levels) {
  if (owner.placeholder) return owner.creator;
  if (!owner.record) {
    if (forebear_count_ >= kMaxForebears) {
      ++forebears_refused_;
      return {};
    }
    owner.record = boost::make_local_shared<Forebear>(forebear_count_);
  }
  Forebear& record = *owner.record;
  record.process = {owner.pid, owner.clone_ns, owner.comm, owner.exepath,
                    std::string(owner.cmdline().substr(0, kMaxCmdline))};
  ForebearPtr up = owner.creator;
  if (!up && owner.parent != nullptr && levels > 0) {
    Entry& parent = owner.parent->owner();
    if (&parent != &owner) up = parent.record ? parent.record : remember(parent, levels - 1);
  }
  // Parents that a capture has going in circles must not become owners that do.
  const Forebear* above = up.get();
  while (above != nullptr && above != &record) above = above->up.get();
  if (above != nullptr) up.reset();
  record.depth = up ? up->depth + 1 : 1;
  record.up = std::move(up);
  // A chain of processes that each make the next and go would grow for ever.
  if (record.depth > 2 * kMaxAncestry) {
    Forebear* last = &record;
    for (int i = 1; i < kMaxAncestry && last->up; ++i) last = last->up.get();
    last->up.reset();
  }
  return owner.record;
}

std::vector<Creator> ThreadTable::lineage(const Thread& thread, size_t limit) const {
  constexpr size_t kUsual = 8;
  std::vector<Creator> out;
  out.reserve(std::min(limit, kUsual));
  const Entry* at = &static_cast<const Entry&>(thread).owner();
  const Forebear* gone = nullptr;
  while (out.size() < limit) {
    if (at != nullptr && !at->creator) {
      if (at->parent == nullptr) break;
      at = &at->parent->owner();
      out.push_back({at->pid, at->clone_ns, at->comm, at->exepath, std::string(at->cmdline())});
      continue;
    }
    gone = at != nullptr ? at->creator.get() : gone->up.get();
    if (gone == nullptr) break;
    // It may live on: only one between it and us had to be gone.
    at = find(gone->process.pid);
    if (at != nullptr && (at->record.get() != gone || !at->is_main())) at = nullptr;
    out.push_back(gone->process);
    if (at != nullptr) out.back() = {at->pid, at->clone_ns, at->comm, at->exepath, std::string(at->cmdline())};
  }
  return out;
}

}  // namespace quell::enrich
