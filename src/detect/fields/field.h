#pragma once
// One row describes one field: name, type, meaning, where its value comes from. The row is all there is: type checks,
// `quell rule fields`, the documentation and completion read it.
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "detect/value.h"
#include "model/event_schema.h"
#include "model/state_view.h"

namespace quell::detect {

/// What a field's [argument] may be.
enum class Arg : uint8_t { none, optional_index, required_index, optional_key, required_key };

/// What a value depends on, besides the event: decides whether a predicate may be remembered with the process.
enum class Scope : uint8_t {
  event,    // the event or a descriptor
  process,  // the thread's own entry: holds until Thread::version moves
  lineage,  // the thread, its ancestors or its container: holds until the lineage epoch moves too
};

/// Fields that stand for several values at once.
enum class Several : uint8_t {
  no,
  either_end,    // both ends of a connection: any satisfies, but != wants both to differ
  any_ancestor,  // any satisfies, != included
};

enum FieldFlag : uint8_t {
  kNoTransformers = 1,
  kNoRightSide = 2,  // refused in val()
  kFilterOnly = 4,
  kOutputOnly = 8,
  kDeprecated = 16,
  kNeedsFdClass = 32,  // absent on event types that have nothing to do with a descriptor
};

/// A field's argument, decoded once when a rule loads.
struct FieldArg {
  std::string text;
  int64_t index = -1;
  bool given = false;
  /// evt.arg, evt.rawarg: which parameter of each event type is meant; -1 where there is none.
  std::array<int8_t, kEventCodeCount> param_of{};
};

/// What extraction may use. The context's pointers outlive the event's evaluation; the arena's memory does not.
struct Extract {
  const EventContext& context;
  Arena& arena;
  const Event& event() const { return *context.event; }
  const Thread* thread() const { return context.thread; }
};

struct FieldSpec {
  std::string_view name;
  Type type = Type::text;
  bool is_list = false;
  Arg arg = Arg::none;
  uint8_t flags = 0;
  Scope scope = Scope::event;
  Several several = Several::no;
  Value (*get)(const Extract&, const FieldArg&) = nullptr;
  /// For outputs, where a few fields give something else than in conditions. Null: same as get.
  Value (*print)(const Extract&, const FieldArg&) = nullptr;
  std::string_view doc;
  std::string_view example = {};
};

/// Rows of one class each, in the order in which names are looked up.
std::span<const FieldSpec> evt_fields();
std::span<const FieldSpec> proc_fields();
std::span<const FieldSpec> user_fields();
std::span<const FieldSpec> fd_fields();
std::span<const FieldSpec> fs_path_fields();
std::span<const FieldSpec> container_fields();

/// A field with its argument, as a rule names it.
struct FieldRef {
  const FieldSpec* spec = nullptr;
  FieldArg arg;
  Type type = Type::text;         // spec->type, but for evt.rawarg the parameter's
  Several several = Several::no;  // spec->several unless an index picks one
  std::string text;               // "evt.arg.flags", "proc.aname[2]"
};

}  // namespace quell::detect
