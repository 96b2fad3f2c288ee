#include "apps/quell/detection_fields.h"

#include <fmt/format.h>

#include "base/text.h"
#include "detect/container_value.h"

namespace quell::cli {
namespace {

struct ToText {
  std::optional<std::string> operator()(std::monostate) const { return {}; }
  std::optional<std::string> operator()(const std::string& text) const {
    if (text == "<NA>") return {};
    return text;
  }
  std::optional<std::string> operator()(const std::vector<std::string>&) const { return {}; }
  std::optional<std::string> operator()(bool flag) const { return flag ? "true" : "false"; }
  template <typename Number>
  std::optional<std::string> operator()(Number number) const {
    return fmt::format("{}", number);
  }
};

std::optional<std::string> unless_empty(const std::string& text) {
  if (text.empty()) return {};
  return text;
}

/// proc.pname, proc.aname[2] and their kin.
std::optional<std::string> of_ancestor(const Detection& detection, std::string_view field) {
  struct Kind {
    std::string_view parent, ancestor;
    std::string ProcessSummary::*member;
  };
  static constexpr Kind kKinds[] = {{"proc.pname", "proc.aname[", &ProcessSummary::name},
                                    {"proc.pexepath", "proc.aexepath[", &ProcessSummary::exepath},
                                    {"proc.pcmdline", "proc.acmdline[", &ProcessSummary::cmdline}};
  for (const Kind& kind : kKinds) {
    uint64_t level = 1;
    if (field.starts_with(kind.ancestor) && field.ends_with(']')) {
      const std::string_view index = field.substr(kind.ancestor.size(), field.size() - kind.ancestor.size() - 1);
      if (!parse_u64(index, level) || level == 0) return {};
    } else if (field != kind.parent) {
      continue;
    }
    if (level > detection.ancestors.size()) return {};
    return unless_empty(detection.ancestors[level - 1].*kind.member);
  }
  return {};
}

/// Parts of fd.name: "CLIENT:PORT->SERVER:PORT", or a path.
std::optional<std::string> of_descriptor(const Detection& detection, std::string_view field) {
  if (field != "fd.sip" && field != "fd.sport" && field != "fd.directory" && field != "fd.filename") return {};
  const auto name = field_of(detection, "fd.name");
  if (!name) return {};
  const size_t arrow = name->find("->");
  if (arrow != std::string::npos) {
    const size_t colon = name->rfind(':');
    if (colon == std::string::npos || colon < arrow) return {};
    if (field == "fd.sip") return name->substr(arrow + 2, colon - arrow - 2);
    if (field == "fd.sport") return name->substr(colon + 1);
    return {};
  }
  const size_t slash = name->rfind('/');
  if (!name->starts_with('/')) return {};
  if (field == "fd.directory") return slash == 0 ? "/" : name->substr(0, slash);
  if (field == "fd.filename") return name->substr(slash + 1);
  return {};
}

}  // namespace

std::optional<std::string> field_of(const Detection& detection, std::string_view field) {
  for (const auto& [name, value] : detection.output_fields) {
    if (name != field) continue;
    if (auto text = std::visit(ToText{}, value)) return text;
    break;
  }
  if (field == "proc.name") return unless_empty(detection.process_name);
  if (field == "proc.exepath") return unless_empty(detection.exepath);
  if (field == "proc.cmdline") return unless_empty(detection.cmdline);
  if (field == "user.name") return unless_empty(detection.user_name);
  if (field == "container.id") return unless_empty(detection.container_id);
  if (field.starts_with("proc.")) return of_ancestor(detection, field);
  if (field.starts_with("fd.")) return of_descriptor(detection, field);
  if (detection.container != nullptr) return std::visit(ToText{}, detect::container_value(field, *detection.container));
  return {};
}

}  // namespace quell::cli
