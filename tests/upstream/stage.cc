#include "stage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

namespace quell::test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 30'000;
constexpr unsigned kFirstGroup = 100;  // number of the descriptors that the player gets
constexpr char kEnvironment[] = "PATH=/bin:/usr/bin";

/// Where control groups are mounted: the unified hierarchy first, then those of version 1.
std::vector<std::string> hierarchies() {
  std::vector<std::string> unified, others;
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, path, type, rest; mounts >> device >> path >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") unified.push_back(path);
    if (type == "cgroup") others.push_back(path);
  }
  unified.insert(unified.end(), others.begin(), others.end());
  return unified;
}

std::string group_directory(const std::string& group) {
  for (const std::string& mount : hierarchies())
    if (fs::exists(mount + group + "/cgroup.procs")) return mount + group;
  return {};
}

size_t members(const std::string& group) {
  std::ifstream procs(group_directory(group) + "/cgroup.procs");
  size_t count = 0;
  for (pid_t pid = 0; procs >> pid;) ++count;
  return count;
}

Result<void> wait_for_members(const std::string& group, size_t wanted) {
  for (int waited_ms = 0; waited_ms < kPatienceMs; waited_ms += 20) {
    if (members(group) <= wanted) return {};
    usleep(20'000);
  }
  return Error{Code::io, fmt::format("more than {} processes are left", wanted), group};
}

/// In a child, before it joins the group: a machine with busybox, the player and a password file.
void enter_root(const std::string& root, const std::string& player) {
  const auto need = [](bool done, const char* what) {
    if (done) return;
    perror(what);
    _exit(1);
  };
  need(unshare(CLONE_NEWNS | CLONE_NEWNET) == 0, "unshare");
  need(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "private mounts");
  need(mount("tmpfs", root.c_str(), "tmpfs", 0, "mode=0755") == 0, "tmpfs");
  for (const char* name : {"bin", "dev", "etc", "proc", "root", "tmp", "usr", "var"})
    fs::create_directory(root + "/" + name);
  for (const char* name : {"id", "sh", "cat", "whoami", "mkdir", "ln", "cp"})
    fs::create_symlink("busybox", root + "/bin/" + name);
  fs::copy_file(fs::exists("/bin/busybox") ? "/bin/busybox" : "/usr/bin/busybox", root + "/bin/busybox");
  fs::copy_file(player, root + "/bin/player");
  std::ofstream(root + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var:/bin/sh\n";
  std::ofstream(root + "/etc/shadow") << "root:*:19000:0:99999:7:::\n";
  need(mknod((root + "/dev/null").c_str(), S_IFCHR | 0666, makedev(1, 3)) == 0, "null");
  need(mount("proc", (root + "/proc").c_str(), "proc", 0, nullptr) == 0, "proc");
  need(chdir(root.c_str()) == 0 && mount(".", "/", nullptr, MS_MOVE, nullptr) == 0 && chroot(".") == 0 &&
           chdir("/") == 0,
       "root");
  const pid_t child = fork();
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", kStageScript, static_cast<char*>(nullptr));
    _exit(127);
  }
  int status = 0;
  need(waitpid(child, &status, 0) == child && status == 0, "stage script");
}

}  // namespace

std::string Stage::missing() { return ContainerEnv::missing(); }

Result<std::unique_ptr<Stage>> Stage::build(const std::string& player) {
  std::unique_ptr<Stage> stage(new Stage);
  QUELL_TRY(stage->env_, ContainerEnv::start({.image_files = {{"/bin/player", player}}}));
  stage->player_ = player;
  stage->group_ = stage->env_->cgroup_root() + "/host";
  stage->root_ = stage->env_->run_dir() + "/root";
  // In every hierarchy, so that no path of the machine's own groups is left on the actors.
  for (const std::string& mount : hierarchies()) {
    std::error_code refused;
    fs::create_directories(mount + stage->group_, refused);
    // A group of CPUs is of use only when it and those above it have some.
    for (const std::string& group : {stage->env_->cgroup_root(), stage->group_})
      for (const char* share : {"/cpuset.cpus", "/cpuset.mems"})
        if (!refused && fs::exists(mount + group + share)) {
          std::ifstream from(mount + share);
          std::ofstream(mount + group + share) << from.rdbuf();
        }
  }
  std::error_code failed;
  fs::create_directory(stage->root_, failed);
  if (failed) return Error{Code::io, failed.message(), stage->root_};
  QUELL_TRY(stage->container_, stage->env_->run_docker({.name = "stage"}));
  QUELL_TRY(stage->privileged_, stage->run_privileged('a'));
  QUELL_CHECK(stage->play_in(stage->container_, {"/bin/sh", "-c", kStageScript}));
  QUELL_CHECK(stage->play_in(stage->privileged_, {"/bin/sh", "-c", kStageScript}));
  return stage;
}

Stage::~Stage() {
  if (group_.empty()) return;
  std::ifstream procs(group_directory(group_) + "/cgroup.procs");
  for (pid_t pid = 0; procs >> pid;) kill(pid, SIGKILL);
  for (const std::string& mount : hierarchies())
    for (int i = 0; i < 100 && rmdir((mount + group_).c_str()) != 0 && errno == EBUSY; ++i) usleep(10'000);
}

// By containerd: Docker insists on every capability that the kernel knows, which the machine may not have to give.
Result<std::string> Stage::run_privileged(char digit) {
  const std::string id(64, digit);
  return env_->run_containerd({.name = id, .privileged = true, .cgroup = privileged_group(id)});
}

std::string Stage::privileged_group(const std::string& id) const {
  return fmt::format("{}/nerdctl-{}.scope", env_->cgroup_root(), id);
}

std::string Stage::group_of(const Behaviour& behaviour) const {
  switch (behaviour.place) {
    case Place::host: return group_;
    case Place::container: return env_->cgroup_root() + "/docker/" + container_;
    case Place::privileged: return privileged_group(privileged_);
    case Place::start: return env_->cgroup_root();
  }
  return {};
}

Result<void> Stage::play(const Behaviour& behaviour) {
  switch (behaviour.place) {
    case Place::host: return play_on_host(behaviour);
    case Place::container: return play_in(container_, behaviour.command);
    case Place::privileged: return play_in(privileged_, behaviour.command);
    case Place::start: {
      QUELL_TRY(const std::string id, run_privileged('b'));
      usleep(500'000);  // what the runtime tells about it
      return env_->remove_containerd(id);
    }
  }
  return {};
}

Result<void> Stage::play_in(const std::string& container, const std::vector<std::string>& command) {
  const bool by_docker = container == container_;
  const std::string group = by_docker ? env_->cgroup_root() + "/docker/" + container : privileged_group(container);
  const size_t before = members(group);
  QUELL_CHECK(by_docker ? env_->exec_docker(container, command) : env_->exec_containerd(container, command));
  return wait_for_members(group, before);
}

Result<void> Stage::play_on_host(const Behaviour& behaviour) {
  std::vector<int> groups;
  for (const std::string& mount : hierarchies()) {
    const int procs = open((mount + group_ + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
    if (procs >= 0) groups.push_back(procs);
  }
  if (groups.empty()) return Error{Code::io, "the control group cannot be joined", group_};
  const pid_t child = fork();
  if (child == 0) {
    enter_root(root_, player_);
    const pid_t actor = fork();
    if (actor != 0) _exit(0);  // an orphan has no parent of this machine
    setsid();
    const int null = ::open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; ++i) dup2(null, i);
    // The player joins, so that nobody watched ever had the memory of this program. The unified group is the last: from
    // then on everything is seen.
    std::vector<std::string> command{"/bin/player"};
    int number = static_cast<int>(kFirstGroup);
    for (auto procs = groups.rbegin(); procs != groups.rend(); ++procs, ++number) {
      dup2(*procs, number);
      command.insert(command.end(), {"join", std::to_string(number), ","});
    }
    close_range(3, kFirstGroup - 1, 0);
    close_range(static_cast<unsigned>(number), ~0U, 0);
    command.emplace_back("exec");
    command.insert(command.end(), behaviour.command.begin(), behaviour.command.end());
    std::vector<char*> arguments;
    for (std::string& part : command) arguments.push_back(part.data());
    arguments.push_back(nullptr);
    char* environment[] = {const_cast<char*>(kEnvironment), nullptr};
    execve(arguments[0], arguments.data(), environment);
    _exit(127);
  }
  for (const int procs : groups) close(procs);
  int status = 0;
  waitpid(child, &status, 0);
  if (status != 0) return Error{Code::io, "the stage could not be entered", behaviour.name};
  for (int i = 0; i < 100 && members(group_) == 0; ++i) usleep(2'000);
  return wait_for_members(group_, 0);
}

}  // namespace quell::test
