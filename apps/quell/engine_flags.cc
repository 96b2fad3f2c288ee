#include "apps/quell/engine_flags.h"

#include <fmt/format.h>

#include "base/json.h"

namespace quell::cli {

void add_rule_matching(CLI::App& command, bool& match_all) {
  command
      .add_option_function<std::string>(
          "--rule-matching", [&match_all](const std::string& which) { match_all = which == "all"; },
          "all: every rule that matches an event gives a detection (default); first: only the first one in rule order")
      ->check(CLI::IsMember({"all", "first"}))
      ->type_name("all|first");
}

std::unique_ptr<detect::RuleProfile> ProfileFlags::make() const {
  return enabled ? std::make_unique<detect::RuleProfile>(every) : nullptr;
}

void add_profile(CLI::App& command, ProfileFlags& flags) {
  command.add_flag("--profile", flags.enabled,
                   "measure what each rule costs, as a table on stderr at the end (`up`: also on SIGUSR1, and as "
                   "GET /v1/rules/profile on the socket in the data directory); sampled, and the time of a step that "
                   "rules share is split evenly among those that needed it");
  command.add_option("--profile-every", flags.every, "time one event in N (default 64)")
      ->check(CLI::Range(1u, 1'000'000u))
      ->type_name("N");
}

std::string profile_table(const detect::RuleProfile::Report& report) {
  std::string out = fmt::format(
      "profile: {} events that some rule looks at, one in {} timed ({})\n"
      "ns/event: the rule's share of the steps, spread over all of these; candidates: events still possible for the "
      "rule after what its process decides (estimate); output: making its detections\n"
      "{:>10}  {:>12}  {:>10}  {:>12}  rule\n",
      report.events, report.every, report.sampled, "ns/event", "candidates", "matches", "output us");
  size_t quiet = 0;
  for (const detect::RuleCost& cost : report.rules) {
    if (cost.test_ns + cost.render_ns + cost.matches == 0) {
      ++quiet;
      continue;
    }
    out += fmt::format("{:>10.2f}  {:>12}  {:>10}  {:>12.1f}  {}\n", report.ns_per_event(cost),
                       cost.candidates * report.every, cost.matches, static_cast<double>(cost.render_ns) / 1000.0,
                       cost.rule);
  }
  return out + fmt::format("{} rules cost nothing that was seen\n", quiet);
}

std::string profile_json(const detect::RuleProfile::Report& report) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1");
  out.integer("events", report.events).integer("sampled", report.sampled).integer("every", report.every);
  out.key("items").begin_array();
  for (const detect::RuleCost& cost : report.rules) {
    out.begin_object().text("rule", cost.rule).key("test_ns_per_event").number(report.ns_per_event(cost));
    out.integer("sampled_candidates", cost.candidates).integer("matches", cost.matches);
    out.integer("output_ns", cost.render_ns).end_object();
  }
  out.end_array().end_object();
  return out.take();
}

}  // namespace quell::cli
