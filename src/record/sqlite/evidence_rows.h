#pragma once
// Reading the catalogue of evidence by a connection of the caller's.
#include <string_view>
#include <vector>

#include "model/evidence_store.h"
#include "record/sqlite/database.h"

namespace quell::record {

/// Errors: Code::not_found, Code::malformed, Code::io.
Result<EvidenceItem> read_evidence_item(Database& db, std::string_view id);
/// Newest first. Errors: Code::malformed, Code::io.
Result<std::vector<EvidenceItem>> read_evidence(Database& db, const EvidenceQuery& query);

}  // namespace quell::record
