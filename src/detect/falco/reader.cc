#include "detect/falco/reader.h"

#include <algorithm>

#include "base/text.h"

namespace quell::detect::falco {
namespace {

constexpr std::string_view kAppendDeprecated =
    "'append' key is deprecated. Add an 'append' entry (e.g. 'condition: append') under 'override' instead.";
constexpr std::string_view kOverrideAndAppend =
    "Keys 'override' and 'append: true' cannot be used together. Add an 'append' entry (e.g. 'condition: append') "
    "under "
    "'override' instead.";

bool contains(std::initializer_list<std::string_view> list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool is_macro_name(std::string_view name) {
  const auto is_alpha = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  return !name.empty() && is_alpha(name.front()) && std::all_of(name.begin(), name.end(), [&](char c) {
    return is_alpha(c) || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_list_name(std::string_view name) {
  return !name.empty() && name.find_first_of("()\"' \t\n\v\f\r=,") == std::string_view::npos;
}

std::string quoted_key(std::string_view key) { return "'" + std::string(key) + "'"; }

}  // namespace

// --- problems
// ------------------------------------------------------------------------------------------------------------

bool Reader::fail(const Context& context, LoadCode code, std::string message, std::string suggestion) {
  result_.errors.push_back(problem_at(context, code, std::move(message), std::move(suggestion)));
  return false;
}
bool Reader::fail_at(const Context& context, const yaml::Node& node, LoadCode code, std::string message,
                     std::string suggestion) {
  result_.errors.push_back(
      problem_at(context, node.file(), node.start(), code, std::move(message), std::move(suggestion)));
  return false;
}
void Reader::warn(const Context& context, LoadCode code, std::string message, std::string suggestion) {
  result_.warnings.push_back(problem_at(context, code, std::move(message), std::move(suggestion)));
}
void Reader::warn_at(const Context& context, const yaml::Node& node, LoadCode code, std::string message,
                     std::string suggestion) {
  result_.warnings.push_back(
      problem_at(context, node.file(), node.start(), code, std::move(message), std::move(suggestion)));
}

// --- keys
// ----------------------------------------------------------------------------------------------------------------

bool Reader::read_text(const Context& context, const yaml::Node& item, std::string_view key, const yaml::Node*& out,
                       bool required) {
  const yaml::Node* value = item.find(key);
  if (!value)
    return !required || fail(context, LoadCode::err_yaml_validate, "Item has no mapping for key " + quoted_key(key));
  if (value->is_null())
    return fail_at(context, *value, LoadCode::err_yaml_validate, "Mapping for key " + quoted_key(key) + " is empty");
  if (!value->is_scalar()) return fail_at(context, *value, LoadCode::err_yaml_validate, "Value is not a scalar value");
  if (value->text().empty()) return fail_at(context, *value, LoadCode::err_yaml_validate, "Value must be non-empty");
  out = value;
  return true;
}

bool Reader::read_bool(const Context& context, const yaml::Node& item, std::string_view key, bool& out, bool required) {
  const yaml::Node* value = nullptr;
  if (!read_text(context, item, key, value, required)) return false;
  if (!value || yaml::parse_bool(value->text(), out)) return true;
  return fail_at(context, *value, LoadCode::err_yaml_validate, "Can't decode YAML scalar value", "write true or false");
}

bool Reader::read_u64(const Context& context, const yaml::Node& item, std::string_view key, uint64_t& out) {
  const yaml::Node* value = nullptr;
  if (!read_text(context, item, key, value, false)) return false;
  if (!value || parse_u64(value->text(), out)) return true;
  return fail_at(context, *value, LoadCode::err_yaml_validate, "Can't decode YAML scalar value",
                 "write a whole number");
}

void Reader::warn_unknown_keys(const Context& context, const yaml::Node& item,
                               std::initializer_list<std::string_view> known) {
  for (const yaml::Entry& entry : item.entries()) {
    const std::string& key = entry.key->text();
    if (contains(known, key)) continue;
    warn_at(context, *entry.key, LoadCode::unknown_key, "Unknown key " + quoted_key(key) + ". The key will be ignored.",
            did_you_mean(key, known));
  }
}

bool Reader::Overrides::has(std::string_view key, Override how) const {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const auto& entry) { return entry.first == key && entry.second == how; });
}
bool Reader::Overrides::has(std::string_view key) const {
  return has(key, Override::append) || has(key, Override::replace);
}

bool Reader::read_overrides(const Context& context, const yaml::Node& item,
                            std::initializer_list<std::string_view> appendable,
                            std::initializer_list<std::string_view> replaceable, Overrides& overrides) {
  const yaml::Node* node = item.find("override");
  if (!node) return true;
  if (!node->is_map())
    return fail_at(context, *node, LoadCode::err_yaml_validate,
                   "'override' must be a map of keys to 'append' or 'replace'");
  for (const yaml::Entry& entry : node->entries()) {
    const std::string& key = entry.key->text();
    const std::string how = entry.value->text();
    if (how != "append" && how != "replace") {
      return fail_at(context, *entry.value, LoadCode::err_yaml_validate,
                     "Invalid override operation for key " + quoted_key(key) + ": " + quoted_key(how) +
                         ". Allowed values are: append replace ",
                     did_you_mean(how, {"append", "replace"}));
    }
    if (how == "append" && !contains(appendable, key)) {
      return fail_at(context, *entry.key, LoadCode::err_yaml_validate,
                     "Key " + quoted_key(key) + " cannot be appended to, use 'replace' instead",
                     did_you_mean(key, appendable));
    }
    if (how == "replace" && !contains(replaceable, key)) {
      return fail_at(context, *entry.key, LoadCode::err_yaml_validate, "Key " + quoted_key(key) + " cannot be replaced",
                     did_you_mean(key, replaceable));
    }
    if (!item.find(key)) {
      return fail_at(context, *entry.key, LoadCode::err_yaml_validate,
                     std::string(how == "append" ? "An append" : "A replace") + " override for " + quoted_key(key) +
                         " was specified but " + quoted_key(key) + " is not defined");
    }
    if (!overrides.has(key))
      overrides.entries.emplace_back(key, how == "append" ? Override::append : Override::replace);
  }
  return true;
}

bool Reader::read_append(const Context& context, const yaml::Node& item, bool& append, const Overrides& overrides) {
  if (!read_bool(context, item, "append", append)) return false;
  if (!append) return true;
  warn_at(context, *item.find("append"), LoadCode::deprecated_item, std::string(kAppendDeprecated));
  if (overrides.any() || item.find("override"))
    return fail_at(context, *item.find("append"), LoadCode::err_yaml_validate, std::string(kOverrideAndAppend));
  return true;
}

// --- items
// ---------------------------------------------------------------------------------------------------------------

void Reader::read(const yaml::File& file) {
  for (const yaml::Node* document : file.documents()) {
    if (document->is_null()) continue;
    const Context content{nullptr, "rules content", "", document};
    if (!document->is_sequence()) {
      fail(content, LoadCode::err_yaml_validate,
           document->is_map() ? "Rules content is not yaml array of objects" : "Rules content is not yaml",
           "write each item as an element of a list: '- rule: ...'");
      continue;
    }
    for (const yaml::Node* item : document->items()) {
      if (item->is_null()) continue;
      read_item(content, *item);
      if (wants_another_engine_) return;
    }
  }
  for (const yaml::DuplicateKey& twice : file.duplicate_keys()) {
    const Context content{nullptr, "rules content", "", file.documents().front()};
    warn_at(content, *twice.again, LoadCode::extension_warning,
            "The key '" + twice.again->text() + "' is given twice; the one on line " +
                std::to_string(twice.first->start().line + 1) + " counts");
  }
}

void Reader::read_item(const Context& content, const yaml::Node& item) {
  const Context unnamed{&content, "rules content item", "", &item};
  if (!item.is_map()) {
    fail(unnamed, LoadCode::err_yaml_validate,
         "Unexpected element type. Each element should be a yaml associative array.");
    return;
  }
  if (const yaml::Node* value = item.find("required_engine_version")) {
    const Context context{&content, "required_engine_version", "", &item};
    warn_unknown_keys(context, item, {"required_engine_version"});
    read_engine_version(context, *value);
    return;
  }
  if (const yaml::Node* value = item.find("required_plugin_versions")) {
    const Context context{&content, "required plugin versions", "", &item};
    warn_unknown_keys(context, item, {"required_plugin_versions"});
    read_plugin_versions(context, *value);
    return;
  }
  for (const std::string_view kind : {"list", "macro", "rule"}) {
    if (!item.find(kind)) continue;
    Context context{&content, kind, "", &item};
    const yaml::Node* name = nullptr;
    if (!read_text(context, item, kind, name)) return;
    context.item_name = name->text();
    if (kind_ == FileKind::exceptions && kind != "list") {
      if (kind == "macro") {
        fail(context, LoadCode::err_validate, "A file of exceptions holds exceptions and lists, no macros",
             "define it in a rule file");
      } else {
        read_exceptions_only(context, item, name->text());
      }
    } else if (kind == "list") {
      if (!read_list(context, item, name->text())) failed_.lists.insert(name->text());
    } else if (kind == "macro") {
      if (!read_macro(context, item, name->text())) failed_.macros.insert(name->text());
    } else if (!read_rule(context, item, name->text())) {
      failed_.rules.insert(name->text());
    }
    return;
  }
  std::string suggestion;
  for (const yaml::Entry& entry : item.entries()) {
    if (!suggestion.empty()) break;
    suggestion = did_you_mean(entry.key->text(),
                              {"rule", "macro", "list", "required_engine_version", "required_plugin_versions"});
  }
  warn(unnamed, LoadCode::unknown_item, "Unknown top level item", std::move(suggestion));
}

void Reader::read_engine_version(const Context& context, const yaml::Node& value) {
  const yaml::Node* text = nullptr;
  if (!read_text(context, *context.node, "required_engine_version", text)) return;
  Version wanted;
  uint64_t minor = 0;
  if (parse_u64(text->text(), minor) && minor <= UINT32_MAX) {
    wanted = {kEngineVersion.major, static_cast<uint32_t>(minor), kEngineVersion.patch};
  } else if (const auto version = parse_version(text->text())) {
    wanted = *version;
  } else {
    fail_at(
        context, value, LoadCode::err_yaml_validate,
        "Unable to parse engine version '" + text->text() + "' as a semver string. Expected \"x.y.z\" semver format.");
    return;
  }
  store_.required_engine_versions.push_back(wanted.str());
  if (kEngineVersion.satisfies(wanted)) return;
  wants_another_engine_ = true;
  fail_at(context, value, LoadCode::err_validate,
          "Rules require engine version " + wanted.str() + ", but engine version is " + kEngineVersion.str());
}

bool Reader::read_plugin(const Context& context, const yaml::Node& entry,
                         std::vector<std::pair<std::string, std::string>>& group) {
  const yaml::Node* name = nullptr;
  const yaml::Node* version = nullptr;
  if (!read_text(context, entry, "name", name) || !read_text(context, entry, "version", version)) return false;
  if (!parse_version(version->text())) {
    return fail_at(context, *version, LoadCode::err_yaml_validate,
                   "Unable to parse plugin version '" + version->text() +
                       "' as a semver string. Expected \"x.y.z\" semver format.");
  }
  for (const auto& [other, _] : group) {
    if (other == name->text())
      return fail_at(context, *name, LoadCode::err_yaml_validate,
                     "Plugin '" + other + "' is required twice in one group of alternatives");
  }
  group.emplace_back(name->text(), version->text());
  return true;
}

void Reader::read_plugin_versions(const Context& context, const yaml::Node& value) {
  if (!value.is_sequence()) {
    fail_at(context, value, LoadCode::err_yaml_validate, "Value of required_plugin_versions must be a sequence");
    return;
  }
  for (const yaml::Node* entry : value.items()) {
    const Context entry_context{&context, "required plugin versions entry", "", entry};
    if (!entry->is_map()) {
      fail(entry_context, LoadCode::err_yaml_validate, "Plugin version must be a map with the keys name and version");
      continue;
    }
    warn_unknown_keys(entry_context, *entry, {"name", "version", "alternatives"});
    std::vector<std::pair<std::string, std::string>> group;
    bool sound = read_plugin(entry_context, *entry, group);
    if (const yaml::Node* alternatives = sound ? entry->find("alternatives") : nullptr) {
      if (!alternatives->is_sequence()) {
        fail_at(entry_context, *alternatives, LoadCode::err_yaml_validate,
                "Value of plugin version alternatives must be a sequence");
        continue;
      }
      for (const yaml::Node* alternative : alternatives->items()) {
        const Context alternative_context{&entry_context, "required plugin versions alternative", "", alternative};
        if (!alternative->is_map()) {
          sound = fail(alternative_context, LoadCode::err_yaml_validate,
                       "Plugin version must be a map with the keys name and version");
        } else {
          sound = read_plugin(alternative_context, *alternative, group) && sound;
        }
      }
    }
    if (!sound) continue;
    // The first of the group that is there must be good enough; the others do not matter then.
    const Plugin* present = nullptr;
    std::string wanted;
    for (const auto& [name, version] : group) {
      const auto found = std::find_if(plugins_.begin(), plugins_.end(),
                                      [&, n = name](const Plugin& plugin) { return plugin.name == n; });
      if (found == plugins_.end()) continue;
      present = &*found;
      wanted = version;
      break;
    }
    if (!present) {
      std::string message = "Plugin requirement not satisfied, must load one of: ";
      for (size_t i = 0; i < group.size(); ++i)
        message += (i > 0 ? ", " : "") + group[i].first + " (>= " + group[i].second + ')';
      wants_another_engine_ = true;
      fail(entry_context, LoadCode::err_validate, std::move(message));
    } else if (!present->version.satisfies(*parse_version(wanted))) {
      wants_another_engine_ = true;
      fail(entry_context, LoadCode::err_validate,
           "Plugin '" + present->name + "' version '" + present->version.str() +
               "' is not compatible with required plugin version '" + wanted + "'");
    }
    store_.required_plugins.push_back(std::move(group));
  }
}

bool Reader::read_list(const Context& context, const yaml::Node& item, const std::string& name) {
  if (!is_list_name(name))
    warn(context, LoadCode::invalid_list_name,
         "List has an invalid name. List names should match a regular expression: [^()\"'[:space:]=,]+");
  warn_unknown_keys(context, item, {"list", "items", "append", "override"});
  Overrides overrides;
  bool append = false;
  if (!read_append(context, item, append, overrides) || !read_overrides(context, item, {"items"}, {"items"}, overrides))
    return false;
  const yaml::Node* items = item.find("items");
  if (!items) return fail(context, LoadCode::err_yaml_validate, "Item has no mapping for key 'items'");
  if (items->is_null())
    return fail_at(context, *items, LoadCode::err_yaml_validate, "Mapping for key 'items' is empty",
                   "write an empty list as []");
  if (!items->is_sequence())
    return fail_at(context, *items, LoadCode::err_yaml_validate, "Value of items must be a sequence");
  ListDefinition list;
  list.name = name;
  list.node = &item;
  const bool appends = append || overrides.has("items", Override::append);
  if (appends) {
    const ListDefinition* earlier = store_.lists.find(name);
    if (!earlier) {
      if (failed_.lists.contains(name)) return false;
      return fail(context, LoadCode::err_validate,
                  "List uses 'append' or 'override.items: append' but no list by that name already exists");
    }
    list = *earlier;
  }
  list.items.reserve(list.items.size() + items->items().size());
  for (const yaml::Node* value : items->items()) {
    if (!value->is_scalar())
      return fail_at(context, *value, LoadCode::err_yaml_validate, "Value is not a scalar value");
    list.items.push_back(value);
  }
  store_.lists.put(std::move(list), store_.next_index++);
  return true;
}

bool Reader::read_macro(const Context& context, const yaml::Node& item, const std::string& name) {
  if (!is_macro_name(name))
    warn(context, LoadCode::invalid_macro_name,
         "Macro has an invalid name. Macro names should match a regular expression: [a-zA-Z]+[a-zA-Z0-9_]*");
  warn_unknown_keys(context, item, {"macro", "condition", "append", "override"});
  Overrides overrides;
  bool append = false;
  const yaml::Node* condition = nullptr;
  if (!read_append(context, item, append, overrides) ||
      !read_overrides(context, item, {"condition"}, {"condition"}, overrides) ||
      !read_text(context, item, "condition", condition))
    return false;
  MacroDefinition macro;
  macro.name = name;
  macro.node = &item;
  if (append || overrides.has("condition", Override::append)) {
    const MacroDefinition* earlier = store_.macros.find(name);
    if (!earlier) {
      if (failed_.macros.contains(name)) return false;
      return fail(context, LoadCode::err_validate,
                  "Macro uses 'append' or 'override.condition: append' but no macro by that name already exists");
    }
    macro = *earlier;
    macro.condition.append_at(" ", *condition);
  }
  macro.condition.append_exact(condition->text(), *condition, 0);
  store_.macros.put(std::move(macro), store_.next_index++);
  return true;
}

}  // namespace quell::detect::falco
