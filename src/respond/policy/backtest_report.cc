// The report of a back-test: as bytes that have an id, and for people.
#include <fmt/format.h>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "respond/policy/backtest.h"

namespace quell::respond::policy {
namespace {

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.finish();
}

void write_counts(JsonWriter& out, const std::map<std::string, uint64_t>& counts) {
  out.begin_object();
  for (const auto& [name, count] : counts) out.integer(name, count);
  out.end_object();
}

void write_rows(JsonWriter& out, const std::vector<BacktestRow>& rows) {
  out.begin_array();
  for (const BacktestRow& row : rows) {
    out.begin_object().text("policy", row.policy).text("day", row.day).text("target", row.target);
    out.text("action", row.action).integer("count", row.count).end_object();
  }
  out.end_array();
}

void write_policy(JsonWriter& out, const BacktestPolicy& policy) {
  const PolicyCounters& counters = policy.counters;
  out.begin_object().text("name", policy.name).integer("version", policy.version).text("hash", policy.hash);
  out.integer("matched", counters.matched).integer("excluded", counters.excluded);
  out.integer("out_of_scope", counters.out_of_scope).integer("low_confidence", counters.low_confidence);
  out.integer("below_threshold", counters.below_threshold).integer("late", counters.late);
  out.integer("ungrouped", counters.ungrouped).integer("suppressed", counters.suppressed);
  out.integer("fired", counters.fired).integer("joined", counters.joined).integer("refused", counters.refused);
  out.integer("groups_forgotten", counters.groups_forgotten).integer("entries_forgotten", counters.entries_forgotten);
  out.key("actions");
  write_counts(out, policy.actions);
  out.key("refusals");
  write_counts(out, policy.refusals);
  out.key("guard_refusals");
  write_counts(out, policy.guard_refusals);
  out.integer("targets", policy.targets).integer("most_targets_at_once", policy.most_targets_at_once);
  out.integer("most_targets_at_ns", policy.most_targets_at_ns);
  out.integer("limit_trips", policy.trip_count).key("trips").begin_array();
  for (const LimitTrip& trip : policy.trips) {
    out.begin_object().text("limit", to_string(trip.limit)).integer("at_ns", trip.at_ns);
    out.integer("firings_stopped", trip.firings_stopped).end_object();
  }
  out.end_array().integer("confirmed", policy.confirmed).integer("false_alarms", policy.false_alarms);
  out.integer("unjudged", policy.unjudged).end_object();
}

std::string plural(uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

std::string moment(uint64_t ns) { return iso8601_utc(ns).substr(0, 19) + "Z"; }

void tell_policy(const BacktestPolicy& policy, std::string& out) {
  const PolicyCounters& counters = policy.counters;
  const auto line = [&](const std::string& text) { out += "  " + text + "\n"; };
  out += fmt::format("\n{} (version {})\n", policy.name, policy.version);
  line(
      fmt::format("{} matched: {} fired, {} on a target that was held already, {} below the threshold, {} excluded, "
                  "{} out of scope, {} refused",
                  plural(counters.matched, "detection"), counters.fired, counters.suppressed, counters.below_threshold,
                  counters.excluded, counters.out_of_scope, counters.refused));
  if (counters.late + counters.ungrouped > 0)
    line(fmt::format("not counted: {} late, {} without the field that they are grouped by", counters.late,
                     counters.ungrouped));
  for (const auto& [action, count] : policy.actions) line(fmt::format("would do: {} × {}", count, action));
  if (policy.actions.empty()) line("would do: nothing");
  if (counters.joined > 0) line(fmt::format("would join what another policy does: {} ×", counters.joined));
  if (policy.targets > 0)
    line(fmt::format("{}; at most {} at once ({})", plural(policy.targets, "target"), policy.most_targets_at_once,
                     moment(policy.most_targets_at_ns)));
  for (const auto& [why, count] : policy.guard_refusals) line(fmt::format("a guard would refuse: {} × {}", count, why));
  for (const auto& [why, count] : policy.refusals) line(fmt::format("would be refused: {} × {}", count, why));
  if (policy.trip_count > 0) {
    line(fmt::format("limits reached: {} (each would have stopped the policy; counted as if it were armed again)",
                     plural(policy.trip_count, "time")));
    for (size_t i = 0; i < policy.trips.size() && i < 5; ++i)
      line(fmt::format("  {}  {}, {} stopped", moment(policy.trips[i].at_ns), to_string(policy.trips[i].limit),
                       plural(policy.trips[i].firings_stopped, "firing")));
  }
  const uint64_t judged = policy.confirmed + policy.false_alarms;
  if (judged > 0)
    line(fmt::format("precision: {} % of {} judged firings ({} not judged)", policy.confirmed * 100 / judged, judged,
                     policy.unjudged));
}

void tell_rows(const std::vector<BacktestRow>& rows, size_t most, std::string& out) {
  for (size_t i = 0; i < rows.size() && i < most; ++i) {
    const BacktestRow& row = rows[i];
    out += fmt::format("  {}  {:<40}  {:<28}  {:>5} ×  {}\n", row.day, row.target, row.action, row.count, row.policy);
  }
}

}  // namespace

std::string BacktestReport::canonical_json() const {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").text("kind", "PolicyBacktest");
  out.integer("detections", detections).integer("from_ns", from_ns).integer("to_ns", to_ns);
  out.key("policies").begin_array();
  for (const BacktestPolicy& policy : policies) write_policy(out, policy);
  out.end_array().integer("row_count", row_count).integer("rows_forgotten", rows_forgotten).key("rows");
  write_rows(out, rows);
  out.key("comparison");
  if (comparison) {
    out.begin_object().integer("same", comparison->same).integer("added", comparison->added);
    out.integer("removed", comparison->removed).key("added_rows");
    write_rows(out, comparison->added_rows);
    out.key("removed_rows");
    write_rows(out, comparison->removed_rows);
    out.end_object();
  } else {
    out.null();
  }
  out.end_object();
  return out.take();
}

std::string BacktestReport::id() const { return sha256_of(canonical_json()); }

std::string BacktestReport::json() const {
  const std::string report = canonical_json();
  JsonWriter out;
  out.begin_object().text("id", sha256_of(report)).integer("elapsed_ms", elapsed_ms).key("report").raw(report);
  out.end_object();
  return out.take();
}

std::string BacktestReport::text() const {
  std::string out;
  if (detections == 0) {
    out = "no detections in that time\n";
  } else {
    out = fmt::format("{} from {} to {}, in {}.{} s\n", plural(detections, "detection"), moment(from_ns), moment(to_ns),
                      elapsed_ms / 1000, elapsed_ms % 1000 / 100);
  }
  for (const BacktestPolicy& policy : policies) tell_policy(policy, out);
  if (!rows.empty()) {
    out += "\nper target and day, most often first\n";
    tell_rows(rows, 20, out);
    if (row_count > 20) out += fmt::format("  and {} more; -o json shows {}\n", row_count - 20, rows.size());
  }
  if (comparison) {
    out += fmt::format("\ncompared with the previous version, per target and day: {} the same, {} added, {} removed\n",
                       comparison->same, comparison->added, comparison->removed);
    if (!comparison->added_rows.empty()) out += "  added\n";
    tell_rows(comparison->added_rows, kMaxSamples, out);
    if (!comparison->removed_rows.empty()) out += "  removed\n";
    tell_rows(comparison->removed_rows, kMaxSamples, out);
  }
  out += fmt::format("\nreport {}\n", id());
  return out;
}

Result<KeptReport> read_report(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  KeptReport out;
  out.id = json.at("id").str();
  const Json& report = json.at("report");
  if (out.id.empty() || report.at("kind").str() != "PolicyBacktest" || report.at("policies").array() == nullptr)
    return Error{Code::malformed, "this is no report of a back-test", {}};
  if (sha256_of(report.dump()) != out.id)
    return Error{Code::malformed, "the report was changed: it is not the one that its id names", {}};
  for (const Json& policy : *report.at("policies").array())
    out.policies.emplace_back(policy.at("name").str(), policy.at("hash").str());
  return out;
}

}  // namespace quell::respond::policy
