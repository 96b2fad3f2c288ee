#include "detect/fields/event_params.h"

#include <algorithm>

#include "base/text.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

Finding finding(std::string message, std::string_view near = {}) {
  Finding out;
  out.message = std::move(message);
  if (!near.empty()) out.suggestion = "did you mean " + std::string(near) + "?";
  return out;
}

Type type_of(ParamType type) {
  switch (type) {
    case ParamType::charbuf: return Type::text;
    case ParamType::fspath:
    case ParamType::fsrelpath: return Type::path;
    case ParamType::int8:
    case ParamType::int16: return Type::int16;
    case ParamType::int32: return Type::int32;
    case ParamType::int64:
    case ParamType::errno_:
    case ParamType::fd:
    case ParamType::fd32:
    case ParamType::pid:
    case ParamType::pid32: return Type::int64;
    case ParamType::bool_: return Type::uint32;
    case ParamType::port: return Type::port;
    case ParamType::bytebuf:
    case ParamType::sockaddr:
    case ParamType::socktuple:
    case ParamType::fdlist:
    case ParamType::dyn:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array:
    case ParamType::ipv4addr:
    case ParamType::ipv6addr: return Type::bytes;
    case ParamType::reltime: return Type::reltime;
    case ParamType::abstime: return Type::abstime;
    case ParamType::uint8:
    case ParamType::flags8:
    case ParamType::enumflags8: return Type::uint8;
    case ParamType::uint16:
    case ParamType::flags16:
    case ParamType::enumflags16: return Type::uint16;
    case ParamType::uint64: return Type::uint64;
    default: return Type::uint32;
  }
}

// The argument must be the name of a parameter of any event.
std::optional<Finding> bind(FieldRef& ref, bool raw) {
  const std::string& text = ref.arg.text;
  ref.arg.param_of.fill(-1);
  uint64_t number = 0;
  if (!raw && parse_u64(text, number)) {
    if (number >= kMaxParams) return finding("unknown event argument " + text);
    ref.arg.index = static_cast<int64_t>(number);
    return {};
  }
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for (const EventSpec& event : kEventTable)
      for (const ParamSpec& param : event.params) all.push_back(param.name);
    std::sort(all.begin(), all.end());
    all.erase(std::unique(all.begin(), all.end()), all.end());
    return all;
  }();
  if (!std::binary_search(names.begin(), names.end(), text))
    return finding("unknown event argument " + text, nearest(text, names));
  bool typed = false;
  for (const EventSpec& event : kEventTable) {
    const int index = event.param_index(text);
    ref.arg.param_of[event.code] = static_cast<int8_t>(index);
    if (raw && !typed && index >= 0) {
      ref.type = type_of(event.params[static_cast<size_t>(index)].type);
      typed = true;
    }
  }
  return {};
}

// Position of the parameter in this event, -1 if it has none.
int index_in(const Extract& x, const FieldArg& a) {
  return a.index >= 0 ? static_cast<int>(a.index) : a.param_of[x.event().code()];
}

}  // namespace

std::optional<Finding> bind_event_arg(FieldRef& ref) { return bind(ref, false); }
std::optional<Finding> bind_raw_event_arg(FieldRef& ref) { return bind(ref, true); }

Value event_args(const Extract& x, const FieldArg&) {
  const Event& event = x.event();
  if (event.code() == ev::GENERIC_E || event.code() == ev::GENERIC_X) return Value::text("");
  std::string out;
  for (size_t i = 0; i < event.nparams(); ++i) {
    if (!out.empty()) out += ' ';
    out += event.spec().params[i].name;
    out += '=';
    out += param_text_both(x, i);
  }
  return text_in(x, out);
}

Value event_arg(const Extract& x, const FieldArg& a) {
  const int index = index_in(x, a);
  if (index < 0 || !x.event().carries(static_cast<size_t>(index))) return {};
  return param_value(x, static_cast<size_t>(index));
}

Value raw_event_arg(const Extract& x, const FieldArg& a) {
  const int index = index_in(x, a);
  if (index < 0) return {};
  const Param param = x.event().param(static_cast<size_t>(index));
  if (param.empty()) return {};
  switch (x.event().spec().params[static_cast<size_t>(index)].type) {
    case ParamType::charbuf:
    case ParamType::fspath:
    case ParamType::fsrelpath: return Value::text(param.text());
    case ParamType::int8:
    case ParamType::int16:
    case ParamType::int32:
    case ParamType::int64:
    case ParamType::errno_:
    case ParamType::fd:
    case ParamType::fd32:
    case ParamType::pid:
    case ParamType::pid32: return Value::integer(param.i64());
    case ParamType::bytebuf:
    case ParamType::sockaddr:
    case ParamType::socktuple:
    case ParamType::fdlist:
    case ParamType::dyn:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array: return Value::bytes(param.data, param.len);
    case ParamType::ipv4addr:
    case ParamType::ipv6addr: return Value::bytes(param.data, param.len);
    default: return Value::number(param.u64());
  }
}

Value raw_event_arg_text(const Extract& x, const FieldArg& a) {
  const Value value = raw_event_arg(x, a);
  if (value.kind != Value::Kind::integer && value.kind != Value::Kind::unsigned_) return value;
  switch (x.event().spec().params[static_cast<size_t>(index_in(x, a))].format) {
    case PrintFormat::hex: return format_in(x, "{:X}", value.u);
    case PrintFormat::oct: return value.u == 0 ? Value::text("0") : format_in(x, "0{:o}", value.u);
    default: return value;
  }
}

}  // namespace quell::detect
