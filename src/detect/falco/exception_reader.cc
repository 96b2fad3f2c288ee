// Exceptions of rules: reading, appending, and the checks that need no condition.
#include <algorithm>

#include "base/moment.h"
#include "detect/falco/condition_parser.h"
#include "detect/falco/exceptions.h"
#include "detect/falco/reader.h"

namespace quell::detect::falco {
namespace {

/// The same fields compared in the same way: more values for what is there already.
bool same_shape(const ExceptionDefinition& more, const ExceptionDefinition& earlier) {
  if (more.has_field_list != earlier.has_field_list || more.fields.size() != earlier.fields.size()) return false;
  for (size_t i = 0; i < more.fields.size(); ++i)
    if (more.fields[i].text() != earlier.fields[i].text()) return false;
  return !more.has_comps || more.comps == earlier.comps;
}

}  // namespace

bool Reader::read_exceptions(const Context& context, const yaml::Node& item, bool appending,
                             std::vector<ExceptionDefinition>& exceptions) {
  const yaml::Node* node = item.find("exceptions");
  if (!node) return true;
  if (!node->is_sequence())
    return fail_at(context, *node, LoadCode::err_yaml_validate, "Rule exceptions must be a sequence");
  const Context all{&context, "exceptions", "", node};
  bool sound = true;
  for (const yaml::Node* entry : node->items()) {
    Context one{&all, "exception", "", entry};
    if (!entry->is_map()) {
      sound = fail(one, LoadCode::err_yaml_validate,
                   "Each exception must be a map with the keys name, fields, comps and values");
      continue;
    }
    const yaml::Node* name = nullptr;
    if (!read_text(one, *entry, "name", name)) {
      sound = false;
      continue;
    }
    one.item_name = name->text();
    warn_unknown_keys(one, *entry, {"name", "fields", "comps", "values", "owner", "reason", "expires"});
    ExceptionDefinition exception;
    exception.name = name->text();
    exception.node = entry;
    if (!read_exception(one, *entry, appending, exception)) {
      sound = false;
      continue;
    }
    if (std::any_of(exceptions.begin(), exceptions.end(),
                    [&](const auto& other) { return other.name == exception.name; }))
      warn(one, LoadCode::exception_name_not_unique,
           "Multiple definitions of exception '" + exception.name + "' in the same rule");
    exceptions.push_back(std::move(exception));
  }
  return sound;
}

bool Reader::read_exception(const Context& context, const yaml::Node& node, bool appending,
                            ExceptionDefinition& exception) {
  const yaml::Node* fields = node.find("fields");
  if (!fields && !appending) return fail(context, LoadCode::err_yaml_validate, "Item has no mapping for key 'fields'");
  if (fields) {
    if (fields->is_null())
      return fail_at(context, *fields, LoadCode::err_yaml_validate, "Mapping for key 'fields' is empty");
    Entry entry;
    if (!read_entry(context, *fields, 1, entry)) return false;
    exception.has_field_list = entry.is_list();
    exception.fields = entry.is_list() ? std::move(entry.items) : std::vector<Entry>{std::move(entry)};
  }
  if (const yaml::Node* comps = node.find("comps")) {
    if (comps->is_null())
      return fail_at(context, *comps, LoadCode::err_yaml_validate, "Mapping for key 'comps' is empty");
    Entry entry;
    if (!read_entry(context, *comps, 1, entry)) return false;
    exception.has_comps = true;
    exception.has_comp_list = entry.is_list();
    if (!entry.is_list()) {
      exception.comps.push_back(trimmed_comp(entry.text()));
    } else {
      for (const Entry& item : entry.items) exception.comps.push_back(trimmed_comp(item.text()));
    }
  }
  const yaml::Node* values = node.find("values");
  if (values && !values->is_null()) {
    if (!values->is_sequence())
      return fail_at(context, *values, LoadCode::err_yaml_validate, "Values of an exception must be a sequence");
    for (const yaml::Node* value : values->items()) {
      Entry& entry = exception.values.emplace_back();
      if (!read_entry(context, *value, 2, entry)) return false;
    }
  } else if (appending) {
    warn(context, LoadCode::append_no_values, "Overriding/appending exception with no values");
  }
  return read_note(context, node, exception);
}

// Who answers for the values, and until when. Values that have expired are left out here, so that nothing behind the
// reader needs to know of time; their entry is still checked like any other.
bool Reader::read_note(const Context& context, const yaml::Node& node, ExceptionDefinition& exception) {
  ExceptionNote note;
  note.node = &node;
  note.value_count = exception.values.size();
  const yaml::Node* text = nullptr;
  for (const auto& [key, out] : {std::pair{"owner", &note.owner}, {"reason", &note.reason}}) {
    if (const yaml::Node* value = node.find(key); value && value->is_null()) continue;
    text = nullptr;
    if (!read_text(context, node, key, text, false)) return false;
    if (text) *out = text->text();
  }
  text = nullptr;
  if (!read_text(context, node, "expires", text, false)) return false;
  if (text) {
    const auto deadline = parse_deadline(text->text());
    if (!deadline) {
      return fail_at(context, *text, LoadCode::err_yaml_validate, "'expires' must be a date or a moment in UTC",
                     "write 2027-01-31, which includes that day, or 2027-01-31T18:00:00Z");
    }
    note.expires = text->text();
    note.expires_ns = *deadline;
    note.is_expired = *deadline <= now_ns_;
  }
  if (note.is_expired) {
    warn_at(context, *text, LoadCode::extension_warning,
            "The exception '" + exception.name + "' has expired and no longer applies" +
                (note.owner.empty() ? std::string() : "; its owner is " + note.owner),
            "remove it, or give it a later date");
    exception.values.clear();
  }
  if (note.value_count > 0) exception.notes.push_back(std::move(note));
  return true;
}

bool Reader::read_exceptions_only(const Context& context, const yaml::Node& item, const std::string& name) {
  for (const yaml::Entry& entry : item.entries()) {
    const std::string& key = entry.key->text();
    if (key == "rule" || key == "exceptions" || key == "override" || key == "append" || key == "source") continue;
    return fail_at(context, *entry.key, LoadCode::err_validate,
                   "A file of exceptions cannot change '" + key + "' of a rule", "do that in a rule file");
  }
  Overrides overrides;
  bool append = false;
  if (!read_append(context, item, append, overrides) || !read_overrides(context, item, {"exceptions"}, {}, overrides))
    return false;
  if (!item.find("exceptions"))
    return fail(context, LoadCode::err_yaml_validate, "Item has no mapping for key 'exceptions'");
  std::vector<ExceptionDefinition> exceptions;
  if (!read_exceptions(context, item, true, exceptions)) return false;
  const RuleDefinition* earlier = store_.rules.find(name);
  if (!earlier) {
    keep_orphans(context, exceptions, name);
    return true;
  }
  if (!check_same_source(context, item, *earlier)) return false;
  RuleDefinition rule = *earlier;
  if (!append_exceptions(context, std::move(exceptions), rule)) return false;
  store_.rules.put(std::move(rule), store_.next_index++);
  return true;
}

void Reader::keep_orphans(const Context& context, const std::vector<ExceptionDefinition>& exceptions,
                          const std::string& rule) {
  if (failed_.rules.contains(rule)) return;
  std::vector<std::string_view> names;
  for (const auto& known : store_.rules.all()) names.push_back(known->name);
  warn_at(context, *context.node->find("rule"), LoadCode::extension_warning,
          "There is no rule '" + rule + "': its exceptions do nothing", did_you_mean(rule, names));
  for (const ExceptionDefinition& exception : exceptions)
    for (const ExceptionNote& note : exception.notes) store_.orphans.push_back({rule, exception.name, note});
}

bool Reader::read_entry(const Context& context, const yaml::Node& node, int depth, Entry& entry) {
  entry.node = &node;
  if (node.is_scalar()) return true;
  if (!node.is_sequence() || depth == 0)
    return fail_at(context, node, LoadCode::err_yaml_validate,
                   depth == 0 ? "Value is not a scalar value" : "Value must be a scalar or a sequence");
  for (const yaml::Node* item : node.items())
    if (!read_entry(context, *item, depth - 1, entry.items.emplace_back())) return false;
  return true;
}

bool Reader::append_exceptions(const Context& context, std::vector<ExceptionDefinition> more, RuleDefinition& rule) {
  for (ExceptionDefinition& exception : more) {
    const Context one{&context, "exception", exception.name, exception.node};
    const auto earlier = std::find_if(rule.exceptions.begin(), rule.exceptions.end(),
                                      [&](const ExceptionDefinition& other) { return other.name == exception.name; });
    if (earlier == rule.exceptions.end()) {
      if (exception.fields.empty())
        return fail(one, LoadCode::err_validate, "Rule exception must have fields property with a list of fields");
      if (exception.values.empty() && exception.notes.empty())
        return fail(one, LoadCode::err_validate, "Rule exception must have values property with a list of values");
      if (!check_exception(one, rule, exception)) return false;
      rule.exceptions.push_back(std::move(exception));
      continue;
    }
    const bool may_repeat = kind_ == FileKind::exceptions && same_shape(exception, *earlier);
    if (!exception.fields.empty() && !may_repeat)
      return fail(one, LoadCode::err_validate, "Can not append exception fields to existing exception, only values");
    if (exception.has_comps && !may_repeat)
      return fail(one, LoadCode::err_validate, "Can not append exception comps to existing exception, only values");
    earlier->values.insert(earlier->values.end(), exception.values.begin(), exception.values.end());
    earlier->notes.insert(earlier->notes.end(), exception.notes.begin(), exception.notes.end());
  }
  return true;
}

bool Reader::check_exceptions(const Context& context, RuleDefinition& rule) {
  bool sound = true;
  for (ExceptionDefinition& exception : rule.exceptions)
    sound = check_exception({&context, "exception", exception.name, exception.node}, rule, exception) && sound;
  return sound;
}

bool Reader::check_exception(const Context& context, const RuleDefinition& rule, ExceptionDefinition& exception) {
  if (exception.fields.empty())
    return fail(context, LoadCode::err_validate, "Rule exception must have fields property with a list of fields");
  if (exception.has_field_list) {
    if (!exception.has_comps) exception.comps.assign(exception.fields.size(), "=");
    if (exception.comps.size() != exception.fields.size() || (exception.has_comps && !exception.has_comp_list))
      return fail(context, LoadCode::err_validate, "Fields and comps lists must have equal length");
    for (const std::string& comp : exception.comps) {
      if (parse_comp(comp)) continue;
      return fail(context, LoadCode::err_validate, "'" + comp + "' is not a supported comparison operator");
    }
  } else {
    if (!exception.has_comps) exception.comps = {"in"};
    if (exception.has_comp_list) return fail(context, LoadCode::err_validate, "Fields and comps must both be strings");
    const auto comp = parse_comp(exception.comps.front());
    if (!comp || !comp->takes_list()) {
      return fail(
          context, LoadCode::err_validate,
          "When fields is a single value, comps must be one of (in, pmatch, intersects) or a modifier operator (e.g. "
          "startswith oneof)");
    }
  }
  if (!rule.is_known_source) return true;
  for (const Entry& field : exception.fields) {
    const auto operand = parse_operand(field.text());
    const auto finding = operand ? semantics_.check_operand(rule.source, *operand) : Finding{};
    if (!finding) continue;
    return fail_at(context, *field.node, LoadCode::err_validate,
                   "'" + field.text() + "' is not a supported filter field", finding->suggestion);
  }
  return true;
}

}  // namespace quell::detect::falco
