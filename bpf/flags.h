// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// From the kernel's numbers to the portable ones that captures carry (tables in src/model/flag_tables.inc). Plain functions
// without kernel types: the test "sensor.flags" compiles them for the host and checks every symbol of the tables against the
// system's headers. Values that are the same on both sides are passed on as they are and have no function here.
#ifdef __bpf__
typedef __u32 flag_u32;
#else
#include <stdint.h>
typedef uint32_t flag_u32;
#endif
#define FLAG_FN static inline __attribute__((always_inline))
// Moves one flag: shifts, no branch.
#define MOVE(value, from, to) (((value) & (from)) ? (flag_u32)(to) : 0u)

FLAG_FN flag_u32 portable_fd_flags(flag_u32 f) {  // O_CLOEXEC, O_NONBLOCK, O_DIRECT of calls that make descriptors
#if defined(__TARGET_ARCH_arm64) || defined(__aarch64__)
  const flag_u32 direct = 0x10000;
#else
  const flag_u32 direct = 0x4000;
#endif
  return MOVE(f, 0x80000, 0x1000) | MOVE(f, 0x800, 0x40) | MOVE(f, direct, 0x200);
}

FLAG_FN flag_u32 portable_open_flags(flag_u32 f) {
#if defined(__TARGET_ARCH_arm64) || defined(__aarch64__)
  const flag_u32 directory = 0x4000, large = 0x20000;
#else
  const flag_u32 directory = 0x10000, large = 0x8000;
#endif
  const flag_u32 tmpfile = 0x400000;
  flag_u32 out = (f & 3) == 1 ? 2 : (f & 3) == 2 ? 3 : (f & 3) == 0 ? 1 : 0;
  out |= MOVE(f, 0x40, 0x4) | MOVE(f, 0x400, 0x8) | MOVE(f, 0x1000, 0x10) | MOVE(f, 0x80, 0x20) | MOVE(f, 0x100000, 0x80);
  out |= MOVE(f, 0x200, 0x100) | MOVE(f, directory, 0x400) | MOVE(f, large, 0x800) | MOVE(f, tmpfile, 0x2000);
  return out | portable_fd_flags(f);
}

FLAG_FN flag_u32 portable_clone_flags(flag_u32 f) {
  flag_u32 out = MOVE(f, 0x400, 0x1) | MOVE(f, 0x200, 0x2) | MOVE(f, 0x80000000, 0x4) | MOVE(f, 0x8000000, 0x8);
  out |= MOVE(f, 0x40000000, 0x10) | MOVE(f, 0x20000, 0x20) | MOVE(f, 0x20000000, 0x40) | MOVE(f, 0x4000000, 0x80);
  out |= MOVE(f, 0x8000, 0x100) | MOVE(f, 0x100000, 0x200) | MOVE(f, 0x2000, 0x400) | MOVE(f, 0x800, 0x800);
  out |= MOVE(f, 0x40000, 0x1000) | MOVE(f, 0x10000, 0x2000) | MOVE(f, 0x800000, 0x4000) | MOVE(f, 0x100, 0x8000);
  out |= MOVE(f, 0x10000000, 0x100000) | MOVE(f, 0x200000, 0x800000) | MOVE(f, 0x1000000, 0x1000000);
  return out | MOVE(f, 0x80000, 0x2000000) | MOVE(f, 0x4000, 0x8000000) | MOVE(f, 0x2000000, 0x10000000);
}

FLAG_FN flag_u32 portable_resolve_flags(flag_u32 f) {
  return MOVE(f, 0x08, 0x1) | MOVE(f, 0x10, 0x2) | MOVE(f, 0x02, 0x4) | MOVE(f, 0x04, 0x8) | MOVE(f, 0x01, 0x10) |
         MOVE(f, 0x20, 0x20);
}

FLAG_FN flag_u32 portable_fchownat_flags(flag_u32 f) { return MOVE(f, 0x100, 0x400) | MOVE(f, 0x1000, 0x1000); }

FLAG_FN flag_u32 portable_mount_flags(flag_u32 f) {
  return (f & 0xffff0000) == 0xc0ed0000 ? f & 0xffff : f;  // the magic that old programs put in the upper half
}

FLAG_FN flag_u32 portable_prot(flag_u32 f) {
  return (f & 0xf) | MOVE(f, 0x1000000, 0x10) | MOVE(f, 0x2000000, 0x20);
}

FLAG_FN flag_u32 portable_mmap_flags(flag_u32 f) {
  flag_u32 out = (f & 3) == 3 ? 1 : f & 3;  // 3 is MAP_SHARED_VALIDATE
  out |= MOVE(f, 0x10, 0x4) | MOVE(f, 0x20, 0x8) | MOVE(f, 0x4000, 0x40) | MOVE(f, 0x8000, 0x80);
#if !defined(__TARGET_ARCH_arm64) && !defined(__aarch64__)
  out |= MOVE(f, 0x40, 0x10);
#endif
  out |= MOVE(f, 0x10000, 0x100) | MOVE(f, 0x100, 0x200) | MOVE(f, 0x800, 0x400) | MOVE(f, 0x1000, 0x800);
  return out | MOVE(f, 0x2000, 0x4000);
}

FLAG_FN flag_u32 portable_epoll_flags(flag_u32 f) { return MOVE(f, 0x80000, 1); }
FLAG_FN flag_u32 portable_pidfd_flags(flag_u32 f) { return MOVE(f, 0x800, 1); }
FLAG_FN flag_u32 portable_delete_module_flags(flag_u32 f) { return MOVE(f, 0x800, 2) | MOVE(f, 0x200, 1); }

FLAG_FN flag_u32 portable_io_uring_flags(flag_u32 f) { return (f & 3) | ((f & 0x7c) << 1); }

FLAG_FN flag_u32 portable_fcntl_command(flag_u32 command) {
  switch (command) {
    case 0: case 1: case 2: case 3: case 4: case 5: return command + 1;  // F_DUPFD … F_GETLK
    case 6: return 0x8;      // F_SETLK
    case 7: return 0x9;      // F_SETLKW
    case 8: return 0xa;      // F_SETOWN
    case 9: return 0xc;      // F_GETOWN
    case 10: return 0xd;     // F_SETSIG
    case 11: return 0xf;     // F_GETSIG
    case 15: return 0x15;    // F_SETOWN_EX
    case 16: return 0x16;    // F_GETOWN_EX
    case 36: return 0x1e;    // F_OFD_GETLK
    case 37: return 0x1f;    // F_OFD_SETLK
    case 38: return 0x20;    // F_OFD_SETLKW
    case 1024: return 0x17;  // F_SETLEASE
    case 1025: return 0x18;  // F_GETLEASE
    case 1026: return 0x1b;  // F_NOTIFY
    case 1029: return 0x19;  // F_CANCELLK
    case 1030: return 0x1a;  // F_DUPFD_CLOEXEC
    case 1031: return 0x1c;  // F_SETPIPE_SZ
    case 1032: return 0x1d;  // F_GETPIPE_SZ
    default: return 0;
  }
}

// F_GETLK is 5 here and 6 in the table, so the row above (command + 1) holds for it, too.

FLAG_FN flag_u32 portable_sockopt_level(flag_u32 level) { return level == 1 ? 1 : level == 6 ? 2 : 0; }

FLAG_FN flag_u32 portable_sockopt_option(flag_u32 level, flag_u32 option) {
  if (level != 1) return 0;
  if (option <= 50) return option;
  return option == 59 ? 0x33 : option == 55 ? 0x34 : option == 57 ? 0x35 : 0;
}

FLAG_FN flag_u32 portable_ptrace_request(flag_u32 request) {
  if (request <= 8) return request + 1;                                      // PTRACE_TRACEME … PTRACE_KILL
  if (request == 9) return 0xa;                                              // PTRACE_SINGLESTEP
  if (request >= 12 && request <= 15) return request - 12 + 0x1a;            // PTRACE_GETREGS … PTRACE_SETFPREGS
  if (request == 16 || request == 17) return request - 16 + 0xb;             // PTRACE_ATTACH, PTRACE_DETACH
  if (request == 18 || request == 19) return request - 18 + 0x1e;            // PTRACE_GETFPXREGS, PTRACE_SETFPXREGS
  if (request == 21) return 0x20;                                            // PTRACE_OLDSETOPTIONS
  if (request == 24) return 0xd;                                             // PTRACE_SYSCALL
  if (request == 25 || request == 26) return request - 25 + 0x21;            // PTRACE_GET_THREAD_AREA and SET
  if (request == 30) return 0x23;                                            // PTRACE_ARCH_PRCTL
  if (request >= 31 && request <= 33) return request - 31 + 0x24;            // PTRACE_SYSEMU … PTRACE_SINGLEBLOCK
  if (request >= 0x4200 && request <= 0x420b) return request - 0x4200 + 0xe;  // PTRACE_SETOPTIONS … PTRACE_SETSIGMASK
  return 0;
}

FLAG_FN flag_u32 portable_sem_flags(flag_u32 f) { return MOVE(f, 0x800, 1) | MOVE(f, 0x1000, 2); }
FLAG_FN flag_u32 portable_semget_flags(flag_u32 f) { return MOVE(f, 0x200, 0x2000) | MOVE(f, 0x400, 0x4000); }
FLAG_FN flag_u32 portable_semctl_command(flag_u32 command) {
  switch (command & 0xff) {
    case 0: return 0x4;      // IPC_RMID
    case 1: return 0x2;      // IPC_SET
    case 2: return 0x1;      // IPC_STAT
    case 3: return 0x8;      // IPC_INFO
    case 11: return 0x100;   // GETPID
    case 12: return 0x200;   // GETVAL
    case 13: return 0x40;    // GETALL
    case 14: return 0x80;    // GETNCNT
    case 15: return 0x400;   // GETZCNT
    case 16: return 0x1000;  // SETVAL
    case 17: return 0x800;   // SETALL
    case 18: return 0x20;    // SEM_STAT
    case 19: return 0x10;    // SEM_INFO
    default: return 0;
  }
}

FLAG_FN flag_u32 portable_poll_events(flag_u32 f) {
  return (f & 7) | MOVE(f, 0x2000, 0x8) | MOVE(f, 0x8, 0x10) | MOVE(f, 0x10, 0x20) | MOVE(f, 0x20, 0x40) | MOVE(f, 0x40, 0x80) |
         MOVE(f, 0x80, 0x100) | MOVE(f, 0x100, 0x200) | MOVE(f, 0x200, 0x400);
}

FLAG_FN flag_u32 portable_quota_command(flag_u32 command) {
  switch (command) {
    case 0x800002: return 0x1;     // Q_QUOTAON
    case 0x800003: return 0x2;     // Q_QUOTAOFF
    case 0x800004: return 0x4;     // Q_GETFMT
    case 0x800005: return 0x8;     // Q_GETINFO
    case 0x800006: return 0x10;    // Q_SETINFO
    case 0x800007: return 0x20;    // Q_GETQUOTA
    case 0x800008: return 0x40;    // Q_SETQUOTA
    case 0x800001: return 0x80;    // Q_SYNC
    case 0x5801: return 0x100;     // Q_XQUOTAON
    case 0x5802: return 0x200;     // Q_XQUOTAOFF
    case 0x5803: return 0x400;     // Q_XGETQUOTA
    case 0x5804: return 0x800;     // Q_XSETQLIM
    case 0x5805: return 0x1000;    // Q_XGETQSTAT
    case 0x5806: return 0x2000;    // Q_XQUOTARM
    case 0x5807: return 0x4000;    // Q_XQUOTASYNC
    default: return 0;
  }
}
FLAG_FN flag_u32 portable_quota_type(flag_u32 type) { return type == 0 ? 1 : type == 1 ? 2 : 0; }
FLAG_FN flag_u32 portable_quota_format(flag_u32 id) { return id == 1 ? 2 : id == 2 ? 4 : id == 4 ? 8 : 1; }

FLAG_FN flag_u32 portable_fault(flag_u32 error) {
  return (error & 1 ? 0x1 : 0x2) | (error & 2 ? 0x4 : 0x8) | (error & 4 ? 0x10 : 0x20) | MOVE(error, 8, 0x40) |
         MOVE(error, 16, 0x80);
}
