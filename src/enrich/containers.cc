#include "enrich/containers.h"

#include <arpa/inet.h>

namespace quell::enrich {
namespace {

IpAddress parse_ip(const std::string& text) {
  uint8_t bytes[16];
  if (inet_pton(AF_INET, text.c_str(), bytes) == 1) return IpAddress::v4(bytes);
  if (inet_pton(AF_INET6, text.c_str(), bytes) == 1) return IpAddress::v6(bytes);
  return {};
}

}  // namespace

void ContainerTable::clear() {
  slots_.clear();
  host_ = Slot{};
  host_.id = "host";
  host_.type_guess = ContainerType::host;
  auto info = std::make_shared<Container>();
  info->type = ContainerType::host;
  info->id = info->full_id = info->name = "host";
  host_.info = std::move(info);
  overflow_ = Slot{};
  overflow_.id = overflow_.full_id = "unknown";
}

Slot* ContainerTable::find(std::string_view id) {
  if (id.empty() || id == "host") return &host_;
  auto found = slots_.find(id);
  if (found != slots_.end()) return found->second.get();
  if (id.size() <= 12) return nullptr;
  found = slots_.find(id.substr(0, 12));
  if (found == slots_.end()) return nullptr;
  const Slot& slot = *found->second;
  return slot.full_id.empty() || slot.full_id == id ? found->second.get() : nullptr;
}

Slot& ContainerTable::find_or_create(std::string_view id, std::string_view full_id, bool& created) {
  created = false;
  if (Slot* slot = find(id)) {
    // Metadata may have come first, under the short id alone.
    if (slot != &host_ && slot->full_id.size() < full_id.size()) slot->full_id = full_id;
    return *slot;
  }
  if (slots_.size() >= capacity_ && !make_room()) {
    ++overflowed_;
    return overflow_;
  }
  auto slot = std::make_unique<Slot>();
  slot->id = id;
  slot->full_id = full_id.empty() ? id : full_id;
  created = true;
  return *(slots_[slot->id] = std::move(slot));
}

bool ContainerTable::make_room() {
  Slot* oldest = nullptr;
  for (const auto& [id, slot] : slots_)
    if (slot->threads == 0 && (oldest == nullptr || slot->first_seen_ns < oldest->first_seen_ns)) oldest = slot.get();
  if (oldest == nullptr) return false;
  slots_.erase(slots_.find(oldest->id));
  return true;
}

void ContainerTable::leave(Slot& slot) {
  if (slot.threads > 0) --slot.threads;
  if (slot.threads > 0 || &slot == &host_ || &slot == &overflow_) return;
  slots_.erase(slots_.find(slot.id));
}

void ContainerTable::set_info(Slot& slot, std::shared_ptr<const Container> info) {
  slot.ip = info == nullptr ? IpAddress{} : parse_ip(info->ip);
  slot.info = std::move(info);
}

void ContainerTable::forget(std::string_view id) {
  const Slot* slot = find(id);
  if (slot == nullptr || slot == &host_ || slot->threads > 0) return;
  slots_.erase(slots_.find(slot->id));
}

void ContainerTable::forget_unused(uint64_t before_ns) {
  boost::unordered::erase_if(
      slots_, [&](const auto& entry) { return entry.second->threads == 0 && entry.second->first_seen_ns < before_ns; });
}

bool ContainerTable::any_has_ip(const IpAddress& address) const {
  if (address.family == 0) return false;
  for (const auto& [id, slot] : slots_)
    if (slot->ip == address) return true;
  return false;
}

}  // namespace quell::enrich
