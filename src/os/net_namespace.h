#pragma once
// A network namespace that is held by a descriptor: it stays the same, and stays at all, whatever becomes of its
// processes.
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "os/descriptor.h"

namespace quell::os {

class NetNamespace {
 public:
  /// Of a process whose identity the caller checks: while a pidfd that was alive after this call is held, it is the
  /// right one. Errors: gone, permission_denied.
  static Result<NetNamespace> of_process(int64_t pid);
  /// By a file such as /run/netns/NAME. Errors: gone, permission_denied, invalid_argument (no network namespace).
  static Result<NetNamespace> open(const std::string& path);

  /// A new one that ends with this object, unless somebody enters it. Errors: permission_denied (CAP_SYS_ADMIN).
  static Result<NetNamespace> fresh();

  int fd() const { return fd_.get(); }
  uint64_t inode() const { return inode_; }
  /// Whether it is that of the machine's first process or our own: cutting it would cut the host.
  bool is_hosts() const;

  /// Calls `work` on a thread that has entered the namespace, and waits for it. Sockets that it opens and programs that
  /// it starts belong to the namespace for good. Errors: permission_denied (CAP_SYS_ADMIN is missing), io.
  Result<void> run(const std::function<void()>& work) const;

 private:
  NetNamespace(Descriptor fd, uint64_t inode) : fd_(std::move(fd)), inode_(inode) {}

  Descriptor fd_;
  uint64_t inode_ = 0;
};

}  // namespace quell::os
