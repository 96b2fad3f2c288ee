// Records the behaviours live: each in a control group of its own, into FOLDER/NAME.scap.gz, and FOLDER/manifest.yaml,
// which says what they are. A recording holds the group's own processes and, of those above it, names; this program
// replaces what identifies the machine (host name, interfaces, accounts, its first process).
//
//   upstream_record FOLDER [NAME...]
#include <fmt/format.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <set>

#include "capture/scap/reader.h"
#include "capture/scap/writer.h"
#include "stage.h"

namespace quell::test {
namespace {

namespace fs = std::filesystem;

/// A running `quell record`.
class Recording {
 public:
  Recording(const Stage& stage, const Behaviour& behaviour, const std::string& out, const std::string& rules) {
    int messages[2];
    if (pipe(messages) != 0) return;
    pid_ = fork();
    if (pid_ == 0) {
      dup2(messages[1], STDERR_FILENO);
      close_range(3, ~0U, 0);
      const std::string scope = "cgroup:" + stage.group_of(behaviour), docker = stage.sockets().docker,
                        containerd = stage.sockets().containerd;
      execl(QUELL_BINARY, "quell", "record", "--scope", scope.c_str(), "--only-scope", "--out", out.c_str(), "--rules",
            rules.c_str(), "--events", "accept,accept4,recvfrom,creat", "--docker-socket", docker.c_str(),
            "--containerd-socket", containerd.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    close(messages[1]);
    err_ = messages[0];
    char buffer[4096];
    while (said_.find("recording") == std::string::npos) {
      const ssize_t count = read(err_, buffer, sizeof buffer);
      if (count <= 0) break;
      said_.append(buffer, static_cast<size_t>(count));
    }
    started_ = said_.find("recording") != std::string::npos;
  }
  bool started() const { return started_; }
  const std::string& said() const { return said_; }
  bool finish() {
    usleep(300'000);
    kill(pid_, SIGINT);
    char buffer[4096];
    for (ssize_t count; (count = read(err_, buffer, sizeof buffer)) > 0;)
      said_.append(buffer, static_cast<size_t>(count));
    close(err_);
    int status = 0;
    waitpid(pid_, &status, 0);
    return status == 0;
  }

 private:
  pid_t pid_ = -1;
  int err_ = -1;
  bool started_ = false;
  std::string said_;
};

/// What is left of the machine's own tables.
Snapshot neutral(const Snapshot& from) {
  Snapshot out = from;
  out.machine.hostname = "recorder";
  std::erase_if(out.interfaces, [](const NetworkInterface& item) { return item.name != "lo"; });
  std::erase_if(out.users, [](const User& user) { return user.uid != 0 && user.uid != 33; });
  std::erase_if(out.groups, [](const Group& item) { return item.gid != 0 && item.gid != 33; });
  std::erase_if(out.threads, [](const Thread& thread) { return thread.tid == 1; });
  Thread first;
  first.tid = first.pid = first.vtid = first.vpid = first.sid = first.pgid = first.vpgid = 1;
  first.ptid = 0;
  first.comm = "init";
  first.exe = first.exepath = "/sbin/init";
  first.uid = first.gid = 0;
  first.cwd = first.root = "/";
  first.fdlimit = 1024;
  out.threads.insert(out.threads.begin(), first);
  return out;
}

Result<size_t> rewrite(const std::string& from, const std::string& to) {
  QUELL_TRY(const auto source, capture::open_scap(from));
  QUELL_TRY(const auto writer, capture::ScapWriter::create(to, neutral(source->snapshot()), {.gzip = true}));
  size_t count = 0;
  EventBatch batch;
  for (bool more = true; more;) {
    QUELL_TRY(const capture::Pull pull, source->fill(batch, 0));
    more = pull != capture::Pull::ended;
    for (size_t i = 0; i < batch.size(); ++i) {
      Event event;
      QUELL_CHECK(Event::parse(batch.event(i), event));
      if (event.spec().source == EventClass::iter && event.tid() == 1) continue;  // in the table, under its other name
      QUELL_CHECK(writer->append(batch.event(i), batch.slot(i).cpu, batch.slot(i).state_only));
      ++count;
    }
  }
  QUELL_CHECK(writer->close());
  return count;
}

std::string today() {
  const std::time_t now = std::time(nullptr);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%d", std::gmtime(&now));
  return text;
}

std::string listed(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += fmt::format("{}'{}'", out.empty() ? "" : ", ", item);
  return "[" + out + "]";
}

int record(const std::string& folder, const std::set<std::string>& only) {
  const char* data = std::getenv("QUELL_TEST_DATA");
  if (data == nullptr) {
    fmt::print(stderr, "QUELL_TEST_DATA is not set: the rules say which events are recorded\n");
    return 2;
  }
  const std::string rules = std::string(data) + "/falco-rules";
  if (const std::string why = Stage::missing(); !why.empty()) {
    fmt::print(stderr, "cannot record here: {}\n", why);
    return 2;
  }
  auto stage = Stage::build(QUELL_PLAYER);
  if (!stage) {
    fmt::print(stderr, "{}\n", stage.error().str());
    return 1;
  }
  utsname system{};
  uname(&system);
  const std::string release(system.release);
  const std::string kernel = release.substr(0, release.find('-'));  // the rest is the builder's
  const std::string raw = fmt::format("/var/tmp/quell-recording-{}.scap", getpid());
  std::string manifest =
      "# Written by upstream_record. Each: what was played, where, and the upstream rules that must fire in the "
      "replay.\n";
  int failures = 0;
  for (const Behaviour& behaviour : behaviours()) {
    if (!only.empty() && !only.contains(behaviour.name)) continue;
    Recording recording(**stage, behaviour, raw, rules);
    const auto played = recording.started() ? (*stage)->play(behaviour) : Error{Code::io, "not started", ""};
    const bool ended = recording.finish();
    const std::string file = std::string(behaviour.name) + ".scap.gz";
    auto count = played && ended ? rewrite(raw, folder + "/" + file)
                                 : Result<size_t>(Error{Code::io, "nothing was recorded", ""});
    unlink(raw.c_str());
    if (!count) {
      fmt::print(stderr, "{}: {} {}\n{}", behaviour.name, played ? "" : played.error().str(), count.error().str(),
                 recording.said());
      ++failures;
      continue;
    }
    fmt::print("{}: {} events, {} bytes\n", behaviour.name, *count, fs::file_size(folder + "/" + file));
    manifest +=
        fmt::format("- file: {}\n  place: {}\n  command: {}\n  kernel: {}\n  date: {}\n  rules: {}\n", file,
                    name_of(behaviour.place), listed(behaviour.command), kernel, today(), listed(behaviour.rules));
  }
  if (only.empty()) std::ofstream(folder + "/manifest.yaml") << manifest;
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace quell::test

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: upstream_record FOLDER [NAME...]\n");
    return 2;
  }
  return quell::test::record(argv[1], std::set<std::string>(argv + 2, argv + argc));
}
