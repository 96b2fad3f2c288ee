#pragma once
// Containers that runc alone starts: no daemon knows them. Everything lies below the folder given.
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quell::test {

struct BareSpec {
  std::string id;
  std::vector<std::string> command;
  std::string cgroup;  // "/parent/ID"
  std::map<std::string, std::string> annotations = {};
  bool host_pid = false;
};

class BareRunc {
 public:
  /// Makes the root file system that all containers share (read-only to them): the given programs, by path inside and
  /// file of this machine.
  static Result<BareRunc> create(const std::string& folder,
                                 const std::vector<std::pair<std::string, std::string>>& programs);

  /// Where runc keeps their state; for --runc-root.
  std::string root() const { return folder_ + "/state"; }
  std::string rootfs() const { return folder_ + "/rootfs"; }
  Result<void> run(const BareSpec& spec) const;
  Result<void> remove(const std::string& id) const;

 private:
  explicit BareRunc(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

}  // namespace quell::test
