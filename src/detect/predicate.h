#pragma once
// One comparison of a condition, compiled: constants parsed into what the comparison needs, types checked.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "detect/ast.h"
#include "detect/matchers.h"
#include "detect/operand.h"

namespace re2 {
class RE2;
}

namespace quell::detect {

class DomainTable;

struct IpNet {
  IpAddress address;
  uint8_t bits = 0;
  bool contains(const IpAddress& other) const;
};

struct Predicate {
  CompiledOperand left;
  Op op = Op::exists;
  Modifier modifier = Modifier::none;
  std::optional<CompiledOperand> right;

  // Constants, by the type of the left side. Only what the operator needs is filled.
  std::vector<std::string> texts;
  TextSet set;
  std::vector<uint64_t> numbers;  // sorted; signed ones as two's complement
  bool boolean = false;
  std::vector<IpAddress> addresses;
  std::vector<IpNet> nets;
  std::vector<std::shared_ptr<re2::RE2>> regexes;
  PathPrefixes prefixes;
  bool is_plain = false;   // one field against one constant of the usual kinds
  bool is_domain = false;  // fd.*ip.name: texts are names that addresses are looked up among

  Scope scope = Scope::event;
  uint8_t cost = 0;      // rough instructions / 16, for ordering
  uint32_t subject = 0;  // in its program, and which of the subject's predicates it is
  uint32_t leaf = 0;
  uint32_t operand = 0;  // which of the subject's operands is the left side
  std::string text;      // canonical; equal texts are one predicate
};

struct PredicateCompilation {
  std::optional<Predicate> predicate;
  std::vector<Finding> findings;  // errors when there is no predicate; else warnings
};
PredicateCompilation compile_predicate(const Check& check, bool fd_net_in_first_only);

/// Whether a single value satisfies the comparison with its constants. False for absent values and for lists.
bool value_satisfies(const Predicate& predicate, const Value& value, const DomainTable* domains = nullptr);

/// Whether a value that is there, single or several, satisfies the comparison with its constants; with `exists` it
/// does.
bool present_value_holds(const Predicate& predicate, const Value& value, const DomainTable* domains);

/// False when the value is absent, whatever the operator.
bool holds(const Predicate& predicate, const Extract& x, FieldMemo* memo, const DomainTable* domains);

}  // namespace quell::detect
