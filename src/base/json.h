#pragma once
// JSON out (streamed into a string) and in (a small value tree), for what is stored, shown and sent. Not for hot paths.
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quell {

class Json;

/// Writes one JSON text. Keys come out in the order of the calls; text is made valid UTF-8; doubles keep a decimal
/// point (so that they read back as doubles), NaN and infinities become null. Unbalanced calls are our own bug and
/// assert.
class JsonWriter {
 public:
  JsonWriter& begin_object();
  JsonWriter& end_object();
  JsonWriter& begin_array();
  JsonWriter& end_array();
  JsonWriter& key(std::string_view name);

  JsonWriter& null();
  JsonWriter& boolean(bool value);
  JsonWriter& number(int64_t value);
  JsonWriter& number(uint64_t value);
  JsonWriter& number(double value);
  JsonWriter& string(std::string_view value);
  JsonWriter& value(const Json& value);
  /// `json` must be one complete JSON text of our own making; an empty one is written as null.
  JsonWriter& raw(std::string_view json);

  // key + value in one call
  JsonWriter& text(std::string_view name, std::string_view value) { return key(name).string(value); }
  JsonWriter& flag(std::string_view name, bool value) { return key(name).boolean(value); }
  template <typename Integer>
  JsonWriter& integer(std::string_view name, Integer value) {
    if constexpr (std::is_signed_v<Integer>) return key(name).number(static_cast<int64_t>(value));
    return key(name).number(static_cast<uint64_t>(value));
  }
  JsonWriter& texts(std::string_view name, const std::vector<std::string>& values);

  /// The finished text.
  std::string take();

 private:
  void separate();
  void close(char bracket);
  std::string out_;
  std::vector<bool> first_;  // per open bracket: nothing written in it yet
  bool after_key_ = false;
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
