// Container metadata and user databases, from events of a capture or from the owner's lookups.
#include "enrich/container_json.h"
#include "enrich/impl.h"

namespace quell::enrich {

/// Threads of a container see its metadata and users: what was derived from them is void.
void StateTables::Impl::slot_changed(const Slot& slot) {
  if (slot.threads == 0) return;
  threads_.for_each([&](Entry& entry) {
    if (entry.container == &slot) entry.changed();
  });
}

void StateTables::Impl::set_info(Slot& slot, std::shared_ptr<const Container> info) {
  containers_.set_info(slot, std::move(info));
  slot_changed(slot);
}

Slot& StateTables::Impl::slot_for_event(std::string_view id) {
  bool created = false;
  Slot& slot = containers_.find_or_create(id, {}, created);
  if (created) slot.first_seen_ns = context_.event->ts_ns();
  return slot;
}

void StateTables::Impl::take_container(std::string_view json, bool removed) {
  auto parsed = parse_container_json(json);
  if (!parsed || parsed->id.empty()) {
    ++counters_.malformed_containers;
    return;
  }
  held_container_ = std::make_shared<const Container>(std::move(*parsed));
  context_.container_event = held_container_.get();
  const Container& container = *held_container_;
  if (container.id == "host" || container.type == ContainerType::host) return;
  if (removed) return containers_.forget(container.id);
  if (options_.on_described) options_.on_described(held_container_, context_.event->ts_ns());
  Slot& slot = slot_for_event(container.id);
  if (&slot != containers_.find(container.id)) return;  // no room
  if (!container.full_id.empty() && slot.full_id.size() < container.full_id.size()) slot.full_id = container.full_id;
  set_info(slot, held_container_);
}

void StateTables::Impl::on_async(const Event& event) {
  const std::string_view name = event.param(1).text();
  if (name == "container") {
    take_container(bytes_text(event.param(2)), false);
  } else if (name == "container_removed") {
    take_container(bytes_text(event.param(2)), true);
  }
}

void StateTables::Impl::on_container_json(const Event& event) { take_container(event.param(0).text(), false); }

void StateTables::Impl::on_old_container(const Event& event) {
  Container container;
  container.id = event.param(0).text();
  container.type = static_cast<ContainerType>(event.param(1).u64());
  container.name = event.param(2).text();
  container.image = event.param(3).text();
  take_container(container_json(container), false);
}

void StateTables::Impl::on_user(const Event& event) {
  Slot& slot = slot_for_event(event.param(5).text());
  const auto uid = static_cast<uint32_t>(event.param(0).u64());
  if (event.code() == ev::USER_DELETED_E) {
    slot.database.users.erase(uid);
  } else {
    slot.database.users[uid] = {uid, static_cast<uint32_t>(event.param(1).u64()), std::string(event.param(2).text()),
                                std::string(event.param(3).text()), std::string(event.param(4).text())};
  }
  slot_changed(slot);
}

void StateTables::Impl::on_group(const Event& event) {
  Slot& slot = slot_for_event(event.param(2).text());
  const auto gid = static_cast<uint32_t>(event.param(0).u64());
  if (event.code() == ev::GROUP_DELETED_E) {
    slot.database.groups.erase(gid);
  } else {
    slot.database.groups[gid] = {gid, std::string(event.param(1).text())};
  }
  slot_changed(slot);
}

/// The slot's database; read from the container's own files if it was never read, or if an entry is `missing` and
/// another process is inside now (the first one may have been looked at before it had changed its root).
UserDatabase& StateTables::Impl::database_of(Slot& slot, bool missing) {
  constexpr uint32_t kMaxReads = 8;
  const bool worth_reading = options_.live && options_.read_users && slot.member_pid > 0 && !slot.is_host() &&
                             missing && slot.database_pid != slot.member_pid && slot.database_reads < kMaxReads;
  if (!worth_reading) return slot.database;
  slot.database_pid = slot.member_pid;
  ++slot.database_reads;
  std::vector<User> users;
  std::vector<Group> groups;
  if (!options_.read_users(slot.member_pid, users, groups)) return slot.database;
  for (User& user : users) slot.database.users[user.uid] = std::move(user);
  for (Group& group : groups) slot.database.groups[group.gid] = std::move(group);
  return slot.database;
}

}  // namespace quell::enrich
