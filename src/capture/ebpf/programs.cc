#include "capture/ebpf/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <mutex>
#include <set>

#include <fmt/format.h>

#include "base/log.h"
#include "bpf/wire.h"

namespace quell::capture {
namespace {

// libbpf speaks through one callback per process. What it says is kept, and shown only if loading fails.
std::mutex libbpf_mutex;
std::string libbpf_text;

int keep_libbpf_text(enum libbpf_print_level level, const char* format, va_list arguments) {
  if (level == LIBBPF_DEBUG) return 0;
  char line[1024];
  const int length = vsnprintf(line, sizeof line, format, arguments);
  if (libbpf_text.size() < 16384 && length > 0) libbpf_text.append(line, std::min<size_t>(length, sizeof line - 1));
  return length;
}

class Listening {
 public:
  Listening() : lock_(libbpf_mutex) {
    libbpf_text.clear();
    libbpf_set_print(keep_libbpf_text);
  }

 private:
  std::lock_guard<std::mutex> lock_;
};

// The registers of a call are found by a helper of 5.15; without it only the tracepoint of all calls hands them over.
bool kernel_finds_registers() {
  return libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_task_pt_regs, nullptr) == 1 &&
         libbpf_probe_bpf_helper(BPF_PROG_TYPE_TRACEPOINT, BPF_FUNC_get_current_task_btf, nullptr) == 1;
}

// With a scope that processes are moved into.
bool sees_arrivals(const sensor_bpf& object) {
  return object.rodata->scope_kind == kScopeCgroup || object.rodata->scope_kind == kScopeCgroupPids;
}

std::string program_name(const SyscallSpec& call) {
  return call.exit == ev::GENERIC_X ? "x_generic" : fmt::format("x_{}", call.name);
}

}  // namespace

Error load_error(int number, const char* what) {
  if (number < 0) number = -number;
  utsname system{};
  uname(&system);
  std::string text = libbpf_text.empty() ? std::string() : "\n" + libbpf_text;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (number == EPERM || number == EACCES) {
    return Error{
        Code::permission_denied,
        fmt::format("the kernel does not let this process {}; run as root, or give it CAP_BPF, CAP_PERFMON and "
                    "CAP_SYS_PTRACE (before Linux 5.8: CAP_SYS_ADMIN){}",
                    what, text),
        {}};
  }
  if (number == ENOMEM || number == EAGAIN) {
    return Error{
        Code::limit,
        fmt::format(
            "no memory to {}; raise the limit of locked memory (LimitMEMLOCK=infinity) or make the ring smaller{}",
            what, text),
        {}};
  }
  return Error{
      Code::unsupported, fmt::format("cannot {} on Linux {}: {}{}", what, system.release, strerror(number), text), {}};
}

Result<std::unique_ptr<Programs>> Programs::load(Attach attach, const Settings& configure) {
  std::unique_ptr<Programs> programs(new Programs);
  programs->has_call_.assign(kMaxSyscalls, false);
  programs->configure_ = configure;
  if (attach != Attach::together) {
    if (kernel_finds_registers()) {
      auto tracepoints = CallTracepoints::open();
      if (!tracepoints && attach == Attach::singly) return tracepoints.error();
      if (tracepoints) programs->tracepoints_.emplace(std::move(*tracepoints));
    } else if (attach == Attach::singly) {
      return Error{Code::unsupported, "tracing calls one by one needs Linux 5.15 or newer", {}};
    }
  }
  const Listening listening;
  QUELL_TRY(Object object, programs->open_object());
  const auto& progs = object->progs;
  std::vector<bpf_program*> wanted{progs.on_fork, progs.on_exec, progs.on_exit, progs.whoami};
  if (!programs->is_singly()) wanted.push_back(progs.dispatch);
  if (sees_arrivals(*object)) wanted.push_back(progs.on_arrival);
  QUELL_CHECK(programs->load_object(std::move(object), wanted));
  return programs;
}

Result<Programs::Object> Programs::open_object() const {
  Object object(sensor_bpf::open());
  if (object == nullptr) return load_error(errno, "read the sensor's kernel programs");
  configure_(*object);
  object->rodata->calls_singly = is_singly() ? 1 : 0;
  for (const SyscallSpec& call : kSyscallTable) {
    if (call.x86_64 >= 0 && call.x86_64 < kMaxSyscalls) object->rodata->generic_code[call.x86_64] = call.code;
  }
  return object;
}

Result<void> Programs::load_object(Object object, const std::vector<bpf_program*>& wanted) {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, object->obj) {
    bpf_program__set_autoload(program, std::find(wanted.begin(), wanted.end(), program) != wanted.end());
  }
  if (!objects_.empty()) {
    bpf_map* map = nullptr;
    bpf_object__for_each_map(map, object->obj) {
      const bpf_map* first = bpf_object__find_map_by_name(objects_.front()->obj, bpf_map__name(map));
      if (first == nullptr || bpf_map__fd(first) < 0) continue;
      if (const int error = bpf_map__reuse_fd(map, bpf_map__fd(first)); error != 0)
        return load_error(error, "share the sensor's maps");
    }
  }
  if (const int error = sensor_bpf::load(object.get()); error != 0) return load_error(error, "load the sensor");
  objects_.push_back(std::move(object));
  return {};
}

Result<void> Programs::attach_tasks() {
  const Listening listening;
  sensor_bpf& object = shared();
  std::vector<std::pair<bpf_program*, bpf_link**>> parts = {
      {object.progs.on_fork, &object.links.on_fork},
      {object.progs.on_exec, &object.links.on_exec},
      {object.progs.on_exit, &object.links.on_exit},
  };
  if (!is_singly()) parts.emplace_back(object.progs.dispatch, &object.links.dispatch);
  if (sees_arrivals(object)) parts.emplace_back(object.progs.on_arrival, &object.links.on_arrival);
  for (const auto& [program, link] : parts) {
    *link = bpf_program__attach(program);
    if (*link == nullptr) return load_error(errno, "attach the sensor to its tracepoints");
  }
  return {};
}

void Programs::Detach::operator()(bpf_link* link) const { bpf_link__destroy(link); }

Result<void> Programs::add_tracepoint(const char* program) {
  if (has_tracepoint_.contains(program)) return {};
  const Listening listening;
  QUELL_TRY(Object object, open_object());
  const sensor_bpf* loaded = object.get();
  bpf_program* found = bpf_object__find_program_by_name(loaded->obj, program);
  QUELL_CHECK(load_object(std::move(object), {found}));
  bpf_link* link = bpf_program__attach(found);
  if (link == nullptr) return load_error(errno, "attach the sensor to a tracepoint");
  links_.emplace_back(link);
  has_tracepoint_.insert(program);
  return {};
}

Result<void> Programs::add_calls(const std::vector<const SyscallSpec*>& calls) {
  std::vector<const SyscallSpec*> missing;
  for (const SyscallSpec* call : calls) {
    if (call->x86_64 < 0 || call->x86_64 >= kMaxSyscalls || has_call_[call->x86_64]) continue;
    // A kernel built without the call has nothing to trace.
    if (is_singly() && !tracepoints_->has(call->name)) continue;
    missing.push_back(call);
  }
  if (missing.empty()) return {};

  const Listening listening;
  QUELL_TRY(Object object, open_object());
  std::set<bpf_program*> wanted;
  std::vector<std::pair<const SyscallSpec*, bpf_program*>> placed;
  for (const SyscallSpec* call : missing) {
    bpf_program* program = bpf_object__find_program_by_name(object->obj, program_name(*call).c_str());
    if (program == nullptr) continue;
    placed.emplace_back(call, program);
    if (!wanted.insert(program).second || is_singly()) continue;
    // A program can only jump to one of its own type.
    bpf_program__set_type(program, BPF_PROG_TYPE_TRACING);
    bpf_program__set_expected_attach_type(program, BPF_TRACE_RAW_TP);
    if (const int error = bpf_program__set_attach_target(program, 0, "sys_exit"); error != 0)
      return load_error(error, "find the exit of system calls");
  }
  QUELL_CHECK(load_object(std::move(object), {wanted.begin(), wanted.end()}));

  std::vector<CallTracepoints::Attachment> attachments;
  for (const auto& [call, program] : placed) {
    const int fd = bpf_program__fd(program);
    if (is_singly()) {
      attachments.push_back({call->name, fd});
      continue;
    }
    const auto key = static_cast<uint32_t>(call->x86_64);
    if (bpf_map_update_elem(bpf_map__fd(shared().maps.calls), &key, &fd, BPF_ANY) != 0) {
      return load_error(errno, "enter a program in the table of calls");
    }
  }
  if (is_singly()) QUELL_CHECK(tracepoints_->attach(attachments));
  for (const auto& [call, program] : placed) has_call_[call->x86_64] = true;
  return {};
}

}  // namespace quell::capture
