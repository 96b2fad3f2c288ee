#pragma once
// What a policy asks of a detection: a tree of tests. AND by default, OR where it says so.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/detection.h"
#include "respond/policy/values.h"

namespace re2 {
class RE2;
}

namespace quell::respond::policy {

/// One test of a value that is a text, or of all values of one field. Those that ask that something is not so hold when
/// there is no value.
struct ValueTest {
  enum class Op : uint8_t { in, not_in, glob, not_glob, regex, gte, gt, lte, lt, exists, is_absent, all_of_globs };
  Op op = Op::in;
  GlobList list{};  // in, not_in: taken literally
  std::shared_ptr<const re2::RE2> regex{};
  double number = 0;
};

struct Condition {
  enum class Kind : uint8_t { all, any, negation, rule, severity, tags, source, field };
  Kind kind = Kind::all;
  std::vector<Condition> parts{};  // of all, any, negation
  std::string field{};
  std::vector<ValueTest> tests{};  // of rule, tags, source, field; every one must hold
  uint8_t severities = 0;          // bit n: severity n is allowed
};

bool holds(const Condition& condition, const Detection& detection);

enum class Truth : uint8_t { no, maybe, yes };
/// What holds() can say of detections of that rule and severity: what sorts policies before each is asked.
Truth could_hold(const Condition& condition, std::string_view rule, Severity severity);

/// True if the condition names the source somewhere in a place where it must hold.
bool names_source(const Condition& condition, std::string_view source);

}  // namespace quell::respond::policy
