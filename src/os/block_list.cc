#include "os/block_list.h"

#include <fmt/format.h>
#include <ifaddrs.h>
#include <netinet/in.h>

#include <algorithm>

#include "os/namespace_cut.h"
#include "os/nft.h"

namespace quell::os {
namespace {

constexpr uint8_t kWidestV4 = 8, kWidestV6 = 32;
constexpr const char* kSets[] = {"hosts4", "hosts6", "nets4", "nets6"};

Error refusal(const IpPrefix& prefix, std::string_view why) {
  return {Code::refused, fmt::format("{} is not blocked: {}", prefix.str(), why), {}};
}

Result<std::vector<IpPrefix>> own_addresses(const NetNamespace& ns) {
  std::vector<IpPrefix> own;
  int number = 0;
  QUELL_CHECK(ns.run([&] {
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0) {
      number = errno;
      return;
    }
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr) continue;
      if (entry->ifa_addr->sa_family == AF_INET)
        own.push_back(IpPrefix::of(IpAddress::v4(&reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr)));
      else if (entry->ifa_addr->sa_family == AF_INET6)
        own.push_back(IpPrefix::of(IpAddress::v6(&reinterpret_cast<sockaddr_in6*>(entry->ifa_addr)->sin6_addr)));
    }
    ::freeifaddrs(list);
  }));
  if (number != 0) return errno_error(number, "cannot list the machine's addresses");
  return own;
}

IpPrefix fixed(std::string_view text) { return IpPrefix::parse(text).value(); }

Result<BlockedPrefix> entry_of(const NftElement& element) {
  QUELL_TRY(IpPrefix prefix, IpPrefix::parse(element.value));
  return BlockedPrefix{.prefix = prefix, .tag = element.comment, .remaining_s = element.remaining_s};
}

}  // namespace

const BlockedPrefix* BlockList::find(const IpPrefix& prefix) const {
  const auto found =
      std::find_if(entries.begin(), entries.end(), [&](const BlockedPrefix& e) { return e.prefix == prefix; });
  return found == entries.end() ? nullptr : &*found;
}

Result<void> check_blockable(const NetNamespace& ns, const IpPrefix& prefix) {
  const uint8_t widest = prefix.is_v4() ? kWidestV4 : kWidestV6;
  if (prefix.length < widest) return refusal(prefix, fmt::format("a prefix shorter than /{} is too much", widest));
  static const struct {
    IpPrefix range;
    const char* why;
  } kNever[] = {{fixed("127.0.0.0/8"), "that is the loopback"},
                {fixed("::1"), "that is the loopback"},
                {fixed("0.0.0.0/8"), "that is no address of anybody"},
                {fixed("::"), "that is no address of anybody"},
                {fixed("224.0.0.0/4"), "that is multicast, which the machine needs to find its neighbours"},
                {fixed("255.255.255.255"), "that is broadcast, which the machine needs to get its address"},
                {fixed("ff00::/8"), "that is multicast, which the machine needs to find its neighbours"}};
  for (const auto& row : kNever)
    if (prefix.overlaps(row.range)) return refusal(prefix, row.why);
  QUELL_TRY(const std::vector<IpPrefix> own, own_addresses(ns));
  for (const IpPrefix& address : own)
    if (prefix.contains(address)) return refusal(prefix, fmt::format("{} is the machine's own address", address.str()));
  return {};
}

Result<BlockList> list_blocked(const NetNamespace& ns) {
  auto text = run_nft(ns, {"-j", "list", "table", "inet", kBlockTable});
  if (!text) {
    if (text.error().code == Code::not_found) return BlockList{};
    return text.error();
  }
  QUELL_TRY(const NftTable table, parse_nft_table(*text));
  BlockList list;
  list.in_effect = table.drops({std::begin(kSets), std::end(kSets)});
  for (const char* name : kSets) {
    const auto set = table.sets.find(name);
    if (set == table.sets.end()) continue;
    for (const NftElement& element : set->second) {
      // Ours are addresses and prefixes alone; what somebody else put there is not ours to tell.
      if (auto entry = entry_of(element)) list.entries.push_back(std::move(*entry));
    }
  }
  const auto counter = [&](const char* name) {
    const auto found = table.counters.find(name);
    return found == table.counters.end() ? NftCounter{} : found->second;
  };
  list.dropped_in = counter("dropped_input");
  list.dropped_out = counter("dropped_output");
  list.dropped_forward = counter("dropped_forward");
  return list;
}

Result<BlockedPrefix> block_prefix(const NetNamespace& ns, const IpPrefix& prefix, std::string_view tag,
                                   uint64_t ttl_ms) {
  QUELL_CHECK(check_net_tag(tag));
  if (ttl_ms > kMaxNetTtlMs)
    return Error{Code::invalid_argument, fmt::format("a time to live of {} ms is more than a year", ttl_ms), {}};
  QUELL_CHECK(check_blockable(ns, prefix));
  QUELL_TRY(const BlockList before, list_blocked(ns));
  const BlockedPrefix* same = before.find(prefix);
  if (same != nullptr && same->tag != tag)
    return Error{Code::already_exists,
                 fmt::format("{} is blocked already, by the action with the tag {}", prefix.str(), same->tag),
                 {}};
  if (same == nullptr && !prefix.is_single()) {
    for (const BlockedPrefix& other : before.entries)
      if (!other.prefix.is_single() && other.prefix.overlaps(prefix))
        return Error{
            Code::conflict,
            fmt::format("{} overlaps {}, which the action with the tag {} blocks: a list holds each address in "
                        "one network only",
                        prefix.str(), other.prefix.str(), other.tag),
            {}};
  }
  const bool present_is_later =
      same != nullptr && (!same->remaining_s || (ttl_ms != 0 && *same->remaining_s * 1000 > ttl_ms));
  if (present_is_later && before.in_effect) return *same;
  const uint64_t lifetime_ms = !present_is_later ? ttl_ms : same->remaining_s.value_or(0) * 1000;
  QUELL_TRY(const std::string done, run_nft(ns, {"-f", "-"}, block_ruleset(prefix, tag, lifetime_ms, same != nullptr)));
  QUELL_TRY(const BlockList after, list_blocked(ns));
  if (const BlockedPrefix* entry = after.find(prefix); entry != nullptr && after.in_effect) return *entry;
  return Error{Code::io, fmt::format("{} was put on the list and is not in effect there", prefix.str()), {}};
}

Result<void> unblock_prefix(const NetNamespace& ns, const IpPrefix& prefix, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_TRY(const BlockList before, list_blocked(ns));
  const BlockedPrefix* entry = before.find(prefix);
  if (entry == nullptr) return Error{Code::not_found, fmt::format("{} is not blocked", prefix.str()), {}};
  if (entry->tag != tag)
    return Error{
        Code::conflict, fmt::format("{} is blocked by another action, with the tag {}", prefix.str(), entry->tag), {}};
  const std::string text =
      before.entries.size() == 1 ? fmt::format("delete table inet {}\n", kBlockTable) : unblock_ruleset(prefix);
  auto done = run_nft(ns, {"-f", "-"}, text);
  if (!done && done.error().code == Code::not_found)
    return Error{Code::not_found, fmt::format("the time of {} was over just now", prefix.str()), {}};
  if (!done) return done.error();
  return {};
}

}  // namespace quell::os
