// quell rule reload: asks the running quell to read its rules again, and says whether it did.
#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/server_call.h"
#include "base/json.h"

namespace quell::cli {
namespace {

Exit reload(const Globals& globals) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto answer = call_server(globals, api::Method::post, "/v1/rules/reload");
  if (!answer) return fail(answer.error());
  if (*format != "text") {
    fmt::print("{}\n", *answer);
    return Exit::done;
  }
  const auto json = Json::parse(*answer);
  if (!json) return fail(json.error());
  fmt::print("{}: generation {} ({}), {} rules {}\n", json->at("changed").boolean() ? "reloaded" : "unchanged",
             json->at("generation").u64(), json->at("hash").str(), json->at("rules").u64(),
             json->at("in_force").boolean() ? "in force" : "on their way");
  return Exit::done;
}

}  // namespace

void add_rule_reload(CLI::App& rule, const Globals& globals, Action& run) {
  add_command(rule, "reload", "Has the running quell read its rule files again; ends when they are in force",
              "  quell rule reload\n  quell rule reload --data-dir /srv/quell -o json")
      ->callback([&globals, &run] { run = [&globals] { return reload(globals); }; });
}

}  // namespace quell::cli
