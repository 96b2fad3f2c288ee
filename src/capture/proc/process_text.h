#pragma once
// What the files under /proc/PID say. Pure functions over text, so that odd contents can be tested; nothing here fails:
// a line that is not there leaves its default.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/fd.h"
#include "model/snapshot.h"

namespace quell::capture::proc {

struct StatFacts {  // /proc/PID/stat
  int64_t pid = -1, ppid = -1, pgrp = -1, session = -1;
  std::string_view comm;  // may hold spaces and parentheses; points into the text
  char state = '?';
  uint32_t tty = 0;  // device number of the controlling terminal, 0 none
  uint64_t minor_faults = 0, major_faults = 0;
  uint64_t start_ticks = 0;  // USER_HZ since boot
};
/// Nothing if the text does not look like a stat line.
std::optional<StatFacts> parse_stat(std::string_view text);

struct StatusFacts {  // /proc/PID/status
  int64_t tgid = -1, ppid = -1;
  int64_t vtid = -1, vpid = -1, vpgid = -1;  // in the innermost pid namespace
  bool in_pid_namespace = false;             // below the one whose /proc this is
  uint32_t euid = UINT32_MAX, egid = UINT32_MAX;
  std::vector<uint32_t> groups;
  uint64_t cap_inheritable = 0, cap_permitted = 0, cap_effective = 0;
  uint32_t vm_size_kb = 0, vm_rss_kb = 0, vm_swap_kb = 0;
};
StatusFacts parse_status(std::string_view text);

/// /proc/PID/cmdline: the first argument, and the others with their NULs. A program may have overwritten it with plain
/// text.
struct CommandLine {
  std::string exe, args;
};
CommandLine parse_cmdline(std::string_view text, size_t args_limit);

/// At most `limit` bytes of a NUL-separated list, ending in a NUL unless it had to be cut.
std::string bounded_list(std::string_view text, size_t limit);

/// /proc/PID/cgroup as events carry it: "controller=path" for each controller of each hierarchy, NUL-separated.
/// Hierarchies mounted together give one pair per controller. The unified hierarchy has no controllers in this file:
/// each of `unified_controllers` (its root's cgroup.controllers) gets a pair. Named hierarchies ("name=systemd") are
/// left out, as they are in events of the kernel.
std::string parse_cgroups(std::string_view text, const std::vector<std::string>& unified_controllers);

/// Soft limit of open files in /proc/PID/limits; -1 if unlimited or not there.
int64_t parse_fd_limit(std::string_view text);

struct FdInfo {             // /proc/PID/fdinfo/N
  uint32_t open_flags = 0;  // portable (file_flags table)
  int64_t pid = 0;          // pidfd: whose
};
FdInfo parse_fdinfo(std::string_view text);

/// Open flags of the kernel in the portable numbering of the file_flags table.
uint32_t portable_open_flags(uint32_t kernel_flags);

/// What the target of a link in /proc/PID/fd says. For paths the caller still has to ask which kind of file it is.
struct LinkFacts {
  FdType type = FdType::unsupported;
  std::string name;
  uint64_t ino = 0;
  bool is_socket = false;  // type and name have to be looked up by ino
  bool is_path = false;
};
LinkFacts parse_fd_link(std::string_view link);

/// `path` without the " (deleted)" that the kernel appends to a removed file's path.
std::string_view without_deleted(std::string_view path);

/// Device number as events carry it, from a dev_t.
uint32_t encode_dev(uint64_t dev);

std::vector<User> parse_passwd(std::string_view text);
std::vector<Group> parse_group(std::string_view text);

/// "btime" of /proc/stat in seconds since the epoch; 0 if not there.
uint64_t parse_btime(std::string_view text);

/// Where an overlay keeps its changes: from /proc/PID/mountinfo, the mount that `path` is on. Nothing if that is no
/// overlay with a host path as upper directory.
struct OverlayMount {
  std::string mount_point, upper_dir;
};
std::optional<OverlayMount> find_overlay(std::string_view mountinfo, std::string_view path);

}  // namespace quell::capture::proc
