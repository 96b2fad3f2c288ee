#pragma once
// Falco's eight priorities and Quell's five severities.
#include <cstdint>
#include <optional>
#include <string_view>

namespace quell {

enum class Priority : uint8_t { emergency, alert, critical, error, warning, notice, informational, debug };
enum class Severity : uint8_t { informational, low, medium, high, critical };

/// "Warning", "Informational".
std::string_view to_string(Priority priority);
/// Case-insensitive; INFO is INFORMATIONAL.
std::optional<Priority> parse_priority(std::string_view text);
/// "high".
std::string_view to_string(Severity severity);
Severity severity_of(Priority priority);

}  // namespace quell
