#pragma once
// Reads .scap captures, plain or gzip, of every version, as events of the current schema.
//
//   QUELL_TRY(auto source, open_scap("attack.scap"));
//   enrich.load(source->snapshot());
//   for (EventBatch batch;;) {
//     QUELL_TRY(const Pull pull, source->fill(batch, 0));
//     if (pull == Pull::restarted) enrich.load(source->snapshot());
//     if (pull == Pull::ended) break;
//     ... batch ...
//   }
//
// What the source promises beyond EventSource:
// - Every delivered event parses with Event::parse, and its code is of the current schema.
// - An event's number is its block's position in the capture, from 1: the sum of (skipped_before + 1) up to it. Blocks
// whose
//   event is merged into a later one, is of no use or is of a newer schema count too.
// - Enter events that still exist (open, openat, openat2, creat, connect, and execve's in old captures) come as
// state_only.
// - A capture that is cut short or damaged delivers every event before the break, then the error; the error stays.
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "capture/source.h"

namespace quell::capture {

/// Opens a capture and reads its tables. `path` may be a pipe ("/dev/stdin").
/// Errors: Code::not_found, permission_denied, io (the file); malformed (not a capture), truncated (it ends inside its
/// tables), unsupported (a newer major version, or written on a machine of the other byte order).
Result<std::unique_ptr<EventSource>> open_scap(const std::string& path);

/// The same over bytes in memory, which must outlive the source. `name` stands for the path in messages.
Result<std::unique_ptr<EventSource>> open_scap_bytes(std::span<const uint8_t> bytes,
                                                     const std::string& name = "capture");

}  // namespace quell::capture
