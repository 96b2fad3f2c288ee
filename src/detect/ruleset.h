#pragma once
// What a rule loader produces and the compiler consumes: rules whose lists, macros, exceptions and overrides are
// resolved.
#include <cstdint>
#include <string>
#include <vector>

#include "detect/ast.h"
#include "model/event_schema.h"
#include "model/severity.h"

namespace quell::detect {

/// Something that goes to output_fields without standing in the output.
struct ExtraField {
  std::string name;  // empty: the field's own, and its value as it is; else the filled template as text
  std::string text;  // a template: "%proc.pid"
};

struct Rule {
  std::string name;
  std::string description;
  std::string source = "syscall";
  std::string condition_text;  // as written, appends included
  ExprPtr condition;           // resolved, never null: rules of unknown sources are left out
  std::string output;          // template, trimmed, without the leading '*'
  std::vector<ExtraField> extra_fields;
  Priority priority = Priority::debug;
  std::vector<std::string> tags;  // sorted, unique
  bool enabled = true;
  bool capture = false;
  uint64_t capture_duration_ms = 0;
  std::vector<std::string> exception_names;
  std::vector<std::string> exception_fields;
  std::string file;  // of the first definition
  uint32_t line = 0;
  std::vector<EventCode> event_codes;  // for which the condition can be true (source syscall)
};

/// In order of evaluation: first definition across all files.
struct RuleSet {
  std::vector<Rule> rules;
};

}  // namespace quell::detect
