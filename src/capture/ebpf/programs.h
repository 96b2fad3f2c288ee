#pragma once
// The kernel programs: loading those that are wanted, putting them where they run, and the memory shared with them.
#include "bpf/wire.h"  // types of the shared memory, before what describes that memory
//
#include <sensor.skel.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "capture/ebpf/call_tracepoints.h"
#include "capture/ebpf/ebpf.h"
#include "model/event_schema.h"

namespace quell::capture {

class Programs {
 public:
  using Settings = std::function<void(sensor_bpf&)>;
  /// Loads what every sensor needs; `configure` sets constants and sizes of maps before that. Nothing runs yet.
  /// Errors: permission_denied, unsupported, limit; with what the kernel's verifier and libbpf had to say.
  static Result<std::unique_ptr<Programs>> load(Attach attach, const Settings& configure);

  /// Starts the programs of births, execs and deaths.
  Result<void> attach_tasks();
  /// Loads and attaches the programs of those calls that have none yet, by SyscallSpec.
  Result<void> add_calls(const std::vector<const SyscallSpec*>& calls);
  /// Loads and attaches the program of an event that is no call; nothing if it runs already. Errors: unsupported.
  Result<void> add_tracepoint(const char* program);

  sensor_bpf& shared() { return *objects_.front(); }
  const sensor_bpf& shared() const { return *objects_.front(); }
  bool is_singly() const { return tracepoints_.has_value(); }

 private:
  struct Destroy {
    void operator()(sensor_bpf* skeleton) const { sensor_bpf::destroy(skeleton); }
  };
  using Object = std::unique_ptr<sensor_bpf, Destroy>;
  Programs() = default;
  Result<Object> open_object() const;
  Result<void> load_object(Object object, const std::vector<bpf_program*>& wanted);

  std::vector<Object> objects_;  // the first has the maps, the others share them
  std::optional<CallTracepoints> tracepoints_;
  std::vector<bool> has_call_;  // by x86-64 number: its program is loaded and runs
  struct Detach {
    void operator()(bpf_link* link) const;
  };
  std::vector<std::unique_ptr<bpf_link, Detach>> links_;  // of single tracepoints; before objects_ go
  std::set<std::string> has_tracepoint_;
  Settings configure_;
};

/// Explains a failure of libbpf or the kernel to somebody who can do something about it.
Error load_error(int number, const char* what);

}  // namespace quell::capture
