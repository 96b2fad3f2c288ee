#pragma once
// A running `quell up` for end-to-end tests, and the other commands against it. Everything it started ends with it.
#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"

namespace quell::test {

/// A detection line with the moment (realtime) at which it was in our hands.
struct SeenDetection {
  Json json;
  uint64_t arrival_ns = 0;
  double latency_ms() const {
    return (static_cast<double>(arrival_ns) - static_cast<double>(json.at("quell").at("kernel_ns").u64())) / 1e6;
  }
};

struct CommandResult {
  int exit_code = -1;
  std::string out, err;
};

/// Runs the binary to its end.
CommandResult run_quell(const std::vector<std::string>& arguments);

class QuellUp {
 public:
  /// Starts `quell up` with these arguments after `-o json --data-dir DIR`; waits until it is ready. Null and a test
  /// failure if not.
  static std::unique_ptr<QuellUp> start(const std::vector<std::string>& arguments);
  ~QuellUp();

  const std::string& data_dir() const { return data_dir_; }
  pid_t pid() const { return pid_; }
  /// The first line not yet taken that satisfies `wanted`, within the time; lines before it are dropped and remembered.
  std::optional<SeenDetection> wait_for(const std::function<bool(const Json&)>& wanted, int timeout_ms = 10'000);
  /// Every line seen so far, in order.
  const std::vector<SeenDetection>& all() const { return all_; }
  /// SIGTERM, then its exit code. Lines that it still wrote are in all().
  int stop();
  const std::string& messages() const { return messages_; }
  /// Sum of a metric over its labels, from its /metrics; -1 if there is none of that name.
  double metric(const std::string& name) const;
  /// `quell ARGUMENTS --data-dir DIR`.
  CommandResult command(std::vector<std::string> arguments) const;

 private:
  bool pump(int timeout_ms);
  void take_line(const std::string& line);

  pid_t pid_ = -1;
  int out_ = -1, err_ = -1;
  std::string data_dir_, pending_, messages_;
  std::vector<SeenDetection> all_;
  size_t taken_ = 0;
};

}  // namespace quell::test
