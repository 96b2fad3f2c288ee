// Rule items: definitions, the short form that switches a rule, append, override and replace.
#include <algorithm>

#include "base/moment.h"
#include "detect/falco/condition_parser.h"
#include "detect/falco/reader.h"

namespace quell::detect::falco {
namespace {

constexpr std::string_view kOtherSource = "Rule has been re-defined with a different source";
// Keys that `override` can speak about, in the order in which they are applied.
constexpr std::string_view kOverridable[] = {
    "condition", "output",     "desc", "priority", "capture",       "capture_duration",
    "tags",      "exceptions", "fold", "enabled",  "warn_evttypes", "skip-if-unknown-filter"};

void append_text(SourcedText& text, const yaml::Node& more) {
  text.append_at(" ", more);
  text.append_exact(more.text(), more, 0);
}

}  // namespace

bool Reader::read_rule(const Context& context, const yaml::Node& item, const std::string& name) {
  warn_unknown_keys(
      context, item,
      {"rule", "condition", "output", "desc", "priority", "source", "enabled", "tags", "exceptions", "warn_evttypes",
       "skip-if-unknown-filter", "capture", "capture_duration", "fold", "append", "override"});
  Overrides overrides;
  bool append = false;
  if (!read_append(context, item, append, overrides) ||
      !read_overrides(context, item, {"condition", "output", "desc", "tags", "exceptions"},
                      {"condition", "output", "desc", "priority", "capture", "capture_duration", "tags", "exceptions",
                       "fold", "enabled", "warn_evttypes", "skip-if-unknown-filter"},
                      overrides))
    return false;
  if (overrides.any()) return override_rule(context, item, name, overrides);
  if (append) return append_rule(context, item, name);
  if (!item.find("condition") && !item.find("output") && !item.find("desc") && !item.find("priority"))
    return switch_rule(context, item, name);
  return define_rule(context, item, name);
}

bool Reader::read_tags(const Context& context, const yaml::Node& item, std::set<std::string>& tags) {
  const yaml::Node* node = item.find("tags");
  if (!node) return true;
  if (node->is_null()) return fail_at(context, *node, LoadCode::err_yaml_validate, "Mapping for key 'tags' is empty");
  if (!node->is_sequence())
    return fail_at(context, *node, LoadCode::err_yaml_validate, "Value of tags must be a sequence");
  for (const yaml::Node* tag : node->items()) {
    if (!tag->is_scalar()) return fail_at(context, *tag, LoadCode::err_yaml_validate, "Value is not a scalar value");
    tags.insert(tag->text());
  }
  return true;
}

bool Reader::read_priority(const Context& context, const yaml::Node& item, Priority& priority) {
  const yaml::Node* text = nullptr;
  if (!read_text(context, item, "priority", text)) return false;
  const auto parsed = parse_priority(text->text());
  if (!parsed) {
    return fail_at(context, *text, LoadCode::err_yaml_validate, "Invalid priority",
                   "use one of emergency, alert, critical, error, warning, notice, informational, debug");
  }
  priority = *parsed;
  return true;
}

bool Reader::define_rule(const Context& context, const yaml::Node& item, const std::string& name) {
  const yaml::Node* condition = nullptr;
  const yaml::Node* output = nullptr;
  const yaml::Node* description = nullptr;
  RuleDefinition rule;
  rule.name = name;
  rule.node = &item;
  // Every key is read, in this order, before the item is refused: all complaints come in one run.
  const bool sound[] = {
      read_text(context, item, "condition", condition),
      read_text(context, item, "output", output),
      read_text(context, item, "desc", description),
      read_priority(context, item, rule.priority),
      read_bool(context, item, "enabled", rule.enabled),
      read_bool(context, item, "warn_evttypes", rule.warn_evttypes),
      read_bool(context, item, "skip-if-unknown-filter", rule.skip_if_unknown_filter),
      read_bool(context, item, "capture", rule.capture),
      read_u64(context, item, "capture_duration", rule.capture_duration_ms),
      read_tags(context, item, rule.tags),
      read_exceptions(context, item, false, rule.exceptions),
      read_fold(context, item, rule.fold),
  };
  if (condition) rule.condition = SourcedText(*condition);
  if (output) rule.output = SourcedText(*output).trimmed();
  if (const yaml::Node* source = item.find("source"); source && !source->text().empty()) rule.source = source->text();
  if (!std::all_of(std::begin(sound), std::end(sound), [](bool read) { return read; })) return refuse(std::move(rule));
  rule.description = description->text();
  if (const RuleDefinition* earlier = store_.rules.find(name); earlier && earlier->source != rule.source)
    return fail(context, LoadCode::err_validate, std::string(kOtherSource));
  rule.is_known_source = semantics_.knows_source(rule.source);
  if (!rule.is_known_source) warn(context, LoadCode::unknown_source, "Unknown source " + rule.source + ", skipping");
  if (!check_exceptions(context, rule)) return refuse(std::move(rule));
  store_.rules.put(std::move(rule), store_.next_index++);
  return true;
}

bool Reader::refuse(RuleDefinition rule) {
  rule.is_known_source = semantics_.knows_source(rule.source);
  rule.exceptions.clear();  // what is wrong with them has been said
  refused_.push_back(std::move(rule));
  return false;
}

bool Reader::switch_rule(const Context& context, const yaml::Node& item, const std::string& name) {
  bool enabled = true;
  if (!read_bool(context, item, "enabled", enabled, true)) return false;
  warn(context, LoadCode::deprecated_item,
       "The standalone 'enabled' key usage is deprecated. The correct approach requires also a 'replace' entry under "
       "the "
       "'override' key (i.e. 'enabled: replace').");
  const RuleDefinition* earlier = store_.rules.find(name);
  if (!earlier) {
    if (failed_.rules.contains(name)) return false;
    return fail(context, LoadCode::err_validate, "Rule has 'enabled' key but no rule by that name already exists");
  }
  RuleDefinition rule = *earlier;
  rule.enabled = enabled;
  store_.rules.put(std::move(rule), store_.next_index++);
  return true;
}

bool Reader::check_same_source(const Context& context, const yaml::Node& item, const RuleDefinition& earlier) {
  const yaml::Node* source = item.find("source");
  if (!source || source->text().empty() || source->text() == earlier.source) return true;
  return fail_at(context, *source, LoadCode::err_validate, std::string(kOtherSource));
}

bool Reader::append_rule(const Context& context, const yaml::Node& item, const std::string& name) {
  const RuleDefinition* earlier = store_.rules.find(name);
  const yaml::Node* condition = nullptr;
  std::vector<ExceptionDefinition> exceptions;
  if (!read_text(context, item, "condition", condition, false) || !read_exceptions(context, item, true, exceptions))
    return false;
  if (!earlier) {
    if (failed_.rules.contains(name)) return false;
    return fail(context, LoadCode::err_validate,
                "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists");
  }
  if (!check_same_source(context, item, *earlier)) return false;
  if (!condition && !item.find("exceptions"))
    return fail(context, LoadCode::err_validate, "Appended rule must have exceptions or condition property");
  RuleDefinition rule = *earlier;
  if (condition) append_text(rule.condition, *condition);
  if (!append_exceptions(context, std::move(exceptions), rule)) return false;
  store_.rules.put(std::move(rule), store_.next_index++);
  return true;
}

bool Reader::override_rule(const Context& context, const yaml::Node& item, const std::string& name,
                           const Overrides& overrides) {
  for (const std::string_view key : kOverridable) {
    const yaml::Node* value = item.find(key);
    if (!value || overrides.has(key)) continue;
    return fail_at(context, *value, LoadCode::err_yaml_validate,
                   "Unexpected key '" + std::string(key) + "': no corresponding entry under 'override' is defined.",
                   "add '" + std::string(key) + ": replace' under 'override'");
  }
  const RuleDefinition* earlier = store_.rules.find(name);
  if (!earlier) {
    if (failed_.rules.contains(name)) return false;
    const bool appends = std::any_of(overrides.entries.begin(), overrides.entries.end(),
                                     [](const auto& entry) { return entry.second == Override::append; });
    return fail(context, LoadCode::err_validate,
                appends
                    ? "Rule uses 'append' or 'override.<key>: append' but no rule by that name already exists"
                    : "An 'override.<key>: replace' to a rule was requested but no rule by that name already exists");
  }
  if (!check_same_source(context, item, *earlier)) return false;
  RuleDefinition rule = *earlier;
  const yaml::Node* text = nullptr;
  bool sound = true;
  // Every key is looked at, so that one run tells all that is wrong.
  const auto read = [&](std::string_view key, Override how) {
    if (!overrides.has(key, how)) return false;
    const bool is_text = read_text(context, item, key, text);
    sound = sound && is_text;
    return is_text;
  };
  for (const Override how : {Override::append, Override::replace}) {
    const bool appends = how == Override::append;
    if (read("condition", how)) {
      if (!appends) rule.condition = SourcedText(*text);
      if (appends) append_text(rule.condition, *text);
    }
    if (read("output", how)) {
      if (!appends) rule.output = SourcedText(*text);
      if (appends) append_text(rule.output, *text);
      rule.output = rule.output.trimmed();
    }
    if (read("desc", how)) rule.description = appends ? rule.description + ' ' + text->text() : text->text();
    if (overrides.has("tags", how)) {
      if (!appends) rule.tags.clear();
      sound = read_tags(context, item, rule.tags) && sound;
    }
    if (overrides.has("exceptions", how)) {
      std::vector<ExceptionDefinition> exceptions;
      const bool are_read = read_exceptions(context, item, appends, exceptions);
      sound = are_read && sound;
      if (are_read && appends) {
        sound = append_exceptions(context, std::move(exceptions), rule) && sound;
      } else if (are_read) {
        rule.exceptions = std::move(exceptions);
        sound = check_exceptions(context, rule) && sound;
      }
    }
  }
  if (overrides.has("priority")) sound = read_priority(context, item, rule.priority) && sound;
  for (const bool is_read :
       {read_bool(context, item, "enabled", rule.enabled),
        read_bool(context, item, "warn_evttypes", rule.warn_evttypes),
        read_bool(context, item, "skip-if-unknown-filter", rule.skip_if_unknown_filter),
        read_bool(context, item, "capture", rule.capture),
        read_u64(context, item, "capture_duration", rule.capture_duration_ms), read_fold(context, item, rule.fold)})
    sound = is_read && sound;
  if (!sound) return refuse(std::move(rule));
  store_.rules.put(std::move(rule), store_.next_index++);
  return true;
}

bool Reader::read_fold(const Context& context, const yaml::Node& item, FoldSpec& fold) {
  const yaml::Node* node = item.find("fold");
  if (!node) return true;
  constexpr const char* kRemedy = "write fold: off, or fold: {by: [proc.name, fd.name], window: 60s}";
  fold = {};
  bool on = true;
  if (node->is_scalar() && yaml::parse_bool(node->text(), on) && !on) {
    fold.window_ns = 0;
    return true;
  }
  if (!node->is_map())
    return fail_at(context, *node, LoadCode::err_yaml_validate, "'fold' must be a map or off", kRemedy);
  const Context inner{&context, "fold", "", node};
  warn_unknown_keys(inner, *node, {"by", "window"});
  if (const yaml::Node* window = nullptr; !read_text(inner, *node, "window", window, false)) {
    return false;
  } else if (window) {
    const auto ms = parse_duration_ms(window->text());
    if (!ms) return fail_at(inner, *window, LoadCode::err_yaml_validate, ms.error().message, kRemedy);
    fold.window_ns = *ms * 1'000'000;
  }
  const yaml::Node* by = node->find("by");
  if (!by) return true;
  if (!by->is_sequence() || by->items().empty())
    return fail_at(inner, *by, LoadCode::err_yaml_validate, "'by' must be a list of fields", kRemedy);
  for (const yaml::Node* field : by->items()) {
    const auto operand = parse_operand(field->text());
    const auto finding = operand ? semantics_.check_operand("syscall", *operand) : Finding{};
    if (finding) {
      return fail_at(inner, *field, LoadCode::err_validate, "'" + field->text() + "' is not a supported filter field",
                     finding->suggestion);
    }
    fold.by.push_back(field->text());
  }
  return true;
}

}  // namespace quell::detect::falco
