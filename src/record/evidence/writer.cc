#include "record/evidence/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "base/version.h"
#include "record/evidence/fact.h"
#include "record/evidence/files.h"

namespace quell::record {
namespace {

constexpr size_t kMaxNotes = 100, kMaxNote = 1'000;
constexpr size_t kMaxText = 4'096;
constexpr size_t kPiece = 256 << 10;

void add_note(std::vector<std::string>& notes, std::string what) {
  if (notes.size() > kMaxNotes) return;
  if (notes.size() == kMaxNotes) what = "more of them are not listed";
  what.resize(std::min(what.size(), kMaxNote));
  notes.push_back(std::move(what));
}

}  // namespace

EvidenceFileWriter::EvidenceFileWriter(EvidenceFiles& files, EvidenceItem item, std::string part, int fd)
    : files_(files), item_(std::move(item)), part_(std::move(part)), fd_(fd) {}

Result<std::unique_ptr<EvidenceWriter>> EvidenceFileWriter::open(EvidenceFiles& files, const EvidenceRequest& request) {
  EvidenceItem item;
  item.id = new_evidence_id();
  item.origin = request;
  item.origin.name.resize(std::min(item.origin.name.size(), kMaxText));
  if (item.origin.tool_version.empty()) item.origin.tool_version = fmt::format("quell {} ({})", kVersion, kCommit);
  if (item.origin.actor.empty()) item.origin.actor = "quell";
  item.host = files.options_.host;
  item.begun_ns = files.options_.clock->realtime_ns();
  item.begun_monotonic_ns = files.options_.clock->monotonic_ns();
  std::string part = files.options_.folder + "/parts/" + item.id;
  const int fd = ::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return errno_error(errno, "cannot make an object of evidence; is the disk full?", part);
  return std::unique_ptr<EvidenceWriter>(new EvidenceFileWriter(files, std::move(item), std::move(part), fd));
}

EvidenceFileWriter::~EvidenceFileWriter() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(part_.c_str());
  files_.give_back(reserved_);
}

Error EvidenceFileWriter::failed(Error error) {
  failed_ = error;
  return error;
}

Result<void> EvidenceFileWriter::write(std::span<const uint8_t> bytes) {
  if (failed_) return *failed_;
  if (fd_ < 0) return Error{Code::conflict, "this object of evidence is finished", item_.id};
  if (bytes.size() > files_.options_.max_object_bytes - item_.size)
    return failed({Code::limit,
                   fmt::format("an object of evidence may have {} bytes at most", files_.options_.max_object_bytes),
                   item_.origin.name});
  if (auto room = files_.reserve(bytes.size()); !room) return failed(std::move(room).error());
  reserved_ += bytes.size();
  sum_.update(bytes);
  item_.size += bytes.size();
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0)
      return failed(errno_error(
          count < 0 ? errno : ENOSPC,
          "cannot write an object of evidence; free space on that disk, or move the data directory with --data-dir",
          part_));
    bytes = bytes.subspan(static_cast<size_t>(count));
  }
  return {};
}

Result<uint64_t> EvidenceFileWriter::copy_from(int fd, uint64_t limit) {
  std::vector<uint8_t> piece(kPiece);
  uint64_t copied = 0;
  while (copied < limit) {
    const ssize_t count = ::read(fd, piece.data(), std::min<uint64_t>(piece.size(), limit - copied));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "cannot read what is to become evidence", item_.origin.name);
    if (count == 0) break;
    QUELL_CHECK(write({piece.data(), static_cast<size_t>(count)}));
    copied += static_cast<uint64_t>(count);
  }
  return copied;
}

void EvidenceFileWriter::note_error(std::string what) { add_note(item_.errors, std::move(what)); }
void EvidenceFileWriter::note_skipped(std::string what) { add_note(item_.skipped, std::move(what)); }

Result<EvidenceItem> EvidenceFileWriter::finish() {
  if (failed_) return *failed_;
  if (fd_ < 0) return Error{Code::conflict, "this object of evidence is finished", item_.id};
  if (::fchmod(fd_, 0400) != 0 || ::fsync(fd_) != 0)
    return failed(errno_error(errno, "cannot flush an object of evidence; is the disk full?", part_));
  item_.sha256 = sum_.finish();
  item_.ended_ns = files_.options_.clock->realtime_ns();
  item_.ended_monotonic_ns = files_.options_.clock->monotonic_ns();
  item_.clock = clock_state();
  if (auto placed = files_.place(part_, reserved_, item_); !placed) return failed(std::move(placed).error());
  ::close(fd_);
  fd_ = -1;
  return item_;
}

}  // namespace quell::record
