#pragma once
// The other names of a file with hard links.
#include <cstddef>
#include <string>
#include <vector>

#include "os/file_attributes.h"

namespace quell::os {

struct LinkSearch {
  std::vector<std::string> names;  // from the root of the mount, "/…"
  bool is_complete = false;        // all links that the file says it has were found, or all folders were seen
};
/// Walks down from `root` (O_PATH) without leaving its mount and without following links; ends when all were found, or
/// after 200 000 entries or a second, whichever comes first. `known_name` in the folder `known_folder` is left
/// out.
LinkSearch find_links(int root, const FileAttributes& file, int known_folder, const std::string& known_name);

}  // namespace quell::os
