#include "detect/falco/version.h"

#include <tuple>

#include "base/text.h"

namespace quell::detect::falco {

std::string Version::str() const {
  return std::to_string(major) + '.' + std::to_string(minor) + '.' + std::to_string(patch);
}

bool Version::satisfies(const Version& wanted) const {
  return major == wanted.major && std::tie(minor, patch) >= std::tie(wanted.minor, wanted.patch);
}

std::optional<Version> parse_version(std::string_view text) {
  const auto parts = split(text.substr(0, text.find_first_of("-+")), '.');
  if (parts.size() != 3) return {};
  uint64_t numbers[3];
  for (size_t i = 0; i < 3; ++i)
    if (!parse_u64(parts[i], numbers[i]) || numbers[i] > UINT32_MAX) return {};
  return Version{static_cast<uint32_t>(numbers[0]), static_cast<uint32_t>(numbers[1]),
                 static_cast<uint32_t>(numbers[2])};
}

std::vector<Plugin> builtin_plugins() {
  return {{"container", {0, 7, 1}},     {"json", {0, 7, 4}},         {"k8saudit", {0, 18, 0}},
          {"k8saudit-eks", {0, 12, 0}}, {"k8saudit-gke", {0, 9, 0}}, {"k8saudit-aks", {0, 6, 0}},
          {"k8saudit-ovh", {0, 6, 0}},  {"cloudtrail", {0, 17, 1}},  {"okta", {0, 12, 0}},
          {"github", {0, 10, 1}},       {"gcpaudit", {0, 8, 1}},     {"k8smeta", {0, 4, 1}}};
}

}  // namespace quell::detect::falco
