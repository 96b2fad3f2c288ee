#pragma once
// Where a file is, as a process sees it, opened so that nobody inside can lead us elsewhere: links are followed only
// below that process's root directory, and never through /proc's magic ones.
#include <cstdint>
#include <functional>
#include <string>

#include "os/descriptor.h"
#include "os/os.h"

namespace quell::os {

struct FilePlace {
  const ProcessHandle* process = nullptr;  // in whose root directory; borrowed; null: this machine's "/"
  std::string path;                        // absolute
};

/// An O_PATH descriptor: nothing was opened for reading, so nothing blocks and no driver is woken. Links are followed
/// within the root. Errors: not_found, gone (the process), invalid_argument (the path is not absolute), unsupported
/// (openat2, Linux 5.6).
Result<Descriptor> open_place(const Os& os, const FilePlace& place);
/// The same for a descriptor of the process, or its program, also when they have no name any more.
Result<Descriptor> open_descriptor_of(const Os& os, const ProcessHandle& process, int number);
Result<Descriptor> open_program_of(const Os& os, const ProcessHandle& process);

/// The folder that holds the last component, and that component itself, which must not be a symbolic link.
struct OpenEntry {
  Descriptor folder, file;  // both O_PATH
  std::string name;
};
/// Errors: as open_place; refused for a symbolic link, which names the file that it leads to.
Result<OpenEntry> open_entry(const Os& os, const FilePlace& place);
/// Only the folder; the entry need not exist.
Result<OpenEntry> open_folder(const Os& os, const FilePlace& place);

/// The mount of what a descriptor holds.
struct MountFacts {
  uint64_t id = 0;
  std::string type, mount_point;  // "overlay"; as the process whose mountinfo was read sees it
  std::string upper_dir;          // of an overlay, as its options say
  std::string root;               // which folder of the file system is mounted
};
/// `pid` 0: this process's mounts. Errors: not_found if that mount is not among them.
Result<MountFacts> mount_of(int fd, int64_t pid);
/// The id alone. Errors: by errno.
Result<uint64_t> mount_id_of(int fd);

/// Why a file must not be read as evidence: anything but a regular file, and the kernel's own file systems, whose files
/// have no end or change the machine when read. Empty: it may.
std::string why_not_readable(int fd);

/// For an overlay: "upper" (written in the container) or "lower" (comes with the image); empty where it is none or
/// cannot be told. `path` as in FilePlace.
std::string overlay_layer(int fd, const FilePlace& place);

/// Opens what an O_PATH descriptor holds for reading, without blocking and, where allowed, without touching its access
/// time.
Result<Descriptor> reopen_for_reading(int fd);

/// Whether a process has the file mapped (program, library, data) or as its program.
Result<bool> has_mapped(int64_t pid, uint64_t device, uint64_t inode);

}  // namespace quell::os
