#include "respond/actions/processes.h"

#include <fmt/format.h>

namespace quell::respond {

std::string process_proof(const Target& target, std::string_view seen) {
  JsonWriter out;
  out.begin_object();
  out.integer("pid", target.process.pid).integer("start_ticks", target.process.start_ticks).text("seen", seen);
  out.end_object();
  return out.take();
}

HeldProcess hold_recorded(const Call& call) {
  HeldProcess out;
  const auto ended = [&](std::string_view seen) {
    out.look = Look{Seen::ended, "the process has ended", process_proof(call.target, seen)};
  };
  if (call.target.process.boot_id != call.world.os.boot_id()) {
    ended("machine started again");
    return out;
  }
  auto held = call.world.os.open_process(call.target.process);
  if (held) {
    out.handle = std::move(*held);
    if (out.handle.facts().state == 'Z') ended("dead, not yet reaped");
  } else if (held.error().code == Code::gone || held.error().code == Code::stale) {
    ended(held.error().code == Code::gone ? "gone" : "pid of another process now");
  } else {
    out.look = Look{Seen::cannot_tell, held.error().str(), process_proof(call.target, "unreadable")};
  }
  return out;
}

std::string display_process(const os::ProcessFacts& facts) { return fmt::format("{} ({})", facts.id.pid, facts.comm); }

}  // namespace quell::respond
