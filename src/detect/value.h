#pragma once
// Values that fields give and predicates compare. A Value borrows: from the event, the tables or the arena of the
// event.
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "model/fd.h"

namespace quell::detect {

enum class Type : uint8_t {
  text,
  path,
  bytes,
  boolean,
  int16,
  int32,
  int64,
  uint8,
  uint16,
  uint32,
  uint64,
  port,
  ip,
  net,
  reltime,
  abstime,
  real,
  dynamic  // evt.rawarg: decided by the parameter that it names
};
std::string_view to_string(Type type);
constexpr bool is_text(Type type) { return type == Type::text || type == Type::path; }
constexpr bool is_signed(Type type) { return type == Type::int16 || type == Type::int32 || type == Type::int64; }
constexpr bool is_number(Type type) {
  return is_signed(type) || type == Type::uint8 || type == Type::uint16 || type == Type::uint32 ||
         type == Type::uint64 || type == Type::port || type == Type::reltime || type == Type::abstime ||
         type == Type::real;
}

struct Value {
  enum class Kind : uint8_t { absent, text, bytes, boolean, integer, unsigned_, real, ip, list };
  Kind kind = Kind::absent;
  uint32_t size = 0;  // text, bytes: length; list: items
  union {
    const char* chars;
    int64_t i;
    uint64_t u;
    double d;
    bool b;
    const IpAddress* address;
    const Value* items;
  };

  Value() : u(0) {}
  static Value text(std::string_view s) {
    Value v;
    v.kind = Kind::text;
    v.size = static_cast<uint32_t>(s.size());
    v.chars = s.data();
    return v;
  }
  static Value bytes(const void* data, size_t count) {
    Value v = text({static_cast<const char*>(data), count});
    v.kind = Kind::bytes;
    return v;
  }
  static Value boolean(bool value) {
    Value v;
    v.kind = Kind::boolean;
    v.b = value;
    return v;
  }
  static Value integer(int64_t value) {
    Value v;
    v.kind = Kind::integer;
    v.i = value;
    return v;
  }
  static Value number(uint64_t value) {
    Value v;
    v.kind = Kind::unsigned_;
    v.u = value;
    return v;
  }
  static Value real(double value) {
    Value v;
    v.kind = Kind::real;
    v.d = value;
    return v;
  }
  static Value ip(const IpAddress* address) {
    Value v;
    if (address->family == 0) return v;
    v.kind = Kind::ip;
    v.address = address;
    return v;
  }
  static Value list(const Value* items, size_t count) {
    Value v;
    v.kind = Kind::list;
    v.size = static_cast<uint32_t>(count);
    v.items = items;
    return v;
  }
  bool is_absent() const { return kind == Kind::absent; }
  /// Text and bytes only.
  std::string_view str() const { return {chars, size}; }
};

/// Memory for values that an event needs built (joined arguments, resolved paths). Reset before the next event; keeps
/// its largest blocks, so a steady stream allocates nothing.
class Arena {
 public:
  void reset() {
    block_ = 0;
    used_ = 0;
  }
  char* allocate(size_t count) {
    constexpr size_t kAlign = alignof(Value);
    used_ = (used_ + kAlign - 1) & ~(kAlign - 1);
    while (block_ < blocks_.size() && used_ + count > blocks_[block_].size) ++block_, used_ = 0;
    if (block_ == blocks_.size()) {
      const size_t size = count > kBlock ? count : kBlock;
      blocks_.push_back({std::make_unique<char[]>(size), size});
      used_ = 0;
    }
    char* at = blocks_[block_].data.get() + used_;
    used_ += count;
    return at;
  }
  std::string_view copy(std::string_view text) {
    char* at = allocate(text.size());
    std::memcpy(at, text.data(), text.size());
    return {at, text.size()};
  }
  Value* values(size_t count) { return reinterpret_cast<Value*>(allocate(count * sizeof(Value))); }

 private:
  static constexpr size_t kBlock = 16 * 1024;
  struct Block {
    std::unique_ptr<char[]> data;
    size_t size;
  };
  std::vector<Block> blocks_;
  size_t block_ = 0, used_ = 0;
};

}  // namespace quell::detect
