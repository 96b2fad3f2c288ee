// Writes the seeds of scap_reader_fuzz: small captures by our own writer, and by hand what only old writers wrote.
//   scap_reader_seeds fuzz/corpus/scap_reader
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "../tests/capture/blocks.h"
#include "capture/scap/writer.h"
#include "model/event.h"

namespace {

using namespace quell;
using namespace quell::capture;
using namespace quell::capture::testing;

Snapshot small_snapshot() {
  Snapshot s;
  s.machine = {2, 1 << 30, 32768, "box", 1'700'000'000'000'000'000, ""};
  const uint8_t bytes[16] = {127, 0, 0, 1};
  s.interfaces.push_back({"lo", IpAddress::v4(bytes), IpAddress::v4(bytes), IpAddress::v4(bytes), 0});
  s.interfaces.push_back({"lo", IpAddress::v6(bytes), IpAddress::v6(bytes), IpAddress::v6(bytes), 0});
  s.users.push_back({0, 0, "root", "/root", "/bin/sh"});
  s.groups.push_back({0, "root"});
  Thread t;
  t.tid = t.pid = t.vtid = t.vpid = 10;
  t.ptid = 1;
  t.comm = "sh";
  t.args = std::string("-c\0ls\0", 6);
  t.cwd = "/";
  s.threads.push_back(t);
  Snapshot::FdList list{10, {}};
  for (const FdType type : {FdType::file, FdType::ipv4, FdType::ipv6_server, FdType::unix_socket, FdType::fifo}) {
    Fd fd;
    fd.type = type;
    fd.name = "/x";
    list.fds.emplace_back(static_cast<int64_t>(list.fds.size()), fd);
  }
  s.fd_lists.push_back(list);
  return s;
}

bool write_own(const std::string& path, bool gzip) {
  auto writer = ScapWriter::create(path, small_snapshot(), {.gzip = gzip});
  const auto add = [&](const std::vector<uint8_t>& event, bool state_only) {
    return (*writer)->append(event, 1, state_only).has_value();
  };
  return writer &&
         add(EventBuilder(ev::SYSCALL_OPEN_E, 1, 10).text("/etc/passwd").num<uint32_t>(1).num<uint32_t>(0).build(),
             true) &&
         add(EventBuilder(ev::SYSCALL_CLOSE_X, 2, 10).num<int64_t>(0).num<int64_t>(3).build(), false) &&
         add(EventBuilder(ev::CONTAINER_JSON_2_E, 3, 0).text(R"({"container":{"id":"abc"}})").build(), false) &&
         (*writer)->close().has_value();
}

void write_bytes(const std::string& path, const Bytes& bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
}

Bytes old_capture() {
  return section(0) + ev1(ev::SYSCALL_READ_E, 1, 7, {num64(5), num32(100)}) +
         ev1(ev::SYSCALL_READ_X, 2, 7, {num64(3), text("ab")}) +
         ev1(ev::SYSCALL_EXECVE_8_X, 3, 9,
             {num64(0), text("sh"), text("-c"), num64(9), num64(9), num64(1), text("/"), num64(1024)}) +
         ev2(ev::SYSCALL_OPENAT_E, 4, 7, {num64(-100), text("/a"), num32(1), num32(0)}) +
         ev2(ev::SYSCALL_OPENAT_X, 5, 7, {num64(3)}) +
         ev1(ev::CONTAINER_E, 6, 0, {text("abc"), num32(0), text("n"), text("i")}) + block(0x999, Bytes(12, 1)) +
         ev2(60'000, 7, 7, {}) + ev1(ev::PROCEXIT_E, 8, 7, {});
}

Bytes old_tables() {
  Bytes threads, fds;
  ByteWriter w(threads);
  for (const int64_t id : {10, 10, 1}) w.write(id);
  for (const char* name : {"sh", "/bin/sh", "-c", "/root"}) w.write_str16(name);
  w.write(int64_t{1024});
  for (const uint32_t v : {1u, 2u, 3u}) w.write(v);
  ByteWriter f(fds);
  f.write(uint64_t{10});
  f.write(int64_t{0});
  f.write(uint64_t{77});
  f.write(uint8_t{1});
  f.write_str16("/etc");
  return section(0) + block(scap::kProcessListV1, threads) + block(scap::kFdListV1, fds) + old_capture();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
    return 2;
  }
  const std::string folder = argv[1];
  std::filesystem::create_directories(folder);
  if (!write_own(folder + "/current.scap", false) || !write_own(folder + "/current.scap.gz", true)) {
    std::fprintf(stderr, "cannot write to %s\n", folder.c_str());
    return 1;
  }
  write_bytes(folder + "/old_events.scap", old_capture());
  write_bytes(folder + "/old_tables.scap", old_tables());
  write_bytes(folder + "/appended.scap.gz", gzip(old_capture()) + gzip(old_tables()));
  return 0;
}
