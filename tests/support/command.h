#pragma once
// Starting other programs from tests.
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"

namespace quell::test {

/// Runs a program of PATH to its end and returns its standard output. Errors: io with its standard error's text when it
/// exits with anything but 0.
Result<std::string> run_command(const std::vector<std::string>& argv);

/// Starts a program in the background in a session of its own, its output appended to `log`. The caller reaps it.
Result<pid_t> start_program(const std::vector<std::string>& argv, const std::string& log);

/// Whether PATH (and the sbin folders) has a program of that name.
bool have_program(const std::string& name);

}  // namespace quell::test
