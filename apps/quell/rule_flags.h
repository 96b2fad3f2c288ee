#pragma once
// Command-line options about rules that every command which runs rules shares: which of them are on, from which
// priority, what is added to their outputs, and how these are shown.
#include <string>
#include <vector>

#include "apps/quell/cli.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"
#include "model/detection_json.h"

namespace quell::cli {

struct RuleFlags {
  std::vector<detect::falco::Selection> selections;       // in the order of the line
  std::vector<detect::falco::ExtraOutput> extra_outputs;  // for the rules of every file
  DetectionStyle style;  // of what is printed; what is stored is whole
};

/// What the line says, before it is understood.
struct RuleFlagTexts {
  std::vector<std::string> enable, disable, append_output, extra_fields, static_fields;
  std::vector<bool> selection_order;  // true: the next of `enable`, false: the next of `disable`
  bool suggested_output = false;
  std::string minimum_priority;
  DetectionStyle style;
  bool buffers_as_base64 = false;
};

/// Adds the options to `command`, which keeps pointers into `texts`.
void add_rule_flags(CLI::App& command, RuleFlagTexts& texts);

/// The option --static-field alone, for commands that only look at rules.
void add_static_fields(CLI::App& command, std::vector<std::string>& texts);
/// Defines the fields of "KEY=VALUE" texts. Errors: invalid_argument.
Result<void> define_static_fields(const std::vector<std::string>& texts);

/// Understands them: defines the static fields, and sets the engine's minimum priority if one is given. Once, before
/// rules are loaded. Errors: invalid_argument.
Result<RuleFlags> read_rule_flags(const RuleFlagTexts& texts, detect::EngineOptions& engine);

}  // namespace quell::cli
