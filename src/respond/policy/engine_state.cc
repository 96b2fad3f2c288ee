// What survives a restart.
#include <fmt/format.h>

#include "base/json.h"
#include "respond/policy/engine_impl.h"

namespace quell::respond::policy {
namespace {

constexpr uint64_t kFormat = 1;

void write_target(JsonWriter& out, const DecisionTarget& target) {
  out.begin_object().integer("kind", static_cast<uint64_t>(target.kind)).text("key", target.key);
  out.text("start", target.start).text("label", target.label).end_object();
}

bool read_target(const Json& json, DecisionTarget& out) {
  if (json.object() == nullptr || json.at("kind").u64() > static_cast<uint64_t>(TargetKind::file)) return false;
  out.kind = static_cast<TargetKind>(json.at("kind").u64());
  out.key = json.at("key").str();
  out.start = json.at("start").str();
  out.label = json.at("label").str();
  return true;
}

void write_times(JsonWriter& out, const RateWindow& window) {
  out.begin_array();
  for (const uint64_t at_ns : window.times()) out.number(at_ns);
  out.end_array();
}

bool read_times(const Json& json, RateWindow& out) {
  if (json.array() == nullptr) return false;
  for (const Json& one : *json.array()) out.take(one.u64());
  return true;
}

template <typename Entries, typename Write>
void write_table(JsonWriter& out, const Entries& entries, Write write) {
  out.begin_array();
  for (const auto& [key, value] : entries) {
    out.begin_array().string(key);
    write(value);
    out.end_array();
  }
  out.end_array();
}

/// Calls `read(key, value)` for each pair of a table.
template <typename Read>
bool read_table(const Json& json, Read read) {
  if (json.array() == nullptr) return false;
  for (const Json& pair : *json.array()) {
    const Json::Array* parts = pair.array();
    if (parts == nullptr || parts->size() != 2 || !read((*parts)[0].str(), (*parts)[1])) return false;
  }
  return true;
}

bool read_open(const Json& json, OpenDecision& out) {
  out.id = json.at("id").str();
  out.policy = json.at("policy").str();
  out.is_real = json.at("real").boolean();
  out.until_ns = json.at("until_ns").u64();
  if (!read_target(json.at("target"), out.target) || json.at("actions").array() == nullptr) return false;
  for (const Json& one : *json.at("actions").array()) {
    OpenAction& action = out.actions.emplace_back();
    action.action = one.at("action").str();
    const uint64_t effect_class = one.at("class").u64();
    if (effect_class > static_cast<uint64_t>(EffectClass::critical)) return false;
    action.effect_class = static_cast<EffectClass>(effect_class);
    if (!read_target(one.at("target"), action.target)) return false;
  }
  return !out.id.empty();
}

bool read_group(const Json& json, std::vector<WindowEntry>& out) {
  if (json.array() == nullptr) return false;
  for (const Json& one : *json.array()) {
    const Json::Array* parts = one.array();
    if (parts == nullptr || parts->size() != 3) return false;
    out.push_back({(*parts)[0].u64(), (*parts)[1].str(), (*parts)[2].str()});
  }
  return true;
}

}  // namespace

std::string PolicyEngine::save() const {
  JsonWriter out;
  out.begin_object().integer("format", kFormat).integer("watermark_ns", impl_->watermark_ns);
  out.key("policies").begin_array();
  for (const auto& state : impl_->states) {
    out.begin_object().text("name", state->policy->name).text("hash", state->policy->hash);
    out.flag("armed", state->is_armed).text("disarmed_because", state->disarmed_because);
    out.integer("disarmed_ns", state->disarmed_ns);
    out.key("per_policy");
    write_times(out, state->per_policy);
    out.key("per_target");
    write_table(out, state->per_target.entries(), [&](const RateWindow& window) { write_times(out, window); });
    out.key("groups");
    if (state->windows) {
      write_table(out, state->windows->groups().entries(), [&](const std::vector<WindowEntry>& group) {
        out.begin_array();
        for (const WindowEntry& entry : group)
          out.begin_array().number(entry.at_ns).string(entry.value).string(entry.detection_id).end_array();
        out.end_array();
      });
    } else {
      out.begin_array().end_array();
    }
    out.end_object();
  }
  out.end_array().key("per_cluster");
  write_table(out, impl_->per_cluster.entries(), [&](const RateWindow& window) { write_times(out, window); });
  out.key("open").begin_array();
  for (const auto& [number, open] : impl_->open.all()) {
    out.begin_object().text("id", open.id).text("policy", open.policy).flag("real", open.is_real);
    out.integer("until_ns", open.until_ns).key("target");
    write_target(out, open.target);
    out.key("actions").begin_array();
    for (const OpenAction& action : open.actions) {
      out.begin_object().text("action", action.action);
      out.integer("class", static_cast<uint64_t>(action.effect_class)).key("target");
      write_target(out, action.target);
      out.end_object();
    }
    out.end_array().end_object();
  }
  out.end_array().end_object();
  return out.take();
}

Result<void> PolicyEngine::restore(std::string_view text) {
  const Error broken{
      Code::malformed, "the saved state of the policies cannot be read; without it they start with nothing known", {}};
  QUELL_TRY(const Json json, Json::parse(text));
  if (json.at("format").u64() != kFormat || json.at("policies").array() == nullptr ||
      json.at("open").array() == nullptr)
    return broken;
  std::vector<std::shared_ptr<const Policy>> policies;
  for (const auto& state : impl_->states) policies.push_back(state->policy);
  auto fresh = std::make_unique<Impl>(std::move(policies), impl_->options);
  fresh->watermark_ns = json.at("watermark_ns").u64();
  for (const Json& saved : *json.at("policies").array()) {
    PolicyState* state = fresh->find(saved.at("name").str());
    if (state == nullptr) continue;
    state->is_armed = saved.at("armed").boolean();
    state->disarmed_because = saved.at("disarmed_because").str();
    state->disarmed_ns = saved.at("disarmed_ns").u64();
    if (!read_times(saved.at("per_policy"), state->per_policy)) return broken;
    if (!read_table(saved.at("per_target"), [&](const std::string& key, const Json& times) {
          return read_times(times, state->per_target.touch(key));
        }))
      return broken;
    if (!state->windows || saved.at("hash").str() != state->policy->hash) continue;
    if (!read_table(saved.at("groups"), [&](const std::string& key, const Json& entries) {
          std::vector<WindowEntry> group;
          if (!read_group(entries, group)) return false;
          if (!group.empty()) state->windows->restore(key, std::move(group));
          return true;
        }))
      return broken;
  }
  if (!read_table(json.at("per_cluster"), [&](const std::string& key, const Json& times) {
        return read_times(times, fresh->per_cluster.touch(key));
      }))
    return broken;
  for (const Json& saved : *json.at("open").array()) {
    OpenDecision open;
    if (!read_open(saved, open)) return broken;
    if (fresh->find(open.policy) != nullptr) fresh->open.add(std::move(open));
  }
  impl_ = std::move(fresh);
  return {};
}

}  // namespace quell::respond::policy
