// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Birth, exec and death. Children and successful execs are reported from the scheduler's tracepoints: those see every ABI,
// and a child is reported before it can run, so no event of it can come earlier in the ring. Parents and failed execs are
// reported where their call returns.
#include "abi.h"
#include "dropped.h"
#include "task.h"

enum { kChildInPidNamespace = 0x20000000 };

// ---- exec ----
// tty … gid: the second half of an exec event. Returns the new end of the data.
GLOBAL u64 write_program(u64 off, u64 task_address, u64 mm_address) {
  struct task_struct *task = (void *)task_address;
  struct mm_struct *mm = (void *)mm_address;
  struct event event = {.buf = own_slot(), .off = off, .n = kProgramFirst}, *e = &event;
  if (!e->buf) return off;
  put32(e, terminal(task));
  put64(e, process_group(task, true));
  put32(e, login_uid(task));
  struct file *exe = mm ? READ(mm, exe_file) : NULL;
  struct inode *inode = exe ? READ(exe, f_inode) : NULL;
  struct cred *cred = READ(task, cred);
  u32 flags = 0;
  struct timestamps times = {};
  u64 ino = 0;
  if (inode) {
    ino = READ(inode, i_ino);
    times = inode_times(inode);
    if (may_write(inode, cred)) flags |= kExeWritable;
    const int layer = overlay_layer(inode, READ(inode, i_sb, s_magic));
    if (layer == kLayerUpper) flags |= kExeUpper;
    if (layer == kLayerLower) flags |= kExeLower;
    if (is_memfd(READ(exe, f_path.dentry))) flags |= kExeMemfd;
  }
  put32(e, flags);
  put_capabilities(e, cred);
  put64(e, ino);
  put64(e, times.ctime);
  put64(e, times.mtime);
  put32(e, READ(cred, euid.val));
  put_path(e, exe ? &exe->f_path : NULL);
  put64(e, process_group(task, false));
  put32(e, READ(cred, egid.val));
  return e->off;
}
INLINE void put_program(struct event *e, struct task_struct *task, struct mm_struct *mm) {
  wrote(e, write_program(e->off, plain(task), plain(mm)), kProgramParams);
}

// The number in the registers does not tell: it reads execve after every successful exec. The kernel makes a path from the
// descriptor ("/dev/fd/5") for execveat alone; one without a descriptor is an execve in all but name.
INLINE bool called_execveat(struct linux_binprm *program) {
  return bpf_core_field_exists(program->fdpath) && READ(program, fdpath);
}

INLINE void put_new_image(struct event *e) {
  struct task_struct *task = current_task();
  struct mm_struct *mm = READ(task, mm);
  put64(e, 0);
  put_arguments(e, mm);
  put_task(e, task, mm);
  put_user_list(e, READ(mm, env_start), READ(mm, env_end));
  put_program(e, task, mm);
}

SEC("tp_btf/sched_process_exec")
int on_exec(unsigned long long *ctx) {
  if (!current_in_scope()) return 0;
  if (calls_singly && foreign_program(current_task())) __sync_fetch_and_add(&foreign_calls, 1);
  forget_all_dropped(current_task());
  struct event e = {};
  const u32 tid = (u32)bpf_get_current_pid_tgid();
  if (called_execveat((struct linux_binprm *)ctx[2])) {
    if (!begin(&e, SYSCALL_EXECVEAT_X, COUNT_SYSCALL_EXECVEAT_X, tid)) return 0;
    put_new_image(&e);
    return submit(&e);
  }
  if (!begin(&e, SYSCALL_EXECVE_19_X, COUNT_SYSCALL_EXECVE_19_X, tid)) return 0;
  put_new_image(&e);
  put_kernel_string(&e, READ((struct linux_binprm *)ctx[2], filename));
  return submit(&e);
}

INLINE void put_failed_exec(struct event *e, u64 argv, u64 env) {
  struct task_struct *task = current_task();
  struct mm_struct *mm = READ(task, mm);
  put64(e, e->ret);
  u64 first = 0;
  if (argv) bpf_probe_read_user(&first, sizeof(first), (void *)argv);
  put_user_string(e, first);
  put_string_vector(e, first ? argv + 8 : 0);
  put_task(e, task, mm);
  put_string_vector(e, env);
  put_program(e, task, mm);
}

SEC("tp")
int x_execve(unsigned long long *ctx) {
  struct event e;
  if (!take_call(&e, ctx) || e.ret >= 0) return 0;  // told by on_exec
  if (!begin_exit(&e, SYSCALL_EXECVE_19_X, COUNT_SYSCALL_EXECVE_19_X)) return 0;
  put_failed_exec(&e, arg(&e, 1), arg(&e, 2));
  put_user_string(&e, arg(&e, 0));
  return submit(&e);
}

SEC("tp")
int x_execveat(unsigned long long *ctx) {
  struct event e;
  if (!take_call(&e, ctx) || e.ret >= 0) return 0;
  if (!begin_exit(&e, SYSCALL_EXECVEAT_X, COUNT_SYSCALL_EXECVEAT_X)) return 0;
  put_failed_exec(&e, arg(&e, 2), arg(&e, 3));
  return submit(&e);
}

// ---- clone ----
INLINE u64 namespace_start(struct task_struct *task) {
  struct pid_namespace *space = READ(task, nsproxy, pid_ns_for_children);
  struct task_struct *reaper = space ? READ(space, child_reaper) : NULL;
  return reaper ? READ(reaper, start_boottime) : 0;
}

INLINE void put_cloned(struct event *e, struct task_struct *task, u64 flags) {
  struct mm_struct *mm = READ(current_task(), mm);  // a new child's is a copy, at the same addresses
  put_arguments(e, mm);
  put_task(e, task, mm);
  put32(e, flags);
  put32(e, READ(task, cred, euid.val));
  put32(e, READ(task, cred, egid.val));
  const u32 level = namespace_level(task);
  put64(e, id_in_namespace(READ(task, thread_pid), level));
  put64(e, id_in_namespace(READ(task, group_leader, thread_pid), level));
  put64(e, namespace_start(task));
}

INLINE int clone_parent(struct event *e, u64 kernel_flags) {
  struct task_struct *task = current_task();
  u32 flags = portable_clone_flags(kernel_flags);
  struct pid_namespace *space = READ(task, nsproxy, pid_ns_for_children);
  if (space && READ(space, level)) flags |= kChildInPidNamespace;
  put64(e, e->ret);
  put_cloned(e, task, flags);
  return submit(e);
}

#define CLONE(name, event_code, flags_expression)                       \
  SEC("tp")                                                \
  int x_##name(unsigned long long *ctx) {                               \
    struct event e;                                                     \
    if (!take_call(&e, ctx) || e.ret == 0) return 0; /* the child: told by on_fork */ \
    if (!begin_exit(&e, event_code, COUNT_##event_code)) return 0;      \
    return clone_parent(&e, flags_expression);                          \
  }

INLINE u64 clone3_flags(struct event *e) {
  u64 flags = 0;
  bpf_probe_read_user(&flags, sizeof(flags), (void *)arg(e, 0));
  return flags;
}
CLONE(clone, SYSCALL_CLONE_20_X, arg(&e, 0))
CLONE(clone3, SYSCALL_CLONE3_X, clone3_flags(&e))
CLONE(fork, SYSCALL_FORK_20_X, 0)
CLONE(vfork, SYSCALL_VFORK_20_X, 0x4100)  // CLONE_VM | CLONE_VFORK

// The flags that show in what the child shares with its parent. The tracepoint does not carry the arguments, and they may
// come from a call of any ABI.
INLINE u64 child_flags(struct task_struct *parent, struct task_struct *child) {
  u32 flags = 0;
  const bool thread = READ(child, tgid) == READ(parent, tgid);
  if (thread) flags |= 0x2000;
  if (READ(child, mm) == READ(parent, mm)) flags |= 0x8000;
  if (READ(child, files) == READ(parent, files)) flags |= 0x1;
  if (READ(child, fs) == READ(parent, fs)) flags |= 0x2;
  if (READ(child, sighand) == READ(parent, sighand)) flags |= 0x800;
  if (READ(child, vfork_done)) flags |= 0x8000000;
  if (!thread && READ(child, real_parent) == READ(parent, real_parent)) flags |= 0x100;
  struct nsproxy *old = READ(parent, nsproxy), *new = READ(child, nsproxy);
  if (old && new && old != new) {
    if (READ(old, ipc_ns) != READ(new, ipc_ns)) flags |= 0x8;
    if (READ(old, net_ns) != READ(new, net_ns)) flags |= 0x10;
    if (READ(old, mnt_ns) != READ(new, mnt_ns)) flags |= 0x20;
    if (READ(old, uts_ns) != READ(new, uts_ns)) flags |= 0x80;
    if (READ(old, cgroup_ns) != READ(new, cgroup_ns)) flags |= 0x10000000;
    if (READ(old, pid_ns_for_children) != READ(new, pid_ns_for_children)) flags |= 0x40;
  }
  if (namespace_level(child)) flags |= kChildInPidNamespace;
  return flags;
}

SEC("tp_btf/sched_process_fork")
int on_fork(unsigned long long *ctx) {
  struct task_struct *parent = (struct task_struct *)ctx[0], *child = (struct task_struct *)ctx[1];
  if (READ(child, flags) & kTaskKernelThread) return 0;
  const u32 child_tgid = READ(child, tgid), parent_tgid = READ(parent, tgid);
  if (use_marks && child_tgid != parent_tgid) {
    u32 key = parent_tgid;
    u8 *mark = bpf_map_lookup_elem(&marks, &key);
    key = child_tgid;
    if (mark) bpf_map_update_elem(&marks, &key, mark, BPF_ANY);
  }
  if (!in_scope(child, child_tgid, false)) return 0;
  struct event e = {};
  if (!begin(&e, SYSCALL_CLONE_20_X, COUNT_SYSCALL_CLONE_20_X, READ(child, pid))) return 0;
  put64(&e, 0);
  put_cloned(&e, (struct task_struct *)plain_argument(ctx, 1), child_flags(parent, child));
  return submit(&e);
}

// ---- exit ----
// Another thread of the task's group that is not exiting; its task_struct as a number, 0 without one.
GLOBAL u64 live_thread(u64 task_address) {
  struct task_struct *task = (void *)task_address;
  struct signal_struct *signal = READ(task, signal);
  struct list_head *head = (struct list_head *)((u8 *)signal + bpf_core_field_offset(struct signal_struct, thread_head));
  struct list_head *entry = READ(head, next);
  for (int i = 0; i < 64 && entry && entry != head; ++i) {
    struct task_struct *thread = (void *)((u8 *)entry - bpf_core_field_offset(struct task_struct, thread_node));
    if (thread != task && !(READ(thread, flags) & kTaskExiting)) return plain(thread);
    entry = READ(entry, next);
  }
  return 0;
}

// Who will adopt the children of an exiting task: what the kernel's own find_new_reaper() is about to decide. 0 without children.
INLINE s64 new_parent(struct task_struct *task) {
  struct list_head *children = (void *)((u8 *)task + bpf_core_field_offset(struct task_struct, children));
  if (READ(children, next) == children) return 0;
  struct task_struct *thread = (void *)live_thread(plain(task));
  if (thread) return READ(thread, pid);
  struct pid_namespace *space = READ(task, nsproxy, pid_ns_for_children);
  struct task_struct *init = space ? READ(space, child_reaper) : NULL;
  if (!init || init == task) return 0;
  struct signal_struct *signal = READ(task, signal);
  if (BPF_CORE_READ_BITFIELD_PROBED(signal, has_child_subreaper)) {
    struct task_struct *ancestor = READ(task, real_parent);
    for (int i = 0; i < 32 && ancestor && ancestor != init; ++i) {
      signal = READ(ancestor, signal);
      if (BPF_CORE_READ_BITFIELD_PROBED(signal, is_child_subreaper)) {
        if (!(READ(ancestor, flags) & kTaskExiting)) return READ(ancestor, pid);
        struct task_struct *other = (void *)live_thread(plain(ancestor));
        if (other) return READ(other, pid);
      }
      ancestor = READ(ancestor, real_parent);
    }
  }
  return READ(init, pid);
}

SEC("tp_btf/sched_process_exit")
int on_exit(unsigned long long *ctx) {
  struct task_struct *task = (struct task_struct *)ctx[0];
  const u64 id = bpf_get_current_pid_tgid();
  const bool watched = !(READ(task, flags) & kTaskKernelThread) && current_in_scope();
  if (use_marks && READ(task, signal, live.counter) == 0) {
    u32 key = id >> 32;
    bpf_map_delete_elem(&marks, &key);
  }
  if (!watched) return 0;
  struct event e = {};
  if (!begin(&e, PROCEXIT_1_E, COUNT_PROCEXIT_1_E, (u32)id)) return 0;
  const u32 code = READ(task, exit_code), signal = code & 0x7f;
  put64(&e, (s64)(s32)code);
  put64(&e, signal ? 0 : code >> 8 & 0xff);
  put8(&e, signal);
  put8(&e, signal && code & 0x80 ? 1 : 0);
  put64(&e, new_parent((struct task_struct *)plain_argument(ctx, 0)));
  return submit(&e);
}
