#include "respond/catalogue.h"

#include <fmt/format.h>

#include "model/action_json.h"
#include "respond/actions/all.h"
#include "respond/guards.h"

namespace quell::respond {
namespace {

std::string_view to_string(ParamKind kind) {
  switch (kind) {
    case ParamKind::text: return "text";
    case ParamKind::number: return "number";
    case ParamKind::duration: return "duration";
    case ParamKind::path: return "path";
    case ParamKind::choice: return "choice";
    case ParamKind::addresses: return "addresses";
  }
  return "text";
}

std::string duration(uint64_t seconds) {
  if (seconds == 0) return "none";
  if (seconds % 3600 == 0) return fmt::format("{} h", seconds / 3600);
  return seconds % 60 == 0 ? fmt::format("{} min", seconds / 60) : fmt::format("{} s", seconds);
}

std::string approval(const ActionSpec& spec) {
  const uint32_t count = GuardPolicy{}.approvals[static_cast<size_t>(spec.effect_class)];
  return count == 0 ? "none" : count == 1 ? "one person" : fmt::format("{} persons", count);
}

}  // namespace

std::string catalogue_json(const World& world) {
  JsonWriter out;
  out.begin_object().text("apiVersion", kApiVersion).key("items").begin_array();
  for (const ActionSpec* spec : kActions) {
    out.begin_object();
    out.text("name", spec->name).text("summary", spec->summary).text("target", to_string(spec->target));
    out.text("class", respond::to_string(spec->effect_class)).flag("reversible", spec->undo != nullptr);
    out.integer("default_ttl_s", spec->default_ttl_s);
    out.integer("approvals", GuardPolicy{}.approvals[static_cast<size_t>(spec->effect_class)]);
    out.key("params").begin_array();
    for (const ParamSpec& param : spec->params) {
      out.begin_object();
      out.text("name", param.name).text("kind", to_string(param.kind)).text("doc", param.doc);
      out.text("default", param.standard).text("choices", param.choices).end_object();
    }
    out.end_array();
    out.text("mechanism", spec->mechanism).text("permissions", spec->permissions).text("proof", spec->proof);
    out.text("undo", spec->undo_doc).text("limits", spec->limits).key("example").raw(spec->example);
    out.key("missing");
    const auto missing = spec->missing != nullptr ? spec->missing(world) : std::nullopt;
    missing ? out.string(*missing) : out.null();
    out.end_object();
  }
  out.end_array().end_object();
  return out.take();
}

std::string catalogue_markdown() {
  std::string out =
      "# Responses\n\n"
      "What Quell can do to what it finds. This page is written by `quell action catalogue -o markdown`, from the rows "
      "that the\nresponder reads; a test fails when it is stale.\n\n"
      "| action | target | class | undone | default time to live | approval |\n| --- | --- | --- | --- | --- | --- |\n";
  for (const ActionSpec* spec : kActions)
    out += fmt::format(
        "| [{}](#{}) | {} | {} | {} | {} | {} |\n", spec->name,
        [&] {
          std::string anchor(spec->name);
          std::erase(anchor, '.');
          return anchor;
        }(),
        to_string(spec->target), respond::to_string(spec->effect_class), spec->undo != nullptr ? "yes" : "no",
        duration(spec->default_ttl_s), approval(*spec));
  out +=
      "\nClasses: `collect` changes nothing that anybody would miss; `soft` contains one target and is undone; `hard` "
      "contains\none target for good; `wide` hits more than the target; `critical` is an outage if it is wrong.\n\n"
      "## Guards\n\nChecked for the preview, and again on the held identity immediately before the effect. A person's "
      "`--force` passes those\nmarked so; a policy passes none.\n\n| guard | says | force |\n| --- | --- | --- |\n";
  for (const GuardRule& rule : guard_rules())
    out += fmt::format("| {} | {} | {} |\n", rule.name, rule.summary, rule.forceable ? "yes" : "no");
  for (const ActionSpec* spec : kActions) {
    out += fmt::format("\n## {}\n\n{}\n\n", spec->name, spec->summary);
    const auto line = [&out](std::string_view title, std::string_view text) {
      if (!text.empty()) out += fmt::format("- {}: {}\n", title, text);
    };
    line("mechanism", spec->mechanism);
    line("permissions", spec->permissions);
    line("proof", spec->proof);
    line("undo", spec->undo_doc);
    line("limits", spec->limits);
    for (const ParamSpec& param : spec->params)
      out += fmt::format("- parameter `{}` ({}{}): {}\n", param.name,
                         param.kind == ParamKind::choice ? param.choices : to_string(param.kind),
                         param.standard.empty() ? "" : fmt::format(", {}", param.standard), param.doc);
    out += fmt::format("- example: `{}`\n", spec->example);
  }
  return out;
}

}  // namespace quell::respond
