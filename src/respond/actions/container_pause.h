#pragma once
// container.pause: the reversible first step. Freezes every process of the container; memory and files stay as
// evidence.
#include <fmt/format.h>

#include "respond/actions/containers.h"

namespace quell::respond {

/// A frozen container uses no CPU time, and nobody thaws it behind our back.
class CpuWatcher final : public Watcher {
 public:
  explicit CpuWatcher(Target target) : target_(std::move(target)) {}

  void begin(const World& world) override {
    if (auto used = world.os.cgroup_cpu_ns(target_.container_pid)) before_ns_ = *used, readable_ = true;
  }
  std::optional<std::string> evaded(const World& world, bool) override {
    const Look look = look_frozen(world, target_);
    if (look.seen == Seen::not_in_effect) return "thawed: " + look.note;
    const auto used = world.os.cgroup_cpu_ns(target_.container_pid);
    // It falls when a member is killed; only more than before means that something ran.
    if (!readable_ || !used || *used <= before_ns_) return {};
    used_ns_ = *used - before_ns_;
    return fmt::format("the container used {} ms of CPU time after it was frozen", used_ns_ / 1'000'000);
  }
  std::string describe() const override {
    JsonWriter out;
    out.begin_object();
    out.text("watched", "cpu time").flag("readable", readable_).integer("cpu_ns", used_ns_);
    out.end_object();
    return out.take();
  }

 private:
  Target target_;
  bool readable_ = false;
  uint64_t before_ns_ = 0, used_ns_ = 0;
};

inline constexpr ActionSpec kContainerPause{
    .name = "container.pause",
    .summary = "Freezes every process of a container until it is unpaused.",
    .target = EntityKind::container,
    .effect_class = ActionClass::soft,
    .default_ttl_s = 3600,
    .mechanism = "the runtime's own pause, which freezes the container's cgroup",
    .permissions = "access to the runtime's socket",
    .proof = "the runtime says paused and the freezer that it uses says frozen; then 500 ms without CPU time",
    .undo_doc = "unpause: it goes on where it stood; by itself when the time to live has passed",
    .limits = "connections stay open and unanswered; in Kubernetes a failing liveness probe ends the container",
    .example = R"({"action":"container.pause","target":"container:web","reason":"reverse shell"})",
    .settle_ns = 1'000'000'000,
    .watch_ns = 500'000'000,
    .watch_every_ns = 500'000'000,
    .plan = [](const Call& call, const Subject& subject, Plan& plan) -> Result<void> {
      const Look now = look_frozen(call.world, subject.target);
      list_members(call.world, subject, plan);
      plan.pre_state_json = container_pre_state(subject);
      plan.restart_policy = subject.container.restart_policy;
      plan.effects.push_back(
          fmt::format("freezes {} process(es) of container {}; its connections stay open and unanswered",
                      plan.affected.size(), display_name(subject.target)));
      plan.undo = "unpause: it goes on where it stood";
      warn_about_kubernetes(subject, false, plan);
      if (now.seen == Seen::in_effect) plan.already_in_effect = true, plan.already_reason = "already_paused";
      if (now.seen == Seen::ended) plan.already_in_effect = true, plan.already_reason = "already_gone";
      return {};
    },
    .effect = [](const Call&, const Subject& subject, const Plan&) -> Result<std::string> {
      QUELL_CHECK(subject.runtime->pause(subject.target.container_id));
      return std::string();
    },
    .prove = [](const Call& call, const Subject& subject, const Plan&, const std::string&) -> Look {
      return look_until(call.world, subject.target, look_frozen, 2'000'000'000);
    },
    .look = [](const Call& call, const Json&) { return look_frozen(call.world, call.target); },
    .watch = [](const Call&, const Subject& subject, const Plan&) -> std::unique_ptr<Watcher> {
      return std::make_unique<CpuWatcher>(subject.target);
    },
    .undo = [](const Call& call, const Json&) -> Result<void> {
      const ContainerNow now = ask(call.world, call.target);
      if (now.runtime == nullptr) return Error{Code::unavailable, now.error, {}};
      return now.runtime->unpause(call.target.container_id);
    },
};

}  // namespace quell::respond
