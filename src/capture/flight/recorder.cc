#include "capture/flight/recorder.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>

#include "capture/flight/active_capture.h"

namespace quell::capture::flight {
namespace {

constexpr uint64_t kSegmentsPerRing = 8;
constexpr size_t kMinSegment = 16 << 10;
constexpr uint64_t kSecond = 1'000'000'000;
constexpr int kMaxAncestors = 32;

uint64_t next_serial() {
  // One sequence for all recorders of the process: a mark of one never means a segment of another.
  static std::atomic<uint64_t> last{0};
  return ++last;
}

}  // namespace

FlightRecorder::FlightRecorder(FlightLimits limits, Tables tables, CaptureSink& sink)
    : limits_(limits),
      segment_bytes_(std::max(kMinSegment, std::bit_floor(limits.ring_bytes / kSegmentsPerRing))),
      note_limit_(std::max(segment_bytes_, limits.ring_bytes / 4)),
      segment_ns_(std::max<uint64_t>(limits.before_ns / kSegmentsPerRing, 1)),
      tables_(std::move(tables)),
      sink_(sink) {
  rings_.emplace_back();
}

FlightRecorder::~FlightRecorder() = default;

std::array<uint8_t, kEventCodeCount> FlightRecorder::make_kinds() {
  std::array<uint8_t, kEventCodeCount> kinds{};
  for (const EventSpec& spec : kEventTable)
    if (spec.source == EventClass::iter) kinds[spec.code] = kRead;
  for (const ev::Code code :
       {ev::SYSCALL_CLONE_20_X, ev::SYSCALL_FORK_20_X, ev::SYSCALL_VFORK_20_X, ev::SYSCALL_CLONE3_X})
    kinds[code] = kClone;
  for (const ev::Code code : {ev::SYSCALL_EXECVE_19_X, ev::SYSCALL_EXECVEAT_X}) kinds[code] = kExec | kLineage;
  for (const ev::Code code : {ev::PROCEXIT_1_E, ev::SYSCALL_PRCTL_X, ev::SYSCALL_SETSID_X}) kinds[code] = kLineage;
  return kinds;
}

void FlightRecorder::reset() {
  finish("the source of events started anew");
  rings_.clear();
  rings_.emplace_back();
  free_rings_.clear();
  foreign_.clear();
  home_ = last_ring_ = nullptr;
  moving_.reset();
  counters_.bytes = 0;
}

Ring& FlightRecorder::new_ring(const ContainerSlot& slot) {
  // A container whose last thread had left, and that is back.
  for (const auto& ring : rings_) {
    if (ring == nullptr || ring->id != slot.id) continue;
    ring->slot = &slot;
    slot.flight_ring = ring->index;
    return *ring;
  }
  if (free_rings_.empty()) {
    free_rings_.push_back(static_cast<uint32_t>(rings_.size()));
    rings_.emplace_back();
  }
  const uint32_t index = free_rings_.back();
  free_rings_.pop_back();
  auto ring = std::make_unique<Ring>();
  ring->id = slot.id;
  ring->slot = &slot;
  ring->index = index;
  slot.flight_ring = index;
  rings_[index] = std::move(ring);
  return *rings_[index];
}

/// True if applying the event can put its thread into another container: an exec in another cgroup, or a clone by which
/// an unknown thread says who it is.
bool FlightRecorder::can_move(const Event& event, const Thread& thread) const {
  if (thread.placeholder) return true;
  if ((kinds_[event.code()] & kExec) == 0) return false;
  static const auto kCgroups = static_cast<size_t>(event_spec(ev::SYSCALL_EXECVE_19_X).param_index("cgroups"));
  const Param cgroups = event.param(kCgroups);
  return !cgroups.empty() &&
         thread.cgroups != std::string_view(reinterpret_cast<const char*>(cgroups.data), cgroups.len);
}

void FlightRecorder::before_slowly(const Event& event, const Thread* thread) {
  home_ = nullptr;
  moving_.reset();
  if (thread == nullptr || kinds_[event.code()] == kRead) return;
  Ring& ring = ring_of(*thread->container);
  prepare(ring, event.ts_ns());
  note(ring, *thread);
  if (thread->main != nullptr && thread->main != thread) note(ring, *thread->main);
  home_ = &ring;
  if (can_move(event, *thread)) moving_ = make_note(*thread);
  // An exec ends the other threads of its process, which have no events of their own.
  if ((kinds_[event.code()] & kExec) != 0 && thread->group().live_threads > 1 && event.param(0).i64() >= 0)
    tables_.for_each_thread([&](const Thread& other) {
      if (other.pid == thread->pid && other.container == thread->container) note(ring, other);
    });
  if (const auto* rings = foreign_rings(event)) {
    // A copy: making room in one ring can make the recorder forget another.
    for (const uint32_t index : std::vector<uint32_t>(*rings)) {
      if (rings_[index] == nullptr) continue;
      prepare(*rings_[index], event.ts_ns());
      note_foreign(*rings_[index], thread);
    }
  }
}

void FlightRecorder::after_slowly(const EventContext& context, uint16_t cpu, bool state_only) {
  const Event& event = *context.event;
  const Thread* thread = context.thread;
  const uint8_t kind = kinds_[event.code()];
  if (is_simple_) moving_.reset();  // an earlier event's
  if (kind == kRead) {
    // A thread's state, read when its first event came: it will be noted as such.
    last_ring_ = nullptr;
    return;
  }
  if (thread == nullptr) {
    Ring& ring = home_ != nullptr ? *home_ : ring_of_meta(context);
    if (home_ == nullptr) prepare(ring, event.ts_ns());
    append(ring, event, cpu, state_only);
    return;
  }
  if (home_ != nullptr && home_->slot != thread->container) append(*home_, event, cpu, state_only);
  Ring& ring = ring_of(*thread->container);
  if (home_ == nullptr) {
    leave_out(ring, thread->tid, nullptr);
    prepare(ring, event.ts_ns());
    if ((kind & kClone) != 0) note_source(ring, *thread);
    note_born(ring, *thread);
  } else if (home_ != &ring) {
    leave_out(ring, thread->tid, moving_);
    prepare(ring, event.ts_ns());
    if (moving_ != nullptr) ring.open->notes.try_emplace(thread->tid, moving_);
    note(ring, *thread);
  }
  append(ring, event, cpu, state_only);
  if (kind == 0) return;
  if ((kind & kClone) != 0 && context.result && *context.result > 0) {
    const Thread* child = tables_.view->thread(*context.result);
    if (child != nullptr && child->container == thread->container && child->clone_ns == event.ts_ns() &&
        child->noted_in == 0)
      note_born(ring, *child);
  }
  if (const auto* rings = foreign_rings(event)) {
    Ring* const own = last_ring_;
    for (const uint32_t index : std::vector<uint32_t>(*rings)) {
      Ring* other = rings_[index].get();
      // For the tables alone: to rules it is an event of another container.
      if (other != nullptr && other != own && !other->segments.empty()) append(*other, event, cpu, true);
    }
    last_ring_ = own;
    if (event.code() == ev::PROCEXIT_1_E) foreign_.erase(event.tid());
  }
}

const std::vector<uint32_t>* FlightRecorder::foreign_rings(const Event& event) const {
  if ((kinds_[event.code()] & kLineage) == 0) return nullptr;
  const auto found = foreign_.find(event.tid());
  return found == foreign_.end() ? nullptr : &found->second;
}

Ring& FlightRecorder::ring_of_meta(const EventContext& context) {
  const Event& event = *context.event;
  std::string_view id = "host";
  if (context.container_event != nullptr) {
    id = context.container_event->id;
  } else if (event.code() == ev::USER_ADDED_E || event.code() == ev::USER_DELETED_E) {
    id = event.param(5).text();
  } else if (event.code() == ev::GROUP_ADDED_E || event.code() == ev::GROUP_DELETED_E) {
    id = event.param(2).text();
  }
  const ContainerSlot* slot = tables_.view->container(id);
  return ring_of(slot != nullptr ? *slot : *tables_.view->container("host"));
}

void FlightRecorder::account_for(Ring& ring, size_t bytes) {
  ring.bytes += bytes;
  counters_.bytes += bytes;
  bound_total(ring);
}

// --- notes

/// The event at hand brings a thread into the container, and has been applied. A capture that ends before it must not
/// take the thread from the tables of now for one that was always there.
void FlightRecorder::leave_out(Ring& ring, int64_t tid, const std::shared_ptr<const Note>& before) {
  if (ring.capture == nullptr || ring.segments.empty() || ring.open->notes.contains(tid)) return;
  ring.capture->base.try_emplace(tid, before);
}

void FlightRecorder::note_slowly(Ring& ring, const Thread& thread) {
  Segment& segment = *ring.open;
  thread.noted_in = segment.serial;
  const size_t before = segment.note_bytes;
  note_thread(thread, segment, ring.segments, note_limit_);
  ring.bytes += segment.note_bytes - before;
  counters_.bytes += segment.note_bytes - before;
  const Thread* parent = tables_.view->parent(thread);
  if (parent != nullptr && parent->container != thread.container) note_foreign(ring, parent);
}

void FlightRecorder::note_born(Ring& ring, const Thread& thread) {
  ring.open->notes.try_emplace(thread.tid, nullptr);
  thread.noted_in = ring.open->serial;
}

/// `thread` and its ancestors, which other rings tell about: here is said what this container's threads descend from.
void FlightRecorder::note_foreign(Ring& ring, const Thread* thread) {
  Segment& segment = *ring.open;
  for (int depth = 0; thread != nullptr && depth < kMaxAncestors; ++depth) {
    if (segment.notes.contains(thread->tid)) return;
    const size_t before = segment.note_bytes;
    note_thread(*thread, segment, ring.segments, note_limit_);
    ring.bytes += segment.note_bytes - before;
    counters_.bytes += segment.note_bytes - before;
    auto& rings = foreign_[thread->tid];
    if (std::find(rings.begin(), rings.end(), ring.index) == rings.end()) rings.push_back(ring.index);
    thread = tables_.view->parent(*thread);
  }
}

/// Whom a thread was copied from, if it lives elsewhere.
void FlightRecorder::note_source(Ring& ring, const Thread& child) {
  const Thread* source = tables_.view->thread(child.is_main() ? child.ptid : child.pid);
  if (source == nullptr || source->container == child.container) return;
  note_foreign(ring, source);
  if (source->main != nullptr && source->main != source) note_foreign(ring, source->main);
}

// --- segments

void FlightRecorder::make_room(Ring& ring, uint64_t ts_ns) {
  if (ring.capture != nullptr && ts_ns > ring.capture->until_ns) {
    end(ring, {});
  } else if (ring.capture != nullptr && is_unshared(ring)) {
    hand_over(*ring.capture, *ring.open);
    if (!ring.capture->cut.empty()) end(ring, ring.capture->cut);
  }
  begin_segment(ring, ts_ns);
}

void FlightRecorder::begin_segment(Ring& ring, uint64_t ts_ns) {
  if (ring.segments.empty() || ring.open->events > 0) {
    drop_aged(ring, ts_ns);
    while (!ring.segments.empty() && ring.bytes + segment_bytes_ > limits_.ring_bytes)
      drop_oldest(ring, counters_.events_dropped_ring);
    Segment& segment = ring.segments.emplace_back();
    ring.open = &segment;
    segment.serial = next_serial();
    segment.chunk = std::make_shared<Chunk>();
    segment.lost_before = lost_total_;
    account_for(ring, segment.bytes());
  }
  // A little less than what was made room for, because the last event goes beyond it.
  ring.limit = segment_bytes_ - segment_bytes_ / 16;
  ring.limit_ns = ts_ns + segment_ns_;
  if (ring.capture != nullptr) ring.limit_ns = std::min(ring.limit_ns, ring.capture->until_ns + 1);
}

void FlightRecorder::drop_oldest(Ring& ring, uint64_t& counter) {
  Segment& oldest = ring.segments.front();
  counter += oldest.events;
  if (!oldest.has_all_notes) ++counters_.segments_without_state;
  ring.bytes -= oldest.bytes();
  counters_.bytes -= oldest.bytes();
  ring.segments.pop_front();
  if (ring.segments.empty()) ring.open = nullptr;
}

void FlightRecorder::drop_aged(Ring& ring, uint64_t now_ns) {
  while (!ring.segments.empty() && ring.segments.front().last_ns + limits_.before_ns < now_ns)
    drop_oldest(ring, counters_.events_aged);
}

void FlightRecorder::bound_total(const Ring& keep) {
  while (counters_.bytes > limits_.total_bytes) {
    Ring* victim = least_recent(keep);
    if (victim == nullptr) return;
    drop_oldest(*victim, counters_.events_dropped_total);
    if (victim->segments.empty()) forget(*victim);
  }
}

/// Whose oldest segment goes when all rings together are too large: the ring that has been silent for longest. The
/// segment that is being written of `keep`, and of the ring of the event at hand, is not touched.
Ring* FlightRecorder::least_recent(const Ring& keep) const {
  Ring* found = nullptr;
  for (const auto& ring : rings_) {
    if (ring == nullptr || ring->segments.empty()) continue;
    const bool is_busy = ring.get() == &keep || ring.get() == home_ || ring->capture != nullptr;
    if (is_busy && ring->segments.size() == 1) continue;
    if (found == nullptr || ring->segments.back().last_ns < found->segments.back().last_ns) found = ring.get();
  }
  return found;
}

void FlightRecorder::forget(Ring& ring) {
  std::vector<int64_t> unknown;
  for (auto& [tid, rings] : foreign_) {
    std::erase(rings, ring.index);
    if (rings.empty()) unknown.push_back(tid);
  }
  for (const int64_t tid : unknown) foreign_.erase(tid);
  if (last_ring_ == &ring) last_ring_ = nullptr;
  const uint32_t index = ring.index;
  rings_[index].reset();
  free_rings_.push_back(index);
}

void FlightRecorder::tick(uint64_t now_ns) {
  // Events come a moment after they happened.
  constexpr uint64_t kGrace = 200'000'000;
  home_ = last_ring_ = nullptr;
  for (size_t i = active_.size(); i-- > 0;) {
    Ring& ring = *active_[i]->ring;
    if (now_ns > active_[i]->until_ns + kGrace) end(ring, {});
  }
  if (now_ns < next_aging_ns_) return;
  next_aging_ns_ = now_ns + kSecond;
  for (size_t i = 1; i < rings_.size(); ++i) {
    if (rings_[i] == nullptr || rings_[i]->capture != nullptr) continue;
    drop_aged(*rings_[i], now_ns);
    if (rings_[i]->segments.empty()) forget(*rings_[i]);
  }
}

FlightCounters FlightRecorder::counters() const {
  FlightCounters out = counters_;
  for (const auto& ring : rings_) {
    if (ring == nullptr) continue;
    ++out.rings;
    out.segments += ring->segments.size();
    for (const Segment& segment : ring->segments) out.segments_without_state += segment.has_all_notes ? 0 : 1;
  }
  out.captures_active = active_.size();
  return out;
}

}  // namespace quell::capture::flight
