#include "os/net_namespace.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <cerrno>
#include <thread>

namespace quell::os {

Result<NetNamespace> NetNamespace::open(const std::string& path) {
  Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (errno == ENOENT || errno == ESRCH || errno == ENOTDIR)
      return Error{Code::gone, "this network namespace does not exist any more", path};
    return errno_error(errno, "cannot open the network namespace", path);
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return errno_error(errno, "cannot look at the network namespace", path);
  if (::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
    return Error{Code::invalid_argument, "this file is no network namespace", path};
  return NetNamespace(std::move(fd), info.st_ino);
}

Result<NetNamespace> NetNamespace::of_process(int64_t pid) { return open(fmt::format("/proc/{}/ns/net", pid)); }

Result<NetNamespace> NetNamespace::fresh() {
  Result<NetNamespace> made = Error{Code::internal, "no network namespace was made", {}};
  std::thread thread([&] {
    if (::unshare(CLONE_NEWNET) == 0)
      made = open("/proc/thread-self/ns/net");
    else if (errno == EPERM)
      made = Error{Code::permission_denied, "not allowed to make a network namespace: CAP_SYS_ADMIN is needed", {}};
    else
      made = errno_error(errno, "cannot make a network namespace");
  });
  thread.join();
  return made;
}

bool NetNamespace::is_hosts() const {
  // That of the first process may be hidden from us; ours is the host's too wherever Quell runs as it should.
  for (const char* path : {"/proc/1/ns/net", "/proc/self/ns/net"}) {
    struct stat info {};
    if (::stat(path, &info) == 0 && info.st_ino == inode_) return true;
  }
  return false;
}

Result<void> NetNamespace::run(const std::function<void()>& work) const {
  int number = 0;
  // A thread of its own, because there is no safe way back if returning to the old namespace failed.
  std::thread thread([&] {
    if (::setns(fd_.get(), CLONE_NEWNET) == 0)
      work();
    else
      number = errno;
  });
  thread.join();
  if (number == EPERM)
    return Error{Code::permission_denied, "not allowed to enter a network namespace: CAP_SYS_ADMIN is needed", {}};
  if (number != 0) return errno_error(number, "cannot enter the network namespace");
  return {};
}

}  // namespace quell::os
