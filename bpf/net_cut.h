// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// What the maps of net_cut.bpf.c hold. Shared by the kernel programs (C) and os/cgroup_cut (C++).
#ifdef __bpf__
typedef __u8 cut_u8;
typedef __u16 cut_u16;
typedef __u32 cut_u32;
typedef __u64 cut_u64;
#else
#include <stdint.h>
typedef uint8_t cut_u8;
typedef uint16_t cut_u16;
typedef uint32_t cut_u32;
typedef uint64_t cut_u64;
#endif

enum {
  kCutPrefixes = 256,  // entries of the allow map
  kCutServices = 16,   // of one prefix
};

// The far end, as a prefix. IPv4 is written as the mapped address ::ffff:a.b.c.d, its length 96 more.
struct quell_cut_key {
  cut_u32 length;  // in bits
  cut_u8 address[16];
};

// Ports in host byte order; 0 stands for any, as does protocol 0.
struct quell_cut_service {
  cut_u8 protocol;  // IPPROTO_*
  cut_u8 unused;
  cut_u16 remote_port;
  cut_u16 local_port;
};

// The longest prefix alone is found, so it repeats the services of the shorter ones that hold it.
struct quell_cut_services {
  cut_u32 count;
  struct quell_cut_service list[kCutServices];
};

// One for each direction: kCutIngress, kCutEgress.
struct quell_cut_counts {
  cut_u64 dropped_packets, dropped_bytes;
  cut_u64 allowed_packets, allowed_bytes;
};
enum { kCutIngress = 0, kCutEgress = 1, kCutDirections = 2 };
