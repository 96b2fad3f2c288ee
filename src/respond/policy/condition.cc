#include "respond/policy/condition.h"

#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "respond/policy/detection_fields.h"

namespace quell::respond::policy {
namespace {

bool equals_one(const GlobList& list, std::string_view value) {
  const auto& all = list.written();
  return std::find(all.begin(), all.end(), value) != all.end();
}

bool compares(ValueTest::Op op, std::string_view value, double with) {
  double number = 0;
  const auto end = std::from_chars(value.data(), value.data() + value.size(), number);
  if (end.ec != std::errc() || end.ptr != value.data() + value.size()) return false;
  switch (op) {
    case ValueTest::Op::gte: return number >= with;
    case ValueTest::Op::gt: return number > with;
    case ValueTest::Op::lte: return number <= with;
    default: return number < with;
  }
}

/// Of one value.
bool passes(const ValueTest& test, std::string_view value) {
  switch (test.op) {
    case ValueTest::Op::in:
    case ValueTest::Op::not_in: return equals_one(test.list, value);
    case ValueTest::Op::glob:
    case ValueTest::Op::not_glob: return test.list.matches(value);
    case ValueTest::Op::regex: return re2::RE2::PartialMatch(re2::StringPiece(value.data(), value.size()), *test.regex);
    case ValueTest::Op::exists:
    case ValueTest::Op::is_absent: return true;
    case ValueTest::Op::all_of_globs: return false;
    default: return compares(test.op, value, test.number);
  }
}

constexpr bool is_denial(ValueTest::Op op) {
  return op == ValueTest::Op::not_in || op == ValueTest::Op::not_glob || op == ValueTest::Op::is_absent;
}

/// Of all values: `each` calls its argument with every one of them.
template <typename Each>
bool test_holds(const ValueTest& test, Each each) {
  if (test.op == ValueTest::Op::all_of_globs) {
    return std::all_of(test.list.written().begin(), test.list.written().end(), [&](const std::string& glob) {
      bool found = false;
      each([&](std::string_view value) { found = found || glob_match(glob, value); });
      return found;
    });
  }
  bool any = false;
  each([&](std::string_view value) { any = any || passes(test, value); });
  return any != is_denial(test.op);
}

template <typename Each>
bool tests_hold(const std::vector<ValueTest>& tests, Each each) {
  return std::all_of(tests.begin(), tests.end(), [&](const ValueTest& test) { return test_holds(test, each); });
}

auto only(std::string_view value) {
  return [value](const auto& visit) { visit(value); };
}

}  // namespace

bool holds(const Condition& condition, const Detection& detection) {
  const auto part_holds = [&](const Condition& part) { return holds(part, detection); };
  switch (condition.kind) {
    case Condition::Kind::all: return std::all_of(condition.parts.begin(), condition.parts.end(), part_holds);
    case Condition::Kind::any: return std::any_of(condition.parts.begin(), condition.parts.end(), part_holds);
    case Condition::Kind::negation: return !holds(condition.parts.front(), detection);
    case Condition::Kind::rule: return tests_hold(condition.tests, only(detection.rule));
    case Condition::Kind::severity: return (condition.severities >> static_cast<int>(detection.severity()) & 1) != 0;
    case Condition::Kind::tags:
      return tests_hold(condition.tests, [&](const auto& visit) {
        for (const std::string& tag : detection.tags) visit(tag);
      });
    case Condition::Kind::source: return tests_hold(condition.tests, only(detection.source));
    case Condition::Kind::field:
      return tests_hold(condition.tests, [&](const auto& visit) { for_each_value(detection, condition.field, visit); });
  }
  return false;
}

Truth could_hold(const Condition& condition, std::string_view rule, Severity severity) {
  const auto known = [](bool value) { return value ? Truth::yes : Truth::no; };
  switch (condition.kind) {
    case Condition::Kind::all: {
      Truth out = Truth::yes;
      for (const Condition& part : condition.parts) out = std::min(out, could_hold(part, rule, severity));
      return out;
    }
    case Condition::Kind::any: {
      Truth out = Truth::no;
      for (const Condition& part : condition.parts) out = std::max(out, could_hold(part, rule, severity));
      return out;
    }
    case Condition::Kind::negation:
      switch (could_hold(condition.parts.front(), rule, severity)) {
        case Truth::no: return Truth::yes;
        case Truth::yes: return Truth::no;
        default: return Truth::maybe;
      }
    case Condition::Kind::rule: return known(tests_hold(condition.tests, only(rule)));
    case Condition::Kind::severity: return known((condition.severities >> static_cast<int>(severity) & 1) != 0);
    default: return Truth::maybe;
  }
}

bool names_source(const Condition& condition, std::string_view source) {
  if (condition.kind == Condition::Kind::source) {
    return std::any_of(condition.tests.begin(), condition.tests.end(),
                       [&](const ValueTest& test) { return equals_one(test.list, source); });
  }
  if (condition.kind == Condition::Kind::negation) return false;
  return std::any_of(condition.parts.begin(), condition.parts.end(),
                     [&](const Condition& part) { return names_source(part, source); });
}

}  // namespace quell::respond::policy
