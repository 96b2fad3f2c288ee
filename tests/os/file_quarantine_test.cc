// restore(quarantine(x)) = x, and everything that may come between the two.
#include "os/file_quarantine.h"

#include <fmt/format.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include <atomic>
#include <random>

#include "host_support.h"
#include "os/file_acquire.h"

namespace quell::os {
namespace {

constexpr const char* kTag = "0123456789abcdef";

QuarantineRecord through_json(const QuarantineRecord& record) {
  JsonWriter out;
  write_json(out, record);
  auto read = quarantine_record_from_json(*Json::parse(out.take()));
  EXPECT_TRUE(read) << read.error().str();
  return *read;
}

/// Plan, copy, record: everything before the effect.
Result<QuarantineRecord> prepare(const FilePlace& place, const TestFolder& evidence, const std::string& tag = kTag) {
  QUELL_TRY(QuarantineRecord record, plan_quarantine(machine(), place, tag, {}));
  QUELL_TRY(const AcquiredFile copy, acquire_file(machine(), place, evidence.fd(), "copy", {}));
  ::unlinkat(evidence.fd(), "copy", 0);
  record.sha256 = copy.sha256;
  return through_json(record);
}

FileAttributes attributes_of(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC | O_NOFOLLOW));
  auto attributes = read_attributes(file.get());
  EXPECT_TRUE(attributes) << attributes.error().str();
  attributes->changed_ns = 0;  // the kernel's own
  return *attributes;
}

QuarantineState state_of(const FilePlace& place, const QuarantineRecord& record) {
  const auto look = look_quarantine(machine(), place, record);
  EXPECT_TRUE(look) << look.error().str();
  return look ? look->state : QuarantineState::missing;
}

/// A tmpfs of its own at `folder`, so that the quarantine is made in there.
void mount_tmpfs(const TestFolder& folder) {
  ASSERT_EQ(::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "mode=755"), 0);
}

/// An ACL as the kernel wants it: owner, a named user, group, mask, others.
std::string random_acl(std::mt19937& random, uint32_t mode) {
  std::string acl("\2\0\0\0", 4);
  const auto entry = [&](uint16_t tag, uint16_t bits, uint32_t id) {
    acl.append(reinterpret_cast<const char*>(&tag), 2).append(reinterpret_cast<const char*>(&bits), 2);
    acl.append(reinterpret_cast<const char*>(&id), 4);
  };
  entry(1, (mode >> 6) & 7, UINT32_MAX);
  entry(2, random() & 7, random() % 60000);
  entry(4, random() & 7, UINT32_MAX);
  entry(16, (mode >> 3) & 7, UINT32_MAX);
  entry(32, mode & 7, UINT32_MAX);
  return acl;
}

void make_random_file(const std::string& path, std::mt19937& random) {
  std::string content(random() % 5000, '\0');
  for (char& byte : content) byte = static_cast<char>(random());
  std::ofstream(path, std::ios::binary) << content;
  EXPECT_EQ(::chown(path.c_str(), random() % 70000, random() % 70000), 0);
  const uint32_t mode = random() & 07777;
  EXPECT_EQ(::chmod(path.c_str(), mode), 0);
  const auto xattr = [&](const std::string& name, const std::string& value) {
    (void)::setxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0);
  };
  if (random() % 2) xattr("user.a", std::string(random() % 100, static_cast<char>(random())));
  if (random() % 2) xattr("trusted.b", "trusted");
  if (random() % 2) xattr("security.quell", std::string("\0binary\xff", 8));
  if (random() % 3 == 0) xattr("system.posix_acl_access", random_acl(random, mode));
  // A capability of a file: cap_net_raw, effective.
  if (random() % 3 == 0) xattr("security.capability", std::string("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20));
  const timespec times[2] = {{static_cast<time_t>(random()), static_cast<long>(random() % 1'000'000'000)},
                             {-static_cast<time_t>(random() % 100000), static_cast<long>(random() % 1'000'000'000)}};
  EXPECT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (random() % 4 == 0) (void)set_file_flags(file.get(), random() % 2 == 0, random() % 2 == 0);
}

void comes_back_as_it_was(const std::string& folder, int count, unsigned seed) {
  TestFolder evidence;
  std::mt19937 random(seed);
  size_t with_flags = 0, with_xattrs = 0;
  for (int i = 0; i < count; ++i) {
    const std::string path = fmt::format("{}/file{}", folder, i);
    make_random_file(path, random);
    const FileAttributes before = attributes_of(path);
    with_flags += before.immutable || before.append_only;
    with_xattrs += !before.xattrs.empty();
    const FilePlace place{nullptr, path};
    const auto record = prepare(place, evidence, fmt::format("{:016x}", i));
    ASSERT_TRUE(record) << record.error().str();
    ASSERT_EQ(state_of(place, *record), QuarantineState::original);
    const auto done = quarantine(machine(), place, *record);
    ASSERT_TRUE(done) << done.error().str();
    ASSERT_TRUE(quarantine(machine(), place, *record));
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_EQ(state_of(place, *record), QuarantineState::quarantined);
    const FileAttributes inside = attributes_of(record->quarantine_folder + "/q-" + record->tag);
    EXPECT_EQ(inside.mode & 07777, 0u);
    const auto back = restore(machine(), place, *record);
    ASSERT_TRUE(back) << back.error().str();
    ASSERT_TRUE(restore(machine(), place, *record));
    const FileAttributes after = attributes_of(path);
    EXPECT_EQ(after, before) << path << " seed " << seed;
    EXPECT_FALSE(std::filesystem::exists(record->quarantine_folder));
    const Descriptor file(::open(path.c_str(), O_PATH | O_CLOEXEC));
    (void)set_file_flags(file.get(), false, false);
    ::unlink(path.c_str());
  }
  EXPECT_GT(with_xattrs, 0u);
  std::printf("%d files, %zu with extended attributes, %zu immutable or append-only\n", count, with_xattrs, with_flags);
}

TEST(FileQuarantine, RestoreIsTheInverse) {
  QUELL_NEEDS_ROOT();
  TestFolder folder;
  // The temporary folder's own file system, bound so that it is a mount of its own.
  const bool ran = in_mount_namespace([&] {
    ASSERT_EQ(::mount(folder.path().c_str(), folder.path().c_str(), nullptr, MS_BIND, nullptr), 0);
    ::chmod(folder.path().c_str(), 0755);
    comes_back_as_it_was(folder.path(), 60, 1);
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

TEST(FileQuarantine, RestoreIsTheInverseOnTmpfsAndOverlay) {
  QUELL_NEEDS_ROOT();
  TestFolder folder;
  const bool ran = in_mount_namespace([&] {
    mount_tmpfs(folder);
    for (const char* name : {"/lower", "/upper", "/work", "/merged", "/plain"})
      ::mkdir((folder.path() + name).c_str(), 0755);
    comes_back_as_it_was(folder.path() + "/plain", 30, 2);
    std::ofstream(folder.path() + "/lower/image") << "from the image";
    const std::string options =
        "lowerdir=" + folder.path() + "/lower,upperdir=" + folder.path() + "/upper,workdir=" + folder.path() + "/work";
    ASSERT_EQ(::mount("overlay", (folder.path() + "/merged").c_str(), "overlay", 0, options.c_str()), 0);
    comes_back_as_it_was(folder.path() + "/merged", 30, 3);
    TestFolder evidence;
    const FilePlace place{nullptr, folder.path() + "/merged/image"};
    const auto record = prepare(place, evidence);
    ASSERT_TRUE(record) << record.error().str();
    EXPECT_EQ(record->layer, "lower");
    EXPECT_FALSE(record->warnings.empty());
    const auto done = quarantine(machine(), place, *record);
    ASSERT_TRUE(done) << done.error().str();
    EXPECT_FALSE(std::filesystem::exists(place.path));
    const auto back = restore(machine(), place, *record);
    ASSERT_TRUE(back) << back.error().str();
    EXPECT_EQ(std::filesystem::file_size(place.path), 14u);
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

/// The other tests work in a mount of their own.
void with_file(const std::function<void(const std::string& folder, const FilePlace& place,
                                        const QuarantineRecord& record)>& body) {
  QUELL_NEEDS_ROOT();
  TestFolder folder, evidence;
  const bool ran = in_mount_namespace([&] {
    mount_tmpfs(folder);
    ::mkdir((folder.path() + "/home").c_str(), 0755);
    const FilePlace place{nullptr, folder.path() + "/home/implant"};
    std::ofstream(place.path) << "malware";
    ::chmod(place.path.c_str(), 0755);
    const auto record = prepare(place, evidence);
    ASSERT_TRUE(record) << record.error().str();
    body(folder.path(), place, *record);
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

TEST(FileQuarantine, LiesAtTheRootOfItsMountForRootAlone) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord& record) {
    EXPECT_EQ(record.quarantine_folder, folder + "/.quell-quarantine");
    ASSERT_TRUE(quarantine(machine(), place, record));
    struct stat info {};
    ASSERT_EQ(::stat(record.quarantine_folder.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700u);
    as_nobody([&] { EXPECT_NE(::access((record.quarantine_folder + "/q-" + record.tag).c_str(), F_OK), 0); });
    EXPECT_NE(::access((record.quarantine_folder + "/q-" + record.tag).c_str(), X_OK), 0);
    EXPECT_EQ(
        plan_quarantine(machine(), {nullptr, record.quarantine_folder + "/q-" + record.tag}, kTag, {}).error().code,
        Code::refused);
  });
}

TEST(FileQuarantine, AnOccupiedPathIsNotOverwritten) {
  with_file([](const std::string&, const FilePlace& place, const QuarantineRecord& record) {
    ASSERT_TRUE(quarantine(machine(), place, record));
    std::ofstream(place.path) << "new";
    const auto look = look_quarantine(machine(), place, record);
    EXPECT_EQ(look->state, QuarantineState::quarantined);
    EXPECT_TRUE(look->is_path_occupied);
    EXPECT_EQ(restore(machine(), place, record).error().code, Code::conflict);
    EXPECT_EQ(std::filesystem::file_size(place.path), 3u);
    ::unlink(place.path.c_str());
    EXPECT_TRUE(restore(machine(), place, record));
  });
}

TEST(FileQuarantine, WhatIsNotAsWeLeftItIsNotRestored) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord& record) {
    ASSERT_TRUE(quarantine(machine(), place, record));
    const std::string inside = record.quarantine_folder + "/q-" + record.tag;
    std::ofstream(inside) << "MALWARE";  // same size, other content
    EXPECT_EQ(state_of(place, record), QuarantineState::quarantined);
    EXPECT_EQ(restore(machine(), place, record).error().code, Code::conflict);
    std::ofstream(inside) << "malware";
    ::chmod(inside.c_str(), 0640);
    EXPECT_EQ(state_of(place, record), QuarantineState::altered);
    EXPECT_EQ(restore(machine(), place, record).error().code, Code::conflict);
    ::chmod(inside.c_str(), 0);
    std::filesystem::rename(folder + "/home", folder + "/home2");
    std::filesystem::create_directory(folder + "/home");
    EXPECT_EQ(restore(machine(), place, record).error().code, Code::conflict);
    std::filesystem::remove(folder + "/home");
    EXPECT_EQ(look_quarantine(machine(), place, record).error().code, Code::gone);
    std::filesystem::rename(folder + "/home2", folder + "/home");
    ::unlink(inside.c_str());
    EXPECT_EQ(state_of(place, record), QuarantineState::missing);
    EXPECT_EQ(restore(machine(), place, record).error().code, Code::gone);
    EXPECT_EQ(quarantine(machine(), place, record).error().code, Code::gone);
  });
}

TEST(FileQuarantine, AReplacedOrChangedFileIsNotTaken) {
  with_file([](const std::string&, const FilePlace& place, const QuarantineRecord& record) {
    std::ofstream(place.path) << "malvare";
    EXPECT_EQ(quarantine(machine(), place, record).error().code, Code::stale);
    std::ofstream(place.path + ".new") << "innocent";
    std::filesystem::rename(place.path + ".new", place.path);
    EXPECT_EQ(quarantine(machine(), place, record).error().code, Code::stale);
    EXPECT_TRUE(std::filesystem::exists(place.path));
    EXPECT_FALSE(std::filesystem::exists(record.quarantine_folder + "/q-" + record.tag));
  });
}

TEST(FileQuarantine, WhoeverSwapsFilesMeanwhileLosesNone) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord& record) {
    std::ofstream(folder + "/home/innocent") << "innocent";
    std::atomic<bool> done{false};
    std::thread attacker([&] {
      while (!done)
        ::syscall(SYS_renameat2, AT_FDCWD, place.path.c_str(), AT_FDCWD, (folder + "/home/innocent").c_str(),
                  2 /* RENAME_EXCHANGE */);
    });
    size_t taken = 0, refused = 0;
    for (int round = 0; round < 300; ++round) {
      const auto result = quarantine(machine(), place, record);
      if (!result) {
        EXPECT_TRUE(result.error().code == Code::stale || result.error().code == Code::gone) << result.error().str();
        ++refused;
        continue;
      }
      ++taken;
      const FileAttributes inside = attributes_of(record.quarantine_folder + "/q-" + record.tag);
      ASSERT_EQ(inside.inode, record.attributes.inode);
      ASSERT_TRUE(restore(machine(), place, record));
    }
    done = true;
    attacker.join();
    std::printf("swapped meanwhile: %zu taken, %zu refused\n", taken, refused);
    EXPECT_EQ(attributes_of(folder + "/home/innocent").size + attributes_of(place.path).size, 8u + 7u);
    EXPECT_FALSE(std::filesystem::exists(record.quarantine_folder));
  });
}

TEST(FileQuarantine, IsFinishedAfterACrash) {
  with_file([](const std::string&, const FilePlace& place, const QuarantineRecord& record) {
    // Killed between the rename and the change of the mode.
    ASSERT_EQ(::mkdir(record.quarantine_folder.c_str(), 0700), 0);
    const std::string inside = record.quarantine_folder + "/q-" + record.tag;
    ASSERT_EQ(::rename(place.path.c_str(), inside.c_str()), 0);
    EXPECT_EQ(state_of(place, record), QuarantineState::unfinished);
    ASSERT_TRUE(quarantine(machine(), place, record));
    EXPECT_EQ(state_of(place, record), QuarantineState::quarantined);
    // Killed in the middle of the restore: attributes back, name not.
    ::chmod(inside.c_str(), record.attributes.mode & 07777);
    EXPECT_EQ(state_of(place, record), QuarantineState::unfinished);
    ASSERT_TRUE(restore(machine(), place, record));
    EXPECT_EQ(attributes_of(place.path).mode, record.attributes.mode);
    EXPECT_EQ(state_of(place, record), QuarantineState::original);
    EXPECT_TRUE(restore(machine(), place, record));
  });
}

TEST(FileQuarantine, AForeignQuarantineIsNotUsed) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord& record) {
    const std::string trap = folder + "/.quell-quarantine";
    ASSERT_EQ(::mkdir(trap.c_str(), 0777), 0);
    ASSERT_EQ(::chown(trap.c_str(), 1000, 1000), 0);
    ASSERT_TRUE(quarantine(machine(), place, record));
    EXPECT_TRUE(std::filesystem::is_empty(trap));
    EXPECT_TRUE(std::filesystem::exists(folder + "/home/.quell-quarantine/q-" + record.tag));
    ASSERT_TRUE(restore(machine(), place, record));
    std::filesystem::remove(trap);
    std::filesystem::create_directory_symlink("/tmp", trap);
    ASSERT_TRUE(quarantine(machine(), place, record));
    EXPECT_TRUE(restore(machine(), place, record));
  });
}

TEST(FileQuarantine, OtherNamesAreFoundAndDieToo) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord&) {
    std::filesystem::create_directories(folder + "/a/b");
    std::filesystem::create_hard_link(place.path, folder + "/a/b/other");
    const auto record = plan_quarantine(machine(), place, "deadbeef", {});
    ASSERT_TRUE(record) << record.error().str();
    EXPECT_EQ(record->other_names, std::vector<std::string>{"/a/b/other"});
    EXPECT_TRUE(record->all_names_known);
    ASSERT_TRUE(quarantine(machine(), place, *record));
    EXPECT_NE(::access((folder + "/a/b/other").c_str(), X_OK), 0);
    // Its other name put back at the old place: occupied, though by the very same file.
    std::filesystem::create_hard_link(folder + "/a/b/other", place.path);
    EXPECT_TRUE(look_quarantine(machine(), place, *record)->is_path_occupied);
    EXPECT_EQ(restore(machine(), place, *record).error().code, Code::conflict);
  });
}

TEST(FileQuarantine, Refusals) {
  with_file([](const std::string& folder, const FilePlace& place, const QuarantineRecord& record) {
    const auto code = [&](const std::string& path) {
      const auto planned = plan_quarantine(machine(), {nullptr, path}, kTag, {});
      return planned ? Code::internal : planned.error().code;
    };
    std::filesystem::create_symlink(place.path, folder + "/link");
    ASSERT_EQ(::mkfifo((folder + "/fifo").c_str(), 0600), 0);
    for (const std::string& path : {folder + "/link", folder + "/fifo", folder + "/home",
                                    std::string("/proc/self/status"), std::string("/sys/kernel/notes"),
                                    std::string("/dev/null"), std::filesystem::read_symlink("/proc/self/exe").string()})
      EXPECT_EQ(code(path), Code::refused) << path;
    EXPECT_EQ(code(folder + "/none"), Code::not_found);
    EXPECT_EQ(code("relative"), Code::invalid_argument);
    EXPECT_EQ(plan_quarantine(machine(), place, "XYZ", {}).error().code, Code::invalid_argument);
    const auto guarded = plan_quarantine(machine(), place, kTag, [](const FileAttributes&, const std::string&) {
      return std::string("the name server uses it");
    });
    EXPECT_EQ(guarded.error().code, Code::refused);
    // Bound over another file: a mount point cannot be renamed.
    std::ofstream(folder + "/bound") << "x";
    ASSERT_EQ(::mount(place.path.c_str(), (folder + "/bound").c_str(), nullptr, MS_BIND, nullptr), 0);
    EXPECT_EQ(code(folder + "/bound"), Code::refused);
    ASSERT_EQ(::umount((folder + "/bound").c_str()), 0);
    ASSERT_EQ(::mount(nullptr, folder.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr), 0);
    EXPECT_EQ(code(place.path), Code::refused);
    EXPECT_FALSE(quarantine(machine(), place, record));
    EXPECT_EQ(state_of(place, record), QuarantineState::original);
  });
}

TEST(FileQuarantine, WithoutRights) {
  with_file([](const std::string&, const FilePlace& place, const QuarantineRecord& record) {
    as_nobody([&] {
      EXPECT_FALSE(quarantine(machine(), place, record));
      EXPECT_NE(why_no_quarantine(), "");
    });
    EXPECT_EQ(why_no_quarantine(), "");
    EXPECT_EQ(state_of(place, record), QuarantineState::original);
  });
}

TEST(FileQuarantine, InTheRootOfAProcess) {
  QUELL_NEEDS_ROOT();
  TestFolder folder, evidence;
  const bool ran = in_mount_namespace([&] {
    mount_tmpfs(folder);
    std::ofstream(folder.path() + "/implant") << "malware";
    TestChild child([&] {
      if (::chroot(folder.path().c_str()) != 0) ::_exit(1);
    });
    const ProcessHandle handle = child.handle();
    const FilePlace place{&handle, "/implant"};
    const auto record = prepare(place, evidence);
    ASSERT_TRUE(record) << record.error().str();
    ASSERT_TRUE(quarantine(machine(), place, *record));
    EXPECT_FALSE(std::filesystem::exists(folder.path() + "/implant"));
    // Found from outside as well: the same folder by another way.
    EXPECT_EQ(state_of({nullptr, folder.path() + "/implant"}, *record), QuarantineState::quarantined);
    ASSERT_TRUE(restore(machine(), place, *record));
    EXPECT_TRUE(std::filesystem::exists(folder.path() + "/implant"));
    EXPECT_TRUE(has_mapped(::getpid(), attributes_of("/proc/self/exe").device, 1).has_value());
    child.reap();
    EXPECT_EQ(look_quarantine(machine(), place, *record).error().code, Code::gone);
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

TEST(FileQuarantine, RecordsThatAreNone) {
  EXPECT_EQ(quarantine_record_from_json(*Json::parse("{}")).error().code, Code::malformed);
  EXPECT_EQ(quarantine_record_from_json(*Json::parse(R"({"path":"/a","tag":"../../etc"})")).error().code,
            Code::malformed);
}

}  // namespace
}  // namespace quell::os
