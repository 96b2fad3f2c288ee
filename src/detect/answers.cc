#include "detect/answers.h"

#include <algorithm>

namespace quell::detect {
namespace {

constexpr size_t kMaxPairs = 4096;             // 1 MiB of values
constexpr size_t kMaxWords = size_t{1} << 18;  // 2 MiB of answers

}  // namespace

void Answers::reset(uint32_t words) {
  width_ = std::max<size_t>(words, 1);
  size_t pairs = kMaxPairs;
  while (pairs > 64 && pairs * 2 * width_ > kMaxWords) pairs /= 2;
  mask_ = pairs - 1;
  Entry empty{};
  empty.lookup = kEmpty;
  entries_.assign(pairs * 2, empty);
  words_.assign(pairs * 2 * width_, 0);
}

void Answers::put(uint32_t lookup, std::string_view value, const Word* answer, uint32_t words) {
  if (value.size() > kMaxValue) return;
  const uint32_t hash = hash_of(lookup, value);
  const size_t first = 2 * (hash & mask_);
  entries_[first + 1] = entries_[first];
  std::copy_n(&words_[first * width_], width_, &words_[(first + 1) * width_]);
  Entry& entry = entries_[first];
  entry.hash = hash;
  entry.lookup = lookup;
  entry.size = static_cast<uint16_t>(value.size());
  std::memcpy(entry.value, value.data(), value.size());
  std::copy_n(answer, words, &words_[first * width_]);
}

}  // namespace quell::detect
