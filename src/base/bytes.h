#pragma once
// Bounded reading and appending of little-endian, packed bytes. A read past the end returns false and moves nothing.
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace quell {

template <typename T>
T load(const void* from) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  size_t offset() const { return at_; }
  size_t left() const { return bytes_.size() - at_; }
  const uint8_t* here() const { return bytes_.data() + at_; }

  template <typename T>
  [[nodiscard]] bool read(T& out) {
    if (left() < sizeof(T)) return false;
    out = load<T>(here());
    at_ += sizeof(T);
    return true;
  }
  [[nodiscard]] bool skip(size_t count) {
    if (left() < count) return false;
    at_ += count;
    return true;
  }
  [[nodiscard]] bool take(size_t count, std::span<const uint8_t>& out) {
    if (left() < count) return false;
    out = bytes_.subspan(at_, count);
    at_ += count;
    return true;
  }
  /// u16 length + bytes, no terminator.
  [[nodiscard]] bool read_str16(std::string& out) {
    uint16_t length = 0;
    if (left() < 2) return false;
    length = load<uint16_t>(here());
    if (left() < size_t{2} + length) return false;
    out.assign(reinterpret_cast<const char*>(here() + 2), length);
    at_ += size_t{2} + length;
    return true;
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

class ByteWriter {
 public:
  explicit ByteWriter(std::vector<uint8_t>& out) : out_(out) {}

  size_t offset() const { return out_.size(); }
  template <typename T>
  void write(T value) {
    static_assert(std::is_trivially_copyable_v<T>);
    append(&value, sizeof value);
  }
  void append(const void* bytes, size_t count) {
    const auto* from = static_cast<const uint8_t*>(bytes);
    out_.insert(out_.end(), from, from + count);
  }
  void append(std::string_view text) { append(text.data(), text.size()); }
  void zeros(size_t count) { out_.resize(out_.size() + count); }
  /// u16 length + bytes; a longer text is cut at `limit`.
  void write_str16(std::string_view text, size_t limit = 65535) {
    text = text.substr(0, limit);
    write(static_cast<uint16_t>(text.size()));
    append(text);
  }
  template <typename T>
  void patch(size_t offset, T value) {
    std::memcpy(out_.data() + offset, &value, sizeof value);
  }

 private:
  std::vector<uint8_t>& out_;
};

}  // namespace quell
