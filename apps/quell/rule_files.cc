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
constexpr const char* kShippedExceptions = "/usr/share/quell/exceptions";
constexpr const char* kOwnExceptions = "/etc/quell/exceptions.d";

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

/// Files and folders that a person named.
Result<void> add_named(const std::vector<std::string>& paths, std::string_view what, std::vector<std::string>& files) {
  std::error_code error;
  for (const std::string& path : paths) {
    const fs::file_status status = fs::status(path, error);
    if (!fs::exists(status)) return Error{Code::not_found, fmt::format("no such {} file or folder", what), path};
    if (!fs::is_directory(status)) {
      if (access(path.c_str(), R_OK) != 0)
        return errno_error(errno, fmt::format("cannot read the {} file", what), path);
      files.push_back(path);
      continue;
    }
    const size_t before = files.size();
    QUELL_CHECK(add_folder(path, files));
    // A folder for exceptions is there before the first exception is.
    if (files.size() == before && what == "rule")
      return Error{Code::not_found, "there is no .yaml or .yml file in this folder", path};
  }
  return {};
}

}  // namespace

std::string folder_of_clone(std::string_view name) {
  std::error_code error;
  fs::path at = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int level = 0; !error && level < 5 && !at.empty(); ++level, at = at.parent_path()) {
    // The build folder mirrors parts of the clone; the rules are only in the clone itself.
    if (fs::is_directory(at / "content/rules", error))
      return fs::exists(at / name, error) ? (at / name).string() : std::string();
    error.clear();
  }
  return {};
}

std::vector<std::string> rule_folders(const RuleSources& sources) {
  std::vector<std::string> folders = sources.paths;
  std::error_code error;
  if (sources.paths.empty()) {
    for (const char* folder : {kShipped, kOwn, kShippedExceptions, kOwnExceptions}) folders.emplace_back(folder);
    if (!fs::is_directory(kShipped, error) && !fs::is_directory(kOwn, error)) {
      folders.push_back(folder_of_clone("content/rules"));
      folders.push_back(folder_of_clone("content/exceptions"));
    }
  }
  folders.insert(folders.end(), sources.exceptions.begin(), sources.exceptions.end());
  if (!sources.data_dir.empty()) folders.push_back(sources.data_dir + "/" + std::string(kExceptionsFolder));
  std::erase(folders, std::string());
  return folders;
}

Result<RuleFiles> find_files(const RuleSources& sources) {
  RuleFiles files;
  QUELL_TRY(files.rules, find_rule_files(sources.paths));
  std::error_code error;
  if (sources.paths.empty()) {
    bool is_installed = false;
    for (const char* folder : {kShippedExceptions, kOwnExceptions}) {
      if (fs::is_directory(folder, error)) QUELL_CHECK(add_folder(folder, files.exceptions));
    }
    for (const char* folder : {kShipped, kOwn}) is_installed = is_installed || fs::is_directory(folder, error);
    const std::string clone = is_installed ? std::string() : folder_of_clone("content/exceptions");
    if (!clone.empty()) QUELL_CHECK(add_folder(clone, files.exceptions));
  }
  QUELL_CHECK(add_named(sources.exceptions, "exception", files.exceptions));
  if (sources.data_dir.empty()) return files;
  const std::string own = sources.data_dir + "/" + std::string(kExceptionsFolder);
  // Another user's data directory is none of ours; a replay by anybody must not fail for it.
  if (fs::is_directory(own, error) && access(own.c_str(), R_OK | X_OK) == 0) {
    QUELL_CHECK(add_folder(own, files.exceptions));
  }
  return files;
}

Result<std::vector<std::string>> find_rule_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  std::error_code error;
  if (paths.empty()) {
    for (const char* folder : {kShipped, kOwn}) {
      if (fs::is_directory(folder, error)) QUELL_CHECK(add_folder(folder, files));
    }
    if (files.empty()) {
      if (const std::string clone = folder_of_clone("content/rules"); !clone.empty())
        QUELL_CHECK(add_folder(clone, files));
    }
    if (files.empty()) {
      return Error{
          Code::not_found, fmt::format("no rules in {} and {}; name some with --rules PATH", kShipped, kOwn), {}};
    }
    return files;
  }
  QUELL_CHECK(add_named(paths, "rule", files));
  return files;
}

}  // namespace quell::cli
