#include "detect/interest.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "detect/name_prefixes.h"

namespace quell::detect {
namespace {

constexpr size_t kUnrestricted = 100;  // event codes of a rule that names no type
constexpr Need kEver{}, kNever{0, 0}, kSuccess{Need::kAlways, 0}, kFailure{0, Need::kAlways};

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

// When a condition can be true: under `any_name` whatever the file names of the event; under `some_names` if one of
// them begins with one of the prefixes, or cannot be compared.
struct Wish {
  Need any_name{0, 0}, some_names{0, 0};
  std::vector<std::string> prefixes;
  Need total() const { return either(any_name, some_names); }
};

Wish either(Wish a, const Wish& b) {
  a.any_name = either(a.any_name, b.any_name);
  a.some_names = either(a.some_names, b.some_names);
  a.prefixes.insert(a.prefixes.end(), b.prefixes.begin(), b.prefixes.end());
  return a;
}

// Of two sets of which either would do, the one whose shortest prefix is longer; none at all is narrowest.
const std::vector<std::string>& narrower(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto shortest = [](const std::vector<std::string>& prefixes) {
    size_t length = SIZE_MAX;
    for (const std::string& prefix : prefixes) length = std::min(length, prefix.size());
    return length;
  };
  return shortest(b) > shortest(a) ? b : a;
}

Wish both(const Wish& a, const Wish& b) {
  Wish out;
  out.any_name = both(a.any_name, b.any_name);
  if (a.some_names == kNever && b.some_names == kNever) return out;
  // One of the two asks for names then; what it asks for besides is in both.
  out.some_names = both(a.total(), b.total());
  if (a.any_name == kNever && b.any_name == kNever) {
    out.prefixes = narrower(a.prefixes, b.prefixes);
  } else if (a.any_name == kNever) {
    out.prefixes = a.prefixes;
  } else if (b.any_name == kNever) {
    out.prefixes = b.prefixes;
  } else {
    out.prefixes = a.prefixes;
    out.prefixes.insert(out.prefixes.end(), b.prefixes.begin(), b.prefixes.end());
  }
  return out;
}

// Is it about events of another type? Only asked where names may decide: so that a rule's part about one type does not
// hide what its part about another says of names.
bool is_about_others(const Check& check, EventCode code, bool negated) {
  const bool by_type = check.left.kind == Operand::Kind::field && !check.left.arg && check.left.name == "evt.type";
  if (!by_type || negated || check.right || check.modifier != Modifier::none || check.value_is_identifier) return false;
  if ((check.op != Op::eq && check.op != Op::in) || !has_file_names(code)) return false;
  return std::find(check.values.begin(), check.values.end(), event_spec(code).name) == check.values.end();
}

Wish wish_of_check(const Check& check, EventCode code, bool negated) {
  if (is_about_others(check, code, negated)) return {};
  if (!negated) {
    if (auto prefixes = name_prefixes(check, code)) return {kNever, kEver, std::move(*prefixes)};
  }
  return {need_of_check(check, code, negated), kNever, {}};
}

Wish wish_of(const Expr& expr, EventCode code, bool negated) {
  switch (expr.kind) {
    case Expr::Kind::check: return wish_of_check(expr.check, code, negated);
    case Expr::Kind::negation: return wish_of(*expr.children.front(), code, !negated);
    case Expr::Kind::macro: return {kEver, kNever, {}};
    case Expr::Kind::all:
    case Expr::Kind::any: break;
  }
  const bool joins = (expr.kind == Expr::Kind::any) != negated;
  Wish out = wish_of(*expr.children.front(), code, negated);
  for (size_t i = 1; i < expr.children.size(); ++i) {
    const Wish next = wish_of(*expr.children[i], code, negated);
    out = joins ? either(std::move(out), next) : both(out, next);
  }
  return out;
}

NameTest name_test_of(Wish wish) {
  if (wish.some_names == kNever || wish.any_name == wish.total()) return {};
  auto prefixes = fewer_prefixes(std::move(wish.prefixes));
  if (!prefixes) return {};
  return {wish.any_name, std::move(*prefixes)};
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
constexpr std::string_view kOfDescriptor[] = {"fd.", "evt.arg", "evt.info", "evt.plugininfo"};
constexpr std::string_view kOfPath[] = {"fs.path"};
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

bool has_descriptor(EventCode code) {
  const EventSpec& spec = event_spec(code);
  return spec.has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd) ||
         std::any_of(spec.params.begin(), spec.params.end(), [](const ParamSpec& param) {
           return param.type == ParamType::fd || param.type == ParamType::fd32 || param.type == ParamType::fdlist;
         });
}

// An open tells of its file itself. The paths of successful calls on names begin at directories, which are known.
bool needs_plain_files(const Rule& rule) {
  if (rule_names_any(rule, kOfTable)) return true;
  bool has_descriptors = false, has_paths_of_descriptors = false;
  for (const EventCode code : rule.event_codes) {
    if (!is_live(code) || opens_file(code) || !has_descriptor(code)) continue;
    has_descriptors = true;
    if (!has_file_names(code)) has_paths_of_descriptors = true;
  }
  return (has_descriptors && rule_names_any(rule, kOfDescriptor)) ||
         (has_paths_of_descriptors && rule_names_any(rule, kOfPath));
}

}  // namespace

Need need_of(const Expr& condition, EventCode code) { return wish_of(condition, code, false).total(); }

Interest interest_of(const RuleSet& rules, std::vector<bool> codes) {
  Interest interest(std::move(codes));
  interest.needs.assign(kEventCodeCount, kNever);
  std::vector<Wish> wishes(kEventCodeCount);
  interest.plain_files_matter = false;
  std::set<std::string> names;
  bool any_generic = false;
  for (const Rule& rule : rules.rules) {
    if (!rule.enabled || rule.condition == nullptr || rule.source != "syscall") continue;
    if (needs_plain_files(rule)) interest.plain_files_matter = true;
    for (const EventCode code : rule.event_codes) {
      wishes[code] = either(std::move(wishes[code]), wish_of(*rule.condition, code, false));
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
  interest.names.resize(kEventCodeCount);
  for (size_t code = 0; code < kEventCodeCount; ++code) {
    interest.needs[code] = wishes[code].total();
    interest.names[code] = name_test_of(std::move(wishes[code]));
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
