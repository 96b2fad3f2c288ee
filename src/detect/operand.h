#pragma once
// What stands on the left of a comparison, or on the right as a field: a field or a transformer over operands.
#include <optional>
#include <string>
#include <vector>

#include "detect/ast.h"
#include "detect/fields/field.h"
#include "detect/semantics.h"

namespace quell::detect {

enum class Transformer : uint8_t { tolower, toupper, b64, basename, len, join, concat, getopt };

struct CompiledOperand {
  enum class Kind : uint8_t { field, transformer, literal, list };
  Kind kind = Kind::field;
  FieldRef field;
  uint32_t slot = 0;  // of the field in its program; equal fields share one
  Transformer transformer = Transformer::tolower;
  std::optional<std::string> key;  // getopt(...)[key]
  std::string literal;
  std::vector<CompiledOperand> args;

  Type type = Type::text;
  bool is_list = false;
  Several several = Several::no;
  Scope scope = Scope::event;
  std::string text;  // canonical
};

/// Resolves fields and checks types. On failure `finding` says why.
struct OperandCompilation {
  std::optional<CompiledOperand> operand;
  Finding finding;
};
OperandCompilation compile_operand(const Operand& operand);

/// Where evaluation finds field values already extracted for this event.
class FieldMemo {
 public:
  void resize(size_t slots) {
    stamps_.assign(slots, 0);
    values_.resize(slots);
    epoch_ = 0;
  }
  void next_event() {
    if (++epoch_ == 0) {
      std::fill(stamps_.begin(), stamps_.end(), 0);
      epoch_ = 1;
    }
  }
  const Value& get(const Extract& x, const CompiledOperand& operand) {
    if (stamps_[operand.slot] != epoch_) {
      values_[operand.slot] = operand.field.spec->get(x, operand.field.arg);
      stamps_[operand.slot] = epoch_;
    }
    return values_[operand.slot];
  }

 private:
  std::vector<uint32_t> stamps_;
  std::vector<Value> values_;
  uint32_t epoch_ = 0;
};

/// Of operands other than fields.
Value evaluate_compound(const CompiledOperand& operand, const Extract& x, FieldMemo* memo);

/// The operand's value for this event. `memo` null: extract anew.
inline Value evaluate(const CompiledOperand& operand, const Extract& x, FieldMemo* memo) {
  if (operand.kind != CompiledOperand::Kind::field) return evaluate_compound(operand, x, memo);
  return memo != nullptr ? memo->get(x, operand) : operand.field.spec->get(x, operand.field.arg);
}

/// A value as text, as outputs print it ("<NA>" for absent). Lists as (a,b,c).
std::string value_text(const Value& value);

}  // namespace quell::detect
