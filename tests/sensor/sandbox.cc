#include "sandbox.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <stdexcept>

#include <fmt/format.h>

namespace quell::capture::test {
Param Captured::operator[](std::string_view name) const {
  const int index = event.spec().param_index(name);
  EXPECT_GE(index, 0) << event.spec().id << " has no parameter " << name;
  return index < 0 ? Param{} : event.param(static_cast<size_t>(index));
}

std::string why_not() {
  if (geteuid() != 0) return "the sensor needs root";
  if (access("/sys/kernel/btf/vmlinux", R_OK) != 0) return "the kernel has no BTF";
  const auto mounts = CgroupMounts::find();
  if (!mounts || mounts->v2.empty()) return "no cgroup v2 hierarchy";
  if (access(mounts->v2.c_str(), W_OK) != 0) return "the cgroup v2 hierarchy is read-only";
  return {};
}

Sandbox::Sandbox(const std::vector<std::string>& wanted, EbpfOptions options) {
  static std::atomic<int> count{0};
  group_ = fmt::format("{}/quell-test-{}-{}", CgroupMounts::find()->v2, getpid(), count++);
  EXPECT_EQ(mkdir(group_.c_str(), 0755), 0) << group_;
  if (options.scope.kind == Scope::Kind::all) options.scope = {Scope::Kind::cgroup, group_, 0};
  if (options.interest.codes.empty())
    options.interest.codes.assign(kEventCodeCount, wanted == std::vector<std::string>{"*"});
  for (const auto& name : wanted) {
    for (const EventCode code : {ev::SIGNALDELIVER_E, ev::PAGE_FAULT_E, ev::SCHEDSWITCH_6_E}) {
      if (event_spec(code).name == name) options.interest.codes[code] = true;
    }
    if (const SyscallSpec* call = syscall_by_name(name)) options.interest.codes[call->exit] = true;
  }
  auto source = open_ebpf(options);
  if (!source) {
    ADD_FAILURE() << source.error().str();
    rmdir(group_.c_str());
    throw std::runtime_error("no sensor");  // ends this test, not the program
  }
  source_ = std::move(*source);
}

Sandbox::~Sandbox() {
  source_.reset();
  for (int i = 0; i < 100; ++i) {
    std::ifstream procs(group_ + "/cgroup.procs");
    bool empty = true;
    for (pid_t pid = 0; procs >> pid;) {
      kill(pid, SIGKILL);
      empty = false;
    }
    if (empty && rmdir(group_.c_str()) == 0) return;
    usleep(10'000);
  }
  ADD_FAILURE() << "cannot remove " << group_;
}

void Sandbox::enter(pid_t pid) const {
  std::ofstream procs(group_ + "/cgroup.procs");
  procs << pid << std::flush;
  EXPECT_TRUE(procs.good()) << "cannot move " << pid << " into " << group_;
}

Events Sandbox::collect() {
  Events events;
  if (!source_) return events;
  EventBatch batch;
  while (true) {
    const auto pull = source_->fill(batch, 0);
    EXPECT_TRUE(pull) << pull.error().str();
    if (!pull || batch.empty()) return events;
    for (size_t i = 0; i < batch.size(); ++i) {
      auto captured = std::make_unique<Captured>();
      const auto bytes = batch.event(i);
      captured->bytes.assign(bytes.begin(), bytes.end());
      captured->cpu = batch.slot(i).cpu;
      const auto parsed = Event::parse(captured->bytes, captured->event);
      EXPECT_TRUE(parsed) << parsed.error().str();
      if (!parsed) continue;
      expect_schema(captured->event);
      events.push_back(std::move(captured));
    }
  }
}

Events Sandbox::run(const std::function<void()>& body) {
  if (!source_) return {};
  int gate[2];
  EXPECT_EQ(pipe(gate), 0);
  pid_ = fork();
  if (pid_ == 0) {
    char byte = 0;
    while (read(gate[0], &byte, 1) != 1) {
    }
    body();
    _exit(0);
  }
  enter(pid_);
  EXPECT_EQ(write(gate[1], "x", 1), 1);
  close(gate[0]);
  close(gate[1]);
  EXPECT_EQ(waitpid(pid_, &status_, 0), pid_);
  return collect();
}

void expect_schema(const Event& event) {
  const EventSpec& spec = event.spec();
  EXPECT_EQ(event.nparams(), spec.params.size()) << spec.id;
  size_t sum = sizeof(EventHeader) + 2 * spec.params.size();
  for (size_t i = 0; i < spec.params.size(); ++i) {
    const Param value = event.param(i);
    const ParamSpec& param = spec.params[i];
    sum += value.len;
    const size_t width = fixed_width(param.type);
    if (width != 0 && value.len != 0) {
      EXPECT_EQ(value.len, width) << spec.id << "." << param.name;
    }
    const bool text =
        param.type == ParamType::charbuf || param.type == ParamType::fspath || param.type == ParamType::fsrelpath;
    if (text && value.len != 0) {
      EXPECT_EQ(value.text().size() + 1, value.len) << spec.id << "." << param.name;
    }
    if (param.type == ParamType::sockaddr && value.len != 0) {
      const int family = value.data[0];
      if (family == 2) {
        EXPECT_EQ(value.len, 7u) << spec.id;
      }
      if (family == 10) {
        EXPECT_EQ(value.len, 19u) << spec.id;
      }
    }
    if (param.type == ParamType::socktuple && value.len != 0) {
      const int family = value.data[0];
      if (family == 2) {
        EXPECT_EQ(value.len, 13u) << spec.id;
      }
      if (family == 10) {
        EXPECT_EQ(value.len, 37u) << spec.id;
      }
      if (family == 1) {
        EXPECT_GE(value.len, 18u) << spec.id;
      }
    }
    if (param.type == ParamType::fdlist && value.len != 0) {
      EXPECT_EQ(value.len, 2 + 10 * size_t{load<uint16_t>(value.data)}) << spec.id;
    }
  }
  EXPECT_EQ(sum, event.bytes().size()) << spec.id << " holds bytes that belong to no parameter";
}

std::vector<const Captured*> all_of(const Events& events, EventCode code, int64_t tid) {
  std::vector<const Captured*> out;
  for (const auto& captured : events) {
    if (captured->code() == code && (tid == 0 || captured->event.tid() == tid)) out.push_back(captured.get());
  }
  return out;
}

const Captured& one_of(const Events& events, EventCode code, int64_t tid) {
  const auto found = all_of(events, code, tid);
  if (found.empty()) {
    ADD_FAILURE() << "no event " << event_spec(code).id << " among " << events.size();
    static const Captured* none = [] {
      auto* captured = new Captured;
      captured->bytes = EventBuilder(ev::GENERIC_X, 0, 0).empty().empty().build();
      EXPECT_TRUE(Event::parse(captured->bytes, captured->event));
      return captured;
    }();
    return *none;
  }
  return *found.back();
}

}  // namespace quell::capture::test
