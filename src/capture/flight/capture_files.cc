#include "capture/flight/capture_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/log.h"
#include "base/sha256.h"
#include "capture/scap/table_writer.h"
#include "model/event.h"

namespace quell::capture::flight {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCapture = ".scap", kManifest = ".json", kPart = ".part";

/// A descriptor that is closed at the end of the scope.
struct File {
  int fd;
  explicit File(int open_fd) : fd(open_fd) {}
  ~File() {
    if (fd >= 0) ::close(fd);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

Result<void> write_all(int fd, const uint8_t* bytes, size_t count, const std::string& path) {
  while (count > 0) {
    const ssize_t put = ::write(fd, bytes, count);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno_error(errno, "cannot write the capture", path);
    bytes += put;
    count -= static_cast<size_t>(put);
  }
  return {};
}

/// Calls take(bytes) for the whole file.
template <typename Take>
Result<void> read_file(const std::string& path, Take&& take) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.fd < 0) return errno_error(errno, "cannot open the capture", path);
  std::vector<uint8_t> buffer(256 << 10);
  for (;;) {
    const ssize_t got = ::read(file.fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return errno_error(errno, "cannot read the capture", path);
    if (got == 0) return {};
    QUELL_CHECK(take(std::span<const uint8_t>(buffer.data(), static_cast<size_t>(got))));
  }
}

Result<void> sync_folder(const std::string& folder) {
  const File file(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.fd < 0 || ::fsync(file.fd) != 0) return errno_error(errno, "cannot sync the folder", folder);
  return {};
}

/// Whole under its name, or not there.
Result<void> write_whole(const std::string& path, const std::string& part, const std::string& text) {
  {
    const File file(::open(part.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.fd < 0) return errno_error(errno, "cannot create the capture's description", part);
    QUELL_CHECK(write_all(file.fd, reinterpret_cast<const uint8_t*>(text.data()), text.size(), part));
    if (::fsync(file.fd) != 0) return errno_error(errno, "cannot sync the capture's description", part);
  }
  if (::rename(part.c_str(), path.c_str()) != 0) return errno_error(errno, "cannot name the description", path);
  return {};
}

Result<CaptureRef> read_manifest(const std::string& path) {
  std::ifstream file(path);
  if (!file) return errno_error(errno, "cannot read the capture's description", path);
  std::ostringstream text;
  text << file.rdbuf();
  QUELL_TRY(const Json json, Json::parse(text.str()));
  return read_capture_ref(json);
}

}  // namespace

Result<std::unique_ptr<CaptureFiles>> CaptureFiles::open(CaptureFilesOptions options) {
  std::unique_ptr<CaptureFiles> files(new CaptureFiles(std::move(options)));
  QUELL_CHECK(files->take_stock());
  files->thread_ = std::thread([raw = files.get()] { raw->work(); });
  return files;
}

CaptureFiles::~CaptureFiles() { close(); }

void CaptureFiles::close() {
  {
    std::lock_guard lock(mutex_);
    is_closing_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::string CaptureFiles::part_of(const std::string& id, const char* what) const {
  return options_.folder + "/." + id + what + std::string(kPart);
}

/// What is there from earlier runs. Whatever is not a whole capture with its description was cut off by a crash.
Result<void> CaptureFiles::take_stock() {
  if (::mkdir(options_.folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot make the folder for captures", options_.folder);
  std::error_code error;
  std::vector<fs::path> leftovers;
  for (fs::directory_iterator entry(options_.folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path path = entry->path();
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (path.extension() == kPart ||
        (path.extension() == kManifest && ::access(fs::path(path).replace_extension(kCapture).c_str(), F_OK) != 0)) {
      leftovers.push_back(path);
    } else if (path.extension() == kCapture) {
      const int64_t written_ns = int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec;
      stored_.push_back({path.stem(), static_cast<uint64_t>(status.st_size), written_ns});
    }
  }
  if (error) return errno_error(error.value(), "cannot read the folder of captures", options_.folder);
  std::sort(stored_.begin(), stored_.end(), [](const Stored& a, const Stored& b) {
    return a.written_ns != b.written_ns ? a.written_ns < b.written_ns : a.id < b.id;
  });
  for (const Stored& one : stored_) counters_.bytes += one.bytes;
  counters_.files = stored_.size();
  for (const fs::path& path : leftovers) {
    if (::unlink(path.c_str()) != 0) return errno_error(errno, "cannot remove an unfinished capture", path);
    ++counters_.leftovers;
    log::warn("capture", "removed {}: a capture that was being made when quell ended", path.string());
  }
  return {};
}

void CaptureFiles::begin(const std::string& id) {
  std::lock_guard lock(mutex_);
  std::erase(refused_, id);
}

bool CaptureFiles::add(const std::string& id, std::shared_ptr<const Chunk> chunk) {
  {
    std::lock_guard lock(mutex_);
    if (std::find(refused_.begin(), refused_.end(), id) != refused_.end()) return false;
    if (queued_bytes_ > 0 && queued_bytes_ + chunk->size() > options_.max_queue_bytes) {
      refused_.push_back(id);
      return false;
    }
    queued_bytes_ += chunk->size();
    jobs_.push_back({id, std::move(chunk), nullptr});
  }
  changed_.notify_one();
  return true;
}

void CaptureFiles::finish(CaptureRef ref, Snapshot base, std::vector<std::vector<uint8_t>> preface) {
  {
    std::lock_guard lock(mutex_);
    std::erase(refused_, ref.id);
    const std::string id = ref.id;
    jobs_.push_back(
        {id, nullptr, std::make_unique<Finish>(Finish{std::move(ref), std::move(base), std::move(preface)})});
  }
  changed_.notify_one();
}

CaptureFileCounters CaptureFiles::counters() const {
  std::lock_guard lock(mutex_);
  CaptureFileCounters out = counters_;
  out.queued_bytes = queued_bytes_;
  return out;
}

void CaptureFiles::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return !jobs_.empty() || is_closing_; });
    if (jobs_.empty()) break;
    Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    if (job.chunk != nullptr) {
      write_chunk(job);
    } else {
      write_end(*job.end);
    }
    lock.lock();
    if (job.chunk != nullptr) {
      queued_bytes_ -= job.chunk->size();
      if (!growing_[job.id].status && std::find(refused_.begin(), refused_.end(), job.id) == refused_.end())
        refused_.push_back(job.id);
    }
  }
  lock.unlock();
  // Captures whose end was never told have no tables: what they wrote is of no use.
  for (const auto& [id, growing] : growing_) ::unlink(part_of(id, ".events").c_str());
}

void CaptureFiles::write_chunk(const Job& job) {
  Growing& growing = growing_[job.id];
  if (!growing.status) return;
  if (growing.events == nullptr) {
    auto created = scap::Output::create(part_of(job.id, ".events"), true);
    if (!created) {
      growing.status = std::move(created).error();
      return;
    }
    growing.events = *std::move(created);
  }
  std::vector<uint8_t>& pending = growing.events->pending();
  job.chunk->for_each_piece(
      [&](std::span<const uint8_t> piece) { pending.insert(pending.end(), piece.begin(), piece.end()); });
  growing.status = growing.events->settle();
}

void CaptureFiles::write_end(Finish& end) {
  CaptureRef& ref = end.ref;
  ref.path = path_of(ref.id);
  Growing growing = std::move(growing_[ref.id]);
  growing_.erase(ref.id);
  Result<void> done = std::move(growing.status);
  if (done && growing.events == nullptr) done = Error{Code::internal, "there are no events", ref.path};
  if (growing.events != nullptr) {
    auto closed = growing.events->close();
    if (done) done = std::move(closed);
    growing.events.reset();
  }
  ref.state = CaptureState::complete;
  if (done) done = assemble(end, ref);
  for (const char* what : {".events", ".scap", ".json"}) ::unlink(part_of(ref.id, what).c_str());
  if (!done) {
    ::unlink((options_.folder + "/" + ref.id + std::string(kManifest)).c_str());
    ref.state = CaptureState::failed;
    ref.note = done.error().str();
    ref.size_bytes = 0;
    ref.sha256.clear();
    log::error("capture", "the capture of {} failed: {}", ref.id, ref.note);
  }
  {
    std::lock_guard lock(mutex_);
    ++(done ? counters_.written : counters_.failed);
    counters_.error = done ? std::string() : ref.note;
  }
  if (options_.on_done) options_.on_done(ref);
}

Result<void> CaptureFiles::assemble(const Finish& end, CaptureRef& ref) {
  const std::string events = part_of(ref.id, ".events"), part = part_of(ref.id, ".scap");
  {
    QUELL_TRY(const auto output, scap::Output::create(part, true));
    Result<void> settled;
    const bool whole = scap::write_tables(end.base, output->pending(), [&] {
      settled = output->settle();
      return settled.has_value();
    });
    if (!whole) return settled;
    for (const std::vector<uint8_t>& event : end.preface) {
      std::vector<uint8_t>& pending = output->pending();
      const size_t start = pending.size();
      pending.resize(start + scap::event_block_size(event.size(), true));
      scap::put_event_block(event, 0, true, pending.data() + start);
    }
    QUELL_CHECK(output->close());
  }
  struct stat status {};
  if (::stat(events.c_str(), &status) != 0) return errno_error(errno, "the events are gone", events);
  const auto event_bytes = static_cast<uint64_t>(status.st_size);
  if (::stat(part.c_str(), &status) != 0) return errno_error(errno, "the tables are gone", part);
  ref.size_bytes = event_bytes + static_cast<uint64_t>(status.st_size);
  QUELL_CHECK(make_room_for(ref.size_bytes));
  {
    const File file(::open(part.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
    if (file.fd < 0) return errno_error(errno, "cannot continue the capture", part);
    QUELL_CHECK(read_file(
        events, [&](std::span<const uint8_t> bytes) { return write_all(file.fd, bytes.data(), bytes.size(), part); }));
    if (::fsync(file.fd) != 0) return errno_error(errno, "cannot sync the capture", part);
  }
  QUELL_TRY(ref.sha256, sha256_of_file(part));
  const std::string manifest = options_.folder + "/" + ref.id + std::string(kManifest);
  QUELL_CHECK(write_whole(manifest, part_of(ref.id, ".json"), capture_ref_to_json(ref) + "\n"));
  if (::rename(part.c_str(), ref.path.c_str()) != 0) return errno_error(errno, "cannot name the capture", ref.path);
  QUELL_CHECK(sync_folder(options_.folder));
  stored_.push_back({ref.id, ref.size_bytes, 0});
  std::lock_guard lock(mutex_);
  counters_.bytes += ref.size_bytes;
  counters_.files = stored_.size();
  return {};
}

Result<void> CaptureFiles::make_room_for(uint64_t bytes) {
  if (bytes > options_.max_disk_bytes)
    return Error{Code::limit,
                 fmt::format("the capture has {} bytes, all captures together may have {}; raise --capture-disk", bytes,
                             options_.max_disk_bytes),
                 options_.folder};
  uint64_t held = 0;
  for (const Stored& one : stored_) held += one.bytes;
  while (!stored_.empty() && held + bytes > options_.max_disk_bytes) {
    const Stored oldest = stored_.front();
    stored_.pop_front();
    held -= oldest.bytes;
    // The capture first: a description without its capture is cleaned up at the next start, not the other way round.
    ::unlink(path_of(oldest.id).c_str());
    ::unlink((options_.folder + "/" + oldest.id + std::string(kManifest)).c_str());
    log::info("capture", "removed capture {} to keep the captures within {} bytes", oldest.id, options_.max_disk_bytes);
    std::lock_guard lock(mutex_);
    ++counters_.removed_for_room;
    counters_.bytes -= oldest.bytes;
    counters_.files = stored_.size();
  }
  return {};
}

Result<std::vector<CaptureRef>> list_captures(const std::string& folder) {
  std::vector<CaptureRef> out;
  std::error_code error;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end; entry.increment(error)) {
    const fs::path path = entry->path();
    if (path.extension() != kCapture || path.filename().string().starts_with('.')) continue;
    QUELL_TRY(CaptureRef ref, find_capture(folder, path.stem()));
    out.push_back(std::move(ref));
  }
  if (error) return errno_error(error.value(), "cannot read the folder of captures", folder);
  std::sort(out.begin(), out.end(), [](const CaptureRef& a, const CaptureRef& b) {
    return a.trigger_ns != b.trigger_ns ? a.trigger_ns < b.trigger_ns : a.id < b.id;
  });
  return out;
}

Result<CaptureRef> find_capture(const std::string& folder, const std::string& id) {
  const std::string stem = folder + "/" + id;
  struct stat status {};
  if (id.empty() || id.find('/') != std::string::npos || ::stat((stem + std::string(kCapture)).c_str(), &status) != 0)
    return Error{Code::not_found,
                 fmt::format("there is no capture {}; it may have been removed to make room for newer ones", id),
                 folder};
  auto manifest = read_manifest(stem + std::string(kManifest));
  if (manifest) {
    manifest->path = stem + std::string(kCapture);
    return manifest;
  }
  // A capture tells for itself what its description would have told.
  CaptureRef ref;
  ref.id = id;
  ref.state = CaptureState::complete;
  ref.path = stem + std::string(kCapture);
  ref.size_bytes = static_cast<uint64_t>(status.st_size);
  ref.note = manifest.error().str();
  return ref;
}

Result<std::string> sha256_of_file(const std::string& path) {
  Sha256 sum;
  QUELL_CHECK(read_file(path, [&](std::span<const uint8_t> bytes) {
    sum.update(bytes);
    return Result<void>{};
  }));
  return sum.finish();
}

}  // namespace quell::capture::flight
