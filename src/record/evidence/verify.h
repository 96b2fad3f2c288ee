#pragma once
// Verification of an evidence folder against its catalogue, with or without a quell that runs there. Reads only.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/evidence_store.h"

namespace quell::record {

enum class EvidenceFault : uint8_t {
  missing,      // an entry without its object
  altered,      // another hash
  unreadable,   // the disk does not give it back
  uncatalogued  // an object without an entry; the next start of quell catalogues it
};
std::string_view to_string(EvidenceFault fault);

struct EvidenceFinding {
  EvidenceFault fault;
  std::string id;  // empty where there is no entry
  std::string sha256, detail;
};

struct EvidenceVerification {
  uint64_t items = 0, objects = 0, bytes = 0;
  std::vector<EvidenceFinding> findings;
  uint64_t duration_ns = 0;
};

/// `progress` is told how many of all bytes were read; it may be null. `id`: only this item; empty: all.
/// Errors: Code::not_found (no evidence there), Code::permission_denied, Code::io.
Result<EvidenceVerification> verify_evidence_of(const std::string& data_dir, const std::string& id,
                                                const std::function<void(uint64_t read, uint64_t all)>& progress);

/// The catalogue, read only. Errors: as above, Code::not_found also for an id that is not there.
Result<std::vector<EvidenceItem>> list_evidence_of(const std::string& data_dir, const EvidenceQuery& query);
Result<EvidenceItem> find_evidence_of(const std::string& data_dir, const std::string& id);

/// Copies the object to a new file (mode 0600) and compares its hash while doing so: it arrives as it was collected, or
/// not at all. Errors: Code::malformed (altered), Code::already_exists, Code::gone, Code::io.
Result<void> copy_evidence(const std::string& from, const EvidenceItem& item, const std::string& to);

}  // namespace quell::record
