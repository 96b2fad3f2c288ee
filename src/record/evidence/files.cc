#include "record/evidence/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "model/audit_json.h"
#include "model/evidence_json.h"
#include "record/audit/small_file.h"
#include "record/evidence/fact.h"
#include "record/evidence/writer.h"

namespace quell::record {
namespace {

constexpr uint64_t kRetainEveryNs = 3'600ull * 1'000'000'000;
constexpr size_t kEvictAtOnce = 64;
constexpr uint64_t kMaxRead = 16 << 20;

Result<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot make the folder of evidence", path);
  return {};
}

}  // namespace

std::string evidence_object_path(const std::string& folder, std::string_view sha256) {
  return fmt::format("{}/objects/{}/{}", folder, sha256.substr(0, 2), sha256);
}

ClockState clock_state() {
  timex now{};
  const int state = ::adjtimex(&now);
  if (state < 0) return {};
  ClockState out;
  out.is_known = true;
  out.is_synchronised = state != TIME_ERROR && (now.status & STA_UNSYNC) == 0;
  out.offset_ns = (now.status & STA_NANO) != 0 ? now.offset : now.offset * 1'000;
  out.estimated_error_ns = static_cast<uint64_t>(now.esterror) * 1'000;
  out.max_error_ns = static_cast<uint64_t>(now.maxerror) * 1'000;
  return out;
}

Result<std::unique_ptr<EvidenceFiles>> EvidenceFiles::open(EvidenceOptions options, EvidenceCatalogue& catalogue,
                                                           AuditLog& audit) {
  if (options.host.empty()) {
    char name[256] = {};
    if (::gethostname(name, sizeof name - 1) == 0) options.host = name;
  }
  std::unique_ptr<EvidenceFiles> files(new EvidenceFiles(std::move(options), catalogue, audit));
  const std::lock_guard lock(files->mutex_);
  QUELL_CHECK(files->clean_up());
  QUELL_CHECK(files->retain_locked());
  return files;
}

Result<void> EvidenceFiles::clean_up() {
  for (const char* name : {"", "/objects", "/parts"}) QUELL_CHECK(make_folder(options_.folder + name));
  std::error_code error;
  for (const auto& part : std::filesystem::directory_iterator(options_.folder + "/parts", error)) {
    if (::unlink(part.path().c_str()) != 0)
      return errno_error(errno, "cannot remove what an earlier run left", part.path().string());
  }
  if (error) return errno_error(error.value(), "cannot read the folder of evidence", options_.folder);
  QUELL_TRY(const std::vector<EvidenceItem> deleting, catalogue_.deleting_evidence());
  for (const EvidenceItem& item : deleting) QUELL_CHECK(finish_removal(item));
  for (auto at = std::filesystem::recursive_directory_iterator(options_.folder + "/objects", error);
       !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
    if (!at->is_regular_file(error)) continue;
    const std::string sha256 = at->path().filename();
    if (!is_audit_hash(sha256) || at->path() != evidence_object_path(options_.folder, sha256)) {
      log::warn("record", "{} is not one of ours; it is left alone", at->path().string());
      continue;
    }
    QUELL_TRY(const std::vector<EvidenceItem> known, catalogue_.list_evidence({.sha256 = sha256, .limit = 1}));
    if (known.empty()) QUELL_CHECK(adopt(at->path(), sha256));
  }
  if (error) return errno_error(error.value(), "cannot read the folder of evidence", options_.folder);
  QUELL_TRY(const EvidenceCounters now, catalogue_.count_evidence());
  used_ = now.bytes;
  items_ = now.items;
  return {};
}

// It was flushed and hashed before it got its name; what it was is no longer known.
Result<void> EvidenceFiles::adopt(const std::string& path, const std::string& sha256) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return errno_error(errno, "cannot look at an object of evidence", path);
  EvidenceItem item;
  item.id = new_evidence_id();
  item.sha256 = sha256;
  item.size = static_cast<uint64_t>(info.st_size);
  item.origin.kind = EvidenceKind::orphan;
  item.origin.name = "found without a catalogue entry";
  item.origin.actor = item.origin.collector = "quell";
  item.host = options_.host;
  item.begun_ns = item.ended_ns = options_.clock->realtime_ns();
  item.begun_monotonic_ns = item.ended_monotonic_ns = options_.clock->monotonic_ns();
  item.clock = clock_state();
  log::warn("record", "evidence {} had no catalogue entry (a crash came between); it is {} now", sha256, item.id);
  return catalogue_.save_evidence(item, evidence_fact(item, "found", "quell", {}));
}

Result<std::unique_ptr<EvidenceWriter>> EvidenceFiles::begin(const EvidenceRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    if (options_.clock->monotonic_ns() >= next_retain_ns_) QUELL_CHECK(retain_locked());
    QUELL_CHECK(make_room(0));
  }
  return EvidenceFileWriter::open(*this, request);
}

// Oldest first, and never what is held or what an open action refers to.
Result<void> EvidenceFiles::make_room(uint64_t bytes) {
  while (used_ + reserved_ + bytes > options_.max_bytes || items_ >= options_.max_items) {
    QUELL_TRY(const std::vector<EvidenceItem> oldest, catalogue_.evictable_evidence(UINT64_MAX, kEvictAtOnce));
    if (oldest.empty()) {
      ++refused_;
      return Error{Code::limit,
                   fmt::format("the evidence store is full ({} of {} bytes, {} of {} items) and all that is in it must "
                               "be kept (legal hold, or actions that are still open): export and release some, or give "
                               "it more room",
                               used_ + reserved_, options_.max_bytes, items_, options_.max_items),
                   options_.folder};
    }
    for (const EvidenceItem& item : oldest) {
      QUELL_CHECK(remove(item, "room"));
      if (used_ + reserved_ + bytes <= options_.max_bytes && items_ < options_.max_items) break;
    }
  }
  return {};
}

Result<void> EvidenceFiles::retain() {
  const std::lock_guard lock(mutex_);
  return retain_locked();
}

Result<void> EvidenceFiles::retain_locked() {
  next_retain_ns_ = options_.clock->monotonic_ns() + kRetainEveryNs;
  // By the audit log's own time, so that a clock that leaps forward for a moment takes nothing with it.
  QUELL_TRY(const SignedAuditHead head, audit_.audit_head());
  const uint64_t now = std::min(options_.clock->realtime_ns(), head.head.at_ns);
  if (options_.max_age_ns == 0 || now <= options_.max_age_ns) return {};
  while (true) {
    QUELL_TRY(const std::vector<EvidenceItem> old,
              catalogue_.evictable_evidence(now - options_.max_age_ns, kEvictAtOnce));
    if (old.empty()) return {};
    for (const EvidenceItem& item : old) QUELL_CHECK(remove(item, "age"));
  }
}

Result<bool> EvidenceFiles::is_shared(const EvidenceItem& item) const {
  QUELL_TRY(const std::vector<EvidenceItem> same, catalogue_.list_evidence({.sha256 = item.sha256}));
  return std::any_of(same.begin(), same.end(),
                     [&](const EvidenceItem& other) { return other.id != item.id && !other.is_deleting; });
}

// Said first, done then, forgotten last: a crash in between is finished at the next start.
Result<void> EvidenceFiles::remove(EvidenceItem item, std::string_view why) {
  item.is_deleting = true;
  QUELL_CHECK(catalogue_.save_evidence(item, evidence_fact(item, "deleted", "quell", why)));
  QUELL_TRY(const bool shared, is_shared(item));
  QUELL_CHECK(finish_removal(item));
  if (!shared) used_ -= std::min(used_, item.size);
  if (items_ > 0) --items_;
  return {};
}

Result<void> EvidenceFiles::finish_removal(const EvidenceItem& item) {
  QUELL_TRY(const bool shared, is_shared(item));
  const std::string path = evidence_object_path(options_.folder, item.sha256);
  if (!shared && ::unlink(path.c_str()) != 0 && errno != ENOENT)
    return errno_error(errno, "cannot delete an object of evidence", path);
  return catalogue_.forget_evidence(item);
}

Result<void> EvidenceFiles::reserve(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  QUELL_CHECK(make_room(bytes));
  reserved_ += bytes;
  return {};
}

void EvidenceFiles::give_back(uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  reserved_ -= std::min(reserved_, bytes);
}

// The whole of it under the lock: nobody deletes the same content meanwhile.
Result<void> EvidenceFiles::place(const std::string& part, uint64_t reserved, const EvidenceItem& item) {
  const std::string path = evidence_object_path(options_.folder, item.sha256);
  const std::string folder = std::filesystem::path(path).parent_path();
  const std::lock_guard lock(mutex_);
  bool is_new_folder = ::mkdir(folder.c_str(), 0700) == 0;
  if (!is_new_folder && errno != EEXIST) return errno_error(errno, "cannot make the folder of evidence", folder);
  const bool is_new = ::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE) == 0;
  if (!is_new && errno != EEXIST) return errno_error(errno, "cannot name the object of evidence", path);
  if (!is_new) ::unlink(part.c_str());  // the same content is there already
  Result<void> done = flush_folder(folder);
  if (done && is_new_folder) done = flush_folder(options_.folder + "/objects");
  if (done) done = catalogue_.save_evidence(item, evidence_fact(item, "collected", item.origin.actor, {}));
  if (!done) {
    if (is_new) ::unlink(path.c_str());
    return done;
  }
  ++items_;
  reserved_ -= std::min(reserved_, reserved);
  if (is_new) used_ += item.size;
  return {};
}

Result<std::string> EvidenceFiles::hand_out(std::string_view id, std::string_view actor, std::string_view purpose) {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(const EvidenceItem item, catalogue_.find_evidence(id));
  const std::string path = evidence_object_path(options_.folder, item.sha256);
  if (::access(path.c_str(), F_OK) != 0)
    return Error{Code::gone, fmt::format("the object of evidence {} is missing; see `quell evidence verify`", id),
                 path};
  QUELL_TRY(const AuditHead head, audit_.append_audit(evidence_fact(item, purpose, actor, {})));
  (void)head;
  return path;
}

Result<std::string> EvidenceFiles::read(std::string_view id, std::string_view actor, uint64_t offset, uint64_t length) {
  QUELL_TRY(const EvidenceItem item, catalogue_.find_evidence(id));
  if (offset > item.size)
    return Error{Code::invalid_argument, fmt::format("evidence {} has {} bytes only", id, item.size), "offset"};
  const uint64_t wanted = std::min(length, item.size - offset);
  if (wanted > kMaxRead)
    return Error{Code::limit,
                 fmt::format("{} bytes are too many for one answer: read {} bytes at a time with offset and length",
                             wanted, kMaxRead),
                 {}};
  QUELL_TRY(
      const std::string path,
      hand_out(id, actor,
               offset == 0 && wanted == item.size ? std::string("read") : fmt::format("read {}+{}", offset, wanted)));
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return errno_error(errno, "cannot open an object of evidence", path);
  std::string out(wanted, '\0');
  size_t used = 0;
  int number = 0;
  while (used < out.size()) {
    const ssize_t count =
        ::pread(fd, out.data() + used, out.size() - used, static_cast<off_t>(offset + static_cast<uint64_t>(used)));
    if (count < 0 && errno == EINTR) continue;
    number = count < 0 ? errno : 0;
    if (count <= 0) break;
    used += static_cast<size_t>(count);
  }
  ::close(fd);
  if (number != 0) return errno_error(number, "cannot read an object of evidence", path);
  if (used != out.size())
    return Error{Code::malformed, "the object of evidence is shorter than it was; see `quell evidence verify`", path};
  return out;
}

Result<EvidenceItem> EvidenceFiles::set_hold(std::string_view id, bool is_held, std::string_view actor,
                                             std::string_view reason) {
  const std::lock_guard lock(mutex_);
  QUELL_TRY(EvidenceItem item, catalogue_.find_evidence(id));
  item.is_held = is_held;
  item.hold_actor = actor;
  item.hold_reason = reason;
  QUELL_CHECK(catalogue_.save_evidence(item, evidence_fact(item, is_held ? "held" : "released", actor, reason)));
  return item;
}

Result<EvidenceCounters> EvidenceFiles::counters() const {
  QUELL_TRY(EvidenceCounters out, catalogue_.count_evidence());
  const std::lock_guard lock(mutex_);
  out.refused = refused_;
  return out;
}

}  // namespace quell::record
