// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// What events of processes carry about a task: ids, limits, memory, program, control groups.
#include "event.h"
#include "file.h"
#include "path.h"

enum {
  kTaskExiting = 0x4,
  kTaskKernelThread = 0x200000,
  kRlimitNofile = 7,
  kArgsBytes = 4096,
  kCgroupDepth = 16,
  kCgroupsBytes = 4096,
  kCapDacOverride = 1,
  kReadOnlyFs = 1,
  kImmutable = 8,
  kNanoseconds = 0x7fffffff,  // the upper bit of i_ctime_nsec says that somebody asked
  kExeWritable = 1,
  kExeUpper = 2,
  kExeMemfd = 4,
  kExeLower = 8,
};

// The task's id of one kind in its own pid namespace (`own`), or in the first one.
INLINE s64 id_in_namespace(struct pid *id, u32 level) {
  struct upid entry = {};
  bpf_core_read(&entry, sizeof(entry), (u8 *)&id->numbers + level * bpf_core_type_size(struct upid));
  return entry.nr;
}
INLINE u32 namespace_level(struct task_struct *task) { return READ(task, thread_pid, level); }

INLINE void put_memory(struct event *e, struct mm_struct *mm) {
  u64 size = 0, rss = 0, swap = 0;
  if (mm) {
    size = READ(mm, total_vm);
    if (bpf_core_type_exists(struct mm_rss_stat)) {
      struct mm_struct___before_6_2 *old = (void *)mm;
      rss = READ(old, rss_stat.count[0].counter) + READ(old, rss_stat.count[1].counter) +
            READ(old, rss_stat.count[3].counter);
      swap = READ(old, rss_stat.count[2].counter);
    } else {
      // The shares that CPUs have not yet added to the sum are missing: at most a few hundred kB.
      const u32 step = bpf_core_type_size(struct percpu_counter);
      u8 *stats = (u8 *)mm + bpf_core_field_offset(struct mm_struct, rss_stat);
      s64 counts[4] = {};
      for (int i = 0; i < 4; ++i) {
        struct percpu_counter *counter = (void *)(stats + i * step);
        counts[i] = READ(counter, count);
        if (counts[i] < 0) counts[i] = 0;
      }
      rss = counts[0] + counts[1] + counts[3];
      swap = counts[2];
    }
  }
  put32(e, size << 2);  // pages of 4 kB
  put32(e, rss << 2);
  put32(e, swap << 2);
}

// "/a/b" of a control group, without the NUL.
GLOBAL u64 write_cgroup_path(u64 off, u64 node_address) {
  struct kernfs_node *node = (void *)node_address;
  u8 *buf = own_slot();
  if (!buf) return 0;
  const char *names[kCgroupDepth] = {};
#pragma unroll
  for (int i = 0; i < kCgroupDepth; ++i) {
    if (!node) break;
    struct kernfs_node *parent;
    if (bpf_core_field_exists(node->__parent)) {
      parent = READ(node, __parent);
    } else {
      parent = READ((struct kernfs_node___before_6_15 *)node, parent);
    }
    if (!parent) break;  // the root has no name worth telling
    names[i] = READ(node, name);
    node = parent;
  }
  const u64 start = off;
#pragma unroll
  for (int i = kCgroupDepth - 1; i >= 0; --i) {
    if (!names[i]) continue;
    buf[bounded(off, kSlotMask)] = '/';
    off++;
    const long length = bpf_probe_read_kernel_str(buf + bounded(off, kSlotMask), 256, names[i]);
    if (length > 0) off += bounded(length - 1, 0xff);
  }
  if (off == start) {
    buf[bounded(off, kSlotMask)] = '/';
    off++;
  }
  return off - start;
}

struct cgroup_writer {
  u8 *buf;
  u64 start, off;
  struct cgroup *last;  // the hierarchy before, to copy its text when this one is the same group
  u64 last_off, last_length;
};

INLINE void write_cgroup(struct cgroup_writer *w, struct cgroup *group) {
  if (!group) return;
  u64 length;
  if (group == w->last) {
    length = bounded(w->last_length, kPathBytes - 1);
    if (bpf_probe_read_kernel(w->buf + bounded(w->off, kSlotMask), length, w->buf + bounded(w->last_off, kSlotMask))) return;
  } else {
    length = bounded(write_cgroup_path(w->off, plain(READ(group, kn))), kPathBytes - 1);
    w->last = group;
    w->last_off = w->off;
    w->last_length = length;
  }
  w->off += bounded(length, kPathBytes - 1);
  w->buf[bounded(w->off, kSlotMask)] = 0;
  w->off++;
}

#define WRITE_SUBSYSTEM(w, set, id, text)                                                                       \
  if (bpf_core_enum_value_exists(enum cgroup_subsys_id, id) && (w)->off - (w)->start < kCgroupsBytes - 1024) {  \
    struct cgroup_subsys_state *state = NULL;                                                                   \
    bpf_core_read(&state, sizeof(state), (void **)&(set)->subsys + bpf_core_enum_value(enum cgroup_subsys_id, id)); \
    if (state) {                                                                                                \
      __builtin_memcpy((w)->buf + bounded((w)->off, kSlotMask), text, sizeof(text) - 1);                        \
      (w)->off += sizeof(text) - 1;                                                                             \
      write_cgroup(w, READ(state, cgroup));                                                            \
    }                                                                                                           \
  }

// "subsystem=path" pairs: the v1 controllers that container runtimes use, and the v2 hierarchy under the name "unified".
// Where a controller lives in v2, its path is the v2 one, so that thread.cgroup.memory and the like work on both.
GLOBAL u64 write_cgroups(u64 off, u64 set_address) {
  struct css_set *set = (void *)set_address;
  u8 *buf = own_slot();
  if (!buf) return 0;
  struct cgroup_writer writer = {.buf = buf, .start = off, .off = off};
  struct cgroup_writer *w = &writer;
  WRITE_SUBSYSTEM(w, set, cpuset_cgrp_id, "cpuset=")
  WRITE_SUBSYSTEM(w, set, cpu_cgrp_id, "cpu=")
  WRITE_SUBSYSTEM(w, set, cpuacct_cgrp_id, "cpuacct=")
  WRITE_SUBSYSTEM(w, set, io_cgrp_id, "io=")
  WRITE_SUBSYSTEM(w, set, memory_cgrp_id, "memory=")
  WRITE_SUBSYSTEM(w, set, pids_cgrp_id, "pids=")
  if (w->off - w->start < kCgroupsBytes - 1024) {
    __builtin_memcpy(w->buf + bounded(w->off, kSlotMask), "unified=", 8);
    w->off += 8;
    write_cgroup(w, READ(set, dfl_cgrp));
  }
  return w->off - off;
}

// A run of NUL-separated strings in the memory of the process, cut at 4096 bytes, always with a final NUL.
INLINE void put_user_list(struct event *e, u64 from, u64 to) {
  u64 length = to > from ? to - from : 0;
  if (length > kArgsBytes) length = kArgsBytes;
  length = bounded(length, 2 * kArgsBytes - 1);
  if (length > kArgsBytes) length = 0;
  if (length) {
    if (bpf_probe_read_user(at(e), length, (void *)from)) {
      mark_fault(e);
      length = 0;
    } else {
      e->buf[bounded(e->off + length - 1, kSlotMask)] = 0;
    }
  }
  put_length(e, length);
}

// exe and args of a running program: they lie one after the other, NUL-separated.
INLINE void put_arguments(struct event *e, struct mm_struct *mm) {
  const u64 start = mm ? READ(mm, arg_start) : 0, end = mm ? READ(mm, arg_end) : 0;
  long first = 0;
  if (start && end > start) {
    first = bpf_probe_read_user_str(at(e), kPathBytes, (void *)start);
    if (first < 0) {
      mark_fault(e);
      first = 0;
    }
  }
  const u64 length = bounded(first, 2 * kPathBytes - 1);
  put_length(e, length);
  put_user_list(e, start + length, first > 0 ? end : 0);
}

// The strings of a char*[] of the process, from `index` on.
GLOBAL u64 write_string_vector(u64 off, u64 vector) {
  u8 *buf = own_slot();
  if (!buf) return 0;
  const u64 start = off;
  for (int i = 0; i < 128; ++i) {
    u64 address = 0;
    if (bpf_probe_read_user(&address, sizeof(address), (void *)(vector + 8 * i)) || !address) break;
    const u64 left = kArgsBytes - (off - start);
    if (left < 2 || left > kArgsBytes) break;
    const long length = bpf_probe_read_user_str(buf + bounded(off, kSlotMask), bounded(left, 2 * kArgsBytes - 1), (void *)address);
    if (length <= 0) {
      ((struct quell_wire_record *)buf)->flags |= kWireFault;
      break;
    }
    off += bounded(length, 2 * kArgsBytes - 1);
  }
  return off - start;
}
INLINE void put_string_vector(struct event *e, u64 vector) {
  const u64 length = vector ? write_string_vector(e->off, vector) : 0;
  put_length(e, bounded(length, 2 * kArgsBytes - 1));
}

enum { kTaskFirst = 3, kTaskParams = 12, kProgramFirst = 16, kProgramParams = 14 };

// tid … cgroups: what exec and clone events have in common after exe and args. Returns the new end of the data.
GLOBAL u64 write_task(u64 off, u64 task_address, u64 mm_address) {
  struct task_struct *task = (void *)task_address;
  struct event event = {.buf = own_slot(), .off = off, .n = kTaskFirst}, *e = &event;
  if (!e->buf) return off;
  put_fd(e, READ(task, pid));
  put_fd(e, READ(task, tgid));
  put_fd(e, READ(task, real_parent, tgid));
  struct fs_struct *fs = READ(task, fs);
  put_path(e, fs ? &fs->pwd : NULL);
  put64(e, READ(task, signal, rlim[kRlimitNofile].rlim_cur));
  put64(e, READ(task, maj_flt));
  put64(e, READ(task, min_flt));
  put_memory(e, (struct mm_struct *)mm_address);
  put_kernel_string(e, &task->comm);
  u64 length = write_cgroups(e->off, plain(READ(task, cgroups)));
  put_length(e, bounded(length, 2 * kCgroupsBytes - 1));
  return e->off;
}
INLINE void put_task(struct event *e, struct task_struct *task, struct mm_struct *mm) {
  wrote(e, write_task(e->off, plain(task), plain(mm)), kTaskParams);
}

// Number of the controlling terminal as /proc/PID/stat shows it, 0 without one.
INLINE u32 terminal(struct task_struct *task) {
  struct tty_struct *tty = READ(task, signal, tty);
  if (!tty) return 0;
  const u32 minor = READ(tty, driver, minor_start) + READ(tty, index);
  return user_device((READ(tty, driver, major) << 20) | (minor & 0xfffff));
}

INLINE u32 login_uid(struct task_struct *task) {
  return bpf_core_field_exists(task->loginuid) ? READ(task, loginuid.val) : (u32)-1;
}

INLINE s64 process_group(struct task_struct *task, bool own) {
  struct pid *id = READ(task, signal, pids[PIDTYPE_PGID]);
  if (!id) return 0;
  u32 level = own ? namespace_level(task) : 0;
  if (level > READ(id, level)) return 0;
  return id_in_namespace(id, level);
}

// May the task's credentials write the file? Groups beyond the main one are not looked at: a program writable only through
// one of them is rare, and the group list is long.
INLINE bool may_write(struct inode *inode, struct cred *cred) {
  if (READ(inode, i_sb, s_flags) & kReadOnlyFs || READ(inode, i_flags) & kImmutable) return false;
  const u32 mode = READ(inode, i_mode);
  u64 caps = 0;
  bpf_core_read(&caps, sizeof(caps), &cred->cap_effective);
  if (caps >> kCapDacOverride & 1) return true;
  if (READ(inode, i_uid.val) == READ(cred, fsuid.val)) return mode & 0200;
  if (READ(inode, i_gid.val) == READ(cred, fsgid.val)) return mode & 0020;
  return mode & 0002;
}

INLINE bool is_memfd(struct dentry *dentry) {
  char name[8] = {};
  if (READ(dentry, d_parent) != dentry) return false;
  bpf_probe_read_kernel_str(name, sizeof(name), READ(dentry, d_name.name));
  return name[0] == 'm' && name[1] == 'e' && name[2] == 'm' && name[3] == 'f' && name[4] == 'd' && name[5] == ':';
}

struct timestamps {
  u64 ctime, mtime;
};
INLINE struct timestamps inode_times(struct inode *inode) {
  struct timestamps out;
  struct inode___before_6_11 *old = (void *)inode;
  if (bpf_core_field_exists(inode->i_ctime_sec)) {
    out.ctime = READ(inode, i_ctime_sec) * 1000000000ull + (READ(inode, i_ctime_nsec) & kNanoseconds);
    out.mtime = READ(inode, i_mtime_sec) * 1000000000ull + READ(inode, i_mtime_nsec);
    return out;
  }
  if (bpf_core_field_exists(old->__i_ctime)) {
    out.ctime = READ(old, __i_ctime.tv_sec) * 1000000000ull + READ(old, __i_ctime.tv_nsec);
  } else {
    out.ctime = READ(old, i_ctime.tv_sec) * 1000000000ull + READ(old, i_ctime.tv_nsec);
  }
  if (bpf_core_field_exists(old->__i_mtime)) {
    out.mtime = READ(old, __i_mtime.tv_sec) * 1000000000ull + READ(old, __i_mtime.tv_nsec);
  } else {
    out.mtime = READ(old, i_mtime.tv_sec) * 1000000000ull + READ(old, i_mtime.tv_nsec);
  }
  return out;
}

INLINE void put_capabilities(struct event *e, struct cred *cred) {
  u64 set = 0;  // two halves of 32 bits before 6.3, one number since: the same 8 bytes
  bpf_core_read(&set, sizeof(set), &cred->cap_inheritable);
  put64(e, set);
  bpf_core_read(&set, sizeof(set), &cred->cap_permitted);
  put64(e, set);
  bpf_core_read(&set, sizeof(set), &cred->cap_effective);
  put64(e, set);
}
