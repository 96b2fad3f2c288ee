#include "os/login_records.h"

#include <cstring>

namespace quell::os {
namespace {

// Offsets of struct utmp, which must not be read by the header of the machine we were built on.
constexpr size_t kRecord = 384;
constexpr size_t kType = 0, kPid = 4, kLine = 8, kUser = 44, kHost = 76, kSeconds = 340, kMicroseconds = 344;
constexpr size_t kLineSize = 32, kUserSize = 32, kHostSize = 256;

template <typename T>
T load(std::string_view record, size_t offset) {
  T value;
  std::memcpy(&value, record.data() + offset, sizeof value);
  return value;
}

std::string text(std::string_view record, size_t offset, size_t size) {
  const std::string_view field = record.substr(offset, size);
  return std::string(field.substr(0, field.find('\0')));
}

LoginRecord::Kind kind_of(int16_t type) {
  switch (type) {
    case 1: return LoginRecord::Kind::run_level;
    case 2: return LoginRecord::Kind::boot;
    case 6: return LoginRecord::Kind::login;
    case 7: return LoginRecord::Kind::session;
    case 8: return LoginRecord::Kind::end;
    default: return LoginRecord::Kind::other;
  }
}

}  // namespace

std::string_view to_string(LoginRecord::Kind kind) {
  switch (kind) {
    case LoginRecord::Kind::other: return "other";
    case LoginRecord::Kind::boot: return "boot";
    case LoginRecord::Kind::run_level: return "run_level";
    case LoginRecord::Kind::login: return "login";
    case LoginRecord::Kind::session: return "session";
    case LoginRecord::Kind::end: return "end";
  }
  return "other";
}

std::vector<LoginRecord> parse_login_records(std::string_view bytes, size_t limit) {
  std::vector<LoginRecord> records;
  const size_t count = bytes.size() / kRecord;
  for (size_t i = count > limit ? count - limit : 0; i < count; ++i) {
    const std::string_view raw = bytes.substr(i * kRecord, kRecord);
    const auto type = load<int16_t>(raw, kType);
    if (type == 0) continue;
    LoginRecord record;
    record.kind = kind_of(type);
    record.pid = load<int32_t>(raw, kPid);
    record.line = text(raw, kLine, kLineSize);
    record.user = text(raw, kUser, kUserSize);
    record.host = text(raw, kHost, kHostSize);
    // Seconds are 32 bits in the file: read as unsigned they last until 2106.
    record.time_ns = uint64_t{load<uint32_t>(raw, kSeconds)} * 1'000'000'000;
    if (const auto micro = load<uint32_t>(raw, kMicroseconds); micro < 1'000'000) record.time_ns += micro * 1000ull;
    records.push_back(std::move(record));
  }
  return records;
}

}  // namespace quell::os
