#pragma once
// Where events come from. Every source speaks the current event schema: older captures are upgraded on the way in.
#include <cstdint>
#include <string>

#include "base/result.h"
#include "model/event.h"
#include "model/snapshot.h"

namespace quell::capture {

enum class Pull {
  more,       // the batch may hold events; ask again
  restarted,  // before the events of this batch, everything known is void: take snapshot() anew (an appended capture)
  ended,      // nothing will come any more
};

/// Losses and oddities since the source was opened, per cause. Shown by --stats, /healthz and /metrics. Reading them costs
/// nothing, so that each batch may be asked whether something was lost.
struct SourceCounters {
  uint64_t events = 0;           // event blocks read, or events taken from the ring
  uint64_t lost_ring_full = 0;   // live: no room in the ring buffer
  uint64_t lost_scratch = 0;     // live: the event did not fit its scratch space
  uint64_t lost_fault = 0;       // live: user memory could not be read (the event came with empty parameters)
  uint64_t names_from_kernel = 0;  // live: the name a process gave did not lead to what it opened; the kernel's is told
  uint64_t malformed = 0;        // live: records that are no sound event (a bug of the sensor's)
  uint64_t foreign_abi = 0;      // live: 32-bit and x32 calls, counted and not decoded
  uint64_t skipped_blocks = 0;   // capture: block types that we do not know
  uint64_t skipped_events = 0;   // capture: event codes of a newer schema
  uint64_t skipped_entries = 0;  // capture: unreadable entries of a table
  uint64_t enters_not_kept = 0;  // capture: enter events of old captures that could not wait for their exit (bounds)
  /// Times of the oldest and the newest event that is known to be lost, since the epoch; 0 while there is none. A
  /// detection whose facts reach back over one of them may lack something.
  uint64_t first_loss_ns = 0, last_loss_ns = 0;
  uint64_t lost() const { return lost_ring_full + lost_scratch; }
};

/// How much a source puts into a batch: enough to spread costs per batch thin, small enough to stay in the cache.
inline constexpr size_t kBatchEvents = 1024, kBatchBytes = 256 << 10;
inline bool batch_is_full(const EventBatch& batch) {
  return batch.size() >= kBatchEvents || batch.byte_size() >= kBatchBytes;
}

/// Pulls events from one origin. Used by exactly one thread.
class EventSource {
 public:
  virtual ~EventSource() = default;

  /// The tables as they stand before the next event. Valid until the next fill().
  virtual const Snapshot& snapshot() const = 0;

  /// Clears `batch`, then fills it with what is there; waits for a first event up to `timeout_ns` (0: not at all) and
  /// returns as soon as nothing more is at hand or the batch is full. What the batch borrows holds until the next call.
  /// Quiet leaves it empty.
  /// Errors: Code::truncated (a capture cut short), Code::malformed (`where` is the byte offset): the events before the
  /// break were delivered by earlier calls; Code::gone (the sensor was unloaded).
  virtual Result<Pull> fill(EventBatch& batch, uint64_t timeout_ns) = 0;

  virtual SourceCounters counters() const = 0;
};

}  // namespace quell::capture
