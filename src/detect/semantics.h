#pragma once
// What the loader of a rule language asks about meaning: fields, types, event names, output templates. Implemented by
// the field catalogue and the compiler; a loader knows only this, so a second language can share it.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "detect/ast.h"

namespace quell::detect {

/// A finding about a condition or an output. `pos` is in the text that the tree was parsed from.
struct Finding {
  bool is_error = true;
  /// An unknown field, event type or formatting token: what skip-if-unknown-filter turns into a warning.
  bool unknown_filter = false;
  std::string message;
  std::string suggestion;  // "did you mean proc.name?"; empty if there is none
  TextPos pos;
  /// What a warning is about; Falco's users tell these apart by code. Nothing for errors.
  enum class Topic : uint8_t { condition, unsafe_na_check, deprecated_item };
  Topic topic = Topic::condition;
};

class Semantics {
 public:
  virtual ~Semantics() = default;

  /// True if rules of this source can be loaded ("syscall").
  virtual bool knows_source(std::string_view source) const = 0;
  /// Empty if `text` (a field with or without argument, or a transformer expression already parsed) is usable on the
  /// left of a comparison for this source.
  virtual std::optional<Finding> check_operand(std::string_view source, const Operand& operand) const = 0;
  /// Every error and warning of a condition whose macros are resolved: unknown fields and arguments, operators that a
  /// type does not take, constants that do not parse, incompatible right-hand fields, misused constants, slow regexes.
  virtual std::vector<Finding> check_condition(std::string_view source, const Expr& condition) const = 0;
  /// Every error and warning of an output template.
  virtual std::vector<Finding> check_output(std::string_view source, std::string_view output) const = 0;
};

}  // namespace quell::detect
