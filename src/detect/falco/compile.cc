#include "detect/falco/compile.h"

#include <algorithm>

#include "detect/falco/condition_parser.h"
#include "detect/falco/context.h"
#include "detect/falco/event_types.h"
#include "detect/falco/exceptions.h"
#include "detect/falco/lists.h"
#include "detect/falco/macros.h"

namespace quell::detect::falco {
namespace {

constexpr size_t kMaxTextBytes = 256u << 20;  // of all conditions together, lists put in
constexpr size_t kManyEventTypes = 100;
constexpr size_t kMaxProblems = 500;  // of one file; nobody reads more

// A text that was parsed: positions in trees lead back to it.
struct ParsedText {
  uint32_t base = 0;
  std::string_view item_type;  // "rule", "macro"
  std::string name;
  const yaml::Node* item = nullptr;
  SourcedText text;
};

class Compilation {
 public:
  Compilation(const Store& store, const Semantics& semantics, const std::vector<ExtraOutput>& extra_outputs,
              const Reader& reader, FileResult& result)
      : store_(store),
        semantics_(semantics),
        extra_outputs_(extra_outputs),
        reader_(reader),
        result_(result),
        macros_(store.macros) {}

  Compiled run(ListTable lists) {
    lists_ = &lists;
    for (const auto& macro : store_.macros.all()) parse_macro(*macro);
    for (const auto& macro : store_.macros.all()) {
      std::vector<MacroError> errors;
      const ExprPtr tree = macros_.resolve_macro(macro->name, errors);
      report(errors);
      MacroDetails& details = out_.macros.emplace_back();
      details.name = macro->name;
      details.condition = macro->condition.str();
      details.lists = lists.names_in(details.condition);
      details.macros = macro_names_.at(macro->name);
      if (tree) details.condition_compiled = tree->str();
    }
    for (const auto& rule : store_.rules.all())
      if (rule->is_known_source) compile_rule(*rule);
    for (const OrphanException& orphan : store_.orphans) record(orphan.rule, orphan.name, orphan.note, true);
    for (const RuleDefinition& rule : reader_.refused_rules())
      if (rule.is_known_source) compile_rule(rule);
    finish(lists);
    return std::move(out_);
  }

 private:
  // --- problems
  // --------------------------------------------------------------------------------------------------------
  void add(Problem problem) {
    auto& problems = is_error(problem.code) ? result_.errors : result_.warnings;
    // A mistake in a macro shows up in every rule that uses it, at one place.
    if (problems.size() >= kMaxProblems || std::find(problems.begin(), problems.end(), problem) != problems.end())
      return;
    problems.push_back(std::move(problem));
  }

  const ParsedText* text_at(uint32_t offset) const {
    const auto next = std::upper_bound(texts_.begin(), texts_.end(), offset,
                                       [](uint32_t at, const ParsedText& text) { return at < text.base; });
    return next == texts_.begin() ? nullptr : &*std::prev(next);
  }

  /// A problem at `pos` of a parsed text. `user` is the rule that brought it up, if the text is a macro's.
  void add_at(const TextPos& pos, LoadCode code, std::string message, std::string suggestion,
              const RuleDefinition* user = nullptr) {
    const ParsedText* text = text_at(pos.offset);
    if (!text) return;
    const Context content{nullptr, "rules content", "", text->item};
    const Context rule{&content, "rule", user ? user->name : "", user ? user->node : text->item};
    const bool is_foreign = user && user->node != text->item;
    const Context item{is_foreign ? &rule : &content, text->item_type, text->name, text->item};
    const uint32_t local = pos.offset - text->base;
    const SourcedText::Place place = text->text.locate(local);
    if (!place.node) return add(problem_at(item, code, std::move(message), std::move(suggestion)));
    Problem problem = problem_at(item, place.node->file(), place.mark, code, std::move(message), std::move(suggestion));
    const yaml::Mark& start = place.node->start();
    const std::string& whole = text->text.str();
    std::string shown = whole.substr(0, std::min<size_t>(whole.find('\n'), 20));
    if (shown.size() < whole.size()) shown += "...";
    problem.locations.push_back({"condition expression", std::move(shown), place.node->file().name(),
                                 start.line + pos.line, start.column + pos.column, start.offset + local});
    add(std::move(problem));
  }

  void report(const std::vector<MacroError>& errors) {
    for (const MacroError& error : errors) {
      if (error.is_follow_up || is_about_failed(error)) continue;
      add_at(error.pos, LoadCode::err_validate, error.message, error.suggestion);
    }
  }
  // The macro was refused when it was read, and that has been said.
  bool is_about_failed(const MacroError& error) const {
    return std::any_of(reader_.failed().macros.begin(), reader_.failed().macros.end(), [&](const std::string& name) {
      return error.message == "Undefined macro '" + name + "' used in filter.";
    });
  }

  // --- conditions
  // ------------------------------------------------------------------------------------------------------ Puts lists
  // in and parses; null after an error.
  ExprPtr parse(SourcedText text, std::string_view item_type, const Definition& definition) {
    auto expanded = lists_->substitute(text);
    const Context content{nullptr, "rules content", "", definition.node};
    const Context item{&content, item_type, definition.name, definition.node};
    if (!expanded) return add(problem_at(item, LoadCode::err_validate, expanded.error().message)), nullptr;
    if (next_base_ + expanded->str().size() > kMaxTextBytes) {
      add(problem_at(item, LoadCode::err_validate,
                     "with their lists put in, all conditions together are larger than " +
                         std::to_string(kMaxTextBytes >> 20) + " MiB"));
      return nullptr;
    }
    const auto base = static_cast<uint32_t>(next_base_);
    next_base_ += expanded->str().size() + 1;
    texts_.push_back({base, item_type, definition.name, definition.node, std::move(*expanded)});
    auto tree = parse_condition(texts_.back().text.str(), base);
    if (tree) return std::move(*tree);
    add_at(tree.error().pos, LoadCode::err_compile_condition, tree.error().message, "");
    return nullptr;
  }

  static std::vector<std::string> macro_names(const Expr& tree) {
    std::vector<std::string> names;
    for_each_macro(tree, [&](const Expr& use) { names.push_back(use.macro); });
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
  }

  void parse_macro(const MacroDefinition& macro) {
    ExprPtr tree = parse(macro.condition, "macro", macro);
    macro_names_[macro.name] = tree ? macro_names(*tree) : std::vector<std::string>();
    macros_.add(macro.name, std::move(tree));
  }

  // --- rules
  // -----------------------------------------------------------------------------------------------------------
  /// The tree with exceptions, lists and macros put in; null after an error. `parsed`: before the macros, if it got so
  /// far.
  ExprPtr resolve_condition(const RuleDefinition& definition, RuleDetails& details, ExprPtr& parsed) {
    if (definition.condition.str().empty()) return nullptr;  // the reader has said so
    std::vector<Problem> exception_errors;
    SourcedText text = with_exceptions(definition, exception_errors);
    const bool is_whole = exception_errors.empty();
    for (Problem& problem : exception_errors) add(std::move(problem));
    if (!is_whole) text = definition.condition;
    details.lists = lists_->names_in(text.str());
    parsed = parse(std::move(text), "rule", definition);
    if (!parsed) return nullptr;
    details.macros = macro_names(*parsed);
    std::vector<MacroError> macro_errors;
    ExprPtr condition = macros_.resolve(parsed, SIZE_MAX, macro_errors);
    report(macro_errors);
    return condition;
  }

  // Condition and output are both checked, whatever the other says, so that one run tells all that is wrong.
  void compile_rule(const RuleDefinition& definition) {
    Rule rule;
    rule.name = definition.name;
    rule.source = definition.source;
    rule.tags.assign(definition.tags.begin(), definition.tags.end());
    RuleDetails details;
    const size_t errors_before = result_.errors.size();
    ExprPtr parsed;
    const ExprPtr condition = resolve_condition(definition, details, parsed);
    const Verdict on_fields = parsed ? check_condition(definition, condition ? *condition : *parsed) : Verdict::refused;
    const Verdict on_condition = condition || on_fields == Verdict::drop ? on_fields : Verdict::refused;
    const Verdict on_output = on_condition == Verdict::drop ? Verdict::drop : make_output(definition, rule);
    const bool has_events = on_condition == Verdict::sound && find_events(definition, *condition, rule);
    if (!has_events || on_output != Verdict::sound || result_.errors.size() != errors_before) return;

    rule.description = definition.description;
    rule.condition_text = definition.condition.str();
    rule.condition = condition;
    rule.priority = definition.priority;
    rule.enabled = definition.enabled;
    rule.capture = definition.capture;
    rule.capture_duration_ms = definition.capture_duration_ms;
    for (const ExceptionDefinition& exception : definition.exceptions) {
      rule.exception_names.push_back(exception.name);
      ExceptionShape& shape = rule.exceptions.emplace_back();
      shape.name = exception.name;
      shape.comps = exception.comps;
      shape.has_field_list = exception.has_field_list;
      for (const Entry& field : exception.fields) {
        rule.exception_fields.push_back(field.text());
        shape.fields.push_back(field.text());
      }
      for (const ExceptionNote& note : exception.notes) record(rule.name, exception.name, note, false);
    }
    rule.fold = definition.fold;
    std::sort(rule.exception_fields.begin(), rule.exception_fields.end());
    rule.exception_fields.erase(std::unique(rule.exception_fields.begin(), rule.exception_fields.end()),
                                rule.exception_fields.end());
    rule.file = definition.node->file().name();
    rule.line = definition.node->start().line + 1;
    out_.rules.rules.push_back(std::move(rule));
    out_.rule_details.push_back(std::move(details));
  }

  void record(const std::string& rule, const std::string& name, const ExceptionNote& note, bool is_orphan) {
    ExceptionRecord& out = out_.rules.exceptions.emplace_back();
    out.rule = rule;
    out.name = name;
    out.owner = note.owner;
    out.reason = note.reason;
    out.expires = note.expires;
    out.expires_ns = note.expires_ns;
    out.is_expired = note.is_expired;
    out.is_orphan = is_orphan;
    out.value_count = note.value_count;
    out.file = note.node->file().name();
    out.line = note.node->start().line + 1;
  }

  enum class Verdict : uint8_t { sound, refused, drop };

  // skip-if-unknown-filter turns what this engine does not know into a warning, and the rule is left out.
  static bool drops(const RuleDefinition& rule, const std::vector<Finding>& findings) {
    return rule.skip_if_unknown_filter && std::any_of(findings.begin(), findings.end(), [](const Finding& finding) {
             return finding.is_error && finding.unknown_filter;
           });
  }

  static LoadCode warning_code(const Finding& finding) {
    switch (finding.topic) {
      case Finding::Topic::unsafe_na_check: return LoadCode::unsafe_na_check;
      case Finding::Topic::deprecated_item: return LoadCode::deprecated_item;
      case Finding::Topic::condition: break;
    }
    return LoadCode::compile_condition;
  }

  Verdict check_condition(const RuleDefinition& rule, const Expr& condition) {
    const auto findings = semantics_.check_condition(rule.source, condition);
    const bool dropped = drops(rule, findings);
    Verdict verdict = dropped ? Verdict::drop : Verdict::sound;
    for (const Finding& finding : findings) {
      if (dropped && !(finding.is_error && finding.unknown_filter)) continue;
      if (finding.is_error && !dropped) verdict = Verdict::refused;
      const LoadCode code = dropped            ? LoadCode::unknown_filter
                            : finding.is_error ? LoadCode::err_compile_condition
                                               : warning_code(finding);
      add_at(finding.pos, code, finding.message, finding.suggestion, &rule);
    }
    return verdict;
  }

  Verdict make_output(const RuleDefinition& definition, Rule& rule) {
    const Context content{nullptr, "rules content", "", definition.node};
    const Context item{&content, "rule", definition.name, definition.node};
    SourcedText output = definition.output;
    bool extra_is_sound = true;
    constexpr std::string_view kContainerInfo = "%container.info";
    for (size_t at; (at = output.str().find(kContainerInfo)) != std::string::npos;) {
      const auto place = output.locate(at);
      add(problem_at(item, place.node->file(), place.mark, LoadCode::deprecated_item,
                     "%container.info is deprecated and is replaced by nothing",
                     "name the container.* fields that you want"));
      SourcedText without;
      without.append_slice(output, 0, at);
      without.append_slice(output, at + kContainerInfo.size(), output.str().size());
      output = without.trimmed();
    }
    for (const ExtraOutput& extra : extra_outputs_) {
      if ((!extra.source.empty() && extra.source != rule.source) || (!extra.rule.empty() && extra.rule != rule.name))
        continue;
      if (!std::includes(rule.tags.begin(), rule.tags.end(), extra.tags.begin(), extra.tags.end())) continue;
      if (!extra.text.empty()) output.append_at(" " + extra.text, *definition.node);
      for (const ExtraField& field : extra.fields) {
        rule.extra_fields.push_back(field);
        for (const Finding& finding : semantics_.check_output(rule.source, field.text)) {
          if (!finding.is_error) continue;
          add(problem_at(
              item, LoadCode::err_compile_output,
              "the extra field " + (field.name.empty() ? field.text.substr(1) : field.name) + ": " + finding.message,
              finding.suggestion));
          extra_is_sound = false;
        }
      }
    }
    if (output.str().starts_with('*')) {
      SourcedText without;
      without.append_slice(output, 1, output.str().size());
      output = std::move(without);
    }
    rule.output = output.str();
    const auto findings = semantics_.check_output(rule.source, rule.output);
    const bool dropped = drops(definition, findings);
    Verdict verdict = dropped ? Verdict::drop : extra_is_sound ? Verdict::sound : Verdict::refused;
    for (const Finding& finding : findings) {
      if (dropped && !(finding.is_error && finding.unknown_filter)) continue;
      if (finding.is_error && !dropped) verdict = Verdict::refused;
      const LoadCode code = dropped            ? LoadCode::unknown_filter
                            : finding.is_error ? LoadCode::err_compile_output
                                               : warning_code(finding);
      const auto place = output.locate(finding.pos.offset);
      const Context expression{&item, "rule output", "", place.node ? place.node : definition.node};
      if (place.node) {
        add(problem_at(expression, place.node->file(), place.mark, code, finding.message, finding.suggestion));
      } else {
        add(problem_at(expression, code, finding.message, finding.suggestion));
      }
    }
    return verdict;
  }

  bool find_events(const RuleDefinition& definition, const Expr& condition, Rule& rule) {
    if (rule.source != "syscall") {
      rule.event_codes = {ev::PLUGINEVENT_E, ev::ASYNCEVENT_E};
      return true;
    }
    std::vector<EventTypeError> errors;
    EventSet set = possible_events(condition, errors);
    for (const EventTypeError& error : errors)
      add_at(error.pos, LoadCode::err_compile_condition, error.message, "", &definition);
    if (!errors.empty()) return false;
    if (set.count() > kManyEventTypes && definition.warn_evttypes) {
      const Context content{nullptr, "rules content", "", definition.node};
      add(problem_at({&content, "rule", definition.name, definition.node}, LoadCode::no_evttype,
                     "Rule matches too many evt.type values. This has a significant performance penalty.",
                     "restrict it, for instance: evt.type in (execve, execveat) and ..."));
    }
    set.set(ev::ASYNCEVENT_E);
    for (size_t code = 0; code < set.size(); ++code)
      if (set.test(code)) rule.event_codes.push_back(static_cast<EventCode>(code));
    return true;
  }

  // --- what nobody used
  // ------------------------------------------------------------------------------------------------
  void finish(const ListTable& lists) {
    // A rule or macro that was refused may use what then looks unused.
    const bool sound = result_.errors.empty();
    for (size_t i = 0; i < out_.macros.size(); ++i) {
      out_.macros[i].is_used = macros_.is_used(out_.macros[i].name);
      if (sound && !out_.macros[i].is_used)
        warn_unused(*store_.macros.all()[i], "macro", LoadCode::unused_macro, "Macro");
    }
    for (size_t i = 0; i < store_.lists.all().size(); ++i) {
      const ListDefinition& list = *store_.lists.all()[i];
      ListDetails& details = out_.lists.emplace_back();
      details.name = list.name;
      for (const yaml::Node* item : list.items) details.items.push_back(item->text());
      details.lists = lists.references(i);
      details.is_used = lists.is_used(i);
      if (sound && !details.is_used) warn_unused(list, "list", LoadCode::unused_list, "List");
    }
  }
  void warn_unused(const Definition& definition, std::string_view item_type, LoadCode code, const std::string& kind) {
    const Context content{nullptr, "rules content", "", definition.node};
    add(problem_at({&content, item_type, definition.name, definition.node}, code,
                   kind + " not referred to by any other rule/macro"));
  }

  const Store& store_;
  const Semantics& semantics_;
  const std::vector<ExtraOutput>& extra_outputs_;
  const Reader& reader_;
  FileResult& result_;
  ListTable* lists_ = nullptr;
  MacroTable macros_;
  std::unordered_map<std::string, std::vector<std::string>> macro_names_;
  std::vector<ParsedText> texts_;  // by base
  size_t next_base_ = 0;
  Compiled out_;
};

}  // namespace

Compiled compile_store(const Store& store, const Semantics& semantics, const std::vector<ExtraOutput>& extra_outputs,
                       const Reader& reader, FileResult& result) {
  auto lists = ListTable::create(store.lists);
  if (!lists) {
    const yaml::Node* document = store.files.back()->documents().front();
    result.errors.push_back(
        problem_at({nullptr, "rules content", "", document}, LoadCode::err_validate, lists.error().message));
    return {};
  }
  return Compilation(store, semantics, extra_outputs, reader, result).run(std::move(*lists));
}

}  // namespace quell::detect::falco
