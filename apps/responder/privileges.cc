#include "apps/responder/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace quell::responder {
namespace {

struct Sets {
  uint64_t effective = 0, permitted = 0, inheritable = 0;
};

Result<Sets> get() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) return errno_error(errno, "cannot read the capabilities", "capget");
  const auto whole = [&](auto part) { return uint64_t{data[1].*part} << 32 | data[0].*part; };
  return Sets{whole(&__user_cap_data_struct::effective), whole(&__user_cap_data_struct::permitted),
              whole(&__user_cap_data_struct::inheritable)};
}

}  // namespace

Result<uint64_t> permitted_capabilities() {
  QUELL_TRY(const Sets sets, get());
  return sets.permitted;
}

Result<void> keep_only(uint64_t wanted) {
  QUELL_TRY(const Sets before, get());
  const uint64_t kept = before.permitted & wanted;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno_error(errno, "cannot rule out new privileges", "prctl");
  // The bounding set first: dropping from it needs CAP_SETPCAP, which the rest takes away.
  for (unsigned capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; ++capability) {
    if (capability < 64 && (kept >> capability & 1) != 0) continue;
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0 && errno != EPERM)
      return errno_error(errno, "cannot drop a capability from the bounding set", "prctl");
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
    return errno_error(errno, "cannot clear the ambient capabilities", "prctl");
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  for (int half = 0; half < _LINUX_CAPABILITY_U32S_3; ++half) {
    data[half].effective = data[half].permitted = static_cast<uint32_t>(kept >> (32 * half));
  }
  if (syscall(SYS_capset, &header, data) != 0) return errno_error(errno, "cannot drop capabilities", "capset");
  return {};
}

}  // namespace quell::responder
