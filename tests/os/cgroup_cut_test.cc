// Real flows of a process in a cgroup of its own, cut and let go again.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "os/cgroup_cut.h"
#include "os/descriptor.h"
#include "support/command.h"
#include "support/net_lab.h"

namespace quell::os {
namespace {
using test::NetChild;
using test::NetLab;
using test::TestCgroup;
using Via = NetChild::Via;

const std::string kTag = "0a1b2c3d", kOtherTag = "deadbeef";

std::vector<uint32_t> programs_on(const std::string& directory) {
  const Descriptor fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  std::vector<uint32_t> all;
  for (const auto type : {BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS}) {
    uint32_t ids[64], count = 64;
    if (::bpf_prog_query(fd.get(), type, 0, nullptr, ids, &count) == 0) all.insert(all.end(), ids, ids + count);
  }
  return all;
}

class CgroupCutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (const std::string why = NetLab::missing(); !why.empty()) GTEST_SKIP() << "SKIPPED: " << why;
    if (auto able = probe_cgroup_cut(); !able) GTEST_SKIP() << "SKIPPED: " << able.error().str();
    lab = std::move(NetLab::make().value());
    cgroup = std::move(TestCgroup::make("cut").value());
    ref = cgroup_ref(cgroup->directory()).value();
    server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  }
  std::unique_ptr<NetChild> talker(const std::string& address, Via via = Via::tcp) const {
    return NetChild::talker(lab->inside(), address, test::kEchoPort, via, cgroup.get());
  }

  std::unique_ptr<NetLab> lab;
  std::unique_ptr<TestCgroup> cgroup;  // outlives the children that are in it
  CgroupRef ref;
  std::unique_ptr<NetChild> server;
};

TEST_F(CgroupCutTest, LiveFlowsStopAndGoOn) {
  const auto tcp4 = talker(test::kOutside4), tcp6 = talker(test::kOutside6);
  const auto udp4 = talker(test::kOutside4, Via::udp), udp6 = talker(test::kOutside6, Via::udp);
  const auto neighbour = NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort);
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6, &neighbour}) ASSERT_TRUE((*flow)->talks());

  const auto cut = cut_cgroup(ref, kTag, {});
  ASSERT_TRUE(cut) << cut.error().str();
  EXPECT_TRUE(cut->whole());
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6}) EXPECT_TRUE((*flow)->silent());
  EXPECT_TRUE(neighbour->talks());
  const auto seen = look_cgroup_cut(ref, kTag);
  ASSERT_TRUE(seen) << seen.error().str();
  EXPECT_TRUE(seen->whole());
  EXPECT_EQ(seen->egress.program_id, cut->egress.program_id);
  EXPECT_GT(seen->egress.dropped_packets, 0u);
  EXPECT_GT(seen->egress.dropped_bytes, seen->egress.dropped_packets * 20);
  EXPECT_EQ(seen->egress.allowed_packets, 0u);

  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  for (const auto* flow : {&tcp4, &tcp6, &udp4, &udp6}) EXPECT_TRUE((*flow)->talks());
  EXPECT_EQ(tcp4->connections(), 1u);  // the same flow as before
  EXPECT_TRUE(programs_on(ref.directory).empty());
  EXPECT_TRUE(look_cgroup_cut(ref, kTag)->none());
  EXPECT_FALSE(undo_cgroup_cut(ref, kTag).value());
}

TEST_F(CgroupCutTest, TheAllowListHoldsInBothDirections) {
  const auto to_allowed = talker(test::kOutside4), to_other = talker(test::kOutside6);
  ASSERT_TRUE(to_allowed->talks());
  ASSERT_TRUE(to_other->talks());
  NetAllowList allow;
  allow.entries.push_back({.remote = IpPrefix::parse("10.77.0.0/24").value(),
                           .protocol = NetAllow::Protocol::tcp,
                           .remote_port = test::kEchoPort});
  // A narrower prefix does not take away what a wider one gives.
  allow.entries.push_back({.remote = IpPrefix::parse(test::kOutside4).value(),
                           .protocol = NetAllow::Protocol::udp,
                           .local_port = test::kOtherPort});
  ASSERT_TRUE(cut_cgroup(ref, kTag, allow));
  EXPECT_TRUE(to_allowed->talks());
  EXPECT_TRUE(to_other->silent());
  EXPECT_GT(look_cgroup_cut(ref, kTag)->ingress.allowed_packets, 0u);
  // A new connection to the allowed port, one to the same address by UDP, and one to another port.
  const auto fresh = talker(test::kOutside4), by_udp = talker(test::kOutside4, Via::udp);
  EXPECT_TRUE(fresh->talks());
  EXPECT_TRUE(by_udp->silent());
  EXPECT_EQ(by_udp->echoed(), 0u);
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
}

TEST_F(CgroupCutTest, IncomingIsAllowedByLocalPort) {
  // The server's sockets must be the cgroup's: it is in there when it makes them.
  ASSERT_TRUE(cgroup->add(::getpid()));
  const auto inner = NetChild::echo_server(lab->inside(), test::kOtherPort);
  const Descriptor procs(::open((ref.directory + "/../cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(::write(procs.get(), "0", 1), 1);
  const auto caller = NetChild::talker(lab->outside(), test::kInside4, test::kOtherPort);
  ASSERT_TRUE(caller->talks());
  NetAllowList allow;
  allow.entries.push_back({.remote = IpPrefix::parse("10.77.0.1").value(),
                           .protocol = NetAllow::Protocol::tcp,
                           .local_port = test::kOtherPort});
  ASSERT_TRUE(cut_cgroup(ref, kTag, allow));
  EXPECT_TRUE(caller->talks());
  ASSERT_TRUE(cut_cgroup(ref, kOtherTag, {}));
  EXPECT_TRUE(caller->silent());
  EXPECT_TRUE(undo_cgroup_cut(ref, kOtherTag).value());
  EXPECT_TRUE(caller->talks());
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
}

TEST_F(CgroupCutTest, LoopbackStaysOnlyIfAsked) {
  const auto local = NetChild::echo_server(lab->inside(), test::kOtherPort),
             dns = NetChild::echo_server(lab->inside(), 53);
  const auto to_local = NetChild::talker(lab->inside(), "127.0.0.1", test::kOtherPort, Via::tcp, cgroup.get());
  const auto to_dns = NetChild::talker(lab->inside(), "127.0.0.1", 53, Via::udp, cgroup.get());
  const auto to_docker = NetChild::talker(lab->inside(), "127.0.0.11", test::kOtherPort, Via::tcp, cgroup.get());
  for (const auto* flow : {&to_local, &to_dns, &to_docker}) ASSERT_TRUE((*flow)->talks());
  ASSERT_TRUE(cut_cgroup(ref, kTag, {.entries = {}, .loopback = true}));
  EXPECT_TRUE(to_local->talks());
  EXPECT_TRUE(to_dns->silent());
  EXPECT_TRUE(to_docker->silent());
  ASSERT_TRUE(undo_cgroup_cut(ref, kTag).value());
  ASSERT_TRUE(cut_cgroup(ref, kTag, {}));
  EXPECT_TRUE(to_local->silent());
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
}

TEST_F(CgroupCutTest, AnotherProcessFindsItAfterTheDeathOfTheFirst) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const pid_t pid = ::fork();
  if (pid == 0) {
    (void)cut_cgroup(ref, kTag, {});
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(look_cgroup_cut(ref, kTag)->whole());
  EXPECT_TRUE(look_cgroup_cut(ref, kOtherTag)->none());
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  EXPECT_TRUE(flow->talks());
}

TEST_F(CgroupCutTest, TheSameTagTwiceIsOneCut) {
  ASSERT_TRUE(cut_cgroup(ref, kTag, {}));
  const auto before = programs_on(ref.directory);
  ASSERT_TRUE(cut_cgroup(ref, kTag, {}));
  EXPECT_EQ(programs_on(ref.directory), before);
  EXPECT_EQ(before.size(), 2u);
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  EXPECT_TRUE(programs_on(ref.directory).empty());
}

TEST_F(CgroupCutTest, TwoTagsAreTwoCuts) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  ASSERT_TRUE(cut_cgroup(ref, kTag, {}));
  const auto first = programs_on(ref.directory);
  ASSERT_TRUE(cut_cgroup(ref, kOtherTag, {}));
  EXPECT_EQ(programs_on(ref.directory).size(), 4u);
  EXPECT_TRUE(undo_cgroup_cut(ref, kOtherTag).value());
  EXPECT_EQ(programs_on(ref.directory), first);
  EXPECT_TRUE(look_cgroup_cut(ref, kTag)->whole());
  EXPECT_TRUE(look_cgroup_cut(ref, kOtherTag)->none());
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  EXPECT_TRUE(flow->talks());
}

TEST_F(CgroupCutTest, ACrashBetweenTheDirectionsIsFoundAndCompletedOrUndone) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const Descriptor fd(::open(ref.directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // What a crash after the first attach leaves: one direction.
  const auto leave_half = [&] {
    const CgroupCut cut = cut_cgroup(ref, kTag, {}).value();
    const Descriptor program(::bpf_prog_get_fd_by_id(cut.ingress.program_id));
    ASSERT_EQ(::bpf_prog_detach2(program.get(), fd.get(), BPF_CGROUP_INET_INGRESS), 0);
  };
  leave_half();
  const CgroupCut half = look_cgroup_cut(ref, kTag).value();
  EXPECT_FALSE(half.whole());
  EXPECT_FALSE(half.none());
  EXPECT_TRUE(half.egress.attached);
  const CgroupCut completed = cut_cgroup(ref, kTag, {}).value();
  EXPECT_TRUE(completed.whole());
  EXPECT_EQ(completed.egress.program_id, half.egress.program_id);
  EXPECT_EQ(programs_on(ref.directory).size(), 2u);
  EXPECT_TRUE(flow->silent());
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  leave_half();
  EXPECT_TRUE(undo_cgroup_cut(ref, kTag).value());
  EXPECT_TRUE(programs_on(ref.directory).empty());
  EXPECT_TRUE(flow->talks());
}

TEST_F(CgroupCutTest, ACgroupThatIsGoneOrAnotherOne) {
  auto other = TestCgroup::make("gone");
  ASSERT_TRUE(other);
  const CgroupRef gone = cgroup_ref((*other)->directory()).value();
  const std::string directory = gone.directory;
  other->reset();
  EXPECT_EQ(cut_cgroup(gone, kTag, {}).error().code, Code::gone);
  EXPECT_EQ(look_cgroup_cut(gone, kTag).error().code, Code::gone);
  EXPECT_FALSE(undo_cgroup_cut(gone, kTag).value());
  EXPECT_EQ(cgroup_ref(directory).error().code, Code::gone);
  CgroupRef wrong = ref;
  wrong.inode += 1;
  EXPECT_EQ(cut_cgroup(wrong, kTag, {}).error().code, Code::stale);
  EXPECT_EQ(look_cgroup_cut(wrong, kTag).error().code, Code::stale);
  EXPECT_FALSE(undo_cgroup_cut(wrong, kTag).value());
  EXPECT_TRUE(programs_on(ref.directory).empty());
}

TEST_F(CgroupCutTest, Refusals) {
  EXPECT_EQ(cgroup_ref("/tmp").error().code, Code::unsupported);
  const std::string root = ref.directory.substr(0, ref.directory.rfind('/'));
  EXPECT_EQ(cut_cgroup(cgroup_ref(root).value(), kTag, {}).error().code, Code::refused);
  for (const char* tag : {"", "1234567", "123456789", "0A1B2C3D", "../../..", "0a1b2c3\""})
    EXPECT_EQ(cut_cgroup(ref, tag, {}).error().code, Code::invalid_argument) << tag;
  NetAllowList crowded;
  for (int i = 0; i < 17; ++i)
    crowded.entries.push_back({.remote = IpPrefix::parse("10.0.0.1").value(),
                               .protocol = NetAllow::Protocol::tcp,
                               .remote_port = static_cast<uint16_t>(i + 1)});
  EXPECT_EQ(cut_cgroup(ref, kTag, crowded).error().code, Code::limit);
  EXPECT_TRUE(programs_on(ref.directory).empty());
}

TEST_F(CgroupCutTest, WithoutCapabilitiesItIsRefused) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[2] = {};
    if (::syscall(SYS_capset, &header, data) != 0) ::_exit(9);
    const bool right = cut_cgroup(ref, kTag, {}).error().code == Code::permission_denied &&
                       look_cgroup_cut(ref, kTag).error().code == Code::permission_denied;
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  EXPECT_EQ(status, 0);
}

TEST_F(CgroupCutTest, TheCgroupOfAProcessIsFound) {
  const auto flow = talker(test::kOutside4);
  ASSERT_TRUE(flow->talks());
  const auto found = v2_cgroup_of(flow->pid());
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->directory, ref.directory);
  EXPECT_EQ(found->inode, ref.inode);
  EXPECT_EQ(v2_cgroup_of(0x7fffffff).error().code, Code::gone);
}

}  // namespace
}  // namespace quell::os
