#pragma once
// Evidence, as those who collect and those who read it see it: objects that are written once, named by their SHA-256,
// with a catalogue entry each. Every making, reading, export, hold, release and deletion is an audit entry.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell {

enum class EvidenceKind : uint8_t {
  process_tree,
  sockets,
  open_files,
  memory,
  file,
  logs,
  layer_diff,
  capture,
  triage,
  other,
  orphan,  // found in the store without a catalogue entry: a crash came between the two
};
std::string_view to_string(EvidenceKind kind);
std::optional<EvidenceKind> parse_evidence_kind(std::string_view text);

/// What the kernel says about the wall clock: how far it may be from UTC.
struct ClockState {
  bool is_known = false, is_synchronised = false;
  int64_t offset_ns = 0;                              // still to be corrected
  uint64_t estimated_error_ns = 0, max_error_ns = 0;  // by the time daemon's word
};

/// What a collector says before it collects.
struct EvidenceRequest {
  EvidenceKind kind = EvidenceKind::other;
  std::string name{};  // for people: "process tree of nginx", "/tmp/x"
  std::string media_type = "application/octet-stream";
  std::string action_id{}, detection_id{}, incident_id{};  // what it belongs to; empty: nothing
  std::string collector{};                                 // which part of Quell, or which program
  std::string tool_version{};                              // of the collector; empty: Quell's own
  std::string actor{};                                     // by whose order; empty: "quell"
};

struct EvidenceItem {
  std::string id;      // "e-" + 16 hex digits
  std::string sha256;  // lowercase hex, of the content
  uint64_t size = 0;
  EvidenceRequest origin;
  std::string host;
  uint64_t begun_ns = 0, ended_ns = 0;                      // wall clock
  uint64_t begun_monotonic_ns = 0, ended_monotonic_ns = 0;  // of this boot
  ClockState clock;                                         // at the end
  std::vector<std::string> errors, skipped;                 // what went wrong, what is not in it and why
  bool is_held = false;                                     // legal hold: never deleted
  std::string hold_actor, hold_reason;                      // who set or lifted it last, and why
  bool is_deleting = false;                                 // its deletion was begun
};

struct EvidenceQuery {
  std::string action_id{}, sha256{};  // empty: any
  std::optional<EvidenceKind> kind{};
  std::string before_id{};  // only older ones: the last of the previous page
  size_t limit = 100;       // at most 1000
};

struct EvidenceCounters {
  uint64_t items = 0, bytes = 0;            // in the catalogue; content that several items share counts once
  uint64_t held = 0;                        // of the items
  uint64_t dropped = 0, dropped_bytes = 0;  // deleted for age or room since the data directory was made
  uint64_t refused = 0;                     // writes for which no room could be made, since the start
};

/// One object in the making. One thread. Destroyed before finish(): nothing remains of it.
class EvidenceWriter {
 public:
  virtual ~EvidenceWriter() = default;
  /// Errors: Code::limit (the object is larger than allowed, or the store is full of what must be kept), Code::io
  /// (the disk is full or fails). After an error finish() refuses, too.
  virtual Result<void> write(std::span<const uint8_t> bytes) = 0;
  /// Everything that can be read from `fd` from where it stands, up to `limit` bytes. Returns how many.
  virtual Result<uint64_t> copy_from(int fd, uint64_t limit = UINT64_MAX) = 0;
  virtual void note_error(std::string what) = 0;
  virtual void note_skipped(std::string what) = 0;
  /// Returns after content and catalogue entry are on stable storage. Once.
  virtual Result<EvidenceItem> finish() = 0;
};

/// What collectors see. Thread-safe; each writer belongs to one thread.
class EvidenceSink {
 public:
  virtual ~EvidenceSink() = default;
  /// Errors: Code::limit (the store is full of what must be kept), Code::io, Code::permission_denied.
  virtual Result<std::unique_ptr<EvidenceWriter>> begin(const EvidenceRequest& request) = 0;
};

/// Thread-safe. Errors of every call: Code::io, Code::malformed (a damaged catalogue).
class EvidenceStore : public EvidenceSink {
 public:
  /// Errors: also Code::not_found.
  virtual Result<EvidenceItem> find(std::string_view id) const = 0;
  /// Newest first.
  virtual Result<std::vector<EvidenceItem>> list(const EvidenceQuery& query) const = 0;
  /// The path of the content, for a reader on this machine, after an audit entry said who reads it and what for
  /// ("read", "exported"). Errors: also Code::not_found, Code::gone (the object is missing).
  virtual Result<std::string> hand_out(std::string_view id, std::string_view actor, std::string_view purpose) = 0;
  /// `length` bytes of the content from `offset` on, as far as there are, audited in the same way.
  virtual Result<std::string> read(std::string_view id, std::string_view actor, uint64_t offset, uint64_t length) = 0;
  /// Sets or lifts the legal hold. Errors: also Code::not_found.
  virtual Result<EvidenceItem> set_hold(std::string_view id, bool is_held, std::string_view actor,
                                        std::string_view reason) = 0;
  /// Deletes what is too old. Called by begin() once an hour, too.
  virtual Result<void> retain() = 0;
  virtual Result<EvidenceCounters> counters() const = 0;
};

}  // namespace quell
