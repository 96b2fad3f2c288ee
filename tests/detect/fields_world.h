#pragma once
// A machine for field tests: a shell below sshd on the host, a program in a pod, open descriptors of most kinds, and
// one event for everything that fields can be about.
#include <map>
#include <memory>
#include <string>

#include "detect/fields/field.h"
#include "model/state_view.h"

namespace quell::detect {

inline constexpr uint64_t kSecondNs = 1'000'000'000;
inline constexpr uint64_t kNow = 1'714'558'830 * kSecondNs + 12'345'678;  // 2024-05-01T10:20:30.012345678Z

class World final : public StateView {
 public:
  static constexpr int64_t kInit = 1, kSshd = 100, kShell = 200, kWorker = 201, kPodShim = 300, kPod = 400,
                           kNewPod = 500;

  World();

  const Thread* thread(int64_t tid) const override {
    const auto found = threads_.find(tid);
    return found == threads_.end() ? nullptr : found->second.get();
  }
  const Thread* parent(const Thread& thread) const override {
    const Thread* found = this->thread(thread.ptid);
    return found == nullptr ? nullptr : found->main;
  }
  uint32_t lineage_epoch() const override { return 1; }
  const User* user(const ContainerSlot& container, uint32_t uid) const override {
    const auto found = users_.find({container.id, uid});
    return found == users_.end() ? nullptr : &found->second;
  }
  const Group* group(const ContainerSlot& container, uint32_t gid) const override {
    return container.is_host() && gid == 1000 ? &group_ : nullptr;
  }
  const MachineInfo& machine() const override { return machine_; }
  const std::vector<NetworkInterface>& interfaces() const override { return interfaces_; }
  bool is_local(const IpAddress& address, const Thread&) const override { return address == local_; }
  const ContainerSlot* container(std::string_view id) const override {
    return id == sandbox_.id ? &sandbox_ : id == pod_.id ? &pod_ : nullptr;
  }
  Thread& at(int64_t tid) { return *threads_.at(tid); }

  const Container& pod_info() const { return *pod_.info; }

 private:
  Thread& add(int64_t tid, int64_t ptid, std::string comm, ContainerSlot& slot);

  std::map<int64_t, std::unique_ptr<Thread>> threads_;
  std::map<std::pair<std::string, uint32_t>, User> users_;
  Group group_{1000, "staff"};
  ContainerSlot host_, pod_, sandbox_, new_pod_;
  MachineInfo machine_;
  std::vector<NetworkInterface> interfaces_;
  IpAddress local_;
};

/// What happens in the world. Each is one event.
enum class Happening {
  none,
  open,             // the shell opens /etc/shadow read-write, creating it
  failed_open,      // the shell, relative to its directory, ENOENT
  open_in_folder,   // openat with a directory descriptor
  creat_exec,       // creat of an executable file
  tmpfile,          // O_TMPFILE
  handle_open,      // open_by_handle_at
  read_file,        // 5 bytes
  write_socket,     // 7 bytes
  write_syslog,     // to /dev/log
  close,            // I/O that moves no bytes
  connect,          // from the shell to a server
  accept_failed,    // no descriptor
  listen,           // on a server socket
  udp_unknown,      // a datagram on a socket whose role is not known
  unix_send,        // on a unix socket
  exec_in_pod,      // a program of the pod
  exec_in_new_pod,  // whose runtime has not answered yet
  unknown_thread,   // a tid that nobody knows
  rename,           // renameat2 with two directory descriptors
  symlink,          // symlinkat
  link,             // link
  chmod,            // a path alone
  fchmod,           // a descriptor alone
  munmap,           // memory
  mmap_failed,      // memory, on a file
  nanosleep,        // a wait
  poll,             // four descriptors
  clone_failed,     // a return value that is a process id
  generic,          // a system call without an event of its own
  procinfo,         // of a main thread
  procinfo_worker,  // of another thread
  context_switch,
  container_added,  // an async event
};

/// One happening with its context.
struct Scene {
  Scene(const World& world, Happening what, uint64_t number = 7, uint64_t ts_ns = kNow);
  Scene(const Scene&) = delete;

  std::vector<uint8_t> bytes;
  Event event;
  EventContext context;
};

}  // namespace quell::detect
