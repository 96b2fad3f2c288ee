#include "apps/quell/rules_json.h"

#include "base/json.h"
#include "base/text.h"

namespace quell::cli {

std::string rule_json(const detect::Rule& rule) {
  JsonWriter out;
  out.begin_object().text("name", rule.name).text("priority", to_string(rule.priority));
  out.text("severity", to_string(severity_of(rule.priority))).text("source", rule.source).flag("enabled", rule.enabled);
  out.texts("tags", rule.tags).text("description", rule.description).text("file", rule.file).integer("line", rule.line);
  out.end_object();
  return out.take();
}

std::string_view state_of(const detect::ExceptionRecord& exception) {
  if (exception.is_orphan) return "no such rule";
  return exception.is_expired ? "expired" : "active";
}

std::string exception_json(const detect::ExceptionRecord& exception) {
  JsonWriter out;
  out.begin_object().text("name", exception.name).text("rule", exception.rule).text("state", state_of(exception));
  out.text("owner", exception.owner).text("reason", exception.reason).text("expires", exception.expires);
  out.integer("values", exception.value_count).text("file", exception.file).integer("line", exception.line);
  out.end_object();
  return out.take();
}

std::string rules_json(const RuleReload::State& state) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").integer("generation", state.rules->generation);
  out.text("hash", state.rules->hash).text("loaded_time", iso8601_utc(state.loaded_ns)).text("error", state.error);
  out.key("items").begin_array();
  for (const detect::Rule& rule : state.rules->set.rules) out.raw(rule_json(rule));
  out.end_array();
  out.key("exceptions").begin_array();
  for (const detect::ExceptionRecord& exception : state.rules->set.exceptions) out.raw(exception_json(exception));
  out.end_array();
  out.end_object();
  return out.take();
}

std::string reload_json(const LoadedRules& rules, bool has_changed, uint64_t in_force) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1").flag("changed", has_changed);
  out.integer("generation", rules.generation).flag("in_force", in_force >= rules.generation);
  out.text("hash", rules.hash).integer("rules", detect::rule_count(*rules.program)).end_object();
  return out.take();
}

}  // namespace quell::cli
