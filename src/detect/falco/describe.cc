// Rules, macros and lists described as JSON, for tools and for `-L`.
#include <rapidjson/stringbuffer.h>
#include <rapidjson/writer.h>

#include <set>

#include "base/text.h"
#include "detect/falco/loader.h"

namespace quell::detect::falco {
namespace {

using Writer = rapidjson::Writer<rapidjson::StringBuffer>;

void put(Writer& writer, std::string_view text) {
  const std::string valid = to_valid_utf8(text);
  writer.String(valid.data(), static_cast<rapidjson::SizeType>(valid.size()));
}

void put(Writer& writer, const char* key, std::string_view text) {
  writer.Key(key);
  put(writer, text);
}

template <typename Texts>
void put_texts(Writer& writer, const char* key, const Texts& texts) {
  writer.Key(key);
  writer.StartArray();
  for (const auto& text : texts) put(writer, text);
  writer.EndArray();
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

void put_rule(Writer& writer, const Rule& rule, const RuleDetails& details) {
  writer.StartObject();
  writer.Key("details");
  writer.StartObject();
  Used used;
  collect(*rule.condition, used);
  put(writer, "condition_compiled", rule.condition->str());
  put_texts(writer, "condition_fields", used.fields);
  put_texts(writer, "condition_operators", used.operators);
  writer.Key("events");
  writer.StartArray();
  std::set<std::string_view> events;
  for (const EventCode code : rule.event_codes)
    if (!event_spec(code).has(kEvUnused)) events.insert(event_spec(code).name);
  for (const auto event : events) put(writer, event);
  writer.EndArray();
  put_texts(writer, "exception_fields", rule.exception_fields);
  put_texts(writer, "exception_names", rule.exception_names);
  put_texts(writer, "lists", details.lists);
  put_texts(writer, "macros", details.macros);
  put(writer, "output_compiled", rule.output);
  writer.EndObject();
  writer.Key("info");
  writer.StartObject();
  writer.Key("capture");
  writer.Bool(rule.capture);
  writer.Key("capture_duration");
  writer.Uint64(rule.capture_duration_ms);
  put(writer, "condition", rule.condition_text);
  put(writer, "description", rule.description);
  writer.Key("enabled");
  writer.Bool(rule.enabled);
  put(writer, "name", rule.name);
  put(writer, "output", rule.output);
  put(writer, "priority", to_string(rule.priority));
  put(writer, "source", rule.source);
  put_texts(writer, "tags", rule.tags);
  writer.EndObject();
  writer.EndObject();
}

void put_macro(Writer& writer, const MacroDetails& macro) {
  writer.StartObject();
  writer.Key("details");
  writer.StartObject();
  put(writer, "condition_compiled", macro.condition_compiled);
  put_texts(writer, "lists", macro.lists);
  put_texts(writer, "macros", macro.macros);
  writer.Key("used");
  writer.Bool(macro.is_used);
  writer.EndObject();
  writer.Key("info");
  writer.StartObject();
  put(writer, "condition", macro.condition);
  put(writer, "name", macro.name);
  writer.EndObject();
  writer.EndObject();
}

void put_list(Writer& writer, const ListDetails& list) {
  writer.StartObject();
  writer.Key("details");
  writer.StartObject();
  put_texts(writer, "lists", list.lists);
  writer.Key("used");
  writer.Bool(list.is_used);
  writer.EndObject();
  writer.Key("info");
  writer.StartObject();
  put_texts(writer, "items", list.items);
  put(writer, "name", list.name);
  writer.EndObject();
  writer.EndObject();
}

}  // namespace

std::string Loader::describe() const { return describe_rules({}); }

std::string Loader::describe(std::string_view rule) const {
  for (const Rule& candidate : compiled_.rules.rules)
    if (candidate.name == rule) return describe_rules(rule);
  return {};
}

std::string Loader::describe_rules(std::optional<std::string_view> only) const {
  rapidjson::StringBuffer buffer;
  Writer writer(buffer);
  const Compiled& all = compiled_;
  writer.StartObject();
  if (!only) {
    writer.Key("lists");
    writer.StartArray();
    for (const ListDetails& list : all.lists) put_list(writer, list);
    writer.EndArray();
    writer.Key("macros");
    writer.StartArray();
    for (const MacroDetails& macro : all.macros) put_macro(writer, macro);
    writer.EndArray();
    put(writer, "required_engine_version",
        store_.required_engine_versions.empty() ? "" : store_.required_engine_versions.back());
    writer.Key("required_plugin_versions");
    writer.StartArray();
    for (const auto& group : store_.required_plugins) {
      writer.StartObject();
      writer.Key("alternatives");
      writer.StartArray();
      for (size_t i = 1; i < group.size(); ++i) {
        writer.StartObject();
        put(writer, "name", group[i].first);
        put(writer, "version", group[i].second);
        writer.EndObject();
      }
      writer.EndArray();
      put(writer, "name", group.front().first);
      put(writer, "version", group.front().second);
      writer.EndObject();
    }
    writer.EndArray();
  }
  writer.Key("rules");
  writer.StartArray();
  for (size_t i = 0; i < all.rules.rules.size(); ++i)
    if (!only || all.rules.rules[i].name == *only) put_rule(writer, all.rules.rules[i], all.rule_details[i]);
  writer.EndArray();
  writer.EndObject();
  return {buffer.GetString(), buffer.GetSize()};
}

}  // namespace quell::detect::falco
