// Files against the rows.
#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <functional>

#include "base/moment.h"
#include "base/text.h"
#include "model/action.h"
#include "respond/policy/schema.h"
#include "respond/policy/values.h"

namespace quell::respond::policy {
namespace {

constexpr int kMaxDepth = 16;

/// How a kind of scalar is told from others.
struct ScalarRule {
  Shape shape;
  std::string_view expected;
  bool (*holds)(const yaml::Node& node);
};

constexpr ScalarRule kScalars[] = {
    {Shape::text, "a text", [](const yaml::Node& node) { return !node.text().empty(); }},
    {Shape::value, "a text, a number or a truth value", [](const yaml::Node&) { return true; }},
    {Shape::name, "lower case letters, digits, \"-\" and \".\", at most 63 of them, such as stolen-shell",
     [](const yaml::Node& node) { return is_policy_name(node.text()); }},
    {Shape::count, "a number, 1 or more",
     [](const yaml::Node& node) {
       const auto value = node.as_u64();
       return value.has_value() && *value >= 1 && *value <= 1'000'000'000;
     }},
    {Shape::number, "a number", [](const yaml::Node& node) { return node.as_double().has_value(); }},
    {Shape::fraction, "a number from 0 to 1",
     [](const yaml::Node& node) {
       const auto value = node.as_double();
       return value.has_value() && *value >= 0 && *value <= 1;
     }},
    {Shape::duration, "a number with ms, s, m, h or d, such as 60s or 10m",
     [](const yaml::Node& node) { return parse_duration_ns(node.text()).has_value(); }},
    {Shape::rate, "a number per time, such as 5/10m",
     [](const yaml::Node& node) { return parse_rate(node.text()).has_value(); }},
    {Shape::amount, "a number or a percentage, such as 2 or 60%",
     [](const yaml::Node& node) { return parse_amount(node.text()).has_value(); }},
    {Shape::approvers, "one_of(GROUP) or two_of(GROUP)",
     [](const yaml::Node& node) { return parse_approvers(node.text()).has_value(); }},
    {Shape::deadline, "a day such as 2027-03-31 or a moment such as 2027-03-31T12:00:00Z",
     [](const yaml::Node& node) { return parse_deadline(node.text()).has_value(); }},
    {Shape::flag, "true or false", [](const yaml::Node& node) { return node.as_bool().has_value(); }},
};

class ShapeCheck {
 public:
  explicit ShapeCheck(Problems& problems) : problems_(problems) {}

  void object(const yaml::Node& node, std::string_view name) {
    if (!is_kind(node, yaml::Kind::map, fmt::format("{} must be a map of keys", quoted(name)))) return;
    if (++depth_ > kMaxDepth) {
      problems_.error(ProblemCode::bad_value, node, fmt::format("conditions are nested more than {} deep", kMaxDepth));
      --depth_;
      return;
    }
    std::vector<std::string_view> known;
    for (const KeyRow& row : key_rows())
      if (row.object == name) known.push_back(row.key);
    for (const yaml::Entry& entry : node.entries()) {
      const KeyRow* row = find(name, entry.key->text());
      if (row == nullptr) {
        const bool is_operator = name.ends_with("_match") || name == "confidence";
        problems_.error(
            is_operator ? ProblemCode::unknown_operator : ProblemCode::unknown_key, *entry.key,
            fmt::format("{} has no {} \"{}\"", quoted(name), is_operator ? "operator" : "key", entry.key->text()),
            did_you_mean(entry.key->text(), known));
        continue;
      }
      value(*entry.value, *row);
    }
    for (const KeyRow& row : key_rows()) {
      if (row.object == name && row.required && node.find(row.key) == nullptr)
        problems_.error(ProblemCode::missing_key, node, fmt::format("{} needs the key \"{}\"", quoted(name), row.key),
                        row.example.empty() ? std::string() : fmt::format("such as {}: {}", row.key, row.example));
    }
    // Nothing to compare with would hold always: not what anybody means.
    const bool compares = name.ends_with("_match") || name == "confidence" || name == "condition" ||
                          name == "exclusion" || name == "entity_group";
    if (compares && node.entries().empty())
      problems_.error(ProblemCode::missing_key, node, fmt::format("{} is empty", quoted(name)),
                      fmt::format("it can have {}", fmt::join(known, ", ")));
    --depth_;
  }

 private:
  static std::string quoted(std::string_view object) {
    if (object == "policy" || object == "config" || object == "test") return "the document";
    std::string text(object);
    std::replace(text.begin(), text.end(), '_', ' ');
    return text;
  }

  static const KeyRow* find(std::string_view object, std::string_view key) {
    const auto rows = key_rows();
    const auto found =
        std::find_if(rows.begin(), rows.end(), [&](const KeyRow& r) { return r.object == object && r.key == key; });
    return found == rows.end() ? nullptr : &*found;
  }

  bool is_kind(const yaml::Node& node, yaml::Kind kind, const std::string& message) {
    if (node.kind() == kind) return true;
    problems_.error(ProblemCode::wrong_type, node, fmt::format("{}, and is {}", message, yaml::describe(node.kind())));
    return false;
  }

  void value(const yaml::Node& node, const KeyRow& row) {
    switch (row.shape) {
      case Shape::choice: word(node, row); return;
      case Shape::texts: one_or_list(node, row, Shape::text); return;
      case Shape::texts_or_none:
        if (!node.is_sequence() || !node.items().empty()) one_or_list(node, row, Shape::text);
        return;
      case Shape::values: one_or_list(node, row, Shape::value); return;
      case Shape::choices: one_or_list(node, row, Shape::choice); return;
      case Shape::regex: regex(node, row); return;
      case Shape::object: object(node, row.of); return;
      case Shape::objects:
        if (!is_kind(node, yaml::Kind::sequence, fmt::format("\"{}\" must be a list", row.key))) return;
        for (const yaml::Node* item : node.items()) object(*item, row.of);
        if (node.items().empty())
          problems_.error(ProblemCode::bad_value, node, fmt::format("\"{}\" is an empty list", row.key));
        return;
      case Shape::object_or_texts: node.is_map() ? object(node, row.of) : one_or_list(node, row, Shape::text); return;
      case Shape::object_or_choices:
        if (node.is_map()) {
          object(node, row.of);
        } else {
          const auto first = std::find_if(key_rows().begin(), key_rows().end(),
                                          [&](const KeyRow& one) { return one.object == row.of; });
          KeyRow of_set = row;
          of_set.of = first->of;
          one_or_list(node, of_set, Shape::choice);
        }
        return;
      case Shape::field_map:
        for_each_entry(node, row, [&](const yaml::Node& one) {
          one.is_map() ? object(one, row.of) : one_or_list(one, row, Shape::value);
        });
        return;
      case Shape::object_map: for_each_entry(node, row, [&](const yaml::Node& one) { object(one, row.of); }); return;
      case Shape::text_map:
        for_each_entry(node, row, [&](const yaml::Node& one) { scalar(one, row, Shape::value); });
        return;
      case Shape::texts_map:
        for_each_entry(node, row, [&](const yaml::Node& one) { one_or_list(one, row, Shape::text); });
        return;
      case Shape::steps: steps(node, row); return;
      default: scalar(node, row, row.shape); return;
    }
  }

  template <typename Visit>
  void for_each_entry(const yaml::Node& node, const KeyRow& row, Visit visit) {
    if (!is_kind(node, yaml::Kind::map, fmt::format("\"{}\" must be a map", row.key))) return;
    for (const yaml::Entry& entry : node.entries()) {
      if (entry.key->text().empty())
        problems_.error(ProblemCode::bad_value, *entry.key, fmt::format("\"{}\" has an empty name", row.key));
      visit(*entry.value);
    }
    if (node.entries().empty()) problems_.error(ProblemCode::bad_value, node, fmt::format("\"{}\" is empty", row.key));
  }

  void one_or_list(const yaml::Node& node, const KeyRow& row, Shape shape) {
    const auto one = [&](const yaml::Node& item) {
      shape == Shape::choice ? word(item, row) : scalar(item, row, shape);
    };
    if (!node.is_sequence()) return one(node);
    if (node.items().empty())
      problems_.error(ProblemCode::bad_value, node, fmt::format("\"{}\" is an empty list", row.key));
    for (const yaml::Node* item : node.items()) one(*item);
  }

  void scalar(const yaml::Node& node, const KeyRow& row, Shape shape) {
    const auto rule = std::find_if(std::begin(kScalars), std::end(kScalars),
                                   [&](const ScalarRule& one) { return one.shape == shape; });
    if (!node.is_scalar()) {
      problems_.error(
          ProblemCode::wrong_type, node,
          fmt::format("\"{}\" must be {}, and is {}", row.key, rule->expected, yaml::describe(node.kind())));
    } else if (!rule->holds(node)) {
      problems_.error(ProblemCode::bad_value, node,
                      fmt::format("\"{}\" must be {}, not \"{}\"", row.key, rule->expected, node.text()));
    }
  }

  void regex(const yaml::Node& node, const KeyRow& row) {
    scalar(node, row, Shape::text);
    if (node.text().empty()) return;
    const re2::RE2 expression(node.text(), re2::RE2::Quiet);
    if (!expression.ok())
      problems_.error(ProblemCode::bad_regex, node,
                      fmt::format("\"{}\" is no regular expression: {}", node.text(), expression.error()),
                      "RE2 has no look-around and no back references");
  }

  void word(const yaml::Node& node, const KeyRow& row) {
    const auto words = words_of(row.of);
    if (!node.is_scalar()) {
      problems_.error(ProblemCode::wrong_type, node,
                      fmt::format("\"{}\" must be one of {}, and is {}", row.key, fmt::join(words, ", "),
                                  yaml::describe(node.kind())));
      return;
    }
    if (std::find(words.begin(), words.end(), node.text()) != words.end()) return;
    const std::string suggestion = did_you_mean(node.text(), words);
    if (row.of == "state") {
      if (parse_action_state(node.text())) {
        problems_.error(
            ProblemCode::unknown_state, node,
            fmt::format("\"{}\" is a state that an action passes through, never one that it ends in", node.text()),
            suggestion);
      } else {
        problems_.error(ProblemCode::unknown_state, node,
                        fmt::format("there is no state of an action \"{}\"", node.text()), suggestion);
      }
    } else if (row.of == "severity") {
      problems_.error(ProblemCode::unknown_severity, node, fmt::format("there is no severity \"{}\"", node.text()),
                      suggestion);
    } else {
      problems_.error(ProblemCode::unknown_choice, node, fmt::format("\"{}\" cannot be \"{}\"", row.key, node.text()),
                      suggestion);
    }
  }

  void steps(const yaml::Node& node, const KeyRow& row) {
    if (!is_kind(node, yaml::Kind::sequence, fmt::format("\"{}\" must be a list of steps", row.key))) return;
    if (node.items().empty())
      problems_.error(ProblemCode::bad_value, node, fmt::format("\"{}\" has no steps", row.key));
    if (++depth_ > kMaxDepth) {
      problems_.error(ProblemCode::bad_value, node, fmt::format("steps are nested more than {} deep", kMaxDepth));
    } else {
      for (const yaml::Node* item : node.items()) step(*item);
    }
    --depth_;
  }

  void step(const yaml::Node& node) {
    if (node.is_scalar()) return;  // the name of an action without parameters
    if (!is_kind(node, yaml::Kind::map, "a step must be an action, an `if` with `do`, or a `notify`")) return;
    const yaml::Node* condition = node.find("if");
    const yaml::Node* then = node.find("do");
    if (condition != nullptr || then != nullptr) {
      if (condition == nullptr || then == nullptr)
        problems_.error(ProblemCode::missing_key, node, "`if` and `do` belong together in one step",
                        "- if: {verified: not_contained}\n          do: [container.kill: {}]");
      if (condition != nullptr) value(*condition, *find("step", "if"));
      if (then != nullptr) value(*then, *find("step", "do"));
      for (const yaml::Entry& entry : node.entries()) {
        if (entry.value != condition && entry.value != then)
          problems_.error(ProblemCode::unknown_key, *entry.key,
                          fmt::format("a step with `if` has no key \"{}\"", entry.key->text()),
                          "make it a step of its own");
      }
      return;
    }
    if (node.entries().size() != 1) {
      problems_.error(ProblemCode::wrong_type, node,
                      fmt::format("a step is one action, and this has {} keys", node.entries().size()),
                      "begin each step with a dash of its own");
      return;
    }
    const yaml::Entry& only = node.entries().front();
    if (only.key->text() == "notify") return value(*only.value, *find("step", "notify"));
    if (!only.value->is_map() && !only.value->is_null())
      problems_.error(ProblemCode::wrong_type, *only.value,
                      fmt::format("parameters of {} must be a map, and are {}", only.key->text(),
                                  yaml::describe(only.value->kind())),
                      fmt::format("{}: {{ttl: 15m}}", only.key->text()));
  }

  Problems& problems_;
  int depth_ = 0;
};

}  // namespace

void check_shape(const yaml::Node& node, std::string_view object, Problems& problems) {
  ShapeCheck(problems).object(node, object);
}

}  // namespace quell::respond::policy
