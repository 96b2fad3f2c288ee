// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// The one program on sys_exit: looks at the number, and jumps to the program of that call if somebody wants it.
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
#elif defined(__TARGET_ARCH_arm64)
enum { kCompatTask = 1 << 22 };
INLINE bool foreign_abi(u64 number) { return READ(current_task(), thread_info.flags) & kCompatTask; }
#endif

SEC("tp_btf/sys_exit")
int dispatch(unsigned long long *ctx) {
  const u64 number = SYSCALL_NUMBER((struct pt_regs *)ctx[0]);
  if (foreign_abi(number)) {
    if (current_in_scope()) count_one(kCountForeignAbi);
    return 0;
  }
  if (number >= kMaxSyscalls || !wanted_calls[number]) return 0;
  if (!current_in_scope()) return 0;
  bpf_tail_call(ctx, &calls, number);
  return 0;
}

// Run once by user space: tells it its process id as the kernel counts, whatever pid namespace it lives in.
SEC("raw_tp")
int whoami(void *ctx) { return bpf_get_current_pid_tgid() >> 32; }
