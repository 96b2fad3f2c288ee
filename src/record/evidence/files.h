#pragma once
// Evidence as files of a folder:
//
//   objects/ab/abcd…   content, named by its SHA-256; mode 0400; renamed to this name after it was flushed
//   parts/ID           an object in the making; removed at a start
//
// An object without a catalogue entry (a crash came between the two) is catalogued at a start as an orphan.
#include <memory>
#include <mutex>
#include <string>

#include "base/clock.h"
#include "model/evidence_store.h"
#include "record/evidence/catalogue.h"
#include "record/store.h"

namespace quell::record {

inline constexpr std::string_view kEvidenceFolder = "evidence";  // in the data directory

struct EvidenceOptions {
  std::string folder{};                                  // made (mode 0700) if missing; its parent must exist
  uint64_t max_bytes = 8ull << 30;                       // all objects together
  uint64_t max_object_bytes = 2ull << 30;                // each
  uint64_t max_items = 100'000;                          // in the catalogue
  uint64_t max_age_ns = 90ull * 86'400 * 1'000'000'000;  // 0: for ever
  std::string host{};                                    // as the catalogue names it; empty: the machine's name
  const Clock* clock = &system_clock();
};

class EvidenceFiles final : public EvidenceStore {
 public:
  /// Cleans up after a crash. `catalogue` and `audit` are borrowed (a Store is both) and outlive it.
  /// Errors: Code::permission_denied, Code::not_found, Code::io.
  static Result<std::unique_ptr<EvidenceFiles>> open(EvidenceOptions options, EvidenceCatalogue& catalogue,
                                                     AuditLog& audit);

  Result<std::unique_ptr<EvidenceWriter>> begin(const EvidenceRequest& request) override;
  Result<EvidenceItem> find(std::string_view id) const override { return catalogue_.find_evidence(id); }
  Result<std::vector<EvidenceItem>> list(const EvidenceQuery& query) const override {
    return catalogue_.list_evidence(query);
  }
  Result<std::string> hand_out(std::string_view id, std::string_view actor, std::string_view purpose) override;
  Result<std::string> read(std::string_view id, std::string_view actor, uint64_t offset, uint64_t length) override;
  Result<EvidenceItem> set_hold(std::string_view id, bool is_held, std::string_view actor,
                                std::string_view reason) override;
  Result<void> retain() override;
  Result<EvidenceCounters> counters() const override;

 private:
  friend class EvidenceFileWriter;
  EvidenceFiles(EvidenceOptions options, EvidenceCatalogue& catalogue, AuditLog& audit)
      : options_(std::move(options)), catalogue_(catalogue), audit_(audit) {}
  Result<void> clean_up();
  Result<void> adopt(const std::string& path, const std::string& sha256);
  // With the lock held.
  Result<void> make_room(uint64_t bytes);
  Result<void> remove(EvidenceItem item, std::string_view why);
  Result<void> finish_removal(const EvidenceItem& item);
  Result<void> retain_locked();
  Result<bool> is_shared(const EvidenceItem& item) const;
  /// Room for `bytes` more of an object in the making.
  Result<void> reserve(uint64_t bytes);
  void give_back(uint64_t bytes);
  Result<void> place(const std::string& part, uint64_t reserved, const EvidenceItem& item);

  const EvidenceOptions options_;
  EvidenceCatalogue& catalogue_;
  AuditLog& audit_;
  mutable std::mutex mutex_;
  uint64_t used_ = 0;      // of objects
  uint64_t reserved_ = 0;  // of objects in the making
  uint64_t items_ = 0, refused_ = 0;
  uint64_t next_retain_ns_ = 0;  // monotonic
};

std::string evidence_object_path(const std::string& folder, std::string_view sha256);

/// What the kernel says about the wall clock now.
ClockState clock_state();

}  // namespace quell::record
