#include "respond/action_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "base/moment.h"
#include "base/text.h"

namespace quell::respond {
namespace {

constexpr std::string_view kClasses[] = {"collect", "soft", "hard", "wide", "critical"};
constexpr size_t kMaxValue = 4096;

uint64_t fnv1a(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const unsigned char byte : text) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

/// Empty if it is one.
std::string why_not(const ParamSpec& param, const std::string& value) {
  if (value.size() > kMaxValue) return fmt::format("is longer than {} bytes", kMaxValue);
  uint64_t number = 0;
  switch (param.kind) {
    case ParamKind::text:
    case ParamKind::addresses: return {};
    case ParamKind::path: return value.starts_with('/') ? "" : "is not an absolute path";
    case ParamKind::number: return parse_u64(value, number) ? "" : "is not a number";
    case ParamKind::duration: {
      const auto parsed = parse_duration_ms(value);
      return parsed ? "" : parsed.error().message;
    }
    case ParamKind::choice:
      for (const std::string_view choice : split(param.choices, '|'))
        if (choice == value) return {};
      return fmt::format("is none of {}", param.choices);
  }
  return {};
}

}  // namespace

std::string_view to_string(ActionClass value) { return kClasses[static_cast<size_t>(value)]; }

std::optional<ActionClass> parse_action_class(std::string_view text) {
  for (size_t i = 0; i < std::size(kClasses); ++i)
    if (kClasses[i] == text) return static_cast<ActionClass>(i);
  return {};
}

std::string_view Call::param(std::string_view name) const {
  const auto found = params.find(std::string(name));
  QUELL_ASSERT(found != params.end());
  return found->second;
}

std::string Call::tag() const { return fmt::format("{:08x}", static_cast<uint32_t>(fnv1a(action_id))); }

Result<ActionParams> complete_params(const ActionSpec& spec, const ActionParams& given) {
  std::vector<std::string_view> names;
  for (const ParamSpec& param : spec.params) names.push_back(param.name);
  for (const auto& [name, value] : given) {
    const auto* param =
        std::find_if(spec.params.begin(), spec.params.end(), [&](const ParamSpec& p) { return p.name == name; }).base();
    if (param == spec.params.data() + spec.params.size()) {
      const std::string_view near = nearest(name, names);
      return Error{Code::invalid_argument,
                   names.empty() ? fmt::format("{} takes no parameters", spec.name)
                   : near.empty()
                       ? fmt::format("{} has no parameter {}; it has {}", spec.name, name, fmt::join(names, ", "))
                       : fmt::format("{} has no parameter {}; did you mean {}?", spec.name, name, near),
                   name};
    }
    if (const std::string why = why_not(*param, value); !why.empty())
      return Error{Code::invalid_argument, fmt::format("parameter {} of {}: \"{}\" {}", name, spec.name, value, why),
                   name};
  }
  ActionParams out = given;
  for (const ParamSpec& param : spec.params) out.try_emplace(std::string(param.name), param.standard);
  return out;
}

}  // namespace quell::respond
