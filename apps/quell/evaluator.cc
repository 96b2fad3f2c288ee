#include "apps/quell/evaluator.h"

#include <fmt/format.h>
#include <sys/random.h>

namespace quell::cli {
namespace {

uint64_t fnv1a(std::string_view text, uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

Evaluator::Evaluator(enrich::StateTables& tables, detect::Engine& engine, EvaluatorOptions options)
    : tables_(tables), engine_(engine), options_(std::move(options)) {}

void Evaluator::load(const Snapshot& snapshot) { tables_.load(snapshot); }

void Evaluator::run(const EventBatch& batch) {
  for (size_t i = 0; i < batch.size(); ++i) evaluate(batch.event(i), batch.slot(i));
}

void Evaluator::inject(std::span<const uint8_t> event) {
  evaluate(
      event,
      {.offset = 0, .len = static_cast<uint32_t>(event.size()), .skipped_before = 0, .cpu = 0, .state_only = false});
}

void Evaluator::evaluate(std::span<const uint8_t> bytes, const EventBatch::Slot& slot) {
  number_ += slot.skipped_before + 1;
  Event event;
  if (!Event::parse(bytes, event)) {
    ++malformed_count_;
    return;
  }
  event.cpu = slot.cpu;
  event.state_only = slot.state_only;
  if (recorder_ != nullptr) {
    if (auto written = recorder_->append(bytes, slot.cpu, slot.state_only); !written) {
      record_status_ = std::move(written);
      recorder_ = nullptr;
    }
  }
  const EventContext& context = tables_.apply(event, number_);
  if (slot.state_only) return;
  ++event_count_;
  for (const detect::RuleIndex rule : engine_.evaluate(context)) {
    Detection detection = engine_.render(rule, context);
    if (options_.clock != nullptr) detection.detect_ns = options_.clock->realtime_ns();
    detection.hostname = options_.hostname.empty() ? tables_.machine().hostname : options_.hostname;
    detection.evidence_ref = fmt::format("{}#{}", options_.origin, number_);
    detection.id = detection_id(detection);
    ++detection_count_;
    options_.on_detection(std::move(detection));
  }
}

std::string Evaluator::detection_id(const Detection& detection) {
  uint64_t id = 0;
  if (!options_.is_live || getrandom(&id, sizeof id, 0) != sizeof id) {
    id = fnv1a(detection.rule, fnv1a(detection.evidence_ref, 0xcbf29ce484222325));
  }
  return fmt::format("d-{:016x}", id);
}

}  // namespace quell::cli
