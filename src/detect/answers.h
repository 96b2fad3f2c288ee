#pragma once
// What lookups answered lately, by value: a table of fixed size in which new answers push out older ones.
#include <cstdint>
#include <cstring>
#include <string_view>
#include <vector>

#include "detect/plan.h"

namespace quell::detect {

class Answers {
 public:
  /// Longer values are not kept.
  static constexpr size_t kMaxValue = 118;

  /// Forgets everything. `words`: of the widest answer.
  void reset(uint32_t words);

  /// The answer's words, or null. Valid until the next put().
  const Word* find(uint32_t lookup, std::string_view value) const {
    if (value.size() > kMaxValue) return nullptr;
    const uint32_t hash = hash_of(lookup, value);
    const size_t first = 2 * (hash & mask_);
    for (size_t at = first; at < first + 2; ++at)
      if (const Entry& entry = entries_[at]; entry.hash == hash && entry.lookup == lookup &&
                                             entry.size == value.size() &&
                                             std::memcmp(entry.value, value.data(), value.size()) == 0)
        return &words_[at * width_];
    return nullptr;
  }
  void put(uint32_t lookup, std::string_view value, const Word* answer, uint32_t words);

 private:
  static constexpr uint32_t kEmpty = UINT32_MAX;  // no lookup
  struct Entry {
    uint32_t hash;
    uint32_t lookup;
    uint16_t size;
    char value[kMaxValue];
  };
  static_assert(sizeof(Entry) == 128);

  static uint32_t hash_of(uint32_t lookup, std::string_view value) {
    constexpr uint64_t kA = 0xa0761d6478bd642f, kB = 0xe7037ed1a0b428db;
    const auto mix = [](uint64_t a, uint64_t b) {
      const auto product = static_cast<unsigned __int128>(a) * b;
      return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
    };
    const auto word = [](const char* from) {
      uint64_t out;
      std::memcpy(&out, from, 8);
      return out;
    };
    uint64_t hash = mix(lookup ^ kA, value.size() ^ kB);
    const char* at = value.data();
    size_t left = value.size();
    for (; left > 16; at += 16, left -= 16) hash = mix(word(at) ^ kA, word(at + 8) ^ hash);
    uint64_t tail[2] = {};
    if (left >= 8) {
      tail[0] = word(at);
      tail[1] = word(at + left - 8);
    } else {
      std::memcpy(tail, at, left);
    }
    hash = mix(tail[0] ^ kB, tail[1] ^ hash);
    return static_cast<uint32_t>(hash ^ hash >> 32);
  }

  std::vector<Entry> entries_;  // in pairs: a value has two places, the newer answer in the first
  std::vector<Word> words_;     // width_ for each entry
  size_t width_ = 0;
  size_t mask_ = 0;
};

}  // namespace quell::detect
