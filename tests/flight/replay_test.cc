// What the flight recorder hands out fires the detection that it was made for again, with the same fields; and a whole
// recording fires everything again.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <variant>

#include "apps/quell/evaluator.h"
#include "apps/quell/rules.h"
#include "base/sha256.h"
#include "capture/flight/capture_files.h"
#include "capture/scap/reader.h"
#include "enrich/container_json.h"
#include "machine.h"

namespace quell::test {
namespace {

constexpr char kRules[] = R"(
- rule: Shadow opened
  desc: d
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/shadow
  output: >
    %proc.name %proc.exe %proc.exepath %proc.cmdline %proc.args %proc.cwd %proc.pid %proc.ppid %proc.pname %proc.aname[2]
    %proc.aname[3] %proc.apid[2] %proc.pexepath %proc.pcmdline %proc.sid %proc.sname %proc.vpid %proc.vpgid %proc.tty
    %user.loginuid %proc.env %proc.duration %proc.ppid.duration %proc.pid.ts %proc.nthreads %proc.is_exe_upper_layer
    %proc.is_exe_writable %proc.exe_ino %proc.exe_ino.ctime %proc.exe_ino.ctime_duration_proc_start %thread.tid %thread.ismain
    %fd.name %fd.num %fd.nameraw %fd.typechar %user.name %user.uid %group.gid %group.name %user.loginname
    %container.id %container.name %container.image %container.ip %evt.type %evt.args
  priority: WARNING
- rule: Program started
  desc: d
  condition: evt.type in (execve, execveat) and evt.rawres >= 0 and proc.name in (nc, curl)
  output: >
    %proc.name %proc.pname %proc.aname[2] %proc.aname[3] %proc.cmdline %proc.pcmdline %proc.exepath %proc.ppid %proc.cwd
    %container.id %container.name %user.name %proc.tty %proc.env %proc.sname %proc.duration %proc.ppid.ts
  priority: NOTICE
- rule: Descriptor copied
  desc: d
  condition: evt.type = dup2 and fd.name startswith /etc
  output: "%proc.name %proc.pname %fd.name %fd.num %fd.type %fd.nameraw %proc.cwd %container.id %container.name %user.name"
  priority: NOTICE
- rule: Thread ended
  desc: d
  condition: evt.type = procexit and proc.name = python3
  output: "%proc.name %proc.pname %proc.aname[2] %proc.nthreads %proc.duration %container.id %proc.cmdline %proc.pid"
  priority: NOTICE
- rule: Log closed
  desc: d
  condition: evt.type = close and fd.name startswith /var/log
  output: "%proc.name %proc.pname %fd.name %fd.nameraw %fd.dev %fd.ino %container.id %thread.tid %proc.pid"
  priority: NOTICE
- rule: Unknown removed something
  desc: d
  condition: evt.type = unlinkat
  output: "%proc.name %proc.pid %container.id %evt.args"
  priority: NOTICE
)";

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/quell-flight-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::shared_ptr<const cli::LoadedRules> rules(const Folder& folder) {
  const std::string path = folder.path() + "/rules.yaml";
  std::ofstream(path) << kRules;
  auto loaded = cli::load_rules({.paths = {path}}, {.match_all = true}, true);
  EXPECT_TRUE(loaded);
  return loaded ? *loaded : nullptr;
}

std::string summary(const Detection& d) { return d.rule + " @" + std::to_string(d.kernel_ns) + " " + d.message; }

/// The same detection with the same fields. What a container is called may have come after the detection: a running
/// quell completes the detection then, and a capture tells it from the beginning.
bool is_same(const Detection& live, const Detection& replayed) {
  if (live.rule != replayed.rule || live.kernel_ns != replayed.kernel_ns) return false;
  if (live.output_fields.size() != replayed.output_fields.size()) return false;
  for (size_t i = 0; i < live.output_fields.size(); ++i) {
    const auto& [name, value] = live.output_fields[i];
    const bool may_come_late = name.starts_with("container.") || name.starts_with("user.");
    const auto* text = std::get_if<std::string>(&value);
    const bool is_absent = std::holds_alternative<std::monostate>(value) || (text != nullptr && *text == "<NA>");
    if (value != replayed.output_fields[i].second && !(may_come_late && is_absent)) return false;
  }
  return live.process.pid == replayed.process.pid && live.container_id == replayed.container_id;
}

std::vector<Detection> replay(const std::string& path, const cli::LoadedRules& rules) {
  std::vector<Detection> out;
  auto opened = capture::open_scap(path);
  EXPECT_TRUE(opened) << (opened ? "" : opened.error().str());
  if (!opened) return out;
  enrich::StateTables tables({});
  detect::Engine engine(rules.program);
  cli::EvaluatorOptions options;
  options.origin = "scap:" + path;
  options.on_detection = [&](Detection&& detection) { out.push_back(std::move(detection)); };
  cli::Evaluator evaluator(tables, engine, options);
  evaluator.load((*opened)->snapshot());
  for (EventBatch batch;;) {
    const auto pull = (*opened)->fill(batch, 0);
    EXPECT_TRUE(pull) << (pull ? "" : pull.error().str());
    if (!pull) break;
    EXPECT_NE(*pull, capture::Pull::restarted);
    evaluator.run(batch);
    if (*pull == capture::Pull::ended) break;
  }
  EXPECT_EQ((*opened)->counters().skipped_blocks, 0u);
  EXPECT_EQ((*opened)->counters().skipped_entries, 0u);
  return out;
}

struct Run {
  std::vector<Detection> detections;
  std::map<std::string, CaptureRef> captures;  // by id
  capture::flight::FlightCounters counters;
};

/// Everything live: rules, a recording, the flight recorder.
Run live(uint32_t seed, int steps, const Folder& folder, const cli::LoadedRules& rules,
         const capture::flight::FlightLimits& limits) {
  Run run;
  Machine machine(seed);
  enrich::StateTables tables({});
  detect::Engine engine(rules.program);
  auto files = capture::flight::CaptureFiles::open(
      {.folder = folder.path() + "/captures", .on_done = [&](const CaptureRef& ref) { run.captures[ref.id] = ref; }});
  EXPECT_TRUE(files) << (files ? "" : files.error().str());
  capture::flight::FlightRecorder recorder(
      limits,
      {.view = &tables,
       .for_each_thread = [&](const auto& visit) { tables.for_each_thread(visit); },
       .accounts = [&](const ContainerSlot& slot, auto& users, auto& groups) { tables.accounts(slot, users, groups); },
       .describe = [](const Container& container) { return enrich::container_json(container); }},
      **files);
  cli::EvaluatorOptions options;
  options.origin = "live:test";
  options.on_detection = [&](Detection&& detection) {
    CaptureRef ref;
    ref.id = detection.id;
    ref.rule = detection.rule;
    ref.trigger_ns = detection.kernel_ns;
    recorder.trigger(ref, 0);
    run.detections.push_back(std::move(detection));
  };
  cli::Evaluator evaluator(tables, engine, options);
  evaluator.load(machine.snapshot());
  auto writer = capture::ScapWriter::create(folder.path() + "/all.scap", machine.snapshot(), {});
  EXPECT_TRUE(writer);
  evaluator.record_to(writer->get());
  evaluator.fly_with(&recorder);
  for (int i = 0; i < steps; ++i) {
    for (const auto& event : machine.step()) evaluator.inject(event);
    if (i % 50 == 0) recorder.tick(machine.now_ns());
  }
  recorder.finish("the test ended");
  run.counters = recorder.counters();
  (*files)->close();
  EXPECT_TRUE((*writer)->close());
  EXPECT_TRUE(evaluator.record_status());
  return run;
}

void expect_equal_replays(uint32_t seed, int steps, const capture::flight::FlightLimits& limits, bool has_room = true) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  const Folder folder;
  const auto loaded = rules(folder);
  ASSERT_NE(loaded, nullptr);
  const Run run = live(seed, steps, folder, *loaded, limits);
  ASSERT_GT(run.detections.size(), 10u);

  const std::vector<Detection> again = replay(folder.path() + "/all.scap", *loaded);
  ASSERT_EQ(again.size(), run.detections.size());
  for (size_t i = 0; i < again.size(); ++i) ASSERT_EQ(summary(again[i]), summary(run.detections[i]));

  size_t joined = 0, incomplete = 0;
  EXPECT_EQ(run.captures.size(), run.counters.captures_begun);
  for (const auto& [id, capture] : run.captures) {
    ASSERT_EQ(capture.state, CaptureState::complete) << capture.note;
    joined += capture.also.size();
    EXPECT_LE(capture.from_ns, capture.trigger_ns);
    EXPECT_GE(capture.to_ns, capture.trigger_ns);
    EXPECT_EQ(*capture::flight::sha256_of_file(capture.path), capture.sha256);
    const std::vector<Detection> replayed = replay(capture.path, *loaded);
    if (!capture.is_base_complete) {
      ++incomplete;
      continue;
    }
    std::vector<std::string> wanted{id};
    wanted.insert(wanted.end(), capture.also.begin(), capture.also.end());
    for (const std::string& one : wanted) {
      const auto original =
          std::find_if(run.detections.begin(), run.detections.end(), [&](const Detection& d) { return d.id == one; });
      ASSERT_NE(original, run.detections.end());
      std::string near;
      const bool is_found = std::any_of(replayed.begin(), replayed.end(), [&](const Detection& d) {
        if (d.rule == original->rule && d.kernel_ns == original->kernel_ns) near = summary(d);
        return is_same(*original, d);
      });
      EXPECT_TRUE(is_found) << (one == id ? "trigger " : "joined ") << capture.path
                            << "\nlive:   " << summary(*original) << "\nreplay: " << near;
    }
  }
  if (has_room) {
    EXPECT_EQ(incomplete, 0u);
  }
  EXPECT_LT(incomplete, run.captures.size()) << "none was complete";
  EXPECT_EQ(joined, run.counters.captures_joined);
  EXPECT_EQ(run.counters.captures_begun + run.counters.captures_joined + run.counters.captures_refused,
            run.detections.size());
}

capture::flight::FlightLimits small_limits() {
  capture::flight::FlightLimits limits;
  limits.before_ns = 400'000'000;
  limits.after_ns = 60'000'000;
  limits.max_after_ns = 300'000'000;
  limits.ring_bytes = 256 << 10;
  limits.total_bytes = 2 << 20;
  return limits;
}

size_t seeds() {
  const char* given = std::getenv("QUELL_FLIGHT_SEEDS");
  return given != nullptr ? std::strtoul(given, nullptr, 10) : 6;
}

/// Its parameters by name; those of no name here are empty.
std::vector<uint8_t> event(EventCode code, uint64_t ts_ns, int64_t tid,
                           const std::map<std::string_view, std::variant<int64_t, uint32_t, const char*>>& params) {
  EventBuilder builder(code, ts_ns, tid);
  for (const ParamSpec& param : event_spec(code).params) {
    const auto found = params.find(param.name);
    if (found == params.end()) {
      builder.empty();
    } else if (const auto* text = std::get_if<const char*>(&found->second)) {
      builder.text(*text);
    } else if (const auto* narrow = std::get_if<uint32_t>(&found->second)) {
      builder.num(*narrow);
    } else {
      builder.num(std::get<int64_t>(found->second));
    }
  }
  return builder.build();
}

// A process that is heard of through its new thread is looked up when it already is another program.
TEST(Recording, HoldsWhoWasLookedUpForANewThread) {
  const Folder folder;
  const auto loaded = rules(folder);
  ASSERT_NE(loaded, nullptr);
  const auto look_up = [](int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds) {
    if (tid != 100) return false;
    out.tid = out.pid = 100;
    out.ptid = 1;
    out.comm = out.exe = "sh";
    out.exepath = "/bin/sh";
    out.cwd = "/";
    out.scanned_ns = 9'000;
    fds.emplace_back(0, Fd{});
    return true;
  };
  enrich::Options options;
  options.live = true;
  options.read_thread = look_up;
  enrich::StateTables tables(options);
  detect::Engine engine(loaded->program);
  std::vector<std::string> live;
  cli::EvaluatorOptions evaluation;
  evaluation.origin = "live:test";
  evaluation.on_detection = [&](Detection&& detection) { live.push_back(summary(detection)); };
  evaluation.read_thread = look_up;
  cli::Evaluator evaluator(tables, engine, evaluation);
  const Snapshot nobody;
  evaluator.load(nobody);
  auto writer = capture::ScapWriter::create(folder.path() + "/all.scap", nobody, {});
  ASSERT_TRUE(writer);
  evaluator.record_to(writer->get());
  const int64_t no_result = 0;
  evaluator.inject(event(ev::SYSCALL_CLONE3_X, 1'000, 101,
                         {{"res", no_result},
                          {"comm", "runc"},
                          {"exe", "runc"},
                          {"tid", int64_t{101}},
                          {"pid", int64_t{100}},
                          {"ptid", int64_t{1}},
                          {"flags", uint32_t{0x2000}}}));
  EXPECT_EQ(tables.thread(100)->comm, "sh");
  evaluator.inject(event(ev::SYSCALL_EXECVE_19_X, 2'000, 100,
                         {{"res", no_result},
                          {"comm", "attacker"},
                          {"exe", "/attacker"},
                          {"tid", int64_t{100}},
                          {"pid", int64_t{100}},
                          {"ptid", int64_t{1}}}));
  evaluator.inject(event(ev::SYSCALL_OPENAT_2_X, 3'000, 100,
                         {{"fd", int64_t{3}}, {"dirfd", int64_t{-100}}, {"name", "/etc/shadow"}}));
  ASSERT_EQ(live.size(), 1u);
  EXPECT_NE(live[0].find("attacker /attacker"), std::string::npos) << live[0];
  EXPECT_EQ(tables.counters().lookups, tables.counters().lookups_failed) << "a lookup that the recording does not hold";

  EXPECT_TRUE((*writer)->close());
  const auto again = replay(folder.path() + "/all.scap", *loaded);
  ASSERT_EQ(again.size(), 1u);
  EXPECT_EQ(summary(again[0]), live[0]);
}

TEST(FlightReplay, CapturesFireTheirDetectionAgain) {
  for (uint32_t seed = 1; seed <= seeds() && !::testing::Test::HasFailure(); ++seed)
    expect_equal_replays(seed, 3000, small_limits());
}

// Segments that are dropped all the time, for size and for the bound of all rings.
TEST(FlightReplay, WithRoomForHardlyAnything) {
  capture::flight::FlightLimits limits = small_limits();
  limits.before_ns = 20'000'000'000;
  limits.ring_bytes = 48 << 10;
  limits.total_bytes = 150 << 10;
  for (uint32_t seed = 100; seed < 100 + seeds() && !::testing::Test::HasFailure(); ++seed)
    expect_equal_replays(seed, 2000, limits, false);
}

TEST(FlightReplay, WithAWindowThatIsLongerThanTheRun) {
  capture::flight::FlightLimits limits = small_limits();
  limits.before_ns = 1'000'000'000'000;
  limits.ring_bytes = 4 << 20;
  limits.total_bytes = 16 << 20;
  expect_equal_replays(200, 3000, limits);
}

}  // namespace
}  // namespace quell::test
