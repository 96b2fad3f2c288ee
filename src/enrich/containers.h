#pragma once
// The containers that threads live in, each with its metadata and user database. Part of the single writer's state.
#include <boost/unordered/unordered_flat_map.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "enrich/cgroup_id.h"
#include "model/container.h"
#include "model/snapshot.h"

namespace quell::enrich {

/// Transparent hash, so that a view finds a std::string key without a copy.
struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
template <typename Value>
using TextMap = boost::unordered_flat_map<std::string, Value, TextHash, std::equal_to<>>;

struct UserDatabase {
  boost::unordered_flat_map<uint32_t, User> users;
  boost::unordered_flat_map<uint32_t, Group> groups;
};

/// What the table knows beyond the model's slot.
struct Slot final : ContainerSlot {
  uint32_t threads = 0;
  IpAddress ip;  // of `info`; family 0 if unknown
  UserDatabase database;
  int64_t member_pid = -1;    // a process inside, the last that ran a program: whose root holds passwd
  int64_t database_pid = -1;  // whose root was read last
  uint32_t database_reads = 0;
};

/// Slots are heap objects: their addresses hold until the slot is removed.
class ContainerTable {
 public:
  explicit ContainerTable(size_t capacity) : capacity_(capacity) { clear(); }
  void clear();

  Slot& host() { return host_; }
  const Slot& host() const { return host_; }
  /// Short or full id; "host" or empty is the host's. Null if unknown.
  Slot* find(std::string_view id);
  const Slot* find(std::string_view id) const { return const_cast<ContainerTable*>(this)->find(id); }
  /// The slot of this container, made if it is new (`created`). When the table is full of containers with threads, the
  /// shared overflow slot: it is no host, has no metadata, and is counted.
  Slot& find_or_create(std::string_view id, std::string_view full_id, bool& created);
  /// Counts a thread in or out. A slot that nobody is in and that has no metadata is removed at once, one with metadata
  /// when its last thread leaves.
  void enter(Slot& slot) { ++slot.threads; }
  void leave(Slot& slot);
  /// Replaces the metadata.
  void set_info(Slot& slot, std::shared_ptr<const Container> info);
  /// Drops a slot that no thread is in.
  void forget(std::string_view id);

  /// Drops slots that no thread is in and that were first seen before: metadata that came when the last one had left.
  void forget_unused(uint64_t before_ns);

  /// True if any container has this address.
  bool any_has_ip(const IpAddress& address) const;
  size_t size() const { return slots_.size(); }
  uint64_t overflowed() const { return overflowed_; }

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [id, slot] : slots_) visit(*slot);
  }

 private:
  bool make_room();

  size_t capacity_;
  Slot host_;
  Slot overflow_;
  TextMap<std::unique_ptr<Slot>> slots_;  // by short id
  uint64_t overflowed_ = 0;
};

}  // namespace quell::enrich
