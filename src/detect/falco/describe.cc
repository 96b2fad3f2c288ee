// Rules, macros and lists described as JSON, for tools and for `-L`.

#include <set>

#include "base/json.h"
#include "detect/falco/loader.h"

namespace quell::detect::falco {
namespace {

template <typename Texts>
void put_texts(JsonWriter& writer, const char* key, const Texts& texts) {
  writer.key(key);
  writer.begin_array();
  for (const auto& text : texts) writer.string(text);
  writer.end_array();
}

// Fields and operators of a resolved condition.
struct Used {
  std::set<std::string> fields, operators;
};
void collect(const Operand& operand, Used& used) {
  if (operand.kind == Operand::Kind::field) used.fields.insert(operand.str());
  for (const Operand& arg : operand.args) collect(arg, used);
}
void collect(const Expr& expr, Used& used) {
  if (expr.kind == Expr::Kind::check) {
    collect(expr.check.left, used);
    if (expr.check.right) collect(*expr.check.right, used);
    used.operators.emplace(to_string(expr.check.op));
  }
  for (const ExprPtr& child : expr.children) collect(*child, used);
}

void put_rule(JsonWriter& writer, const Rule& rule, const RuleDetails& details) {
  writer.begin_object();
  writer.key("details").begin_object();
  Used used;
  collect(*rule.condition, used);
  writer.text("condition_compiled", rule.condition->str());
  put_texts(writer, "condition_fields", used.fields);
  put_texts(writer, "condition_operators", used.operators);
  writer.key("events").begin_array();
  std::set<std::string_view> events;
  for (const EventCode code : rule.event_codes)
    if (!event_spec(code).has(kEvUnused)) events.insert(event_spec(code).name);
  for (const auto event : events) writer.string(event);
  writer.end_array();
  put_texts(writer, "exception_fields", rule.exception_fields);
  put_texts(writer, "exception_names", rule.exception_names);
  put_texts(writer, "lists", details.lists);
  put_texts(writer, "macros", details.macros);
  writer.text("output_compiled", rule.output);
  writer.end_object();
  writer.key("info").begin_object();
  writer.key("capture").boolean(rule.capture);
  writer.key("capture_duration").number(uint64_t{rule.capture_duration_ms});
  writer.text("condition", rule.condition_text);
  writer.text("description", rule.description);
  writer.key("enabled").boolean(rule.enabled);
  writer.text("name", rule.name);
  writer.text("output", rule.output);
  writer.text("priority", to_string(rule.priority));
  writer.text("source", rule.source);
  put_texts(writer, "tags", rule.tags);
  writer.end_object();
  writer.end_object();
}

void put_macro(JsonWriter& writer, const MacroDetails& macro) {
  writer.begin_object();
  writer.key("details").begin_object();
  writer.text("condition_compiled", macro.condition_compiled);
  put_texts(writer, "lists", macro.lists);
  put_texts(writer, "macros", macro.macros);
  writer.key("used").boolean(macro.is_used);
  writer.end_object();
  writer.key("info").begin_object();
  writer.text("condition", macro.condition);
  writer.text("name", macro.name);
  writer.end_object();
  writer.end_object();
}

void put_list(JsonWriter& writer, const ListDetails& list) {
  writer.begin_object();
  writer.key("details").begin_object();
  put_texts(writer, "lists", list.lists);
  writer.key("used").boolean(list.is_used);
  writer.end_object();
  writer.key("info").begin_object();
  put_texts(writer, "items", list.items);
  writer.text("name", list.name);
  writer.end_object();
  writer.end_object();
}

}  // namespace

std::string Loader::describe() const { return describe_rules({}); }

std::string Loader::describe(std::string_view rule) const {
  for (const Rule& candidate : compiled_.rules.rules)
    if (candidate.name == rule) return describe_rules(rule);
  return {};
}

std::string Loader::describe_rules(std::optional<std::string_view> only) const {
  JsonWriter writer;
  const Compiled& all = compiled_;
  writer.begin_object();
  if (!only) {
    writer.key("lists").begin_array();
    for (const ListDetails& list : all.lists) put_list(writer, list);
    writer.end_array();
    writer.key("macros").begin_array();
    for (const MacroDetails& macro : all.macros) put_macro(writer, macro);
    writer.end_array();
    writer.text("required_engine_version",
                store_.required_engine_versions.empty() ? "" : store_.required_engine_versions.back());
    writer.key("required_plugin_versions").begin_array();
    for (const auto& group : store_.required_plugins) {
      writer.begin_object();
      writer.key("alternatives").begin_array();
      for (size_t i = 1; i < group.size(); ++i) {
        writer.begin_object();
        writer.text("name", group[i].first);
        writer.text("version", group[i].second);
        writer.end_object();
      }
      writer.end_array();
      writer.text("name", group.front().first);
      writer.text("version", group.front().second);
      writer.end_object();
    }
    writer.end_array();
  }
  writer.key("rules").begin_array();
  for (size_t i = 0; i < all.rules.rules.size(); ++i)
    if (!only || all.rules.rules[i].name == *only) put_rule(writer, all.rules.rules[i], all.rule_details[i]);
  writer.end_array();
  writer.end_object();
  return writer.take();
}

}  // namespace quell::detect::falco
