#include "support/bare_runc.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "support/command.h"

namespace quell::test {
namespace fs = std::filesystem;

Result<BareRunc> BareRunc::create(const std::string& folder,
                                  const std::vector<std::pair<std::string, std::string>>& programs) {
  BareRunc runc(folder);
  std::error_code error;
  for (const char* name : {"/proc", "/dev", "/etc", "/tmp"}) fs::create_directories(runc.rootfs() + name, error);
  fs::create_directories(runc.root(), error);
  std::ofstream(runc.rootfs() + "/etc/passwd") << "root:x:0:0:root:/root:/bin/sh\n";
  for (const auto& [inside, file] : programs) {
    const std::string path = runc.rootfs() + inside;
    fs::create_directories(fs::path(path).parent_path(), error);
    fs::copy_file(file, path, fs::copy_options::overwrite_existing, error);
    if (error) return Error{Code::io, "cannot copy the program: " + error.message(), path};
  }
  return runc;
}

Result<void> BareRunc::run(const BareSpec& spec) const {
  const std::string bundle = folder_ + "/bundle-" + spec.id;
  std::error_code error;
  fs::create_directories(bundle, error);
  std::string args, annotations;
  for (const std::string& one : spec.command)
    args += fmt::format("{}\"{}\"", args.empty() ? "" : ",", json_escape(one));
  for (const auto& [key, value] : spec.annotations)
    annotations += fmt::format("{}\"{}\":\"{}\"", annotations.empty() ? "" : ",", json_escape(key), json_escape(value));
  std::ofstream(bundle + "/config.json") << fmt::format(
      R"({{"ociVersion":"1.0.2","process":{{"terminal":false,"user":{{"uid":0,"gid":0}},"args":[{}],"cwd":"/"}},)"
      R"("root":{{"path":"{}","readonly":true}},"annotations":{{{}}},"mounts":[)"
      R"({{"destination":"/proc","type":"proc","source":"proc"}},)"
      R"({{"destination":"/dev","type":"tmpfs","source":"tmpfs","options":["nosuid","mode=755","size=1024k"]}},)"
      R"({{"destination":"/dev/shm","type":"tmpfs","source":"shm","options":["nosuid","noexec","mode=1777"]}}],)"
      R"("linux":{{"cgroupsPath":"{}","namespaces":[{}{{"type":"mount"}},{{"type":"ipc"}},{{"type":"uts"}}]}}}})",
      args, rootfs(), annotations, spec.cgroup, spec.host_pid ? "" : R"({"type":"pid"},)");
  // The container keeps these streams: a pipe would hold us up until it ends.
  QUELL_TRY(const std::string ignored,
            run_command({"sh", "-c",
                         fmt::format("runc --root {} run --detach --bundle {} {} </dev/null >/dev/null 2>{}/log ||"
                                     " {{ cat {}/log >&2; exit 1; }}",
                                     root(), bundle, spec.id, bundle, bundle)}));
  return {};
}

Result<void> BareRunc::remove(const std::string& id) const {
  QUELL_TRY(const std::string ignored, run_command({"runc", "--root", root(), "delete", "--force", id}));
  std::error_code error;
  fs::remove_all(folder_ + "/bundle-" + id, error);
  return {};
}

}  // namespace quell::test
