#include "os/namespace_cut.h"

#include <fmt/format.h>

#include <algorithm>

#include "os/nft.h"

namespace quell::os {
namespace {

NamespaceCut describe(const NftTable& table) {
  NamespaceCut cut;
  cut.exists = true;
  cut.digest = table.digest;
  const auto counter = [&](const char* name) {
    const auto found = table.counters.find(name);
    return found == table.counters.end() ? NftCounter{} : found->second;
  };
  cut.dropped_in = counter("dropped_input");
  cut.dropped_out = counter("dropped_output");
  cut.dropped_forward = counter("dropped_forward");
  bool v4 = false, v6 = false;
  if (const auto set = table.sets.find("cut"); set != table.sets.end()) {
    for (const NftElement& element : set->second) {
      v4 = v4 || element.value == "ipv4";
      v6 = v6 || element.value == "ipv6";
      if (element.remaining_s)
        cut.remaining_s = std::min(*element.remaining_s, cut.remaining_s.value_or(*element.remaining_s));
    }
  }
  cut.in_effect = v4 && v6 && table.drops({"cut"});
  return cut;
}

Result<void> check_ttl(uint64_t ttl_ms) {
  if (ttl_ms <= kMaxNetTtlMs) return {};
  return Error{Code::invalid_argument, fmt::format("a time to live of {} ms is more than a year", ttl_ms), {}};
}

Result<NamespaceCut> cut(const NetNamespace& ns, std::string_view tag, const NetAllowList& allow, CutKind kind,
                         uint64_t ttl_ms) {
  QUELL_CHECK(check_net_tag(tag));
  QUELL_CHECK(check_net_allow(allow));
  QUELL_CHECK(check_ttl(ttl_ms));
  // The common case needs no look before: the table is created, or it is there.
  auto done = run_nft(ns, {"-f", "-"}, cut_ruleset(tag, allow, kind, ttl_ms, false));
  if (!done) {
    if (done.error().code != Code::already_exists) return done.error();
    QUELL_TRY(NamespaceCut present, look_namespace_cut(ns, tag));
    if (present.in_effect) return present;
    QUELL_TRY(const std::string replaced, run_nft(ns, {"-f", "-"}, cut_ruleset(tag, allow, kind, ttl_ms, true)));
  }
  return look_namespace_cut(ns, tag);
}

}  // namespace

Result<void> probe_namespace_cut() {
  QUELL_TRY(const NetNamespace ns, NetNamespace::fresh());
  QUELL_TRY(const NamespaceCut cut, cut_namespace(ns, "00000000", {}, 1000));
  if (cut.in_effect) return {};
  return Error{
      Code::unsupported, "the kernel took the rules of a cut and does not show them: nf_tables is incomplete", {}};
}

Result<NamespaceCut> cut_namespace(const NetNamespace& ns, std::string_view tag, const NetAllowList& allow,
                                   uint64_t ttl_ms) {
  if (ns.is_hosts())
    return Error{Code::refused,
                 "this network namespace is the host's own: cutting it would cut the whole machine, not one container",
                 {}};
  return cut(ns, tag, allow, CutKind::container, ttl_ms);
}

Result<NamespaceCut> isolate_host(const NetNamespace& ns, std::string_view tag, const NetAllowList& allow,
                                  uint64_t ttl_ms) {
  if (allow.entries.empty())
    return Error{Code::invalid_argument,
                 "a host is not isolated without an address from which it can be managed: name at least one",
                 {}};
  if (ttl_ms == 0)
    return Error{Code::invalid_argument,
                 "a host is not isolated without an end: give the time after which it comes back if nobody extends it",
                 {}};
  return cut(ns, tag, allow, CutKind::host, ttl_ms);
}

Result<NamespaceCut> extend_namespace_cut(const NetNamespace& ns, std::string_view tag, uint64_t ttl_ms) {
  QUELL_CHECK(check_ttl(ttl_ms));
  QUELL_TRY(const NamespaceCut present, look_namespace_cut(ns, tag));
  if (!present.in_effect) return Error{Code::gone, fmt::format("the cut {} is not in effect any more", tag), {}};
  QUELL_TRY(const std::string text, run_nft(ns, {"-f", "-"}, extend_ruleset(tag, ttl_ms)));
  return look_namespace_cut(ns, tag);
}

Result<NamespaceCut> look_namespace_cut(const NetNamespace& ns, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  auto text = run_nft(ns, {"-j", "list", "table", "inet", cut_table_name(tag)});
  if (!text) {
    if (text.error().code == Code::not_found) return NamespaceCut{};
    return text.error();
  }
  QUELL_TRY(const NftTable table, parse_nft_table(*text));
  return describe(table);
}

Result<bool> undo_namespace_cut(const NetNamespace& ns, std::string_view tag) {
  QUELL_CHECK(check_net_tag(tag));
  auto text = run_nft(ns, {"delete", "table", "inet", cut_table_name(tag)});
  if (text) return true;
  if (text.error().code == Code::not_found) return false;
  return text.error();
}

}  // namespace quell::os
