// Everything that is read as text under /proc: processes choose much of it themselves.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "capture/proc/process_text.h"
#include "capture/proc/socket_table.h"
#include "os/proc_fs.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  namespace proc = capture::proc;
  const std::string_view text(reinterpret_cast<const char*>(data), size);

  if (const auto stat = proc::parse_stat(text); stat && stat->comm.size() > size) std::abort();
  proc::parse_status(text);
  constexpr size_t kLimit = 64;
  if (const auto line = proc::parse_cmdline(text, kLimit); line.args.size() > kLimit) std::abort();
  if (proc::bounded_list(text, kLimit).size() > kLimit) std::abort();
  const std::string cgroups = proc::parse_cgroups(text, {"cpu", "memory"});
  if (!cgroups.empty() && cgroups.find('=') == std::string::npos) std::abort();
  proc::parse_fd_limit(text);
  proc::parse_fdinfo(text);
  proc::parse_fd_link(text);
  if (proc::without_deleted(text).size() > size) std::abort();
  for (const User& user : proc::parse_passwd(text))
    if (user.name.size() > size) std::abort();
  for (const Group& group : proc::parse_group(text))
    if (group.name.size() > size) std::abort();
  proc::parse_btime(text);
  if (const auto overlay = proc::find_overlay(text, "/usr/bin/a"); overlay && overlay->upper_dir.empty()) std::abort();

  proc::SocketTable sockets;
  sockets.add_inet(text, 4, L4Proto::tcp);
  sockets.add_inet(text, 6, L4Proto::udp);
  sockets.add_unix(text);
  sockets.add_netlink(text);
  if (sockets.size() > size) std::abort();
  sockets.listening_ports();

  if (const auto stat = os::parse_proc_stat(text); !stat && stat.error().message.empty()) std::abort();
  os::parse_proc_cgroup(text);
  os::parse_cgroup_mounts(text);
  return 0;
}
