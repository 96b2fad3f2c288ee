// The standard's examples, and the two ways to compute against each other.
#include "base/sha256.h"

#include <gtest/gtest.h>

#include <random>
#include <string_view>
#include <vector>

namespace quell {
namespace {

std::string sha256_of(std::string_view text) {
  Sha256 sum;
  sum.update({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
  return sum.finish();
}

TEST(Sha256, ExamplesOfTheStandard) {
  EXPECT_EQ(sha256_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_of(std::string(1'000'000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, TheProcessorsInstructionsAgree) {
  std::mt19937 random(1);
  for (size_t count = 0; count < 40; ++count) {
    std::vector<uint8_t> bytes(64 * count);
    for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
    detail::Sha256State first{}, second{};
    for (size_t i = 0; i < first.size(); ++i) first[i] = second[i] = static_cast<uint32_t>(random());
    detail::sha256_blocks_portable(first, bytes.data(), count);
    detail::sha256_blocks(second, bytes.data(), count);
    EXPECT_EQ(first, second) << count;
  }
}

TEST(Sha256, PartsAreTheWhole) {
  std::mt19937 random(2);
  std::string text(5000, '\0');
  for (char& c : text) c = static_cast<char>(random());
  for (int round = 0; round < 50; ++round) {
    Sha256 sum;
    for (size_t at = 0; at < text.size();) {
      const size_t step = std::min<size_t>(1 + random() % 200, text.size() - at);
      sum.update({reinterpret_cast<const uint8_t*>(text.data()) + at, step});
      at += step;
    }
    EXPECT_EQ(sum.finish(), sha256_of(text));
  }
}

}  // namespace
}  // namespace quell
