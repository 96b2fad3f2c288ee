#pragma once
// Cuts the network of a cgroup by two eBPF programs on its v2 directory (bpf/net_cut.bpf.c). They belong to the cgroup,
// not to us: they stay when we end, and the kernel itself tells later who cut what.
//
// A cut is found by its tag alone: its programs are named quell_TAG, and their counters hang on them. Cuts with other
// tags on the same cgroup are independent; a packet passes if all allow it. What this does not reach: sockets that were
// created in another cgroup, wherever their process is now (os/sock_diag destroys those), and raw packet sockets
// (AF_PACKET), which speak no IP. All functions block for well under a millisecond and are thread-safe; two callers
// must not use the same tag at once.
//
// Needs CAP_SYS_ADMIN (to find programs by their ids) and CAP_NET_ADMIN.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "os/net_allow.h"

namespace quell::os {

/// A cgroup v2 directory as it was at one moment: another one may get its name later, but not its inode.
struct CgroupRef {
  std::string directory;
  uint64_t inode = 0;
};
/// Errors: gone, unsupported (not a directory of cgroup v2).
Result<CgroupRef> cgroup_ref(const std::string& directory);
/// The v2 cgroup that a process is in, which may be the root. Errors: gone, unsupported (no cgroup v2 mounted, or the
/// process is outside of what we see of it).
Result<CgroupRef> v2_cgroup_of(int64_t pid);

struct CutDirection {
  bool attached = false;
  uint32_t program_id = 0;
  uint64_t dropped_packets = 0, dropped_bytes = 0;  // since the cut; bytes of IP packets with their headers
  uint64_t allowed_packets = 0, allowed_bytes = 0;
};
struct CgroupCut {
  CutDirection ingress, egress;
  bool whole() const { return ingress.attached && egress.attached; }
  bool none() const { return !ingress.attached && !egress.attached; }
};

/// Tries it on a cgroup made for the occasion, with a packet that must not arrive. Errors, each with the reason in a
/// sentence: unsupported, permission_denied.
Result<void> probe_cgroup_cut();

/// Attaches what is missing: nothing when the cut is whole, one direction when a crash came between the two. All or
/// nothing: after an error neither direction is attached by this call. Errors: gone, stale (that name is another cgroup
/// now), refused (the root: that is the whole machine), permission_denied (also when a program on this cgroup or above
/// admits no others), limit (64 programs are there), unsupported.
Result<CgroupCut> cut_cgroup(const CgroupRef& cgroup, std::string_view tag, const NetAllowList& allow);
/// Asks the kernel. Errors: gone, stale, permission_denied.
Result<CgroupCut> look_cgroup_cut(const CgroupRef& cgroup, std::string_view tag);
/// Detaches what has this tag, and only that. False if there was nothing, also because the cgroup is gone or another
/// one has its name now. Errors: permission_denied, io.
Result<bool> undo_cgroup_cut(const CgroupRef& cgroup, std::string_view tag);

}  // namespace quell::os
