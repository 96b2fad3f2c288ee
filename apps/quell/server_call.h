#pragma once
// A request to the running quell, for commands that need one.
#include <string>
#include <string_view>

#include "api/http.h"
#include "apps/quell/cli.h"

namespace quell::cli {

/// Errors: those of api::Client; `unavailable` names the remedy.
Result<std::string> call_server(const Globals& globals, api::Method method, const std::string& target,
                                std::string_view body = {}, uint64_t timeout_ms = 60'000);

}  // namespace quell::cli
