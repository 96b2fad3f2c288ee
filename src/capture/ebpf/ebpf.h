#pragma once
// The live source: kernel programs that report system calls as events of the current schema.
//
// Order. All CPUs write one ring. Two events of one thread come in the order in which they happened; a new thread's
// event comes before anything that thread does; between CPUs, events come in the order in which their programs
// finished, which can differ from the order of their timestamps by the microseconds that building an event takes.
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "capture/ebpf/arrivals.h"
#include "capture/ebpf/scope.h"
#include "capture/source.h"
#include "model/event_schema.h"
#include "model/interest.h"
#include "model/snapshot.h"

namespace quell::capture {

/// How calls are seen. `singly`: a program on each wanted call's own tracepoint, so that other calls pay next to
/// nothing. `together`: one program on the exit of all calls, which looks the number up; works on every kernel that we
/// support and needs no tracefs. `automatic`: singly where the kernel can.
enum class Attach { automatic, singly, together };

struct EbpfOptions {
  Scope scope;
  Attach attach = Attach::automatic;
  /// What somebody wants. Events that keep the tables true (kEvModifiesState) are captured in any case, but for those
  /// that Interest::needs rules out and that the tables can do without.
  Interest interest;
  /// Children of this process are not reported either (Quell itself never is).
  bool exclude_children = false;
  /// Bytes of data in read, write, send and receive events; at most 4095.
  uint32_t snaplen = 80;
  /// Size of the ring; rounded up to a power of two. 0: 8 MiB, and 2 MiB more for each CPU above four, at most 64 MiB.
  /// The ring counts twice in the resident size of the process, because its memory is mapped twice in a row.
  uint64_t ring_bytes = 0;
  /// While events flow, the ring is emptied at most once in this time; the first event after a pause is taken at once.
  uint64_t coalesce_ns = 250'000;
  /// Reads the tables as they are now. Called once, after the programs are attached, so that nothing falls in between.
  std::function<Result<Snapshot>()> scan;
};

class LiveSource : public EventSource {
 public:
  /// Replaces what is wanted; takes effect at once. Same thread as fill().
  virtual Result<void> set_interest(const Interest& interest) = 0;
  /// Events lost because the ring was full, by event code; only codes that lost any.
  virtual std::vector<std::pair<EventCode, uint64_t>> losses() const = 0;
  /// A process that was moved into the scope, as the kernel knew it then: for who is not in /proc any more. Nothing if
  /// nobody came under this id; the last 256 are remembered. Same thread as fill().
  virtual std::optional<Arrival> find_arrival(int64_t) const { return {}; }
  /// The parent, outside of the scope, of a process that was moved into it.
  virtual std::optional<Thread> find_parent_of_arrival(int64_t) const { return {}; }
};

/// Loads and attaches the sensor. fill() returns as soon as it has events and the ring is empty, so a long timeout
/// costs no latency; one call delivers at most 8192 events. Errors: permission_denied (which capability is missing),
/// unsupported (kernel too old, no BTF), not_found (the scope does not exist), invalid_argument; the message names the
/// remedy. A failed raise of RLIMIT_MEMLOCK is a warning in the log.
Result<std::unique_ptr<LiveSource>> open_ebpf(const EbpfOptions& options);

}  // namespace quell::capture
