#pragma once
// The installation's key: it signs heads of the audit log (Ed25519). It lies in the data directory, so it proves that a
// head was made by who could read that directory, and no more.
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/audit_log.h"

namespace quell::record {

inline constexpr std::string_view kAuditKeyFile = "audit.key";        // private, mode 0600: 64 hex digits
inline constexpr std::string_view kAuditPublicKeyFile = "audit.pub";  // 64 hex digits

/// Thread-safe.
class AuditKey {
 public:
  /// Reads the key of the folder. Errors: Code::not_found, Code::malformed (a file that is no key),
  /// Code::permission_denied, Code::io.
  static Result<AuditKey> open(const std::string& folder);
  /// Makes one if there is none.
  static Result<AuditKey> open_or_make(const std::string& folder);

  SignedAuditHead sign(const AuditHead& head) const;
  const std::string& public_key() const { return public_key_; }

 private:
  std::shared_ptr<void> handle_;
  std::string public_key_;
};

/// The public key of a folder. Errors: Code::not_found, Code::malformed, Code::permission_denied, Code::io.
Result<std::string> read_audit_public_key(const std::string& folder);

/// The signature is over this head, by the key that `head.public_key` names.
bool is_signature_good(const SignedAuditHead& head);

}  // namespace quell::record
