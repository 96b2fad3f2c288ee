#include <gtest/gtest.h>

#include <random>

#include "capture/proc/process_text.h"
#include "capture/proc/socket_table.h"

namespace quell::capture::proc {
namespace {

std::string list(std::initializer_list<std::string_view> parts) {
  std::string out;
  for (const std::string_view part : parts) out.append(part).push_back('\0');
  return out;
}

TEST(ProcText, StatNamesMayHoldAnything) {
  const auto stat =
      parse_stat("77 (a) b) (R 1) S 1 70 69 34816 -1 4194304 99 0 12 0 0 0 0 0 20 0 1 0 257861 3133440 374 1");
  ASSERT_TRUE(stat);
  EXPECT_EQ(stat->pid, 77);
  EXPECT_EQ(stat->comm, "a) b) (R 1");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 1);
  EXPECT_EQ(stat->pgrp, 70);
  EXPECT_EQ(stat->session, 69);
  EXPECT_EQ(stat->tty, 34816u);
  EXPECT_EQ(stat->minor_faults, 99u);
  EXPECT_EQ(stat->major_faults, 12u);
  EXPECT_EQ(stat->start_ticks, 257861u);
  for (const char* odd : {"", "77", "77 (x", "77 x)", ")(", "(x) S 1", "x (x) S 1 2 3", "77 (x) S 1 70 69"})
    EXPECT_FALSE(parse_stat(odd)) << odd;
}

TEST(ProcText, StatusOfAProcessInAPidNamespace) {
  const StatusFacts status = parse_status(
      "Name:\tx\nTgid:\t500\nPid:\t501\nPPid:\t400\nUid:\t1000\t1001\t1002\t1003\nGid:\t10\t11\t12\t13\nGroups:\t4 24 "
      "\n"
      "NStgid:\t500\t7\nNSpid:\t501\t8\nNSpgid:\t499\t6\nVmSize:\t    3760 kB\nVmRSS:\t1928 kB\nVmSwap:\t4 kB\n"
      "CapInh:\t0000000000000001\nCapPrm:\t000001fffeffffff\nCapEff:\t00000000a80425fb\n");
  EXPECT_EQ(status.tgid, 500);
  EXPECT_EQ(status.ppid, 400);
  EXPECT_EQ(status.euid, 1001u);
  EXPECT_EQ(status.egid, 11u);
  EXPECT_EQ(status.groups, (std::vector<uint32_t>{4, 24}));
  EXPECT_EQ(status.vpid, 7);
  EXPECT_EQ(status.vtid, 8);
  EXPECT_EQ(status.vpgid, 6);
  EXPECT_TRUE(status.in_pid_namespace);
  EXPECT_EQ(status.vm_size_kb, 3760u);
  EXPECT_EQ(status.vm_swap_kb, 4u);
  EXPECT_EQ(status.cap_inheritable, 1u);
  EXPECT_EQ(status.cap_effective, 0xa80425fbu);
}

TEST(ProcText, CommandLines) {
  const CommandLine usual = parse_cmdline(list({"sh", "-c", "", "ls"}), 4096);
  EXPECT_EQ(usual.exe, "sh");
  EXPECT_EQ(usual.args, list({"-c", "", "ls"}));
  const CommandLine title = parse_cmdline("nginx: worker process", 4096);
  EXPECT_EQ(title.exe, "nginx: worker process");
  EXPECT_EQ(title.args, "");
  EXPECT_EQ(parse_cmdline("", 4096).exe, "");
  EXPECT_EQ(parse_cmdline(list({"x", std::string(9000, 'a')}), 4096).args.size(), 4096u);
  EXPECT_EQ(bounded_list("A=1", 4096), list({"A=1"}));
}

TEST(ProcText, CgroupsOneEntryPerController) {
  EXPECT_EQ(parse_cgroups("4:cpu,cpuacct:/a:b\n3:name=systemd:/c\n2:memory:/d\n0::/e\nnonsense\n", {}),
            list({"cpu=/a:b", "cpuacct=/a:b", "memory=/d"}));
  EXPECT_EQ(parse_cgroups("0::/docker/abc", {"cpu", "memory"}), list({"cpu=/docker/abc", "memory=/docker/abc"}));
}

TEST(ProcText, Limits) {
  const std::string head = "Limit                     Soft Limit           Hard Limit           Units     \n";
  EXPECT_EQ(parse_fd_limit(head + "Max open files            1024                 524288               files     \n"),
            1024);
  EXPECT_EQ(parse_fd_limit(head + "Max open files            unlimited            unlimited            files     \n"),
            -1);
  EXPECT_EQ(parse_fd_limit(""), -1);
}

TEST(ProcText, OpenFlagsArePortable) {
  EXPECT_EQ(parse_fdinfo("pos:\t0\nflags:\t0100000\nmnt_id:\t24\n").open_flags, 1u | 2048u);
  EXPECT_EQ(parse_fdinfo("flags:\t02002002\n").open_flags, 3u | 8u | 4096u);
  EXPECT_EQ(parse_fdinfo("flags:\t04010001\n").open_flags, 2u | 128u | 16u);
  EXPECT_EQ(parse_fdinfo("flags:\t02000002\nPid:\t42\nNSpid:\t42\n").pid, 42);
  EXPECT_EQ(parse_fdinfo("Pid:\t-1\n").pid, 0);
}

TEST(ProcText, LinksOfDescriptors) {
  EXPECT_EQ(parse_fd_link("pipe:[47684]").type, FdType::fifo);
  EXPECT_EQ(parse_fd_link("pipe:[47684]").ino, 47684u);
  EXPECT_TRUE(parse_fd_link("socket:[12]").is_socket);
  EXPECT_EQ(parse_fd_link("socket:[12]").ino, 12u);
  EXPECT_EQ(parse_fd_link("anon_inode:[eventfd]").type, FdType::event);
  EXPECT_EQ(parse_fd_link("anon_inode:inotify").type, FdType::inotify);
  EXPECT_EQ(parse_fd_link("anon_inode:bpf-prog").type, FdType::bpf);
  EXPECT_EQ(parse_fd_link("anon_inode:[perf_event]").type, FdType::unsupported);
  EXPECT_EQ(parse_fd_link("net:[4026531833]").type, FdType::unsupported);
  const LinkFacts memory = parse_fd_link("/memfd:payload (deleted)");
  EXPECT_EQ(memory.type, FdType::memfd);
  EXPECT_EQ(memory.name, "payload");
  EXPECT_EQ(parse_fd_link("/tmp/x (deleted)").name, "/tmp/x");
  EXPECT_EQ(parse_fd_link("").type, FdType::unsupported);
}

TEST(ProcText, UsersAndGroups) {
  const auto users =
      parse_passwd("root:x:0:0:root:/root:/bin/bash\n+::::::\n# a comment\nbad:x:abc:0::/:/\nu:x:7:8::/u:/bin/sh");
  ASSERT_EQ(users.size(), 2u);
  EXPECT_EQ(users[1].name, "u");
  EXPECT_EQ(users[1].gid, 8u);
  EXPECT_EQ(users[1].shell, "/bin/sh");
  const auto groups = parse_group("root:x:0:\nadm:x:4:u,v\n:x:5:\n");
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(groups[1].gid, 4u);
}

TEST(ProcText, OverlayOfAPath) {
  const std::string mounts =
      "1 0 0:1 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/var/lib/a\\040b/diff,workdir=/w\n"
      "2 1 0:2 / /proc rw - proc proc rw\n"
      "3 1 0:3 / /data rw,relatime shared:1 - ext4 /dev/sda rw\n";
  const auto root = find_overlay(mounts, "/usr/bin/x");
  ASSERT_TRUE(root);
  EXPECT_EQ(root->mount_point, "/");
  EXPECT_EQ(root->upper_dir, "/var/lib/a b/diff");
  EXPECT_FALSE(find_overlay(mounts, "/data/x")) << "on a mount of its own";
  EXPECT_TRUE(find_overlay(mounts, "/database/x"));
  EXPECT_FALSE(find_overlay("", "/x"));
}

TEST(ProcText, EncodesDeviceNumbersAsEventsDo) {
  EXPECT_EQ(encode_dev(0x801), 0x801u);
  EXPECT_EQ(encode_dev((uint64_t{8} << 8) | 1 | (uint64_t{0x123} << 20 & ~uint64_t{0xFF000000FF})),
            (0x12300000u & ~0xFFFu) | 0x801u);
}

TEST(SocketTable, ReadsInetSockets) {
  SocketTable table;
  table.add_inet(
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
      "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 100 1 0 100 0 0 10 "
      "0\n"
      "   1: 0100007F:3039 0200007F:01BB 01 00000000:00000000 00:00000000 00000000     0        0 101 1 0 20 4 30 10 "
      "-1\n"
      "   2: 0100007F:3039 0200007F:01BB 06 00000000:00000000 00:00000000 00000000     0        0 0 1 0\n"
      "   3: garbage\n",
      4, L4Proto::tcp);
  table.add_inet(
      "title\n"
      "   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 0:0 0 0 0 102 1\n"
      "   1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000200007F:0051 01 0:0 0:0 0 0 0 103 1\n",
      6, L4Proto::tcp);
  EXPECT_EQ(table.size(), 4u);
  EXPECT_EQ(table.find(100)->name, "0.0.0.0:22");
  EXPECT_EQ(table.find(100)->role, SocketRole::server);
  EXPECT_EQ(table.find(101)->name, "127.0.0.1:12345->127.0.0.2:443");
  EXPECT_TRUE(table.find(101)->has(kFdConnected));
  EXPECT_EQ(table.find(102)->name, "::1:80");
  EXPECT_EQ(table.find(103)->type, FdType::ipv4);
  EXPECT_EQ(table.find(103)->name, "127.0.0.1:80->127.0.0.2:81");
  EXPECT_EQ(table.listening_ports(), (std::vector<uint16_t>{22, 80}));
  EXPECT_EQ(table.find(0), nullptr);
}

TEST(SocketTable, ReadsUnixAndNetlinkSockets) {
  SocketTable table;
  table.add_unix(
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "ffff8881719d287f: 00000003 00000000 00000000 0001 03   612\n"
      "ffff88817f532e94: 00000002 00000000 00010000 0001 01   613 /run/a b.sock\n"
      "0000000000000001: 00000002 00000000 00010000 0001 01   614 @abstract\n"
      "x\n");
  table.add_netlink(
      "sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode\n0000000029fe0421 0   0 00000000 0 0 0 2 0 4  \n");
  EXPECT_EQ(table.size(), 4u);
  EXPECT_EQ(table.find(612)->unix_source, 0xffff8881719d287fu);
  EXPECT_EQ(table.find(612)->name, "");
  EXPECT_EQ(table.find(613)->name, "/run/a b.sock");
  EXPECT_EQ(table.find(614)->name, "@abstract");
  EXPECT_EQ(table.find(4)->type, FdType::netlink);
}

// Programs control parts of these texts: nothing in them may break a parser.
TEST(ProcText, SurvivesArbitraryText) {
  std::mt19937 random(7);
  const std::string alphabet = "0123456789abcdefx:()[] \t\n/=,-\\.NSpidTgfnCapEmMU";
  for (int round = 0; round < 20'000; ++round) {
    std::string text(random() % 120, '\0');
    for (char& c : text) c = random() % 20 == 0 ? static_cast<char>(random()) : alphabet[random() % alphabet.size()];
    parse_stat(text);
    parse_status(text);
    parse_cmdline(text, 50);
    parse_cgroups(text, {"cpu"});
    parse_fd_limit("Max open files" + text);
    parse_fdinfo("flags:" + text);
    parse_fd_link(text);
    parse_fd_link("socket:[" + text);
    parse_passwd(text);
    parse_group(text);
    find_overlay("1 0 0:1 / /" + text + " - overlay o " + text, "/" + text);
    SocketTable table;
    table.add_inet("t\n" + text, 4, L4Proto::tcp);
    table.add_inet("t\n" + text, 6, L4Proto::udp);
    table.add_unix("t\n" + text);
    table.add_netlink("t\n" + text);
  }
}

}  // namespace
}  // namespace quell::capture::proc
