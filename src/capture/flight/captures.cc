// From a detection to a finished capture.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "capture/account_events.h"
#include "capture/flight/active_capture.h"
#include "capture/flight/recorder.h"

namespace quell::capture::flight {
namespace {

constexpr int kMaxAncestors = 32;

/// Collects the threads of a base, each once.
class BaseBuilder {
 public:
  explicit BaseBuilder(const StateView& view) : view_(view) {}

  void add(const Note& note) {
    snapshot_.threads.push_back(*note.thread);
    if (note.fds.size() == 0) return;
    Snapshot::FdList& list = snapshot_.fd_lists.emplace_back();
    list.tid = note.thread->tid;
    note.fds.for_each([&](int64_t number, const Fd& fd) { list.fds.emplace_back(number, fd); });
  }
  void skip(int64_t tid) { known_.emplace(tid, true); }
  bool take(int64_t tid) { return known_.emplace(tid, true).second; }

  /// Whom the threads so far refer to and who is not among them: parents, group and session leaders.
  void add_relatives() {
    for (size_t i = 0; i < snapshot_.threads.size() && i < kMaxThreadsInBase; ++i) {
      const Thread& thread = snapshot_.threads[i];
      const std::array<int64_t, 4> relatives{thread.ptid, thread.pid, thread.sid, thread.pgid};
      for (const int64_t tid : relatives) {
        const Thread* relative = tid > 0 ? view_.thread(tid) : nullptr;
        if (relative != nullptr && take(tid)) add_without_fds(*relative);
      }
    }
  }
  void add_without_fds(const Thread& thread) {
    Note note;
    note.thread = make_note(thread)->thread;
    add(note);
  }

  Snapshot take_snapshot() {
    const auto by_tid = [](const auto& a, const auto& b) { return a.tid < b.tid; };
    std::sort(snapshot_.threads.begin(), snapshot_.threads.end(), by_tid);
    std::sort(snapshot_.fd_lists.begin(), snapshot_.fd_lists.end(), by_tid);
    for (auto& list : snapshot_.fd_lists)
      std::sort(list.fds.begin(), list.fds.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
    return std::move(snapshot_);
  }

 private:
  static constexpr size_t kMaxThreadsInBase = 262'144;
  const StateView& view_;
  Snapshot snapshot_;
  boost::unordered_flat_map<int64_t, bool> known_;
};

}  // namespace

std::optional<FlightRecorder::Started> FlightRecorder::trigger(CaptureRef ref, uint64_t after_ns) {
  if (last_ring_ == nullptr || last_ring_->segments.empty()) return {};
  Ring& ring = *last_ring_;
  if (after_ns == 0) after_ns = limits_.after_ns;
  if (ring.capture != nullptr) {
    ActiveCapture& running = *ring.capture;
    running.until_ns = std::min(std::max(running.until_ns, ref.trigger_ns + after_ns), running.limit_ns);
    running.ref.also.push_back(ref.id);
    ++counters_.captures_joined;
    return Started{running.ref, false};
  }
  if (active_.size() >= limits_.active_captures) {
    ++counters_.captures_refused;
    return {};
  }
  auto& capture = *active_.emplace_back(std::make_unique<ActiveCapture>());
  ++counters_.captures_begun;
  capture.ref = std::move(ref);
  capture.ref.container_id = ring.id;
  capture.ring = &ring;
  capture.until_ns = capture.ref.trigger_ns + after_ns;
  capture.limit_ns = capture.ref.trigger_ns + std::max(limits_.max_after_ns, after_ns);
  learn_container(capture);
  sink_.begin(capture.ref.id);

  const uint64_t from_ns = capture.ref.trigger_ns > limits_.before_ns ? capture.ref.trigger_ns - limits_.before_ns : 0;
  capture.lost_before = ring.open->lost_before;
  bool has_begun = false;
  for (const Segment& segment : ring.segments) {
    if (!has_begun && segment.last_ns < from_ns) continue;
    if (!has_begun) capture.lost_before = segment.lost_before;
    has_begun = true;
    hand_over(capture, segment);
  }
  // What it descends from as of now: by the end of the capture some of them may be gone.
  ring.capture = &capture;
  ring.limit = 0;  // others read the current segment from here on: the next event begins another one
  const Thread* thread = tables_.view->thread(last_tid_);
  for (int depth = 0; thread != nullptr && depth < kMaxAncestors; ++depth) {
    if (thread->container != ring.slot && !capture.base.contains(thread->tid)) {
      Note note;
      note.thread = make_note(*thread)->thread;
      capture.base.emplace(thread->tid, std::make_shared<const Note>(std::move(note)));
      auto& rings = foreign_[thread->tid];
      if (std::find(rings.begin(), rings.end(), ring.index) == rings.end()) rings.push_back(ring.index);
    }
    thread = tables_.view->parent(*thread);
  }
  const Started started{capture.ref, true};
  if (!capture.cut.empty()) end(ring, capture.cut);
  return started;
}

void FlightRecorder::hand_over(ActiveCapture& capture, const Segment& segment) {
  if (!capture.cut.empty() || segment.events == 0) return;
  for (const auto& [tid, note] : segment.notes) capture.base.try_emplace(tid, note);
  CaptureRef& ref = capture.ref;
  ref.is_base_complete = ref.is_base_complete && segment.has_all_notes;
  if (ref.events == 0) ref.from_ns = segment.chunk->first_ns();
  ref.to_ns = std::max(ref.to_ns, segment.last_ns);
  ref.events += segment.events;
  capture.bytes += segment.chunk->size();
  if (!sink_.add(ref.id, segment.chunk)) {
    capture.cut = "ended early: it could not be written as fast as events came";
  } else if (capture.bytes > limits_.file_bytes) {
    capture.cut = fmt::format("ended early: one capture holds at most {} bytes of events", limits_.file_bytes);
  }
}

/// What a container is may be forgotten when it ends, so it is asked for at the beginning and again at the end.
void FlightRecorder::learn_container(ActiveCapture& capture) {
  const ContainerSlot* slot = tables_.view->container(capture.ring->id);
  if (slot == nullptr || slot->is_host()) return;
  if (slot->info != nullptr) capture.container = slot->info;
  std::vector<User> users;
  std::vector<Group> groups;
  tables_.accounts(*slot, users, groups);
  if (!users.empty()) capture.users = std::move(users);
  if (!groups.empty()) capture.groups = std::move(groups);
}

void FlightRecorder::end(Ring& ring, std::string note) {
  const auto found = std::find_if(active_.begin(), active_.end(), [&](const auto& one) { return one->ring == &ring; });
  if (found == active_.end()) return;
  const std::unique_ptr<ActiveCapture> capture = std::move(*found);
  active_.erase(found);
  ring.capture = nullptr;
  if (is_unshared(ring)) hand_over(*capture, *ring.open);
  ring.limit = 0;
  learn_container(*capture);
  CaptureRef& ref = capture->ref;
  ref.note = !note.empty() ? std::move(note) : capture->cut;
  if (!ref.note.empty()) ++counters_.captures_cut;
  ref.lost_events = lost_total_ - std::min(lost_total_, capture->lost_before);

  std::vector<std::vector<uint8_t>> preface;
  if (capture->container != nullptr)
    preface.push_back(
        EventBuilder(ev::CONTAINER_JSON_2_E, ref.from_ns, -1).text(tables_.describe(*capture->container)).build());
  for (auto& account : account_events(ring.id, capture->users, capture->groups, ref.from_ns))
    preface.push_back(std::move(account));
  sink_.finish(ref, base_of(*capture), std::move(preface));
}

/// The tables before the capture's first event: of who appears in it as noted, of everybody else as they are now,
/// because nothing has changed them meanwhile.
Snapshot FlightRecorder::base_of(const ActiveCapture& capture) const {
  const StateView& view = *tables_.view;
  BaseBuilder base(view);
  for (const auto& [tid, note] : capture.base) {
    base.skip(tid);
    if (note != nullptr) base.add(*note);
  }
  const ContainerSlot* slot = view.container(capture.ring->id);
  const bool is_host = slot != nullptr && slot->is_host();
  if (slot != nullptr) {
    tables_.for_each_thread([&](const Thread& thread) {
      const bool is_gone = thread.dead && thread.live_threads == 0;
      if (thread.container != slot || is_gone || !base.take(thread.tid)) return;
      // Of a whole machine the descriptors that nothing uses would be most of the file.
      is_host ? base.add_without_fds(thread) : base.add(*make_note(thread));
    });
  }
  base.add_relatives();
  Snapshot out = base.take_snapshot();
  out.machine = view.machine();
  out.interfaces = view.interfaces();
  if (const ContainerSlot* host = view.container("host")) tables_.accounts(*host, out.users, out.groups);
  return out;
}

void FlightRecorder::finish(const std::string& why) {
  while (!active_.empty()) end(*active_.back()->ring, why);
}

}  // namespace quell::capture::flight
