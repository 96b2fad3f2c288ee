#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>

#include "base/clock.h"
#include "base/json.h"
#include "model/audit_json.h"
#include "record/audit/signing.h"
#include "record/audit/verify.h"

namespace quell::record {

ExportCheck::ExportCheck(AuditExpectations expected)
    : expected_(std::move(expected)), public_key_(expected_.public_key) {}

void ExportCheck::unreadable(const std::string& what) {
  const AuditBreak found{AuditFault::unreadable, chain_ ? chain_->last().seq + 1 : 0, fmt::format("line {}", lines_),
                         what};
  if (chain_)
    chain_->fail(found);
  else if (!early_)
    early_ = found;
}

bool ExportCheck::believe(const SignedAuditHead& head, std::string_view name) {
  if (public_key_.empty()) public_key_ = head.public_key;
  if (head.public_key == public_key_ && is_signature_good(head)) return true;
  AuditBreak found{
      AuditFault::bad_signature, head.head.seq, fmt::format("{} signed by {}", name, public_key_),
      fmt::format("a signature by {} that is {}", head.public_key, is_signature_good(head) ? "good" : "wrong")};
  if (chain_)
    chain_->fail(std::move(found));
  else if (!early_)
    early_ = std::move(found);
  return false;
}

void ExportCheck::begin(std::string_view text) {
  const auto json = Json::parse(text);
  if (!json) return unreadable(json.error().str());
  if (json->at("kind").str() != "AuditExport") return unreadable("this is no export of an audit log");
  if (json->at("version").u64() != 1) return unreadable("the export is of an unknown version; use a newer Quell");
  const auto start = audit_head_from_json(json->at("start").dump());
  if (!start) return unreadable(start.error().str());
  if (!believe(*start, "the start of the export")) return;
  start_ = start->head;
  chain_.emplace(start_);
  if (expected_.head && believe(*expected_.head, "the given head"))
    chain_->expect(expected_.head->head, "the given head");
  if (!expected_.hash.empty()) chain_->expect_hash(expected_.hash);
}

void ExportCheck::line(std::string_view text) {
  if (text.empty()) return;
  ++lines_;
  if (lines_ == 1) return begin(text);
  if (!chain_) return;
  const bool was_broken = chain_->broken().has_value();
  if (was_broken && wanted_seq_ == 0) return;
  if (has_head_) return unreadable("there is something after the head");
  if (text.size() > kMaxExportLine) return unreadable("the line is too long");
  // A head has no body, an entry has no signature.
  if (auto entry = audit_entry_from_export(text)) {
    if (was_broken) {
      // An entry that was missing comes later: it was not removed, but moved.
      if (entry->seq == wanted_seq_ && audit_hash(*entry) == entry->hash) {
        chain_->broken()->fault = AuditFault::reordered;
        wanted_seq_ = 0;
      }
      return;
    }
    chain_->next(*entry);
    if (chain_->broken() && chain_->broken()->fault == AuditFault::missing) wanted_seq_ = chain_->broken()->seq;
    return;
  } else if (auto head = audit_head_from_json(text)) {
    has_head_ = true;
    if (!was_broken && believe(*head, "the head of the export")) {
      if (head->head.seq < chain_->last().seq)
        unreadable("the head is not that of the last entry");
      else
        chain_->expect(head->head, "the head of the export");
      if (!chain_->broken() && head->head.seq == chain_->last().seq && head->head.hash != chain_->last().hash)
        chain_->fail({AuditFault::head_mismatch, head->head.seq, head->head.hash, chain_->last().hash});
    }
  } else {
    unreadable(entry.error().str());
  }
}

AuditVerification ExportCheck::finish() {
  AuditVerification out;
  out.public_key = public_key_;
  if (!chain_) {
    if (!early_) unreadable("the file is empty");
    out.broken = early_;
    return out;
  }
  if (!has_head_ && !chain_->broken())
    chain_->fail({AuditFault::truncated, chain_->last().seq + 1, "the head of the export", "the end of the file"});
  chain_->finish();
  out.start = start_;
  out.end = chain_->last();
  out.entries = chain_->entries();
  out.broken = chain_->broken();
  out.notes = std::move(chain_->notes());
  if (expected_.public_key.empty())
    out.notes.push_back("the key is the export's own: compare it with the installation's, or name it with --key");
  return out;
}

Result<AuditVerification> verify_audit_export(const std::string& path, const AuditExpectations& expected) {
  const uint64_t began = system_clock().monotonic_ns();
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  if (!in) return errno_error(errno != 0 ? errno : EIO, "cannot open the export", path);
  ExportCheck check(expected);
  std::string text;
  // Read by pieces, so that a line without an end takes no more memory than the longest that is allowed.
  std::string buffer(1 << 16, '\0');
  while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())) || in.gcount() > 0) {
    std::string_view piece(buffer.data(), static_cast<size_t>(in.gcount()));
    while (!piece.empty()) {
      const size_t end = piece.find('\n');
      if (text.size() <= kMaxExportLine) text += piece.substr(0, end);
      if (end == std::string_view::npos) break;
      check.line(text);
      text.clear();
      piece.remove_prefix(end + 1);
    }
  }
  if (in.bad()) return errno_error(EIO, "cannot read the export", path);
  check.line(text);
  AuditVerification out = check.finish();
  out.duration_ns = system_clock().monotonic_ns() - began;
  return out;
}

}  // namespace quell::record
