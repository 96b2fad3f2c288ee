#include "capture/flight/ring.h"

#include <algorithm>
#include <bit>

namespace quell::capture::flight {
namespace {

constexpr size_t kFirstPiece = 4 << 10, kLargestPiece = 64 << 10;

size_t heap_bytes(const Thread& t) {
  size_t bytes = 0;
  for (const std::string* text : {&t.comm, &t.exe, &t.exepath, &t.args, &t.env, &t.cwd, &t.root, &t.cgroups})
    bytes += text->capacity();
  return bytes;
}

std::shared_ptr<const Thread> copy_of(const Thread& thread) {
  auto copy = std::make_shared<Thread>(thread);
  copy->main = nullptr;
  copy->container = nullptr;
  copy->fds.reset();
  copy->predicates = {};
  copy->changed();  // drops what was derived
  return copy;
}

std::shared_ptr<Note> note_of(const Thread& thread, std::shared_ptr<const Thread> known) {
  auto note = std::make_shared<Note>();
  note->version = thread.version;
  note->bytes = sizeof(Note);
  if (known == nullptr) {
    known = copy_of(thread);
    note->bytes += sizeof(Thread) + heap_bytes(*known);
  }
  note->thread = std::move(known);
  if (thread.fds && thread.fds->size() > 0) {
    // The table's entries are immutable: sharing them costs a pointer each.
    note->fds = *thread.fds;
    note->bytes += note->fds.size() * (sizeof(int64_t) + sizeof(FdPtr));
  }
  return note;
}

}  // namespace

size_t Chunk::add_piece(size_t need) {
  // A container in which little happens takes little.
  const size_t size = std::max(need, std::clamp(std::bit_floor(capacity_), kFirstPiece, kLargestPiece));
  if (!pieces_.empty()) pieces_.back().end = end_;
  auto& piece = pieces_.emplace_back(Piece{std::make_unique_for_overwrite<uint8_t[]>(size), nullptr});
  end_ = piece.data.get();
  limit_ = end_ + size;
  capacity_ += size;
  return size;
}

std::shared_ptr<const Note> make_note(const Thread& thread) { return note_of(thread, nullptr); }

void note_thread(const Thread& thread, Segment& into, const std::deque<Segment>& segments, size_t note_limit) {
  if (into.notes.contains(thread.tid)) return;
  if (into.note_bytes >= note_limit) {
    into.has_all_notes = false;
    return;
  }
  std::shared_ptr<const Thread> known;
  for (auto segment = segments.rbegin(); segment != segments.rend() && known == nullptr; ++segment) {
    const auto found = segment->notes.find(thread.tid);
    if (found == segment->notes.end()) continue;
    const Note* note = found->second.get();
    if (note == nullptr || note->version != thread.version || note->thread->clone_ns != thread.clone_ns) break;
    known = note->thread;
  }
  auto note = note_of(thread, std::move(known));
  into.note_bytes += note->bytes;
  into.notes.emplace(thread.tid, std::move(note));
}

}  // namespace quell::capture::flight
