// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Paths from the kernel's own tree: from a directory entry up over mounts to the root of the mount namespace. (The helper
// bpf_d_path may not be called from tracepoints.) The text is put together from its end, in the second half of the slot's
// surplus, and copied to the event when it is complete.
#include "event.h"

enum {
  kPathDepth = 64,  // components and mounts; a deeper path is given as empty rather than cut
  kPathWork = kMaxEventBytes + kPathBytes - 256,  // offset of the work area in the slot
};

INLINE struct mount *mount_of(struct vfsmount *mnt) {
  return (struct mount *)(plain(mnt) - bpf_core_field_offset(struct mount, mnt));
}

// Writes the path at `off` of the slot; returns its length with NUL, 0 if it cannot be told.
GLOBAL u64 write_path(u64 off, u64 dentry_address, u64 mnt_address) {
  struct dentry *dentry = (void *)dentry_address;
  struct vfsmount *vfsmnt = (void *)mnt_address;
  u8 *buf = own_slot();
  if (!buf) return 0;
  u8 *work = buf + kPathWork;  // 4096 bytes of text and 256 behind them, so that a name never reaches too far
  struct mount *mnt = mount_of(vfsmnt);
  struct dentry *mnt_root = READ(vfsmnt, mnt_root);
  u64 pos = kPathBytes - 1;
  bool done = false, disconnected = false;
  work[pos] = 0;
  for (int i = 0; i < kPathDepth; ++i) {
    if (dentry == mnt_root) {
      struct mount *parent = READ(mnt, mnt_parent);
      if (parent == mnt) {
        done = true;
        break;
      }
      dentry = READ(mnt, mnt_mountpoint);
      mnt = parent;
      mnt_root = READ(mnt, mnt.mnt_root);
      continue;
    }
    struct dentry *parent = READ(dentry, d_parent);
    struct qstr name;
    bpf_core_read(&name, sizeof(name), &dentry->d_name);
    u64 length = bounded(name.len, 0xff);
    if (parent == dentry) disconnected = true;  // memfd and its like: a name without a place
    if (pos < length + 2) return 0;
    pos = bounded(pos - length, kPathBytes - 1);
    if (bpf_probe_read_kernel(work + pos, length, name.name)) return 0;
    if (disconnected) {
      done = true;
      break;
    }
    pos = bounded(pos - 1, kPathBytes - 1);
    work[pos] = '/';
    dentry = parent;
  }
  if (!done) return 0;
  if (pos == kPathBytes - 1 && !disconnected) {
    pos = kPathBytes - 2;
    work[pos] = '/';
  }
  pos = bounded(pos, kPathBytes - 1);
  const u64 size = bounded(kPathBytes - pos, 2 * kPathBytes - 1);
  if (size > kPathBytes) return 0;
  if (bpf_probe_read_kernel(buf + bounded(off, kSlotMask), size, work + pos)) return 0;
  return size;
}

INLINE void put_path(struct event *e, const struct path *path) {
  struct path value = {};
  if (path) bpf_core_read(&value, sizeof(value), path);
  u64 length = value.dentry ? write_path(e->off, plain(value.dentry), plain(value.mnt)) : 0;
  put_length(e, bounded(length, 2 * kPathBytes - 1));
}
