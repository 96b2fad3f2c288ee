// The triage bundle of this machine, with users, schedules and logins of the test.
#include "os/triage.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "base/json.h"
#include "base/sha256.h"
#include "host_support.h"
#include "os/login_records.h"

namespace quell::os {
namespace {

std::string login_bytes(int16_t type, int32_t pid, const char* line, const char* user, const char* host,
                        uint32_t seconds) {
  std::string record(384, '\0');
  const auto put = [&](size_t at, const void* bytes, size_t size) { std::memcpy(record.data() + at, bytes, size); };
  const uint32_t micro = 250'000;
  put(0, &type, 2), put(4, &pid, 4), put(8, line, std::strlen(line)), put(44, user, std::strlen(user));
  put(76, host, std::strlen(host)), put(340, &seconds, 4), put(344, &micro, 4);
  return record;
}

class Sources {
 public:
  Sources() {
    for (const char* name : {"etc", "var", "run", "usr", "etc/cron.d", "var/log", "etc/systemd", "etc/systemd/system"})
      std::filesystem::create_directory(folder_.path() + "/" + name);
    folder_.write("etc/passwd", "root:x:0:0:root:/root:/bin/bash\nalice:x:1000:1000::/home/alice:/bin/sh\n");
    folder_.write("etc/shadow", "root:!:1::::::\nalice:$y$j9T$THESECRET:19500::::::\n");
    folder_.write("etc/cron.d/evil", "* * * * * root /tmp/x\n");
    folder_.write("etc/systemd/system/evil.timer", "[Timer]\nOnBootSec=1\n");
    folder_.write("etc/systemd/system/ordinary.service", "[Service]\n");
    folder_.write("var/log/wtmp", login_bytes(7, 77, "pts/0", "alice", "192.0.2.1", 1'700'000'000) + "half");
    folder_.write("run/utmp", login_bytes(2, 0, "~", "reboot", "6.1", 1'600'000'000));
    folder_.write("var/log/btmp", login_bytes(0, 0, "", "", "", 0));
    sources = {folder_.path() + "/etc", folder_.path() + "/var", folder_.path() + "/run", folder_.path() + "/usr"};
  }
  TriageSources sources;

 private:
  TestFolder folder_;
};

std::string sha256_of(const std::string& bytes) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  return sum.finish();
}

const TriageItem& item(const TriageBundle& bundle, const std::string& name) {
  return *std::find_if(bundle.items.begin(), bundle.items.end(), [&](const TriageItem& i) { return i.name == name; });
}

TEST(Triage, EverythingIsThereWithItsHash) {
  Sources sources;
  TestFolder folder;
  TestChild child;
  const auto bundle = collect_triage(machine(), sources.sources, folder.fd(), "bundle", {});
  ASSERT_TRUE(bundle) << bundle.error().str();
  ASSERT_EQ(bundle->items.size(), triage_item_names().size());
  const std::string manifest_text = folder.read("bundle/manifest.json");
  EXPECT_EQ(sha256_of(manifest_text), bundle->manifest_sha256);
  const auto manifest = Json::parse(manifest_text);
  ASSERT_TRUE(manifest);
  std::string all;
  uint64_t bytes = 0;
  for (const TriageItem& part : bundle->items) {
    EXPECT_EQ(part.cut_short, "") << part.name;
    if (part.file.empty()) continue;
    const std::string text = folder.read("bundle/" + part.file);
    EXPECT_EQ(text.size(), part.bytes) << part.name;
    EXPECT_EQ(sha256_of(text), part.sha256) << part.name;
    struct stat info {};
    ASSERT_EQ(::stat((folder.path() + "/bundle/" + part.file).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u);
    bytes += part.bytes;
    all += text;
  }
  EXPECT_EQ(bytes, bundle->bytes);
  for (const char* name : {"processes", "sockets", "mounts", "users", "schedules", "logins", "system"}) {
    EXPECT_EQ(item(*bundle, name).error, "") << name;
    EXPECT_GT(item(*bundle, name).entries, 0u) << name;
  }
  EXPECT_EQ(all.find("THESECRET"), std::string::npos);
  EXPECT_NE(folder.read("bundle/processes.jsonl").find(fmt::format("\"pid\":{},", child.pid())), std::string::npos);
  const std::string schedules = folder.read("bundle/schedules.jsonl");
  EXPECT_NE(schedules.find("/tmp/x"), std::string::npos);
  EXPECT_NE(schedules.find("evil.timer"), std::string::npos);
  EXPECT_EQ(schedules.find("ordinary.service"), std::string::npos);
  const std::string logins = folder.read("bundle/logins.jsonl");
  EXPECT_NE(logins.find("192.0.2.1"), std::string::npos);
  EXPECT_NE(logins.find("2023-11-14T22:13:20.250000000Z"), std::string::npos);
  EXPECT_EQ(item(*bundle, "logins").entries, 2u);
  EXPECT_EQ(collect_triage(machine(), sources.sources, folder.fd(), "bundle", {}).error().code, Code::already_exists);
  EXPECT_EQ(collect_triage(machine(), sources.sources, folder.fd(), "..", {}).error().code, Code::invalid_argument);
}

TEST(Triage, WhatIsMissingTakesNothingFromTheRest) {
  TestFolder folder, empty;
  const TriageSources nothing{empty.path(), empty.path(), empty.path(), empty.path()};
  const auto bundle = collect_triage(machine(), nothing, folder.fd(), "bundle", {});
  ASSERT_TRUE(bundle) << bundle.error().str();
  EXPECT_NE(item(*bundle, "users").error, "");
  EXPECT_NE(item(*bundle, "logins").error, "");
  EXPECT_EQ(item(*bundle, "processes").error, "");
}

TEST(Triage, BoundsAreKeptAndSaid) {
  Sources sources;
  TestFolder folder;
  TriageLimits limits;
  limits.max_bytes = 2000;
  auto bundle = collect_triage(machine(), sources.sources, folder.fd(), "bytes", limits);
  ASSERT_TRUE(bundle);
  EXPECT_LE(bundle->bytes, 2000u);
  EXPECT_EQ(item(*bundle, "processes").cut_short, "bytes");
  limits = {};
  limits.item_max_ns = 0;
  bundle = collect_triage(machine(), sources.sources, folder.fd(), "time", limits);
  ASSERT_TRUE(bundle);
  EXPECT_EQ(bundle->bytes, 0u);
  EXPECT_EQ(item(*bundle, "mounts").cut_short, "time");
  limits = {};
  limits.is_cancelled = [] { return true; };
  bundle = collect_triage(machine(), sources.sources, folder.fd(), "cancelled", limits);
  ASSERT_TRUE(bundle);
  EXPECT_EQ(item(*bundle, "users").cut_short, "cancelled");
}

TEST(Triage, AFullDiskLeavesNothing) {
  Sources sources;
  TestFolder folder;
  const bool ran = in_mount_namespace([&] {
    ASSERT_EQ(::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=8k"), 0);
    const int small = ::open(folder.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    EXPECT_EQ(collect_triage(machine(), sources.sources, small, "bundle", {}).error().code, Code::io);
    EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
    ::close(small);
  });
  if (!ran) GTEST_SKIP() << "SKIPPED: no right to make mounts";
}

TEST(LoginRecords, Parse) {
  const std::string bytes = login_bytes(7, 77, "pts/0", "alice", "192.0.2.1", 4'000'000'000u) +
                            login_bytes(8, 77, "pts/0", "", "", 1) + login_bytes(99, 1, "", "", "", 1);
  const auto records = parse_login_records(bytes, 10);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].kind, LoginRecord::Kind::session);
  EXPECT_EQ(records[0].user, "alice");
  EXPECT_EQ(records[0].time_ns, 4'000'000'000'250'000'000u);
  EXPECT_EQ(records[1].kind, LoginRecord::Kind::end);
  EXPECT_EQ(records[2].kind, LoginRecord::Kind::other);
  EXPECT_EQ(parse_login_records(bytes, 1).size(), 1u);
  EXPECT_TRUE(parse_login_records(bytes.substr(0, 383), 10).empty());
}

}  // namespace
}  // namespace quell::os
