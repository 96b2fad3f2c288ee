#include "apps/quell/daemon.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <filesystem>
#include <thread>

#include "apps/quell/cli.h"
#include "apps/quell/live_tables.h"
#include "base/log.h"
#include "os/proc_fs.h"

namespace quell::cli {
namespace {

// Answers for detections that wait come from runtimes that are well; the others are not waited for.
constexpr uint32_t kLookupTimeoutMs = 2000;
constexpr auto kDrainLimit = std::chrono::seconds(10);

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGHUP);
  sigaddset(&set, SIGUSR1);
  return set;
}

std::string host_name() {
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : std::string();
}

/// Ends the process if draining takes longer than it may. What is in the store stays, and the journal knows what was
/// begun.
class DrainLimit {
 public:
  DrainLimit() : thread_([this] { wait(); }) {}
  ~DrainLimit() {
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }

 private:
  void wait() {
    std::unique_lock lock(mutex_);
    if (changed_.wait_for(lock, kDrainLimit, [this] { return done_; })) return;
    log::error("up", "not everything could be written out within {} s; ending now", kDrainLimit.count());
    std::_Exit(static_cast<int>(Exit::partly_done));
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool done_ = false;
  std::thread thread_;
};

}  // namespace

void Daemon::block_signals() {
  const sigset_t set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

Daemon::Daemon(DaemonOptions options)
    : options_(std::move(options)), machine_(os::make_linux_os()), runtimes_(os::make_runtimes(options_.sockets)) {
  os::RuntimeSockets quick = options_.sockets;
  quick.timeout_ms = kLookupTimeoutMs;
  lookup_runtimes_ = os::make_lookup_runtimes(quick);
}

Daemon::~Daemon() {
  // The API's handlers use everything else.
  if (server_) server_->stop();
}

Result<std::unique_ptr<Daemon>> Daemon::create(DaemonOptions options) {
  std::unique_ptr<Daemon> daemon(new Daemon(std::move(options)));
  QUELL_CHECK(daemon->open());
  return daemon;
}

Result<void> Daemon::open() {
  QUELL_CHECK(open_rules());
  QUELL_TRY(scope_, resolve_scope(options_.scope, *machine_, runtimes_));
  std::error_code error;
  const auto parent = std::filesystem::absolute(options_.data_dir, error).parent_path();
  std::filesystem::create_directories(parent, error);
  if (error)
    return errno_error(error.value(), "cannot create the folder above the data directory; choose another --data-dir",
                       parent.string());
  QUELL_TRY(store_, record::open_store({.data_dir = options_.data_dir}));
  const std::string evidence = options_.data_dir + "/" + std::string(record::kEvidenceFolder);
  QUELL_TRY(evidence_, record::EvidenceFiles::open({.folder = evidence}, *store_, *store_));
  // There from the start, so that a person finds it.
  const std::string exceptions = options_.data_dir + "/" + std::string(kExceptionsFolder);
  if (mkdir(exceptions.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot make the folder of exceptions", exceptions);

  respond::RunnerOptions runner_options;
  runner_options.guards.in_scope = scope_.contains;
  runner_options.guards.scope = scope_.text;
  runner_options.find_detection = [this](std::string_view id) { return find_detection(id); };
  const auto sleep = [](uint64_t ns) { std::this_thread::sleep_for(std::chrono::nanoseconds(ns)); };
  runner_ = std::make_unique<respond::Runner>(respond::World{*machine_, runtimes_, system_clock(), sleep}, *store_,
                                              std::move(runner_options));
  metrics_.add([this](metrics::Page& page) { collect(page); });

  api::ServerOptions server;
  server.listen_tcp = true;
  server.tcp = options_.listen;
  server.unix_path = options_.data_dir + "/" + std::string(kControlSocketName);
  // The port is taken before the sensor is loaded, because that is the slower of the two to be refused. Until all
  // stands, every request but a look at the health is told to wait.
  QUELL_TRY(server_, api::HttpServer::start(server, [this, services = services()](const api::Request& request) {
              if (!is_ready_ && request.path != "/healthz" && request.path != "/readyz") {
                return api::error_response(Error{Code::unavailable, "quell is still starting", {}});
              }
              return api::dispatch(services, request);
            }));
  QUELL_CHECK(open_lane());
  QUELL_TRY(const respond::RecoveryReport recovered, runner_->recover());
  if (recovered.resolved + recovered.unresolved + recovered.resumed > 0) {
    log::info("respond", "the journal held open actions: {} settled, {} unclear yet, {} waiting for their expiry",
              recovered.resolved, recovered.unresolved, recovered.resumed);
  }
  worker_ = std::make_unique<respond::Worker>(*runner_);
  is_ready_ = true;
  return {};
}

Result<void> Daemon::open_rules() {
  RuleReload::Options rules;
  rules.sources = {.paths = options_.rules,
                   .exceptions = options_.exceptions,
                   .data_dir = options_.data_dir,
                   .flags = options_.rule_flags};
  rules.engine = options_.engine;
  rules.show_warnings = options_.show_warnings;
  rules.clock = &system_clock();
  rules.apply = [this](std::shared_ptr<const LoadedRules> loaded) {
    if (lane_) lane_->set_rules(std::move(loaded));
  };
  QUELL_TRY(rules_, RuleReload::create(std::move(rules)));
  return {};
}

Result<void> Daemon::open_lane() {
  os::ContainerLookup::Options lookup;
  lookup.label_max_len = options_.label_max_len;
  lookup_ = std::make_unique<os::ContainerLookup>(lookup_runtimes_, lookup);
  const auto rules = rules_->state().rules;
  sink_ = std::make_unique<DetectionSink>(options_.format, options_.rule_flags.style, *store_, system_clock());
  if (options_.flight.mode != CaptureMode::off) {
    QUELL_TRY(flight_, Flight::open(options_.flight, options_.data_dir,
                                    [this](const CaptureRef& capture) { sink_->attach(capture); }));
  }
  capture::EbpfOptions sensor;
  sensor.scope = scope_.sensor;
  sensor.interest = flight_ ? flight_->interest(*rules) : rules->interest();
  sensor.scan = scan_machine;
  detect::start_resolving(*rules->program);
  QUELL_TRY(std::unique_ptr<capture::LiveSource> source, capture::open_ebpf(sensor));
  LiveLane::Options lane;
  lane.tables = live_table_options(options_.sockets.runc_roots);
  lane.boot_id = machine_->boot_id();
  lane.hostname = host_name();
  lane.record_path = options_.record_path;
  lane.flight = flight_.get();
  lane.clock = &system_clock();
  lane.lookup = lookup_.get();
  profile_ = options_.profile.make();
  lane.profile = profile_.get();
  lane.start_ticks_of = [](int64_t pid) {
    const auto stat = os::read_proc_stat(pid);
    return stat ? stat->start_ticks : 0;
  };
  lane.noise = options_.noise;
  lane.emit = [this](OutgoingDetection&& detection) { sink_->push(std::move(detection)); };
  QUELL_TRY(lane_, LiveLane::create(std::move(source), rules, std::move(lane)));
  return {};
}

std::string Daemon::address() const {
  api::TcpAddress bound = options_.listen;
  bound.port = server_->tcp_port();
  return "http://" + bound.str();
}

Result<void> Daemon::run() {
  Result<void> ended;
  std::atomic<bool> lane_has_ended{false};
  std::thread engine([&] {
    ended = lane_->run();
    lane_has_ended = true;
  });
  const sigset_t set = handled_signals();
  while (!lane_has_ended && !is_stopping_) {
    const timespec patience{0, 200'000'000};
    const int number = sigtimedwait(&set, nullptr, &patience);
    if (number == SIGHUP) (void)rules_->reload(RuleReload::Cause::signal);
    if (number == SIGUSR1) print_profile();
    rules_->tick();
    if (number == SIGINT || number == SIGTERM) is_stopping_ = true;
  }
  const DrainLimit limit;
  lane_->stop();
  engine.join();
  sink_->finish();
  server_->stop();
  worker_.reset();
  if (profile_ != nullptr) print_profile();
  return ended;
}

Result<Detection> Daemon::find_detection(std::string_view id) const {
  if (sink_) sink_->settle();
  return store_->detection(id);
}

void Daemon::print_profile() const {
  if (profile_ == nullptr) {
    log::warn("up", "no profile is taken; start with --profile");
    return;
  }
  fmt::print(stderr, "{}", profile_table(profile_->report()));
}

}  // namespace quell::cli
