// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Calls on files, directories and descriptors.
#include "file.h"
#include "path.h"

// ---- opening ----
#define OPENED const struct opened file = opened_file(e.ret);


INLINE void put_opened(struct event *e, const struct opened *file) {
  put32(e, file->dev);
  put64(e, file->ino);
}
#define OPEN_FLAGS(i) put32(&e, portable_open_flags(arg(&e, i)) | file.flags);
// The mode counts only if the call could create something.
#define MODE(i, flags) put32(&e, (flags) & 0x400040 ? arg(&e, i) : 0);

CALL(open, SYSCALL_OPEN_X, OPENED RES PATH(0) OPEN_FLAGS(1) MODE(2, arg(&e, 1)) put_opened(&e, &file))
CALL(openat, SYSCALL_OPENAT_2_X, OPENED RES FD(0) PATH(1) OPEN_FLAGS(2) MODE(3, arg(&e, 2)) put_opened(&e, &file))
CALL(close, SYSCALL_CLOSE_X, RES FD(0))
