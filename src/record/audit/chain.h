#pragma once
// Whether a chain of audit entries is whole, and where it is not. Entries stream through; nothing is kept of them.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/audit_log.h"

namespace quell::record {

enum class AuditFault : uint8_t {
  altered,        // the entry is not what was hashed
  missing,        // an entry is not there
  repeated,       // an entry comes twice
  reordered,      // an entry of another place
  unlinked,       // whole in itself, but made for another predecessor: that one or this one was replaced
  truncated,      // a head vouches for entries that are not there
  head_mismatch,  // a head of this place has another hash: the chain was rewritten, or is another installation's
  bad_signature,  // of a head, or of a cut
  bad_cut,        // entries are missing at the beginning and no cut accounts for them
  unreadable,     // the file's bytes are damaged
};
std::string_view to_string(AuditFault fault);

struct AuditBreak {
  AuditFault fault = AuditFault::altered;
  uint64_t seq = 0;             // the first place that does not hold
  std::string expected, found;  // hashes or words
};

/// What a verification says.
struct AuditVerification {
  uint64_t entries = 0;
  AuditHead start, end;  // the place before the first entry (of the cut), and the last entry that holds
  std::string public_key;
  std::optional<AuditBreak> broken;  // the first; empty: all holds
  std::vector<std::string> notes;    // what could not be checked
  uint64_t duration_ns = 0;
};

class ChainCheck {
 public:
  /// The chain goes on after `start`.
  explicit ChainCheck(AuditHead start) : start_(start), last_(std::move(start)) {}

  /// A head that the chain has to contain; call before the first entry.
  void expect(AuditHead head, std::string name);
  /// Some entry has to have this hash.
  void expect_hash(std::string hash);

  /// The next entry as it is stored. Once something is found, what follows is no longer looked at.
  const std::optional<AuditBreak>& next(const AuditEntry& entry);
  /// No entry is left: heads that lie beyond are found out.
  const std::optional<AuditBreak>& finish();
  void fail(AuditBreak found);

  /// May be amended: a caller that can look around in the chain knows more.
  std::optional<AuditBreak>& broken() { return broken_; }
  uint64_t entries() const { return entries_; }
  const AuditHead& last() const { return last_; }
  std::vector<std::string>& notes() { return notes_; }

 private:
  struct Expected {
    AuditHead head;
    std::string name;
  };
  void check_heads(const AuditHead& here);

  AuditHead start_, last_;
  uint64_t entries_ = 0;
  std::vector<Expected> heads_;
  std::vector<std::string> hashes_;
  std::vector<std::string> notes_;
  std::optional<AuditBreak> broken_;
};

}  // namespace quell::record
