#include "apps/quell/rule_kernel.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <vector>

namespace quell::cli {
namespace {

constexpr size_t kMaxEvents = 60;  // of a rule that names its events; others are about all there are

struct OpenFlag {
  uint32_t bit;
  std::string_view name;
};
constexpr OpenFlag kOpenFlags[] = {
    {0x1, "reading"}, {0x2, "writing"}, {0x4, "O_CREAT"}, {0x2000, "O_TMPFILE"}, {0x4000, "a new file"}};

std::string flags_text(uint32_t mask) {
  if (mask == 0) return "no";
  if (mask == Need::kAlways) return "all";
  std::vector<std::string_view> names;
  for (const OpenFlag& flag : kOpenFlags) {
    if ((mask & flag.bit) != 0) names.push_back(flag.name);
  }
  return fmt::format("for {}", fmt::join(names, " or "));
}

std::string need_text(const Need& need) {
  if (need == Need{}) return "all";
  if (need.on_success == need.on_failure) return flags_text(need.on_success);
  return fmt::format("successful: {}; failed: {}", flags_text(need.on_success), flags_text(need.on_failure));
}

// What the sensor makes of it: events that keep the tables are told beyond what rules ask for.
std::string told(const Interest& interest, EventCode code) {
  const bool opens = opens_file(code);
  Need need = interest.need(code);
  NameTest names = interest.name_test(code);
  if (event_spec(code).has(kEvModifiesState) && !opens) return "all";
  if (opens && interest.plain_files_matter) need.on_success = names.any_name.on_success = Need::kAlways;
  std::string out = need_text(need);
  if (names.any_name == Need{} || names.any_name == need) return out;
  out += ", if a name begins with " +
         (names.prefixes.empty() ? std::string("nothing") : fmt::format("{}", fmt::join(names.prefixes, ", "))) +
         " or cannot be compared";
  if (names.any_name != Need{0, 0}) out += fmt::format("; whatever the name: {}", need_text(names.any_name));
  return out;
}

}  // namespace

std::string kernel_text(const Interest& interest, const detect::Rule& rule) {
  std::map<std::string, std::vector<std::string_view>> by_text;
  size_t count = 0;
  bool opens = false;
  for (const EventCode code : rule.event_codes) {
    const EventSpec& spec = event_spec(code);
    if (spec.has(kEvOldVersion) || spec.dir != EventDir::exit || spec.source != EventClass::syscall) continue;
    ++count;
    opens = opens || opens_file(code);
    auto& names = by_text[told(interest, code)];
    if (std::find(names.begin(), names.end(), spec.name) == names.end()) names.push_back(spec.name);
  }
  std::string out = "\ntold by the kernel, for all rules in force; what no rule can match is left out there:\n";
  if (!rule.enabled || count == 0) return out + "  nothing for this rule: it is about no call, or switched off\n";
  if (count > kMaxEvents) return out + "  every event that others ask for: the rule names no event type\n";
  for (const auto& [text, names] : by_text) out += fmt::format("  {}: {}\n", fmt::join(names, ", "), text);
  if (opens) {
    out += interest.plain_files_matter
               ? "  every opened file is told: some rule asks other events about their descriptors\n"
               : "  of opened files only plain ones are left out, and their closes with them\n";
  }
  return out;
}

}  // namespace quell::cli
