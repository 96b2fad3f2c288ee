#include "base/text.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace quell {
namespace {

// Length of the valid UTF-8 sequence at the start of `text`, 0 if there is none.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const auto continuation = [&](size_t i) { return i < text.size() && (byte(i) & 0xC0) == 0x80; };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return continuation(1) ? 2 : 0;
  if (lead >= 0xE0 && lead <= 0xEF) {
    if (!continuation(1) || !continuation(2)) return 0;
    if (lead == 0xE0 && byte(1) < 0xA0) return 0;  // overlong
    if (lead == 0xED && byte(1) > 0x9F) return 0;  // surrogate
    return 3;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    if (!continuation(1) || !continuation(2) || !continuation(3)) return 0;
    if (lead == 0xF0 && byte(1) < 0x90) return 0;
    if (lead == 0xF4 && byte(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

}  // namespace

namespace {

/// What JSON takes as it is: printable ASCII other than quotes and backslashes.
constexpr auto kPlain = [] {
  std::array<bool, 256> plain{};
  for (size_t c = 0x20; c < 0x7F; ++c) plain[c] = c != '"' && c != '\\';
  return plain;
}();

#if defined(__SSE2__)
/// A bit per byte that is not plain.
unsigned special_bytes(__m128i bytes) {
  // Bytes above ASCII are negative, so that they count as less than a space, too.
  const __m128i special =
      _mm_or_si128(_mm_or_si128(_mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20)), _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7F))),
                   _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')), _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'))));
  return static_cast<unsigned>(_mm_movemask_epi8(special));
}

template <typename Word>
Word load_as(const char* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  return word;
}
#endif

/// How many bytes from the beginning are plain.
size_t plain_length(std::string_view text) {
  size_t length = 0;
#if defined(__SSE2__)
  for (; text.size() - length >= 16; length += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + length));
    if (const unsigned mask = special_bytes(bytes); mask != 0)
      return length + static_cast<size_t>(std::countr_zero(mask));
  }
#endif
  while (length < text.size() && kPlain[static_cast<uint8_t>(text[length])]) ++length;
  return length;
}

}  // namespace

std::string to_valid_utf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t length = plain_length(text);
    if (length == 0) length = utf8_length(text);
    if (length == 0) {
      out += kReplacement;
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  return out;
}

namespace {

/// Copies the plain beginning of `text`, as plain_length() has it; looks at each byte once. Returns its length.
size_t copy_plain(std::string_view text, char* out) {
  size_t length = 0;
#if defined(__SSE2__)
  for (; text.size() - length >= 16; length += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(text.data() + length));
    // What is behind the first special byte will be overwritten.
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + length), bytes);
    if (const unsigned mask = special_bytes(bytes); mask != 0)
      return length + static_cast<size_t>(std::countr_zero(mask));
  }
  // Two halves that overlap stand for the rest.
  const size_t left = text.size() - length;
  const char* const rest = text.data() + length;
  if (left >= 8) {
    const auto first = load_as<uint64_t>(rest), second = load_as<uint64_t>(rest + left - 8);
    if (special_bytes(_mm_set_epi64x(static_cast<int64_t>(second), static_cast<int64_t>(first))) == 0) {
      std::memcpy(out + length, &first, 8);
      std::memcpy(out + length + left - 8, &second, 8);
      return text.size();
    }
  } else if (left >= 4) {
    const auto first = load_as<uint32_t>(rest), second = load_as<uint32_t>(rest + left - 4);
    if ((special_bytes(_mm_cvtsi64_si128(static_cast<int64_t>(uint64_t{second} << 32 | first))) & 0xFF) == 0) {
      std::memcpy(out + length, &first, 4);
      std::memcpy(out + length + left - 4, &second, 4);
      return text.size();
    }
  }
#endif
  for (; length < text.size() && kPlain[static_cast<uint8_t>(text[length])]; ++length) out[length] = text[length];
  return length;
}

}  // namespace

char* write_json_escaped(std::string_view text, char* out) {
  constexpr char kHex[] = "0123456789abcdef";
  while (true) {
    const size_t plain = copy_plain(text, out);
    out += plain;
    text.remove_prefix(plain);
    if (text.empty()) return out;
    const size_t length = utf8_length(text);
    const char c = text.front();
    const auto put = [&out](std::string_view piece) {
      std::memcpy(out, piece.data(), piece.size());
      out += piece.size();
    };
    if (length == 0) {
      put(kReplacement);
    } else if (length > 1) {
      put(text.substr(0, length));
    } else if (c == '"' || c == '\\') {
      *out++ = '\\';
      *out++ = c;
    } else if (c == '\n') {
      put("\\n");
    } else if (c == '\t') {
      put("\\t");
    } else if (c == '\r') {
      put("\\r");
    } else {
      put("\\u00");
      *out++ = kHex[c >> 4];
      *out++ = kHex[c & 15];
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
}

std::string json_escape(std::string_view text) {
  std::string out(text.size() * kMaxJsonEscape, '\0');
  out.resize(static_cast<size_t>(write_json_escaped(text, out.data()) - out.data()));
  return out;
}

void write_digits(uint32_t value, size_t count, char* out) {
  for (; count > 0; value /= 10) out[--count] = static_cast<char>('0' + value % 10);
}

void write_iso8601_utc(uint64_t realtime_ns, char* out) {
  constexpr uint64_t kSecond = 1'000'000'000;
  constexpr uint64_t kDayS = 86'400;
  const uint64_t seconds = realtime_ns / kSecond;
  const auto in_day = static_cast<uint32_t>(seconds % kDayS);
  // The Gregorian calendar repeats every 400 years. A year that begins with March has its leap day at the end.
  constexpr uint32_t kDaysToEpoch = 719'468;  // from the 1st of March of the year 0
  constexpr uint32_t kEraDays = 146'097;
  const auto days = static_cast<uint32_t>(seconds / kDayS) + kDaysToEpoch;
  const uint32_t era = days / kEraDays;
  const uint32_t in_era = days % kEraDays;
  const uint32_t year_of_era = (in_era - in_era / 1460 + in_era / 36'524 - in_era / (kEraDays - 1)) / 365;
  const uint32_t in_year = in_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint32_t month_from_march = (5 * in_year + 2) / 153;
  const uint32_t day = in_year - (153 * month_from_march + 2) / 5 + 1;
  const uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const uint32_t year = era * 400 + year_of_era + (month <= 2 ? 1 : 0);
  std::memcpy(out, "0000-00-00T00:00:00.000000000Z", kIso8601Length);
  write_digits(year, 4, out);
  write_digits(month, 2, out + 5);
  write_digits(day, 2, out + 8);
  write_digits(in_day / 3600, 2, out + 11);
  write_digits(in_day / 60 % 60, 2, out + 14);
  write_digits(in_day % 60, 2, out + 17);
  write_digits(static_cast<uint32_t>(realtime_ns % kSecond), 9, out + 20);
}

std::string iso8601_utc(uint64_t realtime_ns) {
  std::string out(kIso8601Length, '\0');
  write_iso8601_utc(realtime_ns, out.data());
  return out;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  size_t best_distance = std::max<size_t>(1, word.size() / 3) + 1;
  std::vector<size_t> row;
  std::vector<size_t> previous;
  std::vector<size_t> before;
  for (const std::string_view candidate : candidates) {
    const size_t difference =
        candidate.size() > word.size() ? candidate.size() - word.size() : word.size() - candidate.size();
    if (difference >= best_distance) continue;
    previous.assign(candidate.size() + 1, 0);
    for (size_t j = 0; j <= candidate.size(); ++j) previous[j] = j;
    before = previous;
    for (size_t i = 1; i <= word.size(); ++i) {
      row.assign(candidate.size() + 1, i);
      for (size_t j = 1; j <= candidate.size(); ++j) {
        const size_t change = previous[j - 1] + (word[i - 1] == candidate[j - 1] ? 0 : 1);
        row[j] = std::min({change, previous[j] + 1, row[j - 1] + 1});
        if (i > 1 && j > 1 && word[i - 1] == candidate[j - 2] && word[i - 2] == candidate[j - 1])
          row[j] = std::min(row[j], before[j - 2] + 1);  // two neighbours swapped
      }
      before.swap(previous);
      previous.swap(row);
    }
    if (previous[candidate.size()] < best_distance) {
      best_distance = previous[candidate.size()];
      best = candidate;
    }
  }
  return best;
}

bool parse_u64(std::string_view text, uint64_t& out, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

bool parse_i64(std::string_view text, int64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

std::string printable(std::string_view bytes) {
  std::string out(bytes);
  for (char& c : out)
    if (static_cast<uint8_t>(c) < 0x20 || static_cast<uint8_t>(c) > 0x7E) c = '.';
  return out;
}

std::string base64(std::string_view bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(bytes.size() - i, 3);
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j) bits = bits << 8 | (j < count ? static_cast<uint8_t>(bytes[i + j]) : 0u);
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

std::string hex(const void* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(count * 2);
  for (size_t i = 0; i < count; ++i) {
    const uint8_t byte = static_cast<const uint8_t*>(bytes)[i];
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

}  // namespace quell
