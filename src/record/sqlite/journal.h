#pragma once
// actions.db: the action journal, settings, the audit chain and the catalogue of evidence. One connection writes, every
// commit is on stable storage, and every change is committed together with its audit entry.
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "model/action_journal.h"
#include "model/audit_log.h"
#include "record/audit/action_fact.h"
#include "record/audit/signing.h"
#include "record/evidence/catalogue.h"
#include "record/sqlite/audit_table.h"
#include "record/sqlite/database.h"

namespace quell::record {

inline constexpr std::string_view kActionsFile = "actions.db";
/// Beside it: the signed head of the chain, at most a second old while entries are appended.
inline constexpr std::string_view kAuditHeadFile = "audit.head";

struct JournalOptions {
  std::string folder;
  uint64_t audit_max_age_ns = 0;  // 0: for ever
  const Clock* clock = &system_clock();
};

/// Thread-safe.
class Journal final : public ActionJournal, public AuditLog, public EvidenceCatalogue {
 public:
  /// The caller owns the folder. Errors: see Store.
  static Result<std::unique_ptr<Journal>> open(const JournalOptions& options);
  ~Journal() override;

  Result<void> save_action(const ActionRecord& record) override;
  Result<ActionRecord> find_action(std::string_view id) const override;
  Result<std::optional<ActionRecord>> find_action_by_key(std::string_view key) const override;
  Result<std::vector<ActionRecord>> list_actions(const ActionQuery& query) const override;
  Result<std::string> setting(std::string_view name) const override;
  Result<void> save_setting(std::string_view name, std::string_view value) override;
  Result<std::vector<ActionRecord>> unsettled_actions() const override;

  Result<AuditHead> append_audit(const AuditFact& fact) override;
  Result<std::vector<AuditEntry>> audit_entries(const AuditQuery& query) const override;
  Result<SignedAuditHead> audit_head() const override;
  Result<uint64_t> cut_audit(uint64_t before_seq, std::string_view actor) override;

  // evidence_table.cc
  Result<void> save_evidence(const EvidenceItem& item, const AuditFact& fact) override;
  Result<void> forget_evidence(const EvidenceItem& item) override;
  Result<EvidenceItem> find_evidence(std::string_view id) const override;
  Result<std::vector<EvidenceItem>> list_evidence(const EvidenceQuery& query) const override;
  Result<std::vector<EvidenceItem>> evictable_evidence(uint64_t before_ns, size_t limit) const override;
  Result<std::vector<EvidenceItem>> deleting_evidence() const override;
  Result<EvidenceCounters> count_evidence() const override;

 private:
  explicit Journal(const JournalOptions& options) : options_(options) {}
  Result<void> prepare();
  Result<void> begin_chain();
  Result<void> compare_with_head_file();
  /// `change` and the entry that tells of it, or neither.
  Result<AuditHead> change_locked(const AuditFact& fact, const std::function<Result<void>(Database&)>& change);
  void committed(AuditHead head);
  Result<uint64_t> cut_locked(uint64_t before_seq, std::string_view actor);
  void cut_old();
  void keep();

  const JournalOptions options_;
  std::optional<AuditKey> key_;
  mutable std::mutex mutex_;
  std::unique_ptr<Database> db_;
  std::optional<AuditTable> audit_;
  ActionFacts facts_;
  Statement save_action_;
  mutable std::mutex reader_mutex_;
  std::unique_ptr<Database> reader_;
  // The thread that writes the head file and cuts what is too old; guarded by keeper_mutex_.
  std::mutex keeper_mutex_;
  std::condition_variable keeper_wakes_;
  AuditHead newest_;
  bool is_closing_ = false;
  std::thread keeper_;
};

}  // namespace quell::record
