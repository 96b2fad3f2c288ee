#include "os/nft_rules.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/sha256.h"
#include "os/json_access.h"

namespace quell::os {
namespace {

constexpr const char* kHooks[] = {"input", "output", "forward"};
constexpr int64_t kPriority = -300;

std::string timeout_text(uint64_t ttl_ms) {
  // nft takes no number of milliseconds above 2^32, and nothing but whole units.
  if (ttl_ms == 0) return {};
  const uint64_t seconds = ttl_ms / 1000, rest = ttl_ms % 1000;
  return fmt::format(" timeout {}{}", seconds > 0 ? fmt::format("{}s", seconds) : "",
                     rest > 0 ? fmt::format("{}ms", rest) : "");
}

std::string cut_elements(uint64_t ttl_ms) {
  const std::string timeout = timeout_text(ttl_ms);
  return fmt::format("ipv4{}, ipv6{}", timeout, timeout);
}

/// The match on one direction of what an entry allows.
std::string allow_match(const NetAllow& entry, bool outgoing) {
  const bool v4 = entry.remote.is_v4();
  std::string text = v4 ? "meta nfproto ipv4" : "meta nfproto ipv6";
  if (entry.remote.length > 0)
    text += fmt::format(" {} {} {}", v4 ? "ip" : "ip6", outgoing ? "daddr" : "saddr", entry.remote.str());
  const auto add_ports = [&](std::string_view protocol) {
    if (entry.remote_port == 0 && entry.local_port == 0) text += fmt::format(" meta l4proto {}", protocol);
    if (entry.remote_port != 0)
      text += fmt::format(" {} {} {}", protocol, outgoing ? "dport" : "sport", entry.remote_port);
    if (entry.local_port != 0)
      text += fmt::format(" {} {} {}", protocol, outgoing ? "sport" : "dport", entry.local_port);
  };
  switch (entry.protocol) {
    case NetAllow::Protocol::any: break;
    case NetAllow::Protocol::tcp: add_ports("tcp"); break;
    case NetAllow::Protocol::udp: add_ports("udp"); break;
    case NetAllow::Protocol::icmp: text += v4 ? " meta l4proto icmp" : " meta l4proto ipv6-icmp"; break;
  }
  return text;
}

std::string allow_rules(std::string_view hook, const NetAllowList& allow, CutKind kind) {
  std::string text;
  const auto rule = [&](const std::string& body) { text += fmt::format("    {}\n", body); };
  // What is forwarded has its far end on either side.
  const bool outward = hook != "input", inward = hook != "output";
  bool any_v6 = false;
  for (const NetAllow& entry : allow.entries) {
    if (outward) rule(allow_match(entry, true) + " accept");
    if (inward) rule(allow_match(entry, false) + " accept");
    any_v6 = any_v6 || !entry.remote.is_v4();
  }
  if (hook == "forward") return text;
  const char* device = hook == "input" ? "iifname" : "oifname";
  if (kind == CutKind::host) {
    rule(fmt::format("{} \"lo\" accept", device));
    rule(hook == "output" ? "udp sport 68 udp dport 67 accept" : "udp sport 67 udp dport 68 accept");
    rule(hook == "output" ? "udp sport 546 udp dport 547 accept" : "udp sport 547 udp dport 546 accept");
  } else if (allow.loopback) {
    // Docker's resolver listens inside the container and asks from outside; see NetAllowList::loopback.
    if (hook == "output")
      for (const char* match : {"ip daddr 127.0.0.11", "udp dport 53", "tcp dport 53"})
        rule(fmt::format("oifname \"lo\" {} meta nfproto @cut counter name dropped_output drop", match));
    rule(fmt::format("{} \"lo\" accept", device));
  }
  if (any_v6 || kind == CutKind::host)
    rule(
        "ip6 hoplimit 255 icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } "
        "accept");
  return text;
}

/// Where blocked prefixes are kept. Single addresses have sets of their own because a set of intervals admits no
/// overlap: so an address may be blocked by itself and as part of a network.
std::string block_set(const IpPrefix& prefix) {
  return fmt::format("{}{}", prefix.is_single() ? "hosts" : "nets", prefix.is_v4() ? 4 : 6);
}

std::string value_text(const json::Value& value) {
  std::string text = json::text(value);
  if (!text.empty()) return text;
  const json::Value prefix = value["prefix"];
  text = json::text(prefix["addr"]);
  return text.empty() ? text : fmt::format("{}/{}", text, json::number(prefix["len"], -1));
}

std::optional<uint64_t> seconds(const json::Value& value) {
  const int64_t number = json::number(value, -1);
  return number < 0 ? std::nullopt : std::optional<uint64_t>(static_cast<uint64_t>(number));
}

NftElement element_of(const json::Value& item) {
  const json::Value inner = item["elem"];
  NftElement out;
  if (inner.error() != simdjson::SUCCESS) {
    out.value = value_text(item);
    return out;
  }
  out.value = value_text(inner["val"]);
  out.comment = json::text(inner["comment"]);
  out.timeout_s = seconds(inner["timeout"]);
  out.remaining_s = seconds(inner["expires"]);
  return out;
}

void add_rule(const json::Value& rule, NftChain& chain, std::string& canonical) {
  ++chain.rules;
  bool drops = false;
  std::vector<std::string> sets;
  json::for_each_element(rule["expr"], [&](const json::Value& part) {
    drops = drops || part["drop"].error() == simdjson::SUCCESS;
    const std::string right = json::text(part["match"]["right"]);
    if (right.starts_with('@')) sets.push_back(right);
  });
  if (drops) chain.drops.insert(chain.drops.end(), sets.begin(), sets.end());
  simdjson::dom::element expression;
  if (rule["expr"].get(expression) == simdjson::SUCCESS) canonical += simdjson::minify(expression);
}

}  // namespace

std::string cut_table_name(std::string_view tag) { return fmt::format("quell_cut_{}", tag); }

std::string cut_ruleset(std::string_view tag, const NetAllowList& allow, CutKind kind, uint64_t ttl_ms, bool replace) {
  const std::string name = cut_table_name(tag);
  // One transaction: there is no moment at which a part of it is in effect.
  std::string text = replace ? fmt::format("add table inet {0}\ndelete table inet {0}\n", name) : std::string();
  text += fmt::format("create table inet {}\ntable inet {} {{\n", name, name);
  for (const char* hook : kHooks) text += fmt::format("  counter dropped_{} {{ }}\n", hook);
  text += fmt::format("  set cut {{ type nf_proto; flags timeout; elements = {{ {} }}; }}\n", cut_elements(ttl_ms));
  for (const char* hook : kHooks)
    text += fmt::format(
        "  chain {0} {{\n    type filter hook {0} priority {1}; policy accept;\n{2}"
        "    meta nfproto @cut counter name dropped_{0} drop\n  }}\n",
        hook, kPriority, allow_rules(hook, allow, kind));
  return text + "}\n";
}

std::string extend_ruleset(std::string_view tag, uint64_t ttl_ms) {
  // An element that is there keeps its time when it is added again, on kernels before 6.12.
  return fmt::format("flush set inet {0} cut\nadd element inet {0} cut {{ {1} }}\n", cut_table_name(tag),
                     cut_elements(ttl_ms));
}

std::string block_table_ruleset() {
  std::string text = fmt::format("table inet {} {{\n", kBlockTable);
  for (const char* hook : kHooks) text += fmt::format("  counter dropped_{} {{ }}\n", hook);
  text += "  set hosts4 { type ipv4_addr; flags timeout; size 65536; }\n";
  text += "  set hosts6 { type ipv6_addr; flags timeout; size 65536; }\n";
  text += "  set nets4 { type ipv4_addr; flags interval,timeout; size 65536; }\n";
  text += "  set nets6 { type ipv6_addr; flags interval,timeout; size 65536; }\n";
  for (const char* hook : kHooks)
    text += fmt::format("  chain {0} {{ type filter hook {0} priority {1}; policy accept; }}\n", hook, kPriority);
  text += "}\n";
  for (const char* hook : kHooks) text += fmt::format("flush chain inet {} {}\n", kBlockTable, hook);
  for (const std::string_view hook : kHooks)
    for (const std::string_view side : {"saddr", "daddr"}) {
      if ((hook == "input" && side == "daddr") || (hook == "output" && side == "saddr")) continue;
      for (const char* match : {"ip {} @hosts4", "ip {} @nets4", "ip6 {} @hosts6", "ip6 {} @nets6"})
        text += fmt::format("add rule inet {0} {1} {2} counter name dropped_{1} drop\n", kBlockTable, hook,
                            fmt::format(fmt::runtime(match), side));
    }
  return text;
}

std::string block_ruleset(const IpPrefix& prefix, std::string_view tag, uint64_t ttl_ms, bool replace) {
  std::string text = block_table_ruleset();
  if (replace) text += unblock_ruleset(prefix);
  return text + fmt::format("add element inet {} {} {{ {}{} comment \"{}\" }}\n", kBlockTable, block_set(prefix),
                            prefix.str(), timeout_text(ttl_ms), tag);
}

std::string unblock_ruleset(const IpPrefix& prefix) {
  return fmt::format("delete element inet {} {} {{ {} }}\n", kBlockTable, block_set(prefix), prefix.str());
}

bool NftTable::drops(const std::vector<std::string>& names) const {
  for (const char* hook : kHooks) {
    const auto chain = chains.find(hook);
    if (chain == chains.end() || chain->second.hook != hook || chain->second.priority != kPriority) return false;
    for (const std::string& name : names)
      if (std::find(chain->second.drops.begin(), chain->second.drops.end(), "@" + name) == chain->second.drops.end())
        return false;
  }
  return true;
}

Result<NftTable> parse_nft_table(std::string_view text) {
  simdjson::dom::parser parser;
  const json::Value root = parser.parse(text.data(), text.size());
  simdjson::dom::array items;
  if (root["nftables"].get(items) != simdjson::SUCCESS)
    return Error{Code::malformed, "nft's answer about a table is not the JSON that it promises", {}};
  NftTable table;
  std::string canonical;
  for (const simdjson::dom::element item : items) {
    const json::Value object(simdjson::dom::element{item});
    if (const json::Value counter = object["counter"]; counter.error() == simdjson::SUCCESS) {
      table.counters[json::text(counter["name"])] = {
          .packets = static_cast<uint64_t>(json::number(counter["packets"], 0)),
          .bytes = static_cast<uint64_t>(json::number(counter["bytes"], 0))};
    } else if (const json::Value set = object["set"]; set.error() == simdjson::SUCCESS) {
      auto& elements = table.sets[json::text(set["name"])];
      json::for_each_element(set["elem"], [&](const json::Value& element) { elements.push_back(element_of(element)); });
    } else if (const json::Value chain = object["chain"]; chain.error() == simdjson::SUCCESS) {
      NftChain& out = table.chains[json::text(chain["name"])];
      out.hook = json::text(chain["hook"]);
      out.priority = json::number(chain["prio"], 0);
      canonical += fmt::format("chain {} {} {} {}\n", json::text(chain["name"]), out.hook, out.priority,
                               json::text(chain["policy"]));
    } else if (const json::Value rule = object["rule"]; rule.error() == simdjson::SUCCESS) {
      const std::string name = json::text(rule["chain"]);
      canonical += "rule " + name + " ";
      add_rule(rule, table.chains[name], canonical);
      canonical += "\n";
    }
  }
  Sha256 hash;
  hash.update({reinterpret_cast<const uint8_t*>(canonical.data()), canonical.size()});
  table.digest = hash.finish();
  return table;
}

}  // namespace quell::os
