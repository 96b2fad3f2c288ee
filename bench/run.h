#pragma once
// Running programs and reading what they cost.
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace quell::bench {

struct Usage {
  int status = -1;
  double cpu_s = 0;  // user + system
  double wall_s = 0;
  uint64_t max_rss_kb = 0;
};
/// Runs to its end, stdout to `stdout_path`, stderr to `stderr_path`.
Usage run(const std::vector<std::string>& command, const std::string& stdout_path = "/dev/null",
          const std::string& stderr_path = "/dev/null");

/// Instructions that the program executes, by valgrind's callgrind; 0 if valgrind is not installed.
uint64_t instructions(const std::vector<std::string>& command);

/// `name: value unit`, flushed.
void figure(const std::string& name, double value, const std::string& unit);
bool has_flag(int argc, char** argv, const std::string& flag);
std::string quell_binary();  // $QUELL
/// A folder of this run, removed at exit.
const std::string& scratch();

}  // namespace quell::bench
