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

// From and to addresses.
INLINE u64 mount_of(u64 vfsmount) { return vfsmount - bpf_core_field_offset(struct mount, mnt); }

// A walk in progress, in the slot: its steps are a function of their own, which the verifier checks once and not for each
// turn of the loop.
struct walk {
  u64 dentry, mnt, mnt_root;
  u64 pos;  // in the work area: where the text begins
};
enum {
  kWalkOffset = kPathWork - sizeof(struct walk),
  kStepOn = 0,
  kStepEnd = 1,           // at the root
  kStepDisconnected = 2,  // memfd and its like: a name without a place
  kStepFailed = 3,
};
_Static_assert(kWalkOffset >= kMaxEventBytes, "the walk lies behind the event");

GLOBAL int walk_step(void) {
  u8 *buf = own_slot();
  if (!buf) return kStepFailed;
  struct walk *walk = (struct walk *)(buf + kWalkOffset);
  u8 *work = buf + kPathWork;  // 4096 bytes of text and 256 behind them, so that a name never reaches too far
  struct dentry *dentry = (void *)walk->dentry;
  if (walk->dentry == walk->mnt_root) {
    struct mount *mnt = (void *)walk->mnt;
    const u64 parent = NUMBER(mnt, mnt_parent);
    if (parent == walk->mnt) return kStepEnd;
    walk->dentry = NUMBER(mnt, mnt_mountpoint);
    walk->mnt = parent;
    walk->mnt_root = NUMBER((struct mount *)parent, mnt.mnt_root);
    return kStepOn;
  }
  const u64 parent = NUMBER(dentry, d_parent);
  const u64 length = bounded(READ(dentry, d_name.len), 0xff);
  u64 pos = walk->pos;
  if (pos < length + 2) return kStepFailed;
  pos = bounded(pos - length, kPathBytes - 1);
  if (bpf_probe_read_kernel(work + pos, length, (void *)NUMBER(dentry, d_name.name))) return kStepFailed;
  walk->pos = pos;
  if (parent == walk->dentry) return kStepDisconnected;
  pos = bounded(pos - 1, kPathBytes - 1);
  work[pos] = '/';
  walk->pos = pos;
  walk->dentry = parent;
  return kStepOn;
}

// Writes the path at `off` of the slot; returns its length with NUL, 0 if it cannot be told.
GLOBAL u64 write_path(u64 off, u64 dentry_address, u64 mnt_address) {
  u8 *buf = own_slot();
  if (!buf) return 0;
  u8 *work = buf + kPathWork;
  struct walk *walk = (struct walk *)(buf + kWalkOffset);
  walk->dentry = dentry_address;
  walk->mnt = mount_of(mnt_address);
  walk->mnt_root = NUMBER((struct vfsmount *)mnt_address, mnt_root);
  walk->pos = kPathBytes - 1;
  work[kPathBytes - 1] = 0;
  int step = kStepOn;
  for (int i = 0; i < kPathDepth && step == kStepOn; ++i) step = walk_step();
  if (step != kStepEnd && step != kStepDisconnected) return 0;
  u64 pos = bounded(walk->pos, kPathBytes - 1);
  if (pos == kPathBytes - 1 && step == kStepEnd) {
    pos = kPathBytes - 2;
    work[pos] = '/';
  }
  const u64 size = bounded(kPathBytes - pos, 2 * kPathBytes - 1);
  if (size > kPathBytes) return 0;
  if (bpf_probe_read_kernel(buf + bounded(off, kSlotMask), size, work + pos)) return 0;
  return size;
}

INLINE void put_path(struct event *e, const struct path *path) {
  const u64 dentry = path ? NUMBER(path, dentry) : 0;
  const u64 length = dentry ? write_path(e->off, dentry, NUMBER(path, mnt)) : 0;
  put_length(e, bounded(length, 2 * kPathBytes - 1));
}

// ---- does a name spell the path of a file? ----
// The memory that a process names a file in is read when the call returns; another thread may have changed it after the
// kernel looked. So the name is compared with the directory entries of what was opened, from the last component up to the
// process's root, or to the directory that a relative name starts from. A name that goes over symbolic links, dots or double
// slashes does not match here either: user space decides with the kernel's path beside it.
struct spelling {
  u64 dentry, mnt, mnt_root;
  u64 top_dentry, top_mnt;  // root, or the directory of a relative name
  u64 at;                   // in the slot: where the name begins
  u64 end;                  // what is left of the name to compare
  u64 absolute;
};
enum {
  kSpellingOffset = kMaxEventBytes + 256,
  kSpells = 1,
  kDiffers = 2,
};

// Are the `length` bytes before `end` of the name those at `component`? Reading to full words is harmless: what is not there
// reads as zero.
INLINE bool same_component(u8 *buf, struct spelling *s, u64 component, u64 length) {
  const u64 from = s->at + s->end - length;
  for (u32 i = 0; i < 32; ++i) {
    if (8 * i >= length) return true;
    const u64 left = length - 8 * i;
    const u64 mask = left >= 8 ? ~0ull : (1ull << (8 * left)) - 1;
    const u64 given = *(u64 *)(buf + bounded(from + 8 * i, kSlotMask));
    if ((given ^ load((void *)(component + 8 * i))) & mask) return false;
  }
  return true;
}

GLOBAL int spelling_step(void) {
  u8 *buf = own_slot();
  if (!buf) return kDiffers;
  struct spelling *s = (struct spelling *)(buf + kSpellingOffset);
  if (s->dentry == s->top_dentry && s->mnt == s->top_mnt && s->end == 0) return kSpells;
  if (s->dentry == s->mnt_root) {
    struct mount *mnt = (void *)s->mnt;
    const u64 parent = NUMBER(mnt, mnt_parent);
    if (parent == s->mnt) return kDiffers;
    s->dentry = NUMBER(mnt, mnt_mountpoint);
    s->mnt = parent;
    s->mnt_root = NUMBER((struct mount *)parent, mnt.mnt_root);
    return 0;
  }
  struct dentry *dentry = (void *)s->dentry;
  const u64 length = bounded(READ(dentry, d_name.len), 0xff);
  if (length == 0 || s->end < length + s->absolute) return kDiffers;
  if (!same_component(buf, s, NUMBER(dentry, d_name.name), length)) return kDiffers;
  u64 end = s->end - length;
  if (end) {
    end--;
    if (buf[bounded(s->at + end, kSlotMask)] != '/') return kDiffers;
  }
  s->end = end;
  s->dentry = NUMBER(dentry, d_parent);
  return 0;
}

// `at`: where in the slot the name is, `length` without its NUL; `base`: the directory of a relative name. True if the name
// spells the path of `file` in the eyes of the current process.
GLOBAL int spells_path(u64 at, u64 length, u64 file_address, u64 base_address) {
  u8 *buf = own_slot();
  if (!buf || !length || length >= kPathBytes) return false;
  struct spelling *s = (struct spelling *)(buf + kSpellingOffset);
  const bool absolute = buf[bounded(at, kSlotMask)] == '/';
  s->at = at;
  s->end = length;
  s->absolute = absolute;
  struct fs_struct *fs = READ(current_task(), fs);
  const struct path *top = absolute ? &fs->root : base_address ? &((struct file *)base_address)->f_path : &fs->pwd;
  s->top_dentry = NUMBER(top, dentry);
  s->top_mnt = mount_of(NUMBER(top, mnt));
  const struct path *path = &((struct file *)file_address)->f_path;
  const u64 mnt = NUMBER(path, mnt);
  s->dentry = NUMBER(path, dentry);
  s->mnt = mount_of(mnt);
  s->mnt_root = NUMBER((struct vfsmount *)mnt, mnt_root);
  int step = 0;
  for (int i = 0; i < kPathDepth && step == 0; ++i) step = spelling_step();
  return step == kSpells;
}
