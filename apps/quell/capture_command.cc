// quell capture: what the flight recorder kept. Reads the data directory itself, so that it works after the running
// quell has gone, too.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>

#include "apps/quell/cli.h"
#include "base/text.h"
#include "capture/flight/capture_files.h"

namespace quell::cli {
namespace {

using capture::flight::find_capture;
using capture::flight::list_captures;
using capture::flight::sha256_of_file;

struct Options {
  std::string id, to;
  uint32_t limit = 20;
};

std::string folder_of(const Globals& globals) { return globals.data_dir_or_default() + "/captures"; }

std::string seconds(uint64_t from_ns, uint64_t to_ns) {
  return fmt::format("{:.1f} s", to_ns > from_ns ? static_cast<double>(to_ns - from_ns) / 1e9 : 0.0);
}

/// Captures hold what others typed, and so do rules' names; a terminal shall not obey them.
std::string plain(std::string_view text) { return json_escape(text); }

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  auto captures = list_captures(folder_of(globals));
  if (!captures && captures.error().code == Code::not_found) captures = std::vector<CaptureRef>{};
  if (!captures) return fail(captures.error());
  if (captures->size() > options.limit)
    captures->erase(captures->begin(), captures->end() - static_cast<ptrdiff_t>(options.limit));
  if (*format == "table" && captures->empty()) {
    say(globals, fmt::format("there are no captures in {}", folder_of(globals)));
    return Exit::done;
  }
  if (*format == "table")
    fmt::print("{:<19} {:<20} {:<13} {:>8} {:>8} {:>8} {:>10}  {}\n", "ID", "TIME", "CONTAINER", "BEFORE", "AFTER",
               "EVENTS", "BYTES", "RULE");
  for (auto ref = captures->rbegin(); ref != captures->rend(); ++ref) {
    if (*format == "name") {
      fmt::print("{}\n", ref->id);
    } else if (*format != "table") {
      fmt::print("{}\n", capture_ref_to_json(*ref));
    } else {
      fmt::print("{:<19} {:.19}Z {:<13} {:>8} {:>8} {:>8} {:>10}  {}\n", ref->id, iso8601_utc(ref->trigger_ns),
                 plain(ref->container_id), seconds(ref->from_ns, ref->trigger_ns), seconds(ref->trigger_ns, ref->to_ns),
                 ref->events, ref->size_bytes, plain(ref->rule));
    }
  }
  return Exit::done;
}

Exit show(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto ref = find_capture(folder_of(globals), options.id);
  if (!ref) return fail(ref.error());
  if (*format != "text") {
    fmt::print("{}\n", capture_ref_to_json(*ref));
    return Exit::done;
  }
  const auto sum = sha256_of_file(ref->path);
  if (!sum) return fail(sum.error());
  fmt::print("capture:   {}\nfile:      {} ({} bytes)\n", ref->id, ref->path, ref->size_bytes);
  fmt::print("sha256:    {} ({})\n", *sum,
             ref->sha256.empty()   ? "no description to compare with"
             : *sum == ref->sha256 ? "as it was written"
                                   : "NOT what was written: " + ref->sha256);
  fmt::print("rule:      {}\ncontainer: {}\n", plain(ref->rule), plain(ref->container_id));
  fmt::print("from:      {} ({} before)\ndetection: {}\nto:        {} ({} after)\n", iso8601_utc(ref->from_ns),
             seconds(ref->from_ns, ref->trigger_ns), iso8601_utc(ref->trigger_ns), iso8601_utc(ref->to_ns),
             seconds(ref->trigger_ns, ref->to_ns));
  fmt::print("events:    {}, {} lost on this machine meanwhile\n", ref->events, ref->lost_events);
  for (const std::string& also : ref->also) fmt::print("also:      {}\n", also);
  if (!ref->is_base_complete) fmt::print("note:      the state of some processes at the beginning is missing\n");
  if (!ref->note.empty()) fmt::print("note:      {}\n", plain(ref->note));
  return *sum == ref->sha256 || ref->sha256.empty() ? Exit::done : Exit::failed;
}

Exit export_to(const Globals& globals, const Options& options) {
  const auto ref = find_capture(folder_of(globals), options.id);
  if (!ref) return fail(ref.error());
  const std::string part = options.to + ".part";
  std::error_code error;
  std::filesystem::copy_file(ref->path, part, std::filesystem::copy_options::overwrite_existing, error);
  if (error) return fail(errno_error(error.value(), "cannot copy the capture", part));
  // Evidence leaves as it was written, or not at all.
  const auto sum = sha256_of_file(part);
  if (!sum || (!ref->sha256.empty() && *sum != ref->sha256)) {
    ::unlink(part.c_str());
    if (!sum) return fail(sum.error());
    return fail({Code::malformed,
                 fmt::format("the capture is not what was written: its sha256 is {}, it was {}", *sum, ref->sha256),
                 ref->path});
  }
  if (::chmod(part.c_str(), 0600) != 0 || ::rename(part.c_str(), options.to.c_str()) != 0) {
    const int number = errno;
    ::unlink(part.c_str());
    return fail(errno_error(number, "cannot name the copy", options.to));
  }
  say(globals, fmt::format("{}: {} events, sha256 {}", options.to, ref->events, *sum));
  return Exit::done;
}

}  // namespace

void add_capture(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* capture = add_command(app, "capture", "What the flight recorder kept around detections",
                                  "  quell capture list\n"
                                  "  quell capture export d-0123456789abcdef --to incident.scap");
  capture->require_subcommand(1);
  CLI::App* list_command =
      add_command(*capture, "list", "Captures, newest first", "  quell capture list\n  quell capture list -o json");
  list_command->add_option("--limit", options->limit, "how many (default 20)")->type_name("N");
  list_command->callback([&globals, &run, options] { run = [&globals, options] { return list(globals, *options); }; });
  CLI::App* show_command = add_command(*capture, "show", "One capture, checked against its sha256",
                                       "  quell capture show d-0123456789abcdef\n"
                                       "  quell capture show d-0123456789abcdef -o json");
  show_command->add_option("ID", options->id, "of the detection that it was made for")->required()->type_name("");
  show_command->callback([&globals, &run, options] { run = [&globals, options] { return show(globals, *options); }; });
  CLI::App* export_command = add_command(*capture, "export", "Copy a capture, checked against its sha256",
                                         "  quell capture export d-0123456789abcdef --to incident.scap\n"
                                         "  quell detect incident.scap");
  export_command->add_option("ID", options->id, "of the detection that it was made for")->required()->type_name("");
  export_command->add_option("--to", options->to, "the file to write")->required()->type_name("FILE");
  export_command->callback(
      [&globals, &run, options] { run = [&globals, options] { return export_to(globals, *options); }; });
}

}  // namespace quell::cli
