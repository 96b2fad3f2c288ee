#include "support/image_archive.h"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "support/command.h"
#include "support/container_env.h"

namespace quell::test {
namespace {

/// The POSIX "ustar" form of tar.
class Tar {
 public:
  void directory(const std::string& name, int mode = 0755) { entry(name + "/", '5', mode, {}, {}); }
  void file(const std::string& name, int mode, std::string_view content) { entry(name, '0', mode, {}, content); }
  void link(const std::string& name, const std::string& target) { entry(name, '2', 0777, target, {}); }
  /// Two empty blocks end an archive.
  std::string finish() { return std::move(bytes_.append(1024, '\0')); }

 private:
  void entry(const std::string& name, char type, int mode, const std::string& target, std::string_view content) {
    char header[512] = {};
    const auto put = [&](size_t at, const std::string& text) { std::memcpy(header + at, text.data(), text.size()); };
    put(0, name.substr(0, 100));
    put(100, fmt::format("{:07o}", mode));
    put(108, "0000000");
    put(116, "0000000");
    put(124, fmt::format("{:011o}", content.size()));
    put(136, fmt::format("{:011o}", 1700000000));
    put(148, "        ");  // the checksum counts itself as spaces
    header[156] = type;
    put(157, target.substr(0, 100));
    std::memcpy(header + 257,
                "ustar\0"
                "00",
                8);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    put(148, fmt::format("{:06o}", sum));
    header[154] = '\0';
    bytes_.append(header, sizeof header);
    bytes_ += content;
    bytes_.append((512 - content.size() % 512) % 512, '\0');
  }
  std::string bytes_;
};

std::string sha256(std::string_view bytes) {
  unsigned char digest[SHA256_DIGEST_LENGTH];
  SHA256(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(), digest);
  return hex(digest, sizeof digest);
}

Result<std::string> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{Code::not_found, "cannot be read", path};
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

}  // namespace

Result<void> write_image_archive(const std::string& path,
                                 const std::vector<std::pair<std::string, std::string>>& extra) {
  std::string busybox_path;
  for (const char* candidate : {"/bin/busybox", "/usr/bin/busybox"})
    if (busybox_path.empty() && std::ifstream(candidate)) busybox_path = candidate;
  if (busybox_path.empty()) return Error{Code::not_found, "there is no busybox: apt-get install busybox-static", {}};
  QUELL_TRY(const std::string busybox, read_file(busybox_path));
  QUELL_TRY(const std::string commands, run_command({busybox_path, "--list"}));

  Tar layer;
  for (const char* name : {"bin", "dev", "etc", "home", "proc", "root", "run", "sbin", "sys", "usr", "usr/bin", "var"})
    layer.directory(name);
  layer.directory("tmp", 01777);
  layer.file("bin/busybox", 0755, busybox);
  for (std::string_view command : split(commands, '\n'))
    if (!command.empty() && command != "busybox") layer.link("bin/" + std::string(command), "busybox");
  layer.file("etc/passwd", 0644, "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var:/bin/sh\n");
  layer.file("etc/group", 0644, "root:x:0:\nwww-data:x:33:\n");
  layer.file("etc/shadow", 0640, "root:*:19000:0:99999:7:::\n");
  for (const auto& [name, source] : extra) {
    QUELL_TRY(const std::string content, read_file(source));
    layer.file(name.starts_with('/') ? name.substr(1) : name, 0755, content);
  }
  const std::string layer_tar = layer.finish();

#if defined(__aarch64__)
  constexpr const char* kArchitecture = "arm64";
#else
  constexpr const char* kArchitecture = "amd64";
#endif
  const std::string config = fmt::format(
      R"({{"architecture":"{}","os":"linux","created":"2024-01-01T00:00:00Z","config":{{"Cmd":["/bin/sleep","1000000"],)"
      R"("Env":["PATH=/bin:/usr/bin:/sbin"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{}"]}},)"
      R"("history":[{{"created":"2024-01-01T00:00:00Z"}}]}})",
      kArchitecture, sha256(layer_tar));
  const std::string config_name = sha256(config) + ".json";
  Tar image;
  image.file("manifest.json", 0644,
             fmt::format(R"([{{"Config":"{}","RepoTags":["{}"],"Layers":["layer.tar"]}}])", config_name,
                         std::string(kTestImage).substr(std::string("docker.io/").size())));
  image.file(config_name, 0644, config);
  image.file("layer.tar", 0644, layer_tar);
  std::ofstream out(path, std::ios::binary);
  out << image.finish();
  out.close();
  if (!out) return Error{Code::io, "cannot write the image archive", path};
  return {};
}

}  // namespace quell::test
