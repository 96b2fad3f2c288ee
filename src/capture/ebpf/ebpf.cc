#include "capture/ebpf/ebpf.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "base/log.h"
#include "bpf/wire.h"
#include "capture/ebpf/name_tests.h"
#include "capture/ebpf/opened_name.h"
#include "capture/ebpf/programs.h"
#include "capture/ebpf/ring_reader.h"

namespace quell::capture {
namespace {

constexpr size_t kBatchEvents = 8192;
constexpr uint64_t kClockCheckNs = 1'000'000'000;
constexpr int64_t kClockStepNs = 1'000'000;
constexpr uint32_t kNoOpenFlag = 1u << 31;  // a bit that no event has among its flags

uint64_t now_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

/// What to add to CLOCK_BOOTTIME to get the time of day. The narrowest of a few brackets, so that being preempted in
/// between does not show.
uint64_t boot_offset_ns() {
  uint64_t best = UINT64_MAX, offset = 0;
  for (int i = 0; i < 5; ++i) {
    const uint64_t before = now_ns(CLOCK_BOOTTIME), real = now_ns(CLOCK_REALTIME), after = now_ns(CLOCK_BOOTTIME);
    if (after - before < best) {
      best = after - before;
      offset = real - (before + (after - before) / 2);
    }
  }
  return offset;
}

bool kernel_older_than(int major, int minor) {
  utsname system{};
  uname(&system);
  int have_major = 0, have_minor = 0;
  if (sscanf(system.release, "%d.%d", &have_major, &have_minor) != 2) return false;
  return have_major < major || (have_major == major && have_minor < minor);
}

Result<void> check_kernel() {
  if (kernel_older_than(5, 8)) {
    utsname system{};
    uname(&system);
    return Error{
        Code::unsupported,
        fmt::format("the sensor needs Linux 5.8 or newer, this is {}; replay captures with quell detect, or upgrade",
                    system.release),
        {}};
  }
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) {
    return Error{Code::unsupported,
                 "the kernel does not describe its types (no /sys/kernel/btf/vmlinux); use a kernel built with "
                 "CONFIG_DEBUG_INFO_BTF=y",
                 "/sys/kernel/btf/vmlinux"};
  }
  return {};
}

// Since 5.11 BPF memory is charged to the control group and this limit does not matter.
void raise_memlock() {
  const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unlimited) != 0 && kernel_older_than(5, 11)) {
    log::warn(
        "capture",
        "cannot raise the limit of locked memory ({}); if the sensor is refused, start with LimitMEMLOCK=infinity",
        strerror(errno));
  }
}

uint64_t ring_size(uint64_t wanted, int cpus) {
  if (wanted == 0) wanted = (uint64_t{8} << 20) + (uint64_t{2} << 20) * static_cast<uint64_t>(std::max(0, cpus - 4));
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return std::bit_ceil(std::clamp<uint64_t>(wanted, page, uint64_t{64} << 20));
}

struct ScopeSettings {
  bool use_marks = false;
  uint32_t kind = kScopeAll;
  CgroupRef group;
};

Result<ScopeSettings> settings_of(const EbpfOptions& options) {
  ScopeSettings settings;
  settings.use_marks = options.exclude_children || options.scope.kind == Scope::Kind::tree;
  if (options.scope.kind == Scope::Kind::cgroup) {
    QUELL_TRY(const CgroupMounts mounts, CgroupMounts::find());
    QUELL_TRY(settings.group, resolve_cgroup(options.scope.path, mounts));
    settings.kind = settings.group.v2 ? kScopeCgroup : kScopeCgroupPids;
  } else if (options.scope.kind == Scope::Kind::tree) {
    if (access(fmt::format("/proc/{}", options.scope.pid).c_str(), F_OK) != 0) {
      return Error{Code::not_found, fmt::format("there is no process {}", options.scope.pid), {}};
    }
    settings.kind = kScopeTree;
  }
  return settings;
}

class Sensor final : public LiveSource {
 public:
  static Result<std::unique_ptr<LiveSource>> open(const EbpfOptions& options);
  ~Sensor() override;

  const Snapshot& snapshot() const override { return snapshot_; }
  Result<Pull> fill(EventBatch& batch, uint64_t timeout_ns) override;
  SourceCounters counters() const override;
  Result<void> set_interest(const Interest& interest) override;
  std::vector<std::pair<EventCode, uint64_t>> losses() const override;
  std::optional<Arrival> find_arrival(int64_t tid) const override { return arrivals_.find(tid); }
  std::optional<Thread> find_parent_of_arrival(int64_t pid) const override { return arrivals_.find_parent(pid); }

 private:
  Result<void> start(const EbpfOptions& options);
  Result<void> load(const EbpfOptions& options);
  Result<void> mark_processes(const EbpfOptions& options);
  size_t take(EventBatch& batch);
  void append_with_true_name(EventBatch& batch, std::span<const uint8_t> bytes, std::span<const uint8_t> path,
                             uint16_t cpu);
  void follow_clock(uint64_t now);
  sensor_bpf& shared() const { return programs_->shared(); }
  template <typename Visit>
  void sum_per_cpu(int map_fd, uint32_t entries, Visit&& visit) const;

  std::unique_ptr<Programs> programs_;
  std::optional<NameTests> name_tests_;
  std::unique_ptr<RingReader> ring_;
  Snapshot snapshot_;
  Arrivals arrivals_{256};
  int epoll_fd_ = -1;
  int cpus_ = 1;
  uint64_t coalesce_ns_ = 0;
  uint64_t last_drain_ns_ = 0, clock_checked_ns_ = 0;
  uint64_t events_ = 0, faults_ = 0, renamed_ = 0, malformed_ = 0;
};

Result<std::unique_ptr<LiveSource>> Sensor::open(const EbpfOptions& options) {
  if (options.snaplen >= kPathBytes) {
    return Error{Code::invalid_argument,
                 fmt::format("a snaplen of {} is too long; at most {}", options.snaplen, kPathBytes - 1),
                 {}};
  }
  QUELL_CHECK(check_kernel());
  auto sensor = std::make_unique<Sensor>();
  auto started = sensor->start(options);
  if (!started && options.attach == Attach::automatic && sensor->programs_ && sensor->programs_->is_singly()) {
    log::warn("capture",
              "calls cannot be traced one by one ({}); one program sees all of them, which costs every call more",
              started.error().str());
    EbpfOptions together = options;
    together.attach = Attach::together;
    sensor = std::make_unique<Sensor>();
    started = sensor->start(together);
  }
  if (!started) return started.error();
  if (options.scan) {
    QUELL_TRY(sensor->snapshot_, options.scan());
  }
  return std::unique_ptr<LiveSource>(std::move(sensor));
}

Result<void> Sensor::start(const EbpfOptions& options) {
  QUELL_CHECK(load(options));
  // Births before calls, so that no call of an unknown child can come first.
  QUELL_CHECK(programs_->attach_tasks());
  return set_interest(options.interest);
}

Sensor::~Sensor() {
  // Programs on tracepoints of single calls stay a little longer than we do; they find nothing wanted.
  if (programs_) {
    for (auto& wanted : programs_->shared().bss->wanted_calls) wanted = 0;
    for (auto& wanted : programs_->shared().bss->wanted_tracepoints) wanted = 0;
  }
  if (epoll_fd_ >= 0) close(epoll_fd_);
}

Result<void> Sensor::load(const EbpfOptions& options) {
  raise_memlock();
  cpus_ = libbpf_num_possible_cpus();
  if (cpus_ <= 0) return load_error(cpus_, "count the CPUs");
  coalesce_ns_ = options.coalesce_ns;
  const uint64_t size = ring_size(options.ring_bytes, cpus_);
  QUELL_TRY(const ScopeSettings scope, settings_of(options));
  QUELL_TRY(programs_, Programs::load(options.attach, [=, cpus = cpus_, snaplen = options.snaplen](sensor_bpf& object) {
              bpf_map__set_max_entries(object.maps.scratch, static_cast<uint32_t>(cpus));
              bpf_map__set_max_entries(object.maps.ring, static_cast<uint32_t>(size));
              object.rodata->snaplen = snaplen;
              object.rodata->use_marks = scope.use_marks ? 1 : 0;
              object.rodata->scope_kind = scope.kind;
              object.rodata->scope_level = scope.group.level;
              object.rodata->scope_cgroup = scope.group.id;
            }));
  shared().bss->boot_offset_ns = boot_offset_ns();
  name_tests_.emplace(shared().bss->name_tests, shared().bss->name_prefixes);
  // In a pid namespace getpid() is not what the kernel programs see, so one of them is asked. Kernels before 5.10
  // cannot run a program on request; there the sensor has to live in the first namespace.
  shared().bss->self_tgid = static_cast<uint32_t>(getpid());
  LIBBPF_OPTS(bpf_test_run_opts, run);
  if (bpf_prog_test_run_opts(bpf_program__fd(shared().progs.whoami), &run) == 0) shared().bss->self_tgid = run.retval;
  QUELL_CHECK(mark_processes(options));

  QUELL_TRY(RingReader ring, RingReader::open(bpf_map__fd(shared().maps.ring), size));
  ring_ = std::make_unique<RingReader>(std::move(ring));
  epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd_ < 0) return errno_error(errno, "cannot wait for events");
  epoll_event event{};
  event.events = EPOLLIN;
  if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, bpf_map__fd(shared().maps.ring), &event) != 0) {
    return errno_error(errno, "cannot wait for the event ring");
  }
  return {};
}

Result<void> Sensor::mark_processes(const EbpfOptions& options) {
  const auto mark = [&](int64_t pid, uint8_t kind) -> Result<void> {
    const auto key = static_cast<uint32_t>(pid);
    if (bpf_map_update_elem(bpf_map__fd(shared().maps.marks), &key, &kind, BPF_ANY) == 0) return {};
    return load_error(errno, "mark a process");
  };
  if (options.scope.kind == Scope::Kind::tree) QUELL_CHECK(mark(options.scope.pid, kMarkTracked));
  if (options.exclude_children) QUELL_CHECK(mark(getpid(), kMarkExcluded));
  return {};
}

Result<void> Sensor::set_interest(const Interest& interest) {
  auto& memory = *shared().bss;
  // What was noted before has not been kept true since.
  const bool may_drop_files = !interest.plain_files_matter;
  if (may_drop_files && !memory.may_drop_files) std::fill(std::begin(memory.dropped), std::end(memory.dropped), 0);
  memory.may_drop_files = may_drop_files;
  name_tests_->set(interest);
  std::vector<const SyscallSpec*> calls;
  for (const SyscallSpec& call : kSyscallTable) {
    if (call.x86_64 < 0 || call.x86_64 >= kMaxSyscalls) continue;
    const bool generic = call.exit == ev::GENERIC_X;
    const bool state = !generic && event_spec(call.exit).has(kEvModifiesState);
    const bool asked = generic ? interest.wants_generic(call.code) : interest.wants(call.exit);
    Need need = asked ? interest.need(call.exit) : Need{};
    if (state) {
      // What nobody asked for still keeps the tables; a call that failed changed nothing in them. With filters, that
      // is.
      const bool opens = opens_file(call.exit), may_fail_unseen = opens || call.exit == ev::SYSCALL_CLOSE_X;
      if (!asked && !interest.needs.empty()) need = {0, 0};
      if (!opens || interest.plain_files_matter) need.on_success = Need::kAlways;
      if (!may_fail_unseen) need.on_failure = Need::kAlways;
      // The kernel looks at the flags to see that a file is a plain one.
      if (opens && need.on_success == 0) need.on_success = kNoOpenFlag;
    }
    memory.need_success[call.x86_64] = need.on_success;
    memory.need_failure[call.x86_64] = need.on_failure;
    memory.wanted_calls[call.x86_64] = asked || state;
    if (asked || state) calls.push_back(&call);
  }
  struct {
    EventCode code;
    int index;
    const char* program;
  } const tracepoints[] = {
      {ev::SIGNALDELIVER_E, kTracepointSignal, "on_signal"},
      {ev::PAGE_FAULT_E, kTracepointFault, "on_fault"},
      {ev::SCHEDSWITCH_6_E, kTracepointSwitch, "on_switch"},
  };
  for (const auto& [code, index, program] : tracepoints) {
    memory.wanted_tracepoints[index] = interest.wants(code);
    if (!interest.wants(code)) continue;
    if (const auto added = programs_->add_tracepoint(program); !added) {
      log::warn("capture", "events of the type {} will not be seen: {}", event_spec(code).name, added.error().str());
    }
  }
  return programs_->add_calls(calls);
}

void Sensor::follow_clock(uint64_t now) {
  // The time of day is stepped or slewed while the boot clock is not; follow it without letting events jitter.
  if (now - clock_checked_ns_ < kClockCheckNs) return;
  clock_checked_ns_ = now;
  const uint64_t offset = boot_offset_ns();
  const auto drift = static_cast<int64_t>(offset - shared().bss->boot_offset_ns);
  if (drift > kClockStepNs || drift < -kClockStepNs) shared().bss->boot_offset_ns = offset;
}

// The name that the process gave stays if it leads to the file that was opened (a symbolic link does). Otherwise the
// path of that file is told, which nobody but the kernel can write.
void Sensor::append_with_true_name(EventBatch& batch, std::span<const uint8_t> bytes, std::span<const uint8_t> path,
                                   uint16_t cpu) {
  Event event;
  std::string_view told(reinterpret_cast<const char*>(path.data()), path.size());
  told = told.substr(0, told.find('\0'));  // empty: a pipe or the like, or too deep to tell
  if (told.empty() || !Event::parse(bytes, event) || leads_to_opened_file(event, told)) return batch.append(bytes, cpu);
  ++renamed_;
  batch.append(with_name(event, told), cpu);
}

size_t Sensor::take(EventBatch& batch) {
  return ring_->drain([&](std::span<const uint8_t> record) {
    if (batch.size() >= kBatchEvents) return false;
    quell_wire_record head{};
    std::memcpy(&head, record.data(), std::min<size_t>(sizeof head, record.size()));
    if (record.size() < kWireLengths || head.len > record.size() - kWirePrefix) return true;
    if (Event::flaw(record.subspan(kWirePrefix, head.len)) != nullptr) {
      ++malformed_;
      return true;
    }
    if (head.flags & kWireFault) ++faults_;
    const auto event = record.subspan(kWirePrefix, head.len);
    if (head.flags & kWireArrival) {
      arrivals_.add(event, record.subspan(kWirePrefix + head.len));
    } else if (head.flags & kWireOtherName) {
      append_with_true_name(batch, event, record.subspan(kWirePrefix + head.len), static_cast<uint16_t>(head.cpu));
    } else {
      batch.append(event, static_cast<uint16_t>(head.cpu));
    }
    return true;
  });
}

Result<Pull> Sensor::fill(EventBatch& batch, uint64_t timeout_ns) {
  batch.clear();
  uint64_t now = now_ns(CLOCK_MONOTONIC);
  const uint64_t deadline = now + timeout_ns;
  follow_clock(now);
  while (true) {
    if (now - last_drain_ns_ < coalesce_ns_ && timeout_ns != 0) {
      const uint64_t pause = std::min(coalesce_ns_ - (now - last_drain_ns_), deadline > now ? deadline - now : 0);
      const timespec time{0, static_cast<long>(std::min<uint64_t>(pause, 999'999'999))};
      nanosleep(&time, nullptr);
    }
    take(batch);
    now = now_ns(CLOCK_MONOTONIC);
    if (!batch.empty()) {  // not every record is an event
      last_drain_ns_ = now;
      events_ += batch.size();
      return Pull::more;
    }
    if (now >= deadline) return Pull::more;
    epoll_event event{};
    const int wait_ms = static_cast<int>(std::min<uint64_t>((deadline - now + 999'999) / 1'000'000, 1000));
    if (epoll_wait(epoll_fd_, &event, 1, wait_ms) < 0 && errno != EINTR)
      return errno_error(errno, "waiting for events failed");
    now = now_ns(CLOCK_MONOTONIC);
  }
}

template <typename Visit>
void Sensor::sum_per_cpu(int map_fd, uint32_t entries, Visit&& visit) const {
  std::vector<uint64_t> values(static_cast<size_t>(cpus_));
  for (uint32_t key = 0; key < entries; ++key) {
    if (bpf_map_lookup_elem(map_fd, &key, values.data()) != 0) continue;
    uint64_t sum = 0;
    for (const uint64_t value : values) sum += value;
    if (sum != 0) visit(key, sum);
  }
}

SourceCounters Sensor::counters() const {
  const auto& memory = *shared().bss;
  SourceCounters out;
  out.events = events_;
  out.lost_fault = faults_;
  out.names_from_kernel = renamed_;
  out.malformed = malformed_;
  out.lost_ring_full = memory.losses.count;
  out.first_loss_ns = memory.losses.first_ns;
  out.last_loss_ns = memory.losses.last_ns;
  out.foreign_abi = memory.foreign_calls;
  return out;
}

std::vector<std::pair<EventCode, uint64_t>> Sensor::losses() const {
  std::vector<std::pair<EventCode, uint64_t>> out;
  sum_per_cpu(bpf_map__fd(shared().maps.lost), kEventCodeCount,
              [&](uint32_t key, uint64_t sum) { out.emplace_back(static_cast<EventCode>(key), sum); });
  return out;
}

}  // namespace

Result<std::unique_ptr<LiveSource>> open_ebpf(const EbpfOptions& options) { return Sensor::open(options); }

}  // namespace quell::capture
