#include "apps/quell/exception_files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/yaml.h"

namespace quell::cli {
namespace {

namespace fs = std::filesystem;

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t count = write(fd, text.data(), text.size());
    if (count < 0) return errno_error(errno, "cannot write the exception", path);
    text.remove_prefix(static_cast<size_t>(count));
  }
  if (fsync(fd) != 0) return errno_error(errno, "cannot write the exception", path);
  return {};
}

struct Found {
  const yaml::Node* entry = nullptr;
  size_t others = 0;  // items and entries of the file besides it
};

Found find_in(const yaml::File& file, const std::string& name) {
  Found found;
  for (const yaml::Node* document : file.documents()) {
    for (const yaml::Node* item : document->items()) {
      const yaml::Node* exceptions = item->find("exceptions");
      if (exceptions == nullptr || exceptions->items().empty()) ++found.others;
      if (exceptions == nullptr) continue;
      for (const yaml::Node* entry : exceptions->items()) {
        const yaml::Node* key = entry->find("name");
        if (found.entry == nullptr && key != nullptr && key->text() == name) {
          found.entry = entry;
        } else {
          ++found.others;
        }
      }
    }
  }
  return found;
}

}  // namespace

Result<std::string> add_exception_file(const std::string& folder, const std::string& name, const std::string& yaml) {
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST)
    return errno_error(errno, "cannot make the folder of exceptions; `quell up` makes it, too", folder);
  std::string file = name;
  std::replace_if(
      file.begin(), file.end(), [](unsigned char c) { return std::isalnum(c) == 0 && c != '-' && c != '_'; }, '-');
  const std::string path = folder + "/" + file + ".yaml";
  // Under a name that nobody reads until it is complete: a running quell watches this folder.
  const std::string half = path + ".new";
  const int fd = open(half.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return errno_error(errno, "cannot write the exception", half);
  const auto written = write_all(fd, yaml, half);
  close(fd);
  if (!written) return written.error();
  if (link(half.c_str(), path.c_str()) != 0) {
    const int number = errno;
    unlink(half.c_str());
    if (number == EEXIST) return Error{Code::already_exists, "this exception is there already", path};
    return errno_error(number, "cannot write the exception", path);
  }
  unlink(half.c_str());
  return path;
}

Result<std::string> remove_exception_file(const std::string& folder, const std::string& name) {
  std::error_code error;
  std::vector<std::string> paths;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const auto extension = it->path().extension();
    if (extension == ".yaml" || extension == ".yml") paths.push_back(it->path().string());
  }
  if (error) return errno_error(error.value(), "cannot read the folder of exceptions", folder);
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) {
    const auto file = yaml::parse_file(path);
    if (!file) continue;  // `quell rule check` tells of it
    const Found found = find_in(**file, name);
    if (found.entry == nullptr) continue;
    if (found.others > 0) {
      return Error{Code::conflict,
                   fmt::format("this file holds more than the exception \"{}\"; take it out by hand", name),
                   found.entry->where()};
    }
    if (unlink(path.c_str()) != 0) return errno_error(errno, "cannot remove the exception", path);
    return path;
  }
  return Error{Code::not_found, fmt::format("there is no exception \"{}\"; `quell exception list` shows them", name),
               folder};
}

Result<void> append_exceptions(const std::string& path, const std::string& yaml) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd < 0) return errno_error(errno, "cannot write the exception", path);
  auto written = write_all(fd, yaml, path);
  close(fd);
  return written;
}

}  // namespace quell::cli
