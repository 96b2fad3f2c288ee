// A place to try things by hand: a private dockerd and containerd with one container called web, until its input ends.
//   build/dev/tests/support/container_playground     then, in another terminal, what it prints
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <string>

#include "support/container_env.h"

int main() {
  using quell::test::ContainerEnv;
  if (const std::string why = ContainerEnv::missing(); !why.empty()) {
    std::fprintf(stderr, "container_playground: %s\n", why.c_str());
    return 1;
  }
  const auto env = ContainerEnv::start();
  if (!env) {
    std::fprintf(stderr, "container_playground: %s\n", env.error().str().c_str());
    return 1;
  }
  const auto id = (*env)->run_docker({.name = "web"});
  if (!id) {
    std::fprintf(stderr, "container_playground: %s\n", id.error().str().c_str());
    return 1;
  }
  std::printf("export DOCKER_HOST=unix://%s\n", (*env)->sockets().docker.c_str());
  std::printf("quell up --scope cgroup:%s --docker-socket %s --containerd-socket %s\n", (*env)->cgroup_root().c_str(),
              (*env)->sockets().docker.c_str(), (*env)->sockets().containerd.c_str());
  std::printf("running until this input ends (Ctrl-D)\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
  }
  return 0;
}
