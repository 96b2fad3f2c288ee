// The same load seen by two sensors, one that leaves out what no rule looks at: the same detections from fewer events.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "needs_sensor.h"
#include "side_by_side.h"

namespace quell::capture::test {
namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/quell-filter-XXXXXX";
    path = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

const std::string& folder() {
  static const Folder made;
  return made.path;
}

void shell(const char* command) {
  const pid_t pid = fork();
  if (pid == 0) {
    execl("/bin/sh", "sh", "-c", command, nullptr);
    _exit(127);
  }
  waitpid(pid, nullptr, 0);
}

// Descriptors of files, sockets and directories that take each other's numbers, and things that rules look for.
void load() {
  if (chdir(folder().c_str()) != 0) _exit(2);
  for (int i = 0; i < 50; ++i) {
    const int file = open("/etc/hostname", O_RDONLY);
    close(file);
    const int socket_there = socket(AF_INET, SOCK_DGRAM, 0);  // the number the file had
    const int again = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
    dup2(again, socket_there);
    close(again);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(9);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int next = socket(AF_INET, SOCK_DGRAM, 0);
    if (connect(next, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) _exit(3);
    dup2(next, socket_there);
    close(socket_there);
    close(next);
    close(open("/no/such/file", O_RDONLY));
    close(open("written", O_WRONLY | O_CREAT | O_TRUNC, 0644));
    const int directory = open(".", O_RDONLY | O_DIRECTORY);
    close(openat(directory, "written", O_WRONLY));
    close(openat(directory, "written", O_RDONLY));
    close(directory);
  }
  shell(
      "cat /etc/shadow > /dev/null; cp /etc/hostname copied; ln -sf /etc/shadow link; rm -f written; "
      "mkdir -p deep/er && cd deep/er && echo x > here && cat here; chmod +x here; ./here; find / -maxdepth 1 > "
      "/dev/null");
}

void compare(const std::vector<std::string>& files, size_t at_least, size_t left_out_at_least = 1) {
  detect::EngineOptions options;
  options.match_all = true;
  const auto rules = cli::load_rules({.paths = files}, options, false);
  ASSERT_TRUE(rules) << rules.error().str();
  const BothViews views = see_both(**rules, (*rules)->interest(), load);
  EXPECT_GE(views.all.detections.size(), at_least);
  EXPECT_LE(views.few.events + left_out_at_least, views.all.events);
}

TEST(SensorFilter, WritesOnly) {
  NEEDS_SENSOR();
  const std::string file = folder() + "/writes.yaml";
  std::ofstream(file) << R"(
- rule: written
  desc: a file is written below the folder
  condition: evt.type in (open, openat, openat2) and evt.is_open_write=true and fd.typechar=f and fd.num>=0
  output: "%fd.name %proc.name %evt.res"
  priority: INFO
- rule: moved
  desc: a directory is changed to
  condition: evt.type=chdir and evt.rawres>=0
  output: "%proc.cwd %proc.name"
  priority: INFO
- rule: connected
  desc: a connection
  condition: evt.type=connect and evt.res=SUCCESS
  output: "%proc.name"
  priority: INFO
)";
  // No rule asks other events about their descriptor: reads of plain files and their closes are left out.
  compare({file}, 150, 400);
}

TEST(SensorFilter, SocketsThatAreDuplicated) {
  NEEDS_SENSOR();
  const std::string file = folder() + "/dup.yaml";
  std::ofstream(file) << R"(
- rule: duplicated
  desc: a socket takes another number
  condition: evt.type in (dup, dup2, dup3) and fd.type in (ipv4, ipv6)
  output: "%fd.name %fd.type %evt.args"
  priority: INFO
- rule: written
  desc: a file is written
  condition: evt.type=openat and evt.is_open_write=true and evt.failed=false
  output: "%fd.name"
  priority: INFO
)";
  compare({file}, 50);
}

TEST(SensorFilter, ShippedRules) {
  NEEDS_SENSOR();
  compare({std::string(QUELL_SOURCE_DIR) + "/content/rules"}, 1);
}

TEST(SensorFilter, UpstreamRules) {
  NEEDS_SENSOR();
  const char* data = std::getenv("QUELL_TEST_DATA");
  if (data == nullptr) GTEST_SKIP() << "QUELL_TEST_DATA does not name the folder of upstream rules";
  const std::string rules = std::string(data) + "/falco-rules/";
  compare({rules + "falco_rules.yaml", rules + "falco-incubating_rules.yaml", rules + "falco-sandbox_rules.yaml"}, 1);
}

}  // namespace
}  // namespace quell::capture::test
