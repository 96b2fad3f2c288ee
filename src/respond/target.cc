#include "respond/target.h"

#include <fmt/format.h>

#include "base/text.h"
#include "os/net_allow.h"

namespace quell::respond {
namespace {

constexpr std::string_view kForms =
    "write container:ID, container:NAME, process:PID, process:PID@START_TICKS, address:ADDRESS, host: or detection:ID";

std::string cgroup_path(const os::ProcessFacts& facts) {
  std::string v2, freezer, other;
  for_each_part(facts.cgroups, [&](std::string_view entry) {
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return;
    const std::string_view path = entry.substr(equals + 1);
    if (equals == 0)
      v2 = path;
    else if (entry.substr(0, equals).find("freezer") != std::string_view::npos)
      freezer = path;
    else if (other.empty())
      other = path;
  });
  if (!v2.empty() && v2 != "/") return v2;
  return !freezer.empty() ? freezer : (!v2.empty() ? v2 : other);
}

// Ids can be free text, so one can stand in a path by accident: the container's own pid 1 settles it.
bool shares_cgroup(const World& world, const os::ProcessFacts& facts, int64_t init_pid) {
  if (init_pid <= 0) return false;
  if (facts.id.pid == init_pid) return true;
  const auto init = world.os.process_facts(init_pid);
  if (!init) return false;
  bool shared = false;
  for_each_part(init->cgroups, [&](std::string_view theirs) {
    if (theirs.ends_with("=/") || theirs.ends_with("=")) return;
    for_each_part(facts.cgroups, [&](std::string_view ours) {
      shared |= ours == theirs || (ours.starts_with(theirs) && ours[theirs.size()] == '/');
    });
  });
  return shared;
}

void fill_process(Subject& subject, os::ProcessHandle handle) {
  const os::ProcessFacts& facts = handle.facts();
  Target& target = subject.target;
  target.process = facts.id;
  target.process_name = facts.comm;
  target.exepath = facts.exepath;
  target.cmdline = join_parts(facts.args);
  target.cgroup_path = cgroup_path(facts);
  subject.alive = facts.state != 'Z';
  subject.process = std::move(handle);
}

void fill_container(Subject& subject, const os::Runtime& runtime, os::ContainerStatus status) {
  Target& target = subject.target;
  target.runtime = runtime.name();
  if (status.info != nullptr) {
    target.runtime_namespace = status.info->runtime_namespace;
    target.container_id = status.info->full_id;
    target.container_name = status.info->name;
    target.image = status.info->image;
    target.started_at = status.info->started_at;
  }
  target.container_pid = status.pid;
  subject.runtime = &runtime;
  subject.container = std::move(status);
}

bool runs(const os::ContainerStatus& status) {
  return status.state == os::ContainerStatus::State::running || status.state == os::ContainerStatus::State::paused;
}

// The container's pid 1 is held too: its facts are what the scope and the freezer are asked with.
Result<void> hold_init(const World& world, Subject& subject) {
  if (!runs(subject.container) || subject.container.pid <= 0) return {};
  auto handle = world.os.open_process({world.os.boot_id(), subject.container.pid, 0});
  if (!handle) {
    if (handle.error().code == Code::gone) return {};
    return std::move(handle).error();
  }
  fill_process(subject, std::move(*handle));
  return {};
}

Result<Subject> hold_container(const World& world, const os::Runtime& runtime, os::ContainerStatus status) {
  if (status.info == nullptr || status.info->full_id.empty())
    return Error{
        Code::unavailable, fmt::format("{} gave no identity for the container; try again", runtime.name()), {}};
  Subject subject;
  subject.target.kind = EntityKind::container;
  fill_container(subject, runtime, std::move(status));
  QUELL_CHECK(hold_init(world, subject));
  return subject;
}

Result<Subject> hold_process(const World& world, const ProcessId& id) {
  QUELL_TRY(os::ProcessHandle handle, world.os.open_process(id));
  Subject subject;
  subject.target.kind = EntityKind::process;
  fill_process(subject, std::move(handle));
  find_container_of(world, subject.process.facts(), subject);
  return subject;
}

Error wrong_kind(const ActionSpec& spec, std::string_view target) {
  const std::string_view remedy = [&] {
    switch (spec.target) {
      case EntityKind::process: return "write process:PID or detection:ID, or use container.kill";
      case EntityKind::container: return "write container:ID, container:NAME or detection:ID, or use process.kill";
      case EntityKind::address: return "write address:203.0.113.9 or address:2001:db8::/48";
      case EntityKind::host: return "write host:";
      default: return "see `quell action catalogue`";
    }
  }();
  return {Code::invalid_argument,
          fmt::format("{} takes a {}, not {}; {}", spec.name, to_string(spec.target), target, remedy),
          {}};
}

/// The machine itself, and nothing of it that is held.
Result<Subject> this_machine(const World& world, std::string_view wanted) {
  Subject subject;
  subject.target.kind = EntityKind::host;
  subject.target.machine_id = world.os.machine_id();
  subject.target.process.boot_id = world.os.boot_id();
  if (!wanted.empty() && wanted != subject.target.machine_id)
    return Error{Code::stale, fmt::format("this machine is {}, not {}", subject.target.machine_id, wanted), {}};
  return subject;
}

/// The other end of the connection that a detection speaks of, if it does.
std::string remote_address(const Detection& detection) {
  for (const std::string_view name : {"fd.rip", "fd.sip", "fd.cip"})
    for (const auto& [field, value] : detection.output_fields)
      if (const auto* text = std::get_if<std::string>(&value); field == name && text != nullptr)
        if (const auto prefix = os::IpPrefix::parse(*text)) return prefix->str();
  return {};
}

Result<Subject> resolve_detected_process(const World& world, const Detection& detection, Target& identity) {
  identity.kind = EntityKind::process;
  identity.process = detection.process;
  identity.process_name = detection.process_name;
  identity.exepath = detection.exepath;
  identity.cmdline = detection.cmdline;
  if (detection.process.pid <= 0)
    return Error{Code::not_found, fmt::format("detection {} has no process", detection.id), {}};
  if (detection.process.start_ticks == 0)
    return Error{
        Code::stale,
        fmt::format("detection {} does not know when its process started, so pid {} may be another one now; look at it "
                    "and write process:{}",
                    detection.id, detection.process.pid, detection.process.pid),
        {}};
  if (detection.process.boot_id != world.os.boot_id())
    return Error{Code::gone, fmt::format("detection {} is from before this machine's last start", detection.id), {}};
  return hold_process(world, detection.process);
}

Result<Subject> resolve_detected_container(const World& world, const Detection& detection, Target& identity) {
  identity.kind = EntityKind::container;
  identity.container_id = detection.container_full_id;
  if (detection.container_full_id.empty())
    return Error{
        Code::invalid_argument,
        fmt::format("the process of detection {} runs on the host, not in a container; use process.kill", detection.id),
        {}};
  const std::string started_at = detection.container != nullptr ? detection.container->started_at : "";
  if (detection.container != nullptr) {
    identity.container_name = detection.container->name;
    identity.image = detection.container->image;
    identity.started_at = started_at;
  }
  auto found = os::find_container(world.runtimes, detection.container_full_id);
  if (!found) {
    if (found.error().code != Code::not_found) return std::move(found).error();
    return Error{Code::gone, fmt::format("the container of detection {} is gone", detection.id), {}};
  }
  QUELL_TRY(Subject subject, hold_container(world, *found->runtime, std::move(found->status)));
  if (!started_at.empty() && !subject.target.started_at.empty() && subject.target.started_at != started_at &&
      runs(subject.container))
    return Error{
        Code::stale,
        fmt::format("the container of detection {} was started again at {}; write container:{} to mean that one",
                    detection.id, subject.target.started_at, subject.target.container_name),
        {}};
  return subject;
}

}  // namespace

Result<TargetRef> parse_target(std::string_view text) {
  const auto bad = [&](std::string_view why) {
    return Error{Code::invalid_argument, fmt::format("target \"{}\": {}; {}", text, why, kForms), {}};
  };
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return bad("there is no kind before it");
  const std::string_view kind = text.substr(0, colon), rest = text.substr(colon + 1);
  if (rest.size() > 1024) return bad("it is longer than 1024 bytes");
  TargetRef ref;
  if (kind == "host") {
    ref.kind = TargetRef::Kind::host;
    ref.text = rest;
    return ref;
  }
  if (rest.empty()) return bad("nothing follows the colon");
  if (kind == "address") {
    auto prefix = os::IpPrefix::parse(rest);
    if (!prefix) return bad(prefix.error().message);
    ref.kind = TargetRef::Kind::address;
    ref.text = prefix->str();
    return ref;
  }
  if (kind == "container" || kind == "detection") {
    ref.kind = kind == "container" ? TargetRef::Kind::container : TargetRef::Kind::detection;
    ref.text = rest;
    return ref;
  }
  if (kind != "process") return bad("that kind is not known");
  ref.kind = TargetRef::Kind::process;
  const size_t at = rest.find('@');
  if (!parse_i64(rest.substr(0, at), ref.pid) || ref.pid <= 0) return bad("the pid is not a positive number");
  if (at != std::string_view::npos && (!parse_u64(rest.substr(at + 1), ref.start_ticks) || ref.start_ticks == 0))
    return bad("the start is not a positive number of clock ticks (field 22 of /proc/PID/stat)");
  return ref;
}

const os::Runtime* find_runtime(const World& world, std::string_view name) {
  for (const auto& runtime : world.runtimes)
    if (runtime->name() == name) return runtime.get();
  return nullptr;
}

void find_container_of(const World& world, const os::ProcessFacts& facts, Subject& subject) {
  // Asking which containers exist, and looking for their ids in the path, needs no guess about how a runtime names
  // cgroups.
  std::vector<std::string_view> components;
  for_each_part(facts.cgroups, [&](std::string_view entry) {
    const size_t equals = entry.find('=');
    if (equals == std::string_view::npos) return;
    for (const std::string_view component : split(entry.substr(equals + 1), '/'))
      if (!component.empty()) components.push_back(component);
  });
  if (components.empty()) return;
  const auto in_path = [&](const std::string& id) {
    const std::string scope = "-" + id + ".scope";
    for (const std::string_view component : components)
      if (component == id || component.ends_with(scope)) return true;
    return false;
  };
  for (const auto& runtime : world.runtimes) {
    const auto ids = runtime->list();
    if (!ids) continue;  // not running: then it has no containers that could be told apart here
    for (const std::string& id : *ids) {
      if (!in_path(id)) continue;
      auto status = runtime->inspect(id);
      if (!status || !shares_cgroup(world, facts, status->pid)) continue;
      fill_container(subject, *runtime, std::move(*status));
      return;
    }
  }
}

bool is_container_init(const World& world, const Subject& subject) {
  const os::ProcessFacts& facts = subject.process.facts();
  if (subject.runtime != nullptr && subject.container.pid == facts.id.pid) return true;
  // A runtime that does not answer must not open the gate: pid 1 of another pid namespace than the host's is one as
  // well.
  if (facts.pid_in_namespace != 1 || facts.id.pid == 1) return false;
  const auto host = world.os.process_facts(1);
  return !host || host->pid_namespace != facts.pid_namespace;
}

Result<Resolved> resolve(const World& world, const ActionSpec& spec, const Command& command,
                         const FindDetection& find_detection, Target* identity) {
  const std::string& target = command.target;
  QUELL_TRY(const TargetRef ref, parse_target(target));
  Target scratch;
  Target& known = identity != nullptr ? *identity : scratch;
  known.kind = spec.target;
  const bool wants_process = spec.target == EntityKind::process;
  Resolved out;

  switch (ref.kind) {
    case TargetRef::Kind::host: {
      if (spec.target != EntityKind::host) return wrong_kind(spec, target);
      QUELL_TRY(out.subject, this_machine(world, ref.text));
      break;
    }
    case TargetRef::Kind::address: {
      if (spec.target != EntityKind::address) return wrong_kind(spec, target);
      out.subject.target.kind = EntityKind::address;
      out.subject.target.address = ref.text;
      break;
    }
    case TargetRef::Kind::container: {
      if (spec.target != EntityKind::container) return wrong_kind(spec, target);
      auto found = os::find_container(world.runtimes, ref.text);
      if (!found) return std::move(found).error();
      QUELL_TRY(out.subject, hold_container(world, *found->runtime, std::move(found->status)));
      break;
    }
    case TargetRef::Kind::process: {
      if (!wants_process) return wrong_kind(spec, target);
      const ProcessId id{world.os.boot_id(), ref.pid, ref.start_ticks};
      known.process = id;
      auto held = hold_process(world, id);
      if (!held) {
        // A bare pid without a process never had an identity: there is nothing that could have been contained already.
        if (held.error().code == Code::gone && ref.start_ticks == 0)
          return Error{Code::not_found, fmt::format("there is no process {}", ref.pid), {}};
        return std::move(held).error();
      }
      out.subject = std::move(*held);
      break;
    }
    case TargetRef::Kind::detection: {
      const bool is_with_it = command.detection != nullptr && command.detection->id == ref.text;
      if (!is_with_it && !find_detection)
        return Error{Code::not_found, fmt::format("there is no detection {}", ref.text), {}};
      Result<Detection> found = is_with_it ? Result<Detection>(*command.detection) : find_detection(ref.text);
      if (!found) return std::move(found).error();
      const Detection& detection = *found;
      if (detection.evidence_ref.starts_with("scap:"))
        return Error{Code::unsupported,
                     fmt::format("detection {} comes from a capture, so nothing that runs here can be meant by it",
                                 detection.id),
                     {}};
      auto held = [&]() -> Result<Subject> {
        switch (spec.target) {
          case EntityKind::process: return resolve_detected_process(world, detection, known);
          case EntityKind::container: return resolve_detected_container(world, detection, known);
          case EntityKind::host: return this_machine(world, {});
          case EntityKind::address: {
            Subject subject;
            subject.target.kind = EntityKind::address;
            subject.target.address = remote_address(detection);
            if (subject.target.address.empty())
              return Error{Code::not_found,
                           fmt::format("detection {} names no remote address (fd.rip or fd.sip in its output); write "
                                       "address:ADDRESS",
                                       detection.id),
                           {}};
            return subject;
          }
          default: return wrong_kind(spec, target);
        }
      }();
      if (!held) return std::move(held).error();
      out.subject = std::move(*held);
      out.detection_id = detection.id;
      break;
    }
  }
  known = out.subject.target;
  return out;
}

Result<Subject> reopen(const World& world, const Target& target) {
  if (target.kind == EntityKind::host) return this_machine(world, target.machine_id);
  if (target.kind == EntityKind::address) {
    Subject subject;
    subject.target = target;
    return subject;
  }
  if (target.kind == EntityKind::process) {
    if (target.process.boot_id != world.os.boot_id())
      return Error{Code::gone, "the machine was started again since", {}};
    QUELL_TRY(Subject subject, hold_process(world, target.process));
    return subject;
  }
  const os::Runtime* runtime = find_runtime(world, target.runtime);
  if (runtime == nullptr)
    return Error{Code::unavailable, fmt::format("the runtime {} is not configured any more", target.runtime), {}};
  auto status = runtime->inspect(target.container_id);
  if (!status) {
    if (status.error().code == Code::not_found) return Error{Code::gone, "the container is gone", {}};
    return std::move(status).error();
  }
  QUELL_TRY(Subject subject, hold_container(world, *runtime, std::move(*status)));
  if (subject.target.container_id != target.container_id)
    return Error{Code::stale, fmt::format("{} answers with another container", target.runtime), {}};
  if (runs(subject.container) && subject.target.started_at != target.started_at)
    return Error{Code::stale, fmt::format("the container was started again at {}", subject.target.started_at), {}};
  return subject;
}

}  // namespace quell::respond
