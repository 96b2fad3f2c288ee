#include "record/audit/chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "model/audit_json.h"

namespace quell::record {

std::string_view to_string(AuditFault fault) {
  switch (fault) {
    case AuditFault::altered: return "altered";
    case AuditFault::missing: return "missing";
    case AuditFault::repeated: return "repeated";
    case AuditFault::reordered: return "reordered";
    case AuditFault::unlinked: return "unlinked";
    case AuditFault::truncated: return "truncated";
    case AuditFault::head_mismatch: return "head_mismatch";
    case AuditFault::bad_signature: return "bad_signature";
    case AuditFault::bad_cut: return "bad_cut";
    case AuditFault::unreadable: return "unreadable";
  }
  return "altered";
}

void ChainCheck::expect(AuditHead head, std::string name) {
  if (head.seq < start_.seq) {
    notes_.push_back(fmt::format("{} is of entry {}, which was cut off: it was not compared", name, head.seq));
    return;
  }
  heads_.push_back({std::move(head), std::move(name)});
  check_heads(start_);
}

void ChainCheck::expect_hash(std::string hash) {
  if (hash != start_.hash) hashes_.push_back(std::move(hash));
}

void ChainCheck::fail(AuditBreak found) {
  if (!broken_) broken_ = std::move(found);
}

void ChainCheck::check_heads(const AuditHead& here) {
  for (const Expected& expected : heads_) {
    if (expected.head.seq == here.seq && expected.head.hash != here.hash)
      fail({AuditFault::head_mismatch, here.seq, fmt::format("{} ({})", expected.head.hash, expected.name), here.hash});
  }
}

const std::optional<AuditBreak>& ChainCheck::next(const AuditEntry& entry) {
  if (broken_) return broken_;
  const uint64_t due = last_.seq + 1;
  if (entry.seq > due) {
    fail({AuditFault::missing, due, fmt::format("entry {}", due), fmt::format("entry {}", entry.seq)});
    return broken_;
  }
  if (entry.seq < due) {
    fail({AuditFault::repeated, due, fmt::format("entry {}", due), fmt::format("entry {} again", entry.seq)});
    return broken_;
  }
  if (const std::string hash = audit_hash(entry); hash != entry.hash) {
    // Whatever of the entry was touched, its own hash or the link included, is said as one: it is not what was hashed.
    fail({AuditFault::altered, due, entry.hash, hash});
    return broken_;
  }
  if (entry.previous != last_.hash) {
    fail({AuditFault::unlinked, due, last_.hash, entry.previous});
    return broken_;
  }
  last_ = {entry.seq, entry.at_ns, entry.hash};
  ++entries_;
  check_heads(last_);
  std::erase(hashes_, entry.hash);
  return broken_;
}

const std::optional<AuditBreak>& ChainCheck::finish() {
  if (broken_) return broken_;
  for (const Expected& expected : heads_) {
    if (expected.head.seq > last_.seq)
      fail({AuditFault::truncated, last_.seq + 1,
            fmt::format("entries up to {} ({})", expected.head.seq, expected.name),
            fmt::format("the end after entry {}", last_.seq)});
  }
  for (const std::string& hash : hashes_)
    fail({AuditFault::truncated, last_.seq + 1, fmt::format("an entry with the hash {}", hash),
          fmt::format("the end after entry {}", last_.seq)});
  return broken_;
}

}  // namespace quell::record
