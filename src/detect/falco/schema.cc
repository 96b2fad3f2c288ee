#include "detect/falco/schema.h"

#include <algorithm>
#include <span>

#include "base/text.h"
#include "model/severity.h"

namespace quell::detect::falco {
namespace {

constexpr size_t kMaxWarnings = 100;

enum class Shape : uint8_t {
  text,  // any scalar
  text_or_null,
  boolean,
  number,
  priority,
  texts,         // a sequence of scalars
  override_map,  // keys to append or replace
  exceptions,
  fold,  // off, or a map of by and window
  plugins,
};

struct KeyShape {
  std::string_view key;
  Shape shape;
  bool required = false;
};

constexpr KeyShape kEngineVersion[] = {{"required_engine_version", Shape::text, true}};
constexpr KeyShape kPluginVersions[] = {{"required_plugin_versions", Shape::plugins, true}};
constexpr KeyShape kList[] = {{"list", Shape::text, true},
                              {"items", Shape::texts, true},
                              {"append", Shape::boolean},
                              {"override", Shape::override_map}};
constexpr KeyShape kMacro[] = {{"macro", Shape::text, true},
                               {"condition", Shape::text, true},
                               {"append", Shape::boolean},
                               {"override", Shape::override_map}};
constexpr KeyShape kRule[] = {
    {"rule", Shape::text, true},
    {"condition", Shape::text},
    {"output", Shape::text},
    {"desc", Shape::text},
    {"priority", Shape::priority},
    {"source", Shape::text_or_null},
    {"enabled", Shape::boolean},
    {"tags", Shape::texts},
    {"exceptions", Shape::exceptions},
    {"warn_evttypes", Shape::boolean},
    {"skip-if-unknown-filter", Shape::boolean},
    {"capture", Shape::boolean},
    {"capture_duration", Shape::number},
    {"fold", Shape::fold},
    {"append", Shape::boolean},
    {"override", Shape::override_map},
};
constexpr KeyShape kPlugin[] = {
    {"name", Shape::text, true}, {"version", Shape::text, true}, {"alternatives", Shape::plugins}};

class Checker {
 public:
  std::vector<std::string> run(const yaml::File& file) {
    for (const yaml::Node* document : file.documents()) {
      if (document->is_null()) continue;
      if (!document->is_sequence()) {
        say(*document, "a rule file is a sequence of items");
        continue;
      }
      for (const yaml::Node* item : document->items())
        if (!item->is_null()) check_item(*item);
    }
    return std::move(warnings_);
  }

 private:
  void say(const yaml::Node& node, const std::string& message) {
    if (warnings_.size() < kMaxWarnings) warnings_.push_back(node.where() + ": " + message);
  }

  void check_item(const yaml::Node& item) {
    if (!item.is_map()) return say(item, "an item is a map");
    if (item.find("required_engine_version")) return check_keys(item, kEngineVersion);
    if (item.find("required_plugin_versions")) return check_keys(item, kPluginVersions);
    if (item.find("list")) return check_keys(item, kList);
    if (item.find("macro")) return check_keys(item, kMacro);
    if (item.find("rule")) return check_keys(item, kRule);
    say(item, "an item is a rule, a macro, a list, a required_engine_version or a required_plugin_versions");
  }

  void check_keys(const yaml::Node& item, std::span<const KeyShape> shapes) {
    for (const yaml::Entry& entry : item.entries()) {
      const std::string& key = entry.key->text();
      const auto shape =
          std::find_if(shapes.begin(), shapes.end(), [&](const KeyShape& candidate) { return candidate.key == key; });
      if (shape == shapes.end()) {
        say(*entry.key, "additional property '" + key + "' is not allowed");
      } else {
        check_value(key, *entry.value, shape->shape);
      }
    }
    for (const KeyShape& shape : shapes)
      if (shape.required && !item.find(shape.key)) say(item, "property '" + std::string(shape.key) + "' is missing");
  }

  void check_value(const std::string& key, const yaml::Node& value, Shape shape) {
    const auto expect = [&](bool fits, const char* what) {
      if (!fits) say(value, "'" + key + "' must be " + what);
    };
    bool truth = false;
    uint64_t number = 0;
    switch (shape) {
      case Shape::text: return expect(value.is_scalar(), "a single value");
      case Shape::text_or_null: return expect(value.is_scalar() || value.is_null(), "a single value");
      case Shape::boolean: return expect(value.is_scalar() && yaml::parse_bool(value.text(), truth), "true or false");
      case Shape::number: return expect(value.is_scalar() && parse_u64(value.text(), number), "a whole number");
      case Shape::priority: return expect(value.is_scalar() && parse_priority(value.text()).has_value(), "a priority");
      case Shape::texts:
        expect(value.is_sequence(), "a sequence");
        for (const yaml::Node* item : value.items())
          if (!item->is_scalar()) say(*item, "'" + key + "' holds single values");
        return;
      case Shape::override_map:
        expect(value.is_map(), "a map");
        for (const yaml::Entry& entry : value.entries())
          if (entry.value->text() != "append" && entry.value->text() != "replace")
            say(*entry.value, "an override is 'append' or 'replace'");
        return;
      case Shape::exceptions:
        expect(value.is_sequence(), "a sequence");
        for (const yaml::Node* exception : value.items()) check_exception(*exception);
        return;
      case Shape::fold:
        expect(value.is_map() || (value.is_scalar() && yaml::parse_bool(value.text(), truth) && !truth),
               "off or a map of by and window");
        return;
      case Shape::plugins:
        expect(value.is_sequence(), "a sequence");
        for (const yaml::Node* plugin : value.items()) {
          if (!plugin->is_map()) {
            say(*plugin, "a plugin requirement is a map with name and version");
          } else {
            check_keys(*plugin, kPlugin);
          }
        }
        return;
    }
  }

  void check_exception(const yaml::Node& exception) {
    if (!exception.is_map()) return say(exception, "an exception is a map");
    if (!exception.find("name")) say(exception, "property 'name' is missing");
    for (const yaml::Entry& entry : exception.entries()) {
      const std::string& key = entry.key->text();
      if (key == "name") {
        check_value(key, *entry.value, Shape::text);
      } else if (key == "fields" || key == "comps") {
        if (!entry.value->is_scalar()) check_value(key, *entry.value, Shape::texts);
      } else if (key == "owner" || key == "reason" || key == "expires") {
        if (!entry.value->is_null()) check_value(key, *entry.value, Shape::text);
      } else if (key == "values") {
        if (!entry.value->is_sequence() && !entry.value->is_null()) say(*entry.value, "'values' must be a sequence");
      } else {
        say(*entry.key, "additional property '" + key + "' is not allowed");
      }
    }
  }

  std::vector<std::string> warnings_;
};

}  // namespace

std::vector<std::string> check_schema(const yaml::File& file) { return Checker().run(file); }

}  // namespace quell::detect::falco
