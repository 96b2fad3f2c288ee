#pragma once
// A catalogue entry of evidence as JSON, for the store, the API and the custody manifest.
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/evidence_store.h"

namespace quell {

/// One object without a final newline.
std::string evidence_to_json(const EvidenceItem& item);
/// Reads back what evidence_to_json() wrote; equal items give equal texts. Errors: Code::malformed.
Result<EvidenceItem> evidence_from_json(std::string_view json);

}  // namespace quell
