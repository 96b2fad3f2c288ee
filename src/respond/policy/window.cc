#include "respond/policy/window.h"

#include <algorithm>
#include <unordered_map>

namespace quell::respond::policy {
namespace {

bool is_before(const WindowEntry& entry, uint64_t at_ns) { return entry.at_ns < at_ns; }

}  // namespace

std::optional<std::vector<WindowEntry>> GroupWindows::add(std::string_view key, WindowEntry entry,
                                                          uint64_t keep_from_ns) {
  // Groups that nothing was added to for long stand in front.
  while (!groups_.empty() && (groups_.oldest().second.empty() || groups_.oldest().second.back().at_ns < keep_from_ns))
    groups_.pop_oldest();
  Group& group = groups_.touch(key);
  group.erase(group.begin(), std::lower_bound(group.begin(), group.end(), keep_from_ns, is_before));
  const auto place = std::upper_bound(group.begin(), group.end(), entry.at_ns,
                                      [](uint64_t at_ns, const WindowEntry& one) { return at_ns < one.at_ns; });
  const size_t at = static_cast<size_t>(place - group.begin());
  group.insert(place, std::move(entry));
  if (reaches(group, at)) {
    Group fired = std::move(group);
    groups_.erase(key);
    return fired;
  }
  if (!threshold_.distinct.empty()) drop_redundant(group, at);
  if (group.size() > max_entries_) {
    group.erase(group.begin());
    ++forgotten_entries_;
  }
  return {};
}

void GroupWindows::restore(std::string_view key, std::vector<WindowEntry> entries) {
  std::stable_sort(entries.begin(), entries.end(),
                   [](const WindowEntry& a, const WindowEntry& b) { return a.at_ns < b.at_ns; });
  if (entries.size() > max_entries_)
    entries.erase(entries.begin(), entries.end() - static_cast<ptrdiff_t>(max_entries_));
  groups_.touch(key) = std::move(entries);
}

// A window that holds the entry and begins between two others can be moved on to the later of them without losing any:
// only windows that begin at an entry need be looked at.
bool GroupWindows::reaches(const Group& group, size_t at) const {
  if (group.size() < threshold_.count) return false;
  const uint64_t at_ns = group[at].at_ns;
  const uint64_t from_ns = at_ns > threshold_.window_ns ? at_ns - threshold_.window_ns : 0;
  size_t first = static_cast<size_t>(std::lower_bound(group.begin(), group.end(), from_ns, is_before) - group.begin());
  // Of windows that end with the last entry, the first one holds all others.
  const size_t last_start = at + 1 == group.size() ? first : at;
  std::unordered_map<std::string_view, uint32_t> values;
  size_t end = first;
  for (size_t start = first; start <= last_start; ++start) {
    while (end < group.size() && group[end].at_ns - group[start].at_ns <= threshold_.window_ns) {
      if (!threshold_.distinct.empty()) ++values[group[end].value];
      ++end;
    }
    const size_t reached = threshold_.distinct.empty() ? end - start : values.size();
    if (reached >= threshold_.count) return true;
    if (!threshold_.distinct.empty()) {
      const auto leaving = values.find(group[start].value);
      if (--leaving->second == 0) values.erase(leaving);
    }
  }
  return false;
}

// Of three entries with one value that lie within a window's length, every window that holds the middle one holds one
// of the others as well: without it a repeated value would fill the memory.
void GroupWindows::drop_redundant(Group& group, size_t at) const {
  const auto same_before = [&](size_t from) {
    for (size_t i = from; i-- > 0;)
      if (group[i].value == group[at].value) return i;
    return SIZE_MAX;
  };
  size_t after = SIZE_MAX;
  for (size_t i = at + 1; i < group.size() && after == SIZE_MAX; ++i)
    if (group[i].value == group[at].value) after = i;
  const size_t before = same_before(at);
  if (before == SIZE_MAX) return;
  const auto is_redundant = [&](size_t left, size_t right) {
    return group[right].at_ns - group[left].at_ns <= threshold_.window_ns;
  };
  if (after != SIZE_MAX) {
    if (is_redundant(before, after)) group.erase(group.begin() + static_cast<ptrdiff_t>(at));
    return;
  }
  const size_t before_that = same_before(before);
  if (before_that != SIZE_MAX && is_redundant(before_that, at))
    group.erase(group.begin() + static_cast<ptrdiff_t>(before));
}

bool RateWindow::has_room(const Rate& rate, uint64_t now_ns) {
  if (rate.count == 0) return true;
  while (!times_.empty() && times_.back() > now_ns) times_.pop_back();
  while (!times_.empty() && times_.front() + rate.window_ns <= now_ns) times_.pop_front();
  return times_.size() < rate.count;
}

}  // namespace quell::respond::policy
