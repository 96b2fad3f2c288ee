#pragma once
// The engine: a compiled rule set that is shown one event after another and says which rules match.
// One thread evaluates. A new program is compiled elsewhere and swapped in between two batches.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "detect/ruleset.h"
#include "detect/semantics.h"
#include "model/detection.h"
#include "model/state_view.h"

namespace quell::detect {

/// The field catalogue and checks behind the rules language, for loaders.
const Semantics& semantics();

struct EngineOptions {
  bool match_all = true;                        // false: only the first matching rule per event, in rule order
  Priority minimum_priority = Priority::debug;  // less severe rules are compiled but never fire
  bool fd_net_in_first_only = false;            // upstream's quirk: `fd.net in (a, b)` looks at a only
  bool buffers_as_base64 = false;               // payloads in outputs, which are shown with dots for what is no text
};

class Program;  // immutable once compiled
class RuleProfile;
constexpr size_t kMaxRules = 50'000;  // in one program

/// Lowers the enabled rules of `source` into one shared program. Errors: invalid_rules (with the rule's name and the
/// reason, or when there are more than kMaxRules).
Result<std::shared_ptr<const Program>> compile(const RuleSet& rules, const EngineOptions& options);

/// Which events the program wants to see, so that nobody captures the rest. By EventCode.
std::vector<bool> wanted_event_codes(const Program& program);
size_t rule_count(const Program& program);
/// Live only: begins to look up the domain names that the rules compare addresses with, on a thread that ends with the
/// program. Without it such comparisons are false, so that a replay does not depend on a name server.
void start_resolving(const Program& program);
/// Replays: what a domain name pointed to when the capture was taken. Before the first event.
void tell_address(const Program& program, const std::string& name, const IpAddress& address);

/// A rule that matched, before it is rendered. Indexes into the RuleSet given to compile().
using RuleIndex = uint32_t;

class Engine {
 public:
  explicit Engine(std::shared_ptr<const Program> program);
  ~Engine();
  /// Takes effect with the next event. Same thread as evaluate().
  void swap(std::shared_ptr<const Program> program);

  /// False if no rule can match an event of that code: evaluate() has nothing to say about it.
  bool looks_at(EventCode code) const;
  /// The rules that match, in rule order; at most one unless match_all. Valid until the next call. No allocation unless
  /// one matches.
  std::span<const RuleIndex> evaluate(const EventContext& context);
  /// From now on tells `profile` what each rule costs; null ends it. Borrowed. Same thread as evaluate().
  void profile_into(RuleProfile* profile);
  /// Fills rule, priority, source, tags, message, output_fields, event number and time, process and container identity.
  /// Must be called before the next event is applied to the tables.
  Detection render(RuleIndex rule, const EventContext& context) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quell::detect
