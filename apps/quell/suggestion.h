#pragma once
// From a detection that is daily life to the exceptions that would have silenced it, narrowest first. The same
// detection and rule give the same suggestions.
#include <optional>
#include <string>
#include <vector>

#include "detect/ruleset.h"
#include "model/detection.h"

namespace quell::cli {

/// One comparison of an exception.
struct ExceptionTerm {
  std::string field, comp, value;
  bool operator==(const ExceptionTerm&) const = default;
};

struct Suggestion {
  std::string name;     // of the exception
  bool is_own = false;  // the rule defines this exception itself: only values are added to it
  bool has_field_list = true;
  std::vector<ExceptionTerm> terms;

  /// Whether it silences the detection; nothing if the detection does not tell one of the fields.
  std::optional<bool> silences(const Detection& detection) const;
  /// "proc.exepath = /usr/bin/apt, fd.name startswith /etc/apt/".
  std::string text() const;
};

/// Exceptions that silence `detection`, narrowest first; empty if it tells nothing that one could be made of.
std::vector<Suggestion> suggestions_for(const Detection& detection, const detect::Rule& rule);

struct Responsibility {
  std::string owner, reason;  // empty: left open, for whoever reviews
  std::string expires;        // a date
};

/// An item of an exceptions file.
std::string exception_yaml(const std::string& rule, const Suggestion& suggestion, const Responsibility& who);

}  // namespace quell::cli
