#include "capture/proc/process_text.h"

#include <fcntl.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <array>

#include "base/text.h"

namespace quell::capture::proc {
namespace {

/// The next line of `text`, which shrinks by it.
std::string_view next_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

/// The next blank-separated word; empty at the end.
std::string_view next_word(std::string_view& text) {
  const size_t start = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(start);
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

int64_t number(std::string_view word, int64_t otherwise = -1) {
  int64_t value = 0;
  return parse_i64(word, value) ? value : otherwise;
}
uint64_t unsigned_number(std::string_view word, int base = 10) {
  uint64_t value = 0;
  return parse_u64(word, value, base) ? value : 0;
}
uint32_t id_number(std::string_view word) {
  uint64_t value = 0;
  return parse_u64(word, value) && value <= UINT32_MAX ? static_cast<uint32_t>(value) : UINT32_MAX;
}

/// Values of an "NSpid:"-like line: one per pid namespace, the innermost last.
std::pair<int64_t, size_t> innermost(std::string_view words) {
  int64_t last = -1;
  size_t count = 0;
  for (std::string_view word = next_word(words); !word.empty(); word = next_word(words), ++count) last = number(word);
  return {last, count};
}

/// mountinfo writes blanks and backslashes of paths as three octal digits.
std::string unescape_octal(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    uint64_t code = 0;
    if (text[i] == '\\' && i + 3 < text.size() && parse_u64(text.substr(i + 1, 3), code, 8) && code < 256) {
      out += static_cast<char>(code);
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

std::optional<StatFacts> parse_stat(std::string_view text) {
  // The name of a thread is free text: it ends at the last parenthesis, not at the first.
  const size_t open = text.find('('), close = text.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  StatFacts out;
  std::string_view head = text.substr(0, open), rest = text.substr(close + 1);
  out.pid = number(next_word(head));
  out.comm = text.substr(open + 1, close - open - 1);
  std::array<std::string_view, 20> field{};  // from field 3, the state, to field 22, the start time
  for (std::string_view& word : field) word = next_word(rest);
  if (out.pid < 0 || field[0].empty() || field[19].empty()) return {};
  out.state = field[0][0];
  out.ppid = number(field[1]);
  out.pgrp = number(field[2]);
  out.session = number(field[3]);
  out.tty = static_cast<uint32_t>(number(field[4], 0));
  out.minor_faults = unsigned_number(field[7]);
  out.major_faults = unsigned_number(field[9]);
  out.start_ticks = unsigned_number(field[19]);
  return out;
}

StatusFacts parse_status(std::string_view text) {
  StatusFacts out;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view key = line.substr(0, colon);
    std::string_view words = line.substr(colon + 1);
    const auto kilobytes = [&] {
      return static_cast<uint32_t>(std::min<uint64_t>(unsigned_number(next_word(words)), UINT32_MAX));
    };
    if (key == "Tgid") {
      out.tgid = number(next_word(words));
    } else if (key == "PPid") {
      out.ppid = number(next_word(words));
    } else if (key == "Uid") {  // real, effective, saved, file system
      next_word(words);
      out.euid = id_number(next_word(words));
    } else if (key == "Gid") {
      next_word(words);
      out.egid = id_number(next_word(words));
    } else if (key == "Groups") {
      for (std::string_view word = next_word(words); !word.empty(); word = next_word(words))
        out.groups.push_back(id_number(word));
    } else if (key == "NStgid") {
      out.vpid = innermost(words).first;
    } else if (key == "NSpid") {
      const auto [last, depth] = innermost(words);
      out.vtid = last;
      out.in_pid_namespace = depth > 1;
    } else if (key == "NSpgid") {
      out.vpgid = innermost(words).first;
    } else if (key == "CapInh") {
      out.cap_inheritable = unsigned_number(next_word(words), 16);
    } else if (key == "CapPrm") {
      out.cap_permitted = unsigned_number(next_word(words), 16);
    } else if (key == "CapEff") {
      out.cap_effective = unsigned_number(next_word(words), 16);
    } else if (key == "VmSize") {
      out.vm_size_kb = kilobytes();
    } else if (key == "VmRSS") {
      out.vm_rss_kb = kilobytes();
    } else if (key == "VmSwap") {
      out.vm_swap_kb = kilobytes();
    }
  }
  return out;
}

std::string bounded_list(std::string_view text, size_t limit) {
  std::string out(text.substr(0, limit));
  if (!out.empty() && out.back() != '\0' && out.size() < limit) out += '\0';
  return out;
}

CommandLine parse_cmdline(std::string_view text, size_t args_limit) {
  CommandLine out;
  const size_t end = text.find('\0');
  out.exe = text.substr(0, end);
  if (end != std::string_view::npos) out.args = bounded_list(text.substr(end + 1), args_limit);
  return out;
}

std::string parse_cgroups(std::string_view text, const std::vector<std::string>& unified_controllers) {
  std::string out;
  const auto add = [&](std::string_view controller, std::string_view path) {
    if (controller.empty()) return;
    out.append(controller).append("=").append(path).push_back('\0');
  };
  while (!text.empty()) {
    // "4:cpu,cpuacct:/path"; a path may hold colons.
    const std::string_view line = next_line(text);
    const size_t first = line.find(':');
    const size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1), path = line.substr(second + 1);
    if (controllers.empty())
      for (const std::string& controller : unified_controllers) add(controller, path);
    else if (!controllers.starts_with("name="))
      for (const std::string_view controller : split(controllers, ',')) add(controller, path);
  }
  return out;
}

int64_t parse_fd_limit(std::string_view text) {
  static constexpr std::string_view kName = "Max open files";
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (!line.starts_with(kName)) continue;
    line.remove_prefix(kName.size());
    return number(next_word(line));
  }
  return -1;
}

uint32_t portable_open_flags(uint32_t kernel_flags) {
  // O_LARGEFILE is 0 in the C library of 64-bit machines, but the kernel sets and shows its own.
#if defined(__aarch64__)
  constexpr uint32_t kLargeFile = 0400000;
#else
  constexpr uint32_t kLargeFile = 0100000;
#endif
  struct Pair {
    uint32_t kernel, portable;
  };
  static constexpr Pair kPairs[] = {
      {O_CREAT, 4},   {O_APPEND, 8},   {O_DSYNC, 16},       {O_EXCL, 32},       {O_NONBLOCK, 64},  {O_SYNC, 128},
      {O_TRUNC, 256}, {O_DIRECT, 512}, {O_DIRECTORY, 1024}, {kLargeFile, 2048}, {O_CLOEXEC, 4096}, {O_TMPFILE, 8192},
  };
  uint32_t out = 0;
  switch (kernel_flags & O_ACCMODE) {
    case O_RDONLY: out = 1; break;
    case O_WRONLY: out = 2; break;
    case O_RDWR: out = 3; break;
    default: break;
  }
  // Some flags consist of several bits (O_SYNC holds O_DSYNC).
  for (const Pair& pair : kPairs)
    if ((kernel_flags & pair.kernel) == pair.kernel) out |= pair.portable;
  return out;
}

FdInfo parse_fdinfo(std::string_view text) {
  FdInfo out;
  while (!text.empty()) {
    const std::string_view line = next_line(text);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view words = line.substr(colon + 1);
    if (line.starts_with("flags:"))
      out.open_flags = portable_open_flags(static_cast<uint32_t>(unsigned_number(next_word(words), 8)));
    else if (line.starts_with("Pid:"))
      out.pid = std::max<int64_t>(0, number(next_word(words)));
  }
  return out;
}

std::string_view without_deleted(std::string_view path) {
  static constexpr std::string_view kMark = " (deleted)";
  if (path.ends_with(kMark)) path.remove_suffix(kMark.size());
  return path;
}

LinkFacts parse_fd_link(std::string_view link) {
  LinkFacts out;
  out.name = link;
  const auto bracketed = [&](std::string_view prefix) {
    return link.starts_with(prefix) && link.ends_with(']')
               ? unsigned_number(link.substr(prefix.size(), link.size() - prefix.size() - 1))
               : 0;
  };
  if (link.starts_with("socket:[")) {
    out.ino = bracketed("socket:[");
    out.is_socket = true;
  } else if (link.starts_with("pipe:[")) {
    out.type = FdType::fifo;
    out.ino = bracketed("pipe:[");
  } else if (link.starts_with("/memfd:")) {
    out.type = FdType::memfd;
    out.name = without_deleted(link.substr(std::string_view("/memfd:").size()));
  } else if (link.starts_with('/')) {
    out.type = FdType::file;
    out.is_path = true;
    out.name = without_deleted(link);
  } else if (link.starts_with("anon_inode:")) {
    struct Row {
      std::string_view name;
      FdType type;
    };
    static constexpr Row kRows[] = {
        {"[eventfd]", FdType::event},     {"[eventpoll]", FdType::eventpoll}, {"[signalfd]", FdType::signalfd},
        {"[timerfd]", FdType::timerfd},   {"inotify", FdType::inotify},       {"[userfaultfd]", FdType::userfaultfd},
        {"[io_uring]", FdType::io_uring}, {"[pidfd]", FdType::pidfd},         {"bpf-map", FdType::bpf},
        {"bpf-prog", FdType::bpf},        {"bpf_link", FdType::bpf},          {"[bpf-map]", FdType::bpf},
        {"[bpf-prog]", FdType::bpf},      {"[bpf_link]", FdType::bpf},        {"btf", FdType::bpf},
    };
    const std::string_view name = link.substr(std::string_view("anon_inode:").size());
    for (const Row& row : kRows)
      if (row.name == name) out.type = row.type;
  }
  return out;
}

uint32_t encode_dev(uint64_t dev) {
  const uint32_t major = gnu_dev_major(dev), minor = gnu_dev_minor(dev);
  return (minor & 0xFF) | (major << 8) | ((minor & ~0xFFu) << 12);
}

std::vector<User> parse_passwd(std::string_view text) {
  std::vector<User> out;
  while (!text.empty()) {
    const std::vector<std::string_view> field = split(next_line(text), ':');  // name:password:uid:gid:gecos:home:shell
    if (field.size() < 7 || field[0].empty() || id_number(field[2]) == UINT32_MAX) continue;
    out.push_back({id_number(field[2]), id_number(field[3]), std::string(field[0]), std::string(field[5]),
                   std::string(field[6])});
  }
  return out;
}

std::vector<Group> parse_group(std::string_view text) {
  std::vector<Group> out;
  while (!text.empty()) {
    const std::vector<std::string_view> field = split(next_line(text), ':');  // name:password:gid:members
    if (field.size() < 3 || field[0].empty() || id_number(field[2]) == UINT32_MAX) continue;
    out.push_back({id_number(field[2]), std::string(field[0])});
  }
  return out;
}

uint64_t parse_btime(std::string_view text) {
  while (!text.empty()) {
    std::string_view line = next_line(text);
    if (next_word(line) == "btime") return unsigned_number(next_word(line));
  }
  return 0;
}

std::optional<OverlayMount> find_overlay(std::string_view mountinfo, std::string_view path) {
  // "36 35 98:0 /root /mount/point rw,noatime shared:1 - overlay source rw,lowerdir=...,upperdir=...,workdir=..."
  std::optional<OverlayMount> best;
  size_t best_length = 0;
  while (!mountinfo.empty()) {
    const std::string_view line = next_line(mountinfo);
    const size_t dash = line.find(" - ");
    if (dash == std::string_view::npos) continue;
    std::string_view head = line.substr(0, dash), tail = line.substr(dash + 3);
    for (int i = 0; i < 4; ++i) next_word(head);
    const std::string point = unescape_octal(next_word(head));
    const bool covers =
        path.starts_with(point) && (point == "/" || path.size() == point.size() || path[point.size()] == '/');
    // A later mount on the same point hides the earlier one.
    if (point.empty() || !covers || point.size() < best_length) continue;
    best_length = point.size();
    best.reset();
    if (next_word(tail) != "overlay") continue;
    next_word(tail);
    for (const std::string_view option : split(next_word(tail), ','))
      if (option.starts_with("upperdir=/")) best = OverlayMount{point, unescape_octal(option.substr(9))};
  }
  return best;
}

}  // namespace quell::capture::proc
