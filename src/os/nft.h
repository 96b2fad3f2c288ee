#pragma once
// Runs the program `nft` inside a network namespace. The program, not its library: that is another licence.
#include <string>
#include <vector>

#include "base/result.h"
#include "os/net_namespace.h"

namespace quell::os {

/// Runs nft with these arguments, `input` on its standard input, and returns what it printed; at most 10 s. Errors:
/// unsupported (the program is not there; the kernel has no nf_tables), permission_denied (CAP_NET_ADMIN,
/// CAP_SYS_ADMIN), not_found and already_exists as nft says them, limit, timeout, io with nft's words.
Result<std::string> run_nft(const NetNamespace& ns, const std::vector<std::string>& arguments,
                            const std::string& input = {});

}  // namespace quell::os
