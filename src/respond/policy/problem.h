#pragma once
// What is wrong with a file that people write, with its place; all problems of a file are collected, none stops the
// reading.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/yaml.h"

namespace quell::respond::policy {

enum class ProblemCode : uint8_t {
  unreadable,
  yaml,
  unknown_key,
  duplicate_key,
  missing_key,
  wrong_type,
  bad_value,
  unknown_choice,
  unknown_operator,
  unknown_severity,
  unknown_state,
  unknown_action,
  unknown_parameter,
  unknown_group,
  unknown_rule,
  unknown_field,
  bad_regex,
  duplicate_name,
  no_group_by,
  no_ttl,
  no_limits,
  critical_automatic,
  notify_not_configured,
  impossible_target,
  expired,
  never_true,
};
/// "unknown_key".
std::string_view to_string(ProblemCode code);

struct Problem {
  ProblemCode code = ProblemCode::bad_value;
  bool is_error = true;
  std::string message;
  std::string suggestion;  // what to do about it; may be empty
  std::string file;
  uint32_t line = 0, column = 0;  // from 1; 0 if the problem is the whole file's
  std::string excerpt;            // the source line, at most 160 bytes of it around the place
  uint32_t excerpt_column = 0;    // characters of the excerpt in front of the place
};

/// Problems of one file, in the order of their places once sort() was called.
class Problems {
 public:
  void error(ProblemCode code, const yaml::Node& at, std::string message, std::string suggestion = {}) {
    add(true, code, at, std::move(message), std::move(suggestion));
  }
  void warning(ProblemCode code, const yaml::Node& at, std::string message, std::string suggestion = {}) {
    add(false, code, at, std::move(message), std::move(suggestion));
  }
  void add(bool is_error, ProblemCode code, const yaml::Node& at, std::string message, std::string suggestion = {});
  /// What libyaml or the system says about the file called `name`; a place in `failure` is taken over.
  void of_file(const std::string& name, std::string_view text, const Error& failure);

  void sort();
  size_t errors() const;
  const std::vector<Problem>& all() const { return all_; }
  std::vector<Problem> take() { return std::move(all_); }

 private:
  std::vector<Problem> all_;
};

/// "did you mean "X"?" for the nearest of `candidates`, else which there are (if they are few); empty if there is
/// nothing to say.
std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& candidates);

/// `file:line:col: error: message`, source line, caret, suggestion.
std::string readable(std::span<const Problem> problems);
/// An array.
void write_problems(JsonWriter& out, std::span<const Problem> problems);

}  // namespace quell::respond::policy
