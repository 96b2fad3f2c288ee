#include "os/link_search.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <deque>

#include "base/clock.h"
#include "os/descriptor.h"
#include "os/file_place.h"

namespace quell::os {
namespace {
constexpr size_t kMaxEntries = 200'000;
constexpr uint64_t kMaxNs = 1'000'000'000;
}  // namespace

LinkSearch find_links(int root, const FileAttributes& file, int known_folder, const std::string& known_name) {
  LinkSearch search;
  const auto mount = mount_id_of(root);
  if (!mount) return search;
  const uint64_t started = system_clock().monotonic_ns();
  std::deque<std::string> open{""};
  size_t entries = 0, found = 0;
  struct stat known {};
  if (::fstat(known_folder, &known) != 0) return search;
  while (!open.empty() && found < file.links) {
    const std::string folder = std::move(open.front());
    open.pop_front();
    auto opened = open_at(root, folder.empty() ? "." : folder.substr(1), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!opened) continue;
    const auto here = mount_id_of(opened->get());
    if (!here || *here != *mount) continue;
    DIR* directory = ::fdopendir(::fcntl(opened->get(), F_DUPFD_CLOEXEC, 0));
    if (directory == nullptr) continue;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      if (++entries > kMaxEntries || system_clock().monotonic_ns() - started > kMaxNs) {
        ::closedir(directory);
        return search;
      }
      if (entry->d_type == DT_DIR) open.push_back(folder + "/" + name);
      if (entry->d_type != DT_REG && entry->d_type != DT_UNKNOWN) continue;
      struct stat info {};
      if (::fstatat(opened->get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      if (info.st_dev != file.device || info.st_ino != file.inode) continue;
      ++found;
      struct stat above {};
      const bool is_known = name == known_name && ::fstat(opened->get(), &above) == 0 && above.st_dev == known.st_dev &&
                            above.st_ino == known.st_ino;
      if (!is_known) search.names.push_back(folder + "/" + name);
    }
    ::closedir(directory);
  }
  search.is_complete = true;
  return search;
}

}  // namespace quell::os
