// What a running quell tells and does for those who ask over the API: health, metrics, actions, detections.
#include <chrono>
#include <thread>

#include "apps/quell/daemon.h"
#include "apps/quell/health.h"
#include "apps/quell/rules_json.h"
#include "respond/catalogue.h"

namespace quell::cli {
namespace {

Result<api::ActionOutcome> to_api(Result<respond::Outcome>&& outcome) {
  if (!outcome) return std::move(outcome).error();
  return api::ActionOutcome{std::move(outcome->record), outcome->existing};
}

void collect_sensor(const LaneStatus& status, metrics::Page& page) {
  const capture::SourceCounters& source = status.source;
  page.counter("quell_capture_events_total", "Events taken from the sensor.", source.events);
  const char* help = "Events that were not seen, by cause.";
  page.counter("quell_capture_lost_events_total", help, source.lost_ring_full, {{"cause", "ring_full"}});
  page.counter("quell_capture_lost_events_total", help, source.lost_scratch, {{"cause", "scratch"}});
  page.gauge("quell_capture_last_loss_timestamp_seconds", "When an event was lost last; 0: never.",
             static_cast<double>(status.last_loss_ns) / 1e9);
  page.counter("quell_capture_faults_total",
               "Events whose process memory could not be read: they came with empty parameters.", source.lost_fault);
  page.counter("quell_capture_names_from_kernel_total",
               "Opens whose given name did not lead to the opened file: the kernel's path was told.",
               source.names_from_kernel);
  page.counter("quell_capture_foreign_abi_total",
               "Programs of the 32-bit ABIs, or (where one program sees all calls) their system calls: not decoded.",
               source.foreign_abi);
  page.counter("quell_capture_malformed_events_total", "Events that did not follow their format.",
               status.source.malformed);
  page.counter("quell_capture_recorded_events_total", "Events written to the recording.", status.recorded_events);
}

void collect_noise(const NoiseCounters& noise, metrics::Page& page) {
  page.counter("quell_triage_folded_total", "Repeats of a detection that were counted instead of delivered.",
               noise.fold.folded);
  page.counter("quell_triage_summaries_total", "Detections that went out again with the count of their repeats.",
               noise.fold.summaries);
  page.counter("quell_triage_evicted_total", "Windows of repeats that ended early for room; their counts went out.",
               noise.fold.evicted);
  page.gauge("quell_triage_windows", "Windows of repeats that are open.", static_cast<double>(noise.fold.open));
  page.counter("quell_triage_unprinted_total", "Detections that were stored, but not printed, by cause.", noise.unshown,
               {{"cause", "max_per_minute"}});
}

void collect_tables(const enrich::Counters& tables, metrics::Page& page) {
  page.gauge("quell_enrich_threads", "Threads in the table.", static_cast<double>(tables.threads));
  page.gauge("quell_enrich_fds", "Descriptors in the table.", static_cast<double>(tables.fds));
  page.gauge("quell_enrich_containers", "Containers in the table.", static_cast<double>(tables.containers));
  const char* help = "Entries that a table had no room for, or dropped for room.";
  page.counter("quell_enrich_forgotten_total", help, tables.threads_evicted,
               {{"table", "threads"}, {"how", "evicted"}});
  page.counter("quell_enrich_forgotten_total", help, tables.threads_refused,
               {{"table", "threads"}, {"how", "refused"}});
  page.counter("quell_enrich_forgotten_total", help, tables.fds_refused, {{"table", "fds"}, {"how", "refused"}});
  page.counter("quell_enrich_forgotten_total", help, tables.containers_refused,
               {{"table", "containers"}, {"how", "refused"}});
  page.counter("quell_enrich_forgotten_total", help, tables.forebears_refused,
               {{"table", "creators"}, {"how", "refused"}});
  page.counter("quell_enrich_lookalikes_total", "Times that a host's process was in a cgroup named like a container's.",
               tables.lookalikes);
  page.counter("quell_enrich_lookups_total", "Unknown threads that were looked up in /proc.", tables.lookups);
  page.counter("quell_enrich_failed_lookups_total", "Unknown threads that were gone already.", tables.lookups_failed);
}

}  // namespace

api::ApiServices Daemon::services() {
  api::ApiServices services;
  services.health = [this] { return health(); };
  services.metrics = [this] { return metrics_.render(); };
  services.preview_action = [this](const Command& command) -> Result<std::string> {
    auto preview = runner_->preview(command);
    if (!preview) return std::move(preview).error();
    return std::move(preview->json);
  };
  services.run_action = [this](const Command& command) { return to_api(runner_->run(command)); };
  services.undo_action = [this](const Verdict& verdict) { return to_api(runner_->undo(verdict)); };
  services.approve_action = [this](const Verdict& verdict) { return to_api(runner_->approve(verdict)); };
  services.cancel_action = [this](const Verdict& verdict) { return to_api(runner_->cancel(verdict)); };
  services.actions_in_effect = [this] { return runner_->in_effect(); };
  services.action_catalogue = [this] { return respond::catalogue_json(runner_->world()); };
  services.stop_switch = [this] { return runner_->stop_switch(); };
  services.set_stop_switch = [this](const StopSwitch& wanted) { return runner_->set_stop_switch(wanted); };
  services.find_action = [this](const std::string& id) { return runner_->show(id); };
  services.list_actions = [this](size_t limit) {
    ActionQuery query;
    query.limit = limit;
    return runner_->list(query);
  };
  services.reload_rules = [this]() -> Result<std::string> {
    const uint64_t before = rules_->state().rules->generation;
    QUELL_TRY(const auto loaded, rules_->reload(RuleReload::Cause::request));
    // Said to be in force once events are shown to them.
    for (int i = 0; i < 500 && !is_stopping_ && lane_->rules_generation() < loaded->generation; ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return reload_json(*loaded, before != loaded->generation, lane_->rules_generation());
  };
  services.list_rules = [this] { return rules_json(rules_->state()); };
  services.list_detections = [this](const api::DetectionFilter& filter) {
    record::DetectionQuery query;
    query.limit = filter.limit;
    query.rule = filter.rule;
    query.before_id = filter.before_id;
    query.oldest_first = filter.oldest_first;
    query.after_id = filter.after_id;
    query.since_ns = filter.since_ns;
    if (sink_) sink_->settle();
    return store_->detections(query);
  };
  services.rules_profile = [this]() -> Result<std::string> {
    if (profile_ == nullptr) return Error{Code::not_found, "no profile is taken; start `quell up` with --profile", {}};
    return profile_json(profile_->report());
  };
  services.find_detection = [this](const std::string& id) { return find_detection(id); };
  services.audit = store_.get();
  services.evidence = evidence_.get();
  return services;
}

api::Health Daemon::health() const {
  if (!is_ready_) return {.items = {{.component = "sensor", .is_ready = false, .reason = "starting"}}};
  const LaneStatus status = lane_->status();
  api::Health health;
  health.coverage = coverage_of(status);
  health.items = {sensor_health(status, is_stopping_, system_clock().realtime_ns())};
  const std::string store_error = sink_->store_error();
  health.items.push_back({.component = "store", .is_degraded = !store_error.empty(), .reason = store_error});
  const std::string rules_error = rules_->state().error;
  health.items.push_back({.component = "rules", .is_degraded = !rules_error.empty(), .reason = rules_error});
  add_runtime_health(lookup_->runtimes(), lookup_->counters().requests > 0, health.items);
  if (!status.record_error.empty())
    health.items.push_back({.component = "recording", .is_degraded = true, .reason = status.record_error});
  if (sink_->is_stdout_gone())
    health.items.push_back(
        {.component = "stdout", .is_degraded = true, .reason = "nobody reads it; detections are in the store"});
  if (flight_ != nullptr) {
    const std::string reason = flight_->files().error;
    health.items.push_back({.component = "captures", .is_degraded = !reason.empty(), .reason = reason});
  }
  return health;
}

void Daemon::collect(metrics::Page& page) const {
  if (!is_ready_) return;
  const LaneStatus status = lane_->status();
  collect_sensor(status, page);
  collect_tables(status.tables, page);
  collect_noise(status.noise, page);
  page.counter("quell_detect_events_total", "Events shown to the rules.", status.events);
  page.counter("quell_detect_detections_total", "Rules that matched.", status.detections);
  page.gauge("quell_detect_rules", "Rules in force.", static_cast<double>(status.rules));
  page.counter("quell_detect_rule_swaps_total", "Times that new rules came into force.", status.rule_swaps);
  rules_->collect(page);
  page.histogram("quell_detect_seconds", "From the kernel's timestamp to the match.", lane_->detect_seconds());
  page.histogram("quell_print_seconds", "From the kernel's timestamp to the printed line.", sink_->print_seconds());
  page.counter("quell_detect_incomplete_total", "Detections that went out without their container's metadata.",
               status.sent_incomplete);
  page.counter("quell_detect_completed_total", "Incomplete detections whose stored record was completed.",
               status.completed_late);
  page.counter("quell_detect_not_completed_total", "Incomplete detections forgotten for room before an answer came.",
               status.not_completed);
  page.gauge("quell_detect_held", "Detections that wait for their container's metadata.",
             static_cast<double>(status.held));
  page.gauge("quell_detect_awaited", "Detections that went out incomplete and may be completed yet.",
             static_cast<double>(status.awaited));
  page.gauge("quell_record_queued_detections", "Detections on their way to the store.",
             static_cast<double>(sink_->queued()));
  page.counter("quell_record_failed_detections_total", "Detections that could not be stored.", sink_->store_failures());

  if (const auto evidence = evidence_->counters()) {
    page.gauge("quell_evidence_items", "Catalogue entries of evidence.", static_cast<double>(evidence->items));
    page.gauge("quell_evidence_bytes", "Bytes of evidence that is kept.", static_cast<double>(evidence->bytes));
    page.gauge("quell_evidence_held", "Catalogue entries under legal hold.", static_cast<double>(evidence->held));
    page.counter("quell_evidence_dropped_total", "Evidence deleted for age or room.", evidence->dropped);
    page.counter("quell_evidence_refused_total", "Evidence for which no room could be made.", evidence->refused);
  }

  if (flight_ != nullptr) collect_flight(status.flight, flight_->files(), page);

  const os::LookupCounters lookups = lookup_->counters();
  page.counter("quell_lookup_requests_total", "Containers asked for.", lookups.requests);
  page.counter("quell_lookup_found_total", "Containers that a runtime described.", lookups.found);
  page.counter("quell_lookup_failed_total", "Containers that no runtime described.", lookups.failed + lookups.rejected);

  page.gauge("quell_lookup_waiting", "Containers whose answer is due.", static_cast<double>(lookups.waiting));
  page.gauge("quell_lookup_cached", "Answers remembered.", static_cast<double>(lookups.cached));

  const api::ServerCounters served = server_->counters();
  page.counter("quell_api_requests_total", "Requests answered.", served.requests);
  page.counter("quell_api_bad_requests_total", "Requests that were not HTTP, or beyond a limit.", served.bad_requests);
  page.counter("quell_api_timeouts_total", "Connections that were too slow.", served.timeouts);
  page.gauge("quell_api_connections", "Connections open now.", static_cast<double>(served.connections));
}

}  // namespace quell::cli
