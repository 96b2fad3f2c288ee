// Users in files of this test. The machine's own /etc is never opened, but where a mount namespace has put another one
// in its place.
#include "os/user_account.h"

#include <fmt/format.h>
#include <sys/xattr.h>

#include <random>

#include "host_support.h"
#include "os/descriptor.h"
#include "os/file_attributes.h"
#include "os/shadow_file.h"

namespace quell::os {
namespace {

class Users {
 public:
  Users() {
    files_.etc = folder_.path();
    folder_.write("login.defs", "# UID_MIN 5\nUID_MAX 60000\nUID_MIN\t\t 1000 # ordinary\n");
    folder_.write("passwd",
                  "root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:/bin/sh\ndaemon:x:1:1::/:/usr/sbin/nologin\n"
                  "alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash\nbob:x:1001:1001::/home/bob:/bin/sh\n"
                  "old:HASH:1002:1002::/home/old:/bin/sh\ntwin:x:1003:1003::/:/bin/sh\nbad:x:1004:1004::/:/bin/sh\n"
                  "none:x:1005:1005::/:/bin/sh\n+nis\n");
    folder_.write("shadow", shadow_);
    ::chmod((folder_.path() + "/shadow").c_str(), 0640);
  }
  const UserFiles& files() const { return files_; }
  UserFiles& files() { return files_; }
  const TestFolder& folder() const { return folder_; }
  std::string shadow() const { return folder_.read("shadow"); }
  const std::string& shadow_before() const { return shadow_; }

 private:
  TestFolder folder_;
  UserFiles files_;
  std::string shadow_ =
      "root:$y$root:19000:0:99999:7:::\nalice:$y$j9T$secret:19500:0:99999:7:::\nbob:!:19500:0:99999:7::20000:\n"
      "old:*:1::::::\ntwin:a:1::::::\ntwin:b:1::::::\nbad:only:three\n# a line of its own\nlast:x:1::::::";
};

TEST(UserAccount, DisableAndEnable) {
  Users users;
  const auto record = plan_disable_user(users.files(), "alice");
  ASSERT_TRUE(record) << record.error().str();
  JsonWriter out;
  write_json(out, *record);
  const std::string json = out.take();
  EXPECT_EQ(json.find("secret"), std::string::npos);
  const auto recorded = user_record_from_json(*Json::parse(json));
  ASSERT_TRUE(recorded);
  EXPECT_EQ(*recorded, *record);
  EXPECT_EQ(look_user(users.files(), *recorded).value(), UserState::enabled);
  ASSERT_TRUE(disable_user(users.files(), *recorded));
  ASSERT_TRUE(disable_user(users.files(), *recorded));
  EXPECT_EQ(look_user(users.files(), *recorded).value(), UserState::disabled);
  EXPECT_NE(users.shadow().find("\nalice:!$y$j9T$secret:19500:0:99999:7::1:\n"), std::string::npos);
  ASSERT_TRUE(enable_user(users.files(), *recorded));
  ASSERT_TRUE(enable_user(users.files(), *recorded));
  EXPECT_EQ(users.shadow(), users.shadow_before());
}

TEST(UserAccount, EnableIsTheInverseOfDisable) {
  std::mt19937 random(7);
  const std::string alphabet = "abcXYZ019$./!*= \t#";
  const auto field = [&](size_t limit) {
    std::string text(random() % limit, ' ');
    for (char& c : text) c = alphabet[random() % alphabet.size()];
    return text;
  };
  for (int round = 0; round < 200; ++round) {
    Users users;
    std::string text;
    const size_t lines = 1 + random() % 8, chosen = random() % lines;
    for (size_t i = 0; i < lines; ++i) {
      text += i == chosen ? "alice" : "u" + std::to_string(i);
      for (int f = 0; f < 8; ++f) text += ":" + (f == 0 ? field(40) : field(6));
      if (i + 1 < lines || random() % 2) text += "\n";
    }
    users.folder().write("shadow", text);
    const auto record = plan_disable_user(users.files(), "alice");
    ASSERT_TRUE(record) << record.error().str() << text;
    ASSERT_TRUE(disable_user(users.files(), *record)) << text;
    EXPECT_NE(users.shadow(), text);
    EXPECT_EQ(look_user(users.files(), *record).value(), UserState::disabled);
    ASSERT_TRUE(enable_user(users.files(), *record)) << text;
    ASSERT_EQ(users.shadow(), text);
  }
}

TEST(UserAccount, TheFileKeepsItsOwnerModeAndAttributes) {
  QUELL_NEEDS_ROOT();
  Users users;
  const std::string path = users.folder().path() + "/shadow";
  ASSERT_EQ(::chown(path.c_str(), 0, 42), 0);
  ASSERT_EQ(::setxattr(path.c_str(), "security.selinux_like", "label", 5, 0), 0);
  const auto attributes = [&] { return *read_attributes(Descriptor(::open(path.c_str(), O_PATH | O_CLOEXEC)).get()); };
  const FileAttributes before = attributes();
  const auto record = plan_disable_user(users.files(), "alice");
  ASSERT_TRUE(record && disable_user(users.files(), *record));
  const FileAttributes after = attributes();
  EXPECT_EQ(after.mode, before.mode);
  EXPECT_EQ(after.uid, before.uid);
  EXPECT_EQ(after.gid, before.gid);
  EXPECT_EQ(after.xattrs, before.xattrs);
  EXPECT_NE(after.inode, before.inode);
  EXPECT_FALSE(std::filesystem::exists(users.folder().path() + "/.shadow.quell-new"));
}

TEST(UserAccount, WhatChangedMeanwhileIsAConflict) {
  Users users;
  const auto record = plan_disable_user(users.files(), "alice");
  ASSERT_TRUE(record);
  const auto write = [&](const std::string& password, const std::string& expire) {
    users.folder().write("shadow", fmt::format("alice:{}:19500:0:99999:7::{}:\n", password, expire));
  };
  write("$y$new", "");
  EXPECT_EQ(look_user(users.files(), *record).value(), UserState::changed);
  EXPECT_EQ(disable_user(users.files(), *record).error().code, Code::conflict);
  for (const auto& [password, expire] : {std::pair{"!$y$new", "1"}, std::pair{"!$y$j9T$secret", "2"},
                                         std::pair{"$y$j9T$secret", "1"}, std::pair{"!!$y$j9T$secret", "1"}}) {
    write(password, expire);
    const std::string text = users.shadow();
    EXPECT_EQ(enable_user(users.files(), *record).error().code, Code::conflict) << password;
    EXPECT_EQ(users.shadow(), text);
  }
  write("!$y$j9T$secret", "1");
  std::filesystem::path passwd = users.folder().path() + "/passwd";
  users.folder().write("passwd", "alice:x:1500:1000::/:/bin/sh\n");
  EXPECT_EQ(enable_user(users.files(), *record).error().code, Code::stale);
}

TEST(UserAccount, WhoIsNotDisabled) {
  Users users;
  users.files().protected_users = {"bob"};
  const auto code = [&](const std::string& name) {
    const auto record = plan_disable_user(users.files(), name);
    return record ? Code::internal : record.error().code;
  };
  for (const char* name : {"root", "toor", "daemon", "bob"}) EXPECT_EQ(code(name), Code::refused) << name;
  for (const char* name : {"nobody-knows", "", "+nis", "alice:x", "last", "none"})
    EXPECT_EQ(code(name), Code::not_found) << name;
  EXPECT_EQ(code("old"), Code::unsupported);
  EXPECT_EQ(code("twin"), Code::conflict);
  EXPECT_EQ(code("bad"), Code::malformed);
  // The guard stands in the effect as well.
  const auto alice = plan_disable_user(users.files(), "alice");
  users.files().protected_users = {"alice"};
  EXPECT_EQ(disable_user(users.files(), *alice).error().code, Code::refused);
  EXPECT_EQ(users.shadow(), users.shadow_before());
  std::filesystem::rename(users.folder().path() + "/shadow", users.folder().path() + "/managed");
  std::filesystem::create_symlink("managed", users.folder().path() + "/shadow");
  users.files().protected_users = {};
  EXPECT_EQ(code("alice"), Code::unsupported);
  users.files().etc = "/no/such/folder";
  EXPECT_EQ(code("alice"), Code::not_found);
  EXPECT_NE(why_no_user_change(users.files()), "");
}

TEST(UserAccount, TheLockOfOthersIsRespected) {
  Users users;
  users.files().lock_timeout_ns = 50'000'000;
  const auto record = plan_disable_user(users.files(), "alice");
  TestChild holder([&] {
    const int fd = ::open((users.folder().path() + "/.pwd.lock").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct flock range {};
    range.l_type = F_WRLCK;
    if (::fcntl(fd, F_SETLKW, &range) != 0) ::_exit(1);
  });
  EXPECT_EQ(disable_user(users.files(), *record).error().code, Code::timeout);
  EXPECT_EQ(users.shadow(), users.shadow_before());
  holder.reap();
  EXPECT_TRUE(disable_user(users.files(), *record));
}

TEST(UserAccount, LeftoversOfACrashAndAFullDisk) {
  QUELL_NEEDS_ROOT();
  Users users;
  users.folder().write(".shadow.quell-new", "half of a fi");
  const auto record = plan_disable_user(users.files(), "alice");
  ASSERT_TRUE(disable_user(users.files(), *record));
  EXPECT_FALSE(std::filesystem::exists(users.folder().path() + "/.shadow.quell-new"));
  ASSERT_TRUE(enable_user(users.files(), *record));
  const bool ran = in_mount_namespace([&] {
    const std::string small = users.folder().path() + "/small";
    ::mkdir(small.c_str(), 0755);
    ASSERT_EQ(::mount("tmpfs", small.c_str(), "tmpfs", 0, "size=64k"), 0);
    std::filesystem::copy(users.folder().path() + "/passwd", small + "/passwd");
    std::ofstream(small + "/shadow") << users.shadow_before() << "\n" << std::string(20'000, '#') << "\n";
    std::ofstream(small + "/.pwd.lock") << "";
    std::ofstream(small + "/filler") << std::string(64 << 10, 'x');
    UserFiles files = users.files();
    files.etc = small;
    const std::uintmax_t size = std::filesystem::file_size(small + "/shadow");
    EXPECT_EQ(disable_user(files, *record).error().code, Code::io);
    EXPECT_EQ(std::filesystem::file_size(small + "/shadow"), size);
    EXPECT_EQ(look_user(files, *record).value(), UserState::enabled);
    EXPECT_FALSE(std::filesystem::exists(small + "/.shadow.quell-new"));
  });
  EXPECT_TRUE(ran);
}

TEST(UserAccount, WithoutRights) {
  QUELL_NEEDS_ROOT();
  Users users;
  ::chmod(users.folder().path().c_str(), 0755);
  const auto record = plan_disable_user(users.files(), "alice");
  as_nobody([&] {
    EXPECT_EQ(plan_disable_user(users.files(), "alice").error().code, Code::permission_denied);
    EXPECT_EQ(disable_user(users.files(), *record).error().code, Code::permission_denied);
    EXPECT_NE(why_no_user_change(users.files()), "");
  });
  EXPECT_EQ(why_no_user_change(users.files()), "");
}

TEST(UserAccount, InAMountNamespaceWithItsOwnEtc) {
  QUELL_NEEDS_ROOT();
  Users users;
  const bool ran = in_mount_namespace([&] {
    ASSERT_EQ(::mount(users.folder().path().c_str(), "/etc", nullptr, MS_BIND, nullptr), 0);
    ASSERT_EQ(std::filesystem::file_size("/etc/shadow"), users.shadow_before().size());
    const UserFiles files;  // the real path
    const auto record = plan_disable_user(files, "alice");
    ASSERT_TRUE(record) << record.error().str();
    ASSERT_TRUE(disable_user(files, *record));
    EXPECT_EQ(look_user(files, *record).value(), UserState::disabled);
    ASSERT_TRUE(enable_user(files, *record));
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
  EXPECT_EQ(users.shadow(), users.shadow_before());
}

TEST(UserAccount, ProcessesOfAUser) {
  QUELL_NEEDS_ROOT();
  TestChild child([] {
    if (::setresuid(54321, 54321, 54321) != 0) ::_exit(1);
  });
  const auto found = processes_of_user(machine(), 54321);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->size(), 1u);
  EXPECT_EQ(found->front().id, child.id());
}

TEST(UserAccount, RecordsThatAreNone) {
  for (const char* text : {"{}", R"({"name":"a","uid":1000,"expire_before":"1:2","password_digest":"0"})"})
    EXPECT_EQ(user_record_from_json(*Json::parse(text)).error().code, Code::malformed);
}

}  // namespace
}  // namespace quell::os
