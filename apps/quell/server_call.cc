#include "apps/quell/server_call.h"

#include <fmt/format.h>

#include "api/client.h"

namespace quell::cli {

Result<std::string> call_server(const Globals& globals, api::Method method, const std::string& target,
                                std::string_view body, uint64_t timeout_ms) {
  QUELL_TRY(const api::Client client,
            api::Client::open(globals.server_or_default(), globals.timeout_ms_or(timeout_ms)));
  auto answer = client.call(method, target, body);
  if (answer || answer.error().code != Code::unavailable) return answer;
  // An unreachable server is the most likely thing to go wrong, and has the simplest remedy.
  Error error = answer.error();
  error.message +=
      globals.server.empty()
          ? fmt::format("; start one with `quell up --data-dir {}`, or name another with --data-dir or --server",
                        globals.data_dir_or_default())
          : "; start one with `quell up`, or name another with --server";
  return error;
}

}  // namespace quell::cli
