#pragma once
// One row describes one field: name, type, meaning, where its value comes from. The row is all there is: type checks,
// `quell rule fields`, the documentation and completion read it.
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "detect/fields/memory.h"
#include "detect/semantics.h"
#include "detect/value.h"
#include "model/event_schema.h"
#include "model/state_view.h"

namespace re2 {
class RE2;
}

namespace quell::detect {

class DomainTable;

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
  kDotArgument = 64,   // the argument may also follow a dot: evt.arg.flags
  kSuggested = 128,    // worth adding to every output
};

/// A field's argument, decoded once when a rule loads.
struct FieldArg {
  std::string text;
  int64_t index = -1;
  bool given = false;
  /// evt.arg, evt.rawarg: which parameter of each event type is meant; -1 where there is none.
  std::array<int8_t, kEventCodeCount> param_of{};
  /// container.mount*[PATTERN]: the pattern; null for a number, and for a text that is no pattern.
  std::shared_ptr<const re2::RE2> pattern;
};

/// What extraction may use. The context's pointers outlive the event's evaluation; the arena's memory does not.
struct Extract {
  const EventContext& context;
  Arena& arena;
  FieldMemory* memory = nullptr;         // null: every event is the first that is looked at
  const DomainTable* domains = nullptr;  // for the names of addresses in outputs; null: none is known
  bool buffers_as_base64 = false;        // in outputs
  const Event& event() const { return *context.event; }
  const Thread* thread() const { return context.thread; }
};

struct FieldRef;

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
  /// For output_fields, where times are numbers. Null: same as print.
  Value (*json)(const Extract&, const FieldArg&) = nullptr;
  /// Checks the argument when a rule loads and decodes it into the reference; a finding if it will not do. Null: any
  /// text will.
  std::optional<Finding> (*bind)(FieldRef&) = nullptr;
  std::string_view doc;
  std::string_view example;  // a condition; of a field for outputs only, a piece of an output
  /// Which events give it a value, where that is not what its class says.
  std::string_view events = {};
};

/// Fields of one kind. The order of classes and rows is that in which names are looked up.
struct FieldClass {
  std::string_view name;    // "fd"
  std::string_view title;   // "Descriptors"
  std::string_view events;  // which events give its fields a value
  std::span<const FieldSpec> rows;
};
FieldClass evt_fields();
FieldClass proc_fields();
FieldClass user_fields();
FieldClass fd_fields();
FieldClass fd_list_fields();
FieldClass fs_path_fields();
FieldClass util_fields();
FieldClass container_fields();
FieldClass k8s_fields();

/// A field with its argument, as a rule names it.
struct FieldRef {
  const FieldSpec* spec = nullptr;
  FieldArg arg;
  Type type = Type::text;         // spec->type, but for evt.rawarg the parameter's
  Several several = Several::no;  // spec->several unless an index picks one
  std::string text;               // "evt.arg.flags", "proc.aname[2]"
};

}  // namespace quell::detect
