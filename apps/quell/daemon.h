#pragma once
// `quell up`: the parts of a running quell, wired. Everything that another thread may ask of it is here.
#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "api/routes.h"
#include "api/server.h"
#include "apps/quell/detection_sink.h"
#include "apps/quell/engine_flags.h"
#include "apps/quell/flight.h"
#include "apps/quell/live_lane.h"
#include "apps/quell/rule_reload.h"
#include "apps/quell/scope.h"
#include "base/metrics.h"
#include "os/container_lookup.h"
#include "record/evidence/files.h"
#include "record/store.h"
#include "respond/runner.h"
#include "respond/worker.h"

namespace quell::cli {

struct DaemonOptions {
  std::string scope;
  std::vector<std::string> rules, exceptions;
  RuleFlags rule_flags;
  detect::EngineOptions engine;
  ProfileFlags profile;
  std::string data_dir;
  api::TcpAddress listen;
  std::string record_path;
  FlightOptions flight;
  StreamFormat format = StreamFormat::text;
  NoiseOptions noise;
  os::RuntimeSockets sockets = os::find_runtime_sockets();
  size_t label_max_len = 100;  // os::ContainerLookup::Options
  bool show_warnings = false;
};

class Daemon {
 public:
  /// Takes what can be refused first: rules, data directory, port, scope, sensor. Nothing runs yet.
  /// Errors: of each part; the message names the remedy.
  static Result<std::unique_ptr<Daemon>> create(DaemonOptions options);
  ~Daemon();

  /// Runs until SIGINT or SIGTERM, or until the sensor fails. SIGHUP reads the rules again. Call block_signals() first,
  /// before any thread is started. Errors: of the sensor, and of the recording.
  Result<void> run();

  std::string address() const;
  static void block_signals();

 private:
  explicit Daemon(DaemonOptions options);
  Result<void> open();
  Result<void> open_rules();
  Result<void> open_lane();
  void print_profile() const;
  /// Whatever line has been printed, its detection is found.
  Result<Detection> find_detection(std::string_view id) const;
  api::ApiServices services();
  api::Health health() const;
  void collect(metrics::Page& page) const;

  const DaemonOptions options_;
  // In the order in which they are needed; torn down in reverse.
  std::unique_ptr<os::Os> machine_;
  std::vector<std::unique_ptr<os::Runtime>> runtimes_;
  std::vector<std::unique_ptr<os::Runtime>> lookup_runtimes_;  // with a short timeout
  std::unique_ptr<RuleReload> rules_;
  std::unique_ptr<record::Store> store_;
  std::unique_ptr<record::EvidenceFiles> evidence_;
  metrics::Registry metrics_;
  std::unique_ptr<respond::Runner> runner_;
  std::unique_ptr<respond::Worker> worker_;
  std::unique_ptr<os::ContainerLookup> lookup_;
  std::unique_ptr<DetectionSink> sink_;
  std::unique_ptr<detect::RuleProfile> profile_;  // null unless asked for
  std::unique_ptr<Flight> flight_;                // null: switched off
  std::unique_ptr<LiveLane> lane_;
  std::unique_ptr<api::HttpServer> server_;
  WatchScope scope_;
  std::atomic<bool> is_ready_{false};
  std::atomic<bool> is_stopping_{false};
};

}  // namespace quell::cli
