#pragma once
// Reading JSON that a peer sent: whole documents, off the hot path. Writing is fmt and json_escape().
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace quell::api {

/// A value inside a parsed document; cheap to copy, keeps the document alive.
class Json {
 public:
  enum class Kind : uint8_t { null, boolean, number, text, array, object };

  Json() = default;  // null
  /// The whole text must be one valid document. Errors: malformed (`where` stays empty: the parser knows no position).
  static Result<Json> parse(std::string_view text);

  Kind kind() const;
  /// The member; null when this is no object or has none of that name.
  Json at(std::string_view key) const;
  /// Elements of an array; empty for everything else.
  std::vector<Json> items() const;
  /// Members of an object in their order; empty for everything else.
  std::vector<std::pair<std::string, Json>> members() const;

  std::optional<std::string> as_text() const;
  std::optional<uint64_t> as_u64() const;
  std::optional<bool> as_bool() const;
  /// Text, or a scalar as it would be written; empty for null and containers.
  std::string display() const;
  /// Compact JSON of this value.
  std::string str() const;

  /// Shortcuts for the common case: `at(key).display()`.
  std::string text(std::string_view key) const { return at(key).display(); }

 private:
  struct Node;
  std::shared_ptr<const Node> node_;
};

}  // namespace quell::api
