#pragma once
// Audit entries and heads as JSON, and the hash that chains them.
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/audit_log.h"

namespace quell {

/// SHA-256 over the entry's canonical bytes: a domain line, the previous hash, seq, time, and each text with its length
/// in front (docs/audit.md has the layout). entry.hash does not take part.
std::string audit_hash(const AuditEntry& entry);

/// For people and programs: the body is an object.
std::string audit_entry_to_json(const AuditEntry& entry);
/// For verification elsewhere: the body is a text, byte by byte what was hashed.
std::string audit_entry_to_export(const AuditEntry& entry);
/// Reads what audit_entry_to_export() wrote. Errors: Code::malformed. The hash is not checked.
Result<AuditEntry> audit_entry_from_export(std::string_view json);

std::string audit_head_to_json(const SignedAuditHead& head);
/// Errors: Code::malformed. The signature is not checked.
Result<SignedAuditHead> audit_head_from_json(std::string_view json);

/// 64 lowercase hex digits.
bool is_audit_hash(std::string_view text);

}  // namespace quell
