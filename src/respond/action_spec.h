#pragma once
// One action: what it needs, what it risks, how to call it, and its verb. The runner owns the rest.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/json.h"
#include "respond/plan.h"
#include "respond/world.h"

namespace quell::respond {

/// How much an action can hurt, ascending. What a policy may do by itself and who must agree follow from it.
enum class ActionClass : uint8_t {
  collect,   // changes nothing that anybody would miss
  soft,      // contains one target, and is undone
  hard,      // contains one target for good; at best something compensates
  wide,      // hits more than the target
  critical,  // an outage if it is wrong
};
std::string_view to_string(ActionClass value);
std::optional<ActionClass> parse_action_class(std::string_view text);

enum class ParamKind : uint8_t { text, number, duration, path, choice, addresses };

/// One thing that an action can be told beyond its target.
struct ParamSpec {
  std::string_view name;
  ParamKind kind = ParamKind::text;
  std::string_view doc;
  std::string_view standard = {};  // what it is when it is not given
  std::string_view choices = {};   // of a choice: "none|descendants|session|cgroup"
};

/// What one verb is called with. `params` are checked and complete: what was not given has its standard value.
struct Call {
  const World& world;
  const std::string& action_id;
  const ActionParams& params;
  const Target& target;

  std::string_view param(std::string_view name) const;
  /// Name of what an action leaves in the machine (a table, a program, a folder): 8 hex digits of the action's id.
  std::string tag() const;
};

/// What the machine says about an effect.
enum class Seen : uint8_t {
  in_effect,
  not_in_effect,
  ended,        // what it was meant for is gone by itself
  replaced,     // the container runs again under another start
  changed,      // somebody has put something third in its place: neither our effect nor the state before
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
  /// Ends in `undone` instead of `contained`: it lifts the containments that `lifts` names.
  bool releases = false;
  std::string_view lifts = {};  // "container.kill|container.stop"
  uint64_t default_ttl_s = 0;   // 0: does not expire, and takes no TTL
  std::span<const ParamSpec> params = {};
  // For people, one sentence each: docs/response.md and the catalogue of the API are made of them.
  std::string_view mechanism = {};
  std::string_view permissions = {};
  std::string_view proof = {};
  std::string_view undo_doc = {};
  std::string_view limits = {};
  std::string_view example = {};  // a Command as JSON

  /// Why this machine cannot do it at all, one sentence; nothing if it can. Null: every machine can. Asked at start.
  std::optional<std::string> (*missing)(const World& world) = nullptr;

  /// Its effect waits for the target to do something: other actions go on meanwhile.
  bool effect_waits = false;

  /// A request may still take effect this long after it was sent and no answer came.
  uint64_t settle_ns = 0;
  uint64_t watch_ns = 0, watch_every_ns = 0;  // 0: nothing to watch

  /// Fills effects, warnings, undo, affected, pre-state. Errors: what the subject cannot be planned for; unsupported
  /// where this target, its runtime say, has no such thing.
  Result<void> (*plan)(const Call& call, const Subject& subject, Plan& plan) = nullptr;
  /// Acts on the held subject and answers what it brought: one JSON object, or nothing. Code::gone, not_found and
  /// conflict are answered by looking, not by giving up.
  Result<std::string> (*effect)(const Call& call, const Subject& subject, const Plan& plan) = nullptr;
  /// The immediate proof, from outside; may wait, bounded. `result` is the effect's.
  Look (*prove)(const Call& call, const Subject& subject, const Plan& plan, const std::string& result) = nullptr;
  /// The same question without a held subject: after a restart, before an undo. Never changes anything.
  Look (*look)(const Call& call, const Json& pre_state) = nullptr;
  std::unique_ptr<Watcher> (*watch)(const Call& call, const Subject& subject, const Plan& plan) = nullptr;
  /// Restores the recorded pre-state, of what this action changed alone. Null: no undo.
  Result<void> (*undo)(const Call& call, const Json& pre_state) = nullptr;
  /// What an effect that failed had changed already is put back. Null: nothing to put back.
  Result<void> (*put_back)(const Call& call, const Json& pre_state) = nullptr;
  /// What a person can do instead of an undo.
  std::string (*compensation)(const Target& target, const Json& pre_state) = nullptr;
};

/// Checks what was given against the rows, and adds what was not. Errors: Code::invalid_argument, naming what there is.
Result<ActionParams> complete_params(const ActionSpec& spec, const ActionParams& given);

}  // namespace quell::respond
