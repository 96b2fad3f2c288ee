#pragma once
// From what a person wrote to an identity that is held: container:ID|NAME, process:PID[@START_TICKS], detection:ID,
// address:ADDRESS[/LENGTH], host:.
#include <functional>
#include <string>
#include <string_view>

#include "model/detection.h"
#include "respond/action_spec.h"
#include "respond/world.h"

namespace quell::respond {

struct TargetRef {
  enum class Kind : uint8_t { container, process, detection, address, host } kind = Kind::container;
  std::string text;  // container id or name, detection id, address in its shortest form, machine id
  int64_t pid = -1;
  uint64_t start_ticks = 0;  // 0: whoever has the pid now
};

/// Errors: Code::invalid_argument, naming the forms.
Result<TargetRef> parse_target(std::string_view text);

/// Finds a detection by id. Errors: Code::not_found.
using FindDetection = std::function<Result<Detection>(std::string_view id)>;

struct Resolved {
  Subject subject;
  std::string detection_id;  // when the target came from one
};

/// Resolves and holds. `identity`, if not null, receives as much of the identity as is known even on failure, so that a
/// stale or gone target can be put on record. Errors: Code::not_found (nothing of that name), Code::gone (it was, by
/// its identity), Code::stale (another one lives there now), Code::invalid_argument (wrong kind for the action,
/// ambiguous), Code::unsupported (a detection from a capture), Code::unavailable.
Result<Resolved> resolve(const World& world, const ActionSpec& spec, const Command& command,
                         const FindDetection& find_detection, Target* identity = nullptr);

/// Holds a target again, now, and compares: the last look before an effect. Errors: Code::gone, Code::stale,
/// Code::unavailable.
Result<Subject> reopen(const World& world, const Target& target);

/// The runtime of that name; null if it is not configured.
const os::Runtime* find_runtime(const World& world, std::string_view name);

/// The container whose cgroup the process is in, as the runtimes know it; `subject` is left alone on the host.
void find_container_of(const World& world, const os::ProcessFacts& facts, Subject& subject);

/// The init process of some container: killing it ends the container.
bool is_container_init(const World& world, const Subject& subject);

}  // namespace quell::respond
