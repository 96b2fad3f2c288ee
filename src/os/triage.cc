#include "os/triage.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/json.h"
#include "base/sha256.h"
#include "base/text.h"
#include "os/descriptor.h"
#include "os/triage_items.h"

namespace quell::os {
namespace {

constexpr uint64_t kMaxItemBytes = 64 << 20;

std::string sha256_of(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

std::string manifest_of(const TriageBundle& bundle, const std::string& boot_id) {
  JsonWriter out;
  out.begin_object().text("format", "quell-triage-1").text("boot_id", boot_id);
  out.text("started", iso8601_utc(bundle.started_realtime_ns)).integer("duration_ns", bundle.duration_ns);
  out.integer("bytes", bundle.bytes).key("items").begin_array();
  for (const TriageItem& item : bundle.items) {
    out.begin_object().text("name", item.name);
    if (!item.file.empty()) out.text("file", item.file).text("sha256", item.sha256);
    out.integer("entries", item.entries).integer("bytes", item.bytes).integer("duration_ns", item.duration_ns);
    if (!item.error.empty()) out.text("error", item.error);
    if (!item.cut_short.empty()) out.text("cut_short", item.cut_short);
    out.end_object();
  }
  out.end_array().end_object();
  return out.take();
}

Result<void> collect_all(const TriageContext& context, int folder, const TriageLimits& limits, TriageBundle& bundle) {
  for (const TriageItemRow& row : kTriageItems) {
    TriageItem& item = bundle.items.emplace_back();
    item.name = row.name;
    TriageFile file(limits, std::min(kMaxItemBytes, limits.max_bytes - bundle.bytes));
    if (const auto done = row.collect(context, file); !done) item.error = done.error().str();
    item.cut_short = file.cut_short();
    item.entries = file.entries();
    item.bytes = file.text().size();
    bundle.bytes += item.bytes;
    if (item.bytes > 0) {
      item.file = row.file;
      item.sha256 = sha256_of(file.text());
      QUELL_CHECK(write_new_file(folder, item.file, file.text()));
    }
    item.duration_ns = system_clock().monotonic_ns() - file.started_ns();
  }
  return {};
}

void remove_folder(int directory, const std::string& name) {
  if (const auto folder = open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)) {
    for (const TriageItemRow& row : kTriageItems) ::unlinkat(folder->get(), row.file, 0);
    ::unlinkat(folder->get(), "manifest.json", 0);
  }
  ::unlinkat(directory, name.c_str(), AT_REMOVEDIR);
}

}  // namespace

bool TriageFile::may_go_on() {
  if (!cut_short_.empty()) return false;
  if (limits_.is_cancelled && limits_.is_cancelled())
    cut_short_ = "cancelled";
  else if (system_clock().monotonic_ns() - started_ >= limits_.item_max_ns)
    cut_short_ = "time";
  return cut_short_.empty();
}

bool TriageFile::add(std::string_view entry) {
  if (!may_go_on()) return false;
  if (text_.size() + entry.size() > max_bytes_) {
    cut_short_ = "bytes";
    return false;
  }
  text_ += entry;
  ++entries_;
  return true;
}

bool TriageFile::add_line(std::string_view line) {
  std::string text(line);
  text += '\n';
  return add(text);
}

std::vector<std::string> triage_item_names() {
  std::vector<std::string> names;
  for (const TriageItemRow& row : kTriageItems) names.emplace_back(row.name);
  return names;
}

Result<TriageBundle> collect_triage(const Os& os, const TriageSources& sources, int directory, const std::string& name,
                                    const TriageLimits& limits) {
  if (!is_file_name(name)) return Error{Code::invalid_argument, "not a file name", name};
  TriageBundle bundle;
  bundle.started_realtime_ns = system_clock().realtime_ns();
  const uint64_t started = system_clock().monotonic_ns();
  if (::mkdirat(directory, name.c_str(), 0700) != 0) return errno_error(errno, "cannot make the folder", name);
  const auto collected = [&]() -> Result<void> {
    QUELL_TRY(const Descriptor folder, open_at(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    QUELL_CHECK(collect_all({os, sources}, folder.get(), limits, bundle));
    bundle.duration_ns = system_clock().monotonic_ns() - started;
    const std::string manifest = manifest_of(bundle, os.boot_id());
    bundle.manifest_sha256 = sha256_of(manifest);
    QUELL_CHECK(write_new_file(folder.get(), "manifest.json", manifest));
    return sync_file(directory, name);
  }();
  if (!collected) {
    remove_folder(directory, name);
    return collected.error();
  }
  return bundle;
}

}  // namespace quell::os
