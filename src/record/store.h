#pragma once
// The contract of a store: detections, the action journal, the audit log, the catalogue of evidence, and facts about
// the installation. One process owns a data directory.
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/action_journal.h"
#include "model/audit_log.h"
#include "model/detection.h"
#include "record/evidence/catalogue.h"

namespace quell::record {

struct StoreOptions {
  std::string data_dir;  // made (mode 0700) if missing; its parent must exist
  /// Detections beyond this are forgotten, oldest first, and counted in StoreCounters::detections_forgotten.
  uint64_t max_detections = 1'000'000;
  /// Audit entries older than this are cut off at a signed head; 0: never.
  uint64_t audit_max_age_ns = 400ull * 86'400 * 1'000'000'000;
};

struct DetectionQuery {
  uint64_t since_ns = 0, until_ns = UINT64_MAX;  // kernel time, half open
  std::string rule{};                            // empty: any
  std::string container_id{};                    // short or full id; empty: any
  std::optional<Priority> at_least{};            // this priority or a more urgent one
  std::string before_id{};  // only detections stored before this one: the last of the previous page
  bool oldest_first = false;
  std::string after_id{};  // only detections stored after this one: the last of the previous page, oldest first
  size_t limit = 100;      // at most 1000
};

struct StoreCounters {
  uint64_t detections = 0;            // held now
  uint64_t detections_forgotten = 0;  // dropped for room since the data directory was made
};

/// Thread-safe, but meant for one writing thread for detections: batches of 100 to 1000 are what it is fast at. Reads
/// never wait for a detection write; the journal never waits for detections at all. Errors of every call: Code::io
/// (disk full or failing; the message names the remedy), Code::malformed (a damaged file).
class Store : public ActionJournal, public AuditLog, public EvidenceCatalogue {
 public:
  /// Stores the batch, all or nothing. A detection with a known id replaces it: metadata may arrive late. On return it
  /// survives a crash of this process; a power cut may take the last few.
  virtual Result<void> insert(std::span<const Detection> batch) = 0;
  /// Errors: also Code::not_found.
  virtual Result<Detection> detection(std::string_view id) const = 0;
  /// In the order in which they were stored, newest first unless the query says otherwise.
  virtual Result<std::vector<Detection>> detections(const DetectionQuery& query) const = 0;

  /// Facts about this installation, by name; empty if unset.
  virtual Result<std::optional<std::string>> meta(std::string_view name) const = 0;
  virtual Result<void> set_meta(std::string_view name, std::string_view value) = 0;

  virtual Result<StoreCounters> counters() const = 0;
};

/// Opens the store of the data directory for this process.
/// Errors: Code::conflict (another process owns it; the message names its pid), Code::io, Code::permission_denied,
/// Code::malformed (damaged, or not ours), Code::unsupported (written by a newer version), Code::not_found (no store is
/// called `kind`; see stores.h).
Result<std::unique_ptr<Store>> open_store(const StoreOptions& options, std::string_view kind = "sqlite");

}  // namespace quell::record
