#pragma once
// One action: what it needs, what it risks, how to call it, and its verb. The runner owns the rest.
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "respond/plan.h"
#include "respond/world.h"

namespace quell::respond {

enum class ActionClass : uint8_t { soft, hard };
inline std::string_view to_string(ActionClass value) { return value == ActionClass::soft ? "soft" : "hard"; }

/// What the machine says about an effect.
enum class Seen : uint8_t {
  in_effect,
  not_in_effect,
  ended,        // what it was meant for is gone by itself
  replaced,     // the container runs again under another start
  cannot_tell,  // the one to ask does not answer
};

struct Look {
  Seen seen = Seen::cannot_tell;
  std::string note;   // one sentence when something is worth saying
  std::string proof;  // one JSON object: what was read, from whom
};

/// Looks on after the immediate proof, for evasion: CPU time in a frozen container, a respawned process. Made before
/// the effect, so that it can compare with what was there.
class Watcher {
 public:
  virtual ~Watcher() = default;
  /// Right after the immediate proof.
  virtual void begin(const World& world) = 0;
  /// Called now and then, and once at the end (`last`). A sentence if the effect was evaded.
  virtual std::optional<std::string> evaded(const World& world, bool last) = 0;
  /// What was watched, as one JSON object.
  virtual std::string describe() const = 0;
};

struct ActionSpec {
  std::string_view name;     // "container.pause"
  std::string_view summary;  // one sentence
  EntityKind target = EntityKind::container;
  ActionClass effect_class = ActionClass::soft;
  /// Ends in `undone` instead of `contained`: it lifts a containment.
  bool releases = false;
  uint64_t default_ttl_s = 0;  // 0: does not expire, and takes no TTL
  std::string_view permissions;
  std::string_view example;  // a Command as JSON

  /// Its effect waits for the target to do something: other actions go on meanwhile.
  bool effect_waits = false;

  /// A request may still take effect this long after it was sent and no answer came.
  uint64_t settle_ns = 0;
  uint64_t watch_ns = 0, watch_every_ns = 0;  // 0: nothing to watch

  /// Fills effects, warnings, undo, affected, pre-state. Errors: what the subject cannot be planned for.
  Result<void> (*plan)(const World& world, const Subject& subject, Plan& plan) = nullptr;
  /// Acts on the held subject. Code::gone, not_found and conflict are answered by looking, not by giving up.
  Result<void> (*effect)(const World& world, const Subject& subject, const Plan& plan) = nullptr;
  /// The immediate proof, from outside; may wait, bounded.
  Look (*prove)(const World& world, const Subject& subject, const Plan& plan) = nullptr;
  /// The same question without a held subject: after a restart, before an undo. Never changes anything.
  Look (*look)(const World& world, const Target& target) = nullptr;
  std::unique_ptr<Watcher> (*watch)(const World& world, const Subject& subject, const Plan& plan) = nullptr;
  /// Restores the recorded pre-state. Null: no undo.
  Result<void> (*undo)(const World& world, const Target& target, const Json& pre_state) = nullptr;
  /// What an effect that failed had changed already is put back. Null: nothing to put back.
  Result<void> (*put_back)(const World& world, const Target& target, const Json& pre_state) = nullptr;
  /// What a person can do instead of an undo.
  std::string (*compensation)(const Target& target, const Json& pre_state) = nullptr;
};

}  // namespace quell::respond
