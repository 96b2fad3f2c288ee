// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// What stands behind a descriptor: its file, device, inode, and whether an overlay serves it from its upper or lower layer.
#include "event.h"

enum {
  kModeCreated = 0x100000,  // FMODE_CREATED: this open made the file
  kOverlayMagic = 0x794c7630,
  kOpenCreated = 0x4000,
  kOpenUpper = 0x8000,
  kOpenLower = 0x10000,
};

INLINE struct file *file_of(s32 fd) {
  if (fd < 0) return NULL;
  struct file **files;
  u32 limit;
  if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
    struct task_struct *task = bpf_get_current_task_btf();  // typed: the reads below are plain loads
    struct fdtable *table = task->files->fdt;
    limit = table->max_fds;
    files = table->fd;
  } else {
    struct fdtable *table = READ(current_task(), files, fdt);
    limit = READ(table, max_fds);
    files = READ(table, fd);
  }
  return (u32)fd < limit ? (struct file *)load(files + fd) : NULL;
}

// As stat() shows it (in its lower 32 bits), not as the kernel keeps it.
INLINE u32 user_device(u32 dev) {
  const u32 major = dev >> 20, minor = dev & 0xfffff;
  return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

enum { kLayerNone = 0, kLayerUpper = 1, kLayerLower = 2 };

// An overlay's inode has the upper directory entry right behind the common inode; it is null as long as the file lives only
// in a lower layer. The overlay's own types are often in a module without BTF, hence the arithmetic.
INLINE int overlay_layer(struct inode *inode, u64 magic) {
  if (magic != kOverlayMagic) return kLayerNone;
  void *upper = NULL;
  if (bpf_probe_read_kernel(&upper, sizeof(upper), (u8 *)inode + bpf_core_type_size(struct inode))) return kLayerNone;
  return upper ? kLayerUpper : kLayerLower;
}

struct opened {
  u32 dev, flags;
  u64 ino;
  int layer;
  bool plain;  // a regular file
};

INLINE struct opened opened_file(s64 fd) {
  struct opened out = {};
  struct file *file = file_of(fd);
  if (!file) return out;
  struct inode *inode = READ(file, f_inode);
  struct super_block *sb = READ(inode, i_sb);
  out.plain = (READ(inode, i_mode) & 0170000) == 0100000;
  out.ino = READ(inode, i_ino);
  out.dev = user_device(READ(sb, s_dev));
  out.layer = overlay_layer(inode, READ(sb, s_magic));
  if (READ(file, f_mode) & kModeCreated) out.flags |= kOpenCreated;
  if (out.layer == kLayerUpper) out.flags |= kOpenUpper;
  if (out.layer == kLayerLower) out.flags |= kOpenLower;
  return out;
}
