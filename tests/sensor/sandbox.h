#pragma once
// A control group of our own, a sensor that watches only it, and the events of a child that runs known calls in it.
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "capture/ebpf/ebpf.h"
#include "model/event.h"

namespace quell::capture::test {

/// An event that owns its bytes.
struct Captured {
  std::vector<uint8_t> bytes;
  uint16_t cpu = 0;
  Event event;

  EventCode code() const { return event.code(); }
  /// The parameter of that name; fails the test if the schema has none.
  Param operator[](std::string_view name) const;
  int64_t num(std::string_view name) const { return (*this)[name].i64(); }
  uint64_t u64(std::string_view name) const { return (*this)[name].u64(); }
  std::string text(std::string_view name) const { return std::string((*this)[name].text()); }
};
using Events = std::vector<std::unique_ptr<Captured>>;

/// Why the sensor cannot run here; empty if it can.
std::string why_not();

class Sandbox {
 public:
  /// Watches its own group. `wanted`: names of system calls besides those that keep the tables; "*" for all.
  explicit Sandbox(const std::vector<std::string>& wanted = {}, EbpfOptions options = {});
  ~Sandbox();
  Sandbox(const Sandbox&) = delete;

  /// Runs `body` in a child in the group and collects events until its exit was seen (with all of its descendants'
  /// before it). Checks every event against the schema. The child's pid is left in pid().
  Events run(const std::function<void()>& body);
  /// Collects what has come.
  Events collect();
  pid_t pid() const { return pid_; }
  int status() const { return status_; }
  LiveSource& source() { return *source_; }
  const std::string& group() const { return group_; }
  /// Moves a process in.
  void enter(pid_t pid) const;

 private:
  std::string group_;
  std::unique_ptr<LiveSource> source_;
  pid_t pid_ = 0;
  int status_ = 0;
};

/// Fails the test if a parameter does not have exactly the width of its type, or a string does not end in NUL.
void expect_schema(const Event& event);

/// The events of that code (of that thread, if given).
std::vector<const Captured*> all_of(const Events& events, EventCode code, int64_t tid = 0);
/// The one event of that code, after failing the test if there is none; the last if there are several.
const Captured& one_of(const Events& events, EventCode code, int64_t tid = 0);

}  // namespace quell::capture::test
