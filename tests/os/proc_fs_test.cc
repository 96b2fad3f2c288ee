#include "os/proc_fs.h"

#include <gtest/gtest.h>

#include "os/container_names.h"
#include "os/container_spec.h"
#include "os/docker.h"

namespace quell::os {
namespace {

TEST(ProcStat, CommMayHoldParenthesesAndSpaces) {
  const auto stat = parse_proc_stat(
      "4242 (a) b (c) R) S 17 4242 4242 0 -1 4194560 100 0 0 0 12 34 0 0 20 0 1 0 88120331 1000 1 "
      "18446744073709551615\n");
  ASSERT_TRUE(stat) << stat.error().str();
  EXPECT_EQ(stat->pid, 4242);
  EXPECT_EQ(stat->comm, "a) b (c) R");
  EXPECT_EQ(stat->state, 'S');
  EXPECT_EQ(stat->ppid, 17);
  EXPECT_EQ(stat->utime_ticks, 12u);
  EXPECT_EQ(stat->stime_ticks, 34u);
  EXPECT_EQ(stat->start_ticks, 88120331u);
}

TEST(ProcStat, RefusesWhatIsNoStatLine) {
  for (const char* text :
       {"", "12", "12 (a", "12 (a)", "12 (a) S 1 2 3", ")12( S 1", "x (a) S 1 1 1 0 -1 1 1 0 0 0 1 1 0 0 20 0 1 0 5",
        "  (a) S 1 1 1 0 -1 1 1 0 0 0 1 1 0 0 20 0 1 0 5"}) {
    const auto stat = parse_proc_stat(text);
    ASSERT_FALSE(stat) << text;
    EXPECT_EQ(stat.error().code, Code::malformed);
  }
}

TEST(ProcCgroup, OneEntryPerSubsystem) {
  const auto entries = parse_proc_cgroup("4:cpu,cpuacct:/a:b\n1:name=systemd:/s\n0::/docker/x\nnonsense\n");
  ASSERT_EQ(entries.size(), 4u);
  EXPECT_EQ(entries[0].subsystem, "cpu");
  EXPECT_EQ(entries[1].subsystem, "cpuacct");
  EXPECT_EQ(entries[1].path, "/a:b");  // a cgroup's name may hold a colon
  EXPECT_EQ(entries[2].subsystem, "name=systemd");
  EXPECT_EQ(entries[3].subsystem, "");
  EXPECT_EQ(entries[3].path, "/docker/x");
}

TEST(CgroupMounts, HybridWithEscapedSpace) {
  const auto mounts = parse_cgroup_mounts(
      "30 20 0:26 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n"
      "31 20 0:27 /docker/x /mnt/a\\040b rw shared:1 - cgroup2 cgroup2 rw\n"
      "32 20 0:27 / /second rw - cgroup2 cgroup2 rw\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].subsystem, "freezer");
  EXPECT_EQ(mounts[0].mount_point, "/sys/fs/cgroup/freezer");
  EXPECT_EQ(mounts[1].subsystem, "");
  EXPECT_EQ(mounts[1].root, "/docker/x");
  EXPECT_EQ(mounts[1].mount_point, "/mnt/a b");
}

TEST(ContainerNames, ImageNames) {
  const auto full = split_image_name("registry:5000/a/b:1.2@sha256:abc");
  EXPECT_EQ(full.repository, "registry:5000/a/b");
  EXPECT_EQ(full.tag, "1.2");
  EXPECT_EQ(full.digest, "sha256:abc");
  const auto port = split_image_name("registry:5000/a");
  EXPECT_EQ(port.repository, "registry:5000/a");
  EXPECT_EQ(port.tag, "latest");
  const auto pinned = split_image_name("busybox@sha256:abc");
  EXPECT_EQ(pinned.repository, "busybox");
  EXPECT_EQ(pinned.tag, "");
  EXPECT_EQ(split_image_name("sha256:bb72621c").repository, "");
}

TEST(ContainerNames, Times) {
  EXPECT_EQ(parse_rfc3339_s("1970-01-02T00:00:01Z"), 86401);
  EXPECT_EQ(parse_rfc3339_s("2026-11-22T10:17:34.019327056Z"), parse_rfc3339_s("2026-11-22T12:17:34.5+02:00"));
  EXPECT_EQ(parse_rfc3339_s("0001-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_rfc3339_s("yesterday"), 0);
  EXPECT_EQ(parse_rfc3339_s(""), 0);
}

TEST(ContainerNames, ResolvesIdThenNameThenPrefix) {
  const std::vector<Candidate> all{
      {"aaa111", "web"}, {"aaa222", "aaa111x"}, {"bbb333", "db"}, {"ccc", "web2"}, {"ddd", "db"}};
  EXPECT_EQ(resolve_candidate("aaa111", all).value_or(""), "aaa111");
  EXPECT_EQ(resolve_candidate("web", all).value_or(""), "aaa111");
  EXPECT_EQ(resolve_candidate("bbb", all).value_or(""), "bbb333");
  EXPECT_EQ(resolve_candidate("aaa2", all).value_or(""), "aaa222");
  const auto twice = resolve_candidate("aaa", all);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, Code::invalid_argument);
  EXPECT_NE(twice.error().message.find("aaa111"), std::string::npos);
  EXPECT_NE(twice.error().message.find("aaa222"), std::string::npos);
  EXPECT_EQ(resolve_candidate("db", all).error().code, Code::invalid_argument);
  EXPECT_EQ(resolve_candidate("bb", all).error().code, Code::not_found);  // too short for a prefix
  EXPECT_EQ(resolve_candidate("", all).error().code, Code::not_found);
}

TEST(DockerInspect, ReadsWhatRulesAsk) {
  const auto status = parse_docker_inspect(R"({"Id":"0123456789abcdef","Created":"2026-11-22T10:17:34Z","Name":"/web",
    "State":{"Status":"paused","Pid":77,"StartedAt":"2026-11-22T10:17:34.26Z"},"Image":"sha256:bb72",
    "HostConfig":{"NetworkMode":"host","PidMode":"host","IpcMode":"private","Privileged":true,
      "RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3}},
    "Mounts":[{"Type":"bind","Source":"/a","Destination":"/b","Mode":"ro","RW":false,"Propagation":"rprivate"}],
    "Config":{"User":"1000","Env":["A=1"],"Image":"reg:5000/x:2","Labels":{"team":"shop"}},
    "NetworkSettings":{"IPAddress":"","Networks":{"n":{"IPAddress":"10.1.2.3"}}}})");
  ASSERT_TRUE(status) << status.error().str();
  EXPECT_EQ(status->state, ContainerStatus::State::paused);
  EXPECT_EQ(status->pid, 77);
  EXPECT_EQ(status->restart_policy, "on-failure:3");
  const Container& c = *status->info;
  EXPECT_EQ(c.id, "0123456789ab");
  EXPECT_EQ(c.name, "web");
  EXPECT_EQ(c.image_id, "bb72");
  EXPECT_EQ(c.image_repository, "reg:5000/x");
  EXPECT_EQ(c.image_tag, "2");
  EXPECT_EQ(c.user, "1000");
  EXPECT_EQ(c.ip, "10.1.2.3");
  EXPECT_EQ(c.labels.at("team"), "shop");
  ASSERT_EQ(c.mounts.size(), 1u);
  EXPECT_FALSE(c.mounts[0].writable);
  EXPECT_TRUE(c.privileged && c.host_pid && c.host_network && !c.host_ipc);
  EXPECT_GT(c.created_s, 0);
}

TEST(DockerFiles, SayWhatTheApiSays) {
  const auto status = parse_docker_files(
      R"({"ID":"0123456789abcdef","Created":"2026-11-22T10:17:34Z","Name":"/web","Image":"sha256:bb72",
    "State":{"Running":true,"Paused":false,"Pid":77,"StartedAt":"2026-11-22T10:17:34.26Z"},
    "MountPoints":{"/b":{"Source":"/a","Destination":"/b","RW":false,"Propagation":"rprivate"}},
    "Config":{"User":"1000","Env":["A=1"],"Image":"reg:5000/x:2","Labels":{"team":"shop"}}})",
      R"({"NetworkMode":"host","PidMode":"host","Privileged":true,"RestartPolicy":{"Name":"always"}})");
  ASSERT_TRUE(status) << status.error().str();
  EXPECT_EQ(status->state, ContainerStatus::State::running);
  EXPECT_EQ(status->pid, 77);
  EXPECT_EQ(status->restart_policy, "always");
  const Container& c = *status->info;
  EXPECT_EQ(c.full_id, "0123456789abcdef");
  EXPECT_EQ(c.name, "web");
  EXPECT_EQ(c.image_repository, "reg:5000/x");
  EXPECT_EQ(c.labels.at("team"), "shop");
  ASSERT_EQ(c.mounts.size(), 1u);
  EXPECT_EQ(c.mounts[0].source, "/a");
  EXPECT_FALSE(c.mounts[0].writable);
  EXPECT_TRUE(c.privileged && c.host_pid && c.host_network && !c.host_ipc);
  // Without the second file nobody knows whether it is privileged.
  EXPECT_EQ(parse_docker_files(R"({"ID":"a"})", "").error().code, Code::malformed);
  EXPECT_EQ(parse_docker_files("", "{}").error().code, Code::malformed);
  EXPECT_EQ(parse_docker_files(R"({"Id":"a"})", "{}").error().code, Code::malformed);
}

TEST(DockerInspect, NullsAreAbsentAndNonsenseIsRefused) {
  const auto status =
      parse_docker_inspect(R"({"Id":"abc","Mounts":null,"Config":{"Labels":null,"Env":null},"State":{"Pid":0}})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->pid, -1);
  EXPECT_TRUE(status->info->labels.empty());
  for (const char* text : {"", "[]", "{}", "{\"Id\":1}", "{\"Id\":\"a\""})
    EXPECT_EQ(parse_docker_inspect(text).error().code, Code::malformed) << text;
}

TEST(ContainerSpec, NamespacesMountsAndPrivilege) {
  const auto spec = parse_container_spec(
      R"({"process":{"user":{"uid":33},"env":["A=1"],"capabilities":{"bounding":["CAP_SYS_ADMIN"]}},
    "mounts":[{"destination":"/proc","type":"proc","source":"proc"},
              {"destination":"/host","type":"bind","source":"/","options":["rbind","ro","rslave"]}],
    "annotations":{"io.kubernetes.cri.sandbox-id":"s"},"linux":{"namespaces":[{"type":"pid"},{"type":"ipc"}]}})");
  ASSERT_TRUE(spec);
  EXPECT_TRUE(spec->privileged);
  EXPECT_FALSE(spec->host_pid);
  EXPECT_TRUE(spec->host_network);
  EXPECT_FALSE(spec->host_ipc);
  EXPECT_EQ(spec->user, "33");
  ASSERT_EQ(spec->mounts.size(), 1u);
  EXPECT_EQ(spec->mounts[0].destination, "/host");
  EXPECT_FALSE(spec->mounts[0].writable);
  EXPECT_EQ(spec->mounts[0].propagation, "rslave");
  EXPECT_EQ(parse_container_spec("nonsense").error().code, Code::malformed);
  const auto masked = parse_container_spec(
      R"({"process":{"capabilities":{"bounding":["CAP_SYS_ADMIN"]}},"linux":{"maskedPaths":["/proc/kcore"]}})");
  EXPECT_FALSE(masked->privileged);
}

}  // namespace
}  // namespace quell::os
