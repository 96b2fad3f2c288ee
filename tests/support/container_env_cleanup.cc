#include "support/container_env_cleanup.h"

#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "base/text.h"
#include "os/cgroup_tree.h"
#include "os/os.h"
#include "os/proc_fs.h"
#include "support/command.h"
#include "support/container_env.h"

namespace quell::test {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

/// "PID START_TICKS" as prepare() and start_daemon() write it.
ProcessId recorded(const std::string& path) {
  ProcessId id;
  std::ifstream in(path);
  in >> id.pid >> id.start_ticks;
  return id;
}

/// Never a process that took over the pid: the start time is compared.
void kill_process(const os::Os& machine, const ProcessId& id) {
  if (id.pid <= 0 || id.start_ticks == 0) return;
  auto process = machine.open_process(id);
  if (!process) return;
  (void)machine.signal(*process, SIGKILL);
  (void)machine.wait_exit(*process, 10 * kSecond);
}

void send_kill(const os::Os& machine, int64_t pid) {
  if (auto process = machine.open_process({.boot_id = {}, .pid = pid, .start_ticks = 0}))
    (void)machine.signal(*process, SIGKILL);
}

std::vector<os::CgroupMount> cgroup_mounts() {
  const auto text = os::read_small_file("/proc/self/mountinfo");
  return text ? os::parse_cgroup_mounts(*text) : std::vector<os::CgroupMount>();
}

std::vector<std::string> directories_below(const std::string& directory) {
  std::vector<std::string> directories{directory};
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    if (it->is_directory(gone)) directories.push_back(it->path());
  }
  std::sort(directories.begin(), directories.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  return directories;
}

/// The v1 freezer keeps a killed process: it goes first, in whatever hierarchy the killing then happens.
void thaw(const std::string& directory) {
  for (const std::string& one : directories_below(directory)) {
    if (fs::exists(one + "/freezer.state")) std::ofstream(one + "/freezer.state") << "THAWED";
    if (fs::exists(one + "/cgroup.freeze")) std::ofstream(one + "/cgroup.freeze") << "0";
  }
}

/// Kills who is inside and removes the directories, deepest first.
void remove_cgroup(const os::Os& machine, const std::string& directory) {
  if (!fs::exists(directory)) return;
  for (int attempt = 0; attempt < 200; ++attempt) {
    thaw(directory);
    if (const auto members = os::members_of(directory))
      for (const int64_t pid : *members) send_kill(machine, pid);
    for (const std::string& one : directories_below(directory)) ::rmdir(one.c_str());
    if (!fs::exists(directory)) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

/// Shims leave their parents and are found by the socket that they serve.
void kill_shims(const os::Os& machine, const std::string& socket) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    int64_t pid = 0;
    if (!parse_i64(entry.path().filename().string(), pid)) continue;
    const auto facts = machine.process_facts(pid);
    if (!facts) continue;
    const std::string_view program = part_at(facts->args, 0);
    if (program.find("containerd-shim") == std::string_view::npos) continue;
    bool ours = false;
    for_each_part(facts->args, [&](std::string_view argument) { ours |= argument == socket; });
    if (ours) kill_process(machine, facts->id);
  }
}

void unmount_below(const std::string& dir) {
  for (int attempt = 0; attempt < 3; ++attempt) {
    const auto text = os::read_small_file("/proc/self/mountinfo");
    if (!text) return;
    std::vector<std::string> points;
    for (std::string_view line : split(*text, '\n')) {
      const auto fields = split(line, ' ');
      if (fields.size() > 4 && fields[4].starts_with(dir + "/")) points.emplace_back(fields[4]);
    }
    if (points.empty()) return;
    for (auto point = points.rbegin(); point != points.rend(); ++point) ::umount2(point->c_str(), MNT_DETACH);
  }
}

}  // namespace

void remove_environment(const std::string& dir) {
  const std::unique_ptr<os::Os> machine = os::make_linux_os();
  const std::string name = first_line(dir + "/name");

  // Daemons first, or restart policies bring containers back; then shims, then the containers themselves.
  kill_process(*machine, recorded(dir + "/dockerd.pid"));
  kill_process(*machine, recorded(dir + "/containerd.pid"));
  kill_shims(*machine, dir + "/c.sock");
  const std::vector<os::CgroupMount> mounts = cgroup_mounts();
  std::error_code error;
  for (const auto& space : fs::directory_iterator(dir + "/cs/io.containerd.runtime.v2.task", error)) {
    std::error_code inner;
    for (const auto& bundle : fs::directory_iterator(space.path(), inner)) {
      const std::string id = bundle.path().filename(), runtime_namespace = space.path().filename();
      int64_t pid = 0;
      if (parse_i64(first_line(bundle.path() / "init.pid"), pid)) {
        // The pid may have passed to another process since a crash: only one inside a cgroup of this container is it.
        const auto dirs = os::cgroup_dirs(pid);
        for (const bool thawing : {true, false})
          for (const os::CgroupDir& one : dirs.value_or(std::vector<os::CgroupDir>()))
            if (one.path.ends_with("/" + id)) thawing ? thaw(one.directory) : remove_cgroup(*machine, one.directory);
      }
      for (const bool thawing : {true, false}) {
        for (const os::CgroupMount& mount : mounts) {
          const std::string directory = fmt::format("{}/{}/{}", mount.mount_point, runtime_namespace, id);
          thawing ? thaw(directory) : remove_cgroup(*machine, directory);
        }
      }
      const std::string address = first_line(bundle.path() / "address");
      constexpr std::string_view kUnix = "unix://";
      if (address.starts_with(kUnix)) ::unlink(address.substr(kUnix.size()).c_str());
    }
  }
  for (const os::CgroupMount& mount : mounts)
    if (!name.empty()) thaw(mount.mount_point + "/quell-env-" + name);
  for (const os::CgroupMount& mount : mounts) {
    if (!name.empty()) remove_cgroup(*machine, mount.mount_point + "/quell-env-" + name);
    for (const char* space : {"default", "k8s.io"})  // only if empty
      ::rmdir((mount.mount_point + "/" + space).c_str());
  }

  unmount_below(dir);
  if (!name.empty() && fs::exists("/run/netns/quell-env-" + name))
    (void)run_command({"ip", "netns", "delete", "quell-env-" + name});
  if (fs::exists(dir + "/made-run-containerd"))
    for (const char* folder : {"s", "fifo", "runc/default", "runc/k8s.io", "runc", ""})  // only if empty
      ::rmdir((std::string("/run/containerd/") + folder).c_str());
  fs::remove_all(dir, error);
  ::rmdir(kRunRoot);
}

void ContainerEnv::remove_leftovers() {
  const std::unique_ptr<os::Os> machine = os::make_linux_os();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(kRunRoot, error)) {
    const ProcessId owner = recorded(entry.path() / "owner.pid");
    // Another test program may be at work next to us.
    if (owner.pid > 0 && owner.start_ticks > 0 && machine->open_process(owner)) continue;
    if (owner.pid <= 0) {
      // Made a moment ago by somebody who has not signed yet, or broken: an hour tells.
      struct stat info {};
      if (::stat(entry.path().c_str(), &info) == 0 && ::time(nullptr) - info.st_mtime < 3600) continue;
    }
    remove_environment(entry.path());
  }
}

}  // namespace quell::test
