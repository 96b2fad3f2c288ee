// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Files that were opened and not told, so that their closing need not be told either. A close is only left out when it is
// certain that the descriptor is still that of such a file: everything that can put something else in its place passes by here.
#include "event.h"

enum {
  kTrackedFds = 256,  // higher ones are told
  kDroppedSlots = 1 << 16,
};

// One word for each descriptor, at a place that follows from the address of its table: the mark of the process that owns the
// table while the file behind the descriptor is one that was not told. Another table at the same place overwrites it, which
// costs a close that is told in vain.
__u64 dropped[kDroppedSlots];

// Whose it is: the kernel reuses the addresses of tables. (They are multiples of 64 below 2^48, process ids are below 2^22.)
INLINE u64 table_mark(struct task_struct *task, u64 table) { return (table << 16) + READ(task, tgid); }

INLINE __u64 *dropped_slot(u64 table, u64 fd) {
  return &dropped[bounded(((table * 0x9e3779b97f4a7c15) >> 48) + fd, kDroppedSlots - 1)];
}

// Somebody else could open and close at once: a thread that shares the table, or a ring, which needs no calls. Where the
// kernel does not tell whether a task uses rings, it is taken to.
INLINE bool has_table_alone(struct task_struct *task) {
  return bpf_core_field_exists(task->io_uring) && !NUMBER(task, io_uring) && READ(task, files, count.counter) == 1;
}

INLINE void remember_dropped(struct task_struct *task, u64 fd) {
  if (fd >= kTrackedFds || !has_table_alone(task)) return;
  const u64 table = NUMBER(task, files);
  *dropped_slot(table, fd) = table_mark(task, table);
}

// True if the descriptor was that of a dropped file; from now on it is not.
INLINE bool forget_dropped(struct task_struct *task, u64 fd) {
  if (!may_drop_files || fd >= kTrackedFds) return false;
  const u64 table = NUMBER(task, files);
  __u64 *slot = dropped_slot(table, fd);
  const u64 mark = *slot;
  if (!mark) return false;
  *slot = 0;
  return mark == table_mark(task, table) && has_table_alone(task);
}

// Descriptors may have gone without a close of their own.
INLINE void forget_all_dropped(struct task_struct *task) {
  if (!may_drop_files) return;
  const u64 table = NUMBER(task, files);
  for (u32 fd = 0; fd < kTrackedFds; ++fd) *dropped_slot(table, fd) = 0;
}
