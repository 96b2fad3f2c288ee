#pragma once
// The flight recorder: keeps what every container did lately, and when something is detected hands out what came before
// it and what comes for a while after it.
//
//   per event    before(event, thread);  tables.apply(event);  after(context, ...);  rules
//   a detection  trigger(id, ...)
//   between      tick(now), note_lost(total)
//
// All on the engine thread. Nothing here touches a disk: chunks of finished event blocks and, at the end of a capture,
// the tables as they stood before its first event go to a CaptureSink.
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "capture/flight/ring.h"
#include "model/capture_ref.h"
#include "model/snapshot.h"
#include "model/state_view.h"

namespace quell::capture::flight {

/// Takes captures apart from the engine thread. Called by the engine thread; must not wait.
class CaptureSink {
 public:
  virtual ~CaptureSink() = default;
  virtual void begin(const std::string& id) = 0;
  /// False: no more of this capture can be taken (the disk is too slow, full, or failed). finish() still follows.
  virtual bool add(const std::string& id, std::shared_ptr<const Chunk> chunk) = 0;
  /// `base`: the tables before the first event. `preface`: events that complete them, to be applied and shown to
  /// nobody.
  virtual void finish(CaptureRef ref, Snapshot base, std::vector<std::vector<uint8_t>> preface) = 0;
};

struct FlightLimits {
  uint64_t before_ns = 30'000'000'000;
  uint64_t after_ns = 5'000'000'000;       // unless the rule says otherwise
  uint64_t max_after_ns = 60'000'000'000;  // however many detections follow
  size_t ring_bytes = 4 << 20;             // per container; the host is one of them
  size_t total_bytes = 16 << 20;
  size_t file_bytes = 64 << 20;  // of events in one capture, before compression
  size_t active_captures = 16;
};

struct FlightCounters {
  uint64_t rings = 0, segments = 0, bytes = 0;       // now
  uint64_t events_kept = 0;                          // since the start
  uint64_t events_aged = 0;                          // dropped because they were older than asked for
  uint64_t events_dropped_ring = 0;                  // younger, dropped because their container's ring was full
  uint64_t events_dropped_total = 0;                 // younger, dropped because all rings together were too large
  uint64_t segments_without_state = 0;               // the state of some threads was not noted for lack of room
  uint64_t captures_begun = 0, captures_joined = 0;  // a detection inside of a capture that was running joins it
  uint64_t captures_refused = 0;                     // too many at once
  uint64_t captures_cut = 0;                         // ended before their time
  uint64_t captures_active = 0;                      // now
};

class FlightRecorder {
 public:
  /// What it asks the tables for. Called by before(), after(), tick(), trigger() and finish().
  struct Tables {
    const StateView* view = nullptr;
    std::function<void(const std::function<void(const Thread&)>& visit)> for_each_thread;
    std::function<void(const ContainerSlot& container, std::vector<User>& users, std::vector<Group>& groups)> accounts;
    std::function<std::string(const Container&)> describe;  // as container events carry it
  };

  FlightRecorder(FlightLimits limits, Tables tables, CaptureSink& sink);
  ~FlightRecorder();

  /// Everything known is void: the source has started anew.
  void reset();
  /// Before `event` is applied. `thread`: the entry of its tid, null if there is none yet.
  void before(const Event& event, const Thread* thread) {
    // Most events mean nothing beyond their own thread, which has been noted in the open segment already.
    if (thread != nullptr && kinds_[event.code()] == kPlain && !thread->placeholder) {
      Ring* const ring = known_ring(*thread->container);
      if (ring != nullptr && ring->has_room(event.ts_ns()) && thread->noted_in == ring->open->serial &&
          thread->group().noted_in == ring->open->serial) {
        home_ = ring;
        is_simple_ = true;
        return;
      }
    }
    is_simple_ = false;
    before_slowly(event, thread);
  }
  /// After it was applied and before the next one is.
  void after(const EventContext& context, uint16_t cpu, bool state_only) {
    last_tid_ = context.event->tid();
    if (is_simple_ && (context.thread == nullptr || context.thread->container == home_->slot))
      append(*home_, *context.event, cpu, state_only);
    else
      after_slowly(context, cpu, state_only);
  }

  struct Started {
    CaptureRef ref;  // state recording
    bool is_new = false;
  };
  /// Captures what surrounds the event that after() was called for last. `after_ns` 0: as the limits say. Nothing if it
  /// cannot (counted). `ref` gives id, rule, container and trigger; the rest is filled in.
  std::optional<Started> trigger(CaptureRef ref, uint64_t after_ns);
  /// True if a trigger() now would join a running capture instead of beginning one.
  bool would_join() const { return last_ring_ != nullptr && last_ring_->capture != nullptr; }

  /// Ends captures whose time is over, and drops what is too old. `now_ns` as events count it.
  void tick(uint64_t now_ns);
  /// How many events the source has lost so far.
  void note_lost(uint64_t total) { lost_total_ = total; }
  /// Ends every capture now.
  void finish(const std::string& why);

  FlightCounters counters() const;

 private:
  /// What an event can mean beyond its own thread.
  enum Kind : uint8_t {
    kPlain = 0,
    kClone = 1,
    kExec = 2,
    kLineage = 4,  // descendants see it: it ends or renames a process
    kRead = 8,     // tells of a thread what was read when its first event came
  };
  static std::array<uint8_t, kEventCodeCount> make_kinds();

  void before_slowly(const Event& event, const Thread* thread);
  void after_slowly(const EventContext& context, uint16_t cpu, bool state_only);
  bool can_move(const Event& event, const Thread& thread) const;
  /// Null if it has none yet.
  Ring* known_ring(const ContainerSlot& slot) const {
    const uint32_t index = slot.flight_ring;
    Ring* const ring = index < rings_.size() ? rings_[index].get() : nullptr;
    return ring != nullptr && ring->slot == &slot ? ring : nullptr;
  }
  Ring& ring_of(const ContainerSlot& slot) {
    Ring* const known = known_ring(slot);
    return known != nullptr ? *known : new_ring(slot);
  }
  Ring& new_ring(const ContainerSlot& slot);
  void prepare(Ring& ring, uint64_t ts_ns) {
    if (!ring.has_room(ts_ns)) make_room(ring, ts_ns);
  }
  /// The open segment is this thread's alone: after a trigger, others read it.
  static bool is_unshared(const Ring& ring) { return ring.open != nullptr && ring.limit > 0; }
  void make_room(Ring& ring, uint64_t ts_ns);
  void begin_segment(Ring& ring, uint64_t ts_ns);
  void note(Ring& ring, const Thread& thread) {
    if (thread.noted_in != ring.open->serial) note_slowly(ring, thread);
  }
  void note_slowly(Ring& ring, const Thread& thread);
  void leave_out(Ring& ring, int64_t tid, const std::shared_ptr<const Note>& before);
  void note_born(Ring& ring, const Thread& thread);
  void note_foreign(Ring& ring, const Thread* thread);
  void note_source(Ring& ring, const Thread& child);
  /// The other rings that an event belongs to, because it ends or renames an ancestor of theirs; null if there are
  /// none.
  const std::vector<uint32_t>* foreign_rings(const Event& event) const;
  void append(Ring& ring, const Event& event, uint16_t cpu, bool state_only) {
    Segment& segment = *ring.open;
    const size_t grown = segment.chunk->append_event(event.bytes(), cpu, state_only);
    ++segment.events;
    if (event.ts_ns() > segment.last_ns) segment.last_ns = event.ts_ns();
    ++counters_.events_kept;
    last_ring_ = &ring;
    if (grown > 0) account_for(ring, grown);
  }
  /// The ring occupies this much more.
  void account_for(Ring& ring, size_t bytes);
  Ring& ring_of_meta(const EventContext& context);
  void drop_oldest(Ring& ring, uint64_t& counter);
  void drop_aged(Ring& ring, uint64_t now_ns);
  void bound_total(const Ring& keep);
  Ring* least_recent(const Ring& keep) const;
  void forget(Ring& ring);

  void hand_over(ActiveCapture& capture, const Segment& segment);
  void learn_container(ActiveCapture& capture);
  void end(Ring& ring, std::string note);
  Snapshot base_of(const ActiveCapture& capture) const;

  const std::array<uint8_t, kEventCodeCount> kinds_ = make_kinds();  // by code
  const FlightLimits limits_;
  const size_t segment_bytes_;
  const size_t note_limit_;  // per segment
  const uint64_t segment_ns_;
  const Tables tables_;
  CaptureSink& sink_;
  std::vector<std::unique_ptr<Ring>> rings_;  // by ContainerSlot::flight_ring; 0 is nobody's
  std::vector<uint32_t> free_rings_;
  std::vector<std::unique_ptr<ActiveCapture>> active_;

  // Of the event between before() and after().
  Ring* home_ = nullptr;
  bool is_simple_ = false;  // it goes into home_, unless its thread has turned out to be elsewhere
  std::shared_ptr<const Note> moving_;
  Ring* last_ring_ = nullptr;
  int64_t last_tid_ = -1;

  // Threads outside of a ring's container that its own descend from, and the rings that know them: what becomes of them
  // belongs there, too.
  boost::unordered_flat_map<int64_t, std::vector<uint32_t>> foreign_;

  uint64_t next_aging_ns_ = 0;
  uint64_t lost_total_ = 0;
  FlightCounters counters_;
};

}  // namespace quell::capture::flight
