#include "capture/flight/ring.h"

#include <algorithm>
#include <bit>

namespace quell::capture::flight {
namespace {

constexpr size_t kFirstCapacity = 4 << 10;

size_t heap_bytes(const Thread& t) {
  size_t bytes = 0;
  for (const std::string* text : {&t.comm, &t.exe, &t.exepath, &t.args, &t.env, &t.cwd, &t.root, &t.cgroups})
    bytes += text->capacity();
  return bytes;
}

std::shared_ptr<const Thread> copy_of(const Thread& thread) {
  auto copy = std::make_shared<Thread>(thread);
  copy->main = nullptr;
  copy->container = nullptr;
  copy->fds.reset();
  copy->predicates = {};
  copy->changed();  // drops what was derived
  return copy;
}

std::shared_ptr<Note> note_of(const Thread& thread, std::shared_ptr<const Thread> known) {
  auto note = std::make_shared<Note>();
  note->version = thread.version;
  note->bytes = sizeof(Note);
  if (known == nullptr) {
    known = copy_of(thread);
    note->bytes += sizeof(Thread) + heap_bytes(*known);
  }
  note->thread = std::move(known);
  if (thread.fds && thread.fds->size() > 0) {
    note->fds.reserve(thread.fds->size());
    // The table's entries are immutable: sharing them costs a pointer each.
    thread.fds->for_each(
        [&](int64_t number, const Fd&) { note->fds.emplace_back(number, thread.fds->find_ptr(number)); });
    note->bytes += note->fds.size() * sizeof(note->fds[0]);
  }
  return note;
}

}  // namespace

size_t Chunk::grow(size_t need) {
  const size_t before = capacity_;
  capacity_ = std::max(kFirstCapacity, std::bit_ceil(need));
  std::unique_ptr<uint8_t[]> larger(new uint8_t[capacity_]);
  if (size_ > 0) std::memcpy(larger.get(), data_.get(), size_);
  data_ = std::move(larger);
  return capacity_ - before;
}

std::shared_ptr<const Note> make_note(const Thread& thread) { return note_of(thread, nullptr); }

void note_thread(const Thread& thread, Segment& into, const std::deque<Segment>& segments, size_t note_limit) {
  if (into.notes.contains(thread.tid)) return;
  if (into.note_bytes >= note_limit) {
    into.has_all_notes = false;
    return;
  }
  std::shared_ptr<const Thread> known;
  for (auto segment = segments.rbegin(); segment != segments.rend() && known == nullptr; ++segment) {
    const auto found = segment->notes.find(thread.tid);
    if (found == segment->notes.end()) continue;
    const Note* note = found->second.get();
    if (note == nullptr || note->version != thread.version || note->thread->clone_ns != thread.clone_ns) break;
    known = note->thread;
  }
  auto note = note_of(thread, std::move(known));
  into.note_bytes += note->bytes;
  into.notes.emplace(thread.tid, std::move(note));
}

}  // namespace quell::capture::flight
