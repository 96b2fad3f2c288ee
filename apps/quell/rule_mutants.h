#pragma once
// Would a test notice if a rule said less? For every term of a rule's condition, the rule without that term: it fires
// on everything that the rule fires on, and on more. A test that cares about the term has an event in that "more".
#include <string>
#include <vector>

#include "detect/ruleset.h"

namespace quell::cli {

struct Mutant {
  detect::Rule rule;     // without the term; named apart from the original
  std::string original;  // name of the rule
  std::string term;      // as the rule's file has it, macros and lists by their names
  std::string file;
  uint32_t line = 0;
};

/// One per term at the top of the rule's condition; none for a condition of a single term.
std::vector<Mutant> mutants_of(const detect::Rule& rule);

}  // namespace quell::cli
