// The rows of the actions, as policies see them.
#include <deque>
#include <vector>

#include "apps/quell/policy_files.h"
#include "respond/actions/all.h"

namespace quell::cli {
namespace {

using respond::policy::ActionFacts;
using respond::policy::EffectClass;
using respond::policy::ParamFacts;
using respond::policy::ParamType;
using respond::policy::TargetKind;

EffectClass class_of(respond::ActionClass value) {
  switch (value) {
    case respond::ActionClass::collect: return EffectClass::collect;
    case respond::ActionClass::soft: return EffectClass::soft;
    case respond::ActionClass::hard: return EffectClass::hard;
    case respond::ActionClass::wide: return EffectClass::wide;
    case respond::ActionClass::critical: return EffectClass::critical;
  }
  return EffectClass::critical;
}

TargetKind target_of(EntityKind kind) {
  switch (kind) {
    case EntityKind::process: return TargetKind::process;
    case EntityKind::container: return TargetKind::container;
    case EntityKind::file: return TargetKind::file;
    case EntityKind::address: return TargetKind::address;
    case EntityKind::user: return TargetKind::user;
    case EntityKind::host: return TargetKind::host;
  }
  return TargetKind::process;
}

ParamType type_of(respond::ParamKind kind) {
  switch (kind) {
    case respond::ParamKind::number: return ParamType::integer;
    case respond::ParamKind::duration: return ParamType::duration;
    case respond::ParamKind::addresses: return ParamType::texts;
    case respond::ParamKind::text:
    case respond::ParamKind::path:
    case respond::ParamKind::choice: return ParamType::text;
  }
  return ParamType::text;
}

struct Rows {
  std::deque<std::vector<ParamFacts>> params;
  std::vector<ActionFacts> facts;
};

Rows make_rows() {
  Rows out;
  for (const respond::ActionSpec* spec : respond::kActions) {
    std::vector<ParamFacts>& params = out.params.emplace_back();
    for (const respond::ParamSpec& param : spec->params)
      params.push_back({param.name, type_of(param.kind), param.choices});
    ActionFacts& facts = out.facts.emplace_back();
    facts.name = spec->name;
    facts.effect_class = class_of(spec->effect_class);
    facts.reversible = spec->undo != nullptr;
    facts.takes_ttl = spec->default_ttl_s != 0;
    facts.default_ttl_s = spec->default_ttl_s;
    facts.target = target_of(spec->target);
    facts.params = params;
  }
  return out;
}

}  // namespace

const respond::policy::ActionCatalogue& policy_actions() {
  static const Rows kRows = make_rows();
  static const respond::policy::ActionCatalogue kCatalogue = [] {
    respond::policy::ActionCatalogue out;
    out.find = [](std::string_view name) -> const ActionFacts* {
      for (const ActionFacts& facts : kRows.facts)
        if (facts.name == name) return &facts;
      return nullptr;
    };
    for (const ActionFacts& facts : kRows.facts) out.names.push_back(facts.name);
    return out;
  }();
  return kCatalogue;
}

}  // namespace quell::cli
