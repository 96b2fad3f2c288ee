#include "capture/scenario/capabilities.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "model/capabilities.h"

namespace quell::capture::scenario {
namespace {

Result<uint64_t> set_of(const yaml::Node& node) {
  if (node.text() == "ALL") return kAllCapabilities;
  if (node.text() == "NONE") return uint64_t{0};
  uint64_t set = 0;
  for (const std::string_view name : split(node.text(), '|')) {
    const auto* found = std::find(std::begin(kCapabilityNames), std::end(kCapabilityNames), name);
    if (found == std::end(kCapabilityNames)) {
      const std::string_view meant =
          nearest(name, std::vector<std::string_view>(std::begin(kCapabilityNames), std::end(kCapabilityNames)));
      return node.error("'" + std::string(name) + "' is no capability" +
                        (meant.empty() ? std::string(": write names joined with '|', ALL or NONE")
                                       : ": did you mean " + std::string(meant) + "?"));
    }
    set |= uint64_t{1} << (found - kCapabilityNames);
  }
  return set;
}

}  // namespace

Result<void> set_capabilities(Thread& thread, const yaml::Node& map) {
  thread.cap_permitted = thread.cap_effective = thread.uid == 0 ? kAllCapabilities : 0;
  const yaml::Node* permitted = map.find("thread.cap_permitted");
  const yaml::Node* effective = map.find("thread.cap_effective");
  if (permitted == nullptr && effective == nullptr) return {};
  QUELL_TRY(thread.cap_permitted, set_of(permitted != nullptr ? *permitted : *effective));
  QUELL_TRY(thread.cap_effective, set_of(effective != nullptr ? *effective : *permitted));
  if ((thread.cap_effective & ~thread.cap_permitted) != 0)
    return effective->error("a capability can be effective only if it is permitted");
  return {};
}

}  // namespace quell::capture::scenario
