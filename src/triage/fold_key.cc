#include "triage/fold_key.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string_view>

namespace quell::triage {
namespace {

// Differ from event to event without telling anything apart.
constexpr std::string_view kVolatile[] = {
    "evt.num",      "evt.time",      "evt.cpu",          "evt.count",          "evt.latency",  "fd.cport",
    "fd.num",       "proc.pid",      "proc.ppid",        "proc.vpid",          "proc.pvpid",   "proc.apid",
    "proc.sid",     "proc.pgid",     "proc.vpgid",       "proc.pid.ts",        "proc.ppid.ts", "proc.duration",
    "proc.nchilds", "proc.nthreads", "proc.fdopencount", "proc.ppid.duration", "proc.vmsize",  "proc.vmrss",
    "proc.vmswap",  "proc.fdusage",
};
constexpr std::string_view kVolatileBeginnings[] = {
    "evt.time.",  "evt.rawtime", "evt.datetime", "evt.reltime", "evt.latency.", "thread.tid", "thread.vtid",
    "thread.cpu", "thread.exec", "thread.tot",   "thread.vm",   "container.",   "k8s.",       "proc.apid["};

bool is_volatile(std::string_view field) {
  return std::find(std::begin(kVolatile), std::end(kVolatile), field) != std::end(kVolatile) ||
         std::any_of(std::begin(kVolatileBeginnings), std::end(kVolatileBeginnings),
                     [&](std::string_view beginning) { return field.starts_with(beginning); });
}

bool is_port(std::string_view text) {
  return !text.empty() && text.size() <= 5 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// A connection reads "CLIENT:PORT->SERVER:PORT"; the client's port is new with every one.
std::string without_client_port(const std::string& text) {
  const size_t arrow = text.find("->");
  if (arrow == std::string::npos) return text;
  const size_t colon = text.rfind(':', arrow);
  if (colon == std::string::npos || !is_port(std::string_view(text).substr(colon + 1, arrow - colon - 1))) return text;
  return text.substr(0, colon) + text.substr(arrow);
}

void add(std::string& key, std::string_view text) {
  // With its length in front, so that no two lists of values run into the same text.
  fmt::format_to(std::back_inserter(key), "{}:", text.size());
  key += text;
}

struct AddValue {
  std::string& key;
  void operator()(std::monostate) const { key += '-'; }
  void operator()(const std::string& text) const { add(key, without_client_port(text)); }
  void operator()(const std::vector<std::string>& texts) const {
    for (const std::string& text : texts) add(key, text);
  }
  template <typename Number>
  void operator()(Number number) const {
    fmt::format_to(std::back_inserter(key), "{};", number);
  }
};

}  // namespace

std::string fold_key(const Detection& detection) {
  std::string key;
  add(key, detection.rule);
  if (!detection.fold_key.empty()) return key + detection.fold_key;
  add(key, detection.container_full_id.empty() ? detection.container_id : detection.container_full_id);
  add(key, detection.exepath);
  add(key, detection.cmdline);
  add(key, detection.user_name);
  for (const auto& [name, value] : detection.output_fields) {
    if (is_volatile(name)) continue;
    add(key, name);
    std::visit(AddValue{key}, value);
  }
  return key;
}

}  // namespace quell::triage
