#include "apps/quell/rule_fields.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "detect/fields/catalog.h"

namespace quell::cli {
namespace {

using detect::FieldClass;
using detect::FieldSpec;

constexpr std::string_view kMarkdownHead =
    R"(# Fields

Every field that conditions and outputs of rules can use, for the source `syscall`. This file is written by
`quell rule fields -o markdown > docs/fields.md`, from the rows that the engine reads; a test fails when it is stale.

- **Absent.** A field has no value on events that its *events* column does not name, and where nothing is known. Every
  comparison with an absent field is false, `!=` and `exists` too; outputs print `<NA>`, JSON has `null`. Fields that are
  known to be empty are present. Some print the text `<NA>` as their value; those say so.
- **Argument.** `[N]` is a number from 0, `[KEY]` a name; `.KEY` says that the name may also follow a dot. Where the
  argument is optional, the description says what the field means without it.
- **Types.** Numbers are decimal in outputs and numbers in JSON; `bool` is true or false; `ip`, `net` and `port` compare as
  such, ports also by service name; `reltime` and `abstime` are nanoseconds; `dynamic` is the type of the parameter named.
- **Limits.** *condition only*: refused in outputs. *output only*: refused in conditions. *no transformers*: cannot stand
  in `tolower()` and the like. *no val()*: cannot be compared with another field. *any*: stands for several values, one of
  which has to satisfy the comparison.
)";

bool contains(std::string_view text, std::string_view word) {
  const auto lower = [](unsigned char c) { return std::tolower(c); };
  return std::search(text.begin(), text.end(), word.begin(), word.end(), [&](char a, char b) {
           return lower(static_cast<unsigned char>(a)) == lower(static_cast<unsigned char>(b));
         }) != text.end();
}

bool is_shown(const FieldSpec& field, const FieldFilter& filter) {
  return field.name.starts_with(filter.prefix) &&
         (contains(field.name, filter.search) || contains(field.doc, filter.search));
}

std::string argument_text(const FieldSpec& field) {
  const std::string dot = (field.flags & detect::kDotArgument) != 0 ? " or .KEY" : "";
  switch (field.arg) {
    case detect::Arg::none: return {};
    case detect::Arg::optional_index: return "[N], optional";
    case detect::Arg::required_index: return "[N]";
    case detect::Arg::optional_key: return "[KEY]" + dot + ", optional";
    case detect::Arg::required_key: return "[KEY]" + dot;
  }
  return {};
}

std::string type_text(const FieldSpec& field) {
  return std::string(to_string(field.type)) + (field.is_list ? " list" : "");
}

std::vector<std::string_view> limits(const FieldSpec& field) {
  std::vector<std::string_view> out;
  const auto add = [&](uint8_t flag, std::string_view text) {
    if ((field.flags & flag) != 0) out.push_back(text);
  };
  add(detect::kDeprecated, "deprecated");
  add(detect::kFilterOnly, "condition only");
  add(detect::kOutputOnly, "output only");
  if (field.several != detect::Several::no) out.push_back("any");
  add(detect::kNoTransformers, "no transformers");
  add(detect::kNoRightSide, "no val()");
  return out;
}

std::string_view events_of(const FieldSpec& field, const FieldClass& one) {
  return field.events.empty() ? one.events : field.events;
}

std::string json_of(const FieldSpec& field, const FieldClass& one) {
  const auto has = [&](uint8_t flag) { return (field.flags & flag) != 0; };
  JsonWriter out;
  out.begin_object().text("name", field.name).text("class", one.name).text("type", to_string(field.type));
  out.flag("is_list", field.is_list).text("argument", argument_text(field));
  out.flag("filter_only", has(detect::kFilterOnly)).flag("output_only", has(detect::kOutputOnly));
  out.flag("transformers", !has(detect::kNoTransformers)).flag("right_side", !has(detect::kNoRightSide));
  out.flag("deprecated", has(detect::kDeprecated)).text("description", field.doc).text("example", field.example);
  out.text("events", events_of(field, one)).end_object();
  return out.take();
}

void print_row(const FieldSpec& field) {
  std::string notes;
  for (const std::string_view limit : limits(field)) notes += fmt::format(", {}", limit);
  const std::string argument = argument_text(field);
  fmt::print("  {}{}  {}{}{}\n      {}\n      example: {}\n", field.name,
             argument.substr(0, argument.find_first_of(" ,")), type_text(field),
             argument.ends_with("optional") ? ", argument optional" : "", notes, field.doc, field.example);
  if (!field.events.empty()) fmt::print("      events: {}\n", field.events);
}

/// Text in a cell of a Markdown table.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    if (c == '<') {
      out += "&lt;";
      continue;
    }
    out += c;
  }
  return out;
}
std::string code_cell(std::string_view text) {
  std::string out = "`";
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out + "`";
}

void print_markdown_row(const FieldSpec& field, const FieldClass& one) {
  const std::string argument = argument_text(field);
  fmt::print("| {} | {} | {} | {} | {} | {} | {} |\n", code_cell(field.name), type_text(field),
             argument.empty() ? std::string()
                              : code_cell(argument.substr(0, argument.find(','))) +
                                    (argument.ends_with("optional") ? " optional" : ""),
             cell(field.doc), code_cell(field.example), cell(events_of(field, one)), fmt::join(limits(field), ", "));
}

}  // namespace

void add_field_filter(CLI::App& command, FieldFilter& filter) {
  command.add_option("PREFIX", filter.prefix, "only fields whose name begins so")->type_name("");
  command.add_option("--search", filter.search, "only fields with this in their name or description")
      ->type_name("WORD");
  std::string names;
  for (const FieldClass& one : detect::field_classes()) names += (names.empty() ? "" : ", ") + std::string(one.name);
  command.add_option("--class", filter.class_name, "only one class of fields: " + names)->type_name("CLASS");
}

Exit print_fields(const Globals& globals, const FieldFilter& filter) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name", "markdown"});
  if (!format) return fail(format.error());
  const auto classes = detect::field_classes();
  std::vector<std::string_view> class_names, names;
  for (const FieldClass& one : classes) class_names.push_back(one.name);
  if (!filter.class_name.empty() &&
      std::find(class_names.begin(), class_names.end(), filter.class_name) == class_names.end()) {
    return fail({Code::invalid_argument,
                 fmt::format("there is no class of fields \"{}\"; there are {}", filter.class_name,
                             fmt::join(class_names, ", ")),
                 {}});
  }
  std::vector<std::string> items;
  size_t shown = 0;
  for (const FieldClass& one : classes) {
    if (!filter.class_name.empty() && one.name != filter.class_name) continue;
    bool is_first = true;
    for (const FieldSpec& field : one.rows) {
      names.push_back(field.name);
      if (!is_shown(field, filter)) continue;
      if (*format == "markdown" && shown == 0) fmt::print("{}", kMarkdownHead);
      if (*format == "markdown" && is_first)
        fmt::print(
            "\n## {}\n\n| field | type | argument | meaning | example | events | limits |\n"
            "|---|---|---|---|---|---|---|\n",
            one.title);
      if (*format == "table" && is_first)
        fmt::print("{}{}{}\n", shown == 0 ? "" : "\n", one.title,
                   one.events.empty() ? std::string() : fmt::format(" ({})", one.events));
      is_first = false;
      ++shown;
      if (*format == "name") fmt::print("{}\n", field.name);
      if (*format == "table") print_row(field);
      if (*format == "markdown") print_markdown_row(field, one);
      if (format->starts_with("json")) items.push_back(json_of(field, one));
    }
  }
  if (shown == 0) {
    const std::string_view near = filter.search.empty() ? nearest(filter.prefix, names) : std::string_view{};
    return fail(
        {Code::not_found,
         fmt::format("no field {}{}",
                     filter.search.empty() ? fmt::format("begins with \"{}\"", filter.prefix)
                                           : fmt::format("has \"{}\" in its name or description", filter.search),
                     near.empty() ? std::string() : fmt::format("; did you mean \"{}\"?", near)),
         {}});
  }
  if (*format == "jsonl") fmt::print("{}\n", fmt::join(items, "\n"));
  if (*format == "json") fmt::print("{{\"apiVersion\":\"quell/v1\",\"items\":[{}]}}\n", fmt::join(items, ","));
  return Exit::done;
}

}  // namespace quell::cli
