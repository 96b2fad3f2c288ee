#include "os/file_attributes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "os/descriptor.h"

namespace quell::os {
namespace {

constexpr size_t kMaxXattrBytes = 1 << 20;
constexpr int64_t kSecond = 1'000'000'000;

int64_t nanoseconds(const statx_timestamp& time) { return time.tv_sec * kSecond + time.tv_nsec; }
timespec to_timespec(int64_t ns) {
  const int64_t seconds = ns >= 0 ? ns / kSecond : -((-ns + kSecond - 1) / kSecond);
  return {.tv_sec = static_cast<time_t>(seconds), .tv_nsec = static_cast<long>(ns - seconds * kSecond)};
}

using Xattrs = std::vector<std::pair<std::string, std::string>>;

Result<Xattrs> read_xattrs(int fd) {
  const std::string path = path_of(fd);
  std::string names(65536, '\0');
  const ssize_t size = ::listxattr(path.c_str(), names.data(), names.size());
  if (size < 0 && errno == ENOTSUP) return Xattrs{};
  if (size < 0) return errno_error(errno, "cannot list extended attributes");
  names.resize(static_cast<size_t>(size));
  Xattrs xattrs;
  size_t total = 0;
  for (std::string_view name : split(names, '\0')) {
    if (name.empty()) continue;
    std::string value(65536, '\0');
    const ssize_t length = ::getxattr(path.c_str(), std::string(name).c_str(), value.data(), value.size());
    // Listed but taken away meanwhile, or kept from us: then it is not ours to put back.
    if (length < 0 && (errno == ENODATA || errno == EPERM || errno == EACCES || errno == ENOTSUP)) continue;
    if (length < 0) return errno_error(errno, fmt::format("cannot read extended attribute {}", name));
    value.resize(static_cast<size_t>(length));
    total += value.size();
    if (total > kMaxXattrBytes) return Error{Code::limit, "more than 1 MiB of extended attributes", {}};
    xattrs.emplace_back(name, std::move(value));
  }
  std::sort(xattrs.begin(), xattrs.end());
  return xattrs;
}

bool from_hex(std::string_view text, std::string& out) {
  if (text.size() % 2 != 0) return false;
  for (size_t i = 0; i < text.size(); i += 2) {
    uint64_t byte = 0;
    if (!parse_u64(text.substr(i, 2), byte, 16)) return false;
    out.push_back(static_cast<char>(byte));
  }
  return true;
}

const std::string* find_xattr(const Xattrs& xattrs, const std::string& name) {
  const auto found = std::find_if(xattrs.begin(), xattrs.end(), [&](const auto& entry) { return entry.first == name; });
  return found == xattrs.end() ? nullptr : &found->second;
}

}  // namespace

void write_json(JsonWriter& out, const FileAttributes& attributes) {
  out.begin_object();
  out.integer("device", attributes.device).integer("inode", attributes.inode).integer("size", attributes.size);
  out.integer("links", attributes.links).text("mode", fmt::format("{:o}", attributes.mode));
  out.integer("uid", attributes.uid).integer("gid", attributes.gid);
  out.integer("accessed_ns", attributes.accessed_ns).integer("modified_ns", attributes.modified_ns);
  out.integer("changed_ns", attributes.changed_ns).integer("born_ns", attributes.born_ns);
  out.flag("immutable", attributes.immutable).flag("append_only", attributes.append_only);
  out.key("xattrs").begin_array();
  for (const auto& [name, value] : attributes.xattrs)
    out.begin_object().text("name", name).text("hex", hex(value.data(), value.size())).end_object();
  out.end_array().end_object();
}

Result<FileAttributes> file_attributes_from_json(const Json& json) {
  FileAttributes out;
  const Error malformed{Code::malformed, "recorded file attributes are incomplete", {}};
  uint64_t mode = 0;
  if (!parse_u64(json.at("mode").str(), mode, 8) || json.find("inode") == nullptr || json.find("xattrs") == nullptr)
    return malformed;
  out.mode = static_cast<uint32_t>(mode);
  out.device = json.at("device").u64(), out.inode = json.at("inode").u64();
  out.size = json.at("size").u64(), out.links = json.at("links").u64();
  out.uid = static_cast<uint32_t>(json.at("uid").u64()), out.gid = static_cast<uint32_t>(json.at("gid").u64());
  out.accessed_ns = json.at("accessed_ns").i64(), out.modified_ns = json.at("modified_ns").i64();
  out.changed_ns = json.at("changed_ns").i64(), out.born_ns = json.at("born_ns").i64();
  out.immutable = json.at("immutable").boolean(), out.append_only = json.at("append_only").boolean();
  if (const Json::Array* xattrs = json.at("xattrs").array())
    for (const Json& entry : *xattrs) {
      std::string value;
      if (!from_hex(entry.at("hex").str(), value)) return malformed;
      out.xattrs.emplace_back(entry.at("name").str(), std::move(value));
    }
  return out;
}

Result<FileAttributes> read_attributes(int fd) {
  struct statx info {};
  if (::statx(fd, "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS | STATX_BTIME, &info) != 0)
    return errno_error(errno, "cannot look at the file");
  FileAttributes out;
  out.device = makedev(info.stx_dev_major, info.stx_dev_minor);
  out.inode = info.stx_ino, out.size = info.stx_size, out.links = info.stx_nlink;
  out.mode = info.stx_mode, out.uid = info.stx_uid, out.gid = info.stx_gid;
  out.accessed_ns = nanoseconds(info.stx_atime), out.modified_ns = nanoseconds(info.stx_mtime);
  out.changed_ns = nanoseconds(info.stx_ctime);
  if ((info.stx_mask & STATX_BTIME) != 0) out.born_ns = nanoseconds(info.stx_btime);
  out.immutable = (info.stx_attributes & STATX_ATTR_IMMUTABLE) != 0;
  out.append_only = (info.stx_attributes & STATX_ATTR_APPEND) != 0;
  QUELL_TRY(out.xattrs, read_xattrs(fd));
  return out;
}

Result<void> apply_attributes(int fd, const FileAttributes& wanted) {
  const std::string path = path_of(fd);
  QUELL_TRY(const FileAttributes first, read_attributes(fd));
  if ((first.uid != wanted.uid || first.gid != wanted.gid) &&
      ::fchownat(fd, "", wanted.uid, wanted.gid, AT_EMPTY_PATH) != 0)
    return errno_error(errno, "cannot give the file back to its owner");
  QUELL_TRY(const FileAttributes owned, read_attributes(fd));
  if (owned.mode != wanted.mode && ::chmod(path.c_str(), wanted.mode & 07777) != 0)
    return errno_error(errno, "cannot restore the mode");
  // After the mode: setting it changes the mask of an ACL.
  QUELL_TRY(const FileAttributes now, read_attributes(fd));
  for (const auto& [name, value] : wanted.xattrs) {
    const std::string* there = find_xattr(now.xattrs, name);
    if (there != nullptr && *there == value) continue;
    if (::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0) != 0)
      return errno_error(errno, fmt::format("cannot restore extended attribute {}", name));
  }
  for (const auto& [name, value] : now.xattrs)
    if (find_xattr(wanted.xattrs, name) == nullptr && ::removexattr(path.c_str(), name.c_str()) != 0 &&
        errno != ENODATA)
      return errno_error(errno, fmt::format("cannot take extended attribute {} away", name));
  const timespec times[2] = {to_timespec(wanted.accessed_ns), to_timespec(wanted.modified_ns)};
  if ((now.accessed_ns != wanted.accessed_ns || now.modified_ns != wanted.modified_ns) &&
      ::utimensat(AT_FDCWD, path.c_str(), times, 0) != 0)
    return errno_error(errno, "cannot restore the times");
  return {};
}

Result<void> set_file_flags(int fd, bool immutable, bool append_only) {
  QUELL_TRY(const FileAttributes now, read_attributes(fd));
  if (now.immutable == immutable && now.append_only == append_only) return {};
  QUELL_TRY(const Descriptor file, open_at(AT_FDCWD, path_of(fd), O_RDONLY | O_NONBLOCK));
  int flags = 0;
  if (::ioctl(file.get(), FS_IOC_GETFLAGS, &flags) != 0) {
    if (errno == ENOTTY) return Error{Code::unsupported, "this file system has no immutable flag", {}};
    return errno_error(errno, "cannot read the file's flags");
  }
  flags &= ~(FS_IMMUTABLE_FL | FS_APPEND_FL);
  if (immutable) flags |= FS_IMMUTABLE_FL;
  if (append_only) flags |= FS_APPEND_FL;
  if (::ioctl(file.get(), FS_IOC_SETFLAGS, &flags) != 0)
    return errno_error(errno, "cannot change the immutable flag (CAP_LINUX_IMMUTABLE is needed)");
  return {};
}

}  // namespace quell::os
