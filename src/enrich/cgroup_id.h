#pragma once
// Which container a process is in, told by the form of its cgroup paths: each runtime has its own way to name them.
#include <optional>
#include <span>
#include <string_view>

#include "model/container.h"

namespace quell::enrich {

/// Views into the text that was matched.
struct CgroupMatch {
  std::string_view full_id;                     // 64 hex digits, or the runtime's free text
  std::string_view id;                          // what container.id shows: the first 12 digits, or the whole free text
  std::string_view path;                        // the cgroup path that matched
  ContainerType type = ContainerType::unknown;  // a guess: several runtimes share some forms
};

/// Containers that `ctr` starts sit in /NAMESPACE/ID with an ID of any form, which looks like any two-level cgroup of a
/// host. So that form counts only below these namespaces.
inline constexpr std::string_view kContainerdNamespaces[] = {"default", "k8s.io", "moby"};

/// What container.id shows: the first 12 of 64 hex digits, the whole of any other text. A view into `full_id`.
std::string_view short_container_id(std::string_view full_id);

/// Tries one path.
std::optional<CgroupMatch> match_cgroup_path(std::string_view path,
                                             std::span<const std::string_view> namespaces = kContainerdNamespaces);

/// Tries every path of a NUL-separated "subsystem=path" list in order; the first that matches wins. Hybrid hosts have
/// the container in some hierarchies only.
std::optional<CgroupMatch> match_cgroups(std::string_view cgroups,
                                         std::span<const std::string_view> namespaces = kContainerdNamespaces);

/// The container that a path below a container's own belongs to: an init system inside makes such
/// ("/docker/ID/a.service"). The innermost wins. Only for processes that are known to be cut off from the host: anybody
/// can make such a path.
std::optional<CgroupMatch> match_enclosing(std::string_view cgroups,
                                           std::span<const std::string_view> namespaces = kContainerdNamespaces);

}  // namespace quell::enrich
