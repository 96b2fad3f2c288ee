// The rows as JSON Schema and as tables for people.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/json.h"
#include "respond/policy/schema.h"
#include "respond/policy/values.h"

namespace quell::respond::policy {
namespace {

/// Objects of policies, in the order in which they are first mentioned, the document first.
std::vector<std::string_view> objects_below(std::string_view root) {
  std::vector<std::string_view> out = {root};
  for (size_t i = 0; i < out.size(); ++i) {
    for (const KeyRow& row : key_rows()) {
      if (row.object != out[i]) continue;
      std::string_view next;
      if (row.shape == Shape::object || row.shape == Shape::objects || row.shape == Shape::object_or_texts ||
          row.shape == Shape::object_or_choices || row.shape == Shape::field_map || row.shape == Shape::object_map)
        next = row.of;
      if (row.shape == Shape::steps) next = "step";
      if (!next.empty() && std::find(out.begin(), out.end(), next) == out.end()) out.push_back(next);
    }
  }
  return out;
}

std::string_view first_set(std::string_view object) {
  for (const KeyRow& row : key_rows())
    if (row.object == object) return row.of;
  return {};
}

class SchemaWriter {
 public:
  std::string write() {
    out_.begin_object();
    out_.text("$schema", "https://json-schema.org/draft/2020-12/schema");
    out_.text("title", "Quell response policy");
    out_.text("$ref", "#/$defs/policy");
    out_.key("$defs").begin_object();
    for (const std::string_view object : objects_below("policy"))
      if (object != "step") define(object);
    define_steps();
    out_.end_object().end_object();
    return out_.take();
  }

 private:
  void define(std::string_view object) {
    out_.key(object).begin_object().text("type", "object").flag("additionalProperties", false);
    const bool compares =
        object.ends_with("_match") || object == "confidence" || object == "condition" || object == "exclusion";
    if (compares) out_.integer("minProperties", 1);
    std::vector<std::string> required;
    out_.key("properties").begin_object();
    for (const KeyRow& row : key_rows()) {
      if (row.object != object) continue;
      if (row.required) required.emplace_back(row.key);
      out_.key(row.key);
      value(row);
    }
    out_.end_object();
    if (!required.empty()) out_.texts("required", required);
    out_.end_object();
  }

  void define_steps() {
    out_.key("steps").begin_object().text("type", "array").integer("minItems", 1);
    out_.key("items").begin_object().text("$ref", "#/$defs/step").end_object().end_object();
    out_.key("step").begin_object().key("anyOf").begin_array();
    out_.begin_object().text("type", "string").text("pattern", kActionPattern).end_object();
    out_.begin_object().text("type", "object").flag("additionalProperties", false);
    out_.texts("required", {"if", "do"}).key("properties").begin_object();
    for (const KeyRow& row : key_rows()) {
      if (row.object != "step" || row.key == "notify") continue;
      out_.key(row.key);
      value(row);
    }
    out_.end_object().end_object();
    out_.begin_object().text("type", "object").flag("additionalProperties", false);
    out_.texts("required", {"notify"}).key("properties").begin_object().key("notify");
    value(*std::find_if(key_rows().begin(), key_rows().end(),
                        [](const KeyRow& row) { return row.object == "step" && row.key == "notify"; }));
    out_.end_object().end_object();
    out_.begin_object().text("type", "object").flag("additionalProperties", false);
    out_.integer("minProperties", 1).integer("maxProperties", 1);
    out_.key("patternProperties").begin_object().key(kActionPattern).begin_object();
    out_.key("type").begin_array().string("object").string("null").end_array();
    out_.key("properties").begin_object().key("ttl").begin_object();
    out_.text("type", "string").text("pattern", kDurationPattern);
    out_.end_object().end_object().end_object().end_object().end_object();
    out_.end_array().end_object();
  }

  void value(const KeyRow& row) {
    out_.begin_object();
    if (!row.doc.empty()) out_.text("description", row.doc);
    type(row);
    out_.end_object();
  }

  void reference(std::string_view object) { out_.text("$ref", fmt::format("#/$defs/{}", object)); }

  void words(std::string_view set) {
    out_.key("enum").begin_array();
    for (const std::string_view word : words_of(set)) out_.string(word);
    out_.end_array();
  }

  void text(std::string_view pattern = {}) {
    out_.text("type", "string").integer("minLength", 1);
    if (!pattern.empty()) out_.text("pattern", pattern);
  }

  void scalar() { out_.key("type").begin_array().string("string").string("number").string("boolean").end_array(); }

  /// Alternatives of `anyOf`: `one`, or a list of it.
  template <typename One>
  void one_or_list(const One& one) {
    out_.begin_object();
    one();
    out_.end_object();
    out_.begin_object().text("type", "array").integer("minItems", 1).key("items").begin_object();
    one();
    out_.end_object().end_object();
  }

  template <typename One>
  void any_of_object_and(std::string_view object, const One& one) {
    out_.key("anyOf").begin_array();
    if (!object.empty()) {
      out_.begin_object();
      reference(object);
      out_.end_object();
    }
    one_or_list(one);
    out_.end_array();
  }

  template <typename One>
  void map_of(const One& one) {
    out_.text("type", "object").integer("minProperties", 1).key("additionalProperties").begin_object();
    one();
    out_.end_object();
  }

  void type(const KeyRow& row) {
    switch (row.shape) {
      case Shape::text:
      case Shape::value: scalar(); return;
      case Shape::name: scalar(); return;
      case Shape::regex: scalar(); return;
      case Shape::count: out_.text("type", "integer").integer("minimum", 1); return;
      case Shape::number: out_.text("type", "number"); return;
      case Shape::fraction: out_.text("type", "number").integer("minimum", 0).integer("maximum", 1); return;
      case Shape::duration: text(kDurationPattern); return;
      case Shape::rate: text(kRatePattern); return;
      case Shape::amount:
        out_.key("type").begin_array().string("string").string("integer").end_array().text("pattern", kAmountPattern);
        return;
      case Shape::approvers: text(kApproversPattern); return;
      case Shape::deadline: text("^[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9:.]+Z)?$"); return;
      case Shape::flag: out_.text("type", "boolean"); return;
      case Shape::choice: words(row.of); return;
      case Shape::texts:
      case Shape::texts_or_none:
      case Shape::values: any_of_object_and({}, [&] { scalar(); }); return;
      case Shape::choices: any_of_object_and({}, [&] { words(row.of); }); return;
      case Shape::object: reference(row.of); return;
      case Shape::objects:
        out_.text("type", "array").integer("minItems", 1).key("items").begin_object();
        reference(row.of);
        out_.end_object();
        return;
      case Shape::object_or_texts: any_of_object_and(row.of, [&] { scalar(); }); return;
      case Shape::object_or_choices: any_of_object_and(row.of, [&] { words(first_set(row.of)); }); return;
      case Shape::field_map: map_of([&] { any_of_object_and(row.of, [&] { scalar(); }); }); return;
      case Shape::object_map: map_of([&] { reference(row.of); }); return;
      case Shape::text_map: map_of([&] { scalar(); }); return;
      case Shape::texts_map: map_of([&] { any_of_object_and({}, [&] { scalar(); }); }); return;
      case Shape::steps: reference("steps"); return;
    }
  }

  static constexpr std::string_view kActionPattern = "^[a-z0-9_]+\\.[a-z0-9_.]+$";

  JsonWriter out_;
};

/// What a value looks like, for the tables.
std::string shape_text(const KeyRow& row) {
  const auto listed = [&](std::string_view set) {
    std::string out;
    for (const std::string_view word : words_of(set)) out += (out.empty() ? "" : ", ") + fmt::format("`{}`", word);
    return out;
  };
  const auto link = [&] { return fmt::format("[{0}](#{0})", row.of); };
  switch (row.shape) {
    case Shape::text: return "text";
    case Shape::name: return "name";
    case Shape::regex: return "RE2";
    case Shape::count: return "number ≥ 1";
    case Shape::number: return "number";
    case Shape::fraction: return "0 … 1";
    case Shape::duration: return "duration";
    case Shape::rate: return "N/duration";
    case Shape::amount: return "number or percentage";
    case Shape::approvers: return "`one_of(GROUP)`, `two_of(GROUP)`";
    case Shape::deadline: return "day or moment";
    case Shape::flag: return "true, false";
    case Shape::value: return "scalar";
    case Shape::choice: return listed(row.of);
    case Shape::texts:
    case Shape::texts_or_none: return "text or list";
    case Shape::values: return "scalar or list";
    case Shape::choices: return "one or list of " + listed(row.of);
    case Shape::object: return link();
    case Shape::objects: return "list of " + link();
    case Shape::object_or_texts: return link() + ", text or list";
    case Shape::object_or_choices: return link() + ", word or list";
    case Shape::field_map: return "FIELD: " + link() + ", scalar or list";
    case Shape::object_map: return "NAME: " + link();
    case Shape::text_map: return "NAME: text";
    case Shape::texts_map: return "NAME: text or list";
    case Shape::steps: return "list of [step](#step)";
  }
  return {};
}

/// Indented, for people and for diffs between versions.
void write_indented(const Json& value, int depth, std::string& out) {
  const std::string indent(static_cast<size_t>(depth) * 2 + 2, ' ');
  const auto close = [&](char bracket) { out += "\n" + indent.substr(2) + bracket; };
  if (const Json::Object* object = value.object(); object != nullptr && !object->empty()) {
    const std::string flat = value.dump();
    if (flat.size() <= 100) {
      out += flat;
      return;
    }
    out += "{";
    for (size_t i = 0; i < object->size(); ++i) {
      JsonWriter name;
      name.string((*object)[i].first);
      out += (i == 0 ? "\n" : ",\n") + indent + std::string(name.finished()) + ": ";
      write_indented((*object)[i].second, depth + 1, out);
    }
    close('}');
  } else if (const Json::Array* array = value.array();
             array != nullptr && !array->empty() && value.dump().size() > 100) {
    out += "[";
    for (size_t i = 0; i < array->size(); ++i) {
      out += (i == 0 ? "\n" : ",\n") + indent;
      write_indented((*array)[i], depth + 1, out);
    }
    close(']');
  } else {
    out += value.dump();
  }
}

}  // namespace

std::string json_schema() {
  const auto json = Json::parse(SchemaWriter().write());
  std::string out;
  write_indented(*json, 0, out);
  return out + "\n";
}

std::string reference_markdown() {
  std::string out;
  std::vector<std::string_view> told;  // what two kinds of files share is shown with the first
  const auto table = [&](std::string_view root) {
    for (const std::string_view object : objects_below(root)) {
      if (std::find(told.begin(), told.end(), object) != told.end()) continue;
      told.push_back(object);
      out += fmt::format("### {}\n\n| key | value | means | example |\n| --- | --- | --- | --- |\n", object);
      for (const KeyRow& row : key_rows()) {
        if (row.object != object) continue;
        std::string example = row.example.empty() ? std::string() : fmt::format("`{}`", row.example);
        for (size_t at = 0; (at = example.find('|', at)) != std::string::npos; at += 2) example.insert(at, "\\");
        out += fmt::format("| `{}`{} | {} | {} | {} |\n", row.key, row.required ? " (needed)" : "", shape_text(row),
                           row.doc, example);
      }
      out += "\n";
    }
  };
  out += "## Policy files\n\n";
  table("policy");
  out += "## Configuration\n\n";
  table("config");
  out += "## Test files\n\n";
  table("test");
  return out;
}

}  // namespace quell::respond::policy
