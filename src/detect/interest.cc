#include "detect/interest.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace quell::detect {
namespace {

constexpr size_t kUnrestricted = 100;  // event codes of a rule that names no type
constexpr Need kEver{}, kSuccess{Need::kAlways, 0}, kFailure{0, Need::kAlways};

Need either(Need a, Need b) { return {a.on_success | b.on_success, a.on_failure | b.on_failure}; }

// Both masks must hold. A mask cannot say so; the narrower of the two lets through more than that, never less.
uint32_t both(uint32_t a, uint32_t b) {
  if (a == 0 || b == 0) return 0;
  return std::popcount(a) <= std::popcount(b) ? a : b;
}
Need both(Need a, Need b) { return {both(a.on_success, b.on_success), both(a.on_failure, b.on_failure)}; }

// The bits of the portable flags that the fields evt.is_open_* look at.
struct FlagField {
  std::string_view field;
  uint32_t mask;
};
constexpr FlagField kFlagFields[] = {
    {"evt.is_open_read", 0x1},
    {"evt.is_open_write", 0x2},
    {"evt.is_open_exec", 0x4 | 0x2000},
    {"evt.is_open_create", 0x4000 | 0x2000},
};

bool has_result(EventCode code) {
  const EventSpec& spec = event_spec(code);
  return !spec.params.empty() &&
         (spec.params[0].name == "res" || (spec.has(kEvCreatesFd) && spec.params[0].name == "fd"));
}

std::optional<int64_t> number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return {};
  return value;
}

Op opposite(Op op) {
  switch (op) {
    case Op::eq: return Op::ne;
    case Op::ne: return Op::eq;
    case Op::lt: return Op::ge;
    case Op::ge: return Op::lt;
    case Op::le: return Op::gt;
    case Op::gt: return Op::le;
    default: return Op::exists;  // nothing that is understood
  }
}

Need by_sign(Op op, int64_t value) {
  switch (op) {
    case Op::eq: return value >= 0 ? kSuccess : kFailure;
    case Op::ge: return value >= 0 ? kSuccess : kEver;
    case Op::gt: return value >= -1 ? kSuccess : kEver;
    case Op::lt: return value <= 0 ? kFailure : kEver;
    case Op::le: return value <= -1 ? kFailure : kEver;
    default: return kEver;
  }
}

Need need_of_check(const Check& check, EventCode code, bool negated) {
  const std::string& field = check.left.name;
  if (check.left.kind != Operand::Kind::field || check.left.arg || check.right || check.modifier != Modifier::none ||
      check.values.size() != 1 || !has_result(code)) {
    return kEver;
  }
  const std::string& value = check.values.front();
  const Op op = negated ? opposite(check.op) : check.op;
  if (op != Op::eq && op != Op::ne && op != Op::lt && op != Op::le && op != Op::gt && op != Op::ge) return kEver;

  // A comparison with an absent value is false and its negation true; a result is always there, a descriptor may not
  // be.
  if (field == "evt.rawres" || (field == "fd.num" && event_spec(code).has(kEvCreatesFd) && !negated)) {
    const auto parsed = number(value);
    return parsed ? by_sign(op, *parsed) : kEver;
  }
  if (op != Op::eq && op != Op::ne) return kEver;
  if (field == "evt.res") {
    if (value != "SUCCESS") return op == Op::eq ? kFailure : kEver;
    return op == Op::eq ? kSuccess : kFailure;
  }
  if (value != "true" && value != "false") return kEver;
  const bool wanted = (value == "true") == (op == Op::eq);
  if (field == "evt.failed") return wanted ? kFailure : kSuccess;
  if (opens_file(code) && code != ev::SYSCALL_CREAT_X && wanted) {
    for (const FlagField& flags : kFlagFields) {
      if (flags.field == field) return {flags.mask, flags.mask};
    }
  }
  return kEver;
}

Need need_of(const Expr& expr, EventCode code, bool negated) {
  switch (expr.kind) {
    case Expr::Kind::check: return need_of_check(expr.check, code, negated);
    case Expr::Kind::negation: return need_of(*expr.children.front(), code, !negated);
    case Expr::Kind::macro: return kEver;
    case Expr::Kind::all:
    case Expr::Kind::any: break;
  }
  const bool joins = (expr.kind == Expr::Kind::any) != negated;
  Need out = need_of(*expr.children.front(), code, negated);
  for (size_t i = 1; i < expr.children.size(); ++i) {
    const Need next = need_of(*expr.children[i], code, negated);
    out = joins ? either(out, next) : both(out, next);
  }
  return out;
}

// The names of calls for which a condition can be true; nothing: any.
using Names = std::optional<std::set<std::string>>;

Names call_names(const Expr& expr) {
  if (expr.kind == Expr::Kind::check) {
    const Check& check = expr.check;
    const bool by_name = check.left.kind == Operand::Kind::field && !check.left.arg &&
                         (check.left.name == "evt.type" || check.left.name == "syscall.type");
    if (!by_name || check.right || (check.op != Op::eq && check.op != Op::in)) return {};
    return std::set<std::string>(check.values.begin(), check.values.end());
  }
  if (expr.kind == Expr::Kind::all) {
    Names out;
    for (const ExprPtr& child : expr.children) {
      Names next = call_names(*child);
      if (!next) continue;
      if (!out || next->size() < out->size()) out = std::move(next);
    }
    return out;
  }
  if (expr.kind == Expr::Kind::any) {
    std::set<std::string> out;
    for (const ExprPtr& child : expr.children) {
      Names next = call_names(*child);
      if (!next) return {};
      out.merge(*next);
    }
    return out;
  }
  return {};
}

// Fields that look into the table of descriptors: that of the event, or all of a process.
constexpr std::string_view kOfDescriptor[] = {"fd.", "evt.arg", "evt.info", "evt.plugininfo", "fs.path"};
constexpr std::string_view kOfTable[] = {"fd.types", "fdlist", "proc.std", "proc.fd", "thread.fd"};

bool names_any(std::string_view field, std::span<const std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return field.starts_with(prefix); });
}

bool operand_names_any(const Operand& operand, std::span<const std::string_view> prefixes) {
  if (operand.kind == Operand::Kind::field && names_any(operand.name, prefixes)) return true;
  return std::any_of(operand.args.begin(), operand.args.end(),
                     [&](const Operand& part) { return operand_names_any(part, prefixes); });
}

bool condition_names_any(const Expr& expr, std::span<const std::string_view> prefixes) {
  if (expr.kind == Expr::Kind::check) {
    return operand_names_any(expr.check.left, prefixes) ||
           (expr.check.right && operand_names_any(*expr.check.right, prefixes));
  }
  return std::any_of(expr.children.begin(), expr.children.end(),
                     [&](const ExprPtr& child) { return condition_names_any(*child, prefixes); });
}

// Wherever the field stands in the template; a word that merely looks like it does no harm.
bool output_names_any(std::string_view output, std::span<const std::string_view> prefixes) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](std::string_view prefix) { return output.find(prefix) != std::string_view::npos; });
}

// Can a sensor write it? Calls are told when they return, in the newest version of their event. (Events of our own
// making have no descriptor.)
bool is_live(EventCode code) {
  const EventSpec& spec = event_spec(code);
  if (spec.has(kEvOldVersion)) return false;
  return spec.source == EventClass::tracepoint || (spec.source == EventClass::syscall && spec.dir == EventDir::exit);
}

// In the condition, or in anything that goes out with a detection.
bool rule_names_any(const Rule& rule, std::span<const std::string_view> prefixes) {
  return condition_names_any(*rule.condition, prefixes) || output_names_any(rule.output, prefixes) ||
         std::any_of(rule.extra_fields.begin(), rule.extra_fields.end(),
                     [&](const ExtraField& extra) { return output_names_any(extra.text, prefixes); }) ||
         std::any_of(rule.fold.by.begin(), rule.fold.by.end(),
                     [&](const std::string& field) { return names_any(field, prefixes); });
}

bool needs_plain_files(const Rule& rule) {
  if (rule_names_any(rule, kOfTable)) return true;
  const bool beyond_opens = std::any_of(rule.event_codes.begin(), rule.event_codes.end(),
                                        [](EventCode code) { return is_live(code) && !opens_file(code); });
  return beyond_opens && rule_names_any(rule, kOfDescriptor);
}

}  // namespace

Need need_of(const Expr& condition, EventCode code) { return need_of(condition, code, false); }

Interest interest_of(const RuleSet& rules, std::vector<bool> codes) {
  Interest interest(std::move(codes));
  interest.needs.assign(kEventCodeCount, Need{0, 0});
  interest.plain_files_matter = false;
  std::set<std::string> names;
  bool any_generic = false;
  for (const Rule& rule : rules.rules) {
    if (!rule.enabled || rule.condition == nullptr || rule.source != "syscall") continue;
    if (needs_plain_files(rule)) interest.plain_files_matter = true;
    for (const EventCode code : rule.event_codes) {
      interest.needs[code] = either(interest.needs[code], need_of(*rule.condition, code));
      // A rule without an event type sees what is there; it asks for nothing.
      if (code != ev::GENERIC_X || rule.event_codes.size() > kUnrestricted) continue;
      Names asked = call_names(*rule.condition);
      if (asked) {
        names.merge(*asked);
      } else {
        any_generic = true;
      }
    }
  }
  if (!any_generic) {
    for (const SyscallSpec& call : kSyscallTable) {
      if (call.code >= interest.generic_calls.size()) interest.generic_calls.resize(call.code + size_t{1});
      interest.generic_calls[call.code] = names.contains(std::string(call.name));
    }
  }
  return interest;
}

}  // namespace quell::detect
