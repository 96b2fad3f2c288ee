#include "capture/scenario/capabilities.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace quell::capture::scenario {
namespace {

/// By number.
constexpr std::string_view kNames[] = {"CAP_CHOWN",
                                       "CAP_DAC_OVERRIDE",
                                       "CAP_DAC_READ_SEARCH",
                                       "CAP_FOWNER",
                                       "CAP_FSETID",
                                       "CAP_KILL",
                                       "CAP_SETGID",
                                       "CAP_SETUID",
                                       "CAP_SETPCAP",
                                       "CAP_LINUX_IMMUTABLE",
                                       "CAP_NET_BIND_SERVICE",
                                       "CAP_NET_BROADCAST",
                                       "CAP_NET_ADMIN",
                                       "CAP_NET_RAW",
                                       "CAP_IPC_LOCK",
                                       "CAP_IPC_OWNER",
                                       "CAP_SYS_MODULE",
                                       "CAP_SYS_RAWIO",
                                       "CAP_SYS_CHROOT",
                                       "CAP_SYS_PTRACE",
                                       "CAP_SYS_PACCT",
                                       "CAP_SYS_ADMIN",
                                       "CAP_SYS_BOOT",
                                       "CAP_SYS_NICE",
                                       "CAP_SYS_RESOURCE",
                                       "CAP_SYS_TIME",
                                       "CAP_SYS_TTY_CONFIG",
                                       "CAP_MKNOD",
                                       "CAP_LEASE",
                                       "CAP_AUDIT_WRITE",
                                       "CAP_AUDIT_CONTROL",
                                       "CAP_SETFCAP",
                                       "CAP_MAC_OVERRIDE",
                                       "CAP_MAC_ADMIN",
                                       "CAP_SYSLOG",
                                       "CAP_WAKE_ALARM",
                                       "CAP_BLOCK_SUSPEND",
                                       "CAP_AUDIT_READ",
                                       "CAP_PERFMON",
                                       "CAP_BPF",
                                       "CAP_CHECKPOINT_RESTORE"};
static_assert(std::size(kNames) == 41);

Result<uint64_t> set_of(const yaml::Node& node) {
  if (node.text() == "ALL") return kAllCapabilities;
  if (node.text() == "NONE") return uint64_t{0};
  uint64_t set = 0;
  for (const std::string_view name : split(node.text(), '|')) {
    const auto* found = std::find(std::begin(kNames), std::end(kNames), name);
    if (found == std::end(kNames)) {
      const std::string_view meant = nearest(name, std::vector<std::string_view>(std::begin(kNames), std::end(kNames)));
      return node.error("'" + std::string(name) + "' is no capability" +
                        (meant.empty() ? std::string(": write names joined with '|', ALL or NONE")
                                       : ": did you mean " + std::string(meant) + "?"));
    }
    set |= uint64_t{1} << (found - kNames);
  }
  return set;
}

}  // namespace

Result<void> set_capabilities(Thread& thread, const yaml::Node& map) {
  thread.cap_permitted = thread.cap_effective = thread.uid == 0 ? kAllCapabilities : 0;
  const yaml::Node* permitted = map.find("thread.cap_permitted");
  const yaml::Node* effective = map.find("thread.cap_effective");
  if (permitted == nullptr && effective == nullptr) return {};
  QUELL_TRY(thread.cap_permitted, set_of(permitted != nullptr ? *permitted : *effective));
  QUELL_TRY(thread.cap_effective, set_of(effective != nullptr ? *effective : *permitted));
  if ((thread.cap_effective & ~thread.cap_permitted) != 0)
    return effective->error("a capability can be effective only if it is permitted");
  return {};
}

}  // namespace quell::capture::scenario
