#include "detect/falco/loader.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/clock.h"
#include "detect/falco/context.h"
#include "detect/falco/reader.h"
#include "detect/falco/schema.h"

namespace quell::detect::falco {
namespace {

Problem file_problem(const std::string& name, LoadCode code, const Error& error) {
  Problem problem;
  problem.code = code;
  problem.message = error.message;
  problem.file = name;
  problem.locations.push_back({"rules content", "", name, 0, 0, 0});
  return problem;
}

// libyaml's error names a place as "name:line:col"; the line is shown from the text that could not be parsed.
Problem yaml_problem(const std::string& name, std::string_view text, const Error& error) {
  Problem problem = file_problem(name, LoadCode::err_yaml_parse, error);
  if (!error.where.starts_with(name + ':')) return problem;
  char* end = nullptr;
  const unsigned long line = std::strtoul(error.where.c_str() + name.size() + 1, &end, 10);
  const unsigned long column = end && *end == ':' ? std::strtoul(end + 1, nullptr, 10) : 0;
  if (line == 0 || column == 0) return problem;
  problem.line = static_cast<uint32_t>(line);
  problem.column = static_cast<uint32_t>(column);
  problem.locations.back().line = problem.line - 1;
  problem.locations.back().column = problem.column - 1;
  for (unsigned long skip = 1; skip < line; ++skip) text.remove_prefix(std::min(text.size(), text.find('\n') + 1));
  text = text.substr(0, text.find_first_of("\r\n"));
  if (column <= 160) {
    problem.excerpt = text.substr(0, 160);
    problem.excerpt_column = problem.column - 1;
  }
  return problem;
}

}  // namespace

Loader::Loader(const Semantics& semantics, LoaderOptions options)
    : semantics_(semantics), options_(std::move(options)) {
  for (ExtraOutput& extra : options_.extra_outputs) std::sort(extra.tags.begin(), extra.tags.end());
}

void Loader::add_extra_output(ExtraOutput extra) {
  std::sort(extra.tags.begin(), extra.tags.end());
  options_.extra_outputs.push_back(std::move(extra));
}

FileResult Loader::load(std::string name, std::string text, FileKind kind) {
  FileResult result;
  result.name = name;
  const auto file = yaml::parse(name, text, yaml::DuplicateKeys::report);
  if (!file) {
    result.errors.push_back(yaml_problem(name, text, file.error()));
    return result;
  }
  result.schema_warnings = check_schema(**file);
  result.schema = result.schema_warnings.empty() ? SchemaStatus::ok : SchemaStatus::failed;

  Store store = store_;
  store.files.push_back(*file);
  const uint64_t now_ns = options_.now_ns != 0 ? options_.now_ns : system_clock().realtime_ns();
  Reader reader(semantics_, options_.plugins, kind, now_ns, store, result);
  reader.read(**file);
  if (reader.wants_another_engine()) return result;
  Compiled compiled = compile_store(store, semantics_, options_.extra_outputs, reader, result);
  if (!result.successful()) return result;
  store_ = std::move(store);
  compiled_ = std::move(compiled);
  return result;
}

FileResult Loader::load_file(const std::string& path, FileKind kind) {
  auto file = yaml::read_text_file(path);
  if (file) return load(path, std::move(*file), kind);
  FileResult result;
  result.name = path;
  result.errors.push_back(file_problem(path, LoadCode::err_file_read, file.error()));
  return result;
}

Result<std::vector<std::string>> rule_files(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return errno_error(error ? error.value() : ENOENT, "cannot open the rule file", path);
  if (!fs::is_directory(status)) return std::vector<std::string>{path};
  std::vector<std::string> files;
  fs::directory_iterator entries(path, error);
  for (; !error && entries != fs::directory_iterator(); entries.increment(error)) {
    std::error_code ignored;
    const fs::path& entry = entries->path();
    if (entries->is_regular_file(ignored) && (entry.extension() == ".yaml" || entry.extension() == ".yml"))
      files.push_back(entry.string());
  }
  if (error) return errno_error(error.value(), "cannot list the rules directory", path);
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<FileResult> load_files(Loader& loader, const std::vector<std::string>& paths, OnError on_error,
                                   const std::vector<std::string>& exception_paths) {
  std::vector<FileResult> results;
  const auto is_over = [&] { return on_error == OnError::stop && !results.empty() && !results.back().successful(); };
  const auto load_path = [&](const std::string& path, FileKind kind) {
    const auto files = rule_files(path);
    if (!files) {
      FileResult& result = results.emplace_back();
      result.name = path;
      result.errors.push_back(file_problem(path, LoadCode::err_file_read, files.error()));
      return;
    }
    for (const std::string& file : *files) {
      results.push_back(loader.load_file(file, kind));
      if (is_over()) return;
    }
  };
  for (const std::string& path : paths)
    if (!is_over()) load_path(path, FileKind::rules);
  for (const std::string& path : exception_paths)
    if (!is_over()) load_path(path, FileKind::exceptions);
  // Each file's compilation looks at all files so far, so a problem of an early file comes again with every later one,
  // and what looked unused may have found its user.
  const auto is_stale = [&](const Problem& problem) {
    if (problem.code == LoadCode::unused_macro || problem.code == LoadCode::unused_list) {
      const std::string& name = problem.locations.back().item_name;
      const auto used = [&](const auto& all) {
        return std::any_of(all.begin(), all.end(), [&](const auto& item) { return item.name == name && item.is_used; });
      };
      return problem.code == LoadCode::unused_macro ? used(loader.compiled().macros) : used(loader.compiled().lists);
    }
    return false;
  };
  std::vector<const Problem*> seen;
  for (FileResult& result : results) {
    std::erase_if(result.warnings, [&](const Problem& problem) {
      return is_stale(problem) ||
             std::any_of(seen.begin(), seen.end(), [&](const Problem* other) { return *other == problem; });
    });
    for (const Problem& problem : result.warnings) seen.push_back(&problem);
  }
  return results;
}

}  // namespace quell::detect::falco
