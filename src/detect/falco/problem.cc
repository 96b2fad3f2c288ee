#include "detect/falco/problem.h"

#include <array>

#include "base/json.h"
#include "base/text.h"

namespace quell::detect::falco {
namespace {

struct CodeText {
  std::string_view name;
  std::string_view text;
};
constexpr std::array kCodes{
    CodeText{"LOAD_UNKNOWN_SOURCE", "Unknown event source"},
    CodeText{"LOAD_UNSAFE_NA_CHECK", "Unsafe <NA> comparison in condition"},
    CodeText{"LOAD_NO_EVTTYPE", "Condition has no event-type restriction"},
    CodeText{"LOAD_UNKNOWN_FILTER", "Unknown field or event-type in condition or output"},
    CodeText{"LOAD_UNUSED_MACRO", "Unused macro"},
    CodeText{"LOAD_UNUSED_LIST", "Unused list"},
    CodeText{"LOAD_UNKNOWN_ITEM", "Unknown rules file item"},
    CodeText{"LOAD_DEPRECATED_ITEM", "Used deprecated item"},
    CodeText{"LOAD_WARNING_EXTENSION", "Warning in extension item"},
    CodeText{"LOAD_APPEND_NO_VALUES", "Overriding/appending with no values"},
    CodeText{"LOAD_EXCEPTION_NAME_NOT_UNIQUE", "Multiple exceptions defined with the same name"},
    CodeText{"LOAD_INVALID_MACRO_NAME", "Invalid macro name"},
    CodeText{"LOAD_INVALID_LIST_NAME", "Invalid list name"},
    CodeText{"LOAD_COMPILE_CONDITION", "Warning in rule condition"},
    CodeText{"LOAD_UNKNOWN_KEY", "Unknown key in item definition"},
    CodeText{"LOAD_ERR_FILE_READ", "File read error"},
    CodeText{"LOAD_ERR_YAML_PARSE", "YAML parse error"},
    CodeText{"LOAD_ERR_YAML_VALIDATE", "Error validating internal structure of YAML file"},
    CodeText{"LOAD_ERR_COMPILE_CONDITION", "Error compiling condition"},
    CodeText{"LOAD_ERR_COMPILE_OUTPUT", "Error compiling output"},
    CodeText{"LOAD_ERR_VALIDATE", "Error validating rule/macro/list/exception objects"},
    CodeText{"LOAD_ERR_EXTENSION", "Error in extension item"},
};
static_assert(kCodes.size() == static_cast<size_t>(LoadCode::err_extension) + 1);

// The line with its caret; a tab before the caret stays a tab, so that both lines shift alike.
std::string caret_lines(const Problem& problem, std::string_view indent) {
  std::string out(indent);
  out += problem.excerpt;
  out += '\n';
  out += indent;
  uint32_t column = 0;
  for (const char c : problem.excerpt) {
    if ((static_cast<uint8_t>(c) & 0xC0) == 0x80) continue;
    if (column++ == problem.excerpt_column) break;
    out += c == '\t' ? '\t' : ' ';
  }
  out.append(problem.excerpt_column > column ? problem.excerpt_column - column : 0, ' ');
  return out + "^\n";
}

std::string location_text(const Location& location) {
  std::string out = location.item_type;
  const bool is_expression = location.item_type == "condition expression";
  if (!location.item_name.empty() && !is_expression) out += " '" + location.item_name + "'";
  out += ": (" + (is_expression ? '"' + location.item_name + '"' : location.file);
  return out + ':' + std::to_string(location.line) + ':' + std::to_string(location.column) + ")\n";
}

void append_verbose(std::string& out, const std::vector<Problem>& problems, std::string_view kind) {
  if (problems.empty()) return;
  out += std::to_string(problems.size()) + ' ' + std::string(kind) + ":\n";
  for (const Problem& problem : problems) {
    for (size_t i = 0; i < problem.locations.size(); ++i)
      out += (i == 0 ? "In " : "    ") + location_text(problem.locations[i]);
    if (!problem.excerpt.empty()) out += "------\n" + caret_lines(problem, "") + "------\n";
    out += std::string(code_name(problem.code)) + " (" + std::string(code_text(problem.code)) +
           "): " + problem.message + '\n';
  }
}

void append_codes(std::string& out, const std::vector<Problem>& problems, std::string_view kind) {
  if (problems.empty()) return;
  out += ' ' + std::to_string(problems.size()) + ' ' + std::string(kind) + ": [";
  for (size_t i = 0; i < problems.size(); ++i) {
    if (i > 0) out += ' ';
    out += std::string(code_name(problems[i].code)) + " (" + std::string(code_text(problems[i].code)) + ')';
  }
  out += ']';
}

void append_schema(std::string& out, const FileResult& result) {
  if (result.schema_warnings.empty()) return;
  out += ' ' + std::to_string(result.schema_warnings.size()) + " schema warnings: [";
  for (size_t i = 0; i < result.schema_warnings.size(); ++i) out += (i > 0 ? "; " : "") + result.schema_warnings[i];
  out += ']';
}

std::string state(const FileResult& result) {
  if (!result.successful()) return result.name + ": Invalid";
  const bool warned = !result.warnings.empty() || !result.schema_warnings.empty();
  return result.name + (warned ? ": Ok, with warnings" : ": Ok");
}

void put_problems(JsonWriter& writer, const std::vector<Problem>& problems) {
  writer.begin_array();
  for (const Problem& problem : problems) {
    writer.begin_object();
    writer.key("context").begin_object();
    writer.key("locations").begin_array();
    for (const Location& location : problem.locations) {
      writer.begin_object();
      writer.text("item_name", location.item_name);
      writer.text("item_type", location.item_type);
      writer.key("position").begin_object();
      writer.key("column").number(uint64_t{location.column});
      writer.key("line").number(uint64_t{location.line});
      writer.text("name", location.file);
      writer.key("offset").number(uint64_t{location.offset});
      writer.end_object();
      writer.end_object();
    }
    writer.end_array();
    writer.text("snippet", problem.excerpt.empty() ? "" : caret_lines(problem, ""));
    writer.end_object();
    writer.text("code", code_name(problem.code));
    writer.text("codedesc", code_text(problem.code));
    writer.text("message", problem.message);
    writer.end_object();
  }
  writer.end_array();
}

void append_readable(std::string& out, const std::vector<Problem>& problems, std::string_view kind) {
  for (const Problem& problem : problems) {
    out += problem.file;
    if (problem.line > 0) out += ':' + std::to_string(problem.line) + ':' + std::to_string(problem.column);
    out += ": " + std::string(kind) + ": ";
    for (const Location& location : problem.locations) {
      if (location.item_name.empty() || location.item_type == "condition expression") continue;
      out += location.item_type + " '" + location.item_name + "': ";
    }
    out += problem.message + " [" + std::string(code_name(problem.code)) + "]\n";
    if (!problem.excerpt.empty()) out += caret_lines(problem, "    ");
    if (!problem.suggestion.empty()) out += "    help: " + problem.suggestion + '\n';
  }
}

}  // namespace

bool is_error(LoadCode code) { return code >= LoadCode::err_file_read; }
std::string_view code_name(LoadCode code) { return kCodes[static_cast<size_t>(code)].name; }
std::string_view code_text(LoadCode code) { return kCodes[static_cast<size_t>(code)].text; }

std::string_view to_string(SchemaStatus status) {
  switch (status) {
    case SchemaStatus::none: return "none";
    case SchemaStatus::ok: return "ok";
    case SchemaStatus::failed: return "failed";
  }
  return "none";
}

std::string summary(const FileResult& result) {
  std::string out = state(result);
  append_codes(out, result.errors, "errors");
  append_codes(out, result.warnings, "warnings");
  append_schema(out, result);
  return out;
}

std::string verbose(const FileResult& result) {
  std::string out = state(result) + '\n';
  append_verbose(out, result.errors, "Errors");
  append_verbose(out, result.warnings, "Warnings");
  for (const std::string& warning : result.schema_warnings) out += "schema validation: " + warning + '\n';
  return out;
}

std::string json(const FileResult& result) {
  JsonWriter writer;
  writer.begin_object();
  writer.key("errors");
  put_problems(writer, result.errors);
  writer.text("name", result.name);
  writer.key("schema_warnings").begin_array();
  for (const std::string& warning : result.schema_warnings) writer.string(warning);
  writer.end_array();
  writer.key("successful").boolean(result.successful());
  writer.key("warnings");
  put_problems(writer, result.warnings);
  writer.end_object();
  return writer.take();
}

std::string readable(const FileResult& result) {
  std::string out;
  append_readable(out, result.errors, "error");
  append_readable(out, result.warnings, "warning");
  return out;
}

}  // namespace quell::detect::falco
