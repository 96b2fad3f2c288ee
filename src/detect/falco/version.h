#pragma once
// Versions that rule files ask for, and those that this engine and its built-in plugins answer with.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quell::detect::falco {

struct Version {
  uint32_t major = 0, minor = 0, patch = 0;
  std::string str() const;
  /// Same major, and not older.
  bool satisfies(const Version& wanted) const;
};

/// "x.y.z"; what follows a '-' or '+' is not looked at.
std::optional<Version> parse_version(std::string_view text);

/// The rule language that is implemented here.
inline constexpr Version kEngineVersion{0, 63, 0};

struct Plugin {
  std::string name;
  Version version;
};

/// The event sources that are built in, by the names of the plugins they stand for.
std::vector<Plugin> builtin_plugins();

}  // namespace quell::detect::falco
