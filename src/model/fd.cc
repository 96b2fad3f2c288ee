#include "model/fd.h"

#include <arpa/inet.h>

#include <charconv>

namespace quell {

bool IpAddress::is_v4_mapped() const {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return family == 6 && std::memcmp(bytes.data(), kPrefix, sizeof kPrefix) == 0;
}

std::string IpAddress::str() const {
  char buffer[kMaxText];
  return {buffer, write(buffer)};
}

char* IpAddress::write(char* out) const {
  if (family == 4) {
    for (size_t i = 0; i < 4; ++i) {
      if (i > 0) *out++ = '.';
      out = std::to_chars(out, out + 3, bytes[i]).ptr;
    }
    return out;
  }
  static_assert(kMaxText >= INET6_ADDRSTRLEN);
  if (family == 0 || inet_ntop(AF_INET6, bytes.data(), out, kMaxText) == nullptr) return out;
  return out + std::strlen(out);
}

}  // namespace quell
