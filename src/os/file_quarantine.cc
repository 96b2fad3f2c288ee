#include "os/file_quarantine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "os/file_acquire.h"
#include "os/link_search.h"
#include "os/self_rights.h"

namespace quell::os {
namespace {

constexpr uint64_t kMaxHashed = 64ull << 30;
constexpr int kMaxDepth = 256;  // folders between a file and its mount's root

std::string quarantined_name(const QuarantineRecord& record) { return "q-" + record.tag; }

bool is_tag(std::string_view tag) {
  return tag.size() >= 8 && tag.size() <= 64 && tag.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string shown_path(int fd) {
  char buffer[4096];
  const ssize_t size = ::readlink(path_of(fd).c_str(), buffer, sizeof buffer);
  return size > 0 ? std::string(buffer, static_cast<size_t>(size)) : std::string();
}

/// The folders from the root of the mount down to `folder`, O_PATH.
Result<std::vector<Descriptor>> folders_of_mount(int folder) {
  std::vector<Descriptor> folders;
  QUELL_TRY(Descriptor current, open_at(folder, ".", O_PATH | O_DIRECTORY));
  QUELL_TRY(const uint64_t mount, mount_id_of(folder));
  for (int depth = 0; depth < kMaxDepth; ++depth) {
    QUELL_TRY(Descriptor parent, open_at(current.get(), "..", O_PATH | O_DIRECTORY | O_NOFOLLOW));
    struct stat here {
    }, above{};
    if (::fstat(current.get(), &here) != 0 || ::fstat(parent.get(), &above) != 0)
      return errno_error(errno, "cannot look at a folder");
    QUELL_TRY(const uint64_t above_mount, mount_id_of(parent.get()));
    folders.push_back(std::move(current));
    if (above_mount != mount || (here.st_dev == above.st_dev && here.st_ino == above.st_ino)) {
      std::reverse(folders.begin(), folders.end());
      return folders;
    }
    current = std::move(parent);
  }
  return Error{Code::limit, fmt::format("more than {} folders deep", kMaxDepth), {}};
}

/// Nobody but us can rename what is in it.
bool is_ours(int folder) {
  struct stat info {};
  return ::fstat(folder, &info) == 0 && info.st_uid == ::geteuid() &&
         ((info.st_mode & 022) == 0 || (info.st_mode & S_ISVTX) != 0);
}

/// The quarantine of one folder, if it is there and nobody else's. Somebody may have made one before us, to look
/// inside.
Result<Descriptor> open_quarantine_in(int folder) {
  QUELL_TRY(Descriptor inside, open_at(folder, std::string(kQuarantineFolder), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  struct stat info {};
  if (::fstat(inside.get(), &info) != 0) return errno_error(errno, "cannot look at the quarantine");
  if (info.st_uid != ::geteuid() || (info.st_mode & 0777) != 0700)
    return Error{Code::refused, "the quarantine belongs to somebody else", shown_path(inside.get())};
  return inside;
}

/// The last one out takes the quarantine's folder with it.
void remove_if_empty(int quarantine_folder) {
  if (const auto up = open_at(quarantine_folder, "..", O_PATH | O_DIRECTORY))
    (void)::unlinkat(up->get(), kQuarantineFolder.data(), AT_REMOVEDIR);
}

/// In which folders to try, best first: the mount's root, or the nearest to it that is ours.
std::vector<size_t> choices(const std::vector<Descriptor>& folders) {
  std::vector<size_t> order;
  for (size_t i = 0; i < folders.size(); ++i)
    if (is_ours(folders[i].get())) order.push_back(i);
  for (size_t i = 0; i < folders.size(); ++i)
    if (!is_ours(folders[i].get())) order.push_back(i);
  return order;
}

Result<Descriptor> make_quarantine(int folder) {
  QUELL_TRY(const std::vector<Descriptor> folders, folders_of_mount(folder));
  Error last{Code::refused, "no folder of this mount can hold the quarantine", {}};
  for (const size_t index : choices(folders)) {
    const int at = folders[index].get();
    if (::mkdirat(at, kQuarantineFolder.data(), 0700) != 0 && errno != EEXIST) {
      last = errno_error(errno, "cannot make the quarantine", shown_path(at));
      continue;
    }
    auto inside = open_quarantine_in(at);
    if (inside) return inside;
    last = inside.error();
  }
  return last;
}

/// The folder in which the record's file lies, wherever on the way to the mount's root it was put.
struct Found {
  Descriptor folder, file;  // file is O_PATH; empty if it is nowhere
};
Result<Found> find_quarantined(int folder, const QuarantineRecord& record) {
  QUELL_TRY(const std::vector<Descriptor> folders, folders_of_mount(folder));
  for (const Descriptor& candidate : folders) {
    auto inside = open_quarantine_in(candidate.get());
    if (!inside) continue;
    auto file = open_at(inside->get(), quarantined_name(record), O_PATH | O_NOFOLLOW);
    if (file) return Found{std::move(*inside), std::move(*file)};
  }
  return Found{};
}

/// On an overlay of several file systems a file changes its number when it is first written to: then its content says
/// who it is.
bool is_recorded_file(int fd, const FileAttributes& now, const QuarantineRecord& record) {
  if (now.is_same_file(record.attributes)) return true;
  if (record.layer != "lower" || record.sha256.empty() || now.size != record.attributes.size) return false;
  const auto hash = hash_file(fd, kMaxHashed);
  return hash && *hash == record.sha256;
}

bool has_recorded_content(int fd, const FileAttributes& now, const QuarantineRecord& record) {
  if (now.size != record.attributes.size) return false;
  const auto hash = hash_file(fd, kMaxHashed);
  return hash && *hash == record.sha256;
}

Result<void> rename_new(int from, const std::string& name, int to, const std::string& new_name) {
  if (::syscall(SYS_renameat2, from, name.c_str(), to, new_name.c_str(), RENAME_NOREPLACE) == 0) return {};
  if (errno == EEXIST) return Error{Code::conflict, "the path is occupied", {}};
  if (errno == EROFS) return Error{Code::refused, "the file system is read-only", {}};
  return errno_error(errno, "cannot rename the file");
}

/// Renames and makes sure that it was this file that moved; brings back what was moved in its stead.
Result<void> move_file(int file, int from, const std::string& name, int to, const std::string& new_name) {
  QUELL_CHECK(rename_new(from, name, to, new_name));
  QUELL_TRY(const FileAttributes meant, read_attributes(file));
  const auto moved = open_at(to, new_name, O_PATH | O_NOFOLLOW);
  struct stat info {};
  if (moved && ::fstat(moved->get(), &info) == 0 && info.st_dev == meant.device && info.st_ino == meant.inode)
    return {};
  if (auto back = rename_new(to, new_name, from, name); !back)
    return Error{Code::stale,
                 fmt::format("another file was put in its place and was moved in its stead; it lies in the quarantine "
                             "as {} because it could not be put back: {}",
                             new_name, back.error().message),
                 {}};
  return Error{Code::stale, "another file was put in its place just now", {}};
}

Result<void> flush_folder(int folder) {
  const auto opened = open_at(folder, ".", O_RDONLY | O_DIRECTORY);
  return opened ? sync_file(opened->get(), "folder") : opened.error();
}

std::string why_never(const OpenEntry& entry, const FilePlace& place) {
  const auto mount = mount_of(entry.file.get(), place.process == nullptr ? 0 : place.process->facts().id.pid);
  const auto folder_mount = mount_id_of(entry.folder.get());
  if (!mount || !folder_mount) return "its mount cannot be told";
  if (mount->id != *folder_mount) return "it is a mount point of its own";
  const auto below = [&](std::string_view root) {
    return mount->mount_point == root || mount->mount_point.starts_with(std::string(root) + "/");
  };
  const bool is_shared_memory = mount->mount_point == "/dev/shm";
  if (below("/proc") || below("/sys") || (below("/dev") && !is_shared_memory))
    return "it is part of " + mount->mount_point;
  struct statvfs system {};
  if (::fstatvfs(entry.folder.get(), &system) == 0 && (system.f_flag & ST_RDONLY) != 0)
    return "the file system is read-only";
  if (shown_path(entry.folder.get()).ends_with(kQuarantineFolder)) return "it is in quarantine already";
  return {};
}

}  // namespace

std::string_view to_string(QuarantineState state) {
  switch (state) {
    case QuarantineState::original: return "original";
    case QuarantineState::unfinished: return "unfinished";
    case QuarantineState::quarantined: return "quarantined";
    case QuarantineState::altered: return "altered";
    case QuarantineState::missing: return "missing";
  }
  return "missing";
}

void write_json(JsonWriter& out, const QuarantineRecord& record) {
  out.begin_object();
  out.text("path", record.path).text("tag", record.tag).text("sha256", record.sha256).key("attributes");
  write_json(out, record.attributes);
  out.integer("folder_device", record.folder_device).integer("folder_inode", record.folder_inode);
  out.text("quarantine_folder", record.quarantine_folder).text("layer", record.layer);
  out.texts("other_names", record.other_names).flag("all_names_known", record.all_names_known);
  out.texts("warnings", record.warnings).end_object();
}

Result<QuarantineRecord> quarantine_record_from_json(const Json& json) {
  QuarantineRecord record;
  record.path = json.at("path").str(), record.tag = json.at("tag").str(), record.sha256 = json.at("sha256").str();
  if (!record.path.starts_with('/') || !is_tag(record.tag))
    return Error{Code::malformed, "a recorded quarantine needs a path and a tag", {}};
  QUELL_TRY(record.attributes, file_attributes_from_json(json.at("attributes")));
  record.folder_device = json.at("folder_device").u64(), record.folder_inode = json.at("folder_inode").u64();
  record.quarantine_folder = json.at("quarantine_folder").str(), record.layer = json.at("layer").str();
  record.other_names = json.at("other_names").texts(), record.warnings = json.at("warnings").texts();
  record.all_names_known = json.at("all_names_known").boolean();
  return record;
}

Result<QuarantineRecord> plan_quarantine(const Os& os, const FilePlace& place, const std::string& tag,
                                         const QuarantineGuard& guard) {
  if (!is_tag(tag)) return Error{Code::invalid_argument, "a quarantine's tag is 8 to 64 lower-case hex digits", {}};
  QUELL_TRY(const OpenEntry entry, open_entry(os, place));
  const auto refused = [&](const std::string& why) {
    return Error{Code::refused, "not quarantined: " + why, place.path};
  };
  if (const std::string why = why_not_readable(entry.file.get()); !why.empty()) return refused(why);
  if (const std::string why = why_never(entry, place); !why.empty()) return refused(why);

  QuarantineRecord record;
  record.path = place.path;
  record.tag = tag;
  QUELL_TRY(record.attributes, read_attributes(entry.file.get()));
  QUELL_TRY(const bool is_mapped, has_mapped(::getpid(), record.attributes.device, record.attributes.inode));
  if (is_mapped) return refused("Quell itself runs on it");
  if (guard)
    if (const std::string why = guard(record.attributes, place.path); !why.empty()) return refused(why);

  struct stat folder {};
  if (::fstat(entry.folder.get(), &folder) != 0) return errno_error(errno, "cannot look at the folder", place.path);
  record.folder_device = folder.st_dev, record.folder_inode = folder.st_ino;
  QUELL_TRY(const std::vector<Descriptor> folders, folders_of_mount(entry.folder.get()));
  const int chosen = folders[choices(folders).front()].get();
  record.quarantine_folder = shown_path(chosen);
  if (record.quarantine_folder == "/") record.quarantine_folder.clear();
  record.quarantine_folder += "/" + std::string(kQuarantineFolder);
  if (!is_ours(chosen))
    record.warnings.push_back("no folder of this mount is Quell's alone: its owner can rename the quarantine");
  record.layer = overlay_layer(entry.file.get(), place);
  if (record.layer == "lower")
    record.warnings.push_back("the file is part of the image: it is there again when the container is made anew");
  if (record.attributes.links > 1) {
    LinkSearch search = find_links(folders.front().get(), record.attributes, entry.folder.get(), entry.name);
    record.other_names = std::move(search.names);
    record.all_names_known = search.is_complete;
    record.warnings.push_back(
        fmt::format("the file has {} names: all of them lose their permissions", record.attributes.links));
  }
  return record;
}

Result<QuarantineLook> look_quarantine(const Os& os, const FilePlace& place, const QuarantineRecord& record) {
  QuarantineLook look;
  auto entry = open_folder(os, place);
  if (!entry) {
    if (entry.error().code == Code::not_found)
      return Error{Code::gone, "the folder of the file does not exist any more", place.path};
    return entry.error();
  }
  bool is_at_its_place = false;
  if (auto file = open_at(entry->folder.get(), entry->name, O_PATH | O_NOFOLLOW)) {
    QUELL_TRY(const FileAttributes now, read_attributes(file->get()));
    is_at_its_place = S_ISREG(now.mode) && is_recorded_file(file->get(), now, record);
    look.is_path_occupied = !is_at_its_place;
  }
  QUELL_TRY(const Found found, find_quarantined(entry->folder.get(), record));
  if (!found.file) {
    look.state = is_at_its_place ? QuarantineState::original : QuarantineState::missing;
    return look;
  }
  QUELL_TRY(const FileAttributes now, read_attributes(found.file.get()));
  const uint32_t bits = now.mode & 07777;
  if (!S_ISREG(now.mode) || !is_recorded_file(found.file.get(), now, record))
    look.state = QuarantineState::altered;
  else if (bits == 0)
    look.state = QuarantineState::quarantined;
  else
    look.state = now.mode == record.attributes.mode ? QuarantineState::unfinished : QuarantineState::altered;
  // A hard link of the file at its old place: whoever made it, the name is taken.
  if (is_at_its_place) look.is_path_occupied = true;
  return look;
}

Result<void> quarantine(const Os& os, const FilePlace& place, const QuarantineRecord& record) {
  QUELL_TRY(const QuarantineLook look, look_quarantine(os, place, record));
  switch (look.state) {
    case QuarantineState::quarantined: return {};
    case QuarantineState::altered:
      return Error{Code::conflict, "something else lies in the quarantine under this action's name", place.path};
    case QuarantineState::missing:
      if (look.is_path_occupied) return Error{Code::stale, "another file has this name now", place.path};
      return Error{Code::gone, "the file does not exist any more", place.path};
    case QuarantineState::original:
    case QuarantineState::unfinished: break;
  }
  QUELL_TRY(OpenEntry entry, open_folder(os, place));
  Found target;
  if (look.state == QuarantineState::original) {
    QUELL_TRY(entry, open_entry(os, place));
    QUELL_TRY(const FileAttributes now, read_attributes(entry.file.get()));
    if (!is_recorded_file(entry.file.get(), now, record))
      return Error{Code::stale, "another file has this name now", place.path};
    // Equal change times say that nobody wrote since the copy; else the content does (our own clearing of the immutable
    // flag, before a crash, changes the time as well).
    if (now.changed_ns != record.attributes.changed_ns && !has_recorded_content(entry.file.get(), now, record))
      return Error{Code::stale, "the file has changed since its copy was made", place.path};
    QUELL_TRY(target.folder, make_quarantine(entry.folder.get()));
    const auto moved = [&]() -> Result<void> {
      QUELL_CHECK(set_file_flags(entry.file.get(), false, false));
      return move_file(entry.file.get(), entry.folder.get(), entry.name, target.folder.get(), quarantined_name(record));
    }();
    if (!moved) {
      remove_if_empty(target.folder.get());
      return moved;
    }
    target.file = std::move(entry.file);
  } else {
    QUELL_TRY(target, find_quarantined(entry.folder.get(), record));
    if (!target.file) return Error{Code::stale, "the file was moved just now", place.path};
  }
  if (::chmod(path_of(target.file.get()).c_str(), 0) != 0)
    return errno_error(errno, "cannot take the permissions off", place.path);
  QUELL_CHECK(sync_file(target.folder.get(), std::string(kQuarantineFolder)));
  return flush_folder(entry.folder.get());
}

Result<void> restore(const Os& os, const FilePlace& place, const QuarantineRecord& record) {
  QUELL_TRY(const QuarantineLook look, look_quarantine(os, place, record));
  const auto conflict = [&](const char* why) { return Error{Code::conflict, why, place.path}; };
  if (look.state == QuarantineState::missing)
    return look.is_path_occupied ? conflict("another file has this name, and the quarantined one is gone")
                                 : Error{Code::gone, "the quarantined file does not exist any more", place.path};
  if (look.state == QuarantineState::altered) return conflict("the file in the quarantine is not as Quell left it");
  if (look.is_path_occupied) return conflict("the path is occupied");
  QUELL_TRY(OpenEntry entry, open_folder(os, place));
  struct stat folder {};
  if (::fstat(entry.folder.get(), &folder) != 0) return errno_error(errno, "cannot look at the folder", place.path);
  if (folder.st_dev != record.folder_device || folder.st_ino != record.folder_inode)
    return conflict("its folder is another one now");

  Descriptor file;
  if (look.state == QuarantineState::original) {
    // Nothing was moved, or a restore was cut short before the flags.
    QUELL_TRY(entry, open_entry(os, place));
    file = std::move(entry.file);
  } else {
    QUELL_TRY(Found found, find_quarantined(entry.folder.get(), record));
    if (!found.file) return conflict("the file was moved just now");
    QUELL_TRY(const FileAttributes now, read_attributes(found.file.get()));
    if (!has_recorded_content(found.file.get(), now, record))
      return conflict("the content of the quarantined file is not what Quell left");
    QUELL_CHECK(apply_attributes(found.file.get(), record.attributes));
    QUELL_CHECK(
        move_file(found.file.get(), found.folder.get(), quarantined_name(record), entry.folder.get(), entry.name));
    QUELL_CHECK(sync_file(found.folder.get(), std::string(kQuarantineFolder)));
    file = std::move(found.file);
    remove_if_empty(found.folder.get());
  }
  QUELL_TRY(const FileAttributes now, read_attributes(file.get()));
  if (!now.immutable && !now.append_only) QUELL_CHECK(apply_attributes(file.get(), record.attributes));
  QUELL_CHECK(set_file_flags(file.get(), record.attributes.immutable, record.attributes.append_only));
  return flush_folder(entry.folder.get());
}

std::string why_no_quarantine() {
  if (std::string why = why_no_acquire(); !why.empty()) return why;
  if (!has_capability(kCapFowner)) return "CAP_FOWNER is missing: other users' files cannot be changed";
  if (!has_capability(kCapChown)) return "CAP_CHOWN is missing: a file's owner could not be restored";
  if (!has_capability(kCapLinuxImmutable)) return "CAP_LINUX_IMMUTABLE is missing: immutable files could not be moved";
  return {};
}

}  // namespace quell::os
