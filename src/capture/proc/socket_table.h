#pragma once
// The sockets of one network namespace, from /proc/PID/net, by inode number.
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/fd.h"

namespace quell::capture::proc {

class SocketTable {
 public:
  /// Adds the rows of one file. Rows that do not parse are left out. At most kMaxSockets are kept; the rest is counted.
  void add_inet(std::string_view text, int family, L4Proto l4);
  void add_unix(std::string_view text);
  void add_netlink(std::string_view text);

  /// The socket without number and ino; null if unknown.
  const Fd* find(uint64_t ino) const;
  /// Ports of sockets that wait for peers, each once, ascending.
  std::vector<uint16_t> listening_ports() const;
  size_t size() const { return sockets_.size(); }
  uint64_t not_kept() const { return not_kept_; }

 private:
  static constexpr size_t kMaxSockets = 1u << 20;
  void add(uint64_t ino, Fd fd);

  boost::unordered_flat_map<uint64_t, Fd> sockets_;
  uint64_t not_kept_ = 0;
};

}  // namespace quell::capture::proc
