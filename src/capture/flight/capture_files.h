#pragma once
// The captures of a data directory: a thread that writes them, the room that they may take, and what is there.
//
//   ID.scap            a whole capture (gzip); it is renamed to this name after it was synced
//   ID.json            what is to be known about it (CaptureRef); written before the capture gets its name
//   .ID.events.part    events of a capture that is being made
//   .ID.scap.part      the capture itself: tables, then the events
//
// The tables before the first event are known only at the end, so the events wait in a file of their own and are
// appended to the tables as another gzip member.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/result.h"
#include "capture/flight/recorder.h"
#include "capture/scap/output.h"

namespace quell::capture::flight {

struct CaptureFilesOptions {
  std::string folder;                 // made (mode 0700) if missing; its parent must exist
  uint64_t max_disk_bytes = 1 << 30;  // all captures together; the oldest go first
  size_t max_queue_bytes = 24 << 20;  // of events that wait to be written; beyond it a capture is cut
  /// A capture is complete or has failed. Called on the writing thread.
  std::function<void(const CaptureRef&)> on_done;
};

struct CaptureFileCounters {
  uint64_t written = 0, failed = 0;
  uint64_t removed_for_room = 0;  // older captures, so that the disk budget is kept
  uint64_t leftovers = 0;         // unfinished files of an earlier run, removed at the start
  uint64_t bytes = 0, files = 0;  // on disk now
  uint64_t queued_bytes = 0;
  std::string error;  // of the last capture if it failed; empty when it succeeded
};

/// Thread-safe.
class CaptureFiles final : public CaptureSink {
 public:
  /// Removes what an earlier run left unfinished, and starts the thread.
  /// Errors: Code::permission_denied, not_found, io: the folder cannot be made or read.
  static Result<std::unique_ptr<CaptureFiles>> open(CaptureFilesOptions options);
  ~CaptureFiles() override;

  void begin(const std::string& id) override;
  bool add(const std::string& id, std::shared_ptr<const Chunk> chunk) override;
  void finish(CaptureRef ref, Snapshot base, std::vector<std::vector<uint8_t>> preface) override;

  /// Writes out what is queued and ends the thread. Idempotent.
  void close();

  std::string path_of(const std::string& id) const { return options_.folder + "/" + id + ".scap"; }
  CaptureFileCounters counters() const;

 private:
  struct Finish {
    CaptureRef ref;
    Snapshot base;
    std::vector<std::vector<uint8_t>> preface;
  };
  struct Job {
    std::string id;
    std::shared_ptr<const Chunk> chunk;  // one of the two
    std::unique_ptr<Finish> end;
  };
  struct Growing {
    std::unique_ptr<scap::Output> events;
    Result<void> status;
  };
  struct Stored {
    std::string id;
    uint64_t bytes = 0;
    int64_t written_ns = 0;
  };

  explicit CaptureFiles(CaptureFilesOptions options) : options_(std::move(options)) {}
  Result<void> take_stock();
  void work();
  void write_chunk(const Job& job);
  void write_end(Finish& end);
  Result<void> assemble(const Finish& end, CaptureRef& ref);
  Result<void> make_room_for(uint64_t bytes);
  std::string part_of(const std::string& id, const char* what) const;

  const CaptureFilesOptions options_;

  // The writing thread.
  std::map<std::string, Growing> growing_;
  std::deque<Stored> stored_;  // oldest first

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::condition_variable changed_;
  std::deque<Job> jobs_;
  size_t queued_bytes_ = 0;
  std::vector<std::string> refused_;  // captures that take no more
  bool is_closing_ = false;
  CaptureFileCounters counters_;

  std::thread thread_;  // last: starts when all else is there
};

/// The captures of a folder, oldest first: for commands, whether or not a quell runs.
/// Errors: Code::not_found, permission_denied, io.
Result<std::vector<CaptureRef>> list_captures(const std::string& folder);
/// Errors: also Code::not_found for the id.
Result<CaptureRef> find_capture(const std::string& folder, const std::string& id);
/// Of a whole file. Errors: io, not_found, permission_denied.
Result<std::string> sha256_of_file(const std::string& path);

}  // namespace quell::capture::flight
