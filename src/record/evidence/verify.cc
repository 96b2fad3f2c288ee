#include "record/evidence/verify.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>

#include "base/clock.h"
#include "base/sha256.h"
#include "model/audit_json.h"
#include "model/evidence_json.h"
#include "record/audit/small_file.h"
#include "record/evidence/files.h"
#include "record/sqlite/database.h"
#include "record/sqlite/evidence_rows.h"
#include "record/sqlite/journal.h"

namespace quell::record {
namespace {

constexpr size_t kPiece = 1 << 20;

Result<std::unique_ptr<Database>> open_catalogue(const std::string& data_dir) {
  const std::string path = data_dir + "/" + std::string(kActionsFile);
  std::error_code error;
  if (!std::filesystem::exists(path, error))
    return Error{error ? Code::permission_denied : Code::not_found,
                 "there is no evidence here; name the data directory of a `quell up` with --data-dir", data_dir};
  QUELL_TRY(std::unique_ptr<Database> db, Database::open(path, Database::Mode::read_only, Durability::power_cut));
  QUELL_TRY(Statement table, db->prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'evidence'"));
  QUELL_TRY(const bool row, table.step());
  if (!row)
    return Error{Code::not_found, "an older version of Quell wrote this directory: it has no evidence yet", path};
  return db;
}

/// Reads the whole file through `sink`. Errors: Code::gone, Code::io.
Result<void> stream(const std::string& path, const std::function<Result<void>(std::span<const uint8_t>)>& sink) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) {
    if (errno == ENOENT) return Error{Code::gone, "the object is missing", path};
    return errno_error(errno, "cannot open an object of evidence", path);
  }
  std::vector<uint8_t> piece(kPiece);
  Result<void> done;
  while (done) {
    const ssize_t count = ::read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) done = errno_error(errno, "cannot read an object of evidence", path);
    if (count <= 0) break;
    done = sink({piece.data(), static_cast<size_t>(count)});
  }
  ::close(fd);
  return done;
}

}  // namespace

std::string_view to_string(EvidenceFault fault) {
  switch (fault) {
    case EvidenceFault::missing: return "missing";
    case EvidenceFault::altered: return "altered";
    case EvidenceFault::unreadable: return "unreadable";
    case EvidenceFault::uncatalogued: return "uncatalogued";
  }
  return "altered";
}

Result<std::vector<EvidenceItem>> list_evidence_of(const std::string& data_dir, const EvidenceQuery& query) {
  QUELL_TRY(const std::unique_ptr<Database> db, open_catalogue(data_dir));
  return read_evidence(*db, query);
}

Result<EvidenceItem> find_evidence_of(const std::string& data_dir, const std::string& id) {
  QUELL_TRY(const std::unique_ptr<Database> db, open_catalogue(data_dir));
  return read_evidence_item(*db, id);
}

Result<EvidenceVerification> verify_evidence_of(const std::string& data_dir, const std::string& id,
                                                const std::function<void(uint64_t read, uint64_t all)>& progress) {
  const uint64_t began = system_clock().monotonic_ns();
  const std::string folder = data_dir + "/" + std::string(kEvidenceFolder);
  std::vector<EvidenceItem> items;
  if (id.empty()) {
    for (EvidenceQuery query{.limit = 1000};;) {
      QUELL_TRY(std::vector<EvidenceItem> page, list_evidence_of(data_dir, query));
      if (page.empty()) break;
      query.before_id = page.back().id;
      items.insert(items.end(), page.begin(), page.end());
    }
  } else {
    QUELL_TRY(EvidenceItem item, find_evidence_of(data_dir, id));
    items.push_back(std::move(item));
  }
  EvidenceVerification out;
  uint64_t all = 0, read = 0;
  std::set<std::string> to_read, catalogued;
  for (const EvidenceItem& item : items) {
    if (!item.is_deleting && to_read.insert(item.sha256).second) all += item.size;
    catalogued.insert(item.sha256);
  }
  for (const EvidenceItem& item : items) {
    if (item.is_deleting) continue;
    ++out.items;
    if (to_read.erase(item.sha256) == 0) continue;  // said with the item that came before
    Sha256 sum;
    uint64_t size = 0;
    const auto done =
        stream(evidence_object_path(folder, item.sha256), [&](std::span<const uint8_t> bytes) -> Result<void> {
          sum.update(bytes);
          size += bytes.size();
          read += bytes.size();
          if (progress) progress(read, all);
          return {};
        });
    if (!done) {
      // It may have been deleted for age or room since the catalogue was read.
      if (done.error().code == Code::gone && find_evidence_of(data_dir, item.id).value_or(EvidenceItem{}).id.empty())
        continue;
      out.findings.push_back({done.error().code == Code::gone ? EvidenceFault::missing : EvidenceFault::unreadable,
                              item.id, item.sha256, done.error().str()});
      continue;
    }
    ++out.objects;
    out.bytes += size;
    if (const std::string found = sum.finish(); found != item.sha256)
      out.findings.push_back(
          {EvidenceFault::altered, item.id, item.sha256,
           fmt::format("the content has the sha256 {} and {} bytes, it had {} bytes", found, size, item.size)});
  }
  if (id.empty()) {
    std::error_code error;
    for (auto at = std::filesystem::recursive_directory_iterator(folder + "/objects", error);
         !error && at != std::filesystem::recursive_directory_iterator(); at.increment(error)) {
      const std::string name = at->path().filename();
      if (!at->is_regular_file(error) || catalogued.contains(name)) continue;
      // One that was collected meanwhile is in the catalogue by now.
      QUELL_TRY(const std::vector<EvidenceItem> late, list_evidence_of(data_dir, {.sha256 = name, .limit = 1}));
      if (late.empty()) out.findings.push_back({EvidenceFault::uncatalogued, {}, name, at->path().string()});
    }
  }
  out.duration_ns = system_clock().monotonic_ns() - began;
  return out;
}

Result<void> copy_evidence(const std::string& from, const EvidenceItem& item, const std::string& to) {
  const int fd = ::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return errno_error(errno, "cannot make the copy", to);
  Sha256 sum;
  Result<void> done = stream(from, [&](std::span<const uint8_t> bytes) -> Result<void> {
    sum.update(bytes);
    while (!bytes.empty()) {
      const ssize_t count = ::write(fd, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return errno_error(count < 0 ? errno : ENOSPC, "cannot write the copy; is the disk full?", to);
      bytes = bytes.subspan(static_cast<size_t>(count));
    }
    return {};
  });
  if (done) {
    if (const std::string found = sum.finish(); found != item.sha256)
      done = Error{Code::malformed,
                   fmt::format("the object is not what was collected: its sha256 is {}, it was {}", found, item.sha256),
                   from};
  }
  if (done && ::fsync(fd) != 0) done = errno_error(errno, "cannot flush the copy", to);
  ::close(fd);
  if (!done) ::unlink(to.c_str());
  return done;
}

}  // namespace quell::record
