#include "apps/quell/evaluator.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "apps/quell/task_events.h"
#include "base/assert.h"
#include "capture/account_events.h"

namespace quell::cli {
namespace {

uint64_t fnv1a(std::string_view text, uint64_t hash) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

}  // namespace

Evaluator::Evaluator(enrich::StateTables& tables, detect::Engine& engine, EvaluatorOptions options)
    : tables_(tables), engine_(engine), options_(std::move(options)) {
  for (uint16_t code = 0; code < kEventCodeCount; ++code)
    changes_state_[code] = enrich::StateTables::acts_on(static_cast<EventCode>(code));
}

void Evaluator::load(const Snapshot& snapshot) {
  if (flight_ != nullptr) flight_->reset();
  tables_.load(snapshot);
}

void Evaluator::run(const EventBatch& batch) {
  Event event;
  for (const EventBatch::Slot& slot : batch.slots()) {
    if (passes(slot)) continue;
    Event::locate(slot.bytes, event);
    evaluate(event, slot);
  }
}

/// Most events of a capture with everything in it (page faults, context switches, calls that no rule names) are
/// nobody's business: they are counted and left alone.
inline bool Evaluator::passes(const EventBatch::Slot& slot) {
  const auto code = static_cast<EventCode>(quell::load<uint16_t>(slot.bytes + offsetof(EventHeader, type)));
  if (changes_state_[code] || recorder_ != nullptr || flight_ != nullptr ||
      (!slot.state_only && engine_.looks_at(code)))
    return false;
  const auto tid = static_cast<int64_t>(quell::load<uint64_t>(slot.bytes + offsetof(EventHeader, tid)));
  if (!tables_.pass(code, tid, quell::load<uint64_t>(slot.bytes))) return false;
  number_ += slot.skipped_before + 1;
  if (!slot.state_only) ++event_count_;
  return true;
}

void Evaluator::inject(std::span<const uint8_t> bytes) { evaluate_own(bytes, false); }

/// An event of our own making, which must be sound.
void Evaluator::evaluate_own(std::span<const uint8_t> bytes, bool state_only) {
  Event event;
  const auto parsed = Event::parse(bytes, event);
  QUELL_ASSERT(parsed);
  evaluate(event, {.bytes = bytes.data(),
                   .len = static_cast<uint32_t>(bytes.size()),
                   .skipped_before = 0,
                   .cpu = 0,
                   .state_only = state_only});
}

void Evaluator::evaluate(Event& event, const EventBatch::Slot& slot) {
  event.cpu = slot.cpu;
  event.state_only = slot.state_only;
  if (options_.read_thread && event.tid() > 0 && event.spec().source != EventClass::iter) learn_about(event);
  number_ += slot.skipped_before + 1;
  if (flight_ != nullptr) {
    tables_.settle();
    flight_->before(event, tables_.thread(event.tid()));
  }
  const EventContext& context = tables_.apply(event, number_);
  if (flight_ != nullptr) flight_->after(context, slot.cpu, slot.state_only);
  if (recorder_ != nullptr) record(context, slot);
  if (slot.state_only) return;
  ++event_count_;
  for (const detect::RuleIndex rule : engine_.evaluate(context)) detected(rule, context);
}

/// Rules may ask who the users of the event's container are. A replay cannot look into it: whoever is read for this
/// event is written before it, and counts as events there, hence here, too.
void Evaluator::record(const EventContext& context, const EventBatch::Slot& slot) {
  if (context.thread != nullptr && tables_.learn_accounts(*context.thread)) {
    const ContainerSlot& container = *context.thread->container;
    std::vector<User> users;
    std::vector<Group> groups;
    tables_.accounts(container, users, groups);
    for (const auto& account : capture::account_events(container.id, users, groups, context.event->ts_ns())) {
      write(account, 0, true);
      ++number_;
    }
    tables_.renumber(number_);
  }
  write({slot.bytes, slot.len}, slot.cpu, slot.state_only);
}

void Evaluator::write(std::span<const uint8_t> event, uint16_t cpu, bool state_only) {
  if (recorder_ == nullptr) return;
  auto written = recorder_->append(event, cpu, state_only);
  if (written) return;
  record_status_ = std::move(written);
  recorder_ = nullptr;
}

void Evaluator::note(std::span<const uint8_t> event) {
  if (recorder_ == nullptr) return;
  write(event, 0, true);
  ++number_;
}

void Evaluator::detected(detect::RuleIndex rule, const EventContext& context) {
  Detection detection = engine_.render(rule, context);
  if (options_.clock != nullptr) detection.detect_ns = options_.clock->realtime_ns();
  detection.hostname = options_.hostname.empty() ? tables_.machine().hostname : options_.hostname;
  const fmt::format_int number(number_);
  detection.evidence_ref.reserve(options_.origin.size() + 1 + number.size());
  (detection.evidence_ref += options_.origin) += '#';
  detection.evidence_ref.append(number.data(), number.size());
  detection.id = detection_id(detection);
  ++detection_count_;
  options_.on_detection(std::move(detection));
}

void Evaluator::learn_about(const Event& event) {
  const EventSpec& spec = event.spec();
  if (spec.source == EventClass::meta || spec.has(kEvSkipparsereset) || event.code() == ev::PROCEXIT_1_E) return;
  const bool is_clone = event.code() == ev::SYSCALL_CLONE_20_X || event.code() == ev::SYSCALL_FORK_20_X ||
                        event.code() == ev::SYSCALL_VFORK_20_X || event.code() == ev::SYSCALL_CLONE3_X;
  const bool is_exec = event.code() == ev::SYSCALL_EXECVE_19_X || event.code() == ev::SYSCALL_EXECVEAT_X;
  if (!is_clone && tables_.thread(event.tid()) == nullptr) learn_thread(event.tid(), event.ts_ns(), 0);
  if (!is_clone && !is_exec) return;
  // A clone describes its own thread, but not whom that inherits from: a child from its parent, a thread from its main
  // thread. An exec may name a parent that became one outside of the scope.
  if (event.param(0).i64() != 0) return;
  const auto learn = [&](const char* param) {
    const int index = spec.param_index(param);
    if (index < 0) return;
    const int64_t tid = event.param(static_cast<size_t>(index)).i64();
    if (tid > 0 && tid != event.tid() && tables_.thread(tid) == nullptr) learn_thread(tid, event.ts_ns(), 0);
  };
  learn("ptid");
  if (is_clone) learn("pid");
}

void Evaluator::learn_thread(int64_t tid, uint64_t ts_ns, int depth) {
  constexpr int kMaxAncestors = 32;
  Thread thread;
  std::vector<std::pair<int64_t, Fd>> fds;
  if (depth > kMaxAncestors || !options_.read_thread(tid, thread, fds)) return;
  // Whom it came from first: what hangs on an unknown parent would stay orphaned.
  if (!thread.is_main() && thread.pid > 0 && tables_.thread(thread.pid) == nullptr)
    learn_thread(thread.pid, ts_ns, depth + 1);
  if (thread.ptid > 0 && tables_.thread(thread.ptid) == nullptr) learn_thread(thread.ptid, ts_ns, depth + 1);
  for (const auto& event : task_events(thread, fds, ts_ns, tables_.machine().boot_ns)) evaluate_own(event, true);
}

std::string Evaluator::detection_id(const Detection& detection) {
  uint64_t id = 0;
  if (!options_.is_live || getrandom(&id, sizeof id, 0) != sizeof id) {
    id = fnv1a(detection.rule, fnv1a(detection.evidence_ref, 0xcbf29ce484222325));
  }
  std::string out = "d-0123456789abcdef";
  for (size_t at = out.size(); at-- > 2; id >>= 4) out[at] = "0123456789abcdef"[id & 15];
  return out;
}

}  // namespace quell::cli
