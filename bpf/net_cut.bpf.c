// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// Cuts the network of a cgroup: every IP packet that a socket of the cgroup sends or receives is dropped unless its far end
// is allowed. The kernel asks for each packet anew, so flows that exist already end as well. A socket belongs to the cgroup in
// which it was created, wherever its process is now.
#include "vmlinux_min.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "net_cut.h"

enum { BPF_MAP_TYPE_LPM_TRIE = 11, BPF_F_NO_PREALLOC = 1 };
enum { kDrop = 0, kPass = 1 };
enum { kLoopbackDevice = 1 };  // its number in every network namespace
enum { kProtoIcmp = 1, kProtoTcp = 6, kProtoUdp = 17, kProtoIcmp6 = 58 };
enum { kDnsPort = 53 };

// The first members of the kernel's, whose places are fixed for ever.
struct __sk_buff {
  u32 len, pkt_type, mark, queue_mapping, protocol, vlan_present, vlan_tci, vlan_proto, priority, ingress_ifindex, ifindex;
};

struct {
  __uint(type, BPF_MAP_TYPE_LPM_TRIE);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __uint(max_entries, kCutPrefixes);
  __type(key, struct quell_cut_key);
  __type(value, struct quell_cut_services);
} cut_allow SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, kCutDirections);
  __type(key, u32);
  __type(value, struct quell_cut_counts);
} cut_counts SEC(".maps");

const volatile unsigned char loopback_allowed = 0;

struct packet {
  struct quell_cut_key remote;
  u64 rest;  // QUELL_CUT_PACKET
  u16 remote_port, local_port;
};

// False for what is no whole IP header.
static __always_inline bool read_packet(struct __sk_buff *skb, bool out, struct packet *p) {
  u8 head[40];
  u8 protocol;
  u32 transport;
  bool has_ports;
  if (bpf_skb_load_bytes(skb, 0, head, 20)) return false;
  p->remote.length = 128;
  if (head[0] >> 4 == 4) {
    protocol = head[9];
    transport = (head[0] & 0xF) * 4;
    has_ports = !(head[6] & 0x1F) && !head[7];  // the first fragment, or all
    p->remote.address[10] = p->remote.address[11] = 0xFF;
    __builtin_memcpy(p->remote.address + 12, out ? head + 16 : head + 12, 4);
  } else if (head[0] >> 4 == 6) {
    if (bpf_skb_load_bytes(skb, 0, head, 40)) return false;
    // With an extension header in between there are no ports to see: only what is allowed for any protocol passes.
    protocol = head[6];
    transport = 40;
    has_ports = true;
    __builtin_memcpy(p->remote.address, out ? head + 24 : head + 8, 16);
  } else {
    return false;
  }
  has_ports = has_ports && (protocol == kProtoTcp || protocol == kProtoUdp);
  if (has_ports) {
    u16 ports[2];
    if (bpf_skb_load_bytes(skb, transport, ports, sizeof(ports))) return false;
    p->remote_port = bpf_ntohs(out ? ports[1] : ports[0]);
    p->local_port = bpf_ntohs(out ? ports[0] : ports[1]);
  }
  if (protocol == kProtoIcmp6) protocol = kProtoIcmp;
  p->rest = QUELL_CUT_PACKET(has_ports, protocol, p->remote_port, p->local_port);
  return true;
}

// Docker answers names at 127.0.0.11 inside the container and asks the world from outside of it: loopback would be a way out.
static __always_inline bool asks_names(const struct packet *p) {
  const u8 *a = p->remote.address;
  if (p->remote_port == kDnsPort || p->local_port == kDnsPort) return true;
  return a[10] == 0xFF && a[12] == 127 && a[13] == 0 && a[14] == 0 && a[15] == 11;
}

static __always_inline bool allowed(struct __sk_buff *skb, const struct packet *p) {
  if (loopback_allowed && skb->ifindex == kLoopbackDevice && !asks_names(p)) return true;
  struct quell_cut_services *services = bpf_map_lookup_elem(&cut_allow, &p->remote);
  if (!services) return false;
  for (u32 i = 0; i < kCutServices; ++i)
    if (!((p->rest ^ services->list[i].wanted) & services->list[i].mask)) return true;
  return false;
}

static __always_inline int judge(struct __sk_buff *skb, bool out) {
  struct packet p = {};
  bool pass = read_packet(skb, out, &p) && allowed(skb, &p);
  u32 direction = out ? kCutEgress : kCutIngress;
  struct quell_cut_counts *counts = bpf_map_lookup_elem(&cut_counts, &direction);
  if (counts && pass) {
    counts->allowed_packets++;
    counts->allowed_bytes += skb->len;
  } else if (counts) {
    counts->dropped_packets++;
    counts->dropped_bytes += skb->len;
  }
  return pass ? kPass : kDrop;
}

SEC("cgroup_skb/ingress") int cut_ingress(struct __sk_buff *skb) { return judge(skb, false); }
SEC("cgroup_skb/egress") int cut_egress(struct __sk_buff *skb) { return judge(skb, true); }

char LICENSE[] SEC("license") = "Dual BSD/GPL";
