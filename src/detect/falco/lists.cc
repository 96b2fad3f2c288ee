#include "detect/falco/lists.h"

#include <algorithm>
#include <list>
#include <map>

#include "detect/falco/exceptions.h"

namespace quell::detect::falco {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_delimiter(char c) { return is_blank(c) || c == '(' || c == ')' || c == ',' || c == '='; }

Error too_large() {
  return {Code::limit, "lists make this condition larger than " + std::to_string(kMaxConditionBytes >> 20) + " MiB",
          ""};
}

// Calls visit(offset, word) for every run of characters between delimiters.
template <typename Visit>
void for_each_word(std::string_view text, Visit visit) {
  size_t at = 0;
  while (at < text.size()) {
    while (at < text.size() && is_delimiter(text[at])) ++at;
    const size_t start = at;
    while (at < text.size() && !is_delimiter(text[at])) ++at;
    if (at > start) visit(start, text.substr(start, at - start));
  }
}

}  // namespace

Result<ListTable> ListTable::create(const Definitions<ListDefinition>& lists) {
  ListTable table;
  table.definitions_ = lists.all();
  size_t total = 0;
  for (const auto& definition : table.definitions_) {
    List list;
    list.name = definition->name;
    const auto add = [&](const std::string& item) {
      if (!list.is_empty) list.text += ", ";
      list.is_empty = false;
      list.text += quote_item(item);
    };
    for (const yaml::Node* item : definition->items) {
      const ListDefinition* other = lists.find(item->text());
      if (!other || other->index >= definition->visibility) {
        add(item->text());
      } else {
        list.references.push_back(other->name);
        for (const yaml::Node* raw : other->items) {
          add(raw->text());
          if (list.text.size() > kMaxConditionBytes) break;
        }
      }
      if (list.text.size() > kMaxConditionBytes) return too_large();
    }
    total += list.text.size();
    if (total > 8 * kMaxConditionBytes) return too_large();
    table.has_odd_names_ |= list.name.empty() || std::any_of(list.name.begin(), list.name.end(), is_delimiter);
    table.by_name_.emplace(definition->name, table.lists_.size());
    table.lists_.push_back(std::move(list));
  }
  for (size_t i = 0; i < table.lists_.size(); ++i) {
    for (const std::string& name : table.lists_[i].references) {
      const size_t other = table.by_name_.at(name);
      if (other != i) table.lists_[other].is_used = true;
    }
  }
  return table;
}

std::vector<std::string> ListTable::names_in(std::string_view text) const {
  std::vector<std::string> names;
  for_each_word(text, [&](size_t, std::string_view word) {
    if (by_name_.contains(word)) names.emplace_back(word);
  });
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

// The list-by-list replacement done in one walk: the text becomes a chain of plain parts and names of lists, and each
// replacement only touches its neighbours. The straightforward way looks through the whole text once for every list.
class Substitution {
 public:
  Substitution(ListTable& table, const SourcedText& source) : table_(table), source_(source) {}

  Result<SourcedText> run() {
    add_words(parts_.end(), source_.str(), 0, true, {}, 0);
    size_t uses = 0;
    while (!pending_.empty()) {
      const auto first = pending_.begin();
      const size_t index = first->first;
      std::vector<Place> places = std::move(first->second);
      pending_.erase(first);
      std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return a->order < b->order; });
      for (const Place& place : places) {
        replace(place, index);
        if (size_ > kMaxConditionBytes || ++uses > kMaxListUses) return too_large();
      }
    }
    SourcedText out;
    for (const Part& part : parts_) {
      if (part.is_exact) {
        out.append_slice(source_, part.source, part.source + part.text.size());
      } else {
        out.append_at_place_of(part.text, source_, part.source);
      }
    }
    return out;
  }

 private:
  static constexpr size_t kNoList = SIZE_MAX;
  struct Part {
    std::string_view text;
    size_t source;  // offset in the source text: of this very text if is_exact, else of the name that brought it in
    bool is_exact;
    size_t list = kNoList;
    std::vector<uint32_t> order;  // of names: where it stands, by the names that brought it in
  };
  using Place = std::list<Part>::iterator;

  // Adds `text` in front of `before`, names of lists from `first_list` on as parts of their own.
  void add_words(Place before, std::string_view text, size_t source, bool is_exact, const std::vector<uint32_t>& order,
                 size_t first_list) {
    size_t done = 0;
    uint32_t count = 0;
    const auto add = [&](size_t from, size_t to) {
      if (from == to) return;
      parts_.insert(before, {text.substr(from, to - from), is_exact ? source + from : source, is_exact, kNoList, {}});
    };
    size_ += text.size();
    for_each_word(text, [&](size_t at, std::string_view word) {
      const auto found = table_.by_name_.find(word);
      if (found == table_.by_name_.end() || found->second < first_list) return;
      add(done, at);
      const Place place =
          parts_.insert(before, {word, is_exact ? source + at : source, is_exact, found->second, order});
      place->order.push_back(count++);
      pending_[found->second].push_back(place);
      done = at + word.size();
    });
    add(done, text.size());
  }

  void replace(Place name, size_t index) {
    ListTable::List& list = table_.lists_[index];
    list.is_used = true;
    while (name != parts_.begin()) {
      const Place left = std::prev(name);
      if (left->list != kNoList) break;
      while (!left->text.empty() && is_blank(left->text.back())) left->text.remove_suffix(1);
      if (!left->text.empty()) break;
      parts_.erase(left);
    }
    while (std::next(name) != parts_.end()) {
      const Place right = std::next(name);
      if (right->list != kNoList) break;
      while (!right->text.empty() && is_blank(right->text.front())) drop_front(*right);
      if (!right->text.empty()) break;
      parts_.erase(right);
    }
    if (list.is_empty) {
      const Place right = std::next(name);
      if (name != parts_.begin() && std::prev(name)->list == kNoList && std::prev(name)->text.back() == ',') {
        const Place left = std::prev(name);
        left->text.remove_suffix(1);
        if (left->text.empty()) parts_.erase(left);
      } else if (right != parts_.end() && right->list == kNoList && right->text.front() == ',') {
        drop_front(*right);
        if (right->text.empty()) parts_.erase(right);
      }
    }
    if (name != parts_.begin()) parts_.insert(name, {" ", name->source, false, kNoList, {}});
    add_words(name, list.text, name->source, false, name->order, index + 1);
    parts_.insert(name, {" ", name->source, false, kNoList, {}});
    parts_.erase(name);
  }

  static void drop_front(Part& part) {
    part.text.remove_prefix(1);
    if (part.is_exact) ++part.source;
  }

  ListTable& table_;
  const SourcedText& source_;
  std::list<Part> parts_;
  std::map<size_t, std::vector<Place>> pending_;  // names still to be replaced, by list
  size_t size_ = 0;
};

Result<SourcedText> ListTable::substitute(const SourcedText& text) {
  return has_odd_names_ ? substitute_slowly(text) : Substitution(*this, text).run();
}

Result<SourcedText> ListTable::substitute_slowly(const SourcedText& text) {
  SourcedText now = text;
  for (List& list : lists_) {
    if (list.name.empty()) continue;
    size_t at = now.str().find(list.name);
    while (at != std::string::npos) {
      const std::string& whole = now.str();
      size_t end = at + list.name.size();
      if ((at > 0 && !is_delimiter(whole[at - 1])) || (end < whole.size() && !is_delimiter(whole[end]))) {
        at = whole.find(list.name, at + 1);
        continue;
      }
      list.is_used = true;
      const size_t name_at = at;
      while (at > 0 && is_blank(whole[at - 1])) --at;
      while (end < whole.size() && is_blank(whole[end])) ++end;
      if (list.is_empty) {
        if (at > 0 && whole[at - 1] == ',') {
          --at;
        } else if (end < whole.size() && whole[end] == ',') {
          ++end;
        }
      }
      SourcedText next;
      next.append_slice(now, 0, at);
      next.append_at_place_of((at > 0 ? " " : "") + list.text + ' ', now, name_at);
      const size_t behind = next.str().size();
      next.append_slice(now, end, whole.size());
      now = std::move(next);
      if (now.str().size() > kMaxConditionBytes) return too_large();
      at = now.str().find(list.name, behind);
    }
  }
  return now;
}

}  // namespace quell::detect::falco
