#pragma once
// The kernel's tracepoints of single system calls ("sys_exit_openat"), with a program on each. A call without one pays
// only for the kernel's look at its number.
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace quell::capture {

class CallTracepoints {
 public:
  /// Finds where the kernel lists its tracepoints; mounts that list for this process alone if it is mounted nowhere.
  /// Errors: unsupported (no tracefs, or not for us).
  static Result<CallTracepoints> open();
  CallTracepoints(CallTracepoints&& other) noexcept;
  CallTracepoints& operator=(CallTracepoints&&) = delete;
  /// Taking a program off such a tracepoint makes the kernel wait some 50 ms for each, one after the other. A child of
  /// the init process does that after us: the programs are there, and told to do nothing, for a few seconds more.
  ~CallTracepoints();

  /// Whether the kernel can trace the return of this call (a call that it was built without has no tracepoint).
  bool has(std::string_view call) const;
  struct Attachment {
    std::string_view call;
    int program_fd;
  };
  /// All of them or none. Errors: those of the kernel, which puts at most 64 programs on one tracepoint, those that are
  /// being taken off among them.
  Result<void> attach(const std::vector<Attachment>& attachments);

 private:
  explicit CallTracepoints(int directory_fd) : directory_fd_(directory_fd) {}
  int id_of(std::string_view call) const;

  int directory_fd_ = -1;  // of the folder that has one folder for each tracepoint
  std::vector<int> events_;
};

}  // namespace quell::capture
