#pragma once
// What the tables of the format have no room for: start times and life of threads, flags and roles of descriptors,
// types of descriptors that older readers refuse, ports that something listened on.
//
// It travels in a block of its own among the metadata. Readers skip metadata blocks that they do not know, so a file
// with it opens everywhere; appending to the format's own entries would clash with whatever the format appends next.
// The body is a list of entries: u32 length (including itself), u8 kind, then by kind:
//
//   1 thread      i64 tid, u64 clone_ns, lastexec_ns, ctime_duration_clone_ns, ctime_duration_pidns_ns, u8 life
//   2 descriptor  i64 tid, i64 number, u8 type, u8 role, u8 flags, i64 pid, str16 name as the program gave it
//   3 ports       u16 each
//
// Bytes behind the known ones of an entry, and kinds that are not known, are skipped.
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "model/snapshot.h"

namespace quell::capture::scap {

/// In the range that the block numbering leaves to local use.
inline constexpr uint32_t kSupplement = 0x80515501;

void put_supplement(const Thread& thread, ByteWriter& out);
/// Nothing for a descriptor that the format's own entry describes whole.
void put_supplement(int64_t tid, int64_t number, const Fd& fd, ByteWriter& out);
void put_supplement(const std::vector<uint16_t>& ports, ByteWriter& out);

/// Collects the entries of supplement blocks, then fills them into a snapshot that is complete otherwise.
class SupplementReader {
 public:
  /// Returns how many entries were unreadable or beyond the bounds of format.h.
  uint64_t read(std::span<const uint8_t> body);
  void apply(Snapshot& out);

 private:
  struct ThreadFacts {
    int64_t tid = 0;
    uint64_t clone_ns = 0, lastexec_ns = 0, ctime_duration_clone_ns = 0, ctime_duration_pidns_ns = 0;
    uint8_t life = 0;
  };
  struct FdFacts {
    int64_t tid = 0, number = 0;
    FdType type = FdType::unknown;
    SocketRole role = SocketRole::none;
    uint8_t flags = 0;
    int64_t pid = 0;
    std::string given_name;
  };
  bool read_entry(ByteReader& in);

  std::vector<ThreadFacts> threads_;
  std::vector<FdFacts> fds_;
  std::vector<uint16_t> ports_;
};

}  // namespace quell::capture::scap
