#include "record/evidence/fact.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "base/assert.h"
#include "base/json.h"
#include "base/sha256.h"
#include "model/evidence_json.h"

namespace quell::record {

AuditFact evidence_fact(const EvidenceItem& item, std::string_view event, std::string_view actor,
                        std::string_view reason) {
  const std::string json = evidence_to_json(item);
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(json.data()), json.size()});
  JsonWriter out;
  out.begin_object().text("event", event).text("sha256", item.sha256).integer("size", item.size);
  out.text("evidence_kind", to_string(item.origin.kind)).text("name", item.origin.name);
  out.text("action_id", item.origin.action_id).text("reason", reason);
  out.text("record_sha256", sum.finish()).end_object();
  return {AuditKind::evidence, item.id, actor.empty() ? "quell" : std::string(actor), out.take()};
}

std::string new_evidence_id() {
  uint64_t number = 0;
  QUELL_ASSERT(getrandom(&number, sizeof number, 0) == sizeof number);
  return fmt::format("e-{:016x}", number);
}

}  // namespace quell::record
