#pragma once
// Takes a file out of reach and brings it back as it was. It is renamed into ".quell-quarantine", a folder of mode 0700
// on the same mount, and loses its mode bits: nobody can execute it any more, root neither, and its other names (hard
// links) are as dead as this one. Whoever runs it goes on running: end that process too.
// The order of calls: plan_quarantine (changes nothing) → acquire_file, whose hash goes into the record → the record is
// written down → quarantine. look_quarantine and restore need the record alone, after a crash at any point.
// Limits: root inside a container that shares the mount can still read and rename what is in the folder; ctime is the
// kernel's; the folder that held the file keeps its new modification time.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "os/file_attributes.h"
#include "os/file_place.h"

namespace quell::os {

inline constexpr std::string_view kQuarantineFolder = ".quell-quarantine";

struct QuarantineRecord {
  std::string path;    // as FilePlace::path, in the root of the process that the caller remembers beside this
  std::string tag;     // 8 to 64 hex digits of the action: the file is called "q-TAG" meanwhile
  std::string sha256;  // of the evidence copy; set by the caller before quarantine()
  FileAttributes attributes;
  uint64_t folder_device = 0, folder_inode = 0;  // of the folder that holds the file
  std::string quarantine_folder;                 // where it will be, for people
  std::string layer;                             // overlay_layer(): "lower" comes back when the container is made anew
  std::vector<std::string> other_names;          // hard links, below the mount's root; bounded search
  bool all_names_known = true;
  std::vector<std::string> warnings;  // sentences for people
};
void write_json(JsonWriter& out, const QuarantineRecord& record);
/// Errors: malformed.
Result<QuarantineRecord> quarantine_record_from_json(const Json& json);

/// Why this file must stay where it is (who needs it); empty: nothing against it.
using QuarantineGuard = std::function<std::string(const FileAttributes& attributes, const std::string& path)>;

/// Errors: not_found, gone; invalid_argument (tag, path); refused (not a regular file, a link, a mount point, a
/// read-only file system, below /proc, /sys or /dev except /dev/shm, already quarantined, mapped by this process, what
/// the guard says); as open_place.
Result<QuarantineRecord> plan_quarantine(const Os& os, const FilePlace& place, const std::string& tag,
                                         const QuarantineGuard& guard);

enum class QuarantineState : uint8_t {
  original,    // the file is where it was
  unfinished,  // renamed, the mode bits still on it: a crash in between
  quarantined,
  altered,  // in the folder, but not as we left it: another inode, or mode bits that neither of us set
  missing   // neither here nor there
};
std::string_view to_string(QuarantineState state);
struct QuarantineLook {
  QuarantineState state = QuarantineState::missing;
  bool is_path_occupied = false;  // something else has the file's name now
};
/// Asks the file system only. Errors: gone (the process whose root it is; its folder), as open_place.
Result<QuarantineLook> look_quarantine(const Os& os, const FilePlace& place, const QuarantineRecord& record);

/// Doing it twice is doing it once; after a crash it finishes. Returns when both folders are flushed. Errors: stale
/// (another file has the name, or its content is not the copied one); gone; conflict (altered); refused (read-only);
/// permission_denied; io.
Result<void> quarantine(const Os& os, const FilePlace& place, const QuarantineRecord& record);

/// Brings back name, owner, mode, times, extended attributes and flags. Doing it twice is doing it once. Errors:
/// conflict (the path is occupied; its folder is another one now; the file is not what we left there), gone (missing).
Result<void> restore(const Os& os, const FilePlace& place, const QuarantineRecord& record);

/// Empty if this process can do it, else why not in one sentence.
std::string why_no_quarantine();

}  // namespace quell::os
