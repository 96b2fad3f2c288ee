#include "naive.h"

#include <arpa/inet.h>
#include <fnmatch.h>
#include <netdb.h>
#include <re2/re2.h>
#include <strings.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>

#include "base/text.h"
#include "detect/operand.h"

namespace quell::detect {
namespace {

// A constant in the form of the value it is compared with.
std::string unhex(const std::string& text) {
  std::string out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) out += static_cast<char>(std::stoi(text.substr(i, 2), nullptr, 16));
  return out;
}

std::vector<std::string> components(const std::string& path) {
  std::vector<std::string> out;
  for (const auto part : split(path, '/'))
    if (!part.empty()) out.emplace_back(part);
  return out;
}

bool pmatch(const std::string& path, const std::string& prefix) {
  const auto have = components(path);
  const auto want = components(prefix);
  if (want.size() > have.size()) return false;
  for (size_t i = 0; i < want.size(); ++i)
    if (fnmatch(want[i].c_str(), have[i].c_str(), 0) != 0) return false;
  return true;
}

bool text_matches(Op op, const std::string& text, const std::string& constant) {
  switch (op) {
    case Op::eq:
    case Op::in:
    case Op::intersects: return text == constant;
    case Op::ne: return text != constant;
    case Op::contains: return text.find(constant) != std::string::npos;
    case Op::icontains: return constant.empty() || strcasestr(text.c_str(), constant.c_str()) != nullptr;
    case Op::startswith: return text.compare(0, constant.size(), constant) == 0;
    case Op::endswith:
      return text.size() >= constant.size() &&
             text.compare(text.size() - constant.size(), constant.size(), constant) == 0;
    case Op::bcontains: return text.find(unhex(constant)) != std::string::npos;
    case Op::bstartswith: return text.compare(0, unhex(constant).size(), unhex(constant)) == 0;
    case Op::glob: return fnmatch(constant.c_str(), text.c_str(), 0) == 0;
    case Op::iglob: return fnmatch(constant.c_str(), text.c_str(), FNM_CASEFOLD) == 0;
    case Op::pmatch: return pmatch(text, constant);
    case Op::regex: {
      static std::map<std::string, std::unique_ptr<RE2>> known;
      std::unique_ptr<RE2>& regex = known[constant];
      if (regex == nullptr) {
        RE2::Options options;
        options.set_posix_syntax(true);
        options.set_longest_match(true);
        regex = std::make_unique<RE2>(constant, options);
      }
      return RE2::FullMatch(to_valid_utf8(text), *regex);
    }
    default: return false;
  }
}

template <typename Number>
bool number_matches(Op op, Number value, Number constant) {
  switch (op) {
    case Op::eq:
    case Op::in:
    case Op::intersects: return value == constant;
    case Op::ne: return value != constant;
    case Op::lt: return value < constant;
    case Op::le: return value <= constant;
    case Op::gt: return value > constant;
    case Op::ge: return value >= constant;
    default: return false;
  }
}

uint64_t number_of(const std::string& text, Type type) {
  if (type == Type::port && !text.empty() && !std::isdigit(static_cast<unsigned char>(text[0]))) {
    const servent* service = getservbyname(text.c_str(), nullptr);
    return service == nullptr ? 0 : ntohs(static_cast<uint16_t>(service->s_port));
  }
  if (type == Type::boolean) return text == "true" ? 1 : 0;
  const uint64_t value = text[0] == '-' ? static_cast<uint64_t>(std::strtoll(text.c_str(), nullptr, 0))
                                        : std::strtoull(text.c_str(), nullptr, 0);
  if (type == Type::uint32) return value & 0xFFFFFFFF;
  if (type == Type::uint16) return value & 0xFFFF;
  if (type == Type::uint8) return value & 0xFF;
  return value;
}

bool in_net(const IpAddress& address, const std::string& net) {
  const size_t slash = net.find('/');
  const std::string base = net.substr(0, slash);
  const int bits = std::stoi(net.substr(slash + 1));
  const bool v4 = base.find(':') == std::string::npos;
  uint8_t bytes[16] = {};
  inet_pton(v4 ? AF_INET : AF_INET6, base.c_str(), bytes);
  if (address.family != (v4 ? 4 : 6)) return false;
  for (int i = 0; i < bits; ++i) {
    const int mask = 0x80 >> (i % 8);
    if ((bytes[i / 8] & mask) != (address.bytes[static_cast<size_t>(i / 8)] & mask)) return false;
  }
  return true;
}

bool one(const Value& value, Op op, const std::string& constant, Type type) {
  switch (value.kind) {
    case Value::Kind::text:
    case Value::Kind::bytes: return text_matches(op, std::string(value.str()), constant);
    case Value::Kind::boolean: return number_matches<uint64_t>(op, value.b ? 1 : 0, number_of(constant, Type::boolean));
    case Value::Kind::integer:
      return number_matches<int64_t>(op, value.i, static_cast<int64_t>(number_of(constant, type)));
    case Value::Kind::unsigned_: return number_matches<uint64_t>(op, value.u, number_of(constant, type));
    case Value::Kind::ip: {
      const bool inside = type == Type::net ? in_net(*value.address, constant) : value.address->str() == constant;
      return op == Op::ne ? !inside : inside;
    }
    default: return false;
  }
}

bool scalar(const Check& check, const Value& value, Type type) {
  if (value.is_absent()) return false;
  size_t hits = 0;
  for (const std::string& constant : check.values) hits += one(value, check.op, constant, type) ? 1 : 0;
  switch (check.modifier) {
    case Modifier::oneof: return hits == 1;
    case Modifier::anyof: return hits > 0;
    case Modifier::allof: return hits > 0 && hits == check.values.size();
    case Modifier::none: break;
  }
  return hits > 0;
}

const OperandCompilation& compiled(const Operand& operand) {
  static std::map<std::string, OperandCompilation> known;
  const auto [found, is_new] = known.try_emplace(operand.str());
  if (is_new) found->second = compile_operand(operand);
  return found->second;
}

bool check_holds(const Check& check, const EventContext& context) {
  static Arena arena;
  arena.reset();
  const Extract x{context, arena};
  const OperandCompilation& left = compiled(check.left);
  if (!left.operand) return false;
  const Value value = evaluate(*left.operand, x, nullptr);
  if (value.is_absent()) return false;
  if (check.op == Op::exists) return true;
  const Type type = left.operand->type;
  if (check.right) {
    const OperandCompilation& right = compiled(*check.right);
    if (!right.operand) return false;
    const Value other = evaluate(*right.operand, x, nullptr);
    if (other.is_absent()) return false;
    Check constant = check;
    constant.values = {value_text(other)};
    return scalar(constant, value, type);
  }
  if (value.kind != Value::Kind::list) return scalar(check, value, type);
  std::vector<bool> each;
  for (uint32_t i = 0; i < value.size; ++i)
    if (!value.items[i].is_absent()) each.push_back(scalar(check, value.items[i], type));
  const bool every = std::all_of(each.begin(), each.end(), [](bool b) { return b; });
  const bool some = std::any_of(each.begin(), each.end(), [](bool b) { return b; });
  if (left.operand->several == Several::either_end) return check.op == Op::ne ? every && !each.empty() : some;
  if (left.operand->several == Several::any_ancestor) return some;
  return check.op == Op::in ? every : some;
}

}  // namespace

bool naive_holds(const Expr& expr, const EventContext& context) {
  switch (expr.kind) {
    case Expr::Kind::check: return check_holds(expr.check, context);
    case Expr::Kind::negation: return !naive_holds(*expr.children[0], context);
    case Expr::Kind::all:
      return std::all_of(expr.children.begin(), expr.children.end(),
                         [&](const ExprPtr& c) { return naive_holds(*c, context); });
    case Expr::Kind::any:
      return std::any_of(expr.children.begin(), expr.children.end(),
                         [&](const ExprPtr& c) { return naive_holds(*c, context); });
    case Expr::Kind::macro: return false;
  }
  return false;
}

}  // namespace quell::detect
