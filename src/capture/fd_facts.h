#pragma once
// What a table of descriptors does not say outright but rules expect: names of sockets, mapped addresses, flag bits.
#include <string>

#include "model/fd.h"

namespace quell::capture {

inline constexpr uint32_t kOpenCloexec = 0x1000, kOpenUpperLayer = 0x8000,
                          kOpenLowerLayer = 0x10000;  // file_flags table

/// "10.0.0.1:80" for one end, as names of descriptors spell it.
std::string endpoint_name(const IpAddress& address, uint16_t port);

/// Completes a descriptor read from a capture's list or from /proc: IPv4 addresses mapped into IPv6 become IPv4, inet
/// sockets get their name, files get the FdFlag bits that their open flags imply.
void complete_fd(Fd& fd);

}  // namespace quell::capture
