#pragma once
// Where behaviours are played: real containers, and for the host a root folder, a network and a control group that hold
// nothing of this machine.
#include <memory>
#include <string>

#include "base/result.h"
#include "behaviours.h"
#include "support/container_env.h"

namespace quell::test {

class Stage {
 public:
  /// Why it cannot be built here; empty when it can.
  static std::string missing();
  /// `player` is the program that player.c makes.
  static Result<std::unique_ptr<Stage>> build(const std::string& player);
  ~Stage();

  /// Performs it and waits until nothing of it lives any more. Errors: io, and those of the runtime.
  Result<void> play(const Behaviour& behaviour);
  /// The control group, from the root of its hierarchy, that holds it and little else.
  std::string group_of(const Behaviour& behaviour) const;
  /// The one that holds everything.
  const std::string& root_group() const { return env_->cgroup_root(); }
  os::RuntimeSockets sockets() const { return env_->sockets(); }

 private:
  Stage() = default;
  Result<void> play_on_host(const Behaviour& behaviour);
  Result<void> play_in(const std::string& container, const std::vector<std::string>& command);
  Result<std::string> run_privileged(char digit);
  std::string privileged_group(const std::string& id) const;

  std::unique_ptr<ContainerEnv> env_;
  std::string player_, group_, root_;
  std::string container_, privileged_;  // full ids
};

}  // namespace quell::test
