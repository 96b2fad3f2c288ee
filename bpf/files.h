// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Calls on files, directories and descriptors.
#include "dropped.h"
#include "file.h"
#include "path.h"

// ---- opening ----
INLINE void put_opened(struct event *e, const struct opened *file) {
  put32(e, file->dev);
  put64(e, file->ino);
}
#define OPEN_FLAGS put32(&e, flags);
// The mode counts only if the call could create something.
#define MODE(i, flags) put32(&e, (flags) & 0x400040 ? arg(&e, i) : 0);

// As CALL, for calls that open the file named by argument `path`, below the directory `dir` where the call has one.
enum { kCurrentDirectory = -100 };
#define OPEN_CALL(name, event_code, path, dir, given, before, after)                          \
  SEC("tp")                                                                                   \
  int x_##name(unsigned long long *ctx) {                                                     \
    struct event e;                                                                           \
    if (!is_wanted(&e, ctx)) return 0;                                                        \
    const struct opened file = opened_file(e.ret);                                            \
    const u32 flags = (given) | file.flags;                                                   \
    if (nobody_needs(&e, &file, flags) || !caller_in_scope(&e)) return 0;                     \
    if (!begin_exit(&e, event_code, COUNT_##event_code)) return 0;                            \
    before;                                                                                   \
    const u64 at = e.off;                                                                     \
    put_user_string(&e, arg(&e, path));                                                       \
    const u64 length = e.off - at;                                                            \
    after;                                                                                    \
    return submit_opened(&e, at, length, dir);                                                \
  }

// Nobody looks at an open with these flags. A file that is there now has to be plain (what else is opened by name, such as a
// directory, later events refer to), and its closing goes with it.
INLINE bool nobody_needs(struct event *e, const struct opened *file, u32 flags) {
  if (e->need == ~0u || (flags & e->need)) return false;
  if (e->ret < 0) return true;
  if (!file->plain) return false;
  remember_dropped(e->task, e->ret);
  return true;
}

INLINE int submit_opened(struct event *e, u64 at, u64 length, s32 dir) {
  close_event(e);
  if (e->ret >= 0) {
    struct file *file = file_of(e->ret), *base = dir == kCurrentDirectory ? NULL : file_of(dir);
    if (file && !(length && spells_path(at, length - 1, (u64)file, (u64)base))) {
      const u64 end = bounded(e->off, kSlotMask);
      const u64 path_length = write_path(end, NUMBER(file, f_path.dentry), NUMBER(file, f_path.mnt));
      e->off = end + bounded(path_length, 2 * kPathBytes - 1);
      ((struct quell_wire_record *)e->buf)->flags |= kWireOtherName;
    }
  }
  return submit_closed(e);
}

OPEN_CALL(open, SYSCALL_OPEN_X, 0, kCurrentDirectory, portable_open_flags(arg(&e, 1)), RES,
          OPEN_FLAGS MODE(2, arg(&e, 1)) put_opened(&e, &file))
OPEN_CALL(openat, SYSCALL_OPENAT_2_X, 1, arg(&e, 0), portable_open_flags(arg(&e, 2)), RES FD(0),
          OPEN_FLAGS MODE(3, arg(&e, 2)) put_opened(&e, &file))

struct open_how {
  u64 flags, mode, resolve;
};
INLINE struct open_how how_of(u64 address) {
  struct open_how how = {};
  if (address) bpf_probe_read_user(&how, sizeof(how), (void *)address);
  return how;
}
INLINE void put_openat2(struct event *e, u32 flags, const struct opened *file) {
  const struct open_how how = how_of(arg(e, 2));
  put32(e, flags);
  put32(e, how.mode);
  put32(e, portable_resolve_flags(how.resolve));
  put_opened(e, file);
}
OPEN_CALL(openat2, SYSCALL_OPENAT2_X, 1, arg(&e, 0), portable_open_flags(how_of(arg(&e, 2)).flags), RES FD(0),
          put_openat2(&e, flags, &file))
OPEN_CALL(creat, SYSCALL_CREAT_X, 0, kCurrentDirectory, 0, RES, U32(1) put_opened(&e, &file); put16(&e, file.layer))

// The handle says nothing to people; the path comes from what was opened.
INLINE void put_open_by_handle(struct event *e) {
  const struct opened file = opened_file(e->ret);
  struct file *opened = file_of(e->ret);
  put32(e, portable_open_flags(arg(e, 2)) | file.flags);
  put_path(e, opened ? &opened->f_path : NULL);
  put_opened(e, &file);
}
CALL(open_by_handle_at, SYSCALL_OPEN_BY_HANDLE_AT_X, RES FD(0) put_open_by_handle(&e))

// ---- descriptors ----
SEC("tp")
int x_close(unsigned long long *ctx) {
  struct event e;
  if (!is_wanted(&e, ctx) || (e.ret == 0 && forget_dropped(e.task, (u32)arg(&e, 0))) || !caller_in_scope(&e)) return 0;
  if (!begin_exit(&e, SYSCALL_CLOSE_X, COUNT_SYSCALL_CLOSE_X)) return 0;
  RES FD(0);
  return submit(&e);
}
CALL(close_range, SYSCALL_CLOSE_RANGE_X, forget_all_dropped(e.task); RES U32(0) U32(1) put32(&e, arg(&e, 2) & 6))
CALL(dup, SYSCALL_DUP_1_X, RES FD(0))
CALL(dup2, SYSCALL_DUP2_X, forget_dropped(e.task, (u32)arg(&e, 1)); RES FD(0) FD(1))
CALL(dup3, SYSCALL_DUP3_X, forget_dropped(e.task, (u32)arg(&e, 1)); RES FD(0) FD(1) FLAGS(2, portable_fd_flags))
CALL(fcntl, SYSCALL_FCNTL_X, RES FD(0) FLAGS8(1, portable_fcntl_command) U64(2))

// The two descriptors that a call wrote to the process's memory.
INLINE void put_pair(struct event *e, u64 address) {
  s32 pair[2] = {-1, -1};
  if (e->ret == 0 && bpf_probe_read_user(pair, sizeof(pair), (void *)address)) mark_fault(e);
  put64(e, (s64)pair[0]);
  put64(e, (s64)pair[1]);
}
INLINE void put_pipe(struct event *e) {
  s32 first = -1;
  put_pair(e, arg(e, 0));
  if (e->ret == 0) bpf_probe_read_user(&first, sizeof(first), (void *)arg(e, 0));
  put64(e, opened_file(first).ino);
}
CALL(pipe, SYSCALL_PIPE_X, RES put_pipe(&e))
CALL(pipe2, SYSCALL_PIPE2_X, RES put_pipe(&e); FLAGS(1, portable_fd_flags))

CALL(eventfd, SYSCALL_EVENTFD_X, RES put64(&e, (u32)arg(&e, 0)); put32(&e, 0))
CALL(eventfd2, SYSCALL_EVENTFD2_X, RES FLAGS16(1, portable_fd_flags) put64(&e, (u32)arg(&e, 0)))
CALL(inotify_init, SYSCALL_INOTIFY_INIT_X, RES put8(&e, 0))
CALL(inotify_init1, SYSCALL_INOTIFY_INIT1_X, RES FLAGS16(0, portable_fd_flags))
CALL(timerfd_create, SYSCALL_TIMERFD_CREATE_X, RES U8(0) put8(&e, 0))  // its flags do not fit the schema's one byte
CALL(epoll_create, SYSCALL_EPOLL_CREATE_X, RES U32(0))
CALL(epoll_create1, SYSCALL_EPOLL_CREATE1_X, RES FLAGS(0, portable_epoll_flags))
CALL(epoll_wait, SYSCALL_EPOLLWAIT_X, RES S64_OF_32(1))

INLINE u32 user_u32(u64 address) {
  u32 value = 0;
  if (address) bpf_probe_read_user(&value, sizeof(value), (void *)address);
  return value;
}
CALL(signalfd, SYSCALL_SIGNALFD_X, RES FD(0) put32(&e, user_u32(arg(&e, 1))); put8(&e, 0))
CALL(signalfd4, SYSCALL_SIGNALFD4_X, RES FLAGS16(3, portable_fd_flags) FD(0) put32(&e, user_u32(arg(&e, 1))))
CALL(userfaultfd, SYSCALL_USERFAULTFD_X, RES FLAGS(0, portable_fd_flags))
CALL(memfd_create, SYSCALL_MEMFD_CREATE_X, RES TEXT(0) put32(&e, arg(&e, 1) & 7))
CALL(pidfd_open, SYSCALL_PIDFD_OPEN_X, RES PID(0) FLAGS(1, portable_pidfd_flags))
CALL(pidfd_getfd, SYSCALL_PIDFD_GETFD_X, RES FD(0) FD(1) U32(2))

// ---- names ----
CALL(link, SYSCALL_LINK_2_X, RES PATH(0) PATH(1))
CALL(linkat, SYSCALL_LINKAT_2_X, RES FD(0) PATH(1) FD(2) PATH(3) put32(&e, arg(&e, 4) & 0x1400))
CALL(unlink, SYSCALL_UNLINK_2_X, RES PATH(0))
CALL(unlinkat, SYSCALL_UNLINKAT_2_X, RES FD(0) PATH(1) put32(&e, arg(&e, 2) & 0x200))
CALL(rename, SYSCALL_RENAME_X, RES PATH(0) PATH(1))
CALL(renameat, SYSCALL_RENAMEAT_X, RES FD(0) PATH(1) FD(2) PATH(3))
CALL(renameat2, SYSCALL_RENAMEAT2_X, RES FD(0) PATH(1) FD(2) PATH(3) U32(4))
CALL(symlink, SYSCALL_SYMLINK_X, RES TEXT(0) PATH(1))
CALL(symlinkat, SYSCALL_SYMLINKAT_X, RES TEXT(0) FD(1) PATH(2))
CALL(mkdir, SYSCALL_MKDIR_2_X, RES PATH(0) U32(1))
CALL(mkdirat, SYSCALL_MKDIRAT_X, RES FD(0) PATH(1) U32(2))
CALL(rmdir, SYSCALL_RMDIR_2_X, RES PATH(0))
CALL(mknod, SYSCALL_MKNOD_X, RES PATH(0) U32(1) U32(2))
CALL(mknodat, SYSCALL_MKNODAT_X, RES FD(0) PATH(1) U32(2) U32(3))

// ---- attributes ----
CALL(chmod, SYSCALL_CHMOD_X, RES PATH(0) put32(&e, arg(&e, 1) & 07777))
CALL(fchmod, SYSCALL_FCHMOD_X, RES FD(0) put32(&e, arg(&e, 1) & 07777))
CALL(fchmodat, SYSCALL_FCHMODAT_X, RES FD(0) PATH(1) put32(&e, arg(&e, 2) & 07777))
CALL(chown, SYSCALL_CHOWN_X, RES PATH(0) U32(1) U32(2))
CALL(lchown, SYSCALL_LCHOWN_X, RES PATH(0) U32(1) U32(2))
CALL(fchown, SYSCALL_FCHOWN_X, RES FD(0) U32(1) U32(2))
CALL(fchownat, SYSCALL_FCHOWNAT_X, RES FD(0) PATH(1) U32(2) U32(3) FLAGS(4, portable_fchownat_flags))
CALL(stat, SYSCALL_STAT_X, RES PATH(0))
CALL(lstat, SYSCALL_LSTAT_X, RES PATH(0))
CALL(fstat, SYSCALL_FSTAT_X, RES FD(0))
CALL(newfstatat, SYSCALL_NEWFSTATAT_X, RES FD(0) PATH(1) put32(&e, arg(&e, 3) & 0x1900))
CALL(access, SYSCALL_ACCESS_X, RES PATH(0) U32(1))
CALL(flock, SYSCALL_FLOCK_X, RES FD(0) put32(&e, arg(&e, 1) & 0xf))
CALL(lseek, SYSCALL_LSEEK_X, RES FD(0) U64(1) U8(2))
CALL(getdents, SYSCALL_GETDENTS_X, RES FD(0))
CALL(getdents64, SYSCALL_GETDENTS64_X, RES FD(0))

// ---- directories and mounts ----
CALL(chdir, SYSCALL_CHDIR_X, RES TEXT(0))
CALL(fchdir, SYSCALL_FCHDIR_X, RES FD(0))
CALL(chroot, SYSCALL_CHROOT_X, RES PATH(0))
CALL(getcwd, SYSCALL_GETCWD_X, RES put_user_string(&e, e.ret > 0 ? arg(&e, 0) : 0))
CALL(mount, SYSCALL_MOUNT_X, RES TEXT(0) PATH(1) TEXT(2) FLAGS(3, portable_mount_flags))
CALL(umount2, SYSCALL_UMOUNT2_X, RES PATH(0) put32(&e, arg(&e, 1) & 0xf))

enum { kFsconfigString = 1, kFsconfigBinary = 2, kFsconfigPath = 3, kFsconfigPathEmpty = 4 };
INLINE void put_fsconfig(struct event *e) {
  const u32 command = arg(e, 1);
  const bool text = command == kFsconfigString || command == kFsconfigPath || command == kFsconfigPathEmpty;
  put_user_string(e, arg(e, 2));
  put_user_data(e, command == kFsconfigBinary ? arg(e, 3) : 0, arg(e, 4));
  put_user_string(e, text ? arg(e, 3) : 0);
  put32(e, arg(e, 4));
}
CALL(fsconfig, SYSCALL_FSCONFIG_X, RES FD(0) U32(1) put_fsconfig(&e))

// ---- quotas ----
INLINE void put_quotactl(struct event *e) {
  const u32 command = portable_quota_command((u32)arg(e, 0) >> 8);
  struct {
    u64 block_hard, block_soft, space, inode_hard, inode_soft, inodes, block_time, inode_time;
  } quota = {};
  struct {
    u64 block_grace, inode_grace;
    u32 flags;
  } info = {};
  u32 format = 0;
  const u64 address = arg(e, 3);
  if (address && (command & 0x60)) bpf_probe_read_user(&quota, sizeof(quota), (void *)address);  // GETQUOTA, SETQUOTA
  if (address && (command & 0x18)) bpf_probe_read_user(&info, sizeof(info), (void *)address);    // GETINFO, SETINFO
  if (address && (command & 0x04)) bpf_probe_read_user(&format, sizeof(format), (void *)address);  // GETFMT
  put_user_string(e, arg(e, 1));
  put_user_string(e, command == 1 ? address : 0);  // QUOTAON names the quota file
  put64(e, quota.block_hard);
  put64(e, quota.block_soft);
  put64(e, quota.space);
  put64(e, quota.inode_hard);
  put64(e, quota.inode_soft);
  put64(e, quota.block_time);
  put64(e, quota.inode_time);
  put64(e, info.block_grace);
  put64(e, info.inode_grace);
  put8(e, info.flags & 2);
  put8(e, portable_quota_format(format));
  put16(e, command);
  put8(e, portable_quota_type(arg(e, 0) & 0xff));
  put32(e, command == 1 ? 0 : arg(e, 2));
  put8(e, command == 1 ? portable_quota_format(arg(e, 2)) : portable_quota_format(0));
}
CALL(quotactl, SYSCALL_QUOTACTL_X, RES put_quotactl(&e))
