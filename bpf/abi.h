// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Calls and programs of another ABI than the one that is decoded.
#include "event.h"

#if defined(__TARGET_ARCH_x86)
// 32-bit calls have numbers of their own, x32 calls carry bit 30: neither may be taken for a 64-bit call.
enum { kCompatCall = 0x2, kX32Call = 0x40000000 };
INLINE bool foreign_abi(u64 number) {
  u32 status;
  if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_current_task_btf)) {
    status = ((struct task_struct *)bpf_get_current_task_btf())->thread_info.status;
  } else {
    status = READ(current_task(), thread_info.status);
  }
  return (status & kCompatCall) || ((s64)number > 0 && (number & kX32Call));
}
enum { kAddresses32 = 1 << 29 };
INLINE bool foreign_program(struct task_struct *task) { return READ(task, thread_info.flags) & kAddresses32; }
#elif defined(__TARGET_ARCH_arm64)
enum { kCompatTask = 1 << 22 };
INLINE bool foreign_program(struct task_struct *task) { return READ(task, thread_info.flags) & kCompatTask; }
INLINE bool foreign_abi(u64 number) { return foreign_program(current_task()); }
#endif
