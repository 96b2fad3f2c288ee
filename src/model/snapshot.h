#pragma once
// The tables as they stood before the first event: from a capture's own lists, or from /proc.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/fd.h"
#include "model/process.h"

namespace quell {

struct MachineInfo {
  uint32_t cpu_count = 0;
  uint64_t memory_bytes = 0;
  uint64_t max_pid = 0;
  std::string hostname;
  uint64_t boot_ns = 0;  // since the epoch; 0 unknown
  std::string boot_id;   // live only
};

struct NetworkInterface {
  std::string name;
  IpAddress address, netmask, broadcast;
  uint64_t link_speed = 0;
};

struct User {
  uint32_t uid = 0, gid = 0;
  std::string name, home, shell;
};
struct Group {
  uint32_t gid = 0;
  std::string name;
};

struct Snapshot {
  MachineInfo machine;
  std::vector<NetworkInterface> interfaces;
  std::vector<User> users;
  std::vector<Group> groups;
  /// Without main, container and fds: those are linked by the tables.
  std::vector<Thread> threads;
  /// Descriptors per pid.
  struct FdList {
    int64_t tid = 0;
    std::vector<std::pair<int64_t, Fd>> fds;
  };
  std::vector<FdList> fd_lists;
  /// Ports on which something listens here; decides the role of sockets that were open before the start.
  std::vector<uint16_t> listening_ports;
};

}  // namespace quell
