#include "detect/code_facts.h"

#include <algorithm>

namespace quell::detect {
namespace {

/// Parameter of the open family that carries its flags, so that evt.is_open_* can be something else than false.
bool has_open_flags(EventCode code) {
  return code == ev::SYSCALL_OPEN_X || code == ev::SYSCALL_OPENAT_2_X || code == ev::SYSCALL_OPENAT2_X ||
         code == ev::SYSCALL_OPEN_BY_HANDLE_AT_X || code == ev::SYSCALL_CREAT_X;
}

// A generic event is a system call without an event of its own, an async event one of ours: true if no constant of
// the comparison can be its name. Without this every rule would ask for every call that nobody decodes.
bool names_none_of(const Predicate& p, EventCode code) {
  return std::none_of(p.texts.begin(), p.texts.end(), [&](const std::string& name) {
    if (code == ev::ASYNCEVENT_E) return name == "container" || name == "container_removed";
    const auto codes = event_codes_named(name);
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  });
}

bool is_result(std::string_view field) { return field == "evt.rawres" || field == "evt.res" || field == "evt.failed"; }
bool is_parameter(std::string_view field) { return field == "evt.arg" || field == "evt.rawarg"; }

}  // namespace

bool asks_code(const Predicate& p) {
  if (p.left.kind != CompiledOperand::Kind::field || p.right) return false;
  const FieldSpec& field = *p.left.field.spec;
  return field.name == "evt.type" || field.name == "syscall.type" || field.name == "evt.dir" ||
         field.name.starts_with("evt.is_open_") || is_parameter(field.name) || is_result(field.name) ||
         (field.flags & kNeedsFdClass) != 0;
}

std::optional<bool> decided_by_code(const Predicate& p, EventCode code) {
  if (!asks_code(p)) return {};
  const EventSpec& event = event_spec(code);
  const FieldSpec& field = *p.left.field.spec;
  const bool generic = code == ev::GENERIC_E || code == ev::GENERIC_X || code == ev::ASYNCEVENT_E;
  const auto constant = [&](const Value& value) -> std::optional<bool> {
    return p.op == Op::exists || value_satisfies(p, value);
  };
  if (field.name == "evt.type" && p.op == Op::exists) return true;
  if (field.name == "evt.type" && !generic) return constant(Value::text(event.name));
  if (field.name == "evt.type" && p.modifier == Modifier::none && names_none_of(p, code)) {
    if (p.op == Op::eq || p.op == Op::in || p.op == Op::intersects) return false;
    if (p.op == Op::ne) return true;
  }
  if (field.name == "syscall.type") {
    if (event.source != EventClass::syscall) return false;
    if (!generic) return constant(Value::text(event.name));
  }
  if (field.name == "evt.dir") return constant(Value::text(event.dir == EventDir::enter ? ">" : "<"));
  if (field.name.starts_with("evt.is_open_") && !has_open_flags(code)) return constant(Value::boolean(false));
  if (is_parameter(field.name) && p.left.field.arg.index < 0 && p.left.field.arg.param_of[code] < 0) return false;
  if ((field.flags & kNeedsFdClass) != 0 && !event.has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd)) return false;
  if (is_result(field.name) && !event.has_return_value()) return false;
  return {};
}

}  // namespace quell::detect
