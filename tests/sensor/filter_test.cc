// The same load seen by two sensors, one that leaves out what no rule looks at: the same detections from fewer events.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/openat2.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>

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

void compare_loads(const std::vector<std::string>& files, const std::function<void()>& what, size_t at_least,
                   size_t left_out_at_least) {
  detect::EngineOptions options;
  options.match_all = true;
  const auto rules = cli::load_rules({.paths = files}, options, false);
  ASSERT_TRUE(rules) << rules.error().str();
  const BothViews views = see_both(**rules, (*rules)->interest(), what);
  EXPECT_EQ(views.status, 0);
  EXPECT_GE(views.all.detections.size(), at_least);
  EXPECT_LE(views.few.events + left_out_at_least, views.all.events);
}

void compare(const std::vector<std::string>& files, size_t at_least, size_t left_out_at_least = 1) {
  compare_loads(files, load, at_least, left_out_at_least);
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

// ---- names ----

// Every rule of an event type asks how a name begins.
std::string rules_of_names() {
  const std::string file = folder() + "/names.yaml";
  std::ofstream(file) << R"(
- rule: opened
  desc: by the beginning of the name
  condition: evt.type in (open, openat, openat2) and (fd.name startswith /a/b or fd.name in (/c, /b/c, /etc/hostname) or fd.directory = /etc/x)
  output: "%evt.type %fd.name %fd.nameraw %evt.res"
  priority: INFO
- rule: opened below
  desc: by components and patterns
  condition: evt.type in (openat, creat) and (fd.name pmatch (/b/a, /etc/c*) or fd.name glob '/a/?/c*')
  output: "%evt.type %fd.name %evt.arg.name %evt.res"
  priority: INFO
- rule: written
  desc: by flags, whatever the name
  condition: evt.type = openat and evt.is_open_write = true and evt.failed = true
  output: "%fd.name %evt.res"
  priority: INFO
- rule: one path
  desc: by the path of the call
  condition: evt.type in (mkdir, mkdirat, rmdir, unlink, unlinkat) and (fs.path.name startswith /a/b or fs.path.name startswith /b/)
  output: "%evt.type %fs.path.name %fs.path.nameraw"
  priority: INFO
- rule: two paths
  desc: by one of two paths
  condition: evt.type in (rename, renameat, renameat2, link, symlink, symlinkat) and (fs.path.source startswith /a/b or fs.path.target pmatch (/b))
  output: "%evt.type %fs.path.source %fs.path.target"
  priority: INFO
- rule: mode
  desc: by the parameter as it was given
  condition: evt.type in (chmod, fchmodat) and evt.rawarg.filename startswith /a/b
  output: "%evt.type %fs.path.name"
  priority: INFO
)";
  return file;
}

uint64_t seed_of_names() {
  const char* text = std::getenv("QUELL_TEST_SEED");
  return text == nullptr ? 20261122 : std::strtoull(text, nullptr, 10);
}

std::string random_name(std::mt19937_64& random) {
  static const std::string kParts[] = {"a", "b",    "c",  "a",  "b",   "etc", "x",  ".",        "..",
                                       "",  "link", "up", ".h", "..z", "b.",  "cc", "hostname", "a.b.c"};
  std::string name = random() % 4 != 0 ? "/" : "";
  const uint64_t count = random() % 6;
  for (uint64_t i = 0; i < count; ++i) name += kParts[random() % std::size(kParts)] + "/";
  if (random() % 40 == 0) {  // around the length to which names are compared, that of a component, those of a path
    static const size_t kLengths[] = {250, 255, 256, 505, 511, 512, 1015, 1024, 1030, 4090, 4096, 5000};
    const size_t length = kLengths[random() % std::size(kLengths)] + random() % 4;
    while (name.size() < length) name += random() % 30 != 0 ? "./"[random() % 8 == 0] : 'n';
  }
  if (random() % 5 != 0) name += kParts[random() % std::size(kParts)];
  return name;
}

// Below a root of its own, where nothing can be harmed.
void calls_on_random_names() {
  const std::string root = folder() + "/root";
  std::filesystem::remove_all(root);
  for (const char* directory : {"/a/b/c", "/b/a", "/etc/x", "/etc/cc", "/c"}) {
    std::filesystem::create_directories(root + directory);
  }
  std::ofstream(root + "/etc/hostname") << "h";
  std::filesystem::create_symlink("/a/b", root + "/link");
  std::filesystem::create_symlink("..", root + "/etc/up");
  if (chroot(root.c_str()) != 0 || chdir("/") != 0) _exit(4);
  std::mt19937_64 random(seed_of_names());
  for (int i = 0; i < 4000; ++i) {
    const std::string one = random_name(random), two = random_name(random);
    const char *first = one.c_str(), *second = two.c_str();
    const auto in_turn = static_cast<unsigned>(random() % 24);
    int fd = -1;
    switch (in_turn) {
      case 0:
      case 1:
      case 2:
      case 3: fd = open(first, O_RDONLY | O_CLOEXEC); break;
      case 4: fd = open(first, O_WRONLY | O_CREAT, 0755); break;
      case 5: fd = creat(first, 0644); break;
      case 6: fd = static_cast<int>(syscall(SYS_open, first, O_RDONLY)); break;
      case 7: fd = static_cast<int>(syscall(SYS_open, first, O_RDWR | O_CREAT, 0600)); break;
      case 8: {
        const int directory = open("/etc", O_RDONLY | O_DIRECTORY);
        fd = openat(directory, first, O_RDONLY);
        close(directory);
        break;
      }
      case 9: {
        open_how how{};
        fd = static_cast<int>(syscall(SYS_openat2, AT_FDCWD, first, &how, sizeof how));
        break;
      }
      case 10: (void)mkdir(first, 0755); break;
      case 11: (void)mkdirat(AT_FDCWD, first, 0755); break;
      case 12: (void)rmdir(first); break;
      case 13: (void)unlink(first); break;
      case 14: (void)unlinkat(AT_FDCWD, first, 0); break;
      case 15: (void)rename(first, second); break;
      case 16: (void)renameat(AT_FDCWD, first, AT_FDCWD, second); break;
      case 17: (void)syscall(SYS_renameat2, AT_FDCWD, first, AT_FDCWD, second, 0); break;
      case 18: (void)!link(first, second); break;
      case 19: (void)!symlink(first, second); break;
      case 20: (void)!symlinkat(first, AT_FDCWD, second); break;
      case 21: (void)chmod(first, 0755); break;
      case 22: (void)fchmodat(AT_FDCWD, first, 0700, 0); break;
      default: (void)!chdir(first); break;
    }
    if (fd >= 0) close(fd);
  }
}

TEST(SensorFilter, RandomNames) {
  NEEDS_SENSOR();
  RecordProperty("seed", std::to_string(seed_of_names()));
  SCOPED_TRACE("QUELL_TEST_SEED=" + std::to_string(seed_of_names()));
  compare_loads({rules_of_names()}, calls_on_random_names, 150, 600);
}

// Names as programs use them: through links, from other directories, and one that changes while the call runs.
void calls_on_usual_names() {
  if (chdir("/etc") != 0) _exit(2);
  std::filesystem::create_symlink("/etc", folder() + "/to-etc");
  const std::string through = folder() + "/to-etc/hostname";
  for (int i = 0; i < 20; ++i) {
    for (const char* name :
         {"/etc/hostname", "/etc/passwd", "hostname", "./hostname", "../etc/hostname", "/usr/../etc/hostname",
          "//etc//hostname", "/etc/./hostname", "/proc/self/root/etc/hostname", "/proc/self/cwd/hostname",
          "/etc/hostname/", "/etc/hostname/..", "/no/such/file", "/dev/null", through.c_str()}) {
      close(open(name, O_RDONLY));
    }
  }
  char name[32] = "/etc/passwd";
  std::atomic<bool> stop{false};
  std::thread other([&] {
    const std::string kNames[] = {"/etc/passwd", "/etc/hostname", "/etc/group"};
    for (size_t i = 0; !stop; ++i) std::memcpy(name, kNames[i % 3].c_str(), kNames[i % 3].size() + 1);
  });
  for (int i = 0; i < 1000; ++i) close(open(name, O_RDONLY));
  stop = true;
  other.join();
}

TEST(SensorFilter, UsualNames) {
  NEEDS_SENSOR();
  const std::string file = folder() + "/usual.yaml";
  std::ofstream(file) << R"(
- rule: read
  desc: a file of some name is read
  condition: evt.type in (open, openat, openat2) and evt.is_open_read = true and evt.failed = false and fd.name = /etc/hostname
  output: "%fd.name %fd.nameraw"
  priority: INFO
)";
  // Of the name that changes, the two sensors may read different states. What counts is the file that was opened.
  compare_loads({file}, calls_on_usual_names, 100, 100);
}

TEST(SensorFilter, NamesLeaveFewEventsOver) {
  NEEDS_SENSOR();
  const std::string file = folder() + "/few.yaml";
  std::ofstream(file) << R"(
- rule: shadow
  desc: one file
  condition: evt.type in (open, openat, openat2) and fd.name = /etc/shadow
  output: "%fd.name %evt.res"
  priority: INFO
)";
  const auto opens = [] {
    for (int i = 0; i < 200; ++i) {
      close(open("/etc/hostname", O_RDONLY));
      close(open("/no/such/file", O_RDONLY));
    }
    close(open("/etc/shadow", O_RDONLY));
    close(open("/etc/shadow/x", O_RDONLY));
  };
  compare_loads({file}, opens, 1, 600);
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
