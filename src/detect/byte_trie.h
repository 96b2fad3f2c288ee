#pragma once
// Many constant texts looked for in one text at once: as its beginnings, its endings (texts inserted backwards), or
// anywhere in it (Aho-Corasick). Every text has ids of those who ask for it.
#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace quell::detect {

class ByteTrie {
 public:
  /// Before freeze(). The text must not be empty.
  void insert(std::string_view text, uint32_t id);
  /// Ends insertion. Takes time and memory in the order of all bytes inserted.
  void freeze();
  bool empty() const { return nodes_.size() == 1; }

  /// Calls found(id) for every text that `text` begins with.
  template <typename Found>
  void visit_beginnings(std::string_view text, Found&& found) const {
    walk(text.begin(), text.end(), found);
  }
  /// Calls found(id) for every text that, read backwards, `text` ends with.
  template <typename Found>
  void visit_endings(std::string_view text, Found&& found) const {
    walk(text.rbegin(), text.rend(), found);
  }
  /// Calls found(id) for every occurrence of a text in `text`. Fold: capital letters of `text` count as small ones.
  template <bool kFold, typename Found>
  void visit_within(std::string_view text, Found&& found) const {
    uint32_t node = kRoot;
    for (const char c : text) {
      const auto byte = static_cast<uint8_t>(kFold && c >= 'A' && c <= 'Z' ? c + 32 : c);
      uint32_t next = child(node, byte);
      while (next == kNone && node != kRoot) {
        node = nodes_[node].fallback;
        next = child(node, byte);
      }
      node = next == kNone ? kRoot : next;
      for (uint32_t end = nodes_[node].ends_here() ? node : nodes_[node].shorter; end != kRoot;
           end = nodes_[end].shorter)
        for (const uint32_t id : ids_of(end)) found(id);
    }
  }

 private:
  static constexpr uint32_t kRoot = 0;
  static constexpr uint32_t kNone = UINT32_MAX;
  struct Node {
    uint32_t first_edge = 0;
    uint32_t first_id = 0;
    uint32_t id_count = 0;
    uint32_t fallback = kRoot;  // the longest proper ending of this node's text that is a node
    uint32_t shorter = kRoot;   // the longest one that is a whole text
    uint16_t edge_count = 0;
    bool ends_here() const { return id_count != 0; }
  };
  struct Edge {
    uint8_t byte;
    uint32_t to;
  };

  uint32_t child(uint32_t node, uint8_t byte) const {
    if (node == kRoot) return root_[byte];
    const Node& at = nodes_[node];
    for (uint32_t i = at.first_edge, end = at.first_edge + at.edge_count; i < end; ++i)
      if (edges_[i].byte == byte) return edges_[i].to;
    return kNone;
  }
  std::span<const uint32_t> ids_of(uint32_t node) const {
    return std::span(ids_).subspan(nodes_[node].first_id, nodes_[node].id_count);
  }
  template <typename At, typename Found>
  void walk(At at, At end, Found& found) const {
    uint32_t node = kRoot;
    for (; at != end; ++at) {
      node = child(node, static_cast<uint8_t>(*at));
      if (node == kNone) return;
      for (const uint32_t id : ids_of(node)) found(id);
    }
  }

  struct Draft {  // a node while texts come in
    std::vector<Edge> edges;
    std::vector<uint32_t> ids;
  };
  std::vector<Draft> drafts_ = std::vector<Draft>(1);
  std::vector<Node> nodes_ = std::vector<Node>(1);
  std::vector<Edge> edges_;
  std::vector<uint32_t> ids_;
  std::array<uint32_t, 256> root_{};
};

}  // namespace quell::detect
