#include "apps/quell/flight.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "base/text.h"
#include "enrich/container_json.h"

namespace quell::cli {

using capture::flight::CaptureFiles;
using capture::flight::FlightLimits;
using capture::flight::FlightRecorder;

namespace {

constexpr uint64_t kMillisecond = 1'000'000;

}  // namespace

Result<std::unique_ptr<Flight>> Flight::open(const FlightOptions& options, const std::string& data_dir,
                                             std::function<void(const CaptureRef&)> on_done) {
  std::unique_ptr<Flight> flight(new Flight(options));
  // Absolute: the path stands in detections, which are read from elsewhere.
  std::error_code error;
  const std::string folder = std::filesystem::absolute(data_dir, error).string();
  if (error) return errno_error(error.value(), "cannot tell where the data directory is", data_dir);
  QUELL_TRY(flight->files_, CaptureFiles::open({.folder = folder + "/captures",
                                                .max_disk_bytes = options.disk_bytes,
                                                .max_queue_bytes = 24 << 20,
                                                .on_done = std::move(on_done)}));
  return flight;
}

void Flight::attach(const enrich::StateTables& tables, const LoadedRules& rules) {
  FlightLimits limits;
  limits.before_ns = options_.before_ms * kMillisecond;
  limits.after_ns = options_.after_ms * kMillisecond;
  limits.total_bytes = static_cast<size_t>(options_.memory_bytes);
  limits.ring_bytes = std::max<size_t>(limits.total_bytes / 4, 1);
  FlightRecorder::Tables access;
  access.view = &tables;
  access.for_each_thread = [&tables](const auto& visit) { tables.for_each_thread(visit); };
  access.accounts = [&tables](const ContainerSlot& slot, std::vector<User>& users, std::vector<Group>& groups) {
    tables.accounts(slot, users, groups);
  };
  access.describe = [](const Container& container) { return enrich::container_json(container); };
  recorder_ = std::make_unique<FlightRecorder>(limits, std::move(access), *files_);
  use(rules);
}

void Flight::use(const LoadedRules& rules) {
  const bool was_needed = is_needed_;
  is_needed_ = may_capture(rules);
  // What the rings hold would have a hole from here on.
  if (was_needed && !is_needed_) recorder_->reset();
}

bool Flight::may_capture(const LoadedRules& rules) const {
  return std::any_of(rules.set.rules.begin(), rules.set.rules.end(),
                     [this](const detect::Rule& rule) { return rule.enabled && wants(rule.capture, rule.priority); });
}

Interest Flight::interest(const LoadedRules& rules) const {
  const Interest interest = rules.interest();
  return may_capture(rules) ? interest.unfiltered() : interest;
}

bool Flight::wants(bool rule_asks, Priority priority) const {
  if (options_.mode == CaptureMode::off) return false;
  if (options_.mode == CaptureMode::all || rule_asks) return true;
  return options_.at_least && priority <= *options_.at_least;
}

bool Flight::allows(const Detection& detection) {
  constexpr double kMinute = 60e9;
  const double most = options_.per_rule_and_minute;
  auto [entry, is_new] = allowances_.try_emplace(detection.rule, Allowance{most, detection.kernel_ns});
  Allowance& allowance = entry->second;
  if (detection.kernel_ns > allowance.at_ns) {
    const auto passed = static_cast<double>(detection.kernel_ns - allowance.at_ns);
    allowance.captures = std::min(most, allowance.captures + passed * most / kMinute);
    allowance.at_ns = detection.kernel_ns;
  }
  if (allowance.captures < 1) return false;
  allowance.captures -= 1;
  return true;
}

void Flight::on_detection(Detection& detection, const detect::Rule* rule) {
  if (recorder() == nullptr) return;
  const bool joins = recorder_->would_join();
  const bool is_wanted = wants(rule != nullptr && rule->capture, detection.priority);
  if (!is_wanted && !joins) return;
  if (is_wanted && !joins && !allows(detection)) {
    ++limited_;
    return;
  }
  CaptureRef ref;
  ref.id = detection.id;
  ref.rule = detection.rule;
  ref.trigger_ns = detection.kernel_ns;
  ref.path = files_->path_of(detection.id);
  // Who asks for no capture is noted in one that is running and does not make it longer.
  const uint64_t rule_ms = rule != nullptr && rule->capture ? rule->capture_duration_ms : 0;
  const auto started = recorder_->trigger(std::move(ref), is_wanted ? rule_ms * kMillisecond : 1);
  if (started) detection.capture = std::make_shared<const CaptureRef>(started->ref);
}

void Flight::tick(uint64_t now_ns, uint64_t lost_events) {
  if (recorder() == nullptr) return;
  recorder_->note_lost(lost_events);
  recorder_->tick(now_ns);
}

void Flight::finish() {
  if (recorder_ != nullptr) recorder_->finish("ended early: quell was stopped");
  files_->close();
}

FlightStatus Flight::status() const {
  FlightStatus out;
  if (recorder_ != nullptr) out.rings = recorder_->counters();
  out.limited = limited_;
  return out;
}

void collect_flight(const FlightStatus& status, const capture::flight::CaptureFileCounters& files,
                    metrics::Page& page) {
  const auto& rings = status.rings;
  page.gauge("quell_flight_rings", "Containers whose recent events are kept, the host included.",
             static_cast<double>(rings.rings));
  page.gauge("quell_flight_segments", "Segments in all rings.", static_cast<double>(rings.segments));
  page.gauge("quell_flight_bytes", "Memory of all rings.", static_cast<double>(rings.bytes));
  page.counter("quell_flight_events_total", "Events put into rings.", rings.events_kept);
  const char* dropped = "Events that left their ring, by reason; aged is as it should be.";
  page.counter("quell_flight_dropped_events_total", dropped, rings.events_aged, {{"reason", "aged"}});
  page.counter("quell_flight_dropped_events_total", dropped, rings.events_dropped_ring, {{"reason", "ring_full"}});
  page.counter("quell_flight_dropped_events_total", dropped, rings.events_dropped_total, {{"reason", "memory"}});
  page.counter("quell_flight_partial_segments_total",
               "Segments that lack the state of some threads at their beginning, for lack of room.",
               rings.segments_without_state);
  page.gauge("quell_flight_active_captures", "Captures that are being made.",
             static_cast<double>(rings.captures_active));
  page.counter("quell_flight_captures_total", "Captures begun.", rings.captures_begun);
  page.counter("quell_flight_joined_detections_total", "Detections inside of a capture that was being made.",
               rings.captures_joined);
  const char* refused = "Captures that were asked for and not made, by reason.";
  page.counter("quell_flight_refused_captures_total", refused, rings.captures_refused,
               {{"reason", "too_many_at_once"}});
  page.counter("quell_flight_refused_captures_total", refused, status.limited, {{"reason", "rule_rate"}});
  page.counter("quell_flight_cut_captures_total", "Captures that ended before their time.", rings.captures_cut);
  page.counter("quell_flight_written_files_total", "Captures written.", files.written);
  page.counter("quell_flight_failed_files_total", "Captures that could not be written.", files.failed);
  page.counter("quell_flight_removed_files_total", "Older captures removed to keep the disk budget.",
               files.removed_for_room);
  page.counter("quell_flight_leftover_files_total", "Unfinished files of an earlier run, removed at the start.",
               files.leftovers);
  page.gauge("quell_flight_disk_bytes", "Captures on disk.", static_cast<double>(files.bytes));
  page.gauge("quell_flight_files", "Captures on disk.", static_cast<double>(files.files));
  page.gauge("quell_flight_queued_bytes", "Events on their way to the disk.", static_cast<double>(files.queued_bytes));
}

Result<CaptureMode> parse_capture_mode(const std::string& text) {
  if (text == "off") return CaptureMode::off;
  if (text == "rules") return CaptureMode::rules;
  if (text == "all") return CaptureMode::all;
  return Error{Code::invalid_argument, fmt::format("\"{}\" is none of off, rules, all", text), "--capture"};
}

Result<uint64_t> parse_size(std::string_view text) {
  const std::string_view whole = text;
  uint64_t unit = 1;
  if (!text.empty()) {
    switch (text.back()) {
      case 'K': unit = uint64_t{1} << 10; break;
      case 'M': unit = uint64_t{1} << 20; break;
      case 'G': unit = uint64_t{1} << 30; break;
      default: break;
    }
    if (unit != 1) text.remove_suffix(1);
  }
  uint64_t number = 0;
  if (!parse_u64(text, number) || number > UINT64_MAX / unit)
    return Error{Code::invalid_argument, fmt::format("\"{}\" is no size; give one such as 512K, 16M or 2G", whole), {}};
  return number * unit;
}

}  // namespace quell::cli
