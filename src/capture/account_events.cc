#include "capture/account_events.h"

#include "model/event.h"

namespace quell::capture {

std::vector<std::vector<uint8_t>> account_events(std::string_view container_id, const std::vector<User>& users,
                                                 const std::vector<Group>& groups, uint64_t ts_ns) {
  std::vector<std::vector<uint8_t>> out;
  out.reserve(users.size() + groups.size());
  for (const User& user : users)
    out.push_back(EventBuilder(ev::USER_ADDED_E, ts_ns, -1)
                      .num(user.uid)
                      .num(user.gid)
                      .text(user.name)
                      .text(user.home)
                      .text(user.shell)
                      .text(container_id)
                      .build());
  for (const Group& group : groups)
    out.push_back(
        EventBuilder(ev::GROUP_ADDED_E, ts_ns, -1).num(group.gid).text(group.name).text(container_id).build());
  return out;
}

}  // namespace quell::capture
