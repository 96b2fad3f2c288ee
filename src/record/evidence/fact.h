#pragma once
// What the audit log says about evidence: what was done with which content, and the hash of its catalogue entry.
#include <string>
#include <string_view>

#include "model/audit_log.h"
#include "model/evidence_store.h"

namespace quell::record {

AuditFact evidence_fact(const EvidenceItem& item, std::string_view event, std::string_view actor,
                        std::string_view reason);

/// "e-" + 16 random hex digits.
std::string new_evidence_id();

}  // namespace quell::record
