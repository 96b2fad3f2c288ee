#pragma once
// Verification of an audit log: of a data directory, with or without a quell that runs there, or of an export.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "record/audit/chain.h"

namespace quell::record {

struct AuditExpectations {
  std::optional<SignedAuditHead> head{};  // one that was stored elsewhere
  std::string hash{};                     // the same, but only its hash is known
  std::string public_key{};               // the only key that is believed; empty: the data directory's, or the export's
};

/// Reads only. Errors: Code::not_found (no audit log there), Code::permission_denied, Code::io. What does not hold is
/// no error, but AuditVerification::broken.
Result<AuditVerification> verify_audit_of(const std::string& data_dir, const AuditExpectations& expected);

/// An export: lines of JSON, the first describes it and holds the signed place before the first entry, the last is the
/// signed head. Feed it line by line; a line is at most kMaxExportLine bytes.
class ExportCheck {
 public:
  explicit ExportCheck(AuditExpectations expected);
  void line(std::string_view text);
  AuditVerification finish();

 private:
  void unreadable(const std::string& what);
  bool believe(const SignedAuditHead& head, std::string_view name);
  void begin(std::string_view text);
  void begin_at(AuditHead start);

  const AuditExpectations expected_;
  std::optional<ChainCheck> chain_;
  std::optional<AuditBreak> early_;  // before there was a chain to check
  std::string public_key_;
  AuditHead start_;
  uint64_t lines_ = 0;
  bool has_head_ = false;
  uint64_t wanted_seq_ = 0;  // reported missing; may come later in the file
};
inline constexpr size_t kMaxExportLine = 8 << 20;

/// Errors: Code::not_found, Code::permission_denied, Code::io.
Result<AuditVerification> verify_audit_export(const std::string& path, const AuditExpectations& expected);

/// Writes the chain of a data directory as an export, entries after `after_seq`. Errors: as verify_audit_of().
Result<AuditHead> export_audit_of(const std::string& data_dir, uint64_t after_seq,
                                  const std::function<Result<void>(std::string_view line)>& write);

/// Entries of a data directory, read only. Errors: as verify_audit_of().
Result<std::vector<AuditEntry>> read_audit_of(const std::string& data_dir, const AuditQuery& query);

/// The end of the chain of a data directory, signed. Reads only. Errors: as verify_audit_of(); Code::permission_denied
/// also where the key cannot be read.
Result<SignedAuditHead> audit_head_of(const std::string& data_dir);

}  // namespace quell::record
