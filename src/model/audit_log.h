#pragma once
// The audit log, as those who do something see it: facts are appended and never changed, each entry holds the hash of
// the one before. A store implements it; it appends the entries of actions and settings by itself, in the transaction
// that saves them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell {

/// What an entry is about. A name, once released, keeps its meaning.
enum class AuditKind : uint8_t {
  chain,      // the chain itself: its beginning, a cut, a finding at a start
  action,     // an action's record was saved; the subject is its id
  refusal,    // an action was refused by a guard
  setting,    // a setting was changed, such as the stop switch; the subject is its name
  policy,     // a policy was loaded, promoted, disarmed; the subject is its name
  evidence,   // an object of evidence was made, read, exported, held, released, deleted; the subject is its id
  sign_in,    // somebody was let in, or was not; the subject is who
  privilege,  // an action's privilege was switched on or off
};
std::string_view to_string(AuditKind kind);
std::optional<AuditKind> parse_audit_kind(std::string_view text);

struct AuditFact {
  AuditKind kind = AuditKind::action;
  std::string subject;    // the id of what it is about
  std::string actor;      // "uid:0 (root)", "policy:stolen-shell/7", "quell"
  std::string body_json;  // one JSON object of our own making; at most kMaxAuditBody bytes
};
inline constexpr size_t kMaxAuditBody = 1 << 20;

/// A place in the chain. It vouches for every entry up to its own.
struct AuditHead {
  uint64_t seq = 0;    // 0: nothing was ever appended
  uint64_t at_ns = 0;  // of that entry
  std::string hash;    // lowercase hex; kAuditOrigin for seq 0
  bool operator==(const AuditHead&) const = default;
};
/// What the first entry holds as the hash of the one before.
inline constexpr std::string_view kAuditOrigin = "0000000000000000000000000000000000000000000000000000000000000000";

struct AuditEntry {
  uint64_t seq = 0;    // from 1, without gaps
  uint64_t at_ns = 0;  // wall clock, as it was then: it may step back
  std::string kind;    // the name of an AuditKind, of a newer version perhaps
  std::string subject, actor, body_json;
  std::string previous, hash;
};

struct AuditQuery {
  uint64_t after_seq = 0;
  uint64_t since_ns = 0, until_ns = UINT64_MAX;  // half open
  std::string kind{}, subject{}, actor{};        // empty: any; the actor matches from its beginning
  size_t limit = 100;                            // at most 1000
  bool newest_first = false;
};

/// A head with the signature of the installation's key over it (Ed25519, hex), and the public key (hex).
struct SignedAuditHead {
  AuditHead head;
  std::string public_key, signature;
};

/// Thread-safe. Errors of every call: Code::io (disk full, I/O error; the message names the remedy), Code::malformed (a
/// damaged file).
class AuditLog {
 public:
  virtual ~AuditLog() = default;

  /// Returns after the entry is on stable storage. On error nothing was appended.
  /// Errors: also Code::limit (the body is larger than kMaxAuditBody).
  virtual Result<AuditHead> append_audit(const AuditFact& fact) = 0;

  /// Oldest first unless the query says otherwise.
  virtual Result<std::vector<AuditEntry>> audit_entries(const AuditQuery& query) const = 0;

  /// The end of the chain now.
  virtual Result<SignedAuditHead> audit_head() const = 0;

  /// Removes the entries before `before_seq` and keeps the signed head at which they were cut off; the cut is an entry,
  /// too. Returns how many went. Errors: also Code::invalid_argument (at least one entry has to stay).
  virtual Result<uint64_t> cut_audit(uint64_t before_seq, std::string_view actor) = 0;
};

}  // namespace quell
