#pragma once
// container.unpause: lifts a pause, ours or anybody's. The runner marks our own pause of the same container undone.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

inline constexpr ActionSpec kContainerUnpause{
    .name = "container.unpause",
    .summary = "Lets a paused container run again.",
    .target = EntityKind::container,
    .effect_class = ActionClass::soft,
    .releases = true,
    .lifts = "container.pause",
    .mechanism = "the runtime's own unpause",
    .permissions = "access to the runtime's socket",
    .proof = "the runtime says running and the freezer says thawed",
    .undo_doc = "container.pause freezes it again",
    .limits = "lifts a pause whoever made it; our own records of it end with this",
    .example = R"({"action":"container.unpause","target":"container:web","reason":"false alarm"})",
    .settle_ns = 1'000'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      const Look now = look_running(call.world, subject.target);
      if (now.seen == Seen::ended)
        return Error{Code::conflict,
                     fmt::format("container {} has ended; there is nothing to unpause", display_name(subject.target)),
                     {}};
      list_members(call.world, subject, plan);
      plan.pre_state_json = container_pre_state(subject);
      plan.effects.push_back(fmt::format("lets {} process(es) of container {} run again", plan.affected.size(),
                                         display_name(subject.target)));
      plan.undo = "container.pause freezes it again";
      if (now.seen == Seen::in_effect) plan.already_in_effect = true, plan.already_reason = "already_running";
      return {};
    },
    .effect = [](const Call&, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(subject.runtime->unpause(subject.target.container_id));
      return std::string();
    },
    .prove = [](const Call& call, const Subject& subject, const Plan&, const std::string&) -> Look {
      return look_until(call.world, subject.target, look_running, 2'000'000'000);
    },
    .look = [](const Call& call, const Json&) { return look_running(call.world, call.target); },
    .compensation = [](const Target& target,
                       const Json&) { return fmt::format("run container.pause on container:{}", target.container_id); },
};

}  // namespace quell::respond
