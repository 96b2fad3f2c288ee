#pragma once
// Exceptions become part of the condition's text, before lists are put in and the condition is parsed.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detect/ast.h"
#include "detect/falco/definitions.h"
#include "detect/falco/problem.h"

namespace quell::detect::falco {

/// A comparison of an exception: an operator, or an operator with a modifier.
struct Comp {
  Op op;
  Modifier modifier = Modifier::none;
  bool takes_list() const;
};
std::optional<Comp> parse_comp(std::string_view text);
/// Without white space at both ends.
std::string trimmed_comp(std::string_view text);

/// Puts double quotes around a value that has a blank in it and does not start with a quote. Nothing is escaped.
std::string quote_item(std::string_view item);

/// `condition`, or `( condition ) and not (...)` with a term for each exception that has values. Problems are added to
/// `errors`; then the text is not to be used.
SourcedText with_exceptions(const RuleDefinition& rule, std::vector<Problem>& errors);

}  // namespace quell::detect::falco
