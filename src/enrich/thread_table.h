#pragma once
// The family tree: threads by tid, linked to their parent and to their group. Structure only; what threads own beyond
// it (descriptors, containers) is the business of the state machine. Part of the single writer's state.
#include <array>
#include <boost/smart_ptr/make_local_shared.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <memory>
#include <string>
#include <vector>

#include "model/event_schema.h"
#include "model/process.h"
#include "model/state_view.h"

namespace quell::enrich {

/// Arguments of a call as they were when it began, held until it ends: what the program could have swapped meanwhile.
struct EnterArguments {
  uint16_t code = 0;  // of the enter event; 0: nothing held
  int64_t dirfd = 0;
  uint32_t flags = 0;
  bool has_flags = false, has_dirfd = false;
  std::string name;
  std::vector<uint8_t> address;
};

/// What is kept of a process whose children outlive it, or of one that such a process came from: where they come from
/// must not depend on who adopted them. Changed until its process goes, shared by all who descend from it.
struct Forebear {
  explicit Forebear(size_t& count) : count_of_all(count) { ++count; }
  ~Forebear() { --count_of_all; }
  Forebear(const Forebear&) = delete;
  Forebear& operator=(const Forebear&) = delete;

  Creator process;
  boost::local_shared_ptr<Forebear> up;
  uint32_t depth = 1;  // of the chain above, this one included
  size_t& count_of_all;
};
using ForebearPtr = boost::local_shared_ptr<Forebear>;

/// How far back anyone asks.
inline constexpr int kMaxAncestry = 32;

/// A Thread in the table, with its links. Its address holds until it is removed.
struct Entry final : Thread {
  Entry* parent = nullptr;  // entry of ptid; null while that is unknown
  Entry* first_child = nullptr;
  Entry *next_sibling = nullptr, *prev_sibling = nullptr;
  Entry* first_member = nullptr;  // main thread: the other threads of its group
  Entry *next_member = nullptr, *prev_member = nullptr;
  ForebearPtr creator;  // who made it, if that process is gone
  ForebearPtr record;   // main thread: what descendants keep of it; null while none needs to
  uint64_t last_seen_ns = 0;
  std::unique_ptr<EnterArguments> enter;

  Entry& owner() { return main != nullptr ? static_cast<Entry&>(*main) : *this; }
  const Entry& owner() const { return main != nullptr ? static_cast<const Entry&>(*main) : *this; }
};

class ThreadTable {
 public:
  ThreadTable() = default;
  ThreadTable(const ThreadTable&) = delete;
  ThreadTable& operator=(const ThreadTable&) = delete;

  size_t size() const { return by_tid_.size(); }
  Entry* find(int64_t tid) const {
    Entry*& recent = recent_[static_cast<size_t>(tid) % kRecent];
    if (recent != nullptr && recent->tid == tid) return recent;
    const auto found = by_tid_.find(tid);
    if (found == by_tid_.end()) return nullptr;
    return recent = found->second;
  }
  /// A blank entry that is not in the table yet.
  Entry& make();
  /// Takes back an entry from make() that was not inserted.
  void recycle(Entry& entry);
  /// Puts an entry in by its tid, which must be free, and links it to its group and parent, and to the children and
  /// threads that came before it.
  void insert(Entry& entry);
  /// Takes it out and recycles it. Children go to `heir` (a tid; 0: to nobody); threads of its group lose their main
  /// thread.
  void remove(Entry& entry, int64_t heir);
  /// Gives an entry of unknown family its ids.
  void set_identity(Entry& entry, int64_t pid, int64_t ptid);
  /// Gives a process to another parent than the one it was made by, who is kept as its creator.
  void adopt(Entry& entry, int64_t ptid);
  /// Hands all children of `entry` to `heir` (0: to nobody).
  void give_children(Entry& entry, int64_t heir);
  void clear();

  /// By creation, nearest first; see StateView.
  std::vector<Creator> lineage(const Thread& thread, size_t limit) const;
  /// Processes that are remembered for those who came from them; at most kMaxForebears.
  size_t forebears() const { return forebear_count_; }
  uint64_t forebears_refused() const { return forebears_refused_; }
  static constexpr size_t kMaxForebears = 16'384;

  /// Must be called after every change that descendants could see. Counts the epoch only if somebody can.
  void lineage_changed(const Entry& entry);
  uint32_t lineage_epoch() const { return lineage_epoch_; }
  void bump_lineage() { ++lineage_epoch_; }

  /// Entries in no particular order. `visit` must not change the table.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [tid, entry] : by_tid_) visit(*entry);
  }

 private:
  static constexpr size_t kSlab = 256, kRecent = 1024;

  ForebearPtr remember(Entry& owner, int levels);
  void link_parent(Entry& entry);
  void unlink_parent(Entry& entry);
  void link_group(Entry& entry);
  void unlink_group(Entry& entry);

  size_t forebear_count_ = 0;  // outlives the entries that point to forebears
  uint64_t forebears_refused_ = 0;
  boost::unordered_flat_map<int64_t, Entry*> by_tid_;
  // Whom find() met last, by tid: nearly every event comes from a thread that was there a moment ago. Entries in the
  // table only.
  mutable std::array<Entry*, kRecent> recent_{};
  // Heads of lists of entries whose parent, or main thread, is not in the table.
  boost::unordered_flat_map<int64_t, Entry*> orphans_, headless_;
  std::vector<std::unique_ptr<Entry[]>> slabs_;
  Entry* free_ = nullptr;  // chained by next_sibling
  uint32_t lineage_epoch_ = 1;
};

}  // namespace quell::enrich
