#pragma once
// A container's users and groups as events, for readers that cannot look into the container any more.
#include <cstdint>
#include <string_view>
#include <vector>

#include "model/snapshot.h"

namespace quell::capture {

/// `container_id` as container.id shows it. To be written as "state only", or before everything else.
std::vector<std::vector<uint8_t>> account_events(std::string_view container_id, const std::vector<User>& users,
                                                 const std::vector<Group>& groups, uint64_t ts_ns);

}  // namespace quell::capture
