#include "capture/scenario/scenario.h"

#include "base/text.h"
#include "base/yaml.h"
#include "capture/scenario/cast.h"
#include "capture/scenario/writer.h"

namespace quell::capture {
namespace {

using scenario::Actor;
using scenario::Cast;
using scenario::KeyKind;
using scenario::Writer;

Result<void> read_processes(const yaml::Node& root, Cast& cast) {
  const yaml::Node* processes = root.find("processes");
  if (processes == nullptr) return {};
  if (!processes->is_map()) return processes->error("processes is a map from a name to a description");
  for (const yaml::Entry& entry : processes->entries()) {
    if (!entry.value->is_map()) return entry.value->error("a process is a map, such as {proc.name: nginx}");
    for (const yaml::Entry& key : entry.value->entries()) {
      const KeyKind kind = scenario::kind_of_key(key.key->text());
      const bool fits = kind == KeyKind::process || kind == KeyKind::ancestor || kind == KeyKind::container;
      if (fits || key.key->text() == "fds" || key.key->text() == "note") continue;
      const std::string_view meant = nearest(key.key->text(), scenario::known_keys());
      return key.key->error("'" + key.key->text() + "' says nothing about a process" +
                            (meant.empty() ? std::string{} : ": did you mean " + std::string(meant) + "?"));
    }
    QUELL_CHECK(cast.add(entry.key->text(), *entry.value, false).map([](auto*) {}));
  }
  return {};
}

Result<void> read_names(const yaml::Node& root, Scenario& out) {
  const yaml::Node* names = root.find("names");
  if (names == nullptr) return {};
  if (!names->is_map()) return names->error("names is a map from a domain name to its address");
  for (const yaml::Entry& entry : names->entries()) {
    const auto address = scenario::parse_ip(entry.value->text());
    if (!address) return entry.value->error("'" + entry.value->text() + "' is no IP address");
    out.names.emplace_back(entry.key->text(), *address);
  }
  return {};
}

/// `event: 3` of an expectation.
Result<uint32_t> event_position(const yaml::Node& node, uint32_t event_count) {
  QUELL_TRY(const uint64_t event, node.get_u64("event"));
  if (event >= event_count)
    return node.find("event")->error("there is no event " + std::to_string(event) + ": positions count from 0 to " +
                                     std::to_string(event_count - 1));
  return static_cast<uint32_t>(event);
}

Result<void> read_expectations(const yaml::Node& root, Scenario& out) {
  if (const yaml::Node* never = root.find("must_not_fire")) {
    QUELL_TRY(out.must_not_fire, never->as_strings());
  }
  QUELL_TRY(out.is_exact, root.get_bool("exact", true));
  const yaml::Node* expect = root.find("expect");
  if (expect == nullptr && out.must_not_fire.empty()) {
    QUELL_TRY(expect, root.get_sequence("expect"));
  }
  if (expect != nullptr && !expect->is_sequence()) return expect->error("expect is a sequence of {rule, event}");
  for (const yaml::Node* item : expect != nullptr ? expect->items() : std::span<const yaml::Node* const>()) {
    if (!item->is_map()) return item->error("an expectation is a map, such as {rule: NAME, event: 0, attack: T1059}");
    QUELL_CHECK(item->only_keys({"rule", "event", "attack", "fields"}));
    Expectation expectation;
    QUELL_TRY(expectation.rule, item->get_string("rule"));
    QUELL_TRY(expectation.event, event_position(*item, out.event_count));
    QUELL_TRY(expectation.attack, item->get_string("attack", ""));
    if (const yaml::Node* fields = item->find("fields")) {
      if (!fields->is_map()) return fields->error("fields is a map from a field to its value, such as {proc.name: sh}");
      for (const yaml::Entry& field : fields->entries()) {
        QUELL_TRY(std::string value, field.value->as_string());
        expectation.fields.emplace_back(field.key->text(), std::move(value));
      }
    }
    expectation.where = item->where();
    out.expect.push_back(std::move(expectation));
  }
  const yaml::Node* misses = root.find("near_miss");
  if (misses == nullptr) return {};
  if (!misses->is_sequence()) return misses->error("near_miss is a sequence of {rule, event, because}");
  for (const yaml::Node* item : misses->items()) {
    if (!item->is_map()) return item->error("a near miss is a map, such as {rule: NAME, event: 1, because: REASON}");
    QUELL_CHECK(item->only_keys({"rule", "event", "because"}));
    NearMiss miss;
    QUELL_TRY(miss.rule, item->get_string("rule"));
    QUELL_TRY(miss.event, event_position(*item, out.event_count));
    QUELL_TRY(miss.because, item->get_string("because"));
    miss.where = item->where();
    for (const Expectation& expectation : out.expect)
      if (expectation.rule == miss.rule && expectation.event == miss.event)
        return item->error("event " + std::to_string(miss.event) + " is expected and a near miss of the same rule");
    out.near_misses.push_back(std::move(miss));
  }
  return {};
}

/// One case. `shared` is the map around it, or the case itself when it is the only one.
Result<Scenario> build_case(const yaml::Node& shared, const yaml::Node& root) {
  Scenario out;
  out.name = root.file().name();
  out.where = root.where();
  const bool is_only = &shared == &root;
  if (!is_only) {
    QUELL_TRY(out.case_name, root.get_string("name"));
  }
  if (is_only || root.find("why") != nullptr || shared.find("why") == nullptr) {
    QUELL_TRY(out.why, root.get_string("why"));
  } else {
    QUELL_TRY(out.why, shared.get_string("why"));
  }
  if (const yaml::Node* rules = shared.find("rules")) {
    QUELL_TRY(out.rules, rules->as_strings());
    if (out.rules.empty()) return rules->error("rules names no file: nothing could ever be detected");
  }

  QUELL_CHECK(read_names(shared, out));
  Cast cast;
  QUELL_CHECK(read_processes(shared, cast));
  if (!is_only) QUELL_CHECK(read_processes(root, cast));
  Writer writer(cast);
  QUELL_TRY(const yaml::Node* events, root.get_sequence("events"));
  if (events->items().empty()) return events->error("events is empty: nothing happens");
  for (const yaml::Node* entry : events->items()) QUELL_CHECK(writer.write(*entry));
  out.event_count = static_cast<uint32_t>(events->items().size());
  QUELL_CHECK(read_expectations(root, out));

  out.snapshot = cast.snapshot();
  // A socket() may lead its connect by a little, so what comes before everything ends a bit earlier.
  const std::vector<const Actor*> born = cast.born();
  const uint64_t lead_ns = 1'000'000 + (born.empty() ? 0 : born.front()->age_ns);
  for (auto& bytes : cast.preamble(kScenarioStartNs - lead_ns)) out.events.push_back({std::move(bytes), -1});
  Writer births(cast);
  for (const Actor* actor : born) births.write_birth(*actor);
  for (ScenarioEvent& event : births.take()) out.events.push_back(std::move(event));
  for (ScenarioEvent& event : writer.take()) out.events.push_back(std::move(event));
  return out;
}

Result<std::vector<Scenario>> build(const yaml::File& file) {
  if (file.documents().size() != 1 || !file.documents()[0]->is_map())
    return Error{Code::invalid_argument, "a scenario is one map with why, rules, events and expect", file.name()};
  const yaml::Node& root = *file.documents()[0];
  std::vector<Scenario> out;
  const yaml::Node* cases = root.find("cases");
  if (cases == nullptr) {
    QUELL_CHECK(root.only_keys(
        {"why", "rules", "names", "processes", "events", "expect", "near_miss", "must_not_fire", "exact"}));
    QUELL_TRY(Scenario only, build_case(root, root));
    out.push_back(std::move(only));
    return out;
  }
  QUELL_CHECK(root.only_keys({"why", "rules", "names", "processes", "cases"}));
  if (!cases->is_sequence() || cases->items().empty()) return cases->error("cases is a sequence of at least one case");
  for (const yaml::Node* item : cases->items()) {
    if (!item->is_map()) return item->error("a case is a map with name, events and expect");
    QUELL_CHECK(
        item->only_keys({"name", "why", "processes", "events", "expect", "near_miss", "must_not_fire", "exact"}));
    QUELL_TRY(Scenario one, build_case(root, *item));
    out.push_back(std::move(one));
  }
  return out;
}

Result<Scenario> only_case(Result<std::vector<Scenario>> cases) {
  if (!cases) return cases.error();
  if (cases->size() == 1) return std::move(cases->front());
  return Error{Code::invalid_argument, "this file holds several cases; one is expected here", cases->front().name};
}

}  // namespace

Result<std::vector<Scenario>> parse_scenarios(std::string name, std::string text) {
  QUELL_TRY(const auto file, yaml::parse(std::move(name), std::move(text)));
  return build(*file);
}

Result<std::vector<Scenario>> load_scenarios(const std::string& path) {
  QUELL_TRY(const auto file, yaml::parse_file(path));
  return build(*file);
}

Result<Scenario> parse_scenario(std::string name, std::string text) {
  return only_case(parse_scenarios(std::move(name), std::move(text)));
}

Result<Scenario> load_scenario(const std::string& path) { return only_case(load_scenarios(path)); }

}  // namespace quell::capture
