#pragma once
// What a rule file can be told: codes and short texts that Falco's users and tools know, with the exact place, and the
// forms in which problems are shown.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace quell::detect::falco {

enum class LoadCode : uint8_t {
  // warnings: loading goes on
  unknown_source,
  unsafe_na_check,
  no_evttype,
  unknown_filter,
  unused_macro,
  unused_list,
  unknown_item,
  deprecated_item,
  extension_warning,
  append_no_values,
  exception_name_not_unique,
  invalid_macro_name,
  invalid_list_name,
  compile_condition,
  unknown_key,
  // errors: the file is refused
  err_file_read,
  err_yaml_parse,
  err_yaml_validate,
  err_compile_condition,
  err_compile_output,
  err_validate,
  err_extension,
};
bool is_error(LoadCode code);
/// "LOAD_UNKNOWN_SOURCE"
std::string_view code_name(LoadCode code);
/// "Unknown event source"
std::string_view code_text(LoadCode code);

/// One step of the way from the file down to the thing that is wrong. Lines and columns as Falco prints them: of YAML
/// marks from 0, of conditions the mark plus the place in the condition from 1.
struct Location {
  std::string item_type;  // "rules content", "rule", "condition expression"
  std::string item_name;
  std::string file;
  uint32_t line = 0, column = 0, offset = 0;
};

struct Problem {
  LoadCode code = LoadCode::err_validate;
  std::string message;
  std::string suggestion;  // "did you mean 'proc.name'?", empty if there is nothing to suggest
  std::vector<Location> locations;
  // The true place in the file, from 1, also inside block scalars, appended conditions and macros.
  std::string file;
  uint32_t line = 0, column = 0;
  std::string excerpt;          // that source line, at most 160 bytes of it around the place
  uint32_t excerpt_column = 0;  // characters of the excerpt in front of the place

  bool operator==(const Problem& other) const {
    return code == other.code && message == other.message && file == other.file && line == other.line &&
           column == other.column;
  }
};

/// Whether the file has the shape that rule files should have. Never decides whether it loads.
enum class SchemaStatus : uint8_t { none, ok, failed };
std::string_view to_string(SchemaStatus status);

/// What one file said.
struct FileResult {
  std::string name;
  std::vector<Problem> errors;
  std::vector<Problem> warnings;
  SchemaStatus schema = SchemaStatus::none;  // none: not YAML, so not checked
  std::vector<std::string> schema_warnings;

  bool successful() const { return errors.empty(); }
};

/// One line per file: `rules.yaml: Ok`, or the counts and codes.
std::string summary(const FileResult& result);
/// Falco's long form: for each problem the chain of locations, the source line and a caret.
std::string verbose(const FileResult& result);
/// Falco's JSON form of one file, an object.
std::string json(const FileResult& result);
/// Quell's own form: `file:line:col: error: message`, source line, caret, suggestion. Empty if there is nothing to say.
std::string readable(const FileResult& result);

}  // namespace quell::detect::falco
