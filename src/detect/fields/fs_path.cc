// fs.path.*: the paths that a successful file system call worked on.
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

// How a relative path is made absolute. The oddities are those of the reference: rules were written against them.
enum class Join : uint8_t {
  cwd,          // the working directory
  dirfd,        // the directory descriptor, with AT_FDCWD and unknown ones resolved properly
  known_dirfd,  // the descriptor's directory, "<UNKNOWN>" if it is none (AT_FDCWD too)
  entry,        // the name of the event's own descriptor, "<UNKNOWN>" if there is none
  unknown,      // always "<UNKNOWN>"
};
struct Path {
  int8_t param = -1;  // -2: name of the descriptor
  int8_t dirfd = -1;
  Join join = Join::cwd;
};
struct Row {
  EventCode code;
  Path name, source, target;
  bool is_open = false;  // successful unless the result is exactly -1
};

constexpr Row kRows[] = {
    {ev::SYSCALL_OPEN_X, {1, -1, Join::cwd}, {}, {}, true},
    {ev::SYSCALL_OPENAT_2_X, {2, 1, Join::entry}, {}, {}, true},
    {ev::SYSCALL_OPENAT2_X, {2, 1, Join::entry}, {}, {}, true},
    {ev::SYSCALL_MKDIR_2_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_MKDIRAT_X, {2, 1, Join::known_dirfd}, {}, {}},
    {ev::SYSCALL_RMDIR_2_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_UNLINK_2_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_UNLINKAT_2_X, {2, 1, Join::known_dirfd}, {}, {}},
    {ev::SYSCALL_UMOUNT_1_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_UMOUNT2_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_CHMOD_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_FCHMODAT_X, {2, 1, Join::known_dirfd}, {}, {}},
    {ev::SYSCALL_CHOWN_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_LCHOWN_X, {1, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_FCHOWNAT_X, {2, 1, Join::known_dirfd}, {}, {}},
    {ev::SYSCALL_FCHMOD_X, {-2, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_FCHOWN_X, {-2, -1, Join::cwd}, {}, {}},
    {ev::SYSCALL_RENAME_X, {}, {1, -1, Join::cwd}, {2, -1, Join::cwd}},
    {ev::SYSCALL_RENAMEAT_X, {}, {2, 1, Join::cwd}, {4, 3, Join::cwd}},
    {ev::SYSCALL_RENAMEAT2_X, {}, {2, 1, Join::dirfd}, {4, 3, Join::dirfd}},
    {ev::SYSCALL_LINK_2_X, {}, {2, -1, Join::cwd}, {1, -1, Join::cwd}},
    {ev::SYSCALL_LINKAT_2_X, {}, {4, 3, Join::cwd}, {2, 1, Join::cwd}},
    {ev::SYSCALL_SYMLINK_X, {}, {2, -1, Join::cwd}, {1, -1, Join::cwd}},
    {ev::SYSCALL_SYMLINKAT_X, {}, {3, 2, Join::known_dirfd}, {1, -1, Join::unknown}},
};

Value path_text(const Extract& x, const Path& path, bool raw) {
  if (path.param == -2) return x.context.fd == nullptr ? Value{} : Value::text(x.context.fd->name);
  if (path.param < 0 || !x.event().carries(static_cast<size_t>(path.param))) return {};
  const std::string_view name = x.event().param(static_cast<size_t>(path.param)).text();
  if (name.empty()) return {};  // it could not be read
  if (raw) return Value::text(name);
  if (name[0] == '/') return path_in(x, "", name);
  const int64_t dirfd = path.dirfd < 0 ? -100 : x.event().param(static_cast<size_t>(path.dirfd)).i64();
  std::string_view directory = "<UNKNOWN>";
  switch (path.join) {
    case Join::cwd: directory = x.thread()->group().cwd; break;
    case Join::dirfd: directory = directory_of(x, dirfd); break;
    case Join::known_dirfd: {
      const Fd* fd = x.thread()->group().fds ? x.thread()->group().fds->find(dirfd) : nullptr;
      if (fd != nullptr && fd->type == FdType::directory) directory = fd->name;
      break;
    }
    case Join::entry:
      if (x.context.fd != nullptr) return Value::text(x.context.fd->name);
      break;
    case Join::unknown: break;
  }
  return path_in(x, directory, name);
}

template <Path Row::*kWhich, bool kRaw>
Value path(const Extract& x, const FieldArg&) {
  if (x.thread() == nullptr) return {};
  const Row* row = nullptr;
  for (const Row& one : kRows)
    if (one.code == x.event().code()) row = &one;
  // quotactl and mount carry their paths late in the list and have no dirfd.
  if (row == nullptr) {
    static const int special = event_spec(ev::SYSCALL_QUOTACTL_X).param_index("special");
    static const int dev = event_spec(ev::SYSCALL_MOUNT_X).param_index("dev");
    static const int dir = event_spec(ev::SYSCALL_MOUNT_X).param_index("dir");
    if (x.context.result.value_or(-1) != 0) return {};
    Path at;
    if (x.event().code() == ev::SYSCALL_QUOTACTL_X && kWhich == &Row::name) at.param = static_cast<int8_t>(special);
    if (x.event().code() == ev::SYSCALL_MOUNT_X && kWhich == &Row::source) at.param = static_cast<int8_t>(dev);
    if (x.event().code() == ev::SYSCALL_MOUNT_X && kWhich == &Row::target) at.param = static_cast<int8_t>(dir);
    return path_text(x, at, kRaw);
  }
  const int64_t result = x.context.result.value_or(-1);
  // Opens are taken as successful unless their result is exactly -1: so the reference does, and ENOENT gives a value.
  if (row->is_open ? result == -1 : result != 0) return {};
  return path_text(x, row->*kWhich, kRaw);
}

constexpr std::string_view kNameEvents =
    "open, openat, openat2, and when successful: mkdir, mkdirat, rmdir, unlink, unlinkat, umount, umount2, chmod, "
    "fchmod, fchmodat, chown, lchown, fchown, fchownat, quotactl";
constexpr std::string_view kSidesEvents =
    "successful rename, renameat, renameat2, link, linkat, symlink, symlinkat, mount";

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "fs.path.name", .get = path<&Row::name, false>, .doc = "Path of the call, absolute.", .example = "fs.path.name startswith /etc/", .events = kNameEvents},
    {.name = "fs.path.nameraw", .get = path<&Row::name, true>, .doc = "Path of the call as given.", .example = "fs.path.nameraw contains ../", .events = kNameEvents},
    {.name = "fs.path.source", .get = path<&Row::source, false>, .doc = "Source path, absolute (of link and symlink: the new name).", .example = "fs.path.source startswith /tmp/", .events = kSidesEvents},
    {.name = "fs.path.sourceraw", .get = path<&Row::source, true>, .doc = "Source path as given.", .example = "fs.path.sourceraw = authorized_keys", .events = kSidesEvents},
    {.name = "fs.path.target", .get = path<&Row::target, false>, .doc = "Target path, absolute (of link and symlink: the old name).", .example = "fs.path.target startswith /etc/cron", .events = kSidesEvents},
    {.name = "fs.path.targetraw", .get = path<&Row::target, true>, .doc = "Target path as given.", .example = "fs.path.targetraw = ../../etc/passwd", .events = kSidesEvents},
};
// clang-format on

}  // namespace

FieldClass fs_path_fields() { return {"fs.path", "Paths of file system calls", "", kFields}; }

}  // namespace quell::detect
