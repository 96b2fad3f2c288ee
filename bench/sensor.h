#pragma once
// A running `quell up` that sees one cgroup made for the benchmark, and loads that run inside that cgroup.
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::bench {

/// A cgroup v2 of this benchmark; removed at the end.
class LoadGroup {
 public:
  static Result<std::unique_ptr<LoadGroup>> create();
  ~LoadGroup();
  const std::string& relative() const { return relative_; }  // below the v2 mount
  /// Runs `work` in a forked child inside the group; returns the ns that it reports. 0 if it failed.
  double run(const std::function<double()>& work) const;
  /// Starts `work` in a forked child inside the group and lets it run.
  pid_t start(const std::function<void()>& work) const;

 private:
  std::string path_, relative_;
};

/// Waits until the programs of sensors that ended are off their tracepoints (the processes "quell-detach" are gone):
/// until then every call of the machine still pays for them. At most 60 s.
void wait_for_quiet_tracepoints();

class Sensor {
 public:
  /// Starts and waits until it says that it is ready. Its stdout is a pipe that read_line() reads.
  static Result<std::unique_ptr<Sensor>> start(const LoadGroup& group, const std::vector<std::string>& rules);
  ~Sensor();
  /// The next line of stdout, empty after `timeout_ms`.
  std::string read_line(int timeout_ms);
  double cpu_s() const;
  uint64_t rss_kb() const;
  /// Sum of a counter over its labels, from /metrics; -1 if it cannot be read.
  double metric(const std::string& name) const;
  double start_s() const { return start_s_; }

 private:
  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  std::string pending_, address_, folder_;
  double start_s_ = 0;
};

}  // namespace quell::bench
