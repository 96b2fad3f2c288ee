// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Where calls cannot be traced one by one: one program on the exit of all of them, which looks at the number and jumps to the
// program of that call if somebody wants it.
#include "abi.h"

SEC("tp_btf/sys_exit")
int dispatch(unsigned long long *ctx) {
  const u64 number = SYSCALL_NUMBER((struct pt_regs *)ctx[0]);
  if (foreign_abi(number)) {
    if (current_in_scope()) __sync_fetch_and_add(&foreign_calls, 1);
    return 0;
  }
  if (number >= kMaxSyscalls || !wanted_calls[number]) return 0;
  bpf_tail_call(ctx, &calls, number);
  return 0;
}

// Run once by user space: tells it its process id as the kernel counts, whatever pid namespace it lives in.
SEC("raw_tp")
int whoami(void *ctx) { return bpf_get_current_pid_tgid() >> 32; }
