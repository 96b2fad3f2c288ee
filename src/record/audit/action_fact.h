#pragma once
// What the audit log says about a save of an action: who, what, why, on what, as it was shown, by whose leave, and what
// came of it. Large parts (preview, pre-state, evidence, proof, result) stand in full where they are new or changed;
// elsewhere their hash and the entry that has them, so that a long life costs no more than its parts.
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "model/action.h"
#include "model/audit_log.h"

namespace quell::record {

/// Belongs to the journal's lock.
class ActionFacts {
 public:
  /// `record_json` is what is stored, `seq` the place that the entry will get.
  AuditFact of(const ActionRecord& record, std::string_view record_json, uint64_t seq);
  /// What of() answered last is on stable storage.
  void accept(const ActionRecord& record);

 private:
  static constexpr size_t kParts = 5;
  struct Told {
    std::array<std::string, kParts> hash;
    std::array<uint64_t, kParts> seq{};
  };
  std::map<std::string, Told, std::less<>> told_;  // by action id; at most kMaxTold, of actions that are not over
  Told next_;
};

/// The subject's own words in a fact of an action: SHA-256 of the record as it was stored; empty if it is none.
std::string record_hash_in(std::string_view body_json);

AuditFact setting_fact(std::string_view name, std::string_view value);

}  // namespace quell::record
