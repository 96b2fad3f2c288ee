#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "apps/quell/rules.h"

namespace quell::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShipped = "/usr/share/quell/rules";
constexpr const char* kOwn = "/etc/quell/rules.d";

Result<void> add_folder(const fs::path& folder, std::vector<std::string>& files) {
  std::error_code error;
  std::vector<std::string> found;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const auto extension = it->path().extension();
    if ((extension == ".yaml" || extension == ".yml") && it->is_regular_file(error))
      found.push_back(it->path().string());
  }
  if (error) return errno_error(error.value(), "cannot read the folder of rules", folder.string());
  std::sort(found.begin(), found.end());
  files.insert(files.end(), found.begin(), found.end());
  return {};
}

/// content/rules of the clone: above the binary, which lies in build/PRESET/bin.
fs::path rules_of_clone() {
  std::error_code error;
  fs::path at = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int level = 0; !error && level < 5 && !at.empty(); ++level, at = at.parent_path()) {
    if (fs::is_directory(at / "content/rules", error)) return at / "content/rules";
    error.clear();
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> find_rule_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  std::error_code error;
  if (paths.empty()) {
    for (const char* folder : {kShipped, kOwn}) {
      if (fs::is_directory(folder, error)) QUELL_CHECK(add_folder(folder, files));
    }
    if (files.empty()) {
      if (const fs::path clone = rules_of_clone(); !clone.empty()) QUELL_CHECK(add_folder(clone, files));
    }
    if (files.empty()) {
      return Error{
          Code::not_found, fmt::format("no rules in {} and {}; name some with --rules PATH", kShipped, kOwn), {}};
    }
    return files;
  }
  for (const std::string& path : paths) {
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return Error{Code::not_found, "no such rule file or folder", path};
    if (!fs::is_directory(status)) {
      if (access(path.c_str(), R_OK) != 0) return errno_error(errno, "cannot read the rule file", path);
      files.push_back(path);
      continue;
    }
    const size_t before = files.size();
    QUELL_CHECK(add_folder(path, files));
    if (files.size() == before) return Error{Code::not_found, "there is no .yaml or .yml file in this folder", path};
  }
  return files;
}

}  // namespace quell::cli
