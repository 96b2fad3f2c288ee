// What a running quell tells and does for those who ask over the API: health, metrics, actions, detections.
#include "apps/quell/daemon.h"

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
  page.counter("quell_capture_faults_total",
               "Events whose process memory could not be read: they came with empty parameters.", source.lost_fault);
  page.counter("quell_capture_names_from_kernel_total",
               "Opens whose given name did not lead to the opened file: the kernel's path was told.",
               source.names_from_kernel);
  page.counter("quell_capture_foreign_abi_total",
               "Programs of the 32-bit ABIs, or (where one program sees all calls) their system calls: not decoded.",
               source.foreign_abi);
  page.counter("quell_capture_malformed_events_total", "Events that did not follow their format.", status.malformed);
  page.counter("quell_capture_recorded_events_total", "Events written to the recording.", status.recorded_events);
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
  services.undo_action = [this](const api::UndoRequest& request) {
    return to_api(runner_->undo({.action_id = request.action_id, .actor = request.actor, .reason = request.reason}));
  };
  services.find_action = [this](const std::string& id) { return runner_->show(id); };
  services.list_actions = [this](size_t limit) {
    ActionQuery query;
    query.limit = limit;
    return runner_->list(query);
  };
  services.list_detections = [this](size_t limit) {
    record::DetectionQuery query;
    query.limit = limit;
    return store_->detections(query);
  };
  services.find_detection = [this](const std::string& id) { return store_->detection(id); };
  return services;
}

api::Health Daemon::health() const {
  api::Health health;
  api::HealthItem sensor{.component = "sensor"};
  api::HealthItem store{.component = "store"};
  api::HealthItem rules{.component = "rules"};
  if (!is_ready_) {
    sensor.is_ready = false;
    sensor.reason = "starting";
    health.items = {sensor};
    return health;
  }
  const LaneStatus status = lane_->status();
  if (is_stopping_) {
    sensor.is_ready = false;
    sensor.reason = "stopping";
  } else if (!status.is_running) {
    sensor.is_ready = false;
    sensor.reason = "the sensor has ended";
  } else if (status.source.lost() > 0) {
    sensor.is_degraded = true;
    sensor.reason = "events were lost: " + std::to_string(status.source.lost_ring_full) +
                    " because the ring was full, " + std::to_string(status.source.lost_scratch) +
                    " because they were too large";
  }
  store.reason = sink_->store_error();
  store.is_degraded = !store.reason.empty();
  {
    std::lock_guard lock(mutex_);
    rules.reason = reload_error_;
  }
  rules.is_degraded = !rules.reason.empty();
  health.items = {sensor, store, rules};
  if (!status.record_error.empty()) {
    health.items.push_back(
        {.component = "recording", .is_ready = true, .is_degraded = true, .reason = status.record_error});
  }
  if (sink_->is_stdout_gone()) {
    health.items.push_back({.component = "stdout",
                            .is_ready = true,
                            .is_degraded = true,
                            .reason = "nobody reads it; detections are in the store"});
  }
  return health;
}

void Daemon::collect(metrics::Page& page) const {
  if (!is_ready_) return;
  const LaneStatus status = lane_->status();
  collect_sensor(status, page);
  collect_tables(status.tables, page);
  page.counter("quell_detect_events_total", "Events shown to the rules.", status.events);
  page.counter("quell_detect_detections_total", "Rules that matched.", status.detections);
  page.gauge("quell_detect_rules", "Rules in force.", static_cast<double>(status.rules));
  page.counter("quell_detect_rule_swaps_total", "Times that new rules came into force.", status.rule_swaps);
  page.counter("quell_detect_failed_reloads_total", "Times that rules could not be read again.", failed_reloads_);
  page.histogram("quell_detect_seconds", "From the kernel's timestamp to the match.", lane_->detect_seconds());
  page.histogram("quell_print_seconds", "From the kernel's timestamp to the printed line.", sink_->print_seconds());
  page.counter("quell_detect_incomplete_total", "Detections that went out without their container's metadata.",
               status.sent_incomplete);
  page.gauge("quell_record_queued_detections", "Detections on their way to the store.",
             static_cast<double>(sink_->queued()));
  page.counter("quell_record_failed_detections_total", "Detections that could not be stored.", sink_->store_failures());

  const os::LookupCounters lookups = lookup_->counters();
  page.counter("quell_lookup_requests_total", "Containers asked for.", lookups.requests);
  page.counter("quell_lookup_found_total", "Containers that a runtime described.", lookups.found);
  page.counter("quell_lookup_failed_total", "Containers that no runtime described.", lookups.failed + lookups.rejected);

  const api::ServerCounters served = server_->counters();
  page.counter("quell_api_requests_total", "Requests answered.", served.requests);
  page.counter("quell_api_bad_requests_total", "Requests that were not HTTP, or beyond a limit.", served.bad_requests);
  page.counter("quell_api_timeouts_total", "Connections that were too slow.", served.timeouts);
  page.gauge("quell_api_connections", "Connections open now.", static_cast<double>(served.connections));
}

}  // namespace quell::cli
