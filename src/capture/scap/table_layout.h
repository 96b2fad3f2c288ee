#pragma once
// Numbers inside the metadata blocks that reading and writing share.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>

#include "model/fd.h"

namespace quell::capture::scap {

/// What became of one entry of a table.
enum class Entry { taken, refused, unreadable };

inline constexpr uint16_t kInterfaceV4 = 1, kInterfaceV6 = 2, kInterfaceV4NoSpeed = 3, kInterfaceV6NoSpeed = 4;
inline constexpr uint8_t kUserEntry = 0, kGroupEntry = 1;

/// Bytes of a V9 thread entry behind `root` as written before pidns_init_start and tty went in: loginuid, exe_writable,
/// caps.
inline constexpr size_t kThreadTailBeforeTty = 29;

inline constexpr uint8_t kFdIpv4 = 3, kFdIpv6 = 4, kFdIpv4Server = 5, kFdIpv6Server = 6, kFdUnix = 8, kFdFileV2 = 16;

/// The types whose entry is just a name, in the format's numbering.
struct NamedFdType {
  uint8_t number;
  FdType type;
};
inline constexpr NamedFdType kNamedFdTypes[] = {
    {1, FdType::file},         {2, FdType::directory}, {7, FdType::fifo},       {9, FdType::event},
    {10, FdType::unsupported}, {11, FdType::signalfd}, {12, FdType::eventpoll}, {13, FdType::inotify},
    {14, FdType::timerfd},     {15, FdType::netlink},  {17, FdType::bpf},       {18, FdType::userfaultfd},
    {19, FdType::io_uring},    {20, FdType::memfd},    {21, FdType::pidfd},
};

/// Types whose number came late: a reader of before refuses the whole file for one of them. We write them as
/// `unsupported`, and their true type into the supplement.
inline bool is_newer_fd_type(FdType type) {
  return type == FdType::bpf || type == FdType::userfaultfd || type == FdType::io_uring || type == FdType::memfd ||
         type == FdType::pidfd;
}

inline std::optional<FdType> fd_type_of(uint8_t number) {
  for (const NamedFdType& row : kNamedFdTypes)
    if (row.number == number) return row.type;
  return {};
}
/// Requires a type whose entry is just a name.
inline uint8_t fd_number_of(FdType type) {
  if (is_newer_fd_type(type)) type = FdType::unsupported;
  for (const NamedFdType& row : kNamedFdTypes)
    if (row.type == type) return row.number;
  return 10;  // unsupported: the honest answer for a type that this format has no number for
}

}  // namespace quell::capture::scap
