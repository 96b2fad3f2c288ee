// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// A process that is moved into the scope was born outside of it, unseen, and may be gone before user space can look at it:
// who it is, in the form of an exec event, and what that has no room for. Arguments and environment only of one that moves
// itself: others' memory cannot be read here. Its parent stays outside and may end as quickly: of that, the name. Loaded
// only for the scope of a control group.
#include "process.h"

INLINE s64 session(struct task_struct *task) {
  struct pid *id = READ(task, signal, pids[PIDTYPE_SID]);
  return id ? id_in_namespace(id, 0) : 0;
}

// Other mounts than the machine's first process, as every container has.
INLINE bool has_own_mounts(struct task_struct *task) {
  struct pid *id = READ(task, thread_pid);
  struct task_struct *init = READ(id, numbers[0].ns, child_reaper);
  return READ(task, nsproxy, mnt_ns) != READ(init, nsproxy, mnt_ns);
}

SEC("tp_btf/cgroup_attach_task")
int on_arrival(unsigned long long *ctx) {
  struct task_struct *task = (struct task_struct *)plain_argument(ctx, 2);
  const u32 tid = READ(task, pid);
  if (READ(task, flags) & kTaskKernelThread || !in_scope(task, READ(task, tgid), false)) return 0;
  struct event e = {};
  if (!begin(&e, SYSCALL_EXECVE_19_X, COUNT_SYSCALL_EXECVE_19_X, tid)) return 0;
  struct mm_struct *mm = READ(task, mm), *own = tid == (u32)bpf_get_current_pid_tgid() ? mm : NULL;
  put64(&e, 0);
  put_arguments(&e, own);
  put_task(&e, task, mm);
  put_user_list(&e, own ? READ(own, env_start) : 0, own ? READ(own, env_end) : 0);
  put_program(&e, task, mm);
  put_empty(&e);
  close_event(&e);
  const u32 level = namespace_level(task);
  struct task_struct *parent = READ(task, real_parent, group_leader);
  struct quell_wire_arrival more = {
      .start_ns = READ(task, start_boottime) + boot_offset_ns,
      .vtid = id_in_namespace(READ(task, thread_pid), level),
      .vpid = id_in_namespace(READ(task, group_leader, thread_pid), level),
      .sid = session(task),
      .has_own_mounts = has_own_mounts(task),
      .parent_start_ns = READ(parent, start_boottime) + boot_offset_ns,
      .parent_ptid = READ(parent, real_parent, tgid),
  };
  bpf_core_read_str(more.parent_comm, sizeof(more.parent_comm), &parent->comm);
  __builtin_memcpy(at(&e), &more, sizeof(more));
  e.off += sizeof(more);
  ((struct quell_wire_record *)e.buf)->flags |= kWireArrival;
  return submit_closed(&e);
}
