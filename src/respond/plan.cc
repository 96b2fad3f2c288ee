#include "respond/plan.h"

#include <algorithm>

#include "base/json.h"
#include "model/action_json.h"
#include "respond/action_spec.h"

namespace quell::respond {
namespace {
constexpr size_t kListedProcesses = 100;
}

std::string plan_to_json(const ActionSpec& spec, const Subject& subject, const Plan& plan, const Command& command,
                         uint64_t ttl_s, const ApprovalNeed& approval, const std::optional<Refusal>& refusal) {
  JsonWriter out;
  out.begin_object();
  out.text("apiVersion", kApiVersion)
      .text("kind", "ActionPreview")
      .text("action", spec.name)
      .text("summary", spec.summary);
  out.text("class", to_string(spec.effect_class)).flag("reversible", spec.undo != nullptr);
  out.text("requested_target", command.target).key("target");
  write_target(out, subject.target);
  out.key("params");
  write_params(out, command.params);
  out.texts("effects", plan.effects).texts("warnings", plan.warnings);
  out.key("affected").begin_array();
  for (size_t i = 0; i < std::min(plan.affected.size(), kListedProcesses); ++i) {
    const os::ProcessFacts& facts = plan.affected[i];
    out.begin_object();
    out.integer("pid", facts.id.pid).integer("start_ticks", facts.id.start_ticks).text("comm", facts.comm);
    out.text("exepath", facts.exepath).text("cmdline", join_parts(facts.args));
    out.end_object();
  }
  out.end_array();
  out.integer("affected_count", plan.affected.size()).text("restart_policy", plan.restart_policy);
  out.text("undo", plan.undo).integer("ttl_s", ttl_s).flag("already_in_effect", plan.already_in_effect);
  out.text("already_reason", plan.already_reason);
  out.key("approval").begin_object();
  out.integer("needed", approval.count).text("group", approval.group).integer("expires_s", approval.expires_s);
  out.end_object();
  out.key("refusal");
  if (refusal) {
    out.begin_object();
    out.text("rule", refusal->rule).text("message", refusal->message).text("remedy", refusal->remedy);
    out.end_object();
  } else {
    out.null();
  }
  out.end_object();
  return out.take();
}

}  // namespace quell::respond
