// quell policy promote: one rung up the ladder, for a policy that was back-tested.
#include <fmt/format.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>

#include "apps/quell/policy_files.h"
#include "apps/quell/policy_ledger.h"
#include "base/clock.h"
#include "respond/policy/promote.h"

namespace quell::cli {
namespace {

namespace policy = respond::policy;

struct Options {
  PolicySources sources;
  std::string report, reason;
  bool force = false;
};

std::string actor() {
  const passwd* entry = getpwuid(getuid());
  return fmt::format("uid:{}{}", getuid(), entry == nullptr ? "" : fmt::format(" ({})", entry->pw_name));
}

Result<std::shared_ptr<const policy::Policy>> the_policy(const LoadedPolicies& loaded) {
  const auto policies = loaded.policies();
  if (policies.size() != 1)
    return Error{
        Code::invalid_argument, fmt::format("there are {} policies; name one with --policy", policies.size()), {}};
  return policies.front();
}

Result<void> check_report(const PolicyLedger& ledger, const policy::Policy& one, const Options& options) {
  if (options.force) {
    if (options.reason.empty()) return Error{Code::invalid_argument, "--force needs a --reason, which is recorded", {}};
    return {};
  }
  if (options.report.empty())
    return Error{Code::invalid_argument,
                 "a promotion needs the id of a back-test (--report); `quell policy backtest` prints it",
                 {}};
  QUELL_TRY(const policy::KeptReport report, ledger.find(options.report));
  for (const auto& [name, hash] : report.policies) {
    if (name != one.name) continue;
    if (hash == one.hash) return {};
    return Error{Code::refused, fmt::format("policy {} has changed since that back-test; run it again", name), {}};
  }
  return Error{Code::refused, fmt::format("that back-test was not about policy {}", one.name), {}};
}

Exit promote(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json"});
  if (!format) return fail(format.error());
  const auto loaded = load_sound_policies(globals, options.sources);
  if (!loaded) return fail(loaded.error());
  const auto found = the_policy(*loaded);
  if (!found) return fail(found.error());
  const policy::Policy& one = **found;
  const auto to = policy::next_mode(one.mode);
  if (!to) return fail({Code::conflict, fmt::format("policy {} is at the top of the ladder: enforce", one.name), {}});
  const PolicyLedger ledger(globals.data_dir_or_default());
  if (const auto checked = check_report(ledger, one, options); !checked) return fail(checked.error());
  const auto text = policy::with_mode(one, *to);
  if (!text) return fail(text.error());
  // What was a warning on the lower rung may be an error on the higher one.
  policy::ReadOptions reading{.actions = policy_actions()};
  reading.config = loaded->has_config ? &loaded->config : nullptr;
  const policy::PolicyFile promoted = policy::read_policies(one.file->name(), *text, reading);
  if (promoted.errors > 0) {
    fmt::print(stderr, "{}", policy::readable(promoted.problems));
    return fail({Code::invalid_rules, fmt::format("policy {} does not hold in mode {}", one.name, to_string(*to)), {}});
  }
  Promotion promotion;
  promotion.policy = one.name;
  promotion.hash = one.hash;
  promotion.version = one.version;
  promotion.file = one.file->name();
  promotion.from = to_string(one.mode);
  promotion.to = to_string(*to);
  promotion.report = options.force ? std::string() : options.report;
  promotion.reason = options.reason;
  promotion.actor = actor();
  promotion.time_ns = system_clock().realtime_ns();
  const auto replaced = replace_file(promotion.file, *text, [&] { return ledger.append(promotion); });
  if (!replaced) return fail(replaced.error());
  if (*format == "json") {
    fmt::print("{}\n", promotion_json(promotion));
  } else {
    fmt::print("{}: {} → {} in {}\n", one.name, promotion.from, promotion.to, promotion.file);
  }
  return Exit::done;
}

}  // namespace

void add_policy_promote(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      add_command(app, "promote", "One rung up: observe → approve → enforce, in the policy's own file",
                  "  quell policy promote shell.yaml --report ID\n"
                  "  quell policy promote shell.yaml --policy stolen-shell --force --reason \"active incident\"");
  add_policy_sources(*command, options->sources);
  command->add_option("--report", options->report, "id of the back-test of this very version")->type_name("ID");
  command->add_flag("--force", options->force, "without a back-test");
  command->add_option("--reason", options->reason, "recorded; needed with --force")->type_name("TEXT");
  command->callback([&globals, &run, options] { run = [&globals, options] { return promote(globals, *options); }; });
}

}  // namespace quell::cli
