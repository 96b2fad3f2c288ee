// util.*, static.*: what is about the rules rather than about the event.
#include "base/text.h"
#include "detect/fields/catalog.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

std::map<std::string, std::string>& defined() {
  static std::map<std::string, std::string> values;
  return values;
}

bool is_name(std::string_view text) {
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (text.empty() || !is_letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; });
}

// The value takes the place of the key: it is the same for every event.
std::optional<Finding> bind_static(FieldRef& ref) {
  const auto found = defined().find(ref.arg.text);
  if (found != defined().end()) {
    ref.arg.text = found->second;
    return {};
  }
  Finding finding;
  finding.unknown_filter = true;
  finding.message = "filter_check called with nonexistent field " + ref.text;
  std::vector<std::string_view> keys;
  for (const auto& [key, value] : defined()) keys.push_back(key);
  const std::string_view near = nearest(ref.arg.text, keys);
  finding.suggestion = near.empty() ? "define it: --static-field " + ref.arg.text + "=VALUE"
                                    : "did you mean static." + std::string(near) + "?";
  return finding;
}

Value count(const Extract& x, const FieldArg&) {
  return Value::number(remembered(x, Remembered::count, [](FieldMemory::Entry& kept) { return kept.answer + 1; }));
}

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "util.cnt", .type = Type::uint64, .get = count, .doc = "Counts the events for which the rules (in an output: that output) asked for it, from 1.", .example = "util.cnt = 1"},
    {.name = "static", .arg = Arg::required_key, .flags = kDotArgument, .scope = Scope::process, .get = [](const Extract&, const FieldArg& a) { return Value::text(a.text); }, .bind = bind_static, .doc = "A constant that --static-field KEY=VALUE defines.", .example = "static.environment = production"},
};
// clang-format on

}  // namespace

FieldClass util_fields() { return {"util", "Counters and constants", "any event", kFields}; }

Result<void> define_static_fields(std::map<std::string, std::string> values) {
  for (const auto& [key, value] : values) {
    if (!is_name(key))
      return Error{Code::invalid_argument,
                   "the static field \"" + key + "\" needs a name of letters, digits and _ that begins with a letter",
                   {}};
  }
  defined() = std::move(values);
  return {};
}

const std::map<std::string, std::string>& static_fields() { return defined(); }

}  // namespace quell::detect
