#pragma once
// What somebody wants to see of the events, told to a source that can leave the rest out. Always an over-approximation:
// a source may deliver more, and whoever asks must say yes to what it cannot judge.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "model/event_schema.h"

namespace quell {

/// When an exit event is wanted, by the sign of its return value and, for events that open files, by its flags (as
/// events carry them): if any bit of the mask is set in them. kAlways needs no look at flags, 0 is never.
struct Need {
  static constexpr uint32_t kAlways = ~uint32_t{0};
  uint32_t on_success = kAlways;
  uint32_t on_failure = kAlways;
  bool operator==(const Need&) const = default;
};

/// What file names decide about events of one type. An event that its Need wants is wanted if `any_name` wants it, too,
/// or if one of its names begins with one of the prefixes, or cannot be compared as it stands: is relative, long, or
/// has parts to be folded.
struct NameTest {
  static constexpr size_t kMaxPrefixes = 16, kMaxLength = 64;
  Need any_name;                      // by default: names decide nothing
  std::vector<std::string> prefixes;  // absolute; at most so many and so long
  bool operator==(const NameTest&) const = default;
};

struct Interest {
  Interest() = default;
  /// Those events, without further conditions.
  Interest(std::vector<bool> wanted) : codes(std::move(wanted)) {}  // NOLINT: a list of events is an interest

  /// By EventCode. What keeps the tables true is delivered in any case, within the bounds below.
  std::vector<bool> codes;
  /// Calls without an event of their own, by SyscallSpec::code; empty: all of them. Counts if codes[GENERIC_X].
  std::vector<bool> generic_calls;
  /// By EventCode; empty: always. For events that keep the tables true the source may only follow it where they stay
  /// true: failed calls, and plain files under `plain_files_matter`.
  std::vector<Need> needs;
  /// By EventCode; empty: names decide nothing. For events with file names (has_file_names).
  std::vector<NameTest> names;
  /// Somebody asks other events than opens about their descriptor, so every opened file must be known.
  bool plain_files_matter = true;

  /// The same events, whatever their results, flags and names.
  Interest unfiltered() const {
    Interest all(codes);
    all.generic_calls = generic_calls;
    return all;
  }

  bool wants(EventCode code) const { return code < codes.size() && codes[code]; }
  bool wants_generic(uint16_t call) const {
    return wants(ev::GENERIC_X) && (generic_calls.empty() || (call < generic_calls.size() && generic_calls[call]));
  }
  Need need(EventCode code) const { return code < needs.size() ? needs[code] : Need{}; }
  const NameTest& name_test(EventCode code) const {
    static const NameTest kNone;
    return code < names.size() ? names[code] : kNone;
  }
};

/// The calls that open a file by its name, and whose flags a Need may ask about (creat has none).
constexpr bool opens_file(EventCode code) {
  return code == ev::SYSCALL_OPEN_X || code == ev::SYSCALL_OPENAT_2_X || code == ev::SYSCALL_OPENAT2_X ||
         code == ev::SYSCALL_CREAT_X;
}

/// The calls on files by their names whose events a NameTest may be about.
constexpr bool has_file_names(EventCode code) {
  switch (code) {
    case ev::SYSCALL_LINK_2_X:
    case ev::SYSCALL_LINKAT_2_X:
    case ev::SYSCALL_UNLINK_2_X:
    case ev::SYSCALL_UNLINKAT_2_X:
    case ev::SYSCALL_RENAME_X:
    case ev::SYSCALL_RENAMEAT_X:
    case ev::SYSCALL_RENAMEAT2_X:
    case ev::SYSCALL_SYMLINK_X:
    case ev::SYSCALL_SYMLINKAT_X:
    case ev::SYSCALL_MKDIR_2_X:
    case ev::SYSCALL_MKDIRAT_X:
    case ev::SYSCALL_RMDIR_2_X:
    case ev::SYSCALL_MKNOD_X:
    case ev::SYSCALL_MKNODAT_X:
    case ev::SYSCALL_CHMOD_X:
    case ev::SYSCALL_FCHMODAT_X:
    case ev::SYSCALL_CHOWN_X:
    case ev::SYSCALL_LCHOWN_X:
    case ev::SYSCALL_FCHOWNAT_X:
    case ev::SYSCALL_STAT_X:
    case ev::SYSCALL_LSTAT_X:
    case ev::SYSCALL_NEWFSTATAT_X:
    case ev::SYSCALL_ACCESS_X: return true;
    default: return opens_file(code);
  }
}

}  // namespace quell
