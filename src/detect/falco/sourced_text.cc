#include "detect/falco/sourced_text.h"

#include <algorithm>

namespace quell::detect::falco {

void SourcedText::append_exact(std::string_view text, const yaml::Node& scalar, size_t offset) {
  pieces_.push_back({text_.size(), &scalar, offset, true});
  text_ += text;
}

void SourcedText::append_at(std::string_view text, const yaml::Node& place, size_t offset) {
  pieces_.push_back({text_.size(), &place, offset, false});
  text_ += text;
}

const SourcedText::Piece* SourcedText::piece_at(size_t offset) const {
  const auto next = std::upper_bound(pieces_.begin(), pieces_.end(), offset,
                                     [](size_t at, const Piece& piece) { return at < piece.at; });
  return next == pieces_.begin() ? nullptr : &*std::prev(next);
}

void SourcedText::append_slice(const SourcedText& other, size_t from, size_t to) {
  if (from >= to) return;
  for (const Piece* piece = other.piece_at(from);
       piece && piece != other.pieces_.data() + other.pieces_.size() && piece->at < to; ++piece) {
    const size_t start = std::max(piece->at, from);
    const size_t inside = piece->exact ? piece->node_offset + (start - piece->at) : piece->node_offset;
    pieces_.push_back({text_.size() + (start - from), piece->node, inside, piece->exact});
  }
  text_.append(other.text_, from, to - from);
}

void SourcedText::append_at_place_of(std::string_view text, const SourcedText& other, size_t at) {
  const Piece* piece = other.piece_at(at);
  if (piece)
    pieces_.push_back(
        {text_.size(), piece->node, piece->exact ? piece->node_offset + (at - piece->at) : piece->node_offset, false});
  text_ += text;
}

SourcedText SourcedText::trimmed() const {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  const size_t from = text_.find_first_not_of(kBlanks);
  SourcedText out;
  if (from != std::string::npos) out.append_slice(*this, from, text_.find_last_not_of(kBlanks) + 1);
  return out;
}

SourcedText::Place SourcedText::locate(size_t offset) const {
  const Piece* piece = piece_at(offset);
  if (!piece) return {};
  const size_t inside = piece->exact ? piece->node_offset + (offset - piece->at) : piece->node_offset;
  return {piece->node, piece->node->position_of(inside)};
}

}  // namespace quell::detect::falco
