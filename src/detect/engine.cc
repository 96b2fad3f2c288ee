#include "detect/engine.h"

#include <algorithm>
#include <unordered_map>

#include "detect/domains.h"
#include "detect/program.h"

namespace quell::detect {

struct Engine::Impl {
  std::shared_ptr<const Program> program;
  Arena arena;
  FieldMemo memo;
  std::vector<uint32_t> stamps;  // per node: epoch * 2 + value of the last evaluation
  uint32_t epoch = 0;
  std::vector<RuleIndex> matches;
  FieldMemory in_conditions;
  std::unordered_map<RuleIndex, FieldMemory> in_outputs;

  const EventContext* context = nullptr;
  PredicateCache* cache = nullptr;  // of the event's thread; null when it has none

  void use(std::shared_ptr<const Program> next) {
    program = std::move(next);
    memo.resize(program->field_slots);
    stamps.assign(program->nodes.size(), 0);
    epoch = 0;
    in_conditions = {};
    in_outputs.clear();
  }

  void begin(const EventContext& event) {
    context = &event;
    arena.reset();
    memo.next_event();
    if (++epoch >= UINT32_MAX / 2) {
      std::fill(stamps.begin(), stamps.end(), 0);
      epoch = 1;
    }
    cache = nullptr;
    if (event.thread == nullptr || program->cache_bits == 0) return;
    cache = &event.thread->predicates;
    const uint32_t lineage = event.state->lineage_epoch();
    if (cache->program == program->id && cache->version == event.thread->version) {
      if (cache->lineage == lineage) return;
      for (size_t i = 0; i < cache->known.size(); ++i) cache->known[i] &= program->process_bits[i];
      cache->lineage = lineage;
      return;
    }
    cache->program = program->id;
    cache->version = event.thread->version;
    cache->lineage = lineage;
    cache->known.assign(program->process_bits.size(), 0);
    cache->value.assign(program->process_bits.size(), 0);
  }

  bool eval(NodeId id) {
    const uint32_t stamp = stamps[id];
    if (stamp >> 1 == epoch) return (stamp & 1) != 0;
    const Node& node = program->nodes[id];
    const size_t word = static_cast<size_t>(node.cache_bit) / 64;
    const uint64_t bit = uint64_t{1} << (static_cast<uint32_t>(node.cache_bit) % 64);
    const bool remembered = node.cache_bit >= 0 && cache != nullptr;
    bool value = false;
    if (remembered && (cache->known[word] & bit) != 0) {
      value = (cache->value[word] & bit) != 0;
    } else {
      value = compute(node, id);
      if (remembered) {
        cache->known[word] |= bit;
        cache->value[word] = value ? cache->value[word] | bit : cache->value[word] & ~bit;
      }
    }
    stamps[id] = epoch << 1 | (value ? 1u : 0u);
    return value;
  }

  bool compute(const Node& node, NodeId id) {
    switch (node.kind) {
      case Node::Kind::constant: return id == kAlways;
      case Node::Kind::predicate:
        return holds(program->predicates[node.predicate], Extract{*context, arena, &in_conditions}, &memo,
                     program->domains.get());
      case Node::Kind::negation: return !eval(node.children[0]);
      case Node::Kind::all:
        for (const NodeId child : node.children)
          if (!eval(child)) return false;
        return true;
      case Node::Kind::any:
        for (const NodeId child : node.children)
          if (eval(child)) return true;
        return false;
    }
    return false;
  }
};

Engine::Engine(std::shared_ptr<const Program> program) : impl_(std::make_unique<Impl>()) {
  impl_->use(std::move(program));
}
Engine::~Engine() = default;
void Engine::swap(std::shared_ptr<const Program> program) { impl_->use(std::move(program)); }

bool Engine::looks_at(EventCode code) const { return !impl_->program->trees[code].empty(); }

std::span<const RuleIndex> Engine::evaluate(const EventContext& context) {
  Impl& self = *impl_;
  self.matches.clear();
  const std::vector<Step>& tree = self.program->trees[context.event->code()];
  if (tree.empty()) return {};
  self.begin(context);
  const bool all = self.program->match_all;
  RuleIndex best = UINT32_MAX;
  for (size_t at = 0; at < tree.size();) {
    const Step& step = tree[at];
    if (!all && step.rule >= best) {  // nothing better in there
      at = step.skip;
    } else if (step.is_match) {
      if (all)
        self.matches.push_back(step.rule);
      else
        best = step.rule;
      ++at;
    } else {
      at = self.eval(step.node) ? at + 1 : step.skip;
    }
  }
  if (all)
    std::sort(self.matches.begin(), self.matches.end());
  else if (best != UINT32_MAX)
    self.matches.push_back(best);
  return self.matches;
}

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
  const Program::RuleOutput& rule = impl_->program->rules[index];
  const Extract x{context, impl_->arena, &impl_->in_outputs[index], impl_->program->domains.get()};
  Detection out;
  out.rule = rule.name;
  out.priority = rule.priority;
  out.source = rule.source;
  out.tags = rule.tags;
  out.hostname = context.state->machine().hostname;
  out.event_number = context.number;
  out.kernel_ns = context.event->ts_ns();
  out.message = rule.output.render(x);
  rule.output.collect(x, out.output_fields);
  out.output_fields.emplace_back("evt.time", context.event->ts_ns());
  std::stable_sort(out.output_fields.begin(), out.output_fields.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  out.output_fields.erase(std::unique(out.output_fields.begin(), out.output_fields.end(),
                                      [](const auto& a, const auto& b) { return a.first == b.first; }),
                          out.output_fields.end());

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
    for (Creator& one : context.state->lineage(*thread, kMaxAncestors))
      out.ancestors.push_back({process_id(one.pid, one.clone_ns, machine), std::move(one.comm), std::move(one.exepath),
                               std::move(one.cmdline)});
  }
  if (context.container_event != nullptr) {
    out.container_id = context.container_event->id;
    out.container_full_id = context.container_event->full_id;
    out.container = std::make_shared<Container>(*context.container_event);
  }
  return out;
}

}  // namespace quell::detect
