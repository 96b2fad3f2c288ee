#include "detect/text_index.h"

#include <algorithm>

namespace quell::detect {
namespace {

constexpr uint32_t kGuard = uint32_t{1} << 31;  // marks ids of guarded patterns

std::string folded(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  return out;
}

/// The longest run of plain characters of a glob; every text that matches contains it.
std::string_view literal_part(std::string_view glob) {
  // Sets and escapes hide where plain text begins.
  if (glob.find_first_of("[\\") != std::string_view::npos) return {};
  std::string_view best;
  while (!glob.empty()) {
    const size_t end = std::min(glob.find_first_of("*?"), glob.size());
    if (end > best.size()) best = glob.substr(0, end);
    glob.remove_prefix(std::min(end + 1, glob.size()));
  }
  return best;
}

}  // namespace

void TextIndex::add_one(const Predicate& p, std::string_view constant) {
  switch (p.op) {
    case Op::eq:
    case Op::in:
    case Op::intersects: equals_[std::string(constant)].push_back(p.leaf); break;
    case Op::contains:
    case Op::bcontains: constant.empty() ? always_.push_back(p.leaf) : within_.insert(constant, p.leaf); break;
    case Op::icontains:
      constant.empty() ? always_.push_back(p.leaf) : within_folded_.insert(folded(constant), p.leaf);
      break;
    case Op::startswith:
    case Op::bstartswith: constant.empty() ? always_.push_back(p.leaf) : beginnings_.insert(constant, p.leaf); break;
    case Op::endswith:
      constant.empty() ? always_.push_back(p.leaf)
                       : endings_.insert(std::string(constant.rbegin(), constant.rend()), p.leaf);
      break;
    case Op::pmatch:
      prefixes_.insert(constant, p.leaf);
      has_prefixes_ = true;
      break;
    default: break;
  }
}

void TextIndex::add(const Predicate& p) {
  switch (p.op) {
    case Op::exists: always_.push_back(p.leaf); return;
    case Op::eq:
    case Op::contains:
    case Op::bcontains:
    case Op::icontains:
    case Op::startswith:
    case Op::bstartswith:
    case Op::endswith:
      // One constant, or any of several.
      if (p.modifier == Modifier::none && !p.texts.empty()) return add_one(p, p.texts[0]);
      if (p.modifier != Modifier::anyof) break;
      [[fallthrough]];
    case Op::in:
    case Op::intersects:
    case Op::pmatch:
      for (const std::string& constant : p.texts) add_one(p, constant);
      return;
    case Op::glob:
    case Op::iglob: {
      const std::string_view literal =
          p.modifier == Modifier::none && !p.texts.empty() ? literal_part(p.texts[0]) : std::string_view{};
      if (literal.empty()) break;
      const auto id = kGuard | static_cast<uint32_t>(guarded_.size());
      guarded_.push_back(&p);
      p.op == Op::glob ? within_.insert(literal, id) : within_folded_.insert(folded(literal), id);
      return;
    }
    default: break;
  }
  others_.push_back(&p);
}

void TextIndex::freeze() {
  beginnings_.freeze();
  endings_.freeze();
  within_.freeze();
  within_folded_.freeze();
}

void TextIndex::match(std::string_view text, LeafSet& out) const {
  const auto found = [&](uint32_t id) {
    if ((id & kGuard) == 0) {
      out.add(id);
      return;
    }
    const Predicate& p = *guarded_[id & ~kGuard];
    if (!out.has(p.leaf) && value_satisfies(p, Value::text(text))) out.add(p.leaf);
  };
  for (const uint32_t leaf : always_) out.add(leaf);
  if (!equals_.empty())
    if (const auto same = equals_.find(text); same != equals_.end())
      for (const uint32_t leaf : same->second) out.add(leaf);
  if (!beginnings_.empty()) beginnings_.visit_beginnings(text, found);
  if (!endings_.empty()) endings_.visit_endings(text, found);
  if (!within_.empty()) within_.visit_within<false>(text, found);
  if (!within_folded_.empty()) within_folded_.visit_within<true>(text, found);
  if (has_prefixes_) prefixes_.visit(text, found);
  for (const Predicate* p : others_)
    if (!out.has(p->leaf) && value_satisfies(*p, Value::text(text))) out.add(p->leaf);
}

}  // namespace quell::detect
