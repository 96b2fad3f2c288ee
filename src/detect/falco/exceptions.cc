#include "detect/falco/exceptions.h"

#include "detect/falco/condition_parser.h"
#include "detect/falco/context.h"

namespace quell::detect::falco {
namespace {

constexpr std::string_view kBlanks = " \t\r\n\v\f";

void append_list(SourcedText& out, const std::vector<Entry>& items, const yaml::Node& place) {
  out.append_at("(", place);
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out.append_at(", ", *items[i].node);
    out.append_at(quote_item(items[i].text()), *items[i].node);
  }
  out.append_at(")", place);
}

void append_value(SourcedText& out, const Entry& value, bool takes_list) {
  if (value.is_list()) return append_list(out, value.items, *value.node);
  const std::string& text = value.text();
  if (!takes_list || text.starts_with('(')) return out.append_at(takes_list ? text : quote_item(text), *value.node);
  // One scalar where a list belongs: a value, a list's name, or values with commas between them. Only the first can be
  // quoted.
  out.append_at("(", *value.node);
  out.append_at(text.find(',') == std::string::npos ? quote_item(text) : text, *value.node);
  out.append_at(")", *value.node);
}

// (F1 O1 v1 and F2 O2 v2)
void append_tuple(SourcedText& out, const ExceptionDefinition& exception, const Entry& tuple) {
  out.append_at("(", *tuple.node);
  for (size_t k = 0; k < exception.fields.size(); ++k) {
    if (k > 0) out.append_at(" and ", *tuple.node);
    const std::string& comp = exception.comps[k];
    out.append_at(exception.fields[k].text() + ' ' + comp + ' ', *exception.fields[k].node);
    append_value(out, tuple.items[k], parse_comp(comp)->takes_list());
  }
  out.append_at(")", *tuple.node);
}

// Empty if the exception has no values.
SourcedText expansion(const ExceptionDefinition& exception, const Context& context, std::vector<Problem>& errors) {
  SourcedText out;
  if (exception.values.empty()) return out;
  const auto fail = [&](const Entry& value, const char* message) {
    errors.push_back(problem_at(context, value.node->file(), value.node->start(), LoadCode::err_validate, message));
  };
  if (!exception.has_field_list) {
    for (const Entry& value : exception.values)
      if (value.is_list()) return fail(value, "Expected values array to contain a list of strings"), out;
    const Entry& field = exception.fields.front();
    out.append_at('(' + field.text() + ' ' + exception.comps.front() + ' ', *field.node);
    append_list(out, exception.values, *exception.node);
    out.append_at(")", *exception.node);
    return out;
  }
  out.append_at("(", *exception.node);
  for (size_t i = 0; i < exception.values.size(); ++i) {
    const Entry& tuple = exception.values[i];
    if (tuple.items.size() != exception.fields.size())
      return fail(tuple, "Fields and values lists must have equal length"), out;
    if (i > 0) out.append_at(" or ", *tuple.node);
    append_tuple(out, exception, tuple);
  }
  out.append_at(")", *exception.node);
  return out;
}

}  // namespace

bool Comp::takes_list() const {
  return modifier != Modifier::none || op == Op::in || op == Op::intersects || op == Op::pmatch;
}

std::string trimmed_comp(std::string_view text) {
  const size_t from = text.find_first_not_of(kBlanks);
  return from == std::string_view::npos ? std::string()
                                        : std::string(text.substr(from, text.find_last_not_of(kBlanks) + 1 - from));
}

std::optional<Comp> parse_comp(std::string_view text) {
  const size_t blank = text.find_first_of(kBlanks);
  const auto op = parse_op(text.substr(0, blank));
  if (!op || *op == Op::exists) return {};
  if (blank == std::string_view::npos) return Comp{*op};
  const auto modifier = parse_modifier(text.substr(text.find_first_not_of(kBlanks, blank)));
  if (!modifier || !takes_modifier(*op)) return {};
  return Comp{*op, *modifier};
}

std::string quote_item(std::string_view item) {
  if (item.find(' ') == std::string_view::npos || item.starts_with('"') || item.starts_with('\''))
    return std::string(item);
  return '"' + std::string(item) + '"';
}

SourcedText with_exceptions(const RuleDefinition& rule, std::vector<Problem>& errors) {
  const Context content{nullptr, "rules content", "", rule.node};
  const Context context{&content, "rule", rule.name, rule.node};
  SourcedText terms;
  for (const ExceptionDefinition& exception : rule.exceptions) {
    const SourcedText term = expansion(exception, {&context, "exception", exception.name, exception.node}, errors);
    if (term.empty()) continue;
    terms.append_at(" and not ", *exception.node);
    terms.append(term);
  }
  if (terms.empty()) return rule.condition;
  SourcedText out;
  out.append_at("(", *rule.node);
  out.append(rule.condition);
  out.append_at(")", *rule.node);
  out.append(terms);
  return out;
}

}  // namespace quell::detect::falco
