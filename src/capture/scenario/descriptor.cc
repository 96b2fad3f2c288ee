// A descriptor from the fd.* keys of a scenario.
#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "capture/scenario/cast.h"

namespace quell::capture::scenario {
namespace {

struct FdTypeName {
  std::string_view name;
  FdType type;
};
constexpr FdTypeName kFdTypes[] = {
    {"file", FdType::file},   {"directory", FdType::directory}, {"ipv4", FdType::ipv4},
    {"ipv6", FdType::ipv6},   {"unix", FdType::unix_socket},    {"pipe", FdType::fifo},
    {"memfd", FdType::memfd}, {"netlink", FdType::netlink},     {"bpf", FdType::bpf},
    {"pidfd", FdType::pidfd},
};

Result<Fd> socket_of(const yaml::Node& map, bool unconnected_ok) {
  Fd fd;
  QUELL_TRY(const std::string proto, map.get_string("fd.l4proto", "tcp"));
  if (proto == "tcp")
    fd.l4 = L4Proto::tcp;
  else if (proto == "udp")
    fd.l4 = L4Proto::udp;
  else if (proto == "icmp")
    fd.l4 = L4Proto::icmp;
  else if (proto == "raw")
    fd.l4 = L4Proto::raw;
  else
    return map.find("fd.l4proto")->error("'" + proto + "' is no protocol: tcp, udp, icmp or raw");
  const yaml::Node* server = map.find("fd.sip");
  if (server == nullptr && unconnected_ok) return fd;
  if (server == nullptr) return map.error("a connection needs fd.sip");
  const auto dest = parse_ip(server->text());
  if (!dest) return server->error("'" + server->text() + "' is no IP address");
  QUELL_TRY(const std::string client, map.get_string("fd.cip", dest->family == 6 ? "fd00::2" : "172.17.0.2"));
  const auto source = parse_ip(client);
  if (!source || source->family != dest->family) return map.error("fd.cip is no address of the family of fd.sip");
  QUELL_TRY(const uint64_t sport, map.get_u64("fd.sport", 0));
  QUELL_TRY(const uint64_t cport, map.get_u64("fd.cport", 41000));
  if (sport > 65535 || cport > 65535) return map.error("ports end at 65535");
  fd.type = dest->family == 6 ? FdType::ipv6 : FdType::ipv4;
  fd.tuple = {*source, *dest, static_cast<uint16_t>(cport), static_cast<uint16_t>(sport)};
  fd.role = SocketRole::client;
  fd.flags = kFdConnected;
  fd.name = source->str() + ":" + std::to_string(cport) + "->" + dest->str() + ":" + std::to_string(sport);
  return fd;
}

}  // namespace

Result<Fd> descriptor_of(const yaml::Node& map) {
  Fd fd;
  const yaml::Node* type = map.find("fd.type");
  if (type != nullptr) {
    const auto* row = std::find_if(std::begin(kFdTypes), std::end(kFdTypes),
                                   [&](const FdTypeName& name) { return name.name == type->text(); });
    if (row == std::end(kFdTypes)) {
      std::vector<std::string_view> names;
      for (const FdTypeName& name : kFdTypes) names.push_back(name.name);
      const std::string_view meant = nearest(type->text(), names);
      return type->error("'" + type->text() + "' is no type of descriptor that a scenario knows" +
                         (meant.empty() ? std::string{} : ": did you mean " + std::string(meant) + "?"));
    }
    fd.type = row->type;
  }
  const bool inet = fd.type == FdType::ipv4 || fd.type == FdType::ipv6;
  if (inet || map.find("fd.sip") != nullptr || map.find("fd.sport") != nullptr || map.find("fd.cip") != nullptr) {
    const FdType wanted = fd.type;
    QUELL_TRY(fd, socket_of(map, inet));
    if (wanted != FdType::unknown && fd.type != FdType::unknown && fd.type != wanted)
      return type->error("the address is of the other family");
    if (fd.type == FdType::unknown) fd.type = wanted;
    return fd;
  }
  if (const yaml::Node* name = map.find("fd.name")) {
    QUELL_TRY(fd.name, name->as_string());
    if (fd.type == FdType::unknown) fd.type = FdType::file;
    fd.given_is_name = fd.type != FdType::unix_socket;
  }
  return fd;
}

}  // namespace quell::capture::scenario
