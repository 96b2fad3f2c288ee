#pragma once
// Every key that a policy, its configuration and its tests can have, one row each. The reader checks files against the
// rows; the published JSON Schema and the reference in docs/policies.md are made from them.
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/yaml.h"
#include "respond/policy/problem.h"

namespace quell::respond::policy {

/// What may stand behind a key.
enum class Shape : uint8_t {
  text,               // not empty
  name,               // lower case letters, digits, `-` and `.`, at most 63
  regex,              // RE2
  count,              // 1 or more
  number,             // any
  fraction,           // 0 to 1
  duration,           // 10m
  rate,               // 5/10m
  amount,             // 60% or 2
  approvers,          // one_of(GROUP), two_of(GROUP)
  deadline,           // a day or a moment
  flag,               // true or false
  value,              // any scalar
  choice,             // one word of the set `of`
  texts,              // a text or a list of them
  texts_or_none,      // the same; the list may be empty
  values,             // a scalar or a list of them
  choices,            // a word of the set `of` or a list of them
  object,             // keys of the object `of`
  objects,            // a list of such
  object_or_texts,    // an object, or texts for its first operator
  object_or_choices,  // an object, or words of its first operator's set
  field_map,          // free names, each an object `of` or values
  object_map,         // free names, each an object `of`
  text_map,           // free names, each a text
  texts_map,          // free names, each texts
  steps,              // ordered actions
};

struct KeyRow {
  std::string_view object, key;
  Shape shape;
  std::string_view of;  // object or set of words
  bool required;
  std::string_view doc, example;
};

std::span<const KeyRow> key_rows();
/// Words of a set, in order.
std::vector<std::string_view> words_of(std::string_view set);
/// True for states in which an action can be settled: what `verified` can ask for.
bool is_outcome(std::string_view state);

/// Reports everything about `node` that does not have the shape of `object`: unknown, missing and repeated keys, wrong
/// types, bad values. Of `steps` only the form: whether actions and their parameters exist is the reader's business.
void check_shape(const yaml::Node& node, std::string_view object, Problems& problems);

/// JSON Schema (draft 2020-12) of a policy document, with a final newline.
std::string json_schema();
/// The reference part of docs/policies.md: one table per object.
std::string reference_markdown();

}  // namespace quell::respond::policy
