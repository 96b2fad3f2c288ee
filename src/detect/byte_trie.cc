#include "detect/byte_trie.h"

#include "base/assert.h"

namespace quell::detect {

void ByteTrie::insert(std::string_view text, uint32_t id) {
  QUELL_ASSERT(!text.empty());
  uint32_t node = kRoot;
  for (const char c : text) {
    const auto byte = static_cast<uint8_t>(c);
    const std::vector<Edge>& edges = drafts_[node].edges;
    const auto found = std::find_if(edges.begin(), edges.end(), [&](const Edge& edge) { return edge.byte == byte; });
    if (found != edges.end()) {
      node = found->to;
      continue;
    }
    const auto made = static_cast<uint32_t>(drafts_.size());
    drafts_[node].edges.push_back({byte, made});
    drafts_.emplace_back();
    node = made;
  }
  drafts_[node].ids.push_back(id);
}

void ByteTrie::freeze() {
  nodes_.resize(drafts_.size());
  root_.fill(kNone);
  for (size_t i = 0; i < drafts_.size(); ++i) {
    nodes_[i].first_edge = static_cast<uint32_t>(edges_.size());
    nodes_[i].edge_count = static_cast<uint16_t>(drafts_[i].edges.size());
    nodes_[i].first_id = static_cast<uint32_t>(ids_.size());
    nodes_[i].id_count = static_cast<uint32_t>(drafts_[i].ids.size());
    edges_.insert(edges_.end(), drafts_[i].edges.begin(), drafts_[i].edges.end());
    ids_.insert(ids_.end(), drafts_[i].ids.begin(), drafts_[i].ids.end());
  }
  for (const Edge& edge : drafts_[kRoot].edges) root_[edge.byte] = edge.to;
  drafts_ = {};

  // Breadth first: a fallback is shorter than its node, so it is finished before.
  std::vector<uint32_t> queue{kRoot};
  for (size_t i = 0; i < queue.size(); ++i) {
    const uint32_t parent = queue[i];
    for (uint32_t e = nodes_[parent].first_edge; e < nodes_[parent].first_edge + nodes_[parent].edge_count; ++e) {
      const uint32_t node = edges_[e].to;
      uint32_t fallback = kRoot;
      if (parent != kRoot) {
        uint32_t at = nodes_[parent].fallback;
        while (child(at, edges_[e].byte) == kNone && at != kRoot) at = nodes_[at].fallback;
        const uint32_t found = child(at, edges_[e].byte);
        if (found != kNone) fallback = found;
      }
      nodes_[node].fallback = fallback;
      nodes_[node].shorter = nodes_[fallback].ends_here() ? fallback : nodes_[fallback].shorter;
      queue.push_back(node);
    }
  }
}

}  // namespace quell::detect
