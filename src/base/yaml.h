#pragma once
// YAML as a tree that remembers where everything stood, for files that people write: rules, scenarios, policies,
// configuration. A thing that is wrong can always be shown: file:line:col, the source line and a caret.
//
//   QUELL_TRY(auto file, yaml::parse("policy.yaml", text));
//   for (const yaml::Node* document : file->documents()) {
//     QUELL_CHECK(document->only_keys({"name", "enabled", "targets"}));
//     QUELL_TRY(std::string name, document->get_string("name"));
//     QUELL_TRY(bool enabled, document->get_bool("enabled", true));
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"

namespace quell::yaml {

/// A place in the source. Everything counts from 0: offset in bytes, column in characters. Shown to people it is one
/// more.
struct Mark {
  uint32_t offset = 0, line = 0, column = 0;
  bool operator==(const Mark&) const = default;
};

enum class Style : uint8_t { plain, single_quoted, double_quoted, literal, folded };
enum class Kind : uint8_t { null, scalar, sequence, map };
/// "a sequence", for messages.
std::string_view describe(Kind kind);

class File;
class Node;

struct Entry {
  const Node* key;
  const Node* value;
};

/// One value. Owned by its File; an alias is the very node its anchor names. Immutable, so any thread may read it.
class Node {
 public:
  Kind kind() const { return kind_; }
  /// `~`, `null` or nothing at all, unquoted.
  bool is_null() const { return kind_ == Kind::null; }
  bool is_scalar() const { return kind_ == Kind::scalar; }
  bool is_sequence() const { return kind_ == Kind::sequence; }
  bool is_map() const { return kind_ == Kind::map; }
  /// How a scalar was written.
  Style style() const { return style_; }
  const Mark& start() const { return start_; }
  /// Just behind the last character. A block scalar ends where the next token starts.
  const Mark& end() const { return end_; }
  const File& file() const { return *file_; }
  /// "file:line:col" for people.
  std::string where() const;

  /// Decoded text of a scalar; of anything else empty.
  const std::string& text() const;
  /// Elements of a sequence; of anything else empty.
  std::span<const Node* const> items() const;
  /// Entries of a map in file order; of anything else empty.
  std::span<const Entry> entries() const;
  /// The value under `key`, null if there is none. Of a key given twice the first counts (see File::duplicate_keys).
  const Node* find(std::string_view key) const;

  // The scalar as a type. Errors: invalid_argument naming what was expected and what is there.
  Result<std::string> as_string() const;
  /// YAML 1.1 words: true, yes, on, y and their opposites, in lower case, upper case or with a capital.
  Result<bool> as_bool() const;
  Result<int64_t> as_i64() const;
  /// Decimal, or hexadecimal after 0x.
  Result<uint64_t> as_u64() const;
  Result<double> as_double() const;
  /// A sequence of scalars.
  Result<std::vector<std::string>> as_strings() const;

  // The entry `key` of a map as a type. Without `otherwise` the key must be there; a null value counts as not there.
  Result<const Node*> get(std::string_view key) const;
  Result<const Node*> get_map(std::string_view key) const;
  Result<const Node*> get_sequence(std::string_view key) const;
  Result<std::string> get_string(std::string_view key) const;
  Result<std::string> get_string(std::string_view key, std::string otherwise) const;
  Result<bool> get_bool(std::string_view key) const;
  Result<bool> get_bool(std::string_view key, bool otherwise) const;
  Result<int64_t> get_i64(std::string_view key) const;
  Result<int64_t> get_i64(std::string_view key, int64_t otherwise) const;
  Result<uint64_t> get_u64(std::string_view key) const;
  Result<uint64_t> get_u64(std::string_view key, uint64_t otherwise) const;
  Result<double> get_double(std::string_view key) const;
  Result<double> get_double(std::string_view key, double otherwise) const;
  /// Empty if the key is absent.
  Result<std::vector<std::string>> get_strings(std::string_view key) const;

  /// Refuses a map with any other key, and says which of the allowed ones was probably meant.
  Result<void> only_keys(std::initializer_list<std::string_view> allowed) const;

  /// An Error about this node.
  Error error(std::string message, Code code = Code::invalid_argument) const;

  /// Where the byte `offset` of a scalar's text stands in the file: through quotes, escapes, folding and the
  /// indentation of block scalars. An offset past the end gives the place behind the last character.
  Mark position_of(size_t offset) const;

 private:
  friend class Composer;
  using Value = std::variant<std::monostate, std::string, std::vector<const Node*>, std::vector<Entry>>;
  template <typename T, typename Convert>
  Result<T> converted(std::string_view expected, Convert convert) const;
  Result<const Node*> optional_entry(std::string_view key) const;

  Kind kind_ = Kind::null;
  Style style_ = Style::plain;
  Mark start_, end_;
  uint32_t weight_ = 1;  // nodes below and including this one, aliases expanded
  const File* file_ = nullptr;
  Value value_;
};

/// A key that a map has twice.
struct DuplicateKey {
  const Node* first;
  const Node* again;
};

/// A parsed text. Owns the text and all nodes; immutable.
class File {
 public:
  File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& name() const { return name_; }
  const std::string& text() const { return text_; }
  std::span<const Node* const> documents() const { return documents_; }
  std::span<const DuplicateKey> duplicate_keys() const { return duplicate_keys_; }

  /// "name:line:col", counting from 1.
  std::string where(const Mark& mark) const;
  /// The source line without its end; empty past the last line.
  std::string_view line(uint32_t line) const;
  /// The place of a byte offset.
  Mark mark_at(size_t offset) const;

 private:
  friend class Composer;
  std::string name_;
  std::string text_;
  std::vector<uint32_t> line_starts_;
  std::deque<Node> nodes_;
  std::vector<const Node*> documents_;
  std::vector<DuplicateKey> duplicate_keys_;
};

struct Limits {
  size_t bytes = 8u << 20;
  size_t depth = 64;
  size_t nodes = 2'000'000;  // aliases count with all that they stand for
};

enum class DuplicateKeys { refuse, report };

/// Parses one text of any number of documents. `name` only appears in messages.
/// Errors: malformed (with libyaml's problem and its context), limit, invalid_argument (a duplicate key, unless
/// `report`).
Result<std::shared_ptr<const File>> parse(std::string name, std::string text,
                                          DuplicateKeys duplicate_keys = DuplicateKeys::refuse,
                                          const Limits& limits = {});

/// Reads and parses the file at `path`. Errors: those of parse(), and what the system says about the file.
Result<std::shared_ptr<const File>> parse_file(const std::string& path,
                                               DuplicateKeys duplicate_keys = DuplicateKeys::refuse,
                                               const Limits& limits = {});

/// The whole file at `path`. Errors: limit (larger than `max_bytes`), and what the system says.
Result<std::string> read_text_file(const std::string& path, size_t max_bytes = Limits{}.bytes);

/// The words as_bool() takes.
bool parse_bool(std::string_view text, bool& out);

}  // namespace quell::yaml
