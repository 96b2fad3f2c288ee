#include "apps/quell/doctor.h"

#include <fmt/format.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>

#include "api/client.h"
#include "apps/quell/rules.h"
#include "base/json.h"
#include "base/text.h"
#include "capture/ebpf/scope.h"
#include "os/proc_fs.h"

namespace quell::cli {
namespace {

namespace fs = std::filesystem;
using Status = Finding::Status;
using Findings = std::vector<Finding>;

constexpr int kOldestMajor = 5, kOldestMinor = 8;
constexpr uint64_t kInitialPidNamespace = 0xEFFFFFFC;  // PROC_PID_INIT_INO
constexpr uint64_t kLittleDisk = 100 << 20;

void well(Findings& out, std::string check, std::string found) {
  out.push_back({std::move(check), Status::ok, std::move(found), {}});
}
void ill(Findings& out, std::string check, Status status, std::string found, std::string remedy) {
  out.push_back({std::move(check), status, std::move(found), std::move(remedy)});
}

void check_kernel(Findings& out) {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  if (std::sscanf(name.release, "%d.%d", &major, &minor) == 2 &&
      (major < kOldestMajor || (major == kOldestMajor && minor < kOldestMinor))) {
    return ill(out, "kernel", Status::failure,
               fmt::format("Linux {} is older than {}.{}", name.release, kOldestMajor, kOldestMinor),
               "run a newer kernel: the sensor needs the ring buffer that came with 5.8");
  }
  well(out, "kernel", fmt::format("Linux {} {}", name.release, name.machine));
}

void check_btf(Findings& out) {
  constexpr const char* kPath = "/sys/kernel/btf/vmlinux";
  if (::access(kPath, R_OK) == 0) return well(out, "btf", fmt::format("{} is readable", kPath));
  if (errno == ENOENT)
    return ill(out, "btf", Status::failure,
               fmt::format("{} does not exist: the sensor cannot fit itself to this kernel", kPath),
               "mount the host's /sys read-only, or run a kernel built with CONFIG_DEBUG_INFO_BTF");
  ill(out, "btf", Status::failure, fmt::format("{} cannot be read: {}", kPath, std::strerror(errno)), "run as root");
}

struct Capability {
  int number;
  const char* name;
  const char* costs;  // without it
};
// CAP_SYS_ADMIN stands for the first two on older kernels.
constexpr Capability kNeeded[] = {
    {39, "CAP_BPF", "the sensor cannot be loaded"},
    {38, "CAP_PERFMON", "the sensor cannot be attached"},
    {CAP_SYS_PTRACE, "CAP_SYS_PTRACE", "processes of others stay without paths and descriptors"}};

void check_capabilities(Findings& out) {
  uint64_t effective = 0;
  if (const auto status = os::read_small_file("/proc/self/status")) {
    for (const std::string_view line : split(*status, '\n')) {
      constexpr std::string_view kKey = "CapEff:\t";
      if (line.starts_with(kKey)) (void)parse_u64(line.substr(kKey.size()), effective, 16);
    }
  }
  const auto has = [&](int number) { return (effective >> number & 1) != 0; };
  std::string missing;
  for (const Capability& one : kNeeded) {
    if (has(one.number) || (one.number != CAP_SYS_PTRACE && has(CAP_SYS_ADMIN))) continue;
    missing += fmt::format("{}{} ({})", missing.empty() ? "" : ", ", one.name, one.costs);
  }
  if (missing.empty()) return well(out, "capabilities", "those of the sensor are there");
  ill(out, "capabilities", Status::failure, "missing: " + missing,
      "run as root, or grant them (AmbientCapabilities= in the unit, securityContext.capabilities.add in the pod)");
}

/// The one kernel object that everything else of the sensor hangs on, made and dropped.
void check_ring(Findings& out) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_RINGBUF;
  attributes.max_entries = 4096;
  const long made = ::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
  if (made >= 0) {
    ::close(static_cast<int>(made));
    return well(out, "bpf", "a BPF ring buffer can be made");
  }
  const int error = errno;
  std::string remedy =
      "run as root, or with CAP_BPF and CAP_PERFMON; in a container, also allow bpf() in its seccomp profile";
  if (const auto lockdown = os::read_small_file("/sys/kernel/security/lockdown");
      lockdown && lockdown->find("[confidentiality]") != std::string::npos)
    remedy =
        "the kernel is locked down (confidentiality), which forbids BPF to look inside: boot with lockdown=integrity";
  ill(out, "bpf", Status::failure, fmt::format("no BPF ring buffer can be made: {}", std::strerror(error)), remedy);
}

std::optional<uint64_t> namespace_of(int64_t pid, const char* kind) {
  struct stat info {};
  if (::stat(fmt::format("/proc/{}/ns/{}", pid, kind).c_str(), &info) != 0) return {};
  return info.st_ino;
}

void check_host(Findings& out) {
  const auto own = namespace_of(::getpid(), "pid");
  if (own != kInitialPidNamespace)
    ill(out, "host", Status::warning,
        "this is a pid namespace of its own: processes outside of it stay without their names",
        "run with the host's pid namespace (hostPID: true, docker run --pid=host)");
  else if (!namespace_of(1, "mnt") && ::access("/proc/1/mountinfo", R_OK) != 0)
    ill(out, "host", Status::warning,
        "the namespaces of pid 1 cannot be read: a host's process in a cgroup named like a container's is taken for "
        "one",
        "run as root, or with CAP_SYS_PTRACE");
  else
    well(out, "host", "processes and namespaces of the host are visible");
}

void check_cgroups(Findings& out) {
  const auto mounts = capture::CgroupMounts::find();
  if (!mounts || (mounts->v2.empty() && mounts->pids.empty()))
    return ill(out, "cgroups", Status::failure,
               "no cgroup hierarchy is mounted: scopes and containers cannot be told apart",
               "mount the host's /sys/fs/cgroup read-only");
  well(out, "cgroups",
       mounts->v2.empty()     ? "v1 at " + mounts->pids
       : mounts->pids.empty() ? "v2 at " + mounts->v2
                              : fmt::format("v2 at {}, v1 at {}", mounts->v2, mounts->pids));
}

void check_runtimes(const os::RuntimeSockets& sockets, Findings& out) {
  size_t answering = 0;
  for (const auto& runtime : os::make_lookup_runtimes(sockets)) {
    const std::string check = fmt::format("runtime:{}", runtime->name());
    const bool is_daemon = runtime->name() != "runc";
    const std::string place = runtime->name() == "docker"       ? sockets.docker
                              : runtime->name() == "containerd" ? sockets.containerd
                                                                : "its state folders";
    if (!runtime->is_present()) {
      well(out, check, fmt::format("nothing at {}", place));
      continue;
    }
    const auto answered = runtime->ping();
    if (!answered) {
      ill(out, check, Status::warning,
          fmt::format("{} is there and does not answer ({}): its containers stay without name and image", place,
                      answered.error().message),
          answered.error().code == Code::permission_denied ? "run as root or as a member of the socket's group"
                                                           : "look at the daemon: is it running, is it overloaded?");
      continue;
    }
    if (is_daemon) ++answering;
    const auto running = runtime->list();
    well(out, check, fmt::format("{} answers, {} container(s) run", place, running ? running->size() : 0));
  }
  if (answering > 0) return;
  std::string elsewhere;
  for (const std::string& path : os::known_runtime_sockets())
    if (path != sockets.docker && path != sockets.containerd && ::access(path.c_str(), F_OK) == 0)
      elsewhere += fmt::format("{}{}", elsewhere.empty() ? "" : ", ", path);
  if (!elsewhere.empty())
    return ill(out, "runtimes", Status::warning,
               fmt::format("no runtime answers where we look, but there is {}", elsewhere),
               "name it: --docker-socket or --containerd-socket PATH");
  ill(out, "runtimes", Status::warning,
      "no container runtime answers: containers stay without name, image and pod (reason no_runtime_socket)",
      "if containers run here, mount their runtime's socket (such as /run/containerd/containerd.sock) and name it with "
      "--docker-socket or --containerd-socket");
}

void check_data_dir(const std::string& path, Findings& out) {
  std::string existing = path;
  while (!fs::exists(existing) && existing.size() > 1) existing = fs::path(existing).parent_path();
  if (::access(existing.c_str(), W_OK) != 0)
    return ill(out, "data", Status::failure, fmt::format("{} cannot be written: {}", existing, std::strerror(errno)),
               "run as root, or choose another folder with --data-dir");
  struct statvfs disk {};
  const bool known = ::statvfs(existing.c_str(), &disk) == 0;
  const uint64_t free_bytes = known ? disk.f_bavail * disk.f_frsize : UINT64_MAX;
  if (free_bytes < kLittleDisk)
    return ill(out, "data", Status::warning, fmt::format("{} has {} MB left", path, free_bytes >> 20),
               "make room, or choose another folder with --data-dir");
  well(out, "data", fmt::format("{} can be written, {} MB free", path, free_bytes >> 20));
}

void check_clock(Findings& out) {
  timex state{};
  if (::adjtimex(&state) < 0 || (state.status & STA_UNSYNC) != 0)
    return ill(out, "clock", Status::warning,
               "the clock is not synchronised: times of several machines will not fit together",
               "run chrony or systemd-timesyncd");
  well(out, "clock", "synchronised");
}

void check_rules(const std::vector<std::string>& paths, Findings& out) {
  const auto files = find_rule_files(paths);
  if (!files)
    return ill(out, "rules", Status::failure, files.error().str(), "install the rules, or name some with --rules PATH");
  well(out, "rules",
       fmt::format("{} file(s), the first is {}; `quell rule check` reads them", files->size(), files->front()));
}

void check_running(const std::string& server, Findings& out) {
  const auto client = api::Client::open(server, 3000);
  const auto answer = client ? client->call(api::Method::get, "/healthz") : Result<std::string>(client.error());
  if (!answer) return well(out, "quell", fmt::format("none is running at {}", server));
  const auto health = Json::parse(*answer);
  if (!health)
    return ill(out, "quell", Status::warning, "what answers is no quell", "stop it, or choose another --data-dir");
  std::string complaints;
  if (const Json::Object* parts = health->at("components").object())
    for (const auto& [name, part] : *parts)
      if (part.at("status").str() != "ok")
        complaints += fmt::format("{}{}: {}", complaints.empty() ? "" : "; ", name, part.at("reason").str());
  if (complaints.empty()) return well(out, "quell", "is running, all its parts are well");
  ill(out, "quell", Status::warning, "is running, and not all is well: " + complaints,
      "see the checks above, and its log");
}

}  // namespace

std::string_view to_string(Finding::Status status) {
  switch (status) {
    case Status::ok: return "ok";
    case Status::warning: return "warning";
    case Status::failure: return "failure";
  }
  return "failure";
}

std::vector<Finding> examine(const DoctorOptions& options) {
  Findings out;
  check_kernel(out);
  check_btf(out);
  check_capabilities(out);
  check_ring(out);
  check_host(out);
  check_cgroups(out);
  check_runtimes(options.sockets, out);
  check_data_dir(options.data_dir, out);
  check_clock(out);
  check_rules(options.rules, out);
  check_running(options.server, out);
  return out;
}

}  // namespace quell::cli
