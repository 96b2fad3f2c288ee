#include "enrich/tables.h"

#include <algorithm>

#include "enrich/impl.h"

namespace quell::enrich {

StateTables::Impl::Impl(StateTables& view, Options options)
    : view_(view),
      options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : system_clock()),
      containers_(options_.max_containers),
      listening_(65536, false) {
  options_.max_threads = std::max<size_t>(options_.max_threads, 16);
  context_.state = &view_;
}

StateTables::StateTables(Options options) : impl_(std::make_unique<Impl>(*this, std::move(options))) {}
StateTables::~StateTables() = default;

void StateTables::load(const Snapshot& snapshot) { impl_->load(snapshot); }
const EventContext& StateTables::apply(const Event& event, uint64_t number) { return impl_->apply(event, number); }
bool StateTables::acts_on(EventCode code) { return Impl::acts_on(code); }
bool StateTables::pass(EventCode code, int64_t tid, uint64_t ts_ns) { return impl_->pass(code, tid, ts_ns); }
void StateTables::housekeep(uint64_t now_ns) { impl_->housekeep(now_ns); }
void StateTables::settle() {
  if (impl_->has_deferred_) impl_->run_deferred();
}
Snapshot StateTables::snapshot() const { return impl_->snapshot(); }

bool StateTables::set_container_info(std::string_view full_id, std::shared_ptr<const Container> info) {
  Slot* slot = impl_->containers_.find(full_id);
  if (slot == nullptr || slot->is_host()) return false;
  impl_->set_info(*slot, std::move(info));
  return true;
}

void StateTables::accounts(const ContainerSlot& container, std::vector<User>& users, std::vector<Group>& groups) const {
  const UserDatabase& database = static_cast<const Slot&>(container).database;
  for (const auto& [uid, user] : database.users) users.push_back(user);
  for (const auto& [gid, group] : database.groups) groups.push_back(group);
  std::sort(users.begin(), users.end(), [](const User& a, const User& b) { return a.uid < b.uid; });
  std::sort(groups.begin(), groups.end(), [](const Group& a, const Group& b) { return a.gid < b.gid; });
}

void StateTables::for_each_thread(const std::function<void(const Thread&)>& visit) const {
  impl_->threads_.for_each(visit);
}

void StateTables::for_each_container(const std::function<void(const ContainerSlot&)>& visit) const {
  impl_->containers_.for_each(visit);
}

Counters StateTables::counters() const {
  Counters out = impl_->counters_;
  out.threads = impl_->threads_.size();
  out.fds = impl_->fd_count_;
  out.containers = impl_->containers_.size();
  out.forebears = impl_->threads_.forebears();
  out.forebears_refused = impl_->threads_.forebears_refused();
  out.containers_refused = impl_->containers_.overflowed();
  return out;
}

const Thread* StateTables::thread(int64_t tid) const { return impl_->threads_.find(tid); }

const Thread* StateTables::parent(const Thread& thread) const {
  const Entry* parent = static_cast<const Entry&>(thread).parent;
  return parent == nullptr ? nullptr : &parent->owner();
}

std::vector<Creator> StateTables::lineage(const Thread& thread, size_t limit) const {
  return impl_->threads_.lineage(thread, limit);
}

uint32_t StateTables::lineage_epoch() const { return impl_->threads_.lineage_epoch(); }

bool StateTables::learn_accounts(const Thread& thread) {
  if (thread.container == nullptr || thread.container->is_host()) return false;
  const auto& slot = static_cast<const Slot&>(*thread.container);
  const uint32_t reads = slot.database_reads;
  user(slot, thread.uid);
  user(slot, thread.loginuid);
  group(slot, thread.gid);
  return slot.database_reads != reads;
}

void StateTables::renumber(uint64_t number) { impl_->context_.number = number; }

const User* StateTables::user(const ContainerSlot& container, uint32_t uid) const {
  if (uid == UINT32_MAX) return nullptr;  // nobody: no file names it
  auto& slot = const_cast<Slot&>(static_cast<const Slot&>(container));
  const auto find = [uid](const UserDatabase& database) -> const User* {
    const auto found = database.users.find(uid);
    return found == database.users.end() ? nullptr : &found->second;
  };
  if (const User* user = find(slot.database)) return user;
  return find(impl_->database_of(slot, true));
}

const Group* StateTables::group(const ContainerSlot& container, uint32_t gid) const {
  auto& slot = const_cast<Slot&>(static_cast<const Slot&>(container));
  const auto find = [gid](const UserDatabase& database) -> const Group* {
    const auto found = database.groups.find(gid);
    return found == database.groups.end() ? nullptr : &found->second;
  };
  if (const Group* group = find(slot.database)) return group;
  return find(impl_->database_of(slot, true));
}

const MachineInfo& StateTables::machine() const { return impl_->machine_; }
const std::vector<NetworkInterface>& StateTables::interfaces() const { return impl_->interfaces_; }
const ContainerSlot* StateTables::container(std::string_view id) const { return impl_->containers_.find(id); }

bool StateTables::is_local(const IpAddress& address, const Thread& thread) const {
  const auto* slot = static_cast<const Slot*>(thread.container);
  const bool contained = slot != nullptr && !slot->is_host();
  if (address.family == 6) {
    // Addresses of one interface share the 64 bits of their network.
    if (contained) return false;
    return std::any_of(impl_->interfaces_.begin(), impl_->interfaces_.end(), [&](const NetworkInterface& interface) {
      return interface.address.family == 6 &&
             std::equal(address.bytes.begin(), address.bytes.begin() + 8, interface.address.bytes.begin());
    });
  }
  if (contained) {
    if (slot->ip.family == 0) return impl_->containers_.any_has_ip(address);
    if (slot->ip == address) return true;
  }
  return std::any_of(impl_->interfaces_.begin(), impl_->interfaces_.end(),
                     [&](const NetworkInterface& interface) { return interface.address == address; });
}

}  // namespace quell::enrich
