// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Maps, settings, and the writing of one event: begin(), one put_*() per parameter in schema order, submit(). Events are
// built in a slot of memory per CPU and copied into the ring once their length is known; that costs one helper call, as
// reserving would, and needs no size classes. Programs on these tracepoints run with preemption off, so the slot is ours.
#include "vmlinux_min.h"
//
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "flags.h"
#include "wire.h"

// Reads src->a->b->c. Where the kernel can type a pointer (6.2 and newer) these are plain loads, checked by the fault handler;
// elsewhere each arrow is a call of a helper, several times as dear.
extern void *bpf_rdonly_cast(const void *address, __u32 type_id) __ksym __weak;
#define READ(src, ...)                                                                                                     \
  ({                                                                                                                       \
    typeof(src) base_ = (src); /* what is relocated is the way from here */                                               \
    typeof(___type((base_), __VA_ARGS__)) value_;                                                                          \
    if (&bpf_rdonly_cast) {                                                                                                \
      typeof(*base_) *typed_ = bpf_rdonly_cast(base_, bpf_core_type_id_kernel(typeof(*base_)));                            \
      value_ = ___arrow(typed_, __VA_ARGS__);                                                                              \
    } else {                                                                                                               \
      BPF_CORE_READ_INTO(&value_, base_, __VA_ARGS__);                                                                     \
    }                                                                                                                      \
    value_;                                                                                                                \
  })

#define INLINE static __always_inline

// Eight bytes of the kernel's memory as a number, as cheaply as READ: as the first member of a type that begins with one.
INLINE u64 load(const void *address) {
  u64 value = 0;
  if (&bpf_rdonly_cast) {
    const struct timespec64 *typed = bpf_rdonly_cast(address, bpf_core_type_id_kernel(struct timespec64));
    value = typed->tv_sec;
  } else {
    bpf_probe_read_kernel(&value, sizeof(value), address);
  }
  return value;
}
// The pointer src->field as a number. Typed pointers can be neither compared nor calculated with nor handed to GLOBAL functions.
#define NUMBER(src, field) load(&(src)->field)

// A function that the verifier checks once, on its own, whoever calls it: it takes and returns numbers only (pointers as
// numbers; reading through them is checked when it happens). Keeps the programs of exec and clone verifiable.
#define GLOBAL __attribute__((noinline))

// ---- the schema: codes and parameter counts, from the same rows as the C++ side ----
enum event_code {
#define EVENT(code, id, ...) id = (code),
#include "model/event_table.inc"
#undef EVENT
};
#define P(...) 0
#define PF(...) 0
#define PD(...) 0
#define PY(...) 0
#define PARAMS(...) (sizeof((char[]){0 __VA_OPT__(, ) __VA_ARGS__}) - 1)
enum event_params {
#define EVENT(code, id, name, dir, source, category, flags, params) COUNT_##id = params,
#include "model/event_table.inc"
#undef EVENT
};
#undef P
#undef PF
#undef PD
#undef PY
#undef PARAMS

// ---- settings: written by user space before the programs are loaded (types that the skeleton's includer knows, too) ----
const volatile __u32 scope_kind = kScopeAll;
const volatile __u32 scope_level = 0;   // depth of the cgroup in the v2 hierarchy
const volatile __u64 scope_cgroup = 0;  // its id
const volatile __u32 calls_singly = 0;  // each call has a tracepoint of its own, there is no dispatch
const volatile __u32 use_marks = 0;     // some processes are marked (tracked or excluded)
const volatile __u32 snaplen = 80;      // bytes of data that reads and writes carry
const volatile __u16 generic_code[kMaxSyscalls] = {};  // internal code of the calls that have no event of their own

// ---- live settings: user space writes them through a mapping ----
volatile __u32 self_tgid = 0;        // Quell does not report itself
volatile __u64 boot_offset_ns = 0;           // add to CLOCK_BOOTTIME to get the time since the epoch
volatile __u8 wanted_calls[kMaxSyscalls] = {};  // by system call number
volatile __u8 wanted_tracepoints[kTracepoints] = {};
// When a wanted call is told, by the sign of its result: never (0), always (all ones), or if it opens a file with any of these
// flags (as events carry them).
volatile __u32 need_success[kMaxSyscalls] = {};
volatile __u32 need_failure[kMaxSyscalls] = {};
volatile __u8 may_drop_files = 0;  // not every opened plain file has to be known

// ---- what user space reads through the same mapping ----
volatile struct quell_wire_losses losses = {};
volatile __u64 foreign_calls = 0;  // of an ABI that is not decoded; singly traced calls show only the programs that make them

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 8 << 20);
} ring SEC(".maps");

struct slot {
  union {
    struct quell_wire_record record;
    u8 bytes[kMaxEventBytes + 2 * kPathBytes];  // the surplus lets the verifier see that the last parameter fits
  };
};
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // one per CPU, set at load; too big for a per-CPU map
  __type(key, u32);
  __type(value, struct slot);
} scratch SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, kMaxSyscalls);
  __type(key, u32);
  __type(value, u32);
} calls SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);  // events that found the ring full, by event code
  __uint(max_entries, kMaxEventCodes);
  __type(key, u32);
  __type(value, u64);
} lost SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);  // tgid to mark
  __uint(max_entries, 65536);
  __type(key, u32);
  __type(value, u8);
} marks SEC(".maps");

// ---- what differs between architectures ----
#if defined(__TARGET_ARCH_x86)
#define SYSCALL_NUMBER(regs) ((regs)->orig_ax)
#define SYSCALL_RESULT(regs) ((regs)->ax)
#define PROGRAM_COUNTER(regs) ((regs)->ip)
#define SYSCALL_ARG0(regs) ((regs)->di)
#define SYSCALL_ARG1(regs) ((regs)->si)
#define SYSCALL_ARG2(regs) ((regs)->dx)
#define SYSCALL_ARG3(regs) ((regs)->r10)
#define SYSCALL_ARG4(regs) ((regs)->r8)
#define SYSCALL_ARG5(regs) ((regs)->r9)
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_NUMBER(regs) ((u64)(regs)->syscallno)
#define SYSCALL_RESULT(regs) ((regs)->user_regs.regs[0])
#define PROGRAM_COUNTER(regs) ((regs)->user_regs.pc)
#define SYSCALL_ARG0(regs) ((regs)->orig_x0)
#define SYSCALL_ARG1(regs) ((regs)->user_regs.regs[1])
#define SYSCALL_ARG2(regs) ((regs)->user_regs.regs[2])
#define SYSCALL_ARG3(regs) ((regs)->user_regs.regs[3])
#define SYSCALL_ARG4(regs) ((regs)->user_regs.regs[4])
#define SYSCALL_ARG5(regs) ((regs)->user_regs.regs[5])
#endif

enum {
  kErrFault = 14,
  kSlotMask = kMaxEventBytes - 1,
};

struct event {
  u8 *buf;
  struct task_struct *task;  // of the call that returns
  struct pt_regs *regs;
  s64 ret;
  u64 off;    // where the next parameter's bytes go
  u32 n;      // parameters so far
  u32 count;  // parameters of the schema
  u32 code;
  u32 need;   // see need_success
};

// Hides a number's origin from the compiler, so that it does not remove the masks that the verifier wants to see.
#define HIDE(x) asm volatile("" : "+r"(x))

// A typed pointer as a plain number, as GLOBAL functions and negative offsets want it.
INLINE u64 plain(const void *pointer) {
  const void *copy = pointer;
  u64 value = 0;
  bpf_probe_read_kernel(&value, sizeof(value), &copy);
  return value;
}

INLINE u64 bounded(u64 value, u64 mask) {
  HIDE(value);
  return value & mask;
}

INLINE struct task_struct *current_task(void) { return (struct task_struct *)bpf_get_current_task(); }

INLINE u64 arg(struct event *e, u32 index) {
  switch (index) {
    case 0: return SYSCALL_ARG0(e->regs);
    case 1: return SYSCALL_ARG1(e->regs);
    case 2: return SYSCALL_ARG2(e->regs);
    case 3: return SYSCALL_ARG3(e->regs);
    case 4: return SYSCALL_ARG4(e->regs);
    default: return SYSCALL_ARG5(e->regs);
  }
}

// This CPU's slot.
INLINE u8 *own_slot(void) {
  u32 cpu = bpf_get_smp_processor_id();
  struct slot *slot = bpf_map_lookup_elem(&scratch, &cpu);
  return slot ? slot->bytes : NULL;
}

INLINE bool begin(struct event *e, u32 code, u32 count, u32 tid) {
  u32 cpu = bpf_get_smp_processor_id();
  struct slot *slot = bpf_map_lookup_elem(&scratch, &cpu);
  if (!slot) return false;
  e->buf = slot->bytes;
  e->off = kWireLengths + 2 * count;
  e->n = 0;
  e->count = count;
  e->code = code;
  struct quell_wire_record *record = &slot->record;
  record->cpu = cpu;
  record->flags = 0;
  record->ts_ns = bpf_ktime_get_boot_ns() + boot_offset_ns;
  record->tid = tid;
  record->type = code;
  record->nparams_low = count;
  record->nparams_high = 0;
  return true;
}

INLINE bool begin_exit(struct event *e, u32 code, u32 count) { return begin(e, code, count, READ(e->task, pid)); }

INLINE u8 *at(struct event *e) {
  return __builtin_constant_p(e->off) ? e->buf + e->off : e->buf + bounded(e->off, kSlotMask);
}

INLINE void mark_fault(struct event *e) { ((struct quell_wire_record *)e->buf)->flags |= kWireFault; }

// Closes the parameter whose `length` bytes were written at at().
INLINE void put_length(struct event *e, u64 length) {
  *(u16 *)(e->buf + kWireLengths + 2 * e->n) = length;
  e->off += length;
  e->n++;
}
INLINE void put_empty(struct event *e) { put_length(e, 0); }
INLINE void put8(struct event *e, u8 value) {
  *at(e) = value;
  put_length(e, 1);
}
INLINE void put16(struct event *e, u16 value) {
  *(u16 *)at(e) = value;
  put_length(e, 2);
}
INLINE void put32(struct event *e, u32 value) {
  *(u32 *)at(e) = value;
  put_length(e, 4);
}
INLINE void put64(struct event *e, u64 value) {
  *(u64 *)at(e) = value;
  put_length(e, 8);
}
INLINE void put_fd(struct event *e, u64 fd) { put64(e, (s64)(s32)fd); }

// A string of the process, with its NUL. A null pointer gives an empty parameter; memory that is not there, too, and is
// counted unless the call itself failed for that reason.
INLINE void put_user_string(struct event *e, u64 address) {
  long length = 0;
  if (address) {
    length = bpf_probe_read_user_str(at(e), kPathBytes, (void *)address);
    if (length < 0) {
      if (e->ret != -kErrFault) mark_fault(e);
      length = 0;
    }
  }
  put_length(e, bounded(length, 2 * kPathBytes - 1));
}
INLINE void put_kernel_string(struct event *e, const void *address) {
  long length = bpf_probe_read_kernel_str(at(e), kPathBytes, address);
  put_length(e, length > 0 ? bounded(length, 2 * kPathBytes - 1) : 0);
}
// At most snaplen bytes of the process's data.
INLINE void put_user_data(struct event *e, u64 address, u64 length) {
  u64 limit = snaplen;
  if (length > limit) length = limit;
  length = bounded(length, kPathBytes - 1);
  if (address && length && bpf_probe_read_user(at(e), length, (void *)address)) {
    if (e->ret != -kErrFault) mark_fault(e);
    length = 0;
  }
  put_length(e, address ? length : 0);
}

// Fails the build when a program writes more or fewer parameters than the schema has.
extern void wrong_number_of_parameters(void) __attribute__((error("this program does not write every parameter")));

// A tracepoint's argument as a plain number: typed pointers may not be handed to GLOBAL functions.
INLINE u64 plain_argument(unsigned long long *ctx, u32 index) {
  u64 value = 0;
  bpf_probe_read_kernel(&value, sizeof(value), ctx + index);
  return value;
}

// Takes over what a GLOBAL function wrote: the new end of the data, and the parameters it added.
INLINE void wrote(struct event *e, u64 off, u32 params) {
  e->off = bounded(off, kSlotMask);
  e->n += params;
}

// The count last: who sees it grow sees a time that is not older.
INLINE void count_loss(struct event *e) {
  const u64 ts_ns = ((struct quell_wire_record *)e->buf)->ts_ns;
  u32 code = e->code;
  u64 *value = bpf_map_lookup_elem(&lost, &code);
  if (value) ++*value;
  if (!losses.first_ns) losses.first_ns = ts_ns;
  if (ts_ns > losses.last_ns) losses.last_ns = ts_ns;
  __sync_fetch_and_add(&losses.count, 1);
}

INLINE void close_event(struct event *e) {
  if (e->n != e->count) wrong_number_of_parameters();
  ((struct quell_wire_record *)e->buf)->len = e->off - kWirePrefix;
}
// Writes what is in the slot; what lies behind the closed event is extra.
INLINE int submit_closed(struct event *e) {
  const u64 size = __builtin_constant_p(e->off) ? e->off : bounded(e->off, kSlotMask);
  if (bpf_ringbuf_output(&ring, e->buf, size, 0)) count_loss(e);
  return 0;
}
INLINE int submit(struct event *e) {
  close_event(e);
  return submit_closed(e);
}

// ---- who is watched ----
INLINE bool cgroup_in_scope(struct task_struct *task, bool is_current) {
  if (scope_kind == kScopeCgroup && is_current) return bpf_get_current_ancestor_cgroup_id(scope_level) == scope_cgroup;
  struct css_set *set = READ(task, cgroups);
  struct cgroup *group;
  if (scope_kind == kScopeCgroup) {
    group = READ(set, dfl_cgrp);
  } else {
    if (!bpf_core_enum_value_exists(enum cgroup_subsys_id, pids_cgrp_id)) return false;
    struct cgroup_subsys_state *state = NULL;
    const u32 index = bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id);
    bpf_core_read(&state, sizeof(state), (void **)&set->subsys + index);
    group = READ(state, cgroup);
  }
  for (int i = 0; i < 24 && group; ++i) {
    if (READ(group, kn, id) == scope_cgroup) return true;
    struct cgroup_subsys_state *parent = READ(group, self.parent);
    if (!parent) return false;
    group = READ(parent, cgroup);
  }
  return false;
}

INLINE bool in_scope(struct task_struct *task, u32 tgid, bool is_current) {
  if (tgid == self_tgid) return false;
  if (use_marks) {
    u8 *mark = bpf_map_lookup_elem(&marks, &tgid);
    if (mark && *mark == kMarkExcluded) return false;
    if (scope_kind == kScopeTree) return mark && *mark == kMarkTracked;
  }
  if (scope_kind == kScopeCgroup || scope_kind == kScopeCgroupPids) return cgroup_in_scope(task, is_current);
  return true;
}
INLINE bool current_in_scope(void) {
  return in_scope(scope_kind == kScopeCgroupPids ? current_task() : NULL, bpf_get_current_pid_tgid() >> 32, true);
}

// ---- the call that returns ----
// A program of a call runs on the call's own tracepoint or is jumped to by `dispatch`; what it is handed differs, so it takes
// the registers from where the kernel keeps them. (Where that helper is missing, there is only dispatch.) False if nobody
// wants the call.
INLINE bool is_wanted(struct event *e, unsigned long long *ctx) {
  if (bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_task_pt_regs)) {
    struct task_struct *task = bpf_get_current_task_btf();
    e->task = task;
    e->regs = (struct pt_regs *)bpf_task_pt_regs(task);
  } else {
    e->task = current_task();
    e->regs = (struct pt_regs *)ctx[0];
  }
  e->ret = SYSCALL_RESULT(e->regs);
  const u64 number = SYSCALL_NUMBER(e->regs);
  if (number >= kMaxSyscalls || !wanted_calls[number]) return false;
  e->need = e->ret < 0 ? need_failure[number] : need_success[number];
  return e->need;
}
INLINE bool caller_in_scope(struct event *e) { return in_scope(e->task, READ(e->task, tgid), true); }
INLINE bool take_call(struct event *e, unsigned long long *ctx) { return is_wanted(e, ctx) && caller_in_scope(e); }

// ---- rows of the tables of calls ----
#define CALL(name, event_code, params)                                                                \
  SEC("tp")                                                                              \
  int x_##name(unsigned long long *ctx) {                                                             \
    struct event e;                                                                                   \
    if (!take_call(&e, ctx) || !begin_exit(&e, event_code, COUNT_##event_code)) return 0;             \
    params;                                                                                           \
    return submit(&e);                                                                                \
  }
#define RES put64(&e, e.ret);
#define EMPTY put_empty(&e);
#define FD(i) put_fd(&e, arg(&e, i));
#define PID(i) put_fd(&e, arg(&e, i));
#define U8(i) put8(&e, arg(&e, i));
#define U16(i) put16(&e, arg(&e, i));
#define U32(i) put32(&e, arg(&e, i));
#define U64(i) put64(&e, arg(&e, i));
#define S64_OF_32(i) put_fd(&e, arg(&e, i));
#define PATH(i) put_user_string(&e, arg(&e, i));
#define TEXT(i) put_user_string(&e, arg(&e, i));
#define FLAGS(i, convert) put32(&e, convert(arg(&e, i)));
#define FLAGS8(i, convert) put8(&e, convert(arg(&e, i)));
#define FLAGS16(i, convert) put16(&e, convert(arg(&e, i)));
// What was read counts what came back, what was written what was asked for when nothing came back.
#define DATA_IN(i) put_user_data(&e, arg(&e, i), e.ret > 0 ? e.ret : 0);
#define DATA_OUT(i, size) put_user_data(&e, arg(&e, i), e.ret > 0 ? e.ret : arg(&e, size));
