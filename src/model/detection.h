#pragma once
// A rule that matched an event, with everything needed to show it and to act on it later. Owns its values.
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "model/capture_ref.h"
#include "model/process.h"
#include "model/severity.h"

namespace quell {

/// A value of output_fields: absent, number, bool, text, or a list of texts.
using OutputValue =
    std::variant<std::monostate, int64_t, uint64_t, double, bool, std::string, std::vector<std::string>>;

/// One ancestor, nearest first.
struct ProcessSummary {
  ProcessId id;
  std::string name, exepath, cmdline;
};

/// Repeats of a detection that were counted instead of being delivered one by one.
struct FoldedRepeats {
  uint64_t count = 0;
  uint64_t first_ns = 0, last_ns = 0;  // kernel time of the first and of the last repeat
  std::string last_evidence_ref;       // the event behind the last repeat
};

/// Events that were lost while the detection's process, or an ancestor that it shares its container or session with,
/// lived: what it shows may be incomplete then.
struct LossWindow {
  bool is_known = false;  // false in replays: a capture does not say what its writer lost
  uint64_t from_ns = 0;   // begin of that time, not before the sensor's own start; it ends with the event
  uint64_t count = 0;     // events lost in it
  uint64_t last_ns = 0;   // when the last of them was lost; 0 if none was
};

struct Detection {
  std::string id;  // "d-" + 16 hex digits, unique in a data directory
  std::string rule;
  Priority priority = Priority::debug;
  std::string source;  // "syscall"
  std::vector<std::string> tags;
  std::string message;                                             // the filled output template
  std::vector<std::pair<std::string, OutputValue>> output_fields;  // by name, in alphabetical order
  std::string hostname;

  uint64_t event_number = 0;
  uint64_t kernel_ns = 0;  // timestamp of the event
  uint64_t detect_ns = 0;  // when the rule had matched (wall clock); 0 in replays

  // The entities, for responses.
  ProcessId process;
  int64_t tid = -1;
  std::string process_name, exepath, cmdline, user_name;
  std::vector<ProcessSummary> ancestors;
  std::string container_id;  // short; "host" outside containers; empty if there is no thread
  std::string container_full_id;
  std::shared_ptr<const Container> container;  // null on the host and while unknown
  ContainerMissing container_missing = ContainerMissing::none;
  std::string container_missing_detail;  // the same for operators: who was asked, what to do; empty when it is there
  uint64_t completed_ns = 0;             // when metadata came that was unknown at the match (wall clock); else 0

  LossWindow losses;

  FoldedRepeats folded;
  std::string fold_key;  // values of the fields that its rule folds by; empty: the rule names none. Not stored.

  // The rule set that matched.
  uint64_t rules_generation = 0;  // counts from 1 in a running quell; 0 in replays
  std::string rules_hash;         // of everything that it was made of: 16 hex digits, or empty

  std::string evidence_ref;  // "scap:PATH#NUMBER" or "live:BOOT_ID#NUMBER": the exact event behind it

  /// What the flight recorder kept around it; null if nothing. Replaced in the store when the capture is complete.
  std::shared_ptr<const CaptureRef> capture;

  Severity severity() const { return severity_of(priority); }
};

}  // namespace quell
