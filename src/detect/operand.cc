#include "detect/operand.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "detect/fields/catalog.h"

namespace quell::detect {

std::string_view to_string(Type type) {
  static constexpr std::string_view kNames[] = {"string", "path",  "bytes",   "bool",    "int16",  "int32",
                                                "int64",  "uint8", "uint16",  "uint32",  "uint64", "port",
                                                "ip",     "net",   "reltime", "abstime", "double", "dynamic"};
  return kNames[static_cast<size_t>(type)];
}

namespace {

struct TransformerSpec {
  std::string_view name;
  Transformer id;
};
constexpr TransformerSpec kTransformers[] = {
    {"tolower", Transformer::tolower},   {"toupper", Transformer::toupper}, {"b64", Transformer::b64},
    {"basename", Transformer::basename}, {"len", Transformer::len},         {"join", Transformer::join},
    {"concat", Transformer::concat},     {"getopt", Transformer::getopt},
};

OperandCompilation fail(const Operand& operand, std::string message) {
  Finding finding;
  finding.message = std::move(message);
  finding.pos = operand.pos;
  return {{}, std::move(finding)};
}

OperandCompilation compile_transformer(const Operand& operand) {
  const auto row = std::find_if(std::begin(kTransformers), std::end(kTransformers),
                                [&](const TransformerSpec& t) { return t.name == operand.name; });
  if (row == std::end(kTransformers)) return fail(operand, "unknown transformer '" + operand.name + "'");
  CompiledOperand out;
  out.kind = CompiledOperand::Kind::transformer;
  out.transformer = row->id;
  out.key = operand.arg;
  out.text = operand.str();
  for (const Operand& arg : operand.args) {
    OperandCompilation compiled = compile_operand(arg);
    if (!compiled.operand) return compiled;
    out.args.push_back(std::move(*compiled.operand));
  }
  // A transformer holds as long as all its arguments: event scope wins over lineage over process.
  const auto depends_on = [&](Scope scope) {
    return std::any_of(out.args.begin(), out.args.end(), [&](const CompiledOperand& a) { return a.scope == scope; });
  };
  out.scope = depends_on(Scope::event) ? Scope::event : depends_on(Scope::lineage) ? Scope::lineage : Scope::process;

  const auto refused = [&](const CompiledOperand& arg) {
    return fail(
        operand,
        fmt::format("can't add field transformer: type '{}' is not supported by '{}' transformer applied on field '{}'",
                    to_string(arg.type), operand.name, arg.text));
  };
  const bool unary = row->id <= Transformer::len;
  if (unary && (out.args.size() != 1 || operand.arg))
    return fail(operand, fmt::format("transformer '{}' takes exactly one argument", operand.name));
  for (const CompiledOperand& arg : out.args)
    if (arg.kind == CompiledOperand::Kind::field && (arg.field.spec->flags & kNoTransformers) != 0)
      return fail(operand, fmt::format("field '{}' does not support transformers", arg.text));
  switch (row->id) {
    case Transformer::tolower:
    case Transformer::toupper:
    case Transformer::basename:
      if (!is_text(out.args[0].type)) return refused(out.args[0]);
      out.type = out.args[0].type;
      out.is_list = out.args[0].is_list;
      break;
    case Transformer::b64:
      if (!is_text(out.args[0].type) && out.args[0].type != Type::bytes) return refused(out.args[0]);
      out.type = out.args[0].type;
      out.is_list = out.args[0].is_list;
      break;
    case Transformer::len:
      if (!out.args[0].is_list && !is_text(out.args[0].type) && out.args[0].type != Type::bytes)
        return refused(out.args[0]);
      out.type = Type::uint64;
      break;
    case Transformer::join:
      if (out.args.size() != 2 || !out.args[1].is_list || out.args[0].is_list)
        return fail(operand, "transformer 'join' takes a separator and a list");
      out.type = Type::text;
      break;
    case Transformer::concat:
      if (out.args.size() < 2) return fail(operand, "transformer 'concat' takes at least two arguments");
      for (const CompiledOperand& arg : out.args)
        if (arg.is_list || !is_text(arg.type)) return refused(arg);
      out.type = Type::text;
      break;
    case Transformer::getopt:
      if (out.args.size() != 2 || out.args[1].kind != CompiledOperand::Kind::literal)
        return fail(operand, "transformer 'getopt' takes a list of arguments and an option string");
      out.type = Type::text;
      out.is_list = !operand.arg;
      break;
  }
  return {std::move(out), {}};
}

}  // namespace

OperandCompilation compile_operand(const Operand& operand) {
  CompiledOperand out;
  switch (operand.kind) {
    case Operand::Kind::field: {
      FieldLookup found = find_field(operand.name, operand.arg);
      if (!found.field) {
        found.finding.pos = operand.pos;
        return {{}, std::move(found.finding)};
      }
      out.kind = CompiledOperand::Kind::field;
      out.type = found.field->type;
      out.is_list = found.field->spec->is_list;
      out.several = found.field->several;
      out.scope = found.field->spec->scope;
      out.text = found.field->text;
      out.field = std::move(*found.field);
      return {std::move(out), {}};
    }
    case Operand::Kind::transformer: return compile_transformer(operand);
    case Operand::Kind::text:
    case Operand::Kind::number:
      out.kind = CompiledOperand::Kind::literal;
      out.literal = operand.name;
      out.text = operand.str();
      out.scope = Scope::process;
      return {std::move(out), {}};
    case Operand::Kind::list:
      out.kind = CompiledOperand::Kind::list;
      out.is_list = true;
      out.text = operand.str();
      out.scope = Scope::event;
      for (const Operand& item : operand.args) {
        OperandCompilation compiled = compile_operand(item);
        if (!compiled.operand) return compiled;
        out.args.push_back(std::move(*compiled.operand));
      }
      return {std::move(out), {}};
  }
  return fail(operand, "operand not understood");
}

std::string value_text(const Value& value) {
  switch (value.kind) {
    case Value::Kind::absent: return "<NA>";
    case Value::Kind::text: return std::string(value.str());
    case Value::Kind::bytes: return printable(value.str());
    case Value::Kind::boolean: return value.b ? "true" : "false";
    case Value::Kind::integer: return std::to_string(value.i);
    case Value::Kind::unsigned_: return std::to_string(value.u);
    case Value::Kind::real: return fmt::format("{:.1f}", value.d);
    case Value::Kind::ip: return value.address->str();
    case Value::Kind::list: {
      std::string out = "(";
      for (uint32_t i = 0; i < value.size; ++i) {
        if (i > 0) out += ',';
        out += value_text(value.items[i]);
      }
      return out + ")";
    }
  }
  return {};
}

namespace {

std::optional<std::string> decode_base64(std::string_view text) {
  static const auto table = [] {
    std::array<int8_t, 256> t{};
    t.fill(-1);
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < kAlphabet.size(); ++i) t[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
    return t;
  }();
  while (!text.empty() && text.back() == '=') text.remove_suffix(1);
  if (text.size() % 4 == 1) return {};
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (const char c : text) {
    const int8_t digit = table[static_cast<uint8_t>(c)];
    if (digit < 0) return {};
    bits = bits << 6 | static_cast<uint32_t>(digit);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out += static_cast<char>(bits >> count & 0xFF);
    }
  }
  return out;
}

// Short options of an argument list, in the order found. An unknown one is "?"; one with a value is followed by it.
std::vector<std::pair<std::string, std::optional<std::string>>> short_options(const std::vector<std::string_view>& args,
                                                                              std::string_view options) {
  std::vector<std::pair<std::string, std::optional<std::string>>> out;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string_view arg = args[i];
    if (arg == "--") break;
    if (arg.starts_with("--")) continue;
    if (arg.size() < 2 || arg[0] != '-') break;
    for (size_t j = 1; j < arg.size(); ++j) {
      const size_t at = arg[j] == ':' ? std::string_view::npos : options.find(arg[j]);
      if (at == std::string_view::npos) {
        out.push_back({"?", {}});
        continue;
      }
      if (at + 1 < options.size() && options[at + 1] == ':') {
        std::string value;
        if (j + 1 < arg.size()) {
          value = arg.substr(j + 1);
        } else if (i + 1 < args.size()) {
          value = args[++i];
        }
        out.push_back({std::string(1, arg[j]), std::move(value)});
        break;
      }
      out.push_back({std::string(1, arg[j]), {}});
    }
  }
  return out;
}

Value transform_one(Transformer transformer, const Value& value, const Extract& x) {
  if (value.is_absent()) return {};
  const std::string_view text = value.str();
  switch (transformer) {
    case Transformer::tolower:
    case Transformer::toupper: {
      char* at = x.arena.allocate(text.size());
      for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (transformer == Transformer::tolower)
          at[i] = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
        else
          at[i] = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
      }
      return Value::text({at, text.size()});
    }
    case Transformer::basename: return Value::text(text.substr(text.rfind('/') + 1));
    case Transformer::b64: {
      const auto decoded = decode_base64(text);
      if (!decoded) return {};
      const std::string_view kept = x.arena.copy(*decoded);
      return value.kind == Value::Kind::bytes ? Value::bytes(kept.data(), kept.size()) : Value::text(kept);
    }
    default: return {};
  }
}

}  // namespace

Value evaluate_compound(const CompiledOperand& operand, const Extract& x, FieldMemo* memo) {
  switch (operand.kind) {
    case CompiledOperand::Kind::field: return evaluate(operand, x, memo);
    case CompiledOperand::Kind::literal: return Value::text(operand.literal);
    case CompiledOperand::Kind::list: {
      Value* items = x.arena.values(operand.args.size());
      for (size_t i = 0; i < operand.args.size(); ++i) {
        items[i] = evaluate(operand.args[i], x, memo);
        if (items[i].is_absent()) return {};
      }
      return Value::list(items, operand.args.size());
    }
    case CompiledOperand::Kind::transformer: break;
  }
  switch (operand.transformer) {
    case Transformer::tolower:
    case Transformer::toupper:
    case Transformer::b64:
    case Transformer::basename: {
      const Value value = evaluate(operand.args[0], x, memo);
      if (value.kind != Value::Kind::list) return transform_one(operand.transformer, value, x);
      Value* items = x.arena.values(value.size);
      for (uint32_t i = 0; i < value.size; ++i) {
        items[i] = transform_one(operand.transformer, value.items[i], x);
        if (items[i].is_absent()) return {};
      }
      return Value::list(items, value.size);
    }
    case Transformer::len: {
      const Value value = evaluate(operand.args[0], x, memo);
      if (value.is_absent()) return {};
      if (value.kind == Value::Kind::text) return Value::number(strnlen(value.chars, value.size));
      return Value::number(value.size);
    }
    case Transformer::join: {
      const Value separator = evaluate(operand.args[0], x, memo);
      const Value list = evaluate(operand.args[1], x, memo);
      if (separator.is_absent() || list.is_absent()) return {};
      std::string out;
      for (uint32_t i = 0; i < list.size; ++i) {
        if (i > 0) out += separator.str();
        out += value_text(list.items[i]);
      }
      return Value::text(x.arena.copy(out));
    }
    case Transformer::concat: {
      std::string out;
      for (const CompiledOperand& arg : operand.args) {
        const Value value = evaluate(arg, x, memo);
        if (value.is_absent()) return {};
        out += value_text(value);
      }
      return Value::text(x.arena.copy(out));
    }
    case Transformer::getopt: {
      const Value list = evaluate(operand.args[0], x, memo);
      if (list.is_absent()) return {};
      std::vector<std::string_view> args;
      if (list.kind == Value::Kind::list) {
        for (uint32_t i = 0; i < list.size; ++i) args.push_back(list.items[i].str());
      } else {
        for (const std::string_view part : split(list.str(), ' ')) args.push_back(part);
      }
      const auto options = short_options(args, operand.args[1].literal);
      if (operand.key) {
        const std::string* found = nullptr;
        for (const auto& [name, value] : options)
          if (name == *operand.key && value) found = &*value;
        return found == nullptr ? Value{} : Value::text(x.arena.copy(*found));
      }
      Value* items = x.arena.values(options.size() * 2);
      size_t count = 0;
      for (const auto& [name, value] : options) {
        items[count++] = Value::text(x.arena.copy(name));
        if (value) items[count++] = Value::text(x.arena.copy(*value));
      }
      return Value::list(items, count);
    }
  }
  return {};
}

}  // namespace quell::detect
