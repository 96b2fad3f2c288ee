#pragma once
// What a rule loader produces and the compiler consumes: rules whose lists, macros, exceptions and overrides are
// resolved.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "detect/ast.h"
#include "model/event_schema.h"
#include "model/severity.h"

namespace quell::detect {

/// How repeats of a rule's detections are folded into a counter, where the rule says so itself.
struct FoldSpec {
  std::vector<std::string> by;        // fields whose values make two detections the same; empty: what the output names
  std::optional<uint64_t> window_ns;  // nothing: as long as for all rules; 0: never folded
  bool operator==(const FoldSpec&) const = default;
};

/// An exception as its rule defines it: which fields are compared how. The values are part of the condition already.
struct ExceptionShape {
  std::string name;
  std::vector<std::string> fields, comps;  // parallel
  bool has_field_list = true;              // false: one field, and values are one list for it
};

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
  std::vector<ExceptionShape> exceptions;
  FoldSpec fold;
  std::string file;  // of the first definition
  uint32_t line = 0;
  std::vector<EventCode> event_codes;  // for which the condition can be true (source syscall)
};

/// One exception entry of a file, with what people want to know about it before they trust or remove it.
struct ExceptionRecord {
  std::string rule, name;
  std::string owner, reason;
  std::string expires;      // as written; empty: never
  uint64_t expires_ns = 0;  // realtime, exclusive; 0: never
  bool is_expired = false;  // when the files were loaded: its values do not apply
  bool is_orphan = false;   // no rule of that name is loaded
  size_t value_count = 0;
  std::string file;
  uint32_t line = 0;
};

struct RuleSet {
  std::vector<Rule> rules;                  // in order of evaluation: first definition across all files
  std::vector<ExceptionRecord> exceptions;  // every entry that has values, in the order of the rules
};

}  // namespace quell::detect
