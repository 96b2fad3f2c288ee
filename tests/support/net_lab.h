#pragma once
// A small network for tests: two namespaces, "inside" and "outside", joined by a pair of virtual devices, and processes
// that talk over it without a pause. Nothing of it has a name on the machine: it ends with its descriptors.
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "os/net_namespace.h"

namespace quell::test {

inline constexpr const char* kInside4 = "10.77.0.2";
inline constexpr const char* kInside6 = "fd77::2";
inline constexpr const char* kOutside4 = "10.77.0.1";
inline constexpr const char* kOutside6 = "fd77::1";
inline constexpr uint16_t kEchoPort = 7007, kOtherPort = 7008;

bool eventually(const std::function<bool()>& condition);

class NetLab {
 public:
  /// Why it cannot be made here, in a sentence; empty when it can.
  static std::string missing();
  static Result<std::unique_ptr<NetLab>> make();
  const os::NetNamespace& inside() const { return inside_; }
  const os::NetNamespace& outside() const { return outside_; }

  /// Runs a program in one of them and returns what it prints.
  static Result<std::string> run(const os::NetNamespace& ns, const std::vector<std::string>& argv);

 private:
  NetLab(os::NetNamespace inside, os::NetNamespace outside)
      : inside_(std::move(inside)), outside_(std::move(outside)) {}
  os::NetNamespace inside_, outside_;
};

/// A v2 cgroup of the test's own, removed at the end.
class TestCgroup {
 public:
  /// Empty parent: below the root. Errors: why none can be made.
  static Result<std::unique_ptr<TestCgroup>> make(const std::string& name);
  ~TestCgroup();
  const std::string& directory() const { return directory_; }
  bool add(pid_t pid) const;

 private:
  explicit TestCgroup(std::string directory) : directory_(std::move(directory)) {}
  std::string directory_;
};

/// A child of the test. Killed and reaped at the end.
class NetChild {
 public:
  struct Shared {
    std::atomic<uint64_t> echoed_bytes{0}, connections{0};
    std::atomic<int> ready{0};
  };
  ~NetChild();
  NetChild(const NetChild&) = delete;
  pid_t pid() const { return pid_; }
  uint64_t echoed() const { return shared_->echoed_bytes; }
  uint64_t connections() const { return shared_->connections; }
  bool ready() const { return shared_->ready != 0; }
  /// Whether echoes arrive from now on.
  bool talks() const;
  /// Whether none arrives in `ms` milliseconds.
  bool silent(unsigned ms = 250) const;

  /// Echoes TCP and UDP of both families at the port, until it is ended.
  static std::unique_ptr<NetChild> echo_server(const os::NetNamespace& ns, uint16_t port);
  enum class Via { tcp, udp };
  /// Sends 64 bytes every millisecond and counts what comes back. When its connection breaks it makes a new one. It is
  /// put into `cgroup` (if any) before it makes a socket.
  static std::unique_ptr<NetChild> talker(const os::NetNamespace& ns, const std::string& address, uint16_t port,
                                          Via via = Via::tcp, const TestCgroup* cgroup = nullptr);

 private:
  NetChild() = default;
  static std::unique_ptr<NetChild> start(const os::NetNamespace& ns, const TestCgroup* cgroup,
                                         const std::function<void(Shared&)>& body);
  pid_t pid_ = -1;
  Shared* shared_ = nullptr;
};

}  // namespace quell::test
