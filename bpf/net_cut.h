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

// What a packet is apart from its addresses, as one number: protocol, ports in host byte order, and whether it has any. A
// service is the bits that must be so. One comparison each keeps the verifier's work small, and with it the time of a cut.
#define QUELL_CUT_PACKET(has_ports, protocol, remote_port, local_port)                              \
  ((cut_u64)(has_ports) << 40 | (cut_u64)(protocol) << 32 | (cut_u64)(remote_port) << 16 | (cut_u64)(local_port))
struct quell_cut_service {
  cut_u64 wanted, mask;
};
#define QUELL_CUT_NEVER ((cut_u64)1 << 63)  // in `wanted` and `mask`: no packet has this bit

// The longest prefix alone is found, so it repeats the services of the shorter ones that hold it. The rest is "never".
struct quell_cut_services {
  struct quell_cut_service list[kCutServices];
};

// One for each direction: kCutIngress, kCutEgress.
struct quell_cut_counts {
  cut_u64 dropped_packets, dropped_bytes;
  cut_u64 allowed_packets, allowed_bytes;
};
enum { kCutIngress = 0, kCutEgress = 1, kCutDirections = 2 };
