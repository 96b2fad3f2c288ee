#include "detect/domains.h"

#include <netdb.h>
#include <netinet/in.h>

#include <algorithm>

namespace quell::detect {

DomainTable::~DomainTable() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void DomainTable::tell(const std::string& name, const IpAddress& address) {
  auto next = std::make_shared<Known>(*std::atomic_load(&known_));
  (*next)[name].push_back(address);
  std::atomic_store(&known_, std::shared_ptr<const Known>(std::move(next)));
}

void DomainTable::start(unsigned interval_s) {
  if (names_.empty() || thread_.joinable()) return;
  thread_ = std::thread([this, interval_s] {
    std::unique_lock lock(mutex_);
    while (!stopping_) {
      lock.unlock();
      auto next = std::make_shared<Known>(*std::atomic_load(&known_));
      for (const std::string& name : names_) {
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* list = nullptr;
        // A failed lookup keeps the last good answer: a name server that is away must not blind a rule.
        if (getaddrinfo(name.c_str(), nullptr, &hints, &list) != 0) continue;
        std::vector<IpAddress> addresses;
        for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
          if (at->ai_family == AF_INET)
            addresses.push_back(IpAddress::v4(&reinterpret_cast<const sockaddr_in*>(at->ai_addr)->sin_addr));
          else if (at->ai_family == AF_INET6)
            addresses.push_back(IpAddress::v6(&reinterpret_cast<const sockaddr_in6*>(at->ai_addr)->sin6_addr));
        }
        freeaddrinfo(list);
        (*next)[name] = std::move(addresses);
      }
      std::atomic_store(&known_, std::shared_ptr<const Known>(std::move(next)));
      lock.lock();
      wake_.wait_for(lock, std::chrono::seconds(interval_s), [&] { return stopping_; });
    }
  });
}

bool DomainTable::resolves_to(const std::string& name, const IpAddress& address) const {
  const auto known = std::atomic_load(&known_);
  const auto found = known->find(name);
  return found != known->end() && std::find(found->second.begin(), found->second.end(), address) != found->second.end();
}

std::string DomainTable::name_of(const IpAddress& address) const {
  const auto known = std::atomic_load(&known_);
  for (const auto& [name, addresses] : *known)
    if (std::find(addresses.begin(), addresses.end(), address) != addresses.end()) return name;
  return {};
}

}  // namespace quell::detect
