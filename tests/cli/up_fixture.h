#pragma once
// A living `quell up`, limited to a control group of our own.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/json.h"
#include "process.h"

namespace quell::cli {

inline constexpr const char* kRules =
    "- rule: Marker opened\n"
    "  desc: a file whose name only this test uses\n"
    "  condition: evt.type in (open, openat) and fd.name contains quell-up-marker\n"
    "  output: \"%proc.name opened %fd.name\"\n"
    "  priority: WARNING\n";

inline std::string cgroup_mount() {
  std::ifstream mounts("/proc/self/mounts");
  for (std::string device, path, type, rest; mounts >> device >> path >> type && std::getline(mounts, rest);) {
    if (type == "cgroup2") return path;
  }
  return {};
}

class Up : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string mount = cgroup_mount();
    if (geteuid() != 0 || mount.empty()) skip("needs root and a cgroup v2 hierarchy");
    if (IsSkipped()) return;
    group_ = "quell-up-test-" + std::to_string(getpid());
    group_path_ = mount + "/" + group_;
    if (mkdir(group_path_.c_str(), 0755) != 0) skip("a control group cannot be made here");
  }
  void TearDown() override {
    if (!group_path_.empty()) rmdir(group_path_.c_str());
  }
  static void skip(const char* why) {
    std::printf("SKIPPED: %s\n", why);
    GTEST_SKIP() << why;
  }

  std::vector<std::string> up_arguments(const std::vector<std::string>& more = {}) {
    std::vector<std::string> arguments = {"up",       "--scope",  "cgroup:" + group_, "--rules", rules_, "--data-dir",
                                          data_dir(), "--listen", "127.0.0.1:0",      "-o",      "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  std::string data_dir() const { return folder_.path() + "/data"; }
  /// Runs a shell command inside the group.
  void inside(const std::string& command) const {
    const std::string line = "sh -c 'echo $$ > " + group_path_ + "/cgroup.procs && " + command + "' >/dev/null 2>&1";
    if (std::system(line.c_str()) != 0) ADD_FAILURE() << line;
  }
  static std::string address(const Process& up) {
    const std::string err = up.err();
    const size_t at = err.find("http://");
    return at == std::string::npos ? std::string() : err.substr(at, err.find(';', at) - at);
  }
  /// Which parts of /healthz are not well, in its words. Runtimes are left out: whoever else runs containers on this
  /// machine, other tests for instance, degrades them.
  std::string unwell(const Process& up) const {
    std::string status, out;
    const auto health = Json::parse(get(address(up) + "/healthz", status));
    if (!health.has_value() || health->at("components").object() == nullptr) return "no answer";
    for (const auto& [name, part] : *health->at("components").object())
      if (name != "runtimes" && part.at("status").str() != "ok") out += name + ": " + part.at("reason").str() + "; ";
    return out;
  }
  /// Body of a GET; `status` receives the HTTP status.
  std::string get(const std::string& url, std::string& status) const {
    const std::string file = folder_.path() + "/get";
    const std::string line = "curl -s -o " + file + ".body -w '%{http_code}' " + url + " > " + file + ".status";
    if (std::system(line.c_str()) != 0) ADD_FAILURE() << line;
    status = read_file(file + ".status");
    return read_file(file + ".body");
  }

  TempFolder folder_;
  std::string rules_ = folder_.file("rules.yaml", kRules);
  std::string group_, group_path_;
};

}  // namespace quell::cli
