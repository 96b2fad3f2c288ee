#include "triage/folder.h"

#include <algorithm>
#include <utility>

#include "triage/fold_key.h"

namespace quell::triage {

Folder::Folder(Options options, WindowOf window_of, Emit emit)
    : options_(options), window_of_(std::move(window_of)), emit_(std::move(emit)) {}

void Folder::add(Detection&& detection, uint64_t now_ns) {
  tick(now_ns);
  if (options_.window_ns == 0) return emit_(std::move(detection), false);
  const uint64_t window_ns = window_of_(detection.rule).value_or(options_.window_ns);
  if (window_ns == 0) return emit_(std::move(detection), false);

  const auto [entry, is_first] = windows_.try_emplace(fold_key(detection));
  if (is_first) {
    entry->second.first = detection;
    entry->second.deadline = deadlines_.emplace(now_ns + window_ns, &*entry);
    emit_(std::move(detection), false);
    if (windows_.size() > options_.capacity) {
      ++counters_.evicted;
      end(deadlines_.begin());
    }
    return;
  }
  FoldedRepeats& folded = entry->second.first.folded;
  if (folded.count++ == 0) folded.first_ns = detection.kernel_ns;
  // Processors tell of the same moment in any order.
  folded.last_ns = std::max(folded.last_ns, detection.kernel_ns);
  folded.last_evidence_ref = std::move(detection.evidence_ref);
  ++counters_.folded;
}

void Folder::update(Detection& detection) {
  const auto entry = windows_.find(fold_key(detection));
  if (entry == windows_.end() || entry->second.first.id != detection.id) return;
  detection.folded = entry->second.first.folded;
  entry->second.first = detection;
}

void Folder::tick(uint64_t now_ns) {
  while (!deadlines_.empty() && deadlines_.begin()->first <= now_ns) end(deadlines_.begin());
}

void Folder::flush() { tick(UINT64_MAX); }

void Folder::end(Deadlines::iterator deadline) {
  const auto entry = windows_.find(deadline->second->first);
  deadlines_.erase(deadline);
  Detection first = std::move(entry->second.first);
  windows_.erase(entry);
  if (first.folded.count == 0) return;
  ++counters_.summaries;
  emit_(std::move(first), true);
}

FoldCounters Folder::counters() const {
  FoldCounters out = counters_;
  out.open = windows_.size();
  return out;
}

}  // namespace quell::triage
