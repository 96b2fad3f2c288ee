#include "model/audit_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "model/action_json.h"

namespace quell {
namespace {

struct KindName {
  AuditKind kind;
  std::string_view name;
};
constexpr KindName kKinds[] = {
    {AuditKind::chain, "chain"},     {AuditKind::action, "action"},       {AuditKind::refusal, "refusal"},
    {AuditKind::setting, "setting"}, {AuditKind::policy, "policy"},       {AuditKind::evidence, "evidence"},
    {AuditKind::sign_in, "sign_in"}, {AuditKind::privilege, "privilege"},
};

constexpr std::string_view kDomain = "quell-audit-entry-1\n";

/// Feeds a hash with texts whose borders cannot be shifted.
class Canonical {
 public:
  Canonical& raw(std::string_view text) {
    sum_.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    return *this;
  }
  Canonical& number(uint64_t value) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; ++i) bytes[i] = static_cast<uint8_t>(value >> (8 * i));
    sum_.update(bytes);
    return *this;
  }
  Canonical& text(std::string_view text) { return number(text.size()).raw(text); }
  std::string finish() { return sum_.finish(); }

 private:
  Sha256 sum_;
};

const uint64_t* unsigned_member(const Json& json, std::string_view name, uint64_t& memory) {
  const Json* found = json.find(name);
  if (found == nullptr) return nullptr;
  if (const auto* value = std::get_if<int64_t>(&found->value()); value != nullptr && *value >= 0) {
    memory = static_cast<uint64_t>(*value);
    return &memory;
  }
  if (const auto* value = std::get_if<uint64_t>(&found->value()); value != nullptr) {
    memory = *value;
    return &memory;
  }
  return nullptr;
}

bool text_member(const Json& json, std::string_view name, std::string& out) {
  const Json* found = json.find(name);
  const auto* text = found == nullptr ? nullptr : std::get_if<std::string>(&found->value());
  if (text == nullptr) return false;
  out = *text;
  return true;
}

void write_entry(JsonWriter& out, const AuditEntry& entry) {
  out.integer("seq", entry.seq).integer("at_ns", entry.at_ns).text("kind", entry.kind);
  out.text("subject", entry.subject).text("actor", entry.actor);
}

}  // namespace

std::string_view to_string(AuditKind kind) {
  for (const KindName& row : kKinds)
    if (row.kind == kind) return row.name;
  return "chain";
}

std::optional<AuditKind> parse_audit_kind(std::string_view text) {
  for (const KindName& row : kKinds)
    if (row.name == text) return row.kind;
  return std::nullopt;
}

bool is_audit_hash(std::string_view text) {
  return text.size() == 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::string audit_hash(const AuditEntry& entry) {
  return Canonical()
      .raw(kDomain)
      .text(entry.previous)
      .number(entry.seq)
      .number(entry.at_ns)
      .text(entry.kind)
      .text(entry.subject)
      .text(entry.actor)
      .text(entry.body_json)
      .finish();
}

std::string audit_entry_to_json(const AuditEntry& entry) {
  JsonWriter out;
  out.begin_object();
  write_entry(out, entry);
  out.text("at_time", iso8601_utc(entry.at_ns));
  // A damaged body is shown as the text that it is.
  if (Json::parse(entry.body_json))
    out.key("body").raw(entry.body_json);
  else
    out.text("body", entry.body_json);
  out.text("previous", entry.previous).text("hash", entry.hash).end_object();
  return out.take();
}

std::string audit_entry_to_export(const AuditEntry& entry) {
  JsonWriter out;
  out.begin_object();
  write_entry(out, entry);
  out.text("body", entry.body_json).text("previous", entry.previous).text("hash", entry.hash).end_object();
  return out.take();
}

Result<AuditEntry> audit_entry_from_export(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  AuditEntry entry;
  const auto missing = [](std::string_view name) {
    return Error{Code::malformed, fmt::format("not an audit entry: {} is missing or of another type", name),
                 std::string(name)};
  };
  if (unsigned_member(json, "seq", entry.seq) == nullptr) return missing("seq");
  if (unsigned_member(json, "at_ns", entry.at_ns) == nullptr) return missing("at_ns");
  if (!text_member(json, "kind", entry.kind)) return missing("kind");
  if (!text_member(json, "subject", entry.subject)) return missing("subject");
  if (!text_member(json, "actor", entry.actor)) return missing("actor");
  if (!text_member(json, "body", entry.body_json)) return missing("body");
  if (!text_member(json, "previous", entry.previous) || !is_audit_hash(entry.previous)) return missing("previous");
  if (!text_member(json, "hash", entry.hash) || !is_audit_hash(entry.hash)) return missing("hash");
  return entry;
}

std::string audit_head_to_json(const SignedAuditHead& head) {
  JsonWriter out;
  out.begin_object();
  out.text("apiVersion", kApiVersion).text("kind", "AuditHead").integer("seq", head.head.seq);
  out.integer("at_ns", head.head.at_ns).text("at_time", iso8601_utc(head.head.at_ns)).text("hash", head.head.hash);
  out.text("public_key", head.public_key).text("signature", head.signature).end_object();
  return out.take();
}

Result<SignedAuditHead> audit_head_from_json(std::string_view text) {
  QUELL_TRY(const Json json, Json::parse(text));
  SignedAuditHead out;
  if (json.at("kind").str() != "AuditHead" || unsigned_member(json, "seq", out.head.seq) == nullptr ||
      unsigned_member(json, "at_ns", out.head.at_ns) == nullptr || !text_member(json, "hash", out.head.hash) ||
      !is_audit_hash(out.head.hash) || !text_member(json, "public_key", out.public_key) ||
      !text_member(json, "signature", out.signature))
    return Error{
        Code::malformed, "not the head of an audit log: seq, at_ns, hash, public_key and signature are expected", {}};
  return out;
}

}  // namespace quell
