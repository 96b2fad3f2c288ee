// A detection from a rule that matched: message, fields, and who was behind the event.
#include <algorithm>

#include "detect/engine_impl.h"

namespace quell::detect {
namespace {

ProcessId process_id(int64_t pid, uint64_t clone_ns, const MachineInfo& machine) {
  ProcessId id;
  id.boot_id = machine.boot_id;
  id.pid = pid;
  // Ticks of 10 ms since boot, as /proc counts them; known only where both times are.
  if (clone_ns > machine.boot_ns && machine.boot_ns != 0) id.start_ticks = (clone_ns - machine.boot_ns) / 10'000'000;
  return id;
}

constexpr size_t kMaxAncestors = 32;

}  // namespace

Detection Engine::render(RuleIndex index, const EventContext& context) const {
  const uint64_t started = impl_->profile == nullptr ? 0 : cpu_ticks();
  const Program::RuleOutput& rule = impl_->program->rules[index];
  const Extract x{context, impl_->arena, &impl_->in_outputs[index], impl_->program->domains.get(),
                  impl_->program->buffers_as_base64};
  Detection out;
  out.rule = rule.name;
  out.priority = rule.priority;
  out.source = rule.source;
  out.tags = rule.tags;
  out.hostname = context.state->machine().hostname;
  out.event_number = context.number;
  out.kernel_ns = context.event->ts_ns();
  out.message = rule.output.render(x, &out.output_fields);
  for (const auto& [name, text] : rule.extra_fields) {
    if (name.empty())
      text.collect(x, out.output_fields);
    else
      out.output_fields.emplace_back(name, text.render(x));
  }
  if (!rule.extra_fields.empty()) {
    std::stable_sort(out.output_fields.begin(), out.output_fields.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    out.output_fields.erase(std::unique(out.output_fields.begin(), out.output_fields.end(),
                                        [](const auto& a, const auto& b) { return a.first == b.first; }),
                            out.output_fields.end());
  }
  for (const CompiledOperand& field : rule.fold_by) {
    out.fold_key += value_text(quell::detect::evaluate(field, x, nullptr));
    out.fold_key += '\0';
  }

  if (const Thread* thread = context.thread) {
    const MachineInfo& machine = context.state->machine();
    out.process = process_id(thread->pid, thread->group().clone_ns, machine);
    out.tid = thread->tid;
    out.process_name = thread->comm;
    out.exepath = thread->exepath;
    out.cmdline = thread->cmdline();
    if (thread->container != nullptr) {
      const User* user = context.state->user(*thread->container, thread->uid);
      out.user_name = user != nullptr ? user->name : thread->uid == 0 ? "root" : "";
      if (thread->container->is_host()) {
        out.container_id = "host";
        if (thread->container_lookalike) out.container_missing = ContainerMissing::not_a_container;
      } else {
        out.container_id = thread->container->id;
        out.container_full_id = thread->container->full_id;
        out.container = thread->container->info;
      }
    }
    std::vector<Creator> lineage = context.state->lineage(*thread, kMaxAncestors);
    out.ancestors.reserve(lineage.size());
    for (Creator& one : lineage)
      out.ancestors.push_back({process_id(one.pid, one.clone_ns, machine), std::move(one.comm), std::move(one.exepath),
                               std::move(one.cmdline)});
  }
  if (context.container_event != nullptr) {
    out.container_id = context.container_event->id;
    out.container_full_id = context.container_event->full_id;
    out.container = std::make_shared<Container>(*context.container_event);
  }
  if (impl_->profile != nullptr) impl_->profile->rendered(index, cpu_ticks() - started);
  return out;
}

}  // namespace quell::detect
