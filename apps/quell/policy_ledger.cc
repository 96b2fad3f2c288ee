#include "apps/quell/policy_ledger.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/json.h"
#include "base/text.h"
#include "base/yaml.h"

namespace quell::cli {
namespace {

constexpr size_t kMaxReport = 64u << 20;

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t count = ::write(fd, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno_error(errno, "cannot write", path);
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (::fsync(fd) != 0) return errno_error(errno, "cannot write", path);
  return {};
}

}  // namespace

std::string promotion_json(const Promotion& promotion) {
  JsonWriter out;
  out.begin_object().text("time", iso8601_utc(promotion.time_ns)).text("policy", promotion.policy);
  out.integer("version", promotion.version).text("hash", promotion.hash).text("file", promotion.file);
  out.text("from", promotion.from).text("to", promotion.to).text("report", promotion.report);
  out.flag("forced", promotion.report.empty()).text("reason", promotion.reason).text("actor", promotion.actor);
  out.end_object();
  return out.take();
}

Result<void> PolicyLedger::keep(const respond::policy::BacktestReport& report) const {
  if (::mkdir(reports().c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot keep the report in the data directory", data_dir_);
  const std::string path = reports() + "/" + report.id() + ".json";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, "cannot keep the report", path);
  ::close(fd);
  return replace_file(path, report.json() + "\n");
}

Result<respond::policy::KeptReport> PolicyLedger::find(const std::string& id) const {
  const bool is_id = id.size() == 64 && id.find_first_not_of("0123456789abcdef") == std::string::npos;
  if (!is_id)
    return Error{Code::invalid_argument, "an id of a report has 64 hex digits; `quell policy backtest` prints it", id};
  const std::string path = reports() + "/" + id + ".json";
  auto text = yaml::read_text_file(path, kMaxReport);
  if (!text) {
    if (text.error().code != Code::not_found) return text.error();
    return Error{Code::not_found, "there is no such report in the data directory; `quell policy backtest` makes one",
                 path};
  }
  QUELL_TRY(respond::policy::KeptReport report, respond::policy::read_report(*text));
  if (report.id != id) return Error{Code::malformed, "the report has another id than its file", path};
  return report;
}

Result<void> PolicyLedger::append(const Promotion& promotion) const {
  const std::string path = data_dir_ + "/policy-ledger.jsonl";
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return errno_error(errno, "cannot record the promotion, so nothing is changed", path);
  const Result<void> written = write_all(fd, promotion_json(promotion) + "\n", path);
  ::close(fd);
  return written;
}

Result<void> replace_file(const std::string& path, const std::string& content,
                          const std::function<Result<void>()>& before) {
  // A link stays one: what it names is replaced.
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  if (error) return errno_error(error.value(), "cannot change the file", path);
  struct stat old {};
  if (::stat(real.c_str(), &old) != 0) return errno_error(errno, "cannot change the file", path);
  std::string part = real + ".XXXXXX";
  const int fd = ::mkostemp(part.data(), O_CLOEXEC);
  if (fd < 0) return errno_error(errno, "cannot write beside the file", path);
  Result<void> done = write_all(fd, content, part);
  if (done && ::fchmod(fd, old.st_mode & 07777) != 0) done = errno_error(errno, "cannot set the mode of", part);
  // Whoever may write here and is not the owner gives the file away; root keeps it whose it was.
  if (done && ::geteuid() == 0 && ::fchown(fd, old.st_uid, old.st_gid) != 0)
    done = errno_error(errno, "cannot set the owner of", part);
  ::close(fd);
  if (done && before) done = before();
  if (done && ::rename(part.c_str(), real.c_str()) != 0) done = errno_error(errno, "cannot replace the file", path);
  if (!done) ::unlink(part.c_str());
  return done;
}

}  // namespace quell::cli
