#pragma once
// What a policy must know of an action to be checked and decided. The catalogue is data that whoever owns the actions
// hands in: this folder knows no action by name.
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace quell::respond::policy {

/// How much an effect can break; a higher one wins over a lower one on the same target.
enum class EffectClass : uint8_t { collect, soft, hard, wide, critical };
/// "contain-soft"; "collect".
std::string_view to_string(EffectClass value);

/// What an action acts on.
enum class TargetKind : uint8_t { process, container, host, user, address, file };
std::string_view to_string(TargetKind value);

enum class ParamType : uint8_t { text, integer, flag, duration, texts };
std::string_view to_string(ParamType value);

struct ParamFacts {
  std::string_view name;
  ParamType type = ParamType::text;
  std::string_view choices{};  // of a text: "no|always"; empty: any
};

/// Views live as long as the catalogue.
struct ActionFacts {
  std::string_view name;  // "container.pause"
  EffectClass effect_class = EffectClass::soft;
  bool reversible = false;
  bool takes_ttl = false;
  uint64_t default_ttl_s = 0;  // 0: none
  TargetKind target = TargetKind::container;
  std::span<const ParamFacts> params{};  // besides `ttl`
};

struct ActionCatalogue {
  std::function<const ActionFacts*(std::string_view name)> find;  // null if there is none of that name
  std::vector<std::string_view> names;                            // all of them, for "did you mean"
};

}  // namespace quell::respond::policy
