#pragma once
// Everything that a file is besides its content, read and put back exactly.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace quell::os {

struct FileAttributes {
  uint64_t device = 0, inode = 0, size = 0, links = 0;
  uint32_t mode = 0, uid = 0, gid = 0;                       // mode with the file type
  int64_t accessed_ns = 0, modified_ns = 0, changed_ns = 0;  // since the epoch
  int64_t born_ns = 0;                                       // 0: the file system does not say
  bool immutable = false, append_only = false;               // chattr +i, +a
  /// All that the reader may see: ACLs are system.posix_acl_*, the SELinux label is security.selinux. Sorted by name;
  /// values are bytes.
  std::vector<std::pair<std::string, std::string>> xattrs;
  bool operator==(const FileAttributes&) const = default;
  bool is_same_file(const FileAttributes& other) const { return device == other.device && inode == other.inode; }
};
void write_json(JsonWriter& out, const FileAttributes& attributes);
/// Errors: malformed.
Result<FileAttributes> file_attributes_from_json(const Json& json);

/// Of what a descriptor holds (O_PATH is enough), whatever its name has become. Errors: by errno; limit (more than 1
/// MiB of extended attributes).
Result<FileAttributes> read_attributes(int fd);

/// Puts owner, mode, extended attributes and times back; what is equal is not touched, because a change of the owner
/// takes set-user-id bits and file capabilities away. Time of the last change of the inode (ctime) is the kernel's.
/// The flags are not put back here: an immutable file cannot be renamed. Errors: by errno.
Result<void> apply_attributes(int fd, const FileAttributes& wanted);

/// chattr +i, +a. Nothing happens when they are so already. Errors: by errno; unsupported where the file system has
/// none.
Result<void> set_file_flags(int fd, bool immutable, bool append_only);

}  // namespace quell::os
