#include "apps/quell/live_lane.h"

#include <chrono>
#include <thread>
#include <utility>

#include "base/log.h"
#include "enrich/container_json.h"

namespace quell::cli {
namespace {

constexpr uint64_t kMillisecond = 1'000'000;
constexpr uint64_t kFillTimeout = 100 * kMillisecond;
constexpr uint64_t kFillTimeoutWhileHolding = 10 * kMillisecond;
constexpr uint64_t kPublishInterval = 100 * kMillisecond;
// Containers that were there before us are described before their first event is evaluated, if the runtime is quick
// about it.
constexpr uint64_t kFirstAnswersPatience = 500 * kMillisecond;
constexpr uint64_t kLastAnswersPatience = 500 * kMillisecond;
constexpr uint64_t kDrainLimit = 2'000 * kMillisecond;
// Who came longer ago and is looked up all the same was forgotten in between, with what it did since.
constexpr uint64_t kArrivalIsRecent = 5'000 * kMillisecond;

}  // namespace

Result<std::unique_ptr<LiveLane>> LiveLane::create(std::unique_ptr<capture::LiveSource> source,
                                                   std::shared_ptr<const LoadedRules> rules, Options options) {
  std::unique_ptr<capture::ScapWriter> recorder;
  if (!options.record_path.empty()) {
    QUELL_TRY(recorder, capture::ScapWriter::create(options.record_path, source->snapshot(), {}));
  }
  std::unique_ptr<LiveLane> lane(new LiveLane(std::move(source), std::move(rules), std::move(options)));
  lane->engine_.profile_into(lane->options_.profile);
  if (Flight* flight = lane->options_.flight) {
    flight->attach(lane->tables_, *lane->rules_);
    lane->evaluator_.fly_with(flight->recorder());
  }
  lane->evaluator_.load(lane->source_->snapshot());
  lane->recorder_ = std::move(recorder);
  lane->evaluator_.record_to(lane->recorder_.get());
  lane->publish();
  return lane;
}

LiveLane::LiveLane(std::unique_ptr<capture::LiveSource> source, std::shared_ptr<const LoadedRules> rules,
                   Options options)
    : options_([&] {
        Options own = std::move(options);
        own.tables.live = true;
        own.tables.clock = own.clock;
        // The kernel described who was moved into the scope when it came. What /proc shows later may be a later
        // program, a zombie without memory, or nothing.
        if (own.tables.read_thread) {
          own.tables.read_thread = [this, look_up = std::move(own.tables.read_thread)](
                                       int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds) {
            const bool is_there = look_up(tid, out, fds);
            auto arrival = source_->find_arrival(tid);
            if (!arrival) {
              auto parent = is_there ? std::nullopt : source_->find_parent_of_arrival(tid);
              if (parent) out = std::move(*parent), fds.clear();
              return is_there || parent;
            }
            if (!is_there || out.exepath.empty()) {
              out = std::move(arrival->thread);
              fds.clear();
            } else if (options_.clock->realtime_ns() < arrival->thread.scanned_ns + kArrivalIsRecent) {
              out = capture::as_it_arrived(std::move(arrival->thread), std::move(out));
            }
            return true;
          };
        }
        if (own.tables.is_isolated) {
          own.tables.is_isolated = [this, look_up = std::move(own.tables.is_isolated)](int64_t pid) {
            std::optional<bool> is_isolated = look_up(pid);
            if (is_isolated) return is_isolated;
            if (const auto arrival = source_->find_arrival(pid)) is_isolated = arrival->has_own_mounts;
            return is_isolated;
          };
        }
        own.tables.on_new_container = [this](const ContainerSlot& slot) {
          if (options_.lookup == nullptr || slot.is_host()) return;
          ++lookups_open_;
          options_.lookup->request({.full_id = slot.full_id,
                                    .guess = slot.type_guess,
                                    .cgroup_path = slot.cgroup_path,
                                    .pid = slot.first_pid});
        };
        return own;
      }()),
      source_(std::move(source)),
      rules_(std::move(rules)),
      tables_(options_.tables),
      engine_(rules_->program),
      noise_(
          options_.noise,
          [this](std::string_view name) {
            const detect::Rule* rule = rules_->find(name);
            return rule != nullptr ? rule->fold.window_ns : std::optional<uint64_t>();
          },
          [this](OutgoingDetection&& outgoing) {
            if (outgoing.detection.folded.count > 0) pending_.note_folded(outgoing.detection);
            options_.emit(std::move(outgoing));
          }),
      pending_(
          {},
          [this](std::string_view name) {
            const detect::Rule* rule = rules_->find(name);
            return rule != nullptr ? rule->output : std::string();
          },
          [this](OutgoingDetection&& outgoing) { noise_.take(std::move(outgoing), options_.clock->monotonic_ns()); }),
      evaluator_(tables_, engine_,
                 {.is_live = true,
                  .origin = "live:" + options_.boot_id,
                  .hostname = options_.hostname,
                  .clock = options_.clock,
                  .on_detection =
                      [this](Detection&& detection) {
                        if (detection.detect_ns > detection.kernel_ns) {
                          detect_seconds_.observe_ns(detection.detect_ns - detection.kernel_ns);
                        }
                        settle_identity(detection.process);
                        detection.rules_generation = rules_->generation;
                        detection.rules_hash = rules_->hash;
                        tell_losses(detection);
                        if (options_.flight != nullptr)
                          options_.flight->on_detection(detection, rules_->find(detection.rule));
                        pending_.add(std::move(detection), options_.clock->monotonic_ns());
                      },
                  .read_thread = options_.tables.read_thread}),
      coverage_(options_.clock->realtime_ns()) {
  rules_generation_ = rules_->generation;
}

Result<void> LiveLane::run() {
  wait_for_first_answers();
  Result<void> ended;
  while (!stopping_) {
    apply_commands();
    const auto pull = source_->fill(batch_, pending_.empty() ? kFillTimeout : kFillTimeoutWhileHolding);
    if (!pull) {
      ended = pull.error();
      break;
    }
    if (*pull == capture::Pull::restarted) evaluator_.load(source_->snapshot());
    evaluate();
    if (*pull == capture::Pull::ended) break;
  }
  // What the kernel has handed over before the end is evaluated, too; new events keep coming, hence the limit.
  const uint64_t limit_ns = options_.clock->monotonic_ns() + kDrainLimit;
  while (ended && options_.clock->monotonic_ns() < limit_ns) {
    const auto pull = source_->fill(batch_, 0);
    if (!pull || *pull != capture::Pull::more || batch_.empty()) break;
    evaluate();
  }
  if (auto finished = finish(); ended && !finished) ended = std::move(finished);
  return ended;
}

// The tables know a start by the time of its clone event, microseconds after the one that /proc rounds down to ticks:
// now and then that is the next tick. A response would take the process for another one, so /proc is asked while the
// process lives.
void LiveLane::settle_identity(ProcessId& process) const {
  constexpr uint64_t kTicksApart = 5;
  if (!options_.start_ticks_of || process.pid <= 0) return;
  const uint64_t known = process.start_ticks;
  const uint64_t told = options_.start_ticks_of(process.pid);
  const bool same_life = known == 0 || (told <= known + kTicksApart && known <= told + kTicksApart);
  if (told != 0 && same_life) process.start_ticks = told;
}

void LiveLane::wait_for_first_answers() {
  if (options_.lookup == nullptr) return;
  const uint64_t limit_ns = options_.clock->monotonic_ns() + kFirstAnswersPatience;
  while (lookups_open_ > 0 && !stopping_ && options_.clock->monotonic_ns() < limit_ns) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    take_answers();
  }
}

void LiveLane::take_answers() {
  if (options_.lookup == nullptr) return;
  answers_.clear();
  options_.lookup->poll(answers_);
  for (const os::LookupAnswer& answer : answers_) {
    if (answer.final && lookups_open_ > 0) --lookups_open_;
    if (answer.info != nullptr) {
      // As an event, metadata has its place in the order of things: the recording and its replay know it from there on,
      // too.
      const uint64_t ts_ns = last_event_ns_ != 0 ? last_event_ns_ : options_.clock->realtime_ns();
      const auto event =
          EventBuilder(ev::CONTAINER_JSON_2_E, ts_ns, -1).text(enrich::container_json(*answer.info)).build();
      if (tables_.container(answer.full_id) != nullptr) {
        evaluator_.inject(event);
        tables_.set_container_info(answer.full_id, answer.info);
      } else {
        // Nobody lives there any more, but detections may wait for it, here and in the recording.
        evaluator_.note(event);
      }
    }
    pending_.answer({.full_id = answer.full_id,
                     .info = answer.info,
                     .missing = answer.missing,
                     .detail = answer.detail,
                     .is_final = answer.final},
                    options_.clock->realtime_ns());
  }
}

void LiveLane::tell_losses(Detection& detection) {
  observe_losses(options_.clock->realtime_ns());
  const Thread* thread = tables_.thread(detection.tid);
  detection.losses = coverage_.window(thread != nullptr ? window_start_ns(tables_, *thread) : detection.kernel_ns,
                                      detection.kernel_ns);
}

void LiveLane::observe_losses(uint64_t now_ns) {
  const capture::SourceCounters counters = source_->counters();
  const uint64_t before = coverage_.last_loss_ns();
  coverage_.observe(now_ns, counters.lost(), counters.last_loss_ns);
  if (coverage_.last_loss_ns() != before)
    losses_ = std::make_shared<const std::vector<LossSecond>>(coverage_.seconds());
}

void LiveLane::apply_commands() {
  if (!has_new_rules_.exchange(false)) return;
  {
    std::lock_guard lock(mutex_);
    if (!new_rules_) return;
    rules_ = std::exchange(new_rules_, nullptr);
  }
  engine_.swap(rules_->program);
  if (options_.flight != nullptr) {
    options_.flight->use(*rules_);
    evaluator_.fly_with(options_.flight->recorder());
  }
  ++rule_swaps_;
  rules_generation_ = rules_->generation;
  const Interest interest = options_.flight != nullptr ? options_.flight->interest(*rules_) : rules_->interest();
  if (auto changed = source_->set_interest(interest); !changed) {
    log::error("capture", "the sensor does not take the events of the new rules: {}", changed.error().str());
  }
}

void LiveLane::evaluate() {
  take_answers();
  evaluator_.run(batch_);
  if (!batch_.empty()) last_event_ns_ = load<EventHeader>(batch_.event(batch_.size() - 1).data()).ts_ns;
  const uint64_t now_ns = options_.clock->monotonic_ns();
  pending_.tick(now_ns);
  noise_.tick(now_ns);
  if (now_ns < next_publish_ns_) return;
  next_publish_ns_ = now_ns + kPublishInterval;
  tables_.housekeep(options_.clock->realtime_ns());
  if (options_.flight != nullptr) options_.flight->tick(options_.clock->realtime_ns(), source_->counters().lost());
  publish();
}

void LiveLane::publish() {
  LaneStatus status;
  status.source = source_->counters();
  status.tables = tables_.counters();
  status.events = evaluator_.event_count();
  status.detections = evaluator_.detection_count();
  status.rules = detect::rule_count(*rules_->program);
  status.rule_swaps = rule_swaps_;
  status.rules_generation = rules_->generation;
  status.noise = noise_.counters();
  status.sent_incomplete = pending_.sent_incomplete();
  if (options_.flight != nullptr) status.flight = options_.flight->status();
  status.completed_late = pending_.completed_late();
  status.not_completed = pending_.forgotten();
  status.held = pending_.waiting();
  status.awaited = pending_.late();
  status.published_ns = options_.clock->realtime_ns();
  observe_losses(status.published_ns);
  status.started_ns = coverage_.start_ns();
  status.last_loss_ns = coverage_.last_loss_ns();
  status.losses = losses_;
  if (recorder_) status.recorded_events = recorder_->event_count();
  if (!evaluator_.record_status()) status.record_error = evaluator_.record_status().error().str();
  status.is_running = !stopping_;
  std::lock_guard lock(mutex_);
  status_ = std::move(status);
}

Result<void> LiveLane::finish() {
  stopping_ = true;
  // What is held gets a last chance: nobody completes it once we are gone. A recording is for rules that nobody knows
  // yet: any container may matter to them.
  const auto is_awaited = [this] { return !pending_.empty() || (recorder_ != nullptr && lookups_open_ > 0); };
  const uint64_t limit_ns = options_.clock->monotonic_ns() + kLastAnswersPatience;
  for (take_answers(); is_awaited() && options_.clock->monotonic_ns() < limit_ns; take_answers())
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  pending_.flush();
  noise_.flush();
  if (options_.flight != nullptr) options_.flight->finish();
  publish();
  if (!recorder_) return {};
  evaluator_.record_to(nullptr);
  auto closed = recorder_->close();
  if (!evaluator_.record_status()) return evaluator_.record_status().error();
  return closed;
}

void LiveLane::set_rules(std::shared_ptr<const LoadedRules> rules) {
  std::lock_guard lock(mutex_);
  new_rules_ = std::move(rules);
  has_new_rules_ = true;
}

LaneStatus LiveLane::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

}  // namespace quell::cli
