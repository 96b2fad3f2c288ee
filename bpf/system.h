// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Identity, limits, memory, signals, modules, and whatever has no event of its own.
#include "io.h"
#include "task.h"

// ---- users and groups ----
CALL(setuid, SYSCALL_SETUID_X, RES U32(0))
CALL(setgid, SYSCALL_SETGID_X, RES U32(0))
CALL(setreuid, SYSCALL_SETREUID_X, RES U32(0) U32(1))
CALL(setregid, SYSCALL_SETREGID_X, RES U32(0) U32(1))
CALL(setresuid, SYSCALL_SETRESUID_X, RES U32(0) U32(1) U32(2))
CALL(setresgid, SYSCALL_SETRESGID_X, RES U32(0) U32(1) U32(2))
CALL(getuid, SYSCALL_GETUID_X, put32(&e, e.ret))
CALL(geteuid, SYSCALL_GETEUID_X, put32(&e, e.ret))
CALL(getgid, SYSCALL_GETGID_X, put32(&e, e.ret))
CALL(getegid, SYSCALL_GETEGID_X, put32(&e, e.ret))
#define THREE_IDS put32(&e, user_u32(arg(&e, 0))); put32(&e, user_u32(arg(&e, 1))); put32(&e, user_u32(arg(&e, 2)))
CALL(getresuid, SYSCALL_GETRESUID_X, RES THREE_IDS)
CALL(getresgid, SYSCALL_GETRESGID_X, RES THREE_IDS)

// What the task has after the call, whatever it asked for.
CALL(capset, SYSCALL_CAPSET_X, RES put_capabilities(&e, READ(current_task(), cred)))

// ---- process ----
CALL(setsid, SYSCALL_SETSID_X, RES)
CALL(setpgid, SYSCALL_SETPGID_X, RES PID(0) PID(1))
CALL(setns, SYSCALL_SETNS_X, RES FD(0) FLAGS(1, portable_clone_flags))
CALL(unshare, SYSCALL_UNSHARE_X, RES FLAGS(0, portable_clone_flags))
CALL(kill, SYSCALL_KILL_X, RES PID(0) U8(1))
CALL(tkill, SYSCALL_TKILL_X, RES PID(0) U8(1))
CALL(tgkill, SYSCALL_TGKILL_X, RES PID(0) PID(1) U8(2))
CALL(seccomp, SYSCALL_SECCOMP_X, RES put64(&e, (u32)arg(&e, 0)); put64(&e, (u32)arg(&e, 1)))

enum { kPrSetName = 15, kPrGetName = 16, kPrGetSubreaper = 37 };
INLINE void put_prctl(struct event *e) {
  const u32 option = arg(e, 0);
  const bool name = option == kPrSetName || (option == kPrGetName && e->ret == 0);
  put32(e, option);
  put_user_string(e, name ? arg(e, 1) : 0);
  put64(e, name ? 0 : option == kPrGetSubreaper ? user_u32(arg(e, 1)) : arg(e, 1));
}
CALL(prctl, SYSCALL_PRCTL_X, RES put_prctl(&e))

enum { kPeekText = 1, kPeekUser = 3, kPtCont = 7, kPtKill = 8, kPtStep = 9, kPtDetach = 17, kPtSyscall = 24 };
INLINE void put_ptrace(struct event *e) {
  const u32 request = arg(e, 0);
  u8 *to = at(e);
  *to = 0;  // a number
  *(u64 *)(to + 1) = arg(e, 2);
  put_length(e, 9);
  to = at(e);
  if (request == kPtCont || request == kPtStep || request == kPtDetach || request == kPtSyscall) {
    to[0] = 1;  // a signal to deliver
    to[1] = arg(e, 3);
    put_length(e, 2);
  } else {
    to[0] = 0;
    *(u64 *)(to + 1) = request >= kPeekText && request <= kPeekUser ? user_u64(arg(e, 3)) : arg(e, 3);
    put_length(e, 9);
  }
  put16(e, portable_ptrace_request(request));
  put_fd(e, arg(e, 1));
}
CALL(ptrace, SYSCALL_PTRACE_X, RES put_ptrace(&e))

// ---- limits ----
struct user_limit {
  u64 current, most;
};
INLINE struct user_limit limit_at(u64 address) {
  struct user_limit limit = {(u64)-1, (u64)-1};  // -1 also stands for "not given"
  if (address) bpf_probe_read_user(&limit, sizeof(limit), (void *)address);
  return limit;
}
#define LIMIT(i, when)                                             \
  {                                                                \
    const struct user_limit limit = limit_at((when) ? arg(&e, i) : 0); \
    put64(&e, limit.current);                                      \
    put64(&e, limit.most);                                         \
  }
CALL(setrlimit, SYSCALL_SETRLIMIT_X, RES LIMIT(1, true) U8(0))
CALL(getrlimit, SYSCALL_GETRLIMIT_X, RES LIMIT(1, e.ret == 0) U8(0))
CALL(prlimit64, SYSCALL_PRLIMIT_X, RES LIMIT(2, true) LIMIT(3, e.ret == 0) PID(0) U8(1))

// ---- memory ----
#define MEMORY put_memory(&e, READ(current_task(), mm));
CALL(brk, SYSCALL_BRK_4_X, RES MEMORY U64(0))
CALL(mmap, SYSCALL_MMAP_X, RES MEMORY U64(0) U64(1) FLAGS(2, portable_prot) FLAGS(3, portable_mmap_flags) FD(4) U64(5))
CALL(munmap, SYSCALL_MUNMAP_X, RES MEMORY U64(0) U64(1))
CALL(mprotect, SYSCALL_MPROTECT_X, RES U64(0) U64(1) FLAGS(2, portable_prot))
CALL(mlock, SYSCALL_MLOCK_X, RES U64(0) U64(1))
CALL(mlock2, SYSCALL_MLOCK2_X, RES U64(0) U64(1) put32(&e, arg(&e, 2) & 1))
CALL(munlock, SYSCALL_MUNLOCK_X, RES U64(0) U64(1))
CALL(mlockall, SYSCALL_MLOCKALL_X, RES put32(&e, arg(&e, 0) & 7))
CALL(munlockall, SYSCALL_MUNLOCKALL_X, RES)
CALL(futex, SYSCALL_FUTEX_X, RES U64(0) U16(1) put64(&e, (u32)arg(&e, 2)))

// ---- semaphores ----
INLINE void put_semop(struct event *e) {
  struct {
    u16 number, operation, flags;
  } operations[2] = {};
  const u32 count = arg(e, 2);
  if (count == 1) bpf_probe_read_user(operations, sizeof(operations[0]), (void *)arg(e, 1));
  if (count > 1) bpf_probe_read_user(operations, sizeof(operations), (void *)arg(e, 1));
  put32(e, count);
  for (int i = 0; i < 2; ++i) {
    put16(e, operations[i].number);
    put16(e, operations[i].operation);
    put16(e, portable_sem_flags(operations[i].flags));
  }
  put32(e, arg(e, 0));
}
CALL(semop, SYSCALL_SEMOP_X, RES put_semop(&e))
CALL(semget, SYSCALL_SEMGET_X, RES U32(0) U32(1) FLAGS(2, portable_semget_flags))
CALL(semctl, SYSCALL_SEMCTL_X,
     RES U32(0) U32(1) FLAGS16(2, portable_semctl_command) put32(&e, (arg(&e, 2) & 0xff) == 16 ? arg(&e, 3) : 0))

// ---- kernel ----
CALL(bpf, SYSCALL_BPF_2_X, RES U32(0))
CALL(init_module, SYSCALL_INIT_MODULE_X, RES put_user_data(&e, arg(&e, 0), arg(&e, 1)); U64(1) TEXT(2))
CALL(finit_module, SYSCALL_FINIT_MODULE_X, RES FD(0) TEXT(1) put32(&e, arg(&e, 2) & 7))
CALL(delete_module, SYSCALL_DELETE_MODULE_X, RES TEXT(0) FLAGS(1, portable_delete_module_flags))

enum { kKeyJoin = 1, kKeySearch = 10, kKeyRestrict = 29 };
// A keyctl argument: a number, or a string where the operation takes one.
INLINE void put_key_argument(struct event *e, u64 value, bool text) {
  u8 *to = at(e);
  if (text && value) {
    long length = bpf_probe_read_user_str(to + 1, kPathBytes, (void *)value);
    if (length < 0) length = 0;
    *to = 1;
    put_length(e, 1 + bounded(length, 2 * kPathBytes - 1));
  } else {
    *to = 0;
    *(u64 *)(to + 1) = value;
    put_length(e, 9);
  }
}
INLINE void put_keyctl(struct event *e) {
  const u32 operation = arg(e, 0);
  const bool names = operation == kKeySearch || operation == kKeyRestrict;
  put32(e, operation);
  put_key_argument(e, arg(e, 1), operation == kKeyJoin);
  put_key_argument(e, arg(e, 2), names);
  put_key_argument(e, arg(e, 3), names);
  put_key_argument(e, arg(e, 4), false);
}
CALL(keyctl, SYSCALL_KEYCTL_X, RES put_keyctl(&e))

// ---- the rest ----
SEC("tp")
int x_generic(unsigned long long *ctx) {
  struct event e;
  if (!take_call(&e, ctx) || !begin_exit(&e, GENERIC_X, COUNT_GENERIC_X)) return 0;
  const u64 number = bounded(SYSCALL_NUMBER(e.regs), kMaxSyscalls - 1);
  put16(&e, generic_code[number]);
  put16(&e, number);
  return submit(&e);
}
