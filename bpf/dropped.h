// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Files that were opened and not told, so that their closing need not be told either. A close is only left out when it is
// certain that the descriptor is still that of such a file: everything that can put something else in its place passes by here.
#include "event.h"

enum { kTrackedFds = 1024 };

struct dropped_files {
  u32 tgid;  // whose they are: the kernel reuses the addresses of tables; 0: nothing may be left out here
  u32 pad;
  u64 fds[kTrackedFds / 64];
};
struct {
  __uint(type, BPF_MAP_TYPE_LRU_HASH);  // by address of the table of descriptors
  __uint(max_entries, 4096);
  __type(key, u64);
  __type(value, struct dropped_files);
} dropped SEC(".maps");

INLINE u64 own_table(void) { return plain(READ(current_task(), files)); }

// Threads that share the table could open and close at once.
INLINE bool shares_table(void) { return READ(current_task(), files, count.counter) != 1; }

INLINE void remember_dropped(u64 fd) {
  if (fd >= kTrackedFds || shares_table()) return;
  const u64 key = own_table();
  const u32 tgid = bpf_get_current_pid_tgid() >> 32;
  struct dropped_files *files = bpf_map_lookup_elem(&dropped, &key);
  if (files && files->tgid == 0) return;
  if (!files || files->tgid != tgid) {
    struct dropped_files fresh = {.tgid = tgid};
    bpf_map_update_elem(&dropped, &key, &fresh, BPF_ANY);
    files = bpf_map_lookup_elem(&dropped, &key);
    if (!files) return;
  }
  files->fds[bounded(fd / 64, kTrackedFds / 64 - 1)] |= 1ull << (fd & 63);
}

// True if the descriptor was that of a dropped file; from now on it is not.
INLINE bool forget_dropped(u64 fd) {
  if (!may_drop_files || fd >= kTrackedFds) return false;
  const u64 key = own_table();
  struct dropped_files *files = bpf_map_lookup_elem(&dropped, &key);
  if (!files) return false;
  u64 *word = &files->fds[bounded(fd / 64, kTrackedFds / 64 - 1)];
  const u64 bit = 1ull << (fd & 63);
  const bool was = *word & bit;
  *word &= ~bit;
  return was && files->tgid == (u32)(bpf_get_current_pid_tgid() >> 32) && !shares_table();
}

// Descriptors may have gone without a close of their own.
INLINE void forget_all_dropped(void) {
  if (!may_drop_files) return;
  const u64 key = own_table();
  bpf_map_delete_elem(&dropped, &key);
}

// From now on descriptors may go unseen.
INLINE void never_leave_out(void) {
  const u64 key = own_table();
  const struct dropped_files none = {};
  bpf_map_update_elem(&dropped, &key, &none, BPF_ANY);
}
