#pragma once
// A container image made from Debian's busybox-static, without any registry: an archive that `docker load` and
// containerd's import both take.
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quell::test {

/// Writes the archive to `path`. /bin/busybox and a link for each of its commands, /etc/passwd, and `extra`: pairs of a
/// path in the image and a file of this machine (executable there). The image's command sleeps. Errors: not_found (no
/// busybox), io.
Result<void> write_image_archive(const std::string& path,
                                 const std::vector<std::pair<std::string, std::string>>& extra);

}  // namespace quell::test
