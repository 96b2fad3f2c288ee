#pragma once
// SHA-256 (FIPS 180-4), to name the content of files that are evidence.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace quell {

namespace detail {
using Sha256State = std::array<uint32_t, 8>;
/// The compression function over `count` blocks of 64 bytes: as the standard says it, and with the processor's own
/// instructions where it has them (five times as fast).
void sha256_blocks_portable(Sha256State& state, const uint8_t* bytes, size_t count);
void sha256_blocks(Sha256State& state, const uint8_t* bytes, size_t count);
}  // namespace detail

class Sha256 {
 public:
  void update(std::span<const uint8_t> bytes);
  /// Lowercase hex of everything so far. Ends the use of this object.
  std::string finish();

 private:
  detail::Sha256State state_{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                             0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<uint8_t, 64> pending_{};
  uint64_t length_ = 0;  // bytes so far
};

}  // namespace quell
