#include "os/runc_state.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace quell::os {
namespace {

namespace fs = std::filesystem;

class RuncStateTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/quell-runc-XXXXXX";
    ASSERT_NE(::mkdtemp(folder), nullptr);
    folder_ = folder;
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const std::string& id, const std::string& json, const std::string& file = "state.json") {
    fs::create_directories(folder_ + "/" + id);
    std::ofstream(folder_ + "/" + id + "/" + file) << json;
  }
  std::string folder_;
};

std::string state(const std::string& id, const std::string& labels, int64_t pid = 0) {
  return R"({"id":")" + id + R"(","init_process_pid":)" + std::to_string(pid) +
         R"(,"init_process_start":7,"created":"2026-11-22T13:13:21.569Z","config":{"rootfs":"/b/rootfs","labels":[)" +
         labels + R"(],"namespaces":[{"type":"NEWNS","path":""},{"type":"NEWPID","path":""}]}})";
}

TEST_F(RuncStateTest, ABareContainerIsNamedByItsIdAndItsRoot) {
  write("job-7", state("job-7", R"("bundle=/b","team=shop")"));
  const auto found = RuncState({folder_}).inspect_exact("job-7");
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->info->full_id, "job-7");
  EXPECT_EQ(found->info->name, "job-7");
  EXPECT_EQ(found->info->image, "/b/rootfs");
  EXPECT_EQ(found->info->image_repository, "");
  EXPECT_EQ(found->info->labels, (std::map<std::string, std::string>{{"team", "shop"}}));
  EXPECT_FALSE(found->info->host_pid);
  EXPECT_TRUE(found->info->host_network);
  EXPECT_GT(found->info->created_s, 1'700'000'000);
  EXPECT_EQ(found->state, ContainerStatus::State::exited) << "its first process is not there";
  EXPECT_EQ(found->pid, -1);
}

TEST_F(RuncStateTest, AnnotationsNameThePod) {
  write("x", state("x", R"("bundle=/run/containerd/io.containerd.runtime.v2.task/k8s.io/x",)"
                        R"("io.kubernetes.cri.container-name=server","io.kubernetes.cri.image-name=docker.io/a/b:1",)"
                        R"("io.kubernetes.cri.sandbox-name=web-0","io.kubernetes.cri.sandbox-namespace=shop")"));
  const auto found = RuncState({folder_}).inspect_exact("x");
  ASSERT_TRUE(found) << found.error().str();
  EXPECT_EQ(found->info->name, "server");
  EXPECT_EQ(found->info->image_repository, "docker.io/a/b");
  EXPECT_EQ(found->info->image_tag, "1");
  EXPECT_EQ(found->info->labels.at("io.kubernetes.pod.name"), "web-0");
  EXPECT_EQ(found->info->labels.at("io.kubernetes.pod.namespace"), "shop");
}

TEST_F(RuncStateTest, ADaemonsContainerWithoutAnnotationsIsLeftToTheDaemon) {
  write("x", state("x", R"("bundle=/run/containerd/io.containerd.runtime.v2.task/moby/x")"));
  EXPECT_EQ(RuncState({folder_}).inspect_exact("x").error().code, Code::not_found);
}

TEST_F(RuncStateTest, WhatCannotBeReadIsNobodys) {
  write("half", R"({"id":"ha)");
  write("other", state("another", ""));
  const RuncState runc({folder_});
  for (const char* id : {"half", "other", "none", "", ".", "..", "../half", "a/b"})
    EXPECT_EQ(runc.inspect_exact(id).error().code, Code::not_found) << id;
  EXPECT_EQ(RuncState({folder_ + "/absent"}).inspect_exact("x").error().code, Code::unavailable);
  EXPECT_TRUE(runc.is_present());
  EXPECT_FALSE(RuncState({folder_ + "/absent"}).is_present());
}

TEST_F(RuncStateTest, FindsWhoLivesInACgroup) {
  write("job-7", "{}");
  write("early", "", "exec.fifo");  // runc has begun with it
  write("empty", "", "nothing");
  fs::create_directories(folder_ + "/space");
  const RuncState runc({folder_, folder_ + "/*"});
  const auto nul = [](std::string text) { return text + std::string(1, '\0'); };
  EXPECT_EQ(runc.id_of_cgroups(nul("pids=/batch/job-7") + nul("=/batch/job-7")), "job-7");
  EXPECT_EQ(runc.id_of_cgroups(nul("memory=/other/place") + nul("=/system.slice/runc-job-7.scope")), "job-7");
  EXPECT_EQ(runc.id_of_cgroups(nul("=/early")), "early");
  for (const std::string& none :
       {nul("=/"), nul("=/empty"), nul("=/job-7/inner"), nul("=/.."), nul("job-7"), std::string()})
    EXPECT_EQ(runc.id_of_cgroups(none), "") << none;
}

}  // namespace
}  // namespace quell::os
