#include "os/user_account.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/clock.h"
#include "base/sha256.h"
#include "base/text.h"
#include "os/descriptor.h"
#include "os/file_attributes.h"
#include "os/proc_fs.h"
#include "os/shadow_file.h"

namespace quell::os {
namespace {

constexpr size_t kMaxFile = 64 << 20;
constexpr const char* kExpired = "1";  // days since 1970: "0" has several meanings
constexpr const char* kNewName = ".shadow.quell-new";
constexpr uint32_t kDefaultUidMin = 1000;

std::string digest(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

struct File {
  Descriptor descriptor;
  std::string text;
};

Result<File> read_file(int etc, const std::string& name) {
  auto opened = open_at(etc, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened) {
    struct stat info {};
    if (::fstatat(etc, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode))
      return Error{Code::unsupported, "a symbolic link: another tool manages this file, disable the user there", name};
    return opened.error();
  }
  File file;
  file.descriptor = std::move(*opened);
  QUELL_TRY(file.text, read_whole(file.descriptor.get(), kMaxFile, name));
  return file;
}

/// The lock of lckpwdf(3): a write lock on all of .pwd.lock, which passwd(1), useradd(8) and systemd respect. Ours is
/// bound to the descriptor, so that another thread which closes the file does not lose it.
Result<Descriptor> lock(int etc, uint64_t timeout_ns) {
  QUELL_TRY(Descriptor file, open_at(etc, ".pwd.lock", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600));
  const uint64_t started = system_clock().monotonic_ns();
  for (;;) {
    struct flock range {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    if (::fcntl(file.get(), F_OFD_SETLK, &range) == 0) return file;
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return errno_error(errno, "cannot lock", ".pwd.lock");
    if (system_clock().monotonic_ns() - started >= timeout_ns)
      return Error{Code::timeout, "another program holds the lock of the user files", ".pwd.lock"};
    ::usleep(20'000);
  }
}

/// Whole, flushed, with everything that the old one had, and only then under its name.
Result<void> replace_shadow(int etc, const File& old, const std::string& text) {
  // Whoever holds the lock may take away what an earlier holder left when it was killed.
  if (::unlinkat(etc, kNewName, 0) != 0 && errno != ENOENT) return errno_error(errno, "cannot remove", kNewName);
  QUELL_TRY(FileAttributes attributes, read_attributes(old.descriptor.get()));
  const auto written = [&]() -> Result<void> {
    QUELL_TRY(const Descriptor file, open_at(etc, kNewName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    QUELL_CHECK(write_all(file.get(), {reinterpret_cast<const uint8_t*>(text.data()), text.size()}, kNewName));
    QUELL_TRY(const FileAttributes now, read_attributes(file.get()));
    attributes.accessed_ns = now.accessed_ns, attributes.modified_ns = now.modified_ns;  // it has changed, truly
    QUELL_CHECK(apply_attributes(file.get(), attributes));
    QUELL_CHECK(sync_file(file.get(), kNewName));
    if (::renameat(etc, kNewName, etc, "shadow") != 0) return errno_error(errno, "cannot replace", "shadow");
    return sync_file(etc, "shadow");
  }();
  if (!written) ::unlinkat(etc, kNewName, 0);
  return written;
}

Result<PasswdEntry> find_user(int etc, const std::string& name) {
  QUELL_TRY(const File passwd, read_file(etc, "passwd"));
  std::optional<PasswdEntry> found;
  for (PasswdEntry& entry : parse_passwd_file(passwd.text)) {
    if (entry.name != name) continue;
    if (found) return Error{Code::conflict, fmt::format("user {} has more than one line", name), "passwd"};
    found = std::move(entry);
  }
  if (found) return *found;
  return Error{Code::not_found, fmt::format("there is no local user {}", name), "passwd"};
}

Result<PasswdEntry> find_allowed_user(const UserFiles& files, int etc, const std::string& name) {
  QUELL_TRY(PasswdEntry user, find_user(etc, name));
  const auto refused = [&](const std::string& why) {
    return Error{Code::refused, fmt::format("user {} is not disabled: {}", name, why), {}};
  };
  if (user.uid == 0) return refused("it is root");
  if (std::find(files.protected_users.begin(), files.protected_users.end(), name) != files.protected_users.end())
    return refused("it is protected");
  uint32_t uid_min = kDefaultUidMin;
  if (const auto defs = read_file(etc, "login.defs"))
    uid_min = login_defs_number(defs->text, "UID_MIN").value_or(kDefaultUidMin);
  if (user.uid < uid_min)
    return refused(fmt::format("it is a system's user: uid {} is below UID_MIN {}", user.uid, uid_min));
  if (user.has_password_here)
    return Error{Code::unsupported, fmt::format("the password of {} is in passwd and not in shadow", name), "passwd"};
  return user;
}

bool is_as_left(const ShadowLine& line, const UserRecord& record) {
  const std::string& password = line.fields[ShadowLine::kPassword];
  return password.starts_with('!') && digest(std::string_view(password).substr(1)) == record.password_digest &&
         line.fields[ShadowLine::kExpire] == kExpired;
}
bool is_as_before(const ShadowLine& line, const UserRecord& record) {
  return digest(line.fields[ShadowLine::kPassword]) == record.password_digest &&
         line.fields[ShadowLine::kExpire] == record.expire_before;
}
UserState state_of(const ShadowLine& line, const UserRecord& record) {
  if (is_as_left(line, record)) return UserState::disabled;
  return is_as_before(line, record) ? UserState::enabled : UserState::changed;
}

enum class Change { disable, enable };

Result<void> change_user(const UserFiles& files, const UserRecord& record, Change change) {
  QUELL_TRY(const Descriptor etc, open_directory(files.etc));
  QUELL_TRY(const Descriptor held, lock(etc.get(), files.lock_timeout_ns));
  auto user =
      change == Change::disable ? find_allowed_user(files, etc.get(), record.name) : find_user(etc.get(), record.name);
  if (!user) return user.error();
  if (user->uid != record.uid)
    return Error{Code::stale,
                 fmt::format("the name {} belongs to uid {} now, not {}", record.name, user->uid, record.uid),
                 "passwd"};
  QUELL_TRY(const File shadow, read_file(etc.get(), "shadow"));
  QUELL_TRY(ShadowLine line, find_shadow_line(shadow.text, record.name));
  const UserState wanted = change == Change::disable ? UserState::disabled : UserState::enabled;
  const UserState state = state_of(line, record);
  if (state == wanted) return {};
  if (state == UserState::changed)
    return Error{
        Code::conflict,
        fmt::format("the password or the expiry of {} is {}", record.name,
                    change == Change::disable ? "not what it was when this was planned" : "not what Quell left"),
        "shadow"};
  std::string& password = line.fields[ShadowLine::kPassword];
  if (change == Change::disable) {
    password.insert(0, "!");
    line.fields[ShadowLine::kExpire] = kExpired;
  } else {
    password.erase(0, 1);
    line.fields[ShadowLine::kExpire] = record.expire_before;
  }
  QUELL_TRY(const std::string text, replace_shadow_line(shadow.text, line));
  return replace_shadow(etc.get(), shadow, text);
}

}  // namespace

std::string_view to_string(UserState state) {
  switch (state) {
    case UserState::enabled: return "enabled";
    case UserState::disabled: return "disabled";
    case UserState::changed: return "changed";
  }
  return "changed";
}

void write_json(JsonWriter& out, const UserRecord& record) {
  out.begin_object().text("name", record.name).integer("uid", record.uid);
  out.text("expire_before", record.expire_before).text("password_digest", record.password_digest).end_object();
}

Result<UserRecord> user_record_from_json(const Json& json) {
  UserRecord record{json.at("name").str(), static_cast<uint32_t>(json.at("uid").u64()), json.at("expire_before").str(),
                    json.at("password_digest").str()};
  if (record.name.empty() || record.uid == 0 || record.password_digest.size() != 64 ||
      record.expire_before.find_first_of(":\n") != std::string::npos)
    return Error{Code::malformed, "a recorded user needs name, uid, expire_before and password_digest", {}};
  return record;
}

Result<UserRecord> plan_disable_user(const UserFiles& files, const std::string& name) {
  QUELL_TRY(const Descriptor etc, open_directory(files.etc));
  QUELL_TRY(const PasswdEntry user, find_allowed_user(files, etc.get(), name));
  QUELL_TRY(const File shadow, read_file(etc.get(), "shadow"));
  QUELL_TRY(const ShadowLine line, find_shadow_line(shadow.text, name));
  return UserRecord{name, user.uid, line.fields[ShadowLine::kExpire], digest(line.fields[ShadowLine::kPassword])};
}

Result<UserState> look_user(const UserFiles& files, const UserRecord& record) {
  QUELL_TRY(const Descriptor etc, open_directory(files.etc));
  QUELL_TRY(const File shadow, read_file(etc.get(), "shadow"));
  QUELL_TRY(const ShadowLine line, find_shadow_line(shadow.text, record.name));
  return state_of(line, record);
}

Result<void> disable_user(const UserFiles& files, const UserRecord& record) {
  return change_user(files, record, Change::disable);
}

Result<void> enable_user(const UserFiles& files, const UserRecord& record) {
  return change_user(files, record, Change::enable);
}

Result<std::vector<ProcessFacts>> processes_of_user(const Os& os, uint32_t uid) {
  QUELL_TRY(const std::vector<int64_t> pids, numbered_entries("/proc"));
  std::vector<ProcessFacts> found;
  for (const int64_t pid : pids) {
    auto facts = os.process_facts(pid);
    if (!facts || facts->kernel_thread || facts->state == 'Z' || facts->state == 'X') continue;
    bool is_theirs = facts->uid == uid;
    if (const auto text = read_small_file(fmt::format("/proc/{}/loginuid", pid))) {
      uint64_t login = 0;
      if (parse_u64(*text, login) && login == uid) is_theirs = true;
    }
    if (is_theirs) found.push_back(std::move(*facts));
  }
  return found;
}

std::string why_no_user_change(const UserFiles& files) {
  const auto etc = open_directory(files.etc);
  if (!etc) return "the folder of the user files cannot be opened: " + etc.error().str();
  const auto shadow = read_file(etc->get(), "shadow");
  if (!shadow) return "shadow cannot be read: " + shadow.error().str();
  if (::faccessat(etc->get(), ".", W_OK, AT_EACCESS) != 0)
    return fmt::format("{} cannot be written: {}", files.etc,
                       errno == EROFS ? "it is mounted read-only" : "root rights are needed");
  return {};
}

}  // namespace quell::os
