#include "apps/quell/rule_flags.h"

#include <fmt/format.h>

#include "detect/fields/catalog.h"
#include "model/severity.h"

namespace quell::cli {
namespace {

using detect::falco::ExtraOutput;
using detect::falco::Selection;

Selection selection(const std::string& text, bool enable) {
  constexpr std::string_view kTag = "tag:";
  Selection out{.enable = enable, .by = Selection::By::name, .pattern = text};
  if (text.starts_with(kTag)) {
    out.by = Selection::By::tag;
    out.pattern = text.substr(kTag.size());
  }
  return out;
}

/// " container_id=%container.id ..." of the fields that are worth having in every output.
std::string suggested_text() {
  std::string text;
  const auto add = [&](std::string name) {
    std::string label = name;
    for (char& c : label)
      if (c == '.') c = '_';
    text += (text.empty() ? "" : " ") + label + "=%" + name;
  };
  detect::for_each_field([&](const detect::FieldSpec& row) {
    if ((row.flags & detect::kSuggested) != 0) add(std::string(row.name));
  });
  for (const auto& [key, value] : detect::static_fields()) add("static." + key);
  return text;
}

/// "KEY=VALUE". Errors: invalid_argument.
Result<std::pair<std::string, std::string>> key_and_value(const std::string& text, std::string_view option) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos)
    return Error{Code::invalid_argument, fmt::format("{} \"{}\": expected KEY=VALUE", option, text), {}};
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

}  // namespace

void add_static_fields(CLI::App& command, std::vector<std::string>& texts) {
  command.add_option("--static-field", texts, "make the field static.KEY, for conditions and outputs; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->take_all();
}

Result<void> define_static_fields(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> constants;
  for (const std::string& text : texts) {
    QUELL_TRY(auto field, key_and_value(text, "--static-field"));
    constants.insert_or_assign(std::move(field.first), std::move(field.second));
  }
  return detect::define_static_fields(std::move(constants));
}

void add_rule_flags(CLI::App& command, RuleFlagTexts& texts) {
  const auto list = [&](const char* name, std::vector<std::string>& into, const char* type, const char* help) {
    return command.add_option(name, into, help)->type_name(type)->expected(1)->take_all();
  };
  list("--enable", texts.enable, "RULE",
       "switch rules on, by name (* stands for any text) or tag:TAG; may be repeated");
  list("--disable", texts.disable, "RULE",
       "switch rules off, likewise; of several that name a rule the last on the line counts");
  command.add_option("--minimum-priority", texts.minimum_priority, "only rules at least this severe")
      ->type_name("PRIORITY");
  list("--append-output", texts.append_output, "TEXT", "add this to the output of every rule; may be repeated");
  list("--extra-field", texts.extra_fields, "FIELD",
       "add a field to output_fields of every rule, or NAME=TEMPLATE; may be repeated");
  command.add_flag("--suggested-output", texts.suggested_output,
                   "add container, pod and static fields to every output, as Falco does");
  add_static_fields(command, texts.static_fields);
  // Named as in Falco's configuration.
  command.add_flag("--buffer-format-base64", texts.buffers_as_base64,
                   "show payloads in outputs as base64, not with dots for what is no text");
  command.add_flag("--time-format-iso-8601", texts.style.iso8601_time,
                   "begin lines with date and time in UTC; output_fields has evt.time.iso8601, not evt.time");
  const auto property = [&](const char* name, bool& into, const char* help) {
    command.add_flag(name, into, help)->default_str(into ? "true" : "false");
  };
  property("--json-include-output-property", texts.style.has_output, "JSON has output, the whole line; =false: not");
  property("--json-include-output-fields-property", texts.style.has_output_fields,
           "JSON has output_fields; =false: not");
  property("--json-include-tags-property", texts.style.has_tags, "JSON has tags; =false: not");
  property("--json-include-message-property", texts.style.has_message,
           "JSON has message, the line without time and priority");
  command.parse_complete_callback([&command, &texts] {
    texts.selection_order.clear();
    for (const CLI::Option* option : command.parse_order()) {
      if (option->check_lname("enable")) texts.selection_order.push_back(true);
      if (option->check_lname("disable")) texts.selection_order.push_back(false);
    }
  });
}

Result<RuleFlags> read_rule_flags(const RuleFlagTexts& texts, detect::EngineOptions& engine) {
  RuleFlags out;
  if (!texts.minimum_priority.empty()) {
    const auto priority = parse_priority(texts.minimum_priority);
    if (!priority) {
      return Error{Code::invalid_argument,
                   fmt::format("\"{}\" is no priority; there are emergency, alert, critical, error, warning, notice, "
                               "informational, debug",
                               texts.minimum_priority),
                   {}};
    }
    engine.minimum_priority = *priority;
  }
  engine.buffers_as_base64 = texts.buffers_as_base64;
  out.style = texts.style;
  QUELL_CHECK(define_static_fields(texts.static_fields));

  size_t on = 0, off = 0;
  for (const bool enable : texts.selection_order)
    out.selections.push_back(selection(enable ? texts.enable.at(on++) : texts.disable.at(off++), enable));

  for (const std::string& text : texts.append_output) out.extra_outputs.push_back({.text = text});
  if (texts.suggested_output) out.extra_outputs.push_back({.text = suggested_text(), .source = "syscall"});
  ExtraOutput fields;
  for (const std::string& text : texts.extra_fields) {
    if (text.find('=') == std::string::npos) {
      fields.fields.push_back({"", "%" + text});
    } else {
      QUELL_TRY(auto named, key_and_value(text, "--extra-field"));
      fields.fields.push_back({std::move(named.first), std::move(named.second)});
    }
  }
  if (!fields.fields.empty()) out.extra_outputs.push_back(std::move(fields));
  return out;
}

}  // namespace quell::cli
