#pragma once
// A text put together from pieces of rule files that still knows where every byte came from.
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"

namespace quell::detect::falco {

class SourcedText {
 public:
  SourcedText() = default;
  /// The whole of a scalar.
  explicit SourcedText(const yaml::Node& scalar) { append_exact(scalar.text(), scalar, 0); }

  const std::string& str() const { return text_; }
  bool empty() const { return text_.empty(); }

  /// Bytes that stand one for one in the scalar, from `offset` of its text on.
  void append_exact(std::string_view text, const yaml::Node& scalar, size_t offset);
  /// Bytes that are not in any file as they are; a problem in them is shown at `place`.
  void append_at(std::string_view text, const yaml::Node& place, size_t offset = 0);
  void append(const SourcedText& other) { append_slice(other, 0, other.text_.size()); }
  void append_slice(const SourcedText& other, size_t from, size_t to);
  /// Bytes shown at the place of byte `at` of `other`.
  void append_at_place_of(std::string_view text, const SourcedText& other, size_t at);
  /// Without white space at both ends.
  SourcedText trimmed() const;

  struct Place {
    const yaml::Node* node = nullptr;  // null only for an empty text
    yaml::Mark mark;
  };
  Place locate(size_t offset) const;

 private:
  struct Piece {
    size_t at;  // in text_
    const yaml::Node* node;
    size_t node_offset;
    bool exact;
  };
  const Piece* piece_at(size_t offset) const;

  std::string text_;
  std::vector<Piece> pieces_;  // by `at`
};

}  // namespace quell::detect::falco
