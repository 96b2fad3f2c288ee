#pragma once
// A catalogue of actions, and detections and policies in few words.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "respond/policy/engine.h"
#include "respond/policy/reader.h"

namespace quell::respond::policy {

inline constexpr uint64_t kStartNs = 1'800'000'000ull * kSecondNs;

inline const ActionCatalogue& catalogue() {
  static constexpr ParamFacts kKill[] = {{"restartPolicy", ParamType::text, "no|always"},
                                         {"wait", ParamType::duration}};
  static constexpr ParamFacts kIsolate[] = {{"allow", ParamType::texts}, {"dns", ParamType::flag}};
  static constexpr ParamFacts kTree[] = {{"depth", ParamType::integer}};
  static constexpr ActionFacts kActions[] = {
      {"container.pause", EffectClass::soft, true, true, 900, TargetKind::container},
      {"container.isolate_network", EffectClass::soft, true, true, 14'400, TargetKind::container, kIsolate},
      {"container.kill", EffectClass::hard, false, false, 0, TargetKind::container, kKill},
      {"container.evidence", EffectClass::collect, false, false, 0, TargetKind::container},
      {"process.kill", EffectClass::hard, false, false, 0, TargetKind::process, kTree},
      {"process.suspend", EffectClass::soft, true, true, 0, TargetKind::process},
      {"host.isolate_network", EffectClass::wide, true, true, 14'400, TargetKind::host},
      {"account.quarantine", EffectClass::critical, true, true, 86'400, TargetKind::user},
  };
  static const ActionCatalogue kCatalogue = [] {
    ActionCatalogue out;
    out.find = [](std::string_view name) -> const ActionFacts* {
      for (const ActionFacts& one : kActions)
        if (one.name == name) return &one;
      return nullptr;
    };
    for (const ActionFacts& one : kActions) out.names.push_back(one.name);
    return out;
  }();
  return kCatalogue;
}

inline PolicyFile read(const std::string& text, const PolicyConfig* config = nullptr) {
  return read_policies("p.yaml", text, {.actions = catalogue(), .config = config});
}

/// A policy of that name; `spec` is the rest of its spec, indented by two.
inline std::string policy_text(const std::string& name, const std::string& spec) {
  return "apiVersion: quell/v1\nkind: ResponsePolicy\nmetadata: {name: " + name + ", owner: me, version: 1}\nspec:\n" +
         spec;
}

inline std::shared_ptr<const Policy> policy(const std::string& name, const std::string& spec) {
  const PolicyFile file = read(policy_text(name, spec));
  EXPECT_EQ(file.errors, 0u) << readable(file.problems);
  return file.policies.empty() ? nullptr : file.policies.front();
}

struct Event {
  uint64_t at_s = 0;
  std::string rule = "Shell";
  std::string container = "c1";
  std::map<std::string, std::string> fields{}, labels{};
  Priority priority = Priority::error;
  std::string source = "syscall";
  int64_t pid = 100;
  std::string image = "web:1", started_at = "s1";
};

inline Detection detection(const Event& event) {
  static int number = 0;
  Detection out;
  out.id = fmt::format("d-{:016x}", ++number);
  out.rule = event.rule;
  out.priority = event.priority;
  out.source = event.source;
  out.hostname = "web-1";
  out.kernel_ns = kStartNs + event.at_s * kSecondNs;
  out.container_id = event.container;
  out.process = {"boot", event.pid, 7};
  out.process_name = "sh";
  if (event.container != "host") {
    auto container = std::make_shared<Container>();
    container->id = out.container_full_id = event.container;
    container->image = event.image;
    container->image_repository = event.image.substr(0, event.image.find(':'));
    container->labels = event.labels;
    container->started_at = event.started_at;
    out.container = container;
  }
  for (const auto& [name, value] : event.fields) out.output_fields.emplace_back(name, value);
  return out;
}

/// An engine that is fed in event time.
class Fed {
 public:
  explicit Fed(std::vector<std::shared_ptr<const Policy>> policies, EngineOptions options = {})
      : engine(std::move(policies), std::move(options)) {}

  std::vector<Decision> operator()(const Event& event, double confidence = 1) {
    std::vector<Decision> out;
    const Detection d = detection(event);
    now_ns = std::max(now_ns, d.kernel_ns);
    engine.feed(d, {.now_ns = now_ns, .confidence = confidence}, out);
    return out;
  }
  /// Kinds of the decisions, one character each: o r R(un) j x(refused) p.
  std::string kinds(const Event& event) {
    std::string out;
    for (const Decision& one : (*this)(event)) out += "oaRjxp"[static_cast<size_t>(one.kind)];
    return out;
  }
  PolicyCounters counters(size_t index = 0) const { return engine.status().at(index).counters; }

  PolicyEngine engine;
  uint64_t now_ns = kStartNs;
};

}  // namespace quell::respond::policy
