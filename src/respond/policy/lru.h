#pragma once
// A table with a bound: the entry that was touched longest ago makes room, and is counted.
#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace quell::respond::policy {

template <typename Value>
class Lru {
 public:
  using Entry = std::pair<const std::string, Value>;

  explicit Lru(size_t capacity) : capacity_(capacity) {}
  Lru(const Lru&) = delete;
  Lru& operator=(const Lru&) = delete;

  /// The entry of that key, made if it is missing, and now the newest.
  Value& touch(std::string_view key) {
    if (const auto found = index_.find(key); found != index_.end()) {
      entries_.splice(entries_.end(), entries_, found->second);
      return found->second->second;
    }
    if (entries_.size() >= capacity_) {
      ++forgotten_;
      pop_oldest();
    }
    entries_.emplace_back(std::string(key), Value());
    index_.emplace(entries_.back().first, std::prev(entries_.end()));
    return entries_.back().second;
  }
  Value* find(std::string_view key) {
    const auto found = index_.find(key);
    return found == index_.end() ? nullptr : &found->second->second;
  }
  void erase(std::string_view key) {
    const auto found = index_.find(key);
    if (found == index_.end()) return;
    const auto entry = found->second;
    index_.erase(found);
    entries_.erase(entry);
  }
  void clear() { index_.clear(), entries_.clear(); }
  bool empty() const { return entries_.empty(); }
  size_t size() const { return entries_.size(); }
  Entry& oldest() { return entries_.front(); }
  void pop_oldest() {
    index_.erase(entries_.front().first);
    entries_.pop_front();
  }
  uint64_t forgotten() const { return forgotten_; }
  /// Oldest first.
  const std::list<Entry>& entries() const { return entries_; }

 private:
  const size_t capacity_;
  std::list<Entry> entries_;
  std::unordered_map<std::string_view, typename std::list<Entry>::iterator> index_;  // views into entries_
  uint64_t forgotten_ = 0;
};

}  // namespace quell::respond::policy
