// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Events that are no calls: signals, page faults, switches between tasks. Loaded only for whom a rule asks.
#include "task.h"

INLINE bool begin_tracepoint(struct event *e, u32 which, u32 code, u32 count) {
  e->ret = 0;
  return wanted_tracepoints[which] && current_in_scope() && begin(e, code, count, (u32)bpf_get_current_pid_tgid());
}

enum { kSigChld = 17, kFromUser = 0, kFromQueue = -1, kFromThread = -6 };

SEC("tp_btf/signal_deliver")
int on_signal(unsigned long long *ctx) {
  struct event e;
  if (!begin_tracepoint(&e, kTracepointSignal, SIGNALDELIVER_E, COUNT_SIGNALDELIVER_E)) return 0;
  const u32 number = ctx[0];
  struct {  // the part of siginfo that programs see, too, and that never changes
    s32 signal, error, code, pad, pid;
  } info = {};
  bpf_probe_read_kernel(&info, sizeof(info), (void *)plain_argument(ctx, 1));
  const bool has_sender =
      info.code == kFromUser || info.code == kFromQueue || info.code == kFromThread || (number == kSigChld && info.code > 0);
  put64(&e, has_sender ? (s64)info.pid : 0);
  put_fd(&e, (u32)bpf_get_current_pid_tgid());
  put8(&e, number);
  return submit(&e);
}

// Of programs only: a fault of the kernel can happen while an event is written here.
SEC("tp_btf/page_fault_user")
int on_fault(unsigned long long *ctx) {
  struct event e;
  if (!begin_tracepoint(&e, kTracepointFault, PAGE_FAULT_E, COUNT_PAGE_FAULT_E)) return 0;
  struct pt_regs *regs = (struct pt_regs *)ctx[1];
  put64(&e, ctx[0]);
  put64(&e, PROGRAM_COUNTER(regs));
  put32(&e, portable_fault(ctx[2]));
  return submit(&e);
}

SEC("tp_btf/sched_switch")
int on_switch(unsigned long long *ctx) {
  struct event e;
  if (!begin_tracepoint(&e, kTracepointSwitch, SCHEDSWITCH_6_E, COUNT_SCHEDSWITCH_6_E)) return 0;
  struct task_struct *task = current_task(), *next = (struct task_struct *)ctx[2];
  put_fd(&e, READ(next, pid));
  put64(&e, READ(task, maj_flt));
  put64(&e, READ(task, min_flt));
  put_memory(&e, READ(task, mm));
  return submit(&e);
}
