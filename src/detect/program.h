#pragma once
// All rules lowered into one program; see docs/decisions/2026-11-22-rules-program.md.
#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "detect/domains.h"
#include "detect/engine.h"
#include "detect/output.h"
#include "detect/plan.h"
#include "detect/text_index.h"

namespace quell::detect {

class Program {
 public:
  static constexpr uint16_t kNoPlan = UINT16_MAX;

  uint64_t id = 0;  // unique per compilation in this process: marks what PredicateCache holds
  std::vector<Node> nodes;
  std::vector<Predicate> predicates;
  std::vector<Subject> subjects;
  std::vector<TextIndex> indexes;  // see Subject::first_index
  std::vector<Lookup> lookups;
  std::vector<Plan> plans;
  std::array<uint16_t, kEventCodeCount> plan_of{};  // kNoPlan where no rule can match
  std::vector<bool> wanted = std::vector<bool>(kEventCodeCount, false);
  uint32_t field_slots = 0;
  uint32_t remembered_words = 0;  // PredicateCache::value of a process that met every plan
  uint32_t widest_plan = 0;       // words
  bool match_all = true;
  bool buffers_as_base64 = false;
  size_t enabled_rules = 0;
  std::shared_ptr<DomainTable> domains;

  // By RuleIndex.
  struct RuleOutput {
    std::string name;
    Priority priority;
    std::string source;
    std::vector<std::string> tags;
    OutputTemplate output;
    std::vector<CompiledOperand> fold_by;  // whose values make two detections the same; empty: not told
    std::vector<std::pair<std::string, OutputTemplate>> extra_fields;  // an empty name: the field's own
  };
  std::vector<RuleOutput> rules;

  const Plan* plan(EventCode code) const {
    const uint16_t at = plan_of[code];
    return at == kNoPlan ? nullptr : &plans[at];
  }
};

}  // namespace quell::detect
