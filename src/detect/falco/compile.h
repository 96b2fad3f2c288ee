#pragma once
// The whole store made into rules: exceptions and lists put in as text, conditions parsed, macros put in as trees,
// conditions and outputs checked against the fields of their source.
#include <memory>
#include <string>
#include <vector>

#include "detect/falco/definitions.h"
#include "detect/falco/problem.h"
#include "detect/falco/reader.h"
#include "detect/ruleset.h"
#include "detect/semantics.h"

namespace quell::detect::falco {

/// What is added to the outputs of some rules. What is not given matches every rule.
struct ExtraOutput {
  std::string text = {};  // after the rule's own output and a space
  std::string source = {};
  std::vector<std::string> tags = {};  // the rule must have all of them
  std::string rule = {};
  std::vector<ExtraField> fields = {};  // for output_fields alone
};

/// What descriptions say beyond the rule itself.
struct RuleDetails {
  std::vector<std::string> lists, macros;  // named directly in the condition
};
struct MacroDetails {
  std::string name;
  std::string condition;           // as written
  std::string condition_compiled;  // macros and lists put in
  std::vector<std::string> lists, macros;
  bool is_used = false;
};
struct ListDetails {
  std::string name;
  std::vector<std::string> items;
  std::vector<std::string> lists;
  bool is_used = false;
};

struct Compiled {
  RuleSet rules;
  std::vector<RuleDetails> rule_details;  // parallel to rules
  std::vector<MacroDetails> macros;
  std::vector<ListDetails> lists;
};

/// Problems go to `result`; with errors among them the outcome is not to be used. `reader` says what it refused: its
/// rules are checked for further problems.
Compiled compile_store(const Store& store, const Semantics& semantics, const std::vector<ExtraOutput>& extra_outputs,
                       const Reader& reader, FileResult& result);

}  // namespace quell::detect::falco
