#include "detect/predicate.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>
#include <re2/re2.h>

#include <algorithm>
#include <cstring>

#include "base/text.h"
#include "detect/domains.h"
#include "detect/fields/catalog.h"
#include "model/event_schema.h"

namespace quell::detect {

bool IpNet::contains(const IpAddress& other) const {
  if (other.family != address.family) return false;
  const size_t whole = bits / 8;
  if (std::memcmp(address.bytes.data(), other.bytes.data(), whole) != 0) return false;
  const uint8_t rest = bits % 8;
  if (rest == 0) return true;
  const auto mask = static_cast<uint8_t>(0xFF << (8 - rest));
  return (address.bytes[whole] & mask) == (other.bytes[whole] & mask);
}

namespace {

constexpr size_t kMaxConstant = 255;  // bytes of one constant, as in the reference

bool takes_list(Op op) { return op == Op::in || op == Op::intersects || op == Op::pmatch; }

/// The table of which operator takes which type.
bool supports(Op op, Type type, bool is_list) {
  const bool text = is_text(type);
  switch (op) {
    case Op::exists: return true;
    case Op::in:
    case Op::intersects: return true;
    case Op::eq:
    case Op::ne: return !is_list;
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge: return !is_list && (is_number(type) || text);
    case Op::contains:
    case Op::startswith:
    case Op::endswith: return !is_list && (text || type == Type::bytes);
    case Op::icontains:
    case Op::glob:
    case Op::iglob:
    case Op::regex:
    case Op::pmatch: return !is_list && text;
    case Op::bcontains:
    case Op::bstartswith: return !is_list && type == Type::bytes;
  }
  return false;
}

/// Parses one constant for `type` into the predicate. Returns the error's text, empty if fine.
std::string parse_constant(const std::string& text, Type type, Predicate& out) {
  if (text.size() > kMaxConstant)
    return fmt::format("filter parameter too long: {} bytes, at most {} are allowed", text.size(), kMaxConstant);
  if (type == Type::bytes && (out.op == Op::bcontains || out.op == Op::bstartswith)) {
    std::string bytes;
    if (text.empty() || text.size() % 2 != 0)
      return "filter error: bcontains and bstartswith operator support hex strings only";
    for (size_t i = 0; i < text.size(); i += 2) {
      uint64_t value = 0;
      if (!parse_u64(std::string_view(text).substr(i, 2), value, 16))
        return "filter error: bcontains and bstartswith operator support hex strings only";
      bytes += static_cast<char>(value);
    }
    out.texts.push_back(std::move(bytes));
    return {};
  }
  if (is_text(type) || type == Type::bytes) {
    out.texts.push_back(text);
    return {};
  }
  if (type == Type::boolean) {
    if (text != "true" && text != "false") return "filter error: unrecognized boolean value " + text;
    out.numbers.push_back(text == "true" ? 1 : 0);
    return {};
  }
  if (type == Type::ip) {
    IpAddress address;
    const bool v4 = text.find('.') != std::string::npos && text.find(':') == std::string::npos;
    address.family = v4 ? 4 : 6;
    if (inet_pton(v4 ? AF_INET : AF_INET6, text.c_str(), address.bytes.data()) != 1)
      return fmt::format("unrecognized {} address {}", v4 ? "IPv4" : "IPv6", text);
    out.addresses.push_back(address);
    return {};
  }
  if (type == Type::net) {
    const size_t slash = text.find('/');
    if (slash == std::string::npos) return "unrecognized IP network " + text;
    const std::string address = text.substr(0, slash);
    IpNet net;
    const bool v4 = address.find('.') != std::string::npos && address.find(':') == std::string::npos;
    net.address.family = v4 ? 4 : 6;
    if (inet_pton(v4 ? AF_INET : AF_INET6, address.c_str(), net.address.bytes.data()) != 1)
      return "unrecognized IP network " + text;
    uint64_t bits = 0;
    if (!parse_u64(std::string_view(text).substr(slash + 1), bits) || bits > (v4 ? 32u : 128u))
      return "invalid netmask " + text.substr(slash + 1);
    net.bits = static_cast<uint8_t>(bits);
    out.nets.push_back(net);
    return {};
  }
  if (type == Type::port) {
    uint64_t port = 0;
    if (text.empty() || parse_u64(text, port)) {
      out.numbers.push_back(port);
      return {};
    }
    const servent* service = getservbyname(text.c_str(), nullptr);
    if (service == nullptr) return "unrecognized protocol " + text;
    out.numbers.push_back(ntohs(static_cast<uint16_t>(service->s_port)));
    return {};
  }
  // Numbers: decimal or 0x hex; a negative constant for an unsigned type wraps at the type's width.
  std::string_view digits = text;
  const bool negative = !digits.empty() && digits[0] == '-';
  if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.remove_prefix(1);
  const bool is_hex = digits.starts_with("0x") || digits.starts_with("0X");
  uint64_t value = 0;
  if (!parse_u64(is_hex ? digits.substr(2) : digits, value, is_hex ? 16 : 10))
    return fmt::format("'{}' is not a number, and the field is of type {}", text, to_string(type));
  if (negative) value = 0 - value;
  switch (type) {
    case Type::uint8: value &= 0xFF; break;
    case Type::uint16: value &= 0xFFFF; break;
    case Type::uint32: value &= 0xFFFFFFFF; break;
    case Type::int16: value = static_cast<uint64_t>(int64_t{static_cast<int16_t>(value)}); break;
    case Type::int32: value = static_cast<uint64_t>(int64_t{static_cast<int32_t>(value)}); break;
    default: break;
  }
  out.numbers.push_back(value);
  return {};
}

// A pattern that uses nothing a simpler operator could not do.
bool needs_no_regex(std::string_view pattern) {
  if (pattern.starts_with(".*")) pattern.remove_prefix(2);
  if (pattern.size() >= 2 && pattern.ends_with(".*")) pattern.remove_suffix(2);
  return pattern.find_first_of(".*+?()[]{}|^$\\") == std::string_view::npos;
}

std::shared_ptr<re2::RE2> compile_regex(const std::string& pattern) {
  RE2::Options options;
  options.set_posix_syntax(true);
  options.set_longest_match(true);
  options.set_log_errors(false);
  options.set_max_mem(8 << 20);
  return std::make_shared<RE2>(pattern, options);
}

uint8_t cost_of(const Predicate& p) {
  uint8_t cost = 2;
  switch (p.op) {
    case Op::exists:
    case Op::eq:
    case Op::ne:
    case Op::lt:
    case Op::le:
    case Op::gt:
    case Op::ge: cost = 2; break;
    case Op::in:
    case Op::intersects: cost = 4; break;
    case Op::startswith:
    case Op::endswith:
    case Op::bstartswith: cost = 3; break;
    case Op::contains:
    case Op::bcontains: cost = 8; break;
    case Op::pmatch:
    case Op::icontains:
    case Op::glob:
    case Op::iglob: cost = 16; break;
    case Op::regex: cost = 60; break;
  }
  if (p.modifier != Modifier::none)
    cost = static_cast<uint8_t>(std::min<size_t>(200, cost * std::max<size_t>(1, p.texts.size())));
  if (p.left.several == Several::any_ancestor) cost = static_cast<uint8_t>(std::min(200, cost + 20));
  if (p.left.kind != CompiledOperand::Kind::field) cost = static_cast<uint8_t>(std::min(200, cost + 20));
  if (p.left.kind == CompiledOperand::Kind::field && p.left.field.spec->name.starts_with("evt.arg"))
    cost = static_cast<uint8_t>(std::min(200, cost + 15));
  return cost;
}

}  // namespace

PredicateCompilation compile_predicate(const Check& check, bool fd_net_in_first_only) {
  PredicateCompilation out;
  const auto fail = [&](std::string message, TextPos pos) {
    Finding finding;
    finding.message = std::move(message);
    finding.pos = pos;
    out.findings.push_back(std::move(finding));
    out.predicate.reset();
    return std::move(out);
  };
  const auto warn = [&](std::string message, Finding::Topic topic = Finding::Topic::condition) {
    Finding finding;
    finding.is_error = false;
    finding.topic = topic;
    finding.message = std::move(message);
    finding.pos = check.value_pos;
    out.findings.push_back(std::move(finding));
  };

  OperandCompilation left = compile_operand(check.left);
  if (!left.operand) {
    out.findings.push_back(std::move(left.finding));
    return out;
  }
  Predicate p;
  p.left = std::move(*left.operand);
  p.op = check.op;
  p.modifier = check.modifier;
  const Type type = p.left.type;
  const FieldSpec* spec = p.left.kind == CompiledOperand::Kind::field ? p.left.field.spec : nullptr;
  if (spec != nullptr && spec->name == "evt.around" && (p.op != Op::eq || p.modifier != Modifier::none))
    return fail("evt.around supports only the '=' operator", check.left.pos);
  if (spec != nullptr && (spec->flags & kOutputOnly) != 0)
    return fail(fmt::format("field '{}' can only be used in outputs", p.left.text), check.left.pos);
  p.is_domain = spec != nullptr && spec->name.starts_with("fd.") && spec->name.ends_with("ip.name");
  if (spec != nullptr && (spec->flags & kDeprecated) != 0)
    warn(fmt::format("field '{}' is deprecated", p.left.text), Finding::Topic::deprecated_item);

  if (p.is_domain ? p.op != Op::eq && p.op != Op::ne && p.op != Op::in : !supports(p.op, type, p.left.is_list))
    return fail(fmt::format("'{}' operator not supported for field '{}' of type {}", to_string(p.op), p.left.text,
                            to_string(type)),
                check.left.pos);
  if (p.modifier != Modifier::none && p.left.is_list)
    return fail(fmt::format("'{} {}' is not supported for list field '{}'", to_string(p.op), to_string(p.modifier),
                            p.left.text),
                check.left.pos);

  p.scope = p.left.scope;
  if (check.right) {
    OperandCompilation right = compile_operand(*check.right);
    if (!right.operand) {
      out.findings.push_back(std::move(right.finding));
      return out;
    }
    p.right = std::move(*right.operand);
    if (spec != nullptr && spec->name == "evt.type")
      return fail("evt.type can only be compared with constants", check.value_pos);
    if (p.op == Op::pmatch || p.op == Op::regex)
      return fail(
          fmt::format("operator '{}' doesn't support right-hand side fields", p.op == Op::pmatch ? "PMATCH" : "REGEX"),
          check.value_pos);
    if (spec != nullptr && (spec->flags & kNoRightSide) != 0)
      return fail(fmt::format("field '{}' doesn't support right-hand side fields", p.left.text), check.value_pos);
    if (p.right->kind == CompiledOperand::Kind::field && (p.right->field.spec->flags & kNoRightSide) != 0)
      return fail(fmt::format("field '{}' can't be used as a right-hand side field", p.right->text), check.value_pos);
    if (p.right->type != type || (p.right->is_list != p.left.is_list && !takes_list(p.op)) || type == Type::net)
      return fail(
          fmt::format("field '{}' has type '{}' while the right-hand side field '{}' has incompatible type '{}'",
                      p.left.text, to_string(type), p.right->text, to_string(p.right->type)),
          check.value_pos);
    p.scope = p.left.scope == Scope::event || p.right->scope == Scope::event       ? Scope::event
              : p.left.scope == Scope::lineage || p.right->scope == Scope::lineage ? Scope::lineage
                                                                                   : Scope::process;
  } else if (p.op != Op::exists) {
    std::vector<std::string> values = check.values;
    if (fd_net_in_first_only && spec != nullptr && spec->name == "fd.net" && p.op == Op::in && values.size() > 1)
      values.resize(1);
    for (const std::string& value : values) {
      std::string problem = p.is_domain ? parse_constant(value, Type::text, p) : parse_constant(value, type, p);
      if (!problem.empty()) return fail(std::move(problem), check.value_pos);
      const bool names_whole = p.op == Op::eq || p.op == Op::ne || p.op == Op::in || p.op == Op::intersects;
      if (names_whole && spec != nullptr && spec->name == "evt.type" && event_codes_named(value).empty() &&
          value != "container" && value != "container_removed") {
        Finding finding;
        finding.unknown_filter = true;
        finding.message = "unknown event type " + value;
        finding.pos = check.value_pos;
        std::vector<std::string_view> names;
        for (const EventSpec& event : kEventTable) names.push_back(event.name);
        for (const SyscallSpec& call : kSyscallTable) names.push_back(call.name);
        if (const std::string_view near = nearest(value, names); !near.empty())
          finding.suggestion = "did you mean " + std::string(near) + "?";
        out.findings.push_back(std::move(finding));
        return out;
      }
      if (p.op == Op::regex) {
        auto regex = compile_regex(value);
        if (!regex->ok()) return fail("invalid regex pattern: " + regex->error(), check.value_pos);
        p.regexes.push_back(std::move(regex));
        if (needs_no_regex(value))
          warn(
              fmt::format("regex check with '{}' may be optimized with simpler operators such as '=', 'contains', "
                          "'startswith', 'endswith'",
                          value));
      }
      if (is_text(type) && !p.is_domain && value.find('.') != std::string::npos && is_field_text(value))
        warn(fmt::format("'{}' may be a valid field misused as a const string value", value));
      if (is_text(type)) {
        const size_t open = value.find('(');
        if (open != std::string::npos && value.back() == ')' && is_transformer(value.substr(0, open)))
          warn(fmt::format("'{}' may be a valid field transformer misused as a const string value", value));
      }
    }
    if (type == Type::boolean && !p.numbers.empty()) p.boolean = p.numbers[0] != 0;
    std::sort(p.numbers.begin(), p.numbers.end());
    if (p.op == Op::pmatch)
      for (const std::string& text : p.texts) p.prefixes.insert(text);
    const bool by_equality =
        p.op == Op::in || p.op == Op::intersects || (p.op == Op::eq && p.modifier == Modifier::anyof);
    if (by_equality && !p.is_domain && (is_text(type) || type == Type::bytes))
      for (const std::string& text : p.texts) p.set.insert(text);
  }
  p.cost = cost_of(p);
  const bool is_order = p.op >= Op::eq && p.op <= Op::ge;
  p.is_plain = spec != nullptr && !p.right && p.modifier == Modifier::none && !p.is_domain &&
               p.left.several == Several::no && spec->name != "evt.around" &&
               ((is_order && p.numbers.size() == 1) || (p.op == Op::eq && p.texts.size() == 1));

  Expr printed;
  printed.kind = Expr::Kind::check;
  printed.check = check;
  p.text = printed.str();
  out.predicate = std::move(p);
  return out;
}

namespace {

// One text constant against one text.
bool text_holds(Op op, std::string_view text, std::string_view constant, const re2::RE2* regex) {
  switch (op) {
    case Op::eq: return text == constant;
    case Op::ne: return text != constant;
    case Op::lt: return text < constant;
    case Op::le: return text <= constant;
    case Op::gt: return text > constant;
    case Op::ge: return text >= constant;
    case Op::contains:
    case Op::bcontains:
      return constant.empty() || memmem(text.data(), text.size(), constant.data(), constant.size()) != nullptr;
    case Op::icontains: return contains_ignoring_case(text, constant);
    case Op::startswith:
    case Op::bstartswith: return text.starts_with(constant);
    case Op::endswith: return text.ends_with(constant);
    case Op::glob: return glob_match(constant, text, false);
    case Op::iglob: return glob_match(constant, text, true);
    case Op::regex: return regex != nullptr && RE2::FullMatch(re2::StringPiece(text.data(), text.size()), *regex);
    default: return false;
  }
}

bool text_value_holds(const Predicate& p, std::string_view text) {
  if (p.op == Op::in || p.op == Op::intersects) return p.set.contains(text);
  if (p.op == Op::pmatch) return p.prefixes.covers(text);
  std::string clean;
  if (p.op == Op::regex) {
    clean = to_valid_utf8(text);
    text = clean;
  }
  const auto one = [&](size_t i) {
    return text_holds(p.op, text, p.texts[i], p.regexes.empty() ? nullptr : p.regexes[i].get());
  };
  if (p.modifier == Modifier::none) return !p.texts.empty() && one(0);
  size_t matching = 0;
  for (size_t i = 0; i < p.texts.size(); ++i) matching += one(i) ? 1 : 0;
  switch (p.modifier) {
    case Modifier::oneof: return matching == 1;
    case Modifier::anyof: return matching > 0;
    default: return !p.texts.empty() && matching == p.texts.size();
  }
}

template <typename Number>
bool number_holds(const Predicate& p, Number value, Number constant) {
  switch (p.op) {
    case Op::eq: return value == constant;
    case Op::ne: return value != constant;
    case Op::lt: return value < constant;
    case Op::le: return value <= constant;
    case Op::gt: return value > constant;
    case Op::ge: return value >= constant;
    default: return false;
  }
}

// How many of `count` constants hold, for numbers, addresses and networks.
template <typename Holds>
bool by_modifier(const Predicate& p, size_t count, Holds&& one) {
  if (p.op == Op::in || p.op == Op::intersects) {
    for (size_t i = 0; i < count; ++i)
      if (one(i)) return true;
    return false;
  }
  if (p.modifier == Modifier::none) return count > 0 && one(0);
  size_t matching = 0;
  for (size_t i = 0; i < count; ++i) matching += one(i) ? 1 : 0;
  switch (p.modifier) {
    case Modifier::oneof: return matching == 1;
    case Modifier::anyof: return matching > 0;
    default: return count > 0 && matching == count;
  }
}

bool scalar_holds(const Predicate& p, const Value& value, const DomainTable* domains) {
  switch (value.kind) {
    case Value::Kind::absent:
    case Value::Kind::list: return false;
    case Value::Kind::text:
    case Value::Kind::bytes: return text_value_holds(p, value.str());
    case Value::Kind::boolean:
      if (p.op == Op::in || p.op == Op::intersects)
        return std::find(p.numbers.begin(), p.numbers.end(), value.b ? 1u : 0u) != p.numbers.end();
      return by_modifier(p, p.numbers.size(),
                         [&](size_t i) { return (value.b == (p.numbers[i] != 0)) == (p.op == Op::eq); });
    case Value::Kind::real:
      return by_modifier(p, p.numbers.size(), [&](size_t i) {
        return number_holds<double>(p, value.d, static_cast<double>(static_cast<int64_t>(p.numbers[i])));
      });
    case Value::Kind::integer:
      if (p.op == Op::in || p.op == Op::intersects)
        return std::binary_search(p.numbers.begin(), p.numbers.end(), static_cast<uint64_t>(value.i));
      return by_modifier(p, p.numbers.size(), [&](size_t i) {
        return number_holds<int64_t>(p, value.i, static_cast<int64_t>(p.numbers[i]));
      });
    case Value::Kind::unsigned_:
      if (p.op == Op::in || p.op == Op::intersects)
        return std::binary_search(p.numbers.begin(), p.numbers.end(), value.u);
      // evt.around compares a distance with the allowed one.
      if (p.left.kind == CompiledOperand::Kind::field && p.left.field.spec->name == "evt.around")
        return p.op == Op::eq && !p.numbers.empty() && value.u <= p.numbers[0];
      return by_modifier(p, p.numbers.size(),
                         [&](size_t i) { return number_holds<uint64_t>(p, value.u, p.numbers[i]); });
    case Value::Kind::ip: {
      const bool wanted = p.op != Op::ne;
      if (p.is_domain)
        return by_modifier(p, p.texts.size(), [&](size_t i) {
          return (domains != nullptr && domains->resolves_to(p.texts[i], *value.address)) == wanted;
        });
      if (p.left.type == Type::net)
        return by_modifier(p, p.nets.size(), [&](size_t i) { return p.nets[i].contains(*value.address) == wanted; });
      return by_modifier(p, p.addresses.size(), [&](size_t i) { return (p.addresses[i] == *value.address) == wanted; });
    }
  }
  return false;
}

}  // namespace

bool value_satisfies(const Predicate& predicate, const Value& value, const DomainTable* domains) {
  return scalar_holds(predicate, value, domains);
}

namespace {

bool values_equal(const Value& a, const Value& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Value::Kind::text:
    case Value::Kind::bytes: return a.str() == b.str();
    case Value::Kind::boolean: return a.b == b.b;
    case Value::Kind::integer: return a.i == b.i;
    case Value::Kind::unsigned_: return a.u == b.u;
    case Value::Kind::real: return a.d == b.d;
    case Value::Kind::ip: return *a.address == *b.address;
    default: return false;
  }
}

// A field on both sides.
bool pair_holds(const Predicate& p, const Value& left, const Value& right) {
  if (left.is_absent() || right.is_absent()) return false;
  if (p.op == Op::in || p.op == Op::intersects) {
    const auto member = [&](const Value& one) {
      if (right.kind != Value::Kind::list) return values_equal(one, right);
      return std::any_of(right.items, right.items + right.size, [&](const Value& r) { return values_equal(one, r); });
    };
    if (left.kind != Value::Kind::list) return member(left);
    if (p.op == Op::in) return std::all_of(left.items, left.items + left.size, member);
    return std::any_of(left.items, left.items + left.size, member);
  }
  if (left.kind != right.kind) return p.op == Op::ne;
  switch (left.kind) {
    case Value::Kind::text:
    case Value::Kind::bytes: return text_holds(p.op, left.str(), right.str(), nullptr);
    case Value::Kind::integer: return number_holds<int64_t>(p, left.i, right.i);
    case Value::Kind::unsigned_: return number_holds<uint64_t>(p, left.u, right.u);
    case Value::Kind::real: return number_holds<double>(p, left.d, right.d);
    default: return p.op == Op::eq ? values_equal(left, right) : p.op == Op::ne && !values_equal(left, right);
  }
}

}  // namespace

bool holds(const Predicate& p, const Extract& x, FieldMemo* memo, const DomainTable* domains) {
  if (p.is_plain && memo != nullptr) {
    const Value& value = memo->get(x, p.left);
    switch (value.kind) {
      case Value::Kind::absent: return false;
      case Value::Kind::integer:
        if (p.numbers.empty()) break;
        return number_holds<int64_t>(p, value.i, static_cast<int64_t>(p.numbers[0]));
      case Value::Kind::unsigned_:
        if (p.numbers.empty()) break;
        return number_holds<uint64_t>(p, value.u, p.numbers[0]);
      case Value::Kind::text:
        if (p.texts.empty()) break;
        return value.str() == p.texts[0];
      default: break;
    }
    return present_value_holds(p, value, domains);
  }
  const Value left = evaluate(p.left, x, memo);
  if (left.is_absent()) return false;
  if (p.right) return pair_holds(p, left, evaluate(*p.right, x, memo));
  return present_value_holds(p, left, domains);
}

bool present_value_holds(const Predicate& p, const Value& left, const DomainTable* domains) {
  if (p.op == Op::exists) return true;
  if (left.kind != Value::Kind::list) return scalar_holds(p, left, domains);

  const auto one = [&](const Value& value) { return scalar_holds(p, value, domains); };
  switch (p.left.several) {
    case Several::either_end:
      // An end that is not there (a listening socket has one) neither satisfies nor spoils; what is no connection at
      // all satisfies nothing.
      if (p.op == Op::ne)
        return left.size > 0 &&
               std::all_of(left.items, left.items + left.size, [&](const Value& v) { return v.is_absent() || one(v); });
      return std::any_of(left.items, left.items + left.size, one);
    case Several::any_ancestor: return std::any_of(left.items, left.items + left.size, one);
    case Several::no: break;
  }
  if (p.op == Op::in) return std::all_of(left.items, left.items + left.size, one);
  return std::any_of(left.items, left.items + left.size, one);
}

}  // namespace quell::detect
