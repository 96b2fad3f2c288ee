// Prefixes, tags, rule sets and the kernel's answers as text and bytes: no privilege needed.
#include <gtest/gtest.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include <cstring>

#include "os/docker.h"
#include "os/net_allow.h"
#include "os/nft_rules.h"
#include "os/sock_diag.h"

namespace quell::os {
namespace {

TEST(IpPrefix, ReadsAndPrints) {
  for (const char* text : {"10.0.0.0/8", "192.0.2.1", "0.0.0.0/0", "::/0", "2001:db8::/32", "::1", "fd77::2"}) {
    const auto prefix = IpPrefix::parse(text);
    ASSERT_TRUE(prefix) << prefix.error().str();
    EXPECT_EQ(prefix->str(), text);
  }
  EXPECT_EQ(IpPrefix::parse("192.0.2.1/32")->str(), "192.0.2.1");
  EXPECT_EQ(IpPrefix::parse("::ffff:192.0.2.1")->str(), "192.0.2.1");
  EXPECT_EQ(IpPrefix::parse("::ffff:10.0.0.0/104")->str(), "10.0.0.0/8");
  const std::string with_nul("10.0.0.1\0x", 10);
  for (const std::string& text :
       {std::string(), std::string("10.0.0"), std::string("10.0.0.1/33"), std::string("::1/129"),
        std::string("10.0.0.1/8"), std::string("10.0.0.0/"), std::string("10.0.0.0/-1"), std::string("example.org"),
        std::string("10.0.0.0/8/8"), with_nul})
    EXPECT_EQ(IpPrefix::parse(text).error().code, Code::invalid_argument) << text;
}

TEST(IpPrefix, Contains) {
  const auto p = [](const char* text) { return IpPrefix::parse(text).value(); };
  EXPECT_TRUE(p("10.0.0.0/8").contains(p("10.1.0.0/16")));
  EXPECT_TRUE(p("10.0.0.0/8").contains(p("10.0.0.0/8")));
  EXPECT_FALSE(p("10.1.0.0/16").contains(p("10.0.0.0/8")));
  EXPECT_FALSE(p("10.0.0.0/9").contains(p("10.128.0.0/9")));
  EXPECT_TRUE(p("0.0.0.0/0").contains(p("1.2.3.4")));
  EXPECT_FALSE(p("0.0.0.0/0").contains(p("::1")));
  EXPECT_FALSE(p("::/0").contains(p("1.2.3.4")));
  EXPECT_TRUE(p("10.1.0.0/16").overlaps(p("10.0.0.0/8")));
  EXPECT_FALSE(p("10.1.0.0/16").overlaps(p("10.2.0.0/16")));
}

TEST(NetAllow, Checks) {
  NetAllowList list;
  EXPECT_TRUE(check_net_allow(list));
  list.entries.push_back({.remote = IpPrefix::parse("10.0.0.1").value(), .remote_port = 443});
  EXPECT_EQ(check_net_allow(list).error().code, Code::invalid_argument);
  list.entries[0].protocol = NetAllow::Protocol::icmp;
  EXPECT_EQ(check_net_allow(list).error().code, Code::invalid_argument);
  list.entries[0].protocol = NetAllow::Protocol::tcp;
  EXPECT_TRUE(check_net_allow(list));
  list.entries.resize(kMaxNetAllow + 1, list.entries[0]);
  EXPECT_EQ(check_net_allow(list).error().code, Code::limit);
  list.entries.assign(1, {});
  EXPECT_EQ(check_net_allow(list).error().code, Code::invalid_argument);
}

TEST(NetTag, IsMadeFromAnyIdAndNothingElsePasses) {
  EXPECT_EQ(net_tag("action-1").size(), 8u);
  EXPECT_NE(net_tag("action-1"), net_tag("action-2"));
  EXPECT_TRUE(check_net_tag(net_tag("\xff; drop table")));
  for (const char* tag : {"", "0a1b2c3", "0A1B2C3D", "0a1b2c3g", "0a1b2c3d4", "; delete"})
    EXPECT_EQ(check_net_tag(tag).error().code, Code::invalid_argument) << tag;
}

TEST(NftRules, ACutDropsStatelesslyInThreeChains) {
  NetAllowList allow;
  allow.entries.push_back(
      {.remote = IpPrefix::parse("10.0.0.0/8").value(), .protocol = NetAllow::Protocol::tcp, .remote_port = 443});
  const std::string text = cut_ruleset("0a1b2c3d", allow, CutKind::container, 1500, false);
  EXPECT_EQ(text.find("ct state"), std::string::npos);
  EXPECT_EQ(text.find("delete table"), std::string::npos);
  EXPECT_NE(text.find("ipv4 timeout 1s500ms, ipv6 timeout 1s500ms"), std::string::npos);
  EXPECT_NE(text.find("meta nfproto ipv4 ip daddr 10.0.0.0/8 tcp dport 443 accept"), std::string::npos);
  EXPECT_NE(text.find("meta nfproto ipv4 ip saddr 10.0.0.0/8 tcp sport 443 accept"), std::string::npos);
  for (const char* hook : {"input", "output", "forward"}) {
    EXPECT_NE(text.find(std::string("hook ") + hook + " priority -300"), std::string::npos);
    EXPECT_NE(text.find(std::string("meta nfproto @cut counter name dropped_") + hook + " drop"), std::string::npos);
  }
  EXPECT_EQ(text.find("\"lo\""), std::string::npos);
  EXPECT_EQ(text.find("icmpv6"), std::string::npos);  // no neighbours of IPv6 to talk to
  EXPECT_EQ(cut_ruleset("0a1b2c3d", {}, CutKind::container, 0, false).find("timeout "), std::string::npos);
  EXPECT_NE(cut_ruleset("0a1b2c3d", {}, CutKind::container, 0, true).find("delete table"), std::string::npos);
}

TEST(NftRules, ReadsATable) {
  const auto table = parse_nft_table(R"({"nftables": [{"metainfo": {"version": "1.0.6"}},
    {"table": {"family": "inet", "name": "quell_cut_0a1b2c3d", "handle": 1}},
    {"counter": {"family": "inet", "name": "dropped_input", "table": "t", "handle": 2, "packets": 7, "bytes": 420}},
    {"set": {"name": "cut", "table": "t", "type": "nf_proto", "elem": ["ipv6", {"elem": {"val": "ipv4", "timeout": 30, "expires": 29}}]}},
    {"set": {"name": "nets4", "elem": [{"elem": {"val": {"prefix": {"addr": "10.0.0.0", "len": 8}}, "comment": "deadbeef"}}]}},
    {"chain": {"name": "input", "handle": 1, "type": "filter", "hook": "input", "prio": -300, "policy": "accept"}},
    {"rule": {"chain": "input", "handle": 4, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "lo"}}, {"accept": null}]}},
    {"rule": {"chain": "input", "handle": 9, "expr": [{"match": {"op": "==", "left": {"meta": {"key": "nfproto"}}, "right": "@cut"}}, {"counter": "dropped_input"}, {"drop": null}]}}]})");
  ASSERT_TRUE(table) << table.error().str();
  EXPECT_EQ(table->counters.at("dropped_input").bytes, 420u);
  const auto& cut = table->sets.at("cut");
  ASSERT_EQ(cut.size(), 2u);
  EXPECT_FALSE(cut[0].remaining_s);
  EXPECT_EQ(cut[1].remaining_s, 29u);
  EXPECT_EQ(table->sets.at("nets4")[0].value, "10.0.0.0/8");
  EXPECT_EQ(table->sets.at("nets4")[0].comment, "deadbeef");
  EXPECT_EQ(table->chains.at("input").rules, 2u);
  EXPECT_EQ(table->chains.at("input").drops, std::vector<std::string>{"@cut"});
  EXPECT_FALSE(table->drops({"cut"}));  // two chains are missing
  for (const char* text : {"", "{}", "[]", "{\"nftables\": 3}", "nonsense"})
    EXPECT_EQ(parse_nft_table(text).error().code, Code::malformed) << text;
  EXPECT_TRUE(parse_nft_table("{\"nftables\": [1, null, {\"rule\": 3}, {\"set\": {\"elem\": [[]]}}]}"));
}

TEST(DockerNetworks, AreReadAndGivenBack) {
  const auto networks = parse_docker_networks(R"({"Id":"x","NetworkSettings":{"Networks":{
    "host":{"NetworkID":"h"},
    "back end":{"IPAMConfig":{"IPv4Address":"10.5.0.9"},"Links":null,"Aliases":["web","a\"b"],"NetworkID":"n1","IPAddress":"10.5.0.9",
      "GlobalIPv6Address":"fd05::9","MacAddress":"02:42:0a:05:00:09","DriverOpts":{"k":"v"}},
    "plain":{"IPAMConfig":null,"NetworkID":"n2","IPAddress":"172.18.0.2","DriverOpts":null}}}})");
  ASSERT_TRUE(networks) << networks.error().str();
  ASSERT_EQ(networks->size(), 2u);
  const NetworkEndpoint& one = (*networks)[0];
  EXPECT_EQ(one.network, "back end");
  EXPECT_EQ(one.fixed_ipv4, "10.5.0.9");
  EXPECT_EQ(one.aliases, (std::vector<std::string>{"web", "a\"b"}));
  EXPECT_EQ(docker_connect_body("x", one, true),
            R"({"Container":"x","EndpointConfig":{"IPAMConfig":{"IPv4Address":"10.5.0.9","IPv6Address":"fd05::9"},)"
            R"("Aliases":["web","a\"b"],"MacAddress":"02:42:0a:05:00:09","DriverOpts":{"k":"v"}}})");
  EXPECT_EQ(docker_connect_body("x", (*networks)[1], false), R"({"Container":"x","EndpointConfig":{"IPAMConfig":{}}})");
  EXPECT_EQ(parse_docker_networks("{}").error().code, Code::malformed);
  EXPECT_EQ(parse_docker_networks("").error().code, Code::malformed);
  EXPECT_TRUE(parse_docker_networks(R"({"NetworkSettings":{"Networks":null}})")->empty());
}

TEST(SockDiag, ReadsWhatTheKernelSays) {
  inet_diag_msg message{};
  message.idiag_family = AF_INET6;
  message.idiag_state = 1;
  message.id.idiag_sport = __builtin_bswap16(4000);
  message.id.idiag_dport = __builtin_bswap16(443);
  const uint8_t mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 192, 0, 2, 9};
  std::memcpy(message.id.idiag_dst, mapped, 16);
  message.id.idiag_cookie[0] = 5;
  message.id.idiag_cookie[1] = 1;
  message.idiag_inode = 77;
  tcp_info info{};
  info.tcpi_bytes_acked = 1000;
  info.tcpi_bytes_received = 2000;
  rtattr attribute{.rta_len = RTA_LENGTH(sizeof info), .rta_type = INET_DIAG_INFO};
  std::vector<uint8_t> bytes(sizeof message + RTA_SPACE(sizeof info));
  std::memcpy(bytes.data(), &message, sizeof message);
  std::memcpy(bytes.data() + sizeof message, &attribute, sizeof attribute);
  std::memcpy(bytes.data() + sizeof message + RTA_LENGTH(0), &info, sizeof info);
  const Flow flow = parse_diag_message(bytes, Flow::Protocol::tcp).value();
  EXPECT_EQ(flow.remote.str(), "192.0.2.9");
  EXPECT_TRUE(flow.ipv6_socket);
  EXPECT_EQ(flow.local_port, 4000);
  EXPECT_EQ(flow.cookie, 0x100000005u);
  EXPECT_EQ(flow.inode, 77u);
  ASSERT_TRUE(flow.bytes);
  EXPECT_EQ(flow.bytes->acked, 1000u);
  EXPECT_EQ(flow.bytes->received, 2000u);
  EXPECT_EQ(flow.str(), "tcp [::]:4000 -> 192.0.2.9:443");
  // Every shorter form is an answer or an error, never a read beyond it.
  for (size_t size = 0; size < bytes.size(); ++size) {
    const std::vector<uint8_t> part(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size));
    const auto result = parse_diag_message(part, Flow::Protocol::tcp);
    if (size < sizeof message) {
      EXPECT_EQ(result.error().code, Code::truncated);
    }
  }
  bytes[0] = AF_UNIX;
  EXPECT_EQ(parse_diag_message(bytes, Flow::Protocol::tcp).error().code, Code::malformed);
}

}  // namespace
}  // namespace quell::os
