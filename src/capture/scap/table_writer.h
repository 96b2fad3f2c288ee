#pragma once
// Snapshot rows to metadata blocks, in the versions that a current writer of the format emits.
#include <cstdint>
#include <vector>

#include "model/snapshot.h"

namespace quell::capture::scap {

/// Appends section header, machine info, interfaces, users, threads (V9), descriptors (V2) and the supplement to `out`.
/// Texts longer than the format allows are cut; descriptors of unknown type are left out, as the format wants. Calls
/// drain() whenever `out` holds a block or more, so that a caller can write and clear it; false stops.
template <typename Drain>
bool write_tables(const Snapshot& snapshot, std::vector<uint8_t>& out, Drain&& drain);

namespace detail {
void put_section(std::vector<uint8_t>& out);
void put_machine(const MachineInfo& machine, std::vector<uint8_t>& out);
void put_interfaces(const std::vector<NetworkInterface>& interfaces, std::vector<uint8_t>& out);
void put_users(const std::vector<User>& users, const std::vector<Group>& groups, std::vector<uint8_t>& out);
/// One block from threads[from] on, of bounded size; the index of the first thread that is not in it.
size_t put_threads(const std::vector<Thread>& threads, size_t from, std::vector<uint8_t>& out);
size_t put_fds(const Snapshot::FdList& list, size_t from, std::vector<uint8_t>& out);
void put_thread_supplement(const Snapshot& snapshot, std::vector<uint8_t>& out);
void put_fd_supplement(const Snapshot::FdList& list, std::vector<uint8_t>& out);
}  // namespace detail

template <typename Drain>
bool write_tables(const Snapshot& snapshot, std::vector<uint8_t>& out, Drain&& drain) {
  detail::put_section(out);
  detail::put_machine(snapshot.machine, out);
  detail::put_interfaces(snapshot.interfaces, out);
  detail::put_users(snapshot.users, snapshot.groups, out);
  if (!drain()) return false;
  for (size_t at = 0; at < snapshot.threads.size();) {
    at = detail::put_threads(snapshot.threads, at, out);
    if (!drain()) return false;
  }
  for (const Snapshot::FdList& list : snapshot.fd_lists) {
    size_t at = 0;
    do {
      at = detail::put_fds(list, at, out);
      if (!drain()) return false;
    } while (at < list.fds.size());
  }
  detail::put_thread_supplement(snapshot, out);
  for (const Snapshot::FdList& list : snapshot.fd_lists) {
    detail::put_fd_supplement(list, out);
    if (!drain()) return false;
  }
  return drain();
}

}  // namespace quell::capture::scap
