#include "enrich/cgroup_id.h"

#include <gtest/gtest.h>

namespace quell::enrich {

static const std::string kId = "3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e";

TEST(CgroupId, RuntimesWithHexIds) {
  struct Case {
    std::string path;
    ContainerType type;
  };
  const Case cases[] = {
      {"/docker/" + kId, ContainerType::docker},
      {"/system.slice/docker-" + kId + ".scope", ContainerType::docker},
      {"/machine.slice/libpod-" + kId + ".scope", ContainerType::podman},
      {"/machine.slice/libpod-" + kId + ".scope/container", ContainerType::podman},
      {"/user.slice/user-1000.slice/libpod-" + kId, ContainerType::podman},
      {"/machine.slice/libpod-payload-" + kId + ".scope", ContainerType::podman},
      {"/kubepods/besteffort/pod1234/" + kId, ContainerType::cri},
      {"/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + kId + ".scope", ContainerType::cri},
      {"/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" + kId, ContainerType::cri},
      {"/kubepods.slice/kubepods-pod1.slice/crio-" + kId + ".scope", ContainerType::crio},
      {"/kubepods/pod1/crio-" + kId, ContainerType::crio},
      {"/user.slice/nerdctl-" + kId + ".scope", ContainerType::containerd},
      {"/k8s.io/" + kId, ContainerType::docker},
      // --cgroup-parent, of both drivers
      {"/team/shop/" + kId, ContainerType::docker},
      {"/team.slice/team-shop.slice/docker-" + kId + ".scope", ContainerType::docker},
      // Docker in a container of Docker: the innermost counts
      {"/docker/" + std::string(64, 'a') + "/docker/" + kId, ContainerType::docker},
      {"/system.slice/docker-" + std::string(64, 'a') + ".scope/docker/" + kId, ContainerType::docker},
      // kind: a cluster whose nodes are containers
      {"/docker/" + std::string(64, 'a') +
           "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod1.slice/"
           "cri-containerd-" +
           kId + ".scope",
       ContainerType::cri},
      // classes of pods, of both drivers
      {"/kubepods/burstable/pod0b1c2d3e-0000-1111-2222-333344445555/" + kId, ContainerType::cri},
      {"/kubepods/pod0b1c2d3e/crio-" + kId, ContainerType::crio},
      {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0b1c2d3e_0000.slice/cri-containerd-" + kId +
           ".scope",
       ContainerType::cri},
      {"/kubepods.slice/kubepods-pod1.slice/crio-" + kId + ".scope", ContainerType::crio},
      // podman below a user's systemd
      {"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" + kId + ".scope/container",
       ContainerType::podman},
  };
  for (const Case& c : cases) {
    const auto match = match_cgroup_path(c.path);
    ASSERT_TRUE(match) << c.path;
    EXPECT_EQ(match->full_id, kId) << c.path;
    EXPECT_EQ(match->id, "3ad7b26ded6d") << c.path;
    EXPECT_EQ(match->type, c.type) << c.path;
    EXPECT_EQ(match->path, c.path);
  }
}

TEST(CgroupId, RuntimesWithFreeIds) {
  struct Case {
    std::string_view path, id;
    ContainerType type;
  };
  static constexpr Case kCases[] = {
      {"/default/redis-1", "redis-1", ContainerType::containerd},
      {"/lxc/web/init.scope", "web", ContainerType::lxc},
      {"/lxc.payload/web/x", "web", ContainerType::lxc},
      {"/lxc.payload.web", "web", ContainerType::lxc},
      {"/machine/guest.libvirt-lxc", "guest", ContainerType::libvirt_lxc},
      {"/machine.slice/machine-lxc\\x2dguest.scope", "guest", ContainerType::libvirt_lxc},
      {"/machine.slice/machine-lxc\\x2dguest.scope/libvirt", "guest", ContainerType::libvirt_lxc},
      {"/libvirt/lxc/guest", "guest", ContainerType::libvirt_lxc},
      {"/system.slice/runc-bpm-gorouter.scope", "gorouter", ContainerType::bpm},
  };
  for (const Case& c : kCases) {
    const auto match = match_cgroup_path(c.path);
    ASSERT_TRUE(match) << c.path;
    EXPECT_EQ(match->id, c.id) << c.path;
    EXPECT_EQ(match->full_id, c.id) << c.path;
    EXPECT_EQ(match->type, c.type) << c.path;
  }
}

TEST(CgroupId, HostsStayHosts) {
  const std::string upper(64, 'A');
  for (const std::string& path : std::initializer_list<std::string>{"/",
                                                                    "",
                                                                    "/user.slice/user-1000.slice/session-3.scope",
                                                                    "/system.slice/ssh.service",
                                                                    "/init.scope",
                                                                    "/process_api/9bb093a8e9b4db48098ef211934ed2b0",
                                                                    "/jobs/build-1",
                                                                    "/docker",
                                                                    "/docker/" + kId.substr(1),
                                                                    "/docker/" + kId + "0",
                                                                    "/docker/" + upper,
                                                                    "/docker/" + kId + "/nested",
                                                                    "/libpod-conmon-" + kId + ".scope",
                                                                    "/system.slice/docker-" + kId + ".service",
                                                                    "/default/user.slice",
                                                                    "/default/",
                                                                    "/default",
                                                                    "/default/a/b",
                                                                    "/bpm-a/b.scope",
                                                                    "/lxc/"})
    EXPECT_FALSE(match_cgroup_path(path)) << path;
}

TEST(CgroupId, BelowAContainersOwn) {
  const std::string outer(64, 'a');
  struct Case {
    std::string path, id;
  };
  const Case cases[] = {
      {"/docker/" + kId + "/system.slice/nginx.service", kId},
      {"/machine.slice/libpod-" + kId + ".scope/container/init.scope", kId},
      {"/docker/" + outer + "/kubepods/pod1/" + kId + "/system.slice", kId},
      {"/docker/" + outer + "/kubelet.slice/kubelet.service", outer},
      {"/user.slice/app.scope", ""},
      {"/", ""},
      {"", ""},
      {"no slash", ""},
  };
  for (const Case& one : cases) {
    const std::string groups = "memory=/x" + std::string(1, '\0') + "=" + one.path;
    const auto match = match_enclosing(groups);
    EXPECT_EQ(match ? match->full_id : "", one.id) << one.path;
  }
}

TEST(CgroupId, FirstMatchingHierarchyWins) {
  const std::string list = "name=systemd=/init.scope" + std::string(1, '\0') + "cpu=/" + std::string(1, '\0') +
                           "memory=/docker/" + kId + std::string(1, '\0') + "=/lxc/web" + std::string(1, '\0');
  const auto match = match_cgroups(list);
  ASSERT_TRUE(match);
  EXPECT_EQ(match->full_id, kId);
  EXPECT_FALSE(match_cgroups("no equals sign"));
  EXPECT_FALSE(match_cgroups(""));
}

TEST(CgroupId, NamespacesAreTheCallersChoice) {
  static constexpr std::string_view kMine[] = {"mine"};
  EXPECT_FALSE(match_cgroup_path("/default/redis", kMine));
  EXPECT_TRUE(match_cgroup_path("/mine/redis", kMine));
}

}  // namespace quell::enrich
