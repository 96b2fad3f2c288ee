#pragma once
// What one container (or the host) did lately: event blocks in segments, and beside each segment the state in which it
// found the threads that appear in it.
//
// A capture that begins with some segment needs the tables as they stood then. Copying all of them at every segment
// would cost more than the events. So a thread's state is noted the first time that it appears in a segment, before the
// event has changed it; who does not appear cannot have changed, and the tables of later tell about him. Dropping the
// oldest segment leaves everything that the next one needs.
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "capture/scap/event_block.h"
#include "model/container.h"
#include "model/process.h"

namespace quell::capture::flight {

/// Event blocks of a capture back to back, in pieces of memory: growing moves nothing and touches nothing that is not
/// written. Immutable once its segment is closed: then other threads may read it.
class Chunk {
 public:
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }
  /// The time of the first event; there is one.
  uint64_t first_ns() const { return scap::event_block_ns(pieces_.front().data.get()); }
  /// What is there, piece after piece; each holds whole event blocks.
  template <typename Visit>
  void for_each_piece(Visit&& visit) const {
    for (const Piece& piece : pieces_) {
      const uint8_t* const end = &piece == &pieces_.back() ? end_ : piece.end;
      visit(std::span<const uint8_t>(piece.data.get(), end));
    }
  }

  /// Returns by how much the capacity grew.
  size_t append_event(std::span<const uint8_t> event, uint16_t cpu, bool state_only) {
    const size_t need = scap::event_block_size(event.size(), state_only);
    const size_t grown = static_cast<size_t>(limit_ - end_) < need ? add_piece(need) : 0;
    scap::put_event_block(event, cpu, state_only, end_);
    end_ += need;
    size_ += need;
    return grown;
  }

 private:
  struct Piece {
    std::unique_ptr<uint8_t[]> data;
    const uint8_t* end = nullptr;  // of all but the last one
  };
  size_t add_piece(size_t need);

  std::vector<Piece> pieces_;
  uint8_t* end_ = nullptr;  // of what is written in the last piece
  uint8_t* limit_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

/// A thread as it was before an event. Shared between segments while nothing but its descriptors changes.
struct Note {
  std::shared_ptr<const Thread> thread;  // without links
  uint32_t version = 0;                  // Thread::version of the original
  FdTable fds;
  size_t bytes = 0;  // roughly what it occupies
};
/// By tid. Null: made by an event of this segment, so that there was nothing before.
using Notes = boost::unordered_flat_map<int64_t, std::shared_ptr<const Note>>;

struct Segment {
  uint64_t serial = 0;  // unique in this process; Thread::noted_in refers to it
  std::shared_ptr<Chunk> chunk;
  Notes notes;
  size_t note_bytes = 0;
  uint64_t last_ns = 0;
  uint64_t events = 0;
  uint64_t lost_before = 0;  // events that the machine had lost in all when it began
  bool has_all_notes = true;

  size_t bytes() const { return chunk->capacity() + note_bytes; }
};

struct ActiveCapture;

/// The ring of one container. A segment is there from its first event on; the last one is being written.
struct Ring {
  std::string id;                       // as container.id shows it
  const ContainerSlot* slot = nullptr;  // whose; only to be compared: the container may be gone
  uint32_t index = 0;
  std::deque<Segment> segments;
  Segment* open = nullptr;  // the last one, which is being written; null if there is none
  size_t bytes = 0;
  size_t limit = 0;       // when the last segment has grown to this, and
  uint64_t limit_ns = 0;  // at this time, another one begins
  ActiveCapture* capture = nullptr;

  /// True if an event of this time goes into the open segment.
  bool has_room(uint64_t ts_ns) const { return open != nullptr && open->chunk->size() < limit && ts_ns < limit_ns; }
};

/// Notes the state of `thread` in `into`, the last of `segments`, unless it is there already. Texts are shared with an
/// older note of the same thread where nothing changed since. Beyond `note_limit` bytes nothing is noted.
void note_thread(const Thread& thread, Segment& into, const std::deque<Segment>& segments, size_t note_limit);
std::shared_ptr<const Note> make_note(const Thread& thread);

}  // namespace quell::capture::flight
