#pragma once
// Writes .scap captures that other tools of the format read too.
//
//   QUELL_TRY(auto writer, ScapWriter::create("incident.scap", snapshot, {.gzip = true}));
//   for (...) QUELL_CHECK(writer->append(event.bytes(), event.cpu, event.state_only));
//   QUELL_CHECK(writer->close());
//
// What a capture does not carry: the boot id, and texts beyond the format's limits (4096 bytes of arguments).
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "model/snapshot.h"

namespace quell::capture {

/// One growing capture. Used by one thread. Destroying it closes it, without telling of failures: call close().
class ScapWriter {
 public:
  struct Options {
    bool gzip = true;
  };

  /// Creates the file, readable by its owner alone (captures hold arguments and data of others), replacing what was
  /// there, and writes the tables. Errors: Code::permission_denied, not_found, io.
  static Result<std::unique_ptr<ScapWriter>> create(const std::string& path, const Snapshot& snapshot, Options options);
  virtual ~ScapWriter() = default;

  /// Adds one event, which must be of the current schema with a header whose length is its size.
  /// Errors: Code::invalid_argument (no such event; the capture stays usable), limit (above 64 MiB; stays usable), io
  /// (the disk is full or failed: the capture ends here, and every later call says so).
  virtual Result<void> append(std::span<const uint8_t> event, uint16_t cpu, bool state_only) = 0;

  /// Hands everything so far to the system, so that a reader sees it. Costs compression; not for every event.
  virtual Result<void> flush() = 0;

  /// Ends the file and closes it. Further calls do nothing.
  virtual Result<void> close() = 0;

  /// Of the file so far, what is still buffered not included.
  virtual uint64_t file_bytes() const = 0;
  virtual uint64_t event_count() const = 0;
};

}  // namespace quell::capture
