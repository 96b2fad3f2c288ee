// The machine, its kernel and who uses it.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include <algorithm>
#include <filesystem>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "os/descriptor.h"
#include "os/login_records.h"
#include "os/proc_fs.h"
#include "os/shadow_file.h"
#include "os/triage_items.h"

namespace quell::os {
namespace {
namespace fs = std::filesystem;

constexpr size_t kMaxText = 16 << 20;
constexpr size_t kMaxLogins = 10'000;  // of each file
constexpr size_t kMaxScheduleBytes = 256 << 10;

/// A regular file of a known place, without waiting for pipes and without following a link at the end.
Result<std::string> read_plain(const std::string& path, size_t limit) {
  QUELL_TRY(const Descriptor file, open_at(AT_FDCWD, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error{Code::refused, "not a regular file", path};
  return read_whole(file.get(), limit, path);
}

/// The last `limit` bytes: login files grow for years.
Result<std::string> read_tail(const std::string& path, size_t limit, size_t unit) {
  QUELL_TRY(const Descriptor file, open_at(AT_FDCWD, path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return Error{Code::refused, "not a regular file", path};
  const auto size = static_cast<size_t>(info.st_size);
  const size_t count = std::min(size / unit, limit / unit) * unit;
  if (::lseek(file.get(), static_cast<off_t>(size / unit * unit - count), SEEK_SET) < 0)
    return Error{Code::io, "cannot be read from its end", path};
  return read_whole(file.get(), limit + unit, path);
}

void write_times(JsonWriter& out, const struct stat& info) {
  out.integer("uid", info.st_uid).integer("gid", info.st_gid).text("mode", fmt::format("{:o}", info.st_mode & 07777));
  out.integer("size", static_cast<uint64_t>(info.st_size));
  out.text("modified", iso8601_utc(static_cast<uint64_t>(info.st_mtim.tv_sec) * 1'000'000'000 +
                                   static_cast<uint64_t>(info.st_mtim.tv_nsec)));
  out.text("changed", iso8601_utc(static_cast<uint64_t>(info.st_ctim.tv_sec) * 1'000'000'000 +
                                  static_cast<uint64_t>(info.st_ctim.tv_nsec)));
}

/// What a password field says, never the field.
std::string_view password_state(std::string_view field) {
  if (field.empty()) return "none_needed";
  if (field.starts_with('!')) return "locked";
  if (field.starts_with('*')) return "no_login";
  return "set";
}

std::string user_line(const PasswdEntry& user, std::string_view shadow) {
  JsonWriter out;
  out.begin_object().text("name", user.name).integer("uid", user.uid).integer("gid", user.gid);
  out.text("home", user.home).text("shell", user.shell).flag("password_in_passwd", user.has_password_here);
  if (const auto line = find_shadow_line(shadow, user.name)) {
    out.text("password", password_state(line->fields[ShadowLine::kPassword]));
    out.text("password_changed_day", line->fields[ShadowLine::kLastChange]);
    out.text("expires_day", line->fields[ShadowLine::kExpire]);
  }
  out.end_object();
  return out.take();
}

/// Regular files below `folder`, sorted, not following links to folders.
std::vector<std::string> files_below(const std::string& folder, size_t limit) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator it(folder, fs::directory_options::skip_permission_denied, error), end;
       !error && it != end && files.size() < limit; it.increment(error)) {
    std::error_code ignored;
    if (!it->is_directory(ignored)) files.push_back(it->path().string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::string schedule_line(const std::string& path) {
  JsonWriter out;
  out.begin_object().text("path", path);
  struct stat info {};
  if (::lstat(path.c_str(), &info) == 0) write_times(out, info);
  std::error_code error;
  if (const fs::path target = fs::read_symlink(path, error); !error) out.text("link_to", target.string());
  if (const auto text = read_plain(path, kMaxScheduleBytes)) {
    Sha256 sum;
    sum.update({reinterpret_cast<const uint8_t*>(text->data()), text->size()});
    out.text("sha256", sum.finish()).text("content", *text);
  }
  out.end_object();
  return out.take();
}

}  // namespace

Result<void> collect_mounts(const TriageContext&, TriageFile& file) {
  QUELL_TRY(const std::string text, read_small_file("/proc/self/mountinfo"));
  for (std::string_view line : split(text, '\n'))
    if (!line.empty() && !file.add_line(line)) break;
  return {};
}

Result<void> collect_modules(const TriageContext&, TriageFile& file) {
  QUELL_TRY(const std::string text, read_small_file("/proc/modules"));
  for (std::string_view line : split(text, '\n'))
    if (!line.empty() && !file.add_line(line)) break;
  return {};
}

Result<void> collect_system(const TriageContext& context, TriageFile& file) {
  JsonWriter out;
  out.begin_object().text("boot_id", context.os.boot_id());
  utsname name{};
  if (::uname(&name) == 0) {
    out.text("host", name.nodename).text("kernel", name.release).text("kernel_build", name.version);
    out.text("machine", name.machine);
  }
  const auto add = [&](const char* key, const std::string& path) {
    if (const auto text = read_plain(path, kMaxText)) out.key(std::string_view(key)).string(*text);
  };
  out.text("now", iso8601_utc(system_clock().realtime_ns()));
  add("kernel_command_line", "/proc/cmdline");
  add("uptime", "/proc/uptime");
  add("tainted", "/proc/sys/kernel/tainted");
  add("security_modules", "/sys/kernel/security/lsm");
  add("machine_id", context.sources.etc + "/machine-id");
  add("system", context.sources.usr + "/lib/os-release");
  add("preloaded_libraries", context.sources.etc + "/ld.so.preload");
  out.end_object();
  file.add_line(out.finished());
  return {};
}

Result<void> collect_logins(const TriageContext& context, TriageFile& file) {
  constexpr size_t kRecord = 384;
  std::string missing;
  for (const std::string& path :
       {context.sources.run + "/utmp", context.sources.var + "/log/wtmp", context.sources.var + "/log/btmp"}) {
    const auto bytes = read_tail(path, kMaxLogins * kRecord, kRecord);
    if (!bytes) {
      missing += (missing.empty() ? "" : "; ") + bytes.error().str();
      continue;
    }
    for (const LoginRecord& record : parse_login_records(*bytes, kMaxLogins)) {
      JsonWriter out;
      out.begin_object().text("file", fs::path(path).filename().string()).text("kind", to_string(record.kind));
      out.text("time", iso8601_utc(record.time_ns)).text("user", record.user).text("line", record.line);
      out.text("host", record.host).integer("pid", record.pid).end_object();
      if (!file.add_line(out.finished())) return {};
    }
  }
  if (!missing.empty()) return Error{Code::not_found, missing, {}};
  return {};
}

Result<void> collect_users(const TriageContext& context, TriageFile& file) {
  for (const char* name : {"passwd", "shadow", "group", "gshadow", "sudoers"}) {
    struct stat info {};
    if (::stat((context.sources.etc + "/" + name).c_str(), &info) != 0) continue;
    JsonWriter out;
    out.begin_object().text("file", name);
    write_times(out, info);
    out.end_object();
    if (!file.add_line(out.finished())) return {};
  }
  QUELL_TRY(const std::string passwd, read_plain(context.sources.etc + "/passwd", kMaxText));
  const auto shadow = read_plain(context.sources.etc + "/shadow", kMaxText);
  for (const PasswdEntry& user : parse_passwd_file(passwd))
    if (!file.add_line(user_line(user, shadow ? *shadow : ""))) return {};
  if (!shadow) return shadow.error();
  return {};
}

Result<void> collect_schedules(const TriageContext& context, TriageFile& file) {
  constexpr size_t kMaxFiles = 10'000;
  const TriageSources& at = context.sources;
  if (std::error_code error; fs::exists(at.etc + "/crontab", error))
    if (!file.add_line(schedule_line(at.etc + "/crontab"))) return {};
  for (const std::string& folder :
       {at.etc + "/cron.d", at.etc + "/cron.hourly", at.etc + "/cron.daily", at.etc + "/cron.weekly",
        at.etc + "/cron.monthly", at.var + "/spool/cron", at.var + "/spool/at"})
    for (const std::string& path : files_below(folder, kMaxFiles))
      if (!file.add_line(schedule_line(path))) return {};
  for (const std::string& folder :
       {at.etc + "/systemd/system", at.run + "/systemd/system", at.usr + "/lib/systemd/system"})
    for (const std::string& path : files_below(folder, kMaxFiles)) {
      if (path.ends_with(".timer") && !file.add_line(schedule_line(path))) return {};
      if (!file.may_go_on()) return {};
    }
  return {};
}

}  // namespace quell::os
