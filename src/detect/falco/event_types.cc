#include "detect/falco/event_types.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace quell::detect::falco {
namespace {

constexpr std::array<std::string_view, 2> kAsyncEvents{"container", "container_removed"};

bool is_event_type(const Operand& operand) {
  return operand.kind == Operand::Kind::field && !operand.arg &&
         (operand.name == "evt.type" || operand.name == "syscall.type");
}

bool holds_event_type(const Operand& operand) {
  return is_event_type(operand) || std::any_of(operand.args.begin(), operand.args.end(), holds_event_type);
}

EventSet everything() { return EventSet().set(); }

EventSet events_named(const std::vector<std::string>& names) {
  EventSet set;
  for (const std::string& name : names) {
    for (const EventCode code : event_codes_named(name)) set.set(code);
    if (is_async_event_name(name)) set.set(ev::ASYNCEVENT_E);
  }
  return set;
}

// What can be said of a check without an event.
enum class Truth { possible, never, always };

// evt.num counts from 1 and is unsigned: a negative constant wraps.
std::optional<uint64_t> event_number(std::string_view text) {
  uint64_t number = 0;
  if (text.starts_with("0x") ? parse_u64(text.substr(2), number, 16) : parse_u64(text, number)) return number;
  int64_t negative = 0;
  if (parse_i64(text, negative)) return static_cast<uint64_t>(negative);
  return {};
}

Truth truth_of_event_number(const Check& check) {
  if (check.right || check.modifier != Modifier::none || check.value_is_identifier) return Truth::possible;
  if (check.op == Op::in || check.op == Op::intersects) {
    const bool none = std::all_of(check.values.begin(), check.values.end(),
                                  [](const std::string& value) { return event_number(value) == 0; });
    return none ? Truth::never : Truth::possible;
  }
  if (check.values.empty()) return Truth::possible;
  const auto number = event_number(check.values.front());
  if (!number) return Truth::possible;
  switch (check.op) {
    case Op::eq: return *number == 0 ? Truth::never : Truth::possible;
    case Op::ne: return *number == 0 ? Truth::always : Truth::possible;
    case Op::lt: return *number <= 1 ? Truth::never : Truth::possible;
    case Op::le: return *number == 0 ? Truth::never : Truth::possible;
    case Op::gt: return *number == 0 ? Truth::always : Truth::possible;
    case Op::ge: return *number <= 1 ? Truth::always : Truth::possible;
    default: return Truth::possible;
  }
}

class Analysis {
 public:
  explicit Analysis(std::vector<EventTypeError>& errors) : errors_(errors) {}

  EventSet events(const Expr& expr, bool negated) {
    switch (expr.kind) {
      case Expr::Kind::negation: return events(*expr.children.front(), !negated);
      case Expr::Kind::check: return events(expr.check, negated);
      case Expr::Kind::macro: return everything();
      case Expr::Kind::all:
      case Expr::Kind::any: break;
    }
    const bool meets = (expr.kind == Expr::Kind::all) != negated;
    EventSet set = meets ? everything() : EventSet();
    for (const ExprPtr& child : expr.children) {
      if (meets) {
        set &= events(*child, negated);
      } else {
        set |= events(*child, negated);
      }
    }
    return set;
  }

 private:
  EventSet events(const Check& check, bool negated) {
    if (check.left.kind == Operand::Kind::transformer) {
      if (holds_event_type(check.left))
        errors_.push_back({"transformers are not supported on evt.type", check.left.pos});
      return everything();
    }
    if (check.left.name == "evt.num" && !check.left.arg) {
      const Truth truth = truth_of_event_number(check);
      if (truth == Truth::possible) return everything();
      return (truth == Truth::always) != negated ? everything() : EventSet();
    }
    if (!is_event_type(check.left)) return everything();
    if (check.right) {
      errors_.push_back(
          {check.left.name + " cannot be compared with a field: the event types of a rule must be known when it loads",
           check.right->pos});
      return everything();
    }
    EventSet set;
    if (check.op == Op::exists) {
      set = everything();
    } else if (check.modifier != Modifier::none) {
      if (check.op != Op::eq || check.modifier != Modifier::anyof) return everything();
      set = events_named(check.values);
    } else if (check.op == Op::eq || check.op == Op::in) {
      set = events_named(check.values);
    } else if (check.op == Op::ne) {
      set = ~events_named(check.values);
    } else {
      return everything();
    }
    return negated ? ~set : set;
  }

  std::vector<EventTypeError>& errors_;
};

}  // namespace

bool is_async_event_name(std::string_view name) {
  return std::find(kAsyncEvents.begin(), kAsyncEvents.end(), name) != kAsyncEvents.end();
}

EventSet possible_events(const Expr& condition, std::vector<EventTypeError>& errors) {
  return Analysis(errors).events(condition, false);
}

}  // namespace quell::detect::falco
