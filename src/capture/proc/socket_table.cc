#include "capture/proc/socket_table.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"
#include "capture/fd_facts.h"

namespace quell::capture::proc {
namespace {

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(end);
  return word;
}

template <typename Visit>
void for_each_row(std::string_view text, Visit&& visit) {
  bool title = true;
  for (const std::string_view line : split(text, '\n')) {
    if (!title && !line.empty()) visit(line);
    title = false;
  }
}

struct End {
  IpAddress address;
  uint16_t port = 0;
  bool is_zero() const { return port == 0 && address.bytes == IpAddress{}.bytes; }
};

/// "0100007F:0016": each 32-bit word of the address as a number of this machine, so its bytes in memory are in network
/// order.
std::optional<End> parse_end(std::string_view text, int family) {
  const size_t digits = family == 4 ? 8 : 32;
  uint64_t port = 0;
  if (text.size() < digits + 2 || text[digits] != ':' || !parse_u64(text.substr(digits + 1), port, 16) || port > 65535)
    return {};
  std::array<uint32_t, 4> words{};
  for (size_t i = 0; i < digits / 8; ++i) {
    uint64_t word = 0;
    if (!parse_u64(text.substr(8 * i, 8), word, 16)) return {};
    words[i] = static_cast<uint32_t>(word);
  }
  return End{family == 4 ? IpAddress::v4(words.data()) : IpAddress::v6(words.data()), static_cast<uint16_t>(port)};
}

}  // namespace

void SocketTable::add(uint64_t ino, Fd fd) {
  if (ino == 0) return;  // a connection that no descriptor holds any more
  if (sockets_.size() >= kMaxSockets) {
    ++not_kept_;
    return;
  }
  complete_fd(fd);
  sockets_.insert_or_assign(ino, std::move(fd));
}

void SocketTable::add_inet(std::string_view text, int family, L4Proto l4) {
  for_each_row(text, [&](std::string_view line) {
    // sl local remote state queues timer retransmits uid timeout inode ...
    next_word(line);
    const auto local = parse_end(next_word(line), family), remote = parse_end(next_word(line), family);
    for (int i = 0; i < 6; ++i) next_word(line);
    uint64_t ino = 0;
    if (!local || !remote || !parse_u64(next_word(line), ino)) return;
    Fd fd;
    fd.l4 = l4;
    fd.tuple.source = local->address;
    fd.tuple.source_port = local->port;
    if (remote->is_zero()) {  // listening, or a datagram socket that takes from anyone
      fd.type = family == 4 ? FdType::ipv4_server : FdType::ipv6_server;
    } else {
      fd.type = family == 4 ? FdType::ipv4 : FdType::ipv6;
      fd.tuple.dest = remote->address;
      fd.tuple.dest_port = remote->port;
    }
    add(ino, std::move(fd));
  });
}

void SocketTable::add_unix(std::string_view text) {
  for_each_row(text, [&](std::string_view line) {
    // number: references protocol flags type state inode path. The path may hold blanks; "@" begins an abstract name.
    std::string_view number = next_word(line);
    if (number.ends_with(':')) number.remove_suffix(1);
    for (int i = 0; i < 5; ++i) next_word(line);
    uint64_t ino = 0;
    Fd fd;
    fd.type = FdType::unix_socket;
    if (!parse_u64(number, fd.unix_source, 16) || !parse_u64(next_word(line), ino)) return;
    if (line.starts_with(' ')) line.remove_prefix(1);
    fd.name = line;
    add(ino, std::move(fd));
  });
}

void SocketTable::add_netlink(std::string_view text) {
  for_each_row(text, [&](std::string_view line) {
    for (int i = 0; i < 9; ++i) next_word(line);
    uint64_t ino = 0;
    if (!parse_u64(next_word(line), ino)) return;
    Fd fd;
    fd.type = FdType::netlink;
    add(ino, std::move(fd));
  });
}

const Fd* SocketTable::find(uint64_t ino) const {
  const auto found = sockets_.find(ino);
  return found == sockets_.end() ? nullptr : &found->second;
}

std::vector<uint16_t> SocketTable::listening_ports() const {
  std::vector<uint16_t> ports;
  for (const auto& [ino, fd] : sockets_)
    if (fd.is_server() && fd.tuple.source_port != 0) ports.push_back(fd.tuple.source_port);
  std::sort(ports.begin(), ports.end());
  ports.erase(std::unique(ports.begin(), ports.end()), ports.end());
  return ports;
}

}  // namespace quell::capture::proc
