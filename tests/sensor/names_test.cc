// The name in an open event is that of the file that was opened, whatever the process does to its memory meanwhile.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <thread>

#include "needs_sensor.h"

namespace quell::capture::test {
namespace {

class Folder {
 public:
  Folder() {
    char path[] = "/tmp/quell-names-XXXXXX";
    path_ = mkdtemp(path);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  std::string make(const std::string& name) const {
    std::ofstream(*this / name) << "x";
    return *this / name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

uint64_t inode_of(const std::string& path) {
  struct stat info {};
  EXPECT_EQ(stat(path.c_str(), &info), 0) << path;
  return info.st_ino;
}

/// As Sandbox::run, but collects while the child still lives.
Events run_and_hold(Sandbox& box, const std::function<void()>& body) {
  int gate[2], done[2];
  EXPECT_EQ(pipe(gate), 0);
  EXPECT_EQ(pipe(done), 0);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    while (read(gate[0], &byte, 1) != 1) {
    }
    body();
    if (write(done[1], "x", 1) != 1) _exit(2);
    for (;;) pause();
  }
  box.enter(child);
  char byte = 0;
  EXPECT_EQ(write(gate[1], "x", 1), 1);
  close(done[1]);
  EXPECT_EQ(read(done[0], &byte, 1), 1) << "the child ended early";
  Events events = box.collect();
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  for (const int fd : {gate[0], gate[1], done[0]}) close(fd);
  return events;
}

std::vector<std::string> names(const Events& events, EventCode code) {
  std::vector<std::string> out;
  for (const Captured* event : all_of(events, code)) {
    if (event->num("fd") >= 0) out.push_back(event->text("name"));
  }
  return out;
}

TEST(SensorNames, ARaceCannotForgeThem) {
  NEEDS_SENSOR();
  const Folder folder;
  // As long as each other, so that a torn copy is a name, too.
  const std::string first = folder.make("innocent"), second = folder.make("precious");
  std::map<uint64_t, std::string> name_of{{inode_of(first), first}, {inode_of(second), second}};
  constexpr int kOpens = 20'000;
  Sandbox box;
  const auto race = [&] {
    char name[64];
    std::strcpy(name, first.c_str());
    const size_t at = first.size() - 8;
    std::atomic<bool> done{false};
    std::thread flips([&] {
      while (!done) {
        std::memcpy(name + at, "precious", 8);
        asm volatile("" ::: "memory");  // somebody else looks at it
        std::memcpy(name + at, "innocent", 8);
        asm volatile("" ::: "memory");
      }
    });
    for (int i = 0; i < kOpens; ++i) {
      const int fd = open(name, O_RDONLY);
      if (fd >= 0) close(fd);
    }
    done = true;
    flips.join();
  };
  // Again until the race was real: some names were not what the process's memory said when the call returned. On one
  // CPU there may be none.
  const bool can_race = std::thread::hardware_concurrency() > 1;
  for (int round = 0; round < 30; ++round) {
    const Events events = box.run(race);
    ASSERT_EQ(box.source().counters().lost(), 0u);
    int opened = 0;
    for (const Captured* event : all_of(events, ev::SYSCALL_OPENAT_2_X)) {
      if (event->num("fd") < 0) continue;
      const auto known = name_of.find(event->u64("ino"));
      if (known == name_of.end()) continue;  // libraries of the thread
      ++opened;
      ASSERT_EQ(event->text("name"), known->second);
    }
    EXPECT_GT(opened, kOpens / 10);
    if (!can_race || box.source().counters().names_from_kernel > 0) return;
  }
  ADD_FAILURE() << "in none of the rounds a name was changed in time";
}

TEST(SensorNames, AsTheProcessWroteThem) {
  NEEDS_SENSOR();
  const Folder folder;
  folder.make("file");
  ASSERT_EQ(mkdir((folder / "sub").c_str(), 0755), 0);
  folder.make("sub/deep");
  ASSERT_EQ(symlink("file", (folder / "link").c_str()), 0);
  ASSERT_EQ(symlink("sub", (folder / "dir").c_str()), 0);
  Sandbox box;
  const std::string root = folder.path();
  const Events events = run_and_hold(box, [&] {
    const auto touch = [](int dir, const char* name) { close(openat(dir, name, O_RDONLY)); };
    if (chdir(root.c_str()) != 0) _exit(2);
    const int base = open("sub", O_RDONLY | O_DIRECTORY);
    touch(AT_FDCWD, "file");
    touch(AT_FDCWD, "sub/deep");
    touch(base, "deep");
    touch(AT_FDCWD, (root + "/file").c_str());
    touch(AT_FDCWD, "/proc/self/maps");
    touch(AT_FDCWD, "/");
    touch(AT_FDCWD, "/dev/null");
    touch(AT_FDCWD, ".");
    touch(AT_FDCWD, (root + "/link").c_str());
    touch(AT_FDCWD, "dir/../file");
    touch(AT_FDCWD, "dir//deep");
  });
  const std::vector<std::string> wanted{
      "sub", "file",      "sub/deep", "deep",         root + "/file", "/proc/self/maps",
      "/",   "/dev/null", ".",        root + "/link", "dir/../file",  "dir//deep"};
  EXPECT_EQ(names(events, ev::SYSCALL_OPENAT_2_X), wanted);
  EXPECT_EQ(box.source().counters().names_from_kernel, 0u);
}

TEST(SensorNames, LinksOfAProcessThatIsGone) {
  NEEDS_SENSOR();
  const Folder folder;
  const std::string file = folder.make("file");
  const std::string link = folder / "link";
  ASSERT_EQ(symlink("file", link.c_str()), 0);
  Sandbox box;
  const Events events = box.run([&] {
    close(open(link.c_str(), O_RDONLY));
    if (chdir(folder.path().c_str()) != 0) _exit(2);
    close(open("link", O_RDONLY));
  });
  // Our own root shows where the first leads; where the second began, nobody can tell any more.
  EXPECT_EQ(names(events, ev::SYSCALL_OPENAT_2_X), (std::vector<std::string>{link, file}));
}

TEST(SensorNames, InsideAnotherRoot) {
  NEEDS_SENSOR();
  const Folder folder;
  folder.make("file");
  Sandbox box;
  const Events events = box.run([&] {
    if (chroot(folder.path().c_str()) != 0 || chdir("/") != 0) _exit(2);
    close(open("/file", O_RDONLY));
    close(open("file", O_RDONLY));
  });
  EXPECT_EQ(names(events, ev::SYSCALL_OPENAT_2_X), (std::vector<std::string>{"/file", "file"}));
  EXPECT_EQ(box.source().counters().names_from_kernel, 0u);
}

TEST(SensorNames, ConnectTellsTheKernelsAddress) {
  NEEDS_SENSOR();
  Sandbox box;
  const Events events = box.run([] {
    const int listener = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 || listen(listener, 8) != 0) _exit(2);
    getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length);
    std::atomic<bool> done{false};
    sockaddr_in given = address;
    auto* port = reinterpret_cast<std::atomic<uint16_t>*>(&given.sin_port);
    std::thread flips([&] {
      while (!done) {
        *port = htons(1);  // nobody listens there
        *port = address.sin_port;
      }
    });
    for (int i = 0; i < 2000; ++i) {
      const int client = socket(AF_INET, SOCK_STREAM, 0);
      const linger reset{1, 0};
      setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      if (connect(client, reinterpret_cast<sockaddr*>(&given), sizeof given) == 0)
        close(accept(listener, nullptr, nullptr));
      close(client);
    }
    done = true;
    flips.join();
  });
  int connected = 0;
  for (const Captured* event : all_of(events, ev::SOCKET_CONNECT_X)) {
    if (event->num("res") != 0) continue;
    ++connected;
    const Param address = (*event)["addr"], tuple = (*event)["tuple"];
    ASSERT_EQ(address.len, 7u);
    ASSERT_EQ(tuple.len, 13u);
    ASSERT_EQ(std::memcmp(address.data + 1, tuple.data + 7, 6), 0) << "the same far end in both";
  }
  EXPECT_GT(connected, 0);
}

}  // namespace
}  // namespace quell::capture::test
