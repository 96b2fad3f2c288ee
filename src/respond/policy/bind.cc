#include "respond/policy/bind.h"

#include <re2/re2.h>

#include <algorithm>

#include "base/moment.h"
#include "base/sha256.h"
#include "respond/policy/schema.h"

namespace quell::respond::policy {
namespace {

using Op = ValueTest::Op;

std::string text_of(const yaml::Node* node) { return node == nullptr ? std::string() : node->text(); }

/// A choice as the index of its word; `otherwise` for anything else.
size_t index_of(const yaml::Node* node, std::string_view set, size_t otherwise) {
  if (node == nullptr) return otherwise;
  const auto words = words_of(set);
  const auto found = std::find(words.begin(), words.end(), node->text());
  return found == words.end() ? otherwise : static_cast<size_t>(found - words.begin());
}

std::shared_ptr<const re2::RE2> compiled(const std::string& pattern) {
  auto regex = std::make_shared<re2::RE2>(pattern, re2::RE2::Quiet);
  return regex->ok() ? regex : nullptr;
}

void add_list(const yaml::Node* node, Op op, std::vector<ValueTest>& out) {
  if (node != nullptr) out.push_back({.op = op, .list = GlobList(texts_of(node))});
}

void add_regex(const yaml::Node* node, std::vector<ValueTest>& out) {
  if (node == nullptr) return;
  if (auto regex = compiled(node->text())) out.push_back({.op = Op::regex, .regex = std::move(regex)});
}

void add_number(const yaml::Node* node, Op op, std::vector<ValueTest>& out) {
  if (node == nullptr) return;
  if (const auto number = node->as_double()) out.push_back({.op = op, .number = *number});
}

/// Names: texts alone mean `anyOf`.
std::vector<ValueTest> name_tests(const yaml::Node& node) {
  std::vector<ValueTest> out;
  if (!node.is_map()) {
    add_list(&node, Op::glob, out);
    return out;
  }
  add_list(node.find("anyOf"), Op::glob, out);
  add_list(node.find("allOf"), Op::all_of_globs, out);
  add_list(node.find("noneOf"), Op::not_glob, out);
  add_regex(node.find("regex"), out);
  return out;
}

std::vector<ValueTest> field_tests(const yaml::Node& node) {
  std::vector<ValueTest> out;
  if (!node.is_map()) {
    add_list(&node, Op::in, out);
    return out;
  }
  add_list(node.find("in"), Op::in, out);
  add_list(node.find("eq"), Op::in, out);
  add_list(node.find("notIn"), Op::not_in, out);
  add_list(node.find("ne"), Op::not_in, out);
  add_list(node.find("glob"), Op::glob, out);
  add_list(node.find("notGlob"), Op::not_glob, out);
  add_regex(node.find("regex"), out);
  add_number(node.find("gte"), Op::gte, out);
  add_number(node.find("gt"), Op::gt, out);
  add_number(node.find("lte"), Op::lte, out);
  add_number(node.find("lt"), Op::lt, out);
  if (const yaml::Node* exists = node.find("exists")) {
    if (const auto wanted = exists->as_bool()) out.push_back({.op = *wanted ? Op::exists : Op::is_absent});
  }
  return out;
}

uint8_t severities_of(const yaml::Node* node) {
  uint8_t out = 0;
  for (const std::string& text : texts_of(node)) {
    const auto words = words_of("severity");
    const auto found = std::find(words.begin(), words.end(), text);
    if (found != words.end()) out |= static_cast<uint8_t>(1u << (found - words.begin()));
  }
  return out;
}

constexpr uint8_t kAllSeverities = 0x1F;

void bind_duration(const yaml::Node* node, uint64_t& out) {
  if (node == nullptr) return;
  if (const auto value = parse_duration_ns(node->text())) out = *value;
}

void bind_rate(const yaml::Node* node, Rate& out) {
  if (node == nullptr) return;
  if (const auto value = parse_rate(node->text())) out = *value;
}

void bind_fraction(const yaml::Node* node, std::optional<double>& out) {
  if (node == nullptr) return;
  if (const auto value = node->as_double()) out = *value;
}

uint32_t count_of(const yaml::Node* node, uint32_t otherwise) {
  if (node == nullptr) return otherwise;
  const auto value = node->as_u64();
  return value && *value <= UINT32_MAX ? static_cast<uint32_t>(*value) : otherwise;
}

EntityGroup bind_group(const yaml::Node& node) {
  EntityGroup out;
  const auto list = [&](const char* key) { return GlobList(texts_of(node.find(key))); };
  out.containers = list("containers");
  out.images = list("images");
  out.namespaces = list("namespaces");
  out.hosts = list("hosts");
  out.users = list("users");
  out.labels = bind_labels(node.find("labels"));
  return out;
}

/// The node as JSON with the keys of every map in order. Scalars are texts: how a value was quoted changes nothing.
void write_canonical(JsonWriter& out, const yaml::Node& node, bool is_spec, int depth) {
  if (node.is_map()) {
    std::vector<const yaml::Entry*> entries;
    for (const yaml::Entry& entry : node.entries()) entries.push_back(&entry);
    std::stable_sort(entries.begin(), entries.end(),
                     [](const yaml::Entry* a, const yaml::Entry* b) { return a->key->text() < b->key->text(); });
    out.begin_object();
    for (const yaml::Entry* entry : entries) {
      if (is_spec && entry->key->text() == "mode") continue;
      out.key(entry->key->text());
      write_canonical(out, *entry->value, depth == 0 && entry->key->text() == "spec", depth + 1);
    }
    out.end_object();
  } else if (node.is_sequence()) {
    out.begin_array();
    for (const yaml::Node* item : node.items()) write_canonical(out, *item, false, depth + 1);
    out.end_array();
  } else if (node.is_null()) {
    out.null();
  } else {
    out.string(node.text());
  }
}

}  // namespace

const yaml::Node* node_at(const yaml::Node* node, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys)
    if (node != nullptr) node = node->find(key);
  return node;
}

std::vector<std::string> texts_of(const yaml::Node* node) {
  std::vector<std::string> out;
  if (node == nullptr) return out;
  if (node->is_scalar()) out.push_back(node->text());
  for (const yaml::Node* item : node->items())
    if (item->is_scalar()) out.push_back(item->text());
  return out;
}

uint8_t severity_mask(const yaml::Node& node) {
  if (!node.is_map()) return severities_of(&node);
  uint8_t mask = kAllSeverities;
  for (const char* key : {"in", "eq"})
    if (const yaml::Node* list = node.find(key)) mask &= severities_of(list);
  if (const yaml::Node* list = node.find("notIn")) mask &= static_cast<uint8_t>(~severities_of(list));
  const auto bound = [&](const char* key, auto allowed) {
    const size_t at = index_of(node.find(key), "severity", SIZE_MAX);
    if (at != SIZE_MAX) mask &= static_cast<uint8_t>(allowed(at));
  };
  bound("gte", [](size_t at) { return kAllSeverities << at; });
  bound("gt", [](size_t at) { return kAllSeverities << (at + 1); });
  bound("lte", [](size_t at) { return (2u << at) - 1; });
  bound("lt", [](size_t at) { return (1u << at) - 1; });
  return mask;
}

LabelGlobs bind_labels(const yaml::Node* node) {
  LabelGlobs out;
  if (node == nullptr) return out;
  for (const yaml::Entry& entry : node->entries()) out.emplace_back(entry.key->text(), entry.value->text());
  return out;
}

Condition bind_condition(const yaml::Node* node) {
  Condition out;
  if (node == nullptr || !node->is_map()) return out;
  for (const yaml::Entry& entry : node->entries()) {
    const std::string& key = entry.key->text();
    const yaml::Node& value = *entry.value;
    if (key == "all" || key == "any") {
      Condition& part = out.parts.emplace_back();
      part.kind = key == "all" ? Condition::Kind::all : Condition::Kind::any;
      for (const yaml::Node* item : value.items()) part.parts.push_back(bind_condition(item));
    } else if (key == "not") {
      Condition& part = out.parts.emplace_back();
      part.kind = Condition::Kind::negation;
      part.parts.push_back(bind_condition(&value));
    } else if (key == "rule" || key == "tags") {
      Condition& part = out.parts.emplace_back();
      part.kind = key == "rule" ? Condition::Kind::rule : Condition::Kind::tags;
      part.tests = name_tests(value);
    } else if (key == "severity") {
      Condition& part = out.parts.emplace_back();
      part.kind = Condition::Kind::severity;
      part.severities = severity_mask(value);
    } else if (key == "source") {
      Condition& part = out.parts.emplace_back();
      part.kind = Condition::Kind::source;
      add_list(&value, Op::in, part.tests);
    } else if (key == "field") {
      for (const yaml::Entry& field : value.entries()) {
        Condition& part = out.parts.emplace_back();
        part.kind = Condition::Kind::field;
        part.field = field.key->text();
        part.tests = field_tests(*field.value);
      }
    }
  }
  return out;
}

void bind_policy(const yaml::Node& document, Policy& policy) {
  const auto at = [&](std::initializer_list<std::string_view> keys) { return node_at(document.find("spec"), keys); };
  policy.document = &document;
  policy.name = text_of(node_at(&document, {"metadata", "name"}));
  policy.owner = text_of(node_at(&document, {"metadata", "owner"}));
  policy.version = count_of(node_at(&document, {"metadata", "version"}), 1);
  policy.hash = content_hash(document);
  policy.mode = static_cast<Mode>(index_of(at({"mode"}), "mode", 0));
  policy.match = bind_condition(at({"match"}));
  policy.wants_own_outcomes = names_source(policy.match, "quell");
  if (at({"threshold"}) != nullptr) {
    Threshold threshold;
    threshold.count = count_of(at({"threshold", "count"}), 1);
    threshold.distinct = text_of(at({"threshold", "distinct"}));
    bind_duration(at({"threshold", "window"}), threshold.window_ns);
    threshold.group_by = texts_of(at({"threshold", "groupBy"}));
    policy.threshold = std::move(threshold);
  }
  bind_fraction(at({"confidence", "gte"}), policy.confidence.gte);
  bind_fraction(at({"confidence", "gt"}), policy.confidence.gt);
  bind_fraction(at({"confidence", "lte"}), policy.confidence.lte);
  bind_fraction(at({"confidence", "lt"}), policy.confidence.lt);
  policy.scope.clusters = GlobList(texts_of(at({"scope", "clusters"})));
  policy.scope.namespaces = GlobList(texts_of(at({"scope", "namespaces"})));
  policy.scope.images = GlobList(texts_of(at({"scope", "images"})));
  policy.scope.hosts = GlobList(texts_of(at({"scope", "hosts"})));
  policy.scope.max_targets = count_of(at({"scope", "maxTargets"}), 0);
  if (const yaml::Node* exclude = at({"exclude"})) {
    for (const yaml::Node* item : exclude->items()) {
      policy.exclude.push_back({.labels = bind_labels(item->find("label")),
                                .entity_groups = texts_of(item->find("entityGroup")),
                                .condition = bind_condition(item)});
    }
  }
  policy.evidence.before = texts_of(at({"evidence", "before"}));
  bind_duration(at({"evidence", "budget"}), policy.evidence.budget_ns);
  bind_duration(at({"evidence", "capture", "before"}), policy.evidence.capture_before_ns);
  bind_duration(at({"evidence", "capture", "after"}), policy.evidence.capture_after_ns);
  bind_rate(at({"limits", "perTarget"}), policy.limits.per_target);
  bind_rate(at({"limits", "perPolicy"}), policy.limits.per_policy);
  bind_rate(at({"limits", "perCluster"}), policy.limits.per_cluster);
  policy.limits.disarms = index_of(at({"limits", "onExceed"}), "on_exceed", 0) == 0;
  if (const auto amount = parse_amount(text_of(at({"health", "minHealthyReplicas"}))))
    policy.health.min_healthy = *amount;
  if (const yaml::Node* respect = at({"health", "respectPDB"}))
    policy.health.respect_pdb = respect->as_bool().value_or(false);
  if (at({"approval"}) != nullptr) {
    Approval approval;
    if (auto required = parse_approvers(text_of(at({"approval", "required"})))) approval.required = *required;
    bind_duration(at({"approval", "expires"}), approval.expires_ns);
    approval.soft_only_on_timeout = index_of(at({"approval", "onTimeout"}), "on_timeout", 0) == 1;
    policy.approval = approval;
  }
  policy.expires_ns = parse_deadline(text_of(at({"expires"}))).value_or(0);
}

PolicyConfig bind_config(const yaml::Node& node) {
  PolicyConfig out;
  out.cluster = text_of(node.find("cluster"));
  if (const yaml::Node* groups = node.find("entityGroups"))
    for (const yaml::Entry& entry : groups->entries())
      out.entity_groups.emplace(entry.key->text(), bind_group(*entry.value));
  if (const yaml::Node* groups = node.find("approverGroups"))
    for (const yaml::Entry& entry : groups->entries())
      out.approver_groups.emplace(entry.key->text(), texts_of(entry.value));
  out.notify = texts_of(node.find("notify"));
  return out;
}

std::string content_hash(const yaml::Node& document) {
  JsonWriter out;
  write_canonical(out, document, false, 0);
  Sha256 hash;
  const std::string_view text = out.finished();
  hash.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return hash.finish();
}

}  // namespace quell::respond::policy
