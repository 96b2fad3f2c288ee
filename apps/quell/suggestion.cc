#include "apps/quell/suggestion.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "apps/quell/detection_fields.h"
#include "base/text.h"
#include "detect/ast.h"
#include "detect/matchers.h"

namespace quell::cli {
namespace {

constexpr size_t kMaxConstant = 255;  // of the rule language

using Terms = std::vector<ExceptionTerm>;

/// A term that demands what the detection says; nothing if it does not say, or says too much for a constant.
std::optional<ExceptionTerm> same(const Detection& detection, const std::string& field) {
  const auto value = field_of(detection, field);
  if (!value || value->empty() || value->size() > kMaxConstant) return {};
  return ExceptionTerm{field, "=", *value};
}

void add(Terms& terms, const std::optional<ExceptionTerm>& term) {
  if (term && std::find(terms.begin(), terms.end(), *term) == terms.end()) terms.push_back(*term);
}

/// Below /proc the name of a process is a number that never comes again.
ExceptionTerm without_pid(ExceptionTerm term) {
  constexpr std::string_view kProc = "/proc/";
  if (!term.value.starts_with(kProc)) return term;
  const size_t end = term.value.find_first_not_of("0123456789", kProc.size());
  if (end == kProc.size() || (end != std::string::npos && term.value[end] != '/')) return term;
  term.value = std::string(kProc) + "*" + (end == std::string::npos ? "" : term.value.substr(end));
  term.comp = "glob";
  return term;
}

/// Where it happened: an image outlives its containers.
std::optional<ExceptionTerm> place(const Detection& detection) {
  if (detection.container_id.empty()) return {};
  if (detection.container_id == "host") return ExceptionTerm{"container.id", "=", "host"};
  if (auto image = same(detection, "container.image.repository")) return image;
  return same(detection, "container.id");
}

/// What it was about: the file, the peer, the arguments of the call; else the command itself.
Terms decisive(const Detection& detection) {
  Terms out;
  if (const auto name = same(detection, "fd.name"); name && name->value.starts_with('/')) {
    out.push_back(without_pid(*name));
    return out;
  }
  if (const auto address = same(detection, "fd.sip")) {
    out.push_back(*address);
    add(out, same(detection, "fd.sport"));
    return out;
  }
  for (const auto& [field, value] : detection.output_fields) {
    if (!field.starts_with("evt.arg.") && !field.starts_with("fs.path.")) continue;
    if (const auto term = same(detection, field); term && out.size() < 2) out.push_back(without_pid(*term));
  }
  if (out.empty()) add(out, same(detection, "proc.cmdline"));
  return out;
}

/// The folder of the file in place of the file.
Terms widened(const Terms& terms) {
  Terms out = terms;
  for (ExceptionTerm& term : out) {
    const size_t slash = term.value.rfind('/');
    if (term.comp != "=" || !term.value.starts_with('/') || slash == 0) continue;
    term.comp = "startswith";
    term.value.resize(slash + 1);
  }
  return out;
}

std::string name_of(const std::string& rule, const Terms& terms) {
  std::string text = rule;
  for (const ExceptionTerm& term : terms) text += '\n' + term.field + '\n' + term.comp + '\n' + term.value;
  return fmt::format("suggested-{:08x}", XXH3_64bits(text.data(), text.size()) & 0xffffffff);
}

/// The rule's own exception filled with what the detection says, if that satisfies its comparisons.
std::optional<Suggestion> own(const Detection& detection, const detect::ExceptionShape& shape) {
  Suggestion out;
  out.name = shape.name;
  out.is_own = true;
  out.has_field_list = shape.has_field_list;
  for (size_t i = 0; i < shape.fields.size(); ++i) {
    auto term = same(detection, shape.fields[i]);
    if (!term) return {};
    term->comp = shape.comps[i];
    out.terms.push_back(*std::move(term));
  }
  // Also refuses comparisons that a value does not satisfy with itself, such as !=, and those that are not understood.
  if (!out.silences(detection).value_or(false)) return {};
  return out;
}

bool holds(const std::string& comp, const std::string& text, const std::string& value) {
  if (comp == "=" || comp == "==" || comp == "in") return text == value;
  if (comp == "startswith") return text.starts_with(value);
  if (comp == "endswith") return text.ends_with(value);
  if (comp == "contains") return text.find(value) != std::string::npos;
  if (comp == "glob") return detect::glob_match(value, text, false);
  if (comp == "pmatch") {
    detect::PathPrefixes prefixes;
    prefixes.insert(value);
    return prefixes.covers(text);
  }
  return false;
}

/// As a YAML scalar. JSON's escapes are YAML's.
std::string yaml_text(const std::string& text) {
  const bool is_plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c == '/' || c == '.' || c == '-';
  });
  return is_plain && text.front() != '-' ? text : "\"" + json_escape(text) + "\"";
}

/// As the rule language takes it back, in YAML.
std::string constant(const std::string& value) { return yaml_text(detect::quoted_if_needed(value)); }

}  // namespace

std::optional<bool> Suggestion::silences(const Detection& detection) const {
  for (const ExceptionTerm& term : terms) {
    const auto text = field_of(detection, term.field);
    if (!text) return {};
    if (!holds(term.comp, *text, term.value)) return false;
  }
  return true;
}

std::string Suggestion::text() const {
  std::string out;
  for (const ExceptionTerm& term : terms)
    out += fmt::format("{}{} {} {}", out.empty() ? "" : ", ", term.field, term.comp, term.value);
  return out;
}

std::vector<Suggestion> suggestions_for(const Detection& detection, const detect::Rule& rule) {
  std::vector<Suggestion> out;
  // What the rule's author foresaw comes first: such exceptions say what may be excepted, and stay readable in numbers.
  for (const detect::ExceptionShape& shape : rule.exceptions) {
    if (auto suggestion = own(detection, shape); suggestion && suggestion->terms.size() > 1)
      out.push_back(*std::move(suggestion));
  }
  const auto where = place(detection);
  auto program = same(detection, "proc.exepath");
  if (!program) program = same(detection, "proc.name");
  const auto parent = same(detection, "proc.pname");
  const auto user = same(detection, "user.name");
  const Terms what = decisive(detection);

  std::vector<Terms> scopes;
  const auto scope = [&](std::initializer_list<std::optional<ExceptionTerm>> who, const Terms& about) {
    Terms terms;
    for (const auto& term : who) add(terms, term);
    for (const ExceptionTerm& term : about) add(terms, term);
    if (!terms.empty() && std::find(scopes.begin(), scopes.end(), terms) == scopes.end())
      scopes.push_back(std::move(terms));
  };
  scope({where, program, parent, user}, what);
  scope({where, program, parent}, what);
  scope({where, program}, what);
  scope({where, program}, widened(what));
  if (program) scope({where, program}, {});
  if (where && where->field == "container.image.repository") scope({where}, {});

  for (Terms& terms : scopes) {
    Suggestion suggestion;
    suggestion.name = name_of(rule.name, terms);
    suggestion.terms = std::move(terms);
    out.push_back(std::move(suggestion));
  }
  // Of one field only: wider than most of the above.
  for (const detect::ExceptionShape& shape : rule.exceptions) {
    if (auto suggestion = own(detection, shape); suggestion && suggestion->terms.size() == 1)
      out.push_back(*std::move(suggestion));
  }
  return out;
}

std::string exception_yaml(const std::string& rule, const Suggestion& suggestion, const Responsibility& who) {
  std::vector<std::string> fields, comps, values;
  for (const ExceptionTerm& term : suggestion.terms) {
    fields.push_back(yaml_text(term.field));
    comps.push_back(yaml_text(term.comp));
    values.push_back(constant(term.value));
    if (suggestion.is_own && (term.comp == "in" || term.comp == "pmatch")) values.back() = "[" + values.back() + "]";
  }
  std::string out =
      fmt::format("- rule: {}\n  exceptions:\n    - name: {}\n", yaml_text(rule), yaml_text(suggestion.name));
  if (!suggestion.is_own) {
    out += fmt::format("      fields: [{}]\n      comps: [{}]\n", fmt::join(fields, ", "), fmt::join(comps, ", "));
  }
  if (suggestion.has_field_list) {
    out += fmt::format("      values:\n        - [{}]\n", fmt::join(values, ", "));
  } else {
    out += fmt::format("      values: [{}]\n", constant(suggestion.terms.front().value));
  }
  out += who.owner.empty() ? "      owner:   # who answers for it?\n" : "      owner: " + yaml_text(who.owner) + "\n";
  out +=
      who.reason.empty() ? "      reason:  # why is this expected?\n" : "      reason: " + yaml_text(who.reason) + "\n";
  out += "      expires: " + who.expires + "\n";
  return out + "  override: {exceptions: append}\n";
}

}  // namespace quell::cli
