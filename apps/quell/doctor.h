#pragma once
// What this machine gives to a running quell, and what it withholds: each check names what is missing and what to do.
#include <string>
#include <string_view>
#include <vector>

#include "os/runtime.h"

namespace quell::cli {

struct DoctorOptions {
  os::RuntimeSockets sockets = os::find_runtime_sockets();
  std::string data_dir;
  std::string server;              // of a quell that may be running (Globals::server_or_default())
  std::vector<std::string> rules;  // empty: the installed ones
};

struct Finding {
  enum class Status { ok, warning, failure };
  std::string check;  // "kernel", "btf", "runtime:docker"
  Status status = Status::ok;
  std::string found;   // one sentence: what is there, or what is missing and what that costs
  std::string remedy;  // what to do about it; empty when all is well
};
std::string_view to_string(Finding::Status status);

/// Every check, in an order in which each can be understood: the kernel first, the running quell last. Changes nothing.
std::vector<Finding> examine(const DoctorOptions& options);

}  // namespace quell::cli
