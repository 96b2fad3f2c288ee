#include "respond/policy/policy_tests.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "base/text.h"
#include "respond/policy/bind.h"
#include "respond/policy/engine.h"
#include "respond/policy/reader.h"
#include "respond/policy/schema.h"
#include "respond/policy/steps.h"

namespace quell::respond::policy {
namespace {

constexpr uint64_t kStartNs = 1'767'225'600ull * kSecondNs;  // 2026-01-01
constexpr size_t kMaxDetections = 100'000;                   // of one case
constexpr size_t kMaxDifferences = 20;

std::string text_at(const yaml::Node& node, std::string_view key, std::string otherwise = {}) {
  const yaml::Node* value = node.find(key);
  return value == nullptr ? otherwise : value->text();
}

uint64_t count_at(const yaml::Node& node, std::string_view key, uint64_t otherwise) {
  const yaml::Node* value = node.find(key);
  return value == nullptr ? otherwise : value->as_u64().value_or(otherwise);
}

size_t word_at(const yaml::Node& node, std::string_view key, std::string_view set, size_t otherwise) {
  const auto words = words_of(set);
  const auto found = std::find(words.begin(), words.end(), text_at(node, key));
  return found == words.end() ? otherwise : static_cast<size_t>(found - words.begin());
}

Priority priority_of(size_t severity) {
  constexpr Priority kPriorities[] = {Priority::informational, Priority::notice, Priority::warning, Priority::error,
                                      Priority::critical};
  return kPriorities[severity];
}

/// The detection that a test writes down; `number` stands where `{n}` is written.
Detection detection_of(const yaml::Node& node, size_t index, uint64_t number) {
  Detection out;
  out.id = fmt::format("d-{:08x}{:08x}", index, number);
  out.rule = text_at(node, "rule");
  out.priority = priority_of(word_at(node, "severity", "severity", 3));
  out.source = text_at(node, "source", "syscall");
  out.tags = texts_of(node.find("tags"));
  out.hostname = text_at(node, "host", "test-host");
  out.kernel_ns = kStartNs + parse_duration_ns(text_at(node, "at")).value_or(0);
  out.process.boot_id = "test";
  auto container = std::make_shared<Container>();
  container->started_at = "test";
  const auto filled = [&](std::string value) {
    for (size_t at = 0; (at = value.find("{n}", at)) != std::string::npos;)
      value.replace(at, 3, std::to_string(number));
    return value;
  };
  out.container_id = "host";
  if (const yaml::Node* fields = node.find("fields")) {
    for (const yaml::Entry& entry : fields->entries()) {
      const std::string name = entry.key->text(), value = filled(entry.value->text());
      uint64_t pid = 0;
      if (name == "container.id") out.container_id = value;
      if (name == "container.name") container->name = value;
      if (name == "container.image")
        container->image = value, container->image_repository = value.substr(0, value.rfind(':'));
      if (name == "container.image.repository") container->image_repository = value;
      if (name == "container.started_at") container->started_at = value;
      if (name == "proc.name") out.process_name = value;
      if (name == "user.name") out.user_name = value;
      if (name == "proc.pid" && parse_u64(value, pid))
        out.process.pid = static_cast<int64_t>(pid), out.process.start_ticks = 1;
      out.output_fields.emplace_back(name, value);
    }
    std::sort(out.output_fields.begin(), out.output_fields.end());
  }
  if (out.container_id == "host") return out;
  out.container_full_id = container->id = container->full_id = out.container_id;
  if (const yaml::Node* labels = node.find("labels"))
    for (const yaml::Entry& entry : labels->entries())
      container->labels[entry.key->text()] = filled(entry.value->text());
  out.container = container;
  return out;
}

struct Decided {
  Decision decision;
  size_t detection = 0;
  std::vector<std::string> steps;
  bool is_expected = false;
};

class CaseRun {
 public:
  CaseRun(const yaml::Node& node, const std::vector<std::shared_ptr<const Policy>>& policies,
          const PolicyConfig& config, PolicyTestCase& out)
      : node_(node), out_(out), engine_(policies, options(node, config)) {
    if (const yaml::Node* outcomes = node.find("outcomes"))
      for (const yaml::Entry& entry : outcomes->entries())
        if (const auto state = parse_action_state(entry.value->text())) outcomes_[entry.key->text()] = *state;
    approval_ = static_cast<ApprovalState>(word_at(node, "approval", "answer", 1));
  }

  void run() {
    feed();
    judge();
    constexpr std::string_view kMore = "… and more";
    if (out_.differences.size() > kMaxDifferences) {
      out_.differences.resize(kMaxDifferences);
      out_.differences.emplace_back(kMore);
    }
  }

 private:
  static EngineOptions options(const yaml::Node& node, const PolicyConfig& config) {
    EngineOptions out;
    out.config = config;
    if (node.find("mode") != nullptr) out.mode = static_cast<Mode>(word_at(node, "mode", "mode", 0));
    return out;
  }

  void feed() {
    uint64_t now_ns = 0;
    size_t index = 0;
    std::vector<Decision> decisions;
    for (const yaml::Node* one : node_.find("detections")->items()) {
      const uint64_t repeat = count_at(*one, "repeat", 1);
      for (uint64_t n = 0; n < repeat && out_.detections < kMaxDetections; ++n) {
        const Detection detection = detection_of(*one, index, n);
        now_ns = std::max(now_ns, detection.kernel_ns);
        FeedContext context;
        context.now_ns = now_ns;
        if (const yaml::Node* confidence = one->find("confidence"))
          context.confidence = confidence->as_double().value_or(1);
        decisions.clear();
        engine_.feed(detection, context, decisions);
        ++out_.detections;
        for (Decision& decision : decisions) {
          std::vector<std::string> steps = played(decision);
          decided_.push_back({std::move(decision), index, std::move(steps)});
        }
      }
      ++index;
    }
    out_.decisions = decided_.size();
  }

  std::vector<std::string> played(const Decision& decision) const {
    std::vector<std::string> steps;
    std::vector<StepOutcome> outcomes;
    for (;;) {
      const NextStep next = next_step(decision, outcomes, approval_);
      if (next.kind == NextStep::Kind::done || next.kind == NextStep::Kind::wait) return steps;
      StepOutcome& outcome = outcomes.emplace_back(StepOutcome{next.step, ActionState::contained});
      if (next.kind == NextStep::Kind::notify) {
        steps.push_back(fmt::format("notify:{}", fmt::join(*next.notify, ",")));
        continue;
      }
      steps.push_back(next.action->action);
      if (const auto state = outcomes_.find(next.action->action); state != outcomes_.end())
        outcome.state = state->second;
    }
  }

  static bool fits(const yaml::Node& expected, const Decided& decided) {
    const Decision& decision = decided.decision;
    const auto same = [&](std::string_view key, std::string_view value) {
      return expected.find(key) == nullptr || text_at(expected, key) == value;
    };
    return same("detection", std::to_string(decided.detection)) && same("policy", decision.policy->name) &&
           same("state", to_string(decision.kind)) && same("reason", to_string(decision.refusal)) &&
           same("target", decision.target.label) &&
           (expected.find("steps") == nullptr || texts_of(expected.find("steps")) == decided.steps);
  }

  static std::string described(const Decided& decided) {
    const Decision& decision = decided.decision;
    std::string out = fmt::format("detection {}: {} {} {}", decided.detection, decision.policy->name,
                                  to_string(decision.kind), decision.target.label);
    if (decision.refusal != Refusal::none) out += fmt::format(" ({})", to_string(decision.refusal));
    if (!decided.steps.empty()) out += fmt::format(": {}", fmt::join(decided.steps, ", "));
    return out;
  }

  static std::string described(const yaml::Node& expected) {
    std::string out;
    for (const yaml::Entry& entry : expected.entries())
      if (entry.key->text() != "times")
        out +=
            fmt::format("{}{} {}", out.empty() ? "" : ", ", entry.key->text(), fmt::join(texts_of(entry.value), ", "));
    return out;
  }

  void judge() {
    if (const yaml::Node* expect = node_.find("expect")) {
      for (const yaml::Node* expected : expect->items()) {
        uint64_t wanted = count_at(*expected, "times", 1);
        for (Decided& one : decided_) {
          if (wanted == 0) break;
          if (one.is_expected || !fits(*expected, one)) continue;
          one.is_expected = true;
          --wanted;
        }
        if (wanted > 0)
          out_.differences.push_back(fmt::format("- {}{} was expected   ({})",
                                                 wanted > 1 ? fmt::format("{} × ", wanted) : "", described(*expected),
                                                 expected->where()));
      }
    }
    const auto must_not = texts_of(node_.find("notFired"));
    for (const Decided& one : decided_) {
      const bool is_forbidden =
          std::find(must_not.begin(), must_not.end(), one.decision.policy->name) != must_not.end();
      if (!one.is_expected || is_forbidden)
        out_.differences.push_back(fmt::format("+ {}{}", described(one), is_forbidden ? "   (must not fire)" : ""));
    }
  }

  const yaml::Node& node_;
  PolicyTestCase& out_;
  PolicyEngine engine_;
  std::map<std::string, ActionState> outcomes_;
  ApprovalState approval_ = ApprovalState::granted;
  std::vector<Decided> decided_;
};

}  // namespace

size_t PolicyTestOutcome::failed() const {
  return static_cast<size_t>(
      std::count_if(cases.begin(), cases.end(), [](const PolicyTestCase& one) { return !one.is_ok(); }));
}

void run_policy_tests(const std::string& path, const ActionCatalogue& actions, PolicyTestOutcome& out) {
  Problems problems;
  const auto finish = [&](bool is_broken) {
    problems.sort();
    for (Problem& problem : problems.take()) out.problems.push_back(std::move(problem));
    out.broken += is_broken;
  };
  const auto text = yaml::read_text_file(path);
  if (!text) {
    problems.of_file(path, {}, text.error());
    return finish(true);
  }
  const auto file = yaml::parse(path, *text);
  if (!file) {
    problems.of_file(path, *text, file.error());
    return finish(true);
  }
  for (const yaml::Node* document : (*file)->documents()) check_shape(*document, "test", problems);
  if (problems.errors() > 0 || (*file)->documents().size() != 1) {
    if (problems.errors() == 0)
      problems.of_file(path, *text, {Code::invalid_argument, "a test file has one document", {}});
    return finish(true);
  }
  const yaml::Node& document = *(*file)->documents().front();
  PolicyConfig config;
  const yaml::Node* config_node = document.find("config");
  if (config_node != nullptr) config = bind_config(*config_node);
  std::vector<PolicyFile> files;
  for (const std::string& name : texts_of(document.find("policies")))
    files.push_back(read_policy_file((std::filesystem::path(path).parent_path() / name).lexically_normal().string(),
                                     {.actions = actions, .config = config_node == nullptr ? nullptr : &config}));
  find_shared_names(files);
  std::vector<std::shared_ptr<const Policy>> policies;
  bool is_broken = false;
  for (PolicyFile& one : files) {
    is_broken = is_broken || one.errors > 0;
    policies.insert(policies.end(), one.policies.begin(), one.policies.end());
    if (one.errors > 0)
      for (Problem& problem : one.problems) out.problems.push_back(std::move(problem));
  }
  if (is_broken) return finish(true);
  for (const yaml::Node* one : document.find("cases")->items()) {
    PolicyTestCase& result = out.cases.emplace_back();
    result.file = path;
    result.name = text_at(*one, "name");
    result.why = text_at(*one, "why", text_at(document, "why"));
    CaseRun(*one, policies, config, result).run();
  }
  finish(false);
}

void write_policy_tests(JsonWriter& out, const PolicyTestOutcome& outcome) {
  out.begin_object().text("apiVersion", "quell/v1");
  out.integer("ok", outcome.cases.size() - outcome.failed()).integer("failed", outcome.failed());
  out.integer("broken", outcome.broken).key("cases").begin_array();
  for (const PolicyTestCase& one : outcome.cases) {
    out.begin_object().text("file", one.file).text("case", one.name).text("why", one.why).flag("ok", one.is_ok());
    out.integer("detections", one.detections).integer("decisions", one.decisions);
    out.texts("differences", one.differences).end_object();
  }
  out.end_array().key("problems");
  write_problems(out, outcome.problems);
  out.end_object();
}

}  // namespace quell::respond::policy
