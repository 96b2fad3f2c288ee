#pragma once
// JSON out (streamed into a string) and in (a small value tree), for what is stored, shown and sent.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quell {

class Json;

/// Writes one JSON text. Keys come out in the order of the calls; text is made valid UTF-8; doubles keep a decimal
/// point (so that they read back as doubles), NaN and infinities become null. Unbalanced calls are our own bug and
/// assert. Whoever writes many texts clears one writer and keeps its memory.
class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  /// A name that comes from outside.
  JsonWriter& key(std::string_view name);
  /// A name as it stands in the source: nothing in it needs escaping.
  template <size_t kSize>
  JsonWriter& key(const char (&name)[kSize]) {
    char* at = begin_value(kSize + 3);
    *at++ = '"';
    std::memcpy(at, name, kSize - 1);
    at += kSize - 1;
    *at++ = '"';
    *at++ = ':';
    is_followed_ = false;
    end_ = at;
    return *this;
  }

  JsonWriter& null() { return raw("null"); }
  JsonWriter& boolean(bool value) { return raw(value ? "true" : "false"); }
  JsonWriter& number(int64_t value);
  JsonWriter& number(uint64_t value);
  JsonWriter& number(double value);
  JsonWriter& string(std::string_view value);
  JsonWriter& value(const Json& value);
  /// `json` must be one complete JSON text of our own making; an empty one is written as null.
  JsonWriter& raw(std::string_view json);

  /// A string out of parts, each of them whole characters. A part that comes again need not be escaped again: repeat()
  /// copies what was written from one size() to another.
  JsonWriter& begin_string();
  JsonWriter& part(std::string_view text);
  JsonWriter& repeat(size_t begin, size_t end);
  JsonWriter& end_string();
  size_t size() const { return static_cast<size_t>(end_ - memory_.get()); }

  // key + value in one call
  template <typename Name>
  JsonWriter& text(const Name& name, std::string_view value) {
    return key(name).string(value);
  }
  template <typename Name>
  JsonWriter& flag(const Name& name, bool value) {
    return key(name).boolean(value);
  }
  template <typename Name, typename Integer>
  JsonWriter& integer(const Name& name, Integer value) {
    if constexpr (std::is_signed_v<Integer>) return key(name).number(static_cast<int64_t>(value));
    return key(name).number(static_cast<uint64_t>(value));
  }
  template <typename Name>
  JsonWriter& texts(const Name& name, const std::vector<std::string>& values) {
    key(name).begin_array();
    for (const std::string& value : values) string(value);
    return end_array();
  }

  /// The finished text, valid until the next call.
  std::string_view finished() const;
  /// The same for keeps; the writer is as new.
  std::string take();
  void clear();

 private:
  /// Room for `count` bytes, of which what is used is told by end_.
  char* room(size_t count) { return static_cast<size_t>(limit_ - end_) >= count ? end_ : grow(count); }
  char* grow(size_t count);
  /// Room for a value of `count` bytes, and a comma if it follows another one.
  char* begin_value(size_t count) {
    char* at = room(count + 1);
    if (is_followed_) *at++ = ',';
    is_followed_ = true;
    return at;
  }
  JsonWriter& open(char bracket) {
    char* at = begin_value(1);
    *at++ = bracket;
    end_ = at;
    is_followed_ = false;
    ++depth_;
    return *this;
  }
  JsonWriter& close(char bracket);
  template <typename Integer>
  JsonWriter& digits(Integer value);

  std::unique_ptr<char[]> memory_;
  char* end_ = nullptr;  // of what is written
  char* limit_ = nullptr;
  size_t depth_ = 0;          // open brackets
  bool is_followed_ = false;  // by a comma, if anything follows: the last thing written is a value
};

/// A parsed value. Objects keep their order; integers are int64_t when they fit, else uint64_t.
class Json {
 public:
  using Array = std::vector<Json>;
  using Object = std::vector<std::pair<std::string, Json>>;
  using Value = std::variant<std::monostate, bool, int64_t, uint64_t, double, std::string, Array, Object>;

  Json() = default;
  explicit Json(Value value) : value_(std::move(value)) {}

  /// One JSON text, nothing behind it. Errors: Code::malformed.
  static Result<Json> parse(std::string_view text);

  const Value& value() const { return value_; }
  bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
  const Object* object() const { return std::get_if<Object>(&value_); }
  const Array* array() const { return std::get_if<Array>(&value_); }
  /// The member called `name`; null if this is no object or has no such member.
  const Json* find(std::string_view name) const;
  /// The same, with a null value for what is absent: chains read well.
  const Json& at(std::string_view name) const;

  // The value, or what stands for "not there" if it is of another kind.
  std::string str() const;
  bool boolean() const;
  int64_t i64() const;
  uint64_t u64() const;
  std::vector<std::string> texts() const;

  std::string dump() const;

 private:
  Value value_;
};

}  // namespace quell
