// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Reading, writing and waiting. Data is cut at `snaplen` bytes; the size is the whole.
#include "dropped.h"
#include "file.h"

enum { kVectors = 8 };  // buffers of a scattered transfer that are looked at until snaplen is reached

struct user_buffer {
  u64 base, length;
};

// The first bytes of a scattered transfer of `total` bytes. Returns how many were written at `off`.
GLOBAL u64 write_vectors(u64 off, u64 vectors, u64 count, u64 total) {
  u8 *buf = own_slot();
  if (!buf || !vectors) return 0;
  u64 limit = snaplen;
  if (total < limit) limit = total;
  u64 done = 0;
  for (u32 i = 0; i < kVectors && i < count && done < limit; ++i) {
    struct user_buffer part = {};
    if (bpf_probe_read_user(&part, sizeof(part), (void *)(vectors + i * sizeof(part)))) break;
    u64 length = part.length;
    if (length > limit - done) length = limit - done;
    length = bounded(length, kPathBytes - 1);
    if (bpf_probe_read_user(buf + bounded(off + done, kSlotMask), length, (void *)part.base)) break;
    done += length;
  }
  return done;
}
INLINE void put_vectors(struct event *e, u64 vectors, u64 count, u64 total) {
  put_length(e, bounded(write_vectors(e->off, vectors, count, total), kPathBytes - 1));
}

// Sum of the lengths of the buffers that a call was given.
INLINE u32 vectors_size(u64 vectors, u64 count) {
  u64 sum = 0;
  for (u32 i = 0; i < 16 && i < count; ++i) {
    struct user_buffer part = {};
    if (bpf_probe_read_user(&part, sizeof(part), (void *)(vectors + i * sizeof(part)))) break;
    sum += part.length;
  }
  return sum;
}
#define WANTED(i, j) (e.ret > 0 ? e.ret : vectors_size(arg(&e, i), arg(&e, j)))

CALL(read, SYSCALL_READ_X, RES DATA_IN(1) FD(0) U32(2))
CALL(write, SYSCALL_WRITE_X, RES DATA_OUT(1, 2) FD(0) U32(2))
CALL(pread64, SYSCALL_PREAD_X, RES DATA_IN(1) FD(0) U32(2) U64(3))
CALL(pwrite64, SYSCALL_PWRITE_X, RES DATA_OUT(1, 2) FD(0) U32(2) U64(3))
CALL(readv, SYSCALL_READV_X,
     RES put32(&e, vectors_size(arg(&e, 1), arg(&e, 2))); put_vectors(&e, arg(&e, 1), arg(&e, 2), e.ret > 0 ? e.ret : 0); FD(0))
CALL(writev, SYSCALL_WRITEV_X,
     RES put_vectors(&e, arg(&e, 1), arg(&e, 2), WANTED(1, 2)); FD(0) put32(&e, vectors_size(arg(&e, 1), arg(&e, 2))))
CALL(preadv, SYSCALL_PREADV_X,
     RES put32(&e, vectors_size(arg(&e, 1), arg(&e, 2))); put_vectors(&e, arg(&e, 1), arg(&e, 2), e.ret > 0 ? e.ret : 0);
     FD(0) U64(3))
CALL(pwritev, SYSCALL_PWRITEV_X,
     RES put_vectors(&e, arg(&e, 1), arg(&e, 2), WANTED(1, 2)); FD(0)
     put32(&e, vectors_size(arg(&e, 1), arg(&e, 2))); U64(3))
CALL(process_vm_readv, SYSCALL_PROCESS_VM_READV_X,
     RES PID(0) put_vectors(&e, arg(&e, 1), arg(&e, 2), e.ret > 0 ? e.ret : 0))
CALL(process_vm_writev, SYSCALL_PROCESS_VM_WRITEV_X, RES PID(0) put_vectors(&e, arg(&e, 1), arg(&e, 2), WANTED(1, 2)))

INLINE u64 user_u64(u64 address) {
  u64 value = 0;
  if (address) bpf_probe_read_user(&value, sizeof(value), (void *)address);
  return value;
}
CALL(sendfile, SYSCALL_SENDFILE_X, RES put64(&e, e.ret >= 0 ? user_u64(arg(&e, 2)) : 0); FD(0) FD(1) U64(3))
CALL(splice, SYSCALL_SPLICE_X, RES FD(0) FD(2) U64(4) put32(&e, arg(&e, 5) & 0xf))
CALL(copy_file_range, SYSCALL_COPY_FILE_RANGE_X,
     RES FD(2) put64(&e, user_u64(arg(&e, 3))); FD(0) put64(&e, user_u64(arg(&e, 1))); U64(4))
CALL(ioctl, SYSCALL_IOCTL_3_X, RES FD(0) U64(1) U64(2))

// ---- waiting ----
enum { kPollFds = 32 };  // descriptors of a poll that are told

GLOBAL u64 write_poll(u64 off, u64 list, u64 count) {
  u8 *buf = own_slot();
  if (!buf) return 0;
  u64 told = 0, end = off + 2;
  for (u32 i = 0; i < kPollFds && i < count; ++i) {
    struct {
      s32 fd;
      u16 events, revents;
    } entry;
    if (bpf_probe_read_user(&entry, sizeof(entry), (void *)(list + i * sizeof(entry)))) break;
    *(u64 *)(buf + bounded(end, kSlotMask)) = (s64)entry.fd;
    *(u16 *)(buf + bounded(end + 8, kSlotMask)) = portable_poll_events(entry.revents);
    end += 10;
    told++;
  }
  *(u16 *)(buf + bounded(off, kSlotMask)) = told;
  return end - off;
}
INLINE void put_poll(struct event *e) { put_length(e, bounded(write_poll(e->off, arg(e, 0), arg(e, 1)), kPathBytes - 1)); }
INLINE u64 user_interval(u64 address) {
  struct {
    u64 seconds, rest;
  } time = {};
  if (!address || bpf_probe_read_user(&time, sizeof(time), (void *)address)) return (u64)-1;
  return time.seconds * 1000000000ull + time.rest;
}
CALL(poll, SYSCALL_POLL_X, RES put_poll(&e); S64_OF_32(2))
CALL(ppoll, SYSCALL_PPOLL_X, RES put_poll(&e); put64(&e, user_interval(arg(&e, 2))); put32(&e, user_u32(arg(&e, 3))))
CALL(select, SYSCALL_SELECT_X, RES)
CALL(nanosleep, SYSCALL_NANOSLEEP_X, RES put64(&e, user_interval(arg(&e, 0))))

// ---- io_uring ----
INLINE void put_io_uring_setup(struct event *e) {
  struct {
    u32 sq_entries, cq_entries, flags, cpu, idle, features;
  } params = {};
  if (arg(e, 1) && bpf_probe_read_user(&params, sizeof(params), (void *)arg(e, 1)) && e->ret != -kErrFault) mark_fault(e);
  put32(e, params.sq_entries);
  put32(e, params.cq_entries);
  put32(e, portable_io_uring_flags(params.flags));
  put32(e, params.cpu);
  put32(e, params.idle);
  put32(e, params.features & 0x7ff);
}
CALL(io_uring_setup, SYSCALL_IO_URING_SETUP_X, RES U32(0) put_io_uring_setup(&e))
CALL(io_uring_enter, SYSCALL_IO_URING_ENTER_X,
     RES FD(0) U32(1) U32(2) put32(&e, arg(&e, 3) & 0xf); put32(&e, arg(&e, 3) & 8 ? 0 : user_u32(arg(&e, 4))))
CALL(io_uring_register, SYSCALL_IO_URING_REGISTER_X, RES FD(0) U16(1) U64(2) U32(3))
