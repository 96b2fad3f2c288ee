// The evaluator against one that keeps every detection for ever and looks at all of them each time: random policies,
// random streams, times out of order within the lateness.
#include <random>
#include <set>

#include "world.h"

namespace quell::respond::policy {
namespace {

using Random = std::mt19937_64;

size_t below(Random& random, size_t bound) { return random() % bound; }

const char* const kRules[] = {"A", "B", "C", "D"};
const char* const kUsers[] = {"root", "www", "app"};
const Priority kPriorities[] = {Priority::notice, Priority::warning, Priority::error, Priority::critical};

struct Fact {
  uint64_t at_ns = 0;
  size_t rule = 0, user = 0, container = 0, priority = 0;
  int64_t pid = 0;
};

/// A policy as numbers, and how it is written.
struct Plain {
  std::string name;
  std::set<size_t> rules;
  size_t least_severity = 0;  // index of kPriorities
  int not_user = -1;
  uint64_t count = 1, window_ns = 0;
  int distinct = 0;  // 0 none, 1 rule, 2 user
  bool by_container = false, by_user = false;

  std::string text() const {
    std::string anyOf;
    for (const size_t rule : rules) anyOf += (anyOf.empty() ? "" : ", ") + std::string(kRules[rule]);
    static const char* const kSeverityNames[] = {"low", "medium", "high", "critical"};
    std::string spec = fmt::format("  mode: enforce\n  match:\n    rule: {{anyOf: [{}]}}\n    severity: {{gte: {}}}\n",
                                   anyOf, kSeverityNames[least_severity]);
    if (not_user >= 0) spec += fmt::format("    not: {{field: {{user.name: {}}}}}\n", kUsers[not_user]);
    spec += fmt::format("  threshold: {{count: {}, window: {}ms", count, window_ns / 1'000'000);
    if (distinct > 0) spec += fmt::format(", distinct: {}", distinct == 1 ? "rule" : "user.name");
    std::string by;
    if (by_container) by += "container.id";
    if (by_user) by += std::string(by.empty() ? "" : ", ") + "user.name";
    if (!by.empty()) spec += ", groupBy: [" + by + "]";
    return policy_text(
        name, spec + "}\n  actions: [process.kill]\n  limits: {perPolicy: 999999/1ms, perCluster: 999999/1ms}\n");
  }
};

/// Knows nothing of windows that slide or entries that are dropped.
class Naive {
 public:
  explicit Naive(Plain plain) : plain_(std::move(plain)) {}

  bool feed(const Fact& fact) {
    if (plain_.rules.count(fact.rule) == 0 || fact.priority < plain_.least_severity ||
        static_cast<int>(fact.user) == plain_.not_user)
      return false;
    auto& history = groups_[{plain_.by_container ? fact.container : 0, plain_.by_user ? fact.user : 0}];
    history.push_back(fact);
    for (const Fact& first : history) {
      if (first.at_ns > fact.at_ns || fact.at_ns - first.at_ns > plain_.window_ns) continue;
      std::multiset<size_t> values;
      for (const Fact& one : history) {
        if (one.at_ns >= first.at_ns && one.at_ns - first.at_ns <= plain_.window_ns)
          values.insert(plain_.distinct == 1 ? one.rule : one.user);
      }
      const size_t reached = plain_.distinct == 0 ? values.size() : std::set(values.begin(), values.end()).size();
      if (reached < plain_.count) continue;
      history.clear();
      return true;
    }
    return false;
  }

 private:
  Plain plain_;
  std::map<std::pair<size_t, size_t>, std::vector<Fact>> groups_;
};

Plain random_policy(Random& random, size_t number) {
  Plain out;
  out.name = fmt::format("p{}", number);
  while (out.rules.empty() || below(random, 2) == 0) out.rules.insert(below(random, std::size(kRules)));
  out.least_severity = below(random, 3);
  if (below(random, 3) == 0) out.not_user = static_cast<int>(below(random, std::size(kUsers)));
  out.distinct = static_cast<int>(below(random, 3));
  out.count = 1 + below(random, out.distinct == 0 ? 12 : 3);
  out.window_ns = (1 + below(random, 60)) * 500'000'000;
  out.by_container = below(random, 2) == 0;
  out.by_user = below(random, 3) == 0;
  return out;
}

TEST(PolicyEngine, AgreesWithOneThatKeepsEverything) {
  const uint64_t lateness_ns = 10 * kSecondNs;
  size_t feeds = 0, fired = 0, late = 0;
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    std::vector<Naive> naive;
    std::vector<std::shared_ptr<const Policy>> policies;
    for (size_t i = 0; i < 8; ++i) {
      const Plain plain = random_policy(random, i);
      naive.emplace_back(plain);
      const PolicyFile file = read(plain.text());
      ASSERT_EQ(file.errors, 0u) << plain.text() << readable(file.problems);
      policies.push_back(file.policies[0]);
    }
    EngineOptions options;
    options.lateness_ns = lateness_ns;
    PolicyEngine engine(policies, options);
    uint64_t newest_ns = kStartNs;
    std::vector<Decision> decisions;
    for (size_t n = 0; n < 2'000; ++n) {
      newest_ns += below(random, 4) == 0 ? below(random, 20'000'000'000) : below(random, 400'000'000);
      Fact fact;
      fact.at_ns = newest_ns - (below(random, 3) == 0 ? below(random, lateness_ns + 1) : 0);
      fact.rule = below(random, std::size(kRules));
      fact.user = below(random, std::size(kUsers));
      fact.container = below(random, 3);
      fact.priority = below(random, std::size(kPriorities));
      fact.pid = static_cast<int64_t>(n) + 1;
      Detection d = detection({.rule = kRules[fact.rule],
                               .container = fmt::format("c{}", fact.container),
                               .priority = kPriorities[fact.priority],
                               .pid = fact.pid});
      d.kernel_ns = fact.at_ns;
      d.user_name = kUsers[fact.user];
      decisions.clear();
      // Now and then the engine is put away and taken out again.
      if (below(random, 500) == 0) {
        PolicyEngine other(policies, options);
        ASSERT_TRUE(other.restore(engine.save()));
        engine = std::move(other);
      }
      engine.feed(d, {.now_ns = newest_ns}, decisions);
      // What holds is none of this test's business.
      for (const Decision& one : decisions) engine.release(one.id);
      ++feeds;
      std::set<std::string> got, expected;
      for (const Decision& one : decisions) got.insert(one.policy->name);
      for (size_t i = 0; i < naive.size(); ++i)
        if (naive[i].feed(fact)) expected.insert(fmt::format("p{}", i));
      fired += expected.size();
      ASSERT_EQ(got, expected) << "seed " << seed << ", detection " << n;
    }
    for (const PolicyStatus& status : engine.status()) late += status.counters.late;
  }
  EXPECT_GE(feeds, 100'000u);
  EXPECT_GT(fired, 1'000u);
  EXPECT_EQ(late, 0u);
}

}  // namespace
}  // namespace quell::respond::policy
