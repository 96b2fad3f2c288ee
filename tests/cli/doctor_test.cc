#include "apps/quell/doctor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace quell::cli {
namespace {

DoctorOptions nothing_there() {
  DoctorOptions options;
  options.sockets = {.docker = "/nonexistent/d.sock", .containerd = "/nonexistent/c.sock", .runc_roots = {}};
  options.data_dir = "/tmp";
  options.server = "/nonexistent/quell.sock";
  options.rules = {QUELL_SOURCE_DIR "/content/rules"};
  return options;
}

const Finding* find(const std::vector<Finding>& findings, std::string_view check) {
  const auto found = std::find_if(findings.begin(), findings.end(), [&](const Finding& f) { return f.check == check; });
  return found == findings.end() ? nullptr : &*found;
}

TEST(Doctor, EveryComplaintHasARemedyAndEveryCheckIsThereOnce) {
  const auto findings = examine(nothing_there());
  std::set<std::string> checks;
  for (const Finding& one : findings) {
    EXPECT_FALSE(one.found.empty()) << one.check;
    EXPECT_EQ(one.remedy.empty(), one.status == Finding::Status::ok) << one.check << ": " << one.found;
    EXPECT_TRUE(checks.insert(one.check).second) << one.check;
  }
  for (const char* check : {"kernel", "btf", "capabilities", "bpf", "host", "cgroups", "runtime:docker",
                            "runtime:containerd", "data", "clock", "rules", "quell"})
    EXPECT_TRUE(checks.contains(check)) << check;
  EXPECT_EQ(find(findings, "rules")->status, Finding::Status::ok);
}

TEST(Doctor, NoRuntimeAtAllIsSaid) {
  const auto findings = examine(nothing_there());
  ASSERT_NE(find(findings, "runtimes"), nullptr);
  EXPECT_EQ(find(findings, "runtimes")->status, Finding::Status::warning);
  EXPECT_EQ(find(findings, "runtime:docker")->status, Finding::Status::ok) << "what is not installed is no illness";
}

TEST(Doctor, ASocketThatNobodyServesIsSaid) {
  char folder[] = "/tmp/quell-doctor-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string path = std::string(folder) + "/d.sock";
  const int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(server, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);  // and no listen()
  DoctorOptions options = nothing_there();
  options.sockets.docker = path;
  const auto findings = examine(options);
  EXPECT_EQ(find(findings, "runtime:docker")->status, Finding::Status::warning);
  EXPECT_NE(find(findings, "runtime:docker")->found.find(path), std::string::npos);
  ::close(server);
  ::unlink(path.c_str());
  ::rmdir(folder);
}

TEST(Doctor, MissingRulesAreAFailure) {
  DoctorOptions options = nothing_there();
  options.rules = {"/nonexistent/rules"};
  EXPECT_EQ(find(examine(options), "rules")->status, Finding::Status::failure);
}

}  // namespace
}  // namespace quell::cli
