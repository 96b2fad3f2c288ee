#include "capture/proc/machine.h"

#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "capture/proc/process_text.h"

namespace quell::capture::proc {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string read_text(const std::string& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

std::string read_word(const std::string& path) {
  std::string word;
  std::ifstream(path) >> word;
  return word;
}

/// /proc/stat knows the second of the boot, the clocks the nanosecond; they are of the same kernel if they agree.
uint64_t boot_time_ns(const std::string& proc_root, const Clock& clock) {
  const uint64_t second = parse_btime(read_text(proc_root + "/stat")) * kSecond;
  timespec up{};
  if (::clock_gettime(CLOCK_BOOTTIME, &up) != 0) return second;
  const uint64_t up_ns = static_cast<uint64_t>(up.tv_sec) * kSecond + static_cast<uint64_t>(up.tv_nsec);
  const uint64_t exact = clock.realtime_ns() - std::min(clock.realtime_ns(), up_ns);
  const uint64_t apart = exact > second ? exact - second : second - exact;
  return second == 0 || apart < 2 * kSecond ? exact : second;
}

IpAddress address_of(const sockaddr* from) {
  if (from == nullptr) return {};
  if (from->sa_family == AF_INET) return IpAddress::v4(&reinterpret_cast<const sockaddr_in*>(from)->sin_addr);
  if (from->sa_family == AF_INET6) return IpAddress::v6(&reinterpret_cast<const sockaddr_in6*>(from)->sin6_addr);
  return {};
}

/// In Mbit/s in sysfs, in bit/s in captures; virtual interfaces have none.
uint64_t link_speed(const std::string& name) {
  int64_t megabits = 0;
  return parse_i64(read_word("/sys/class/net/" + name + "/speed"), megabits) && megabits > 0
             ? static_cast<uint64_t>(megabits) * 1'000'000
             : 0;
}

}  // namespace

MachineInfo read_machine(const std::string& proc_root, const Clock& clock) {
  MachineInfo out;
  out.cpu_count = static_cast<uint32_t>(std::max(0L, ::sysconf(_SC_NPROCESSORS_CONF)));
  out.memory_bytes = static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PHYS_PAGES))) *
                     static_cast<uint64_t>(std::max(0L, ::sysconf(_SC_PAGESIZE)));
  if (!parse_u64(read_word(proc_root + "/sys/kernel/pid_max"), out.max_pid)) out.max_pid = 0;
  out.hostname = read_word(proc_root + "/sys/kernel/hostname");
  out.boot_id = read_word(proc_root + "/sys/kernel/random/boot_id");
  out.boot_ns = boot_time_ns(proc_root, clock);
  return out;
}

std::vector<NetworkInterface> read_interfaces() {
  std::vector<NetworkInterface> out;
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return out;
  for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
    NetworkInterface interface;
    interface.address = address_of(item->ifa_addr);
    if (interface.address.family == 0) continue;
    interface.name = item->ifa_name;
    interface.netmask = address_of(item->ifa_netmask);
    if ((item->ifa_flags & IFF_BROADCAST) != 0) interface.broadcast = address_of(item->ifa_broadaddr);
    interface.link_speed = link_speed(interface.name);
    out.push_back(std::move(interface));
  }
  ::freeifaddrs(list);
  return out;
}

std::vector<std::string> read_unified_controllers(const std::string& proc_root) {
  // A line of mountinfo: id, parent, device, root, mount point, options, optional fields, "-", type, source, options.
  std::ifstream mounts(proc_root + "/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    const size_t dash = line.find(" - cgroup2 ");
    if (dash == std::string::npos) continue;
    std::istringstream head(line.substr(0, dash));
    std::string point;
    for (int i = 0; i < 5; ++i) head >> point;
    std::istringstream controllers(read_text(point + "/cgroup.controllers"));
    std::vector<std::string> out;
    for (std::string word; controllers >> word;) out.push_back(word);
    return out;
  }
  return {};
}

}  // namespace quell::capture::proc
