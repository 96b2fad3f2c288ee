#include "detect/fields/catalog.h"

#include <algorithm>

#include "base/text.h"

namespace quell::detect {
namespace {

const FieldSpec* row_named(std::string_view name) {
  static const auto index = [] {
    std::vector<const FieldSpec*> rows;
    for_each_field([&](const FieldSpec& row) { rows.push_back(&row); });
    std::stable_sort(rows.begin(), rows.end(),
                     [](const FieldSpec* a, const FieldSpec* b) { return a->name < b->name; });
    return rows;
  }();
  const auto found = std::lower_bound(index.begin(), index.end(), name,
                                      [](const FieldSpec* row, std::string_view wanted) { return row->name < wanted; });
  return found != index.end() && (*found)->name == name ? *found : nullptr;
}

Finding unknown_field(std::string_view text) {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for_each_field([&](const FieldSpec& row) { all.push_back(row.name); });
    return all;
  }();
  Finding finding;
  finding.unknown_filter = true;
  finding.message = "filter_check called with nonexistent field " + std::string(text);
  if (const std::string_view near = nearest(text, names); !near.empty())
    finding.suggestion = "did you mean " + std::string(near) + "?";
  return finding;
}

Finding error(std::string message) {
  Finding finding;
  finding.message = std::move(message);
  return finding;
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

// evt.arg and evt.rawarg: the longest parameter name (of any event) that is a prefix of the argument.
std::optional<Finding> bind_parameter(FieldRef& ref, bool raw) {
  const std::string& text = ref.arg.text;
  ref.arg.param_of.fill(-1);
  uint64_t number = 0;
  if (!raw && parse_u64(text, number)) {
    if (number >= kMaxParams) return error("unknown event argument " + text);
    ref.arg.index = static_cast<int64_t>(number);
    return {};
  }
  std::string_view best;
  for (const EventSpec& event : kEventTable)
    for (const ParamSpec& param : event.params)
      if (param.name.size() > best.size() && text.starts_with(param.name)) best = param.name;
  if (best.empty() || best.size() != text.size()) {
    std::vector<std::string_view> names;
    for (const EventSpec& event : kEventTable)
      for (const ParamSpec& param : event.params) names.push_back(param.name);
    Finding finding = error("unknown event argument " + text);
    if (const std::string_view near = nearest(text, names); !near.empty())
      finding.suggestion = "did you mean " + std::string(near) + "?";
    return finding;
  }
  bool typed = false;
  for (const EventSpec& event : kEventTable) {
    const int index = event.param_index(best);
    ref.arg.param_of[event.code] = static_cast<int8_t>(index);
    if (raw && !typed && index >= 0) {
      ref.type = type_of(event.params[static_cast<size_t>(index)].type);
      typed = true;
    }
  }
  return {};
}

}  // namespace

namespace {

// Cuts `name` at dots from the right until what is left is a field's name; null if nothing is.
const FieldSpec* row_at_head(std::string_view name, std::string_view& head) {
  head = name;
  const FieldSpec* row = row_named(head);
  while (row == nullptr) {
    const size_t dot = head.rfind('.');
    if (dot == std::string_view::npos) break;
    head = head.substr(0, dot);
    row = row_named(head);
  }
  return row;
}

}  // namespace

FieldLookup find_field(std::string_view name, const std::optional<std::string>& arg) {
  std::string_view head;
  const FieldSpec* row = row_at_head(name, head);
  const std::string_view rest = name.substr(head.size());
  if (row == nullptr || (!rest.empty() && (row->arg != Arg::required_key && row->arg != Arg::optional_key)))
    return {{}, unknown_field(name)};
  if (!rest.empty() && arg) return {{}, unknown_field(name)};

  FieldRef ref;
  ref.spec = row;
  ref.type = row->type;
  ref.several = row->several;
  ref.text = std::string(name) + (arg ? "[" + *arg + "]" : "");
  if (arg || !rest.empty()) {
    ref.arg.given = true;
    ref.arg.text = arg ? *arg : std::string(rest.substr(1));
  }
  switch (row->arg) {
    case Arg::none:
      if (ref.arg.given) return {{}, error("filter error: field " + std::string(row->name) + " takes no argument")};
      break;
    case Arg::required_index:
    case Arg::required_key:
      if (!ref.arg.given) {
        Finding finding = error("filter error: field " + std::string(row->name) + " needs an argument");
        if (!row->example.empty()) finding.suggestion = "for example: " + std::string(row->example);
        return {{}, std::move(finding)};
      }
      break;
    default: break;
  }
  if (ref.arg.given && (row->arg == Arg::optional_index || row->arg == Arg::required_index)) {
    if (!parse_i64(ref.arg.text, ref.arg.index) || ref.arg.index < 0)
      return {{},
              error("filter error: the argument of " + std::string(row->name) + " must be a number, not '" +
                    ref.arg.text + "'")};
    ref.several = Several::no;
  }
  if (row->name == "evt.arg" || row->name == "evt.rawarg") {
    if (auto finding = bind_parameter(ref, row->name == "evt.rawarg")) return {{}, std::move(*finding)};
  } else if (row->name == "evt.abspath" && ref.arg.given && ref.arg.text != "src" && ref.arg.text != "dst") {
    return {{}, unknown_field(name)};
  }
  return {std::move(ref), {}};
}

bool is_field_text(std::string_view text) {
  const size_t bracket = text.find('[');
  // Most texts are none; find_field() would look for what they resemble.
  std::string_view head;
  if (row_at_head(text.substr(0, bracket), head) == nullptr) return false;
  if (bracket == std::string_view::npos) return find_field(text, {}).field.has_value();
  if (text.back() != ']') return false;
  return find_field(text.substr(0, bracket), std::string(text.substr(bracket + 1, text.size() - bracket - 2)))
      .field.has_value();
}

bool is_transformer(std::string_view name) {
  static constexpr std::string_view kNames[] = {"tolower", "toupper", "b64",    "basename",
                                                "len",     "join",    "concat", "getopt"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace quell::detect
