#pragma once
// What evaluation may ask of the state tables, and the context that the tables attach to each event.
// One thread writes the tables and evaluates: every pointer is borrowed, valid until the next event is applied.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/event.h"
#include "model/process.h"
#include "model/snapshot.h"

namespace quell {

/// A process that another one came from; perhaps gone, then as it was in the end.
struct Creator {
  int64_t pid = -1;
  uint64_t clone_ns = 0;  // 0 unknown
  std::string comm, exepath, cmdline;
};

class StateView {
 public:
  virtual ~StateView() = default;

  virtual const Thread* thread(int64_t tid) const = 0;
  /// The parent process: main thread of the group of `ptid`; null if unknown.
  virtual const Thread* parent(const Thread& thread) const = 0;
  /// Who created the process, who created that one and so on, nearest first, at most `limit`. Where parent() follows
  /// the kernel, which gives orphans to another process, this tells where a process really came from.
  virtual std::vector<Creator> lineage(const Thread& thread, size_t limit) const {
    std::vector<Creator> out;
    for (const Thread* at = parent(thread); at != nullptr && out.size() < limit; at = parent(*at))
      out.push_back({at->pid, at->clone_ns, at->comm, at->exepath, std::string(at->cmdline())});
    return out;
  }
  /// Counts up whenever something changes that a descendant's rules could see (a process with children execs, is
  /// renamed or re-parented), so that results which depend on ancestors can be remembered.
  virtual uint32_t lineage_epoch() const = 0;
  /// Database of the container (host: the host's slot). Null if there is no entry.
  virtual const User* user(const ContainerSlot& container, uint32_t uid) const = 0;
  virtual const Group* group(const ContainerSlot& container, uint32_t gid) const = 0;
  virtual const MachineInfo& machine() const = 0;
  virtual const std::vector<NetworkInterface>& interfaces() const = 0;
  /// True if the address belongs to this machine, or to the process' container.
  virtual bool is_local(const IpAddress& address, const Thread& thread) const = 0;
  virtual const ContainerSlot* container(std::string_view id) const = 0;
};

struct EventContext {
  const Event* event = nullptr;
  const StateView* state = nullptr;
  uint64_t number = 0;       // evt.num: the first event is 1
  uint64_t first_ts_ns = 0;  // of the stream
  std::string_view source = "syscall";
  const Thread* thread = nullptr;  // of the event's tid, after its own change; null for meta events
  int64_t fd_number = -1;          // of events that use, create or destroy one; -1 when creation failed
  const Fd* fd = nullptr;          // its entry, if known
  bool has_fd_class = false;       // the event's type has to do with a descriptor at all
  bool fd_name_changed = false;
  std::optional<int64_t> result;               // return value, for events that have one
  const Container* container_event = nullptr;  // metadata that this very event carries
};

}  // namespace quell
