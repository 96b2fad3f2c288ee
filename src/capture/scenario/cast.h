#pragma once
// Who plays in a scenario: processes with their ancestors and descriptors, containers with their metadata, users.
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/yaml.h"
#include "capture/scenario/encode.h"
#include "model/snapshot.h"

namespace quell::capture::scenario {

struct Actor {
  std::string id;             // name in `processes:`; empty for one described in an event
  std::string container;      // short id; empty on the host
  Thread start;               // before the first event
  Thread now;                 // as it stands while events are written
  std::map<int64_t, Fd> fds;  // open before the first event
  std::set<int64_t> open;     // open now
  uint64_t age_ns = 0;        // since its clone event, which is part of the scenario; 0: there before the capture
  int64_t next_fd() const;
};

/// What a key of an event or process can be about. `unknown` is none of these.
enum class KeyKind { unknown, process, ancestor, container, descriptor };
KeyKind kind_of_key(std::string_view key);
/// For suggestions.
const std::vector<std::string_view>& known_keys();

/// A descriptor from fd.* keys; type unknown if there are none but fd.num.
Result<Fd> descriptor_of(const yaml::Node& map);

class Cast {
 public:
  Cast();

  /// Makes a process from the keys of `map`. With `by_exec` the keys say what an execve makes of it: before that it is
  /// a copy of its parent. The pointer stays valid.
  Result<Actor*> add(std::string id, const yaml::Node& map, bool by_exec);
  /// Null if nobody has that name.
  Actor* find(std::string_view id);
  /// An execve of a process that exists: the keys replace name, path and arguments, and change the rest where they say
  /// so.
  Result<void> change_image(Actor& actor, const yaml::Node& map);

  /// Everything before the first event.
  Snapshot snapshot() const;
  /// The processes whose clone event is part of the scenario, the oldest first.
  std::vector<const Actor*> born() const;
  /// As it was before the first event; null if nobody has that number.
  const Thread* thread(int64_t tid) const;
  /// Container metadata and users of containers, as events. They belong before the first event.
  std::vector<std::vector<uint8_t>> preamble(uint64_t first_event_ns) const;

 private:
  Result<void> set_image(Thread& thread, const yaml::Node& map);
  Result<void> set_user(Thread& thread, const yaml::Node& map, const std::string& container);
  Result<std::string> set_container(const yaml::Node& map);
  Result<Thread*> make_parent(const yaml::Node& map, const Thread& child, const std::string& container);
  Result<void> set_descriptors(Actor& actor, const yaml::Node& map);
  Thread& spawn(const Thread& image, const Thread& parent, const std::string& container);
  void place(Thread& thread, const std::string& container) const;
  Thread& shim();

  std::deque<Thread> others_;  // ancestors; addresses are kept
  std::deque<Actor> actors_;
  std::map<std::string, Container> containers_;
  std::vector<std::string> container_order_;
  std::vector<User> users_;
  struct ContainerUser {
    std::string container;
    User user;
  };
  std::vector<ContainerUser> container_users_;
  std::set<int64_t> pids_;
  Thread* shim_ = nullptr;
  int64_t next_pid_ = 1000;
};

}  // namespace quell::capture::scenario
