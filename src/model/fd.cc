#include "model/fd.h"

#include <arpa/inet.h>

namespace quell {

bool IpAddress::is_v4_mapped() const {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return family == 6 && std::memcmp(bytes.data(), kPrefix, sizeof kPrefix) == 0;
}

std::string IpAddress::str() const {
  char buffer[INET6_ADDRSTRLEN];
  if (family == 0) return {};
  const char* text = inet_ntop(family == 4 ? AF_INET : AF_INET6, bytes.data(), buffer, sizeof buffer);
  return text == nullptr ? std::string{} : text;
}

}  // namespace quell
