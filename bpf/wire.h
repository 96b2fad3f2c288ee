// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// What one record of the ring buffer looks like. Shared by the kernel programs (C) and capture/ebpf (C++); the test
// "sensor.wire" compares it with the compiled object's own type information.
//
// A record is 8 bytes of ours, then one event exactly as a .scap capture holds it: a header of 26 bytes, the lengths of its
// parameters (2 bytes each), their bytes. The prefix makes the event's 8-byte numbers fall on 8-byte boundaries. Behind the
// event may follow the path of the opened file as the kernel knows it, with its NUL (kWireOtherName).
#ifdef __bpf__
typedef __u16 wire_u16;
typedef __u32 wire_u32;
typedef __u64 wire_u64;
#else
#include <stdint.h>
typedef uint16_t wire_u16;
typedef uint32_t wire_u32;
typedef uint64_t wire_u64;
#endif

struct quell_wire_record {
  wire_u32 cpu;
  wire_u32 flags;  // kWireFault
  wire_u64 ts_ns;  // here starts the event
  wire_u64 tid;
  wire_u32 len;  // of the event
  wire_u16 type;
  wire_u16 nparams_low;  // the schema's 4-byte count starts at an odd place, so it is written in halves
  wire_u16 nparams_high;
};

enum {
  kWirePrefix = 8,    // bytes before the event
  kWireLengths = 34,  // offset of the first parameter length
};
enum {
  kWireFault = 1,      // some memory of the process could not be read; the parameter is empty
  kWireOtherName = 2,  // the name that the process gave does not spell the path of the file that was opened
  kWireArrival = 4,    // no event: a process that was moved into the scope, described as by an exec; a quell_wire_arrival follows
};

// What an exec event does not say of a process.
struct quell_wire_arrival {
  wire_u64 start_ns;  // since the epoch
  wire_u64 vtid, vpid;
  wire_u64 sid;
  wire_u64 has_own_mounts;  // a mount namespace other than that of the machine's first process
  wire_u64 parent_start_ns, parent_ptid;  // of the process that is its parent; start since the epoch
  char parent_comm[16];
};

// What one ring had no room for. Times are those of the events, since the epoch; 0 while nothing was lost.
struct quell_wire_losses {
  wire_u64 count;
  wire_u64 first_ns;
  wire_u64 last_ns;
};

// What the file names of an event type decide (by event code): an event that is wanted at all is left out unless it is wanted
// whatever its names, or one of them begins with one of `count` prefixes from `first` on, or cannot be compared.
struct quell_name_test {
  wire_u32 any_success, any_failure;  // as need_success: 0 never, all ones always, else flags of an open
  wire_u16 first, count;
};
enum {
  kNamePrefixes = 512,  // two halves: what is in force, and what is about to be
  kNamePrefixesEach = 16,
  kNamePrefixBytes = 64,
};
// Zero behind its end; a byte of the mask is set for each byte of the text.
struct quell_name_prefix {
  wire_u64 text[kNamePrefixBytes / 8];
  wire_u64 mask[kNamePrefixBytes / 8];
};

// Which tasks are watched.
enum {
  kScopeAll = 0,
  kScopeCgroup = 1,      // by id of an ancestor in the v2 hierarchy
  kScopeCgroupPids = 2,  // by id of an ancestor in the v1 "pids" hierarchy
  kScopeTree = 3,        // by a mark on the process, inherited by its children
};
// Marks on processes.
enum {
  kMarkTracked = 1,
  kMarkExcluded = 2,
};

// Events that are no calls.
enum {
  kTracepointSignal = 0,
  kTracepointFault = 1,
  kTracepointSwitch = 2,
  kTracepoints = 4,
};

enum {
  kMaxSyscalls = 512,
  kMaxEventBytes = 0x8000,  // an event never grows past this: the sum of all bounds of its parameters is smaller
  kMaxEventCodes = 512,
  kPathBytes = 4096,
};
