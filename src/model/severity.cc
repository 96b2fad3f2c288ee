#include "model/severity.h"

#include <strings.h>
#include <iterator>

namespace quell {
namespace {
constexpr std::string_view kPriorities[] = {"Emergency", "Alert",  "Critical",      "Error",
                                            "Warning",   "Notice", "Informational", "Debug"};
constexpr std::string_view kSeverities[] = {"informational", "low", "medium", "high", "critical"};
}  // namespace

std::string_view to_string(Priority priority) { return kPriorities[static_cast<size_t>(priority)]; }

std::optional<Priority> parse_priority(std::string_view text) {
  const auto same = [&](std::string_view name) {
    return text.size() == name.size() && strncasecmp(text.data(), name.data(), name.size()) == 0;
  };
  for (size_t i = 0; i < std::size(kPriorities); ++i)
    if (same(kPriorities[i])) return static_cast<Priority>(i);
  if (same("info")) return Priority::informational;
  return {};
}

std::string_view to_string(Severity severity) { return kSeverities[static_cast<size_t>(severity)]; }

Severity severity_of(Priority priority) {
  switch (priority) {
    case Priority::emergency:
    case Priority::alert:
    case Priority::critical: return Severity::critical;
    case Priority::error: return Severity::high;
    case Priority::warning: return Severity::medium;
    case Priority::notice: return Severity::low;
    default: return Severity::informational;
  }
}

}  // namespace quell
