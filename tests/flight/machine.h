#pragma once
// A machine whose processes do random things: events as a sensor would report them, on a host and in containers that
// come and go. The same seed makes the same events.
#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "model/event.h"
#include "model/snapshot.h"

namespace quell::test {

inline constexpr uint64_t kMachineStartNs = 1'700'000'000'000'000'000;

using Argument = std::variant<int64_t, std::string>;
/// An event with the parameters named; numbers in the width of the schema, the others zero or empty.
std::vector<uint8_t> make_event(EventCode code, uint64_t ts_ns, int64_t tid,
                                const std::vector<std::pair<std::string_view, Argument>>& arguments);

class Machine {
 public:
  explicit Machine(uint32_t seed);
  /// Before the first event.
  const Snapshot& snapshot() const { return snapshot_; }
  /// One thing that happens: one event or a few, in order.
  std::vector<std::vector<uint8_t>> step();
  uint64_t now_ns() const { return now_ns_; }
  static std::string container_id(int number);

 private:
  struct Life {
    int64_t tid = 0, pid = 0, ptid = 0;
    int container = 0;  // 0: the host
    std::string comm, exe;
    std::vector<int64_t> fds;
    int64_t next_fd = 3;
  };
  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }
  bool chance(int percent) { return pick(100) < static_cast<size_t>(percent); }
  Life& any();
  Life* any_process();
  std::string cgroups(int container) const;
  void emit(EventCode code, int64_t tid, std::vector<std::pair<std::string_view, Argument>> arguments);
  void fork(Life& parent, bool is_thread);
  void exec(Life& life, int container);
  void open(Life& life, std::string_view name);
  void exit(int64_t tid);
  void start_container();
  void describe_container(int container);

  std::mt19937 random_;
  Snapshot snapshot_;
  std::map<int64_t, Life> lives_;  // by tid
  std::vector<std::vector<uint8_t>> out_;
  uint64_t now_ns_ = kMachineStartNs;
  int64_t next_tid_ = 1000;
  int last_container_ = 0;
  std::vector<int> undescribed_;
};

}  // namespace quell::test
