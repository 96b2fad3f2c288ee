#include "enrich/cgroup_id.h"

#include <algorithm>
#include <cctype>

#include "model/process.h"

namespace quell::enrich {
namespace {

constexpr size_t kFullId = 64;
constexpr size_t kShortId = 12;

// A path that ends in prefix, 64 hex digits, suffix. The order decides among forms that share a prefix.
struct HexForm {
  ContainerType type;
  std::string_view prefix, suffix;
};
constexpr HexForm kHexForms[] = {
    {ContainerType::podman, "/libpod-", ".scope"},
    {ContainerType::podman, "/libpod-", ".scope/container"},
    {ContainerType::podman, "/libpod-", ""},
    {ContainerType::podman, "/libpod-payload-", ".scope"},
    {ContainerType::podman, "/libpod-payload-", ".scope/container"},
    {ContainerType::podman, "/libpod-payload-", ""},
    {ContainerType::docker, "/docker-", ".scope"},
    {ContainerType::docker, "/", ""},
    {ContainerType::crio, "/crio-", ""},
    {ContainerType::crio, "/crio-", ".scope"},
    {ContainerType::cri, "/cri-containerd-", ".scope"},
    {ContainerType::cri, ":cri-containerd:", ""},
    {ContainerType::containerd, "/nerdctl-", ".scope"},
};

bool is_hex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return std::isdigit(c) != 0 || (c >= 'a' && c <= 'f'); });
}

std::optional<CgroupMatch> match_hex(std::string_view path) {
  if (path.size() <= kFullId) return std::nullopt;
  for (const HexForm& form : kHexForms) {
    if (path.size() < form.prefix.size() + kFullId + form.suffix.size() || !path.ends_with(form.suffix)) continue;
    const std::string_view head = path.substr(0, path.size() - form.suffix.size() - kFullId);
    const std::string_view id = path.substr(head.size(), kFullId);
    if (!head.ends_with(form.prefix) || !is_hex(id)) continue;
    ContainerType type = form.type;
    // The bare form is docker's, and also what the kubelet's cgroupfs driver makes.
    if (type == ContainerType::docker && path.find("/kubepods") != std::string_view::npos) type = ContainerType::cri;
    return CgroupMatch{id, id.substr(0, kShortId), path, type};
  }
  return std::nullopt;
}

std::optional<CgroupMatch> free_text(std::string_view id, std::string_view path, ContainerType type) {
  if (id.empty() || id.size() > 255) return std::nullopt;
  return CgroupMatch{id, id, path, type};
}

std::string_view up_to_slash(std::string_view text) { return text.substr(0, text.find('/')); }

std::optional<CgroupMatch> match_containerd(std::string_view path, std::span<const std::string_view> namespaces) {
  if (path.size() < 4 || path.front() != '/') return std::nullopt;
  const std::string_view space = up_to_slash(path.substr(1));
  if (space.size() + 2 >= path.size()) return std::nullopt;
  if (std::find(namespaces.begin(), namespaces.end(), space) == namespaces.end()) return std::nullopt;
  const std::string_view id = path.substr(space.size() + 2);
  if (id.size() > kFullId || id.find('/') != std::string_view::npos) return std::nullopt;
  for (const std::string_view unit : {".service", ".slice", ".scope"})
    if (id.ends_with(unit)) return std::nullopt;
  if (id.size() == kFullId && is_hex(id))
    return CgroupMatch{id, id.substr(0, kShortId), path, ContainerType::containerd};
  return free_text(id, path, ContainerType::containerd);
}

std::optional<CgroupMatch> match_libvirt(std::string_view path) {
  if (constexpr std::string_view kEnd = ".libvirt-lxc"; path.ends_with(kEnd)) {
    const std::string_view head = path.substr(0, path.size() - kEnd.size());
    const size_t slash = head.rfind('/');
    if (slash != std::string_view::npos) return free_text(head.substr(slash + 1), path, ContainerType::libvirt_lxc);
  }
  if (constexpr std::string_view kStart = "-lxc\\x2d"; path.find(kStart) != std::string_view::npos) {
    std::string_view rest = path.substr(path.rfind(kStart) + kStart.size());
    if (rest.ends_with("/libvirt")) rest.remove_suffix(8);
    if (rest.ends_with(".scope")) return free_text(rest.substr(0, rest.size() - 6), path, ContainerType::libvirt_lxc);
  }
  if (constexpr std::string_view kStart = "/libvirt/lxc/"; path.find(kStart) != std::string_view::npos)
    return free_text(up_to_slash(path.substr(path.find(kStart) + kStart.size())), path, ContainerType::libvirt_lxc);
  return std::nullopt;
}

std::optional<CgroupMatch> match_lxc(std::string_view path) {
  for (const std::string_view start : {"/lxc/", "/lxc.payload/", "/lxc.payload."}) {
    const size_t at = path.find(start);
    if (at == std::string_view::npos) continue;
    if (auto match = free_text(up_to_slash(path.substr(at + start.size())), path, ContainerType::lxc)) return match;
  }
  return std::nullopt;
}

std::optional<CgroupMatch> match_bpm(std::string_view path) {
  constexpr std::string_view kStart = "bpm-", kEnd = ".scope";
  const size_t at = path.find(kStart);
  if (at == std::string_view::npos || !path.ends_with(kEnd) || path.size() < at + kStart.size() + kEnd.size())
    return std::nullopt;
  const std::string_view id = path.substr(at + kStart.size(), path.size() - at - kStart.size() - kEnd.size());
  const bool clean = std::all_of(
      id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-'; });
  return clean ? free_text(id, path, ContainerType::bpm) : std::nullopt;
}

}  // namespace

std::string_view short_container_id(std::string_view full_id) {
  return full_id.size() == kFullId && is_hex(full_id) ? full_id.substr(0, kShortId) : full_id;
}

std::optional<CgroupMatch> match_cgroup_path(std::string_view path, std::span<const std::string_view> namespaces) {
  if (path.size() < 4) return std::nullopt;
  if (auto match = match_hex(path)) return match;
  if (auto match = match_containerd(path, namespaces)) return match;
  // libvirt's /libvirt/lxc/ID contains lxc's /lxc/, so the longer form goes first.
  if (auto match = match_libvirt(path)) return match;
  if (auto match = match_lxc(path)) return match;
  return match_bpm(path);
}

std::optional<CgroupMatch> match_cgroups(std::string_view cgroups, std::span<const std::string_view> namespaces) {
  std::optional<CgroupMatch> found;
  for_each_part(cgroups, [&](std::string_view part) {
    if (found) return;
    const size_t equals = part.find('=');
    if (equals != std::string_view::npos) found = match_cgroup_path(part.substr(equals + 1), namespaces);
  });
  return found;
}

std::optional<CgroupMatch> match_enclosing(std::string_view cgroups, std::span<const std::string_view> namespaces) {
  std::optional<CgroupMatch> found;
  for_each_part(cgroups, [&](std::string_view part) {
    const size_t equals = part.find('=');
    if (found || equals == std::string_view::npos) return;
    std::string_view path = part.substr(equals + 1);
    for (size_t slash = path.rfind('/'); !found && slash != std::string_view::npos && slash > 0;
         slash = path.rfind('/')) {
      path = path.substr(0, slash);
      found = match_cgroup_path(path, namespaces);
    }
  });
  return found;
}

}  // namespace quell::enrich
