// libyaml's events made into nodes. The only file that knows libyaml.
#include <yaml.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <unordered_map>

#include "base/yaml.h"

namespace quell::yaml {
namespace {

struct ParserHandle {
  yaml_parser_t parser{};
  bool ready = yaml_parser_initialize(&parser) != 0;
  ~ParserHandle() {
    if (ready) yaml_parser_delete(&parser);
  }
};

struct EventHandle {
  yaml_event_t event{};
  ~EventHandle() { yaml_event_delete(&event); }
};

std::string_view view(const yaml_char_t* text) {
  return text ? std::string_view(reinterpret_cast<const char*>(text)) : std::string_view();
}

// Starts of lines by libyaml's idea of a line break, which is wider than "\n".
std::vector<uint32_t> find_line_starts(std::string_view text) {
  std::vector<uint32_t> starts{0};
  for (size_t i = 0; i < text.size(); ++i) {
    size_t length = 0;
    if (text[i] == '\n') {
      length = 1;
    } else if (text[i] == '\r') {
      length = text.substr(i + 1, 1) == "\n" ? 2 : 1;
    } else if (text[i] == '\xC2' && text.substr(i + 1, 1) == "\x85") {
      length = 2;
    } else if (text[i] == '\xE2' && (text.substr(i + 1, 2) == "\x80\xA8" || text.substr(i + 1, 2) == "\x80\xA9")) {
      length = 3;
    }
    if (length == 0) continue;
    starts.push_back(static_cast<uint32_t>(i + length));
    i += length - 1;
  }
  return starts;
}

bool is_null_word(std::string_view text) {
  return text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL";
}

}  // namespace

class Composer {
 public:
  Composer(std::string name, std::string text, DuplicateKeys duplicate_keys, const Limits& limits)
      : file_(std::make_shared<File>()), duplicate_keys_(duplicate_keys), limits_(limits) {
    if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);
    file_->name_ = std::move(name);
    file_->text_ = std::move(text);
  }

  Result<std::shared_ptr<const File>> run() {
    if (file_->text_.size() > limits_.bytes) {
      return Error{Code::limit,
                   "the file has " + std::to_string(file_->text_.size()) + " bytes; the limit is " +
                       std::to_string(limits_.bytes) + "; split it",
                   file_->name_};
    }
    file_->line_starts_ = find_line_starts(file_->text_);
    ParserHandle handle;
    if (!handle.ready) return Error{Code::limit, "not enough memory for the YAML parser", file_->name_};
    yaml_parser_t& parser = handle.parser;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, reinterpret_cast<const unsigned char*>(file_->text_.data()),
                                 file_->text_.size());
    while (true) {
      EventHandle handle_event;
      if (!yaml_parser_parse(&parser, &handle_event.event)) return syntax_error(parser);
      if (handle_event.event.type == YAML_STREAM_END_EVENT) break;
      QUELL_CHECK(take(handle_event.event));
    }
    if (duplicate_keys_ == DuplicateKeys::refuse && !file_->duplicate_keys_.empty()) {
      const DuplicateKey& twice = file_->duplicate_keys_.front();
      return twice.again->error("the key '" + twice.again->text() + "' is already given on line " +
                                std::to_string(twice.first->start().line + 1) + "; remove one of them");
    }
    return std::shared_ptr<const File>(std::move(file_));
  }

 private:
  // A sequence or map that is still open.
  struct Frame {
    Node* node;
    const Node* key = nullptr;  // map: waits for its value
    std::unordered_map<std::string_view, const Node*> keys;
  };

  Mark mark(const yaml_mark_t& from) const {
    const auto& starts = file_->line_starts_;
    const auto line = static_cast<uint32_t>(std::min<size_t>(from.line, starts.size() - 1));
    // A list of many values may stand on one line: counting goes on where it was.
    const bool goes_on = last_.line == line && last_.column <= from.column;
    size_t offset = goes_on ? last_.offset : starts[line];
    const std::string& text = file_->text_;
    for (size_t left = from.column - (goes_on ? last_.column : 0); left > 0 && offset < text.size(); --left) {
      ++offset;
      while (offset < text.size() && (static_cast<uint8_t>(text[offset]) & 0xC0) == 0x80) ++offset;
    }
    last_ = {static_cast<uint32_t>(offset), line, static_cast<uint32_t>(from.column)};
    return last_;
  }

  Error syntax_error(const yaml_parser_t& parser) const {
    std::string message = parser.problem ? parser.problem : "not enough memory";
    if (parser.error == YAML_READER_ERROR) {
      char value[48];
      std::snprintf(value, sizeof value, " (byte value 0x%02X)", static_cast<unsigned>(parser.problem_value));
      return {Code::malformed, message + value, file_->where(file_->mark_at(parser.problem_offset))};
    }
    if (parser.context) {
      message += " (";
      message += parser.context;
      if (parser.context_mark.line != parser.problem_mark.line ||
          parser.context_mark.column != parser.problem_mark.column) {
        message += " at " + std::to_string(parser.context_mark.line + 1) + ':' +
                   std::to_string(parser.context_mark.column + 1);
      }
      message += ')';
    }
    return {Code::malformed, std::move(message), file_->where(mark(parser.problem_mark))};
  }

  Result<void> take(const yaml_event_t& event) {
    switch (event.type) {
      case YAML_DOCUMENT_START_EVENT: anchors_.clear(); return {};
      case YAML_SCALAR_EVENT: return take_scalar(event);
      case YAML_SEQUENCE_START_EVENT: return open(event, Kind::sequence, view(event.data.sequence_start.anchor));
      case YAML_MAPPING_START_EVENT: return open(event, Kind::map, view(event.data.mapping_start.anchor));
      case YAML_SEQUENCE_END_EVENT:
      case YAML_MAPPING_END_EVENT: return close(event);
      case YAML_ALIAS_EVENT: return take_alias(event);
      default: return {};
    }
  }

  Result<Node*> add_node(const yaml_event_t& event, Kind kind) {
    const Mark start = mark(event.start_mark);
    QUELL_CHECK(count(1, start));
    Node& node = file_->nodes_.emplace_back();
    node.kind_ = kind;
    node.file_ = file_.get();
    node.start_ = start;
    node.end_ = mark(event.end_mark);
    return &node;
  }

  Result<void> count(size_t nodes, const Mark& at) {
    count_ += nodes;
    if (count_ <= limits_.nodes) return {};
    return Error{
        Code::limit,
        "more than " + std::to_string(limits_.nodes) + " values, counting what aliases stand for; split the file",
        file_->where(at)};
  }

  Result<void> take_scalar(const yaml_event_t& event) {
    const auto& scalar = event.data.scalar;
    const std::string_view text(reinterpret_cast<const char*>(scalar.value), scalar.length);
    const bool is_null = scalar.style == YAML_PLAIN_SCALAR_STYLE && scalar.plain_implicit && is_null_word(text);
    QUELL_TRY(Node * node, add_node(event, is_null ? Kind::null : Kind::scalar));
    if (!is_null) node->value_ = std::string(text);
    switch (scalar.style) {
      case YAML_SINGLE_QUOTED_SCALAR_STYLE: node->style_ = Style::single_quoted; break;
      case YAML_DOUBLE_QUOTED_SCALAR_STYLE: node->style_ = Style::double_quoted; break;
      case YAML_LITERAL_SCALAR_STYLE: node->style_ = Style::literal; break;
      case YAML_FOLDED_SCALAR_STYLE: node->style_ = Style::folded; break;
      default: node->style_ = Style::plain; break;
    }
    // An anchor or tag stands before the scalar and within its event; the text starts behind it.
    if (scalar.anchor || scalar.tag) skip_properties(*node);
    if (scalar.anchor) anchors_[std::string(view(scalar.anchor))] = node;
    return attach(node);
  }

  void skip_properties(Node& node) const {
    const std::string& text = file_->text_;
    size_t at = node.start_.offset;
    while (at < node.end_.offset && at < text.size()) {
      if (text[at] == '&' || text[at] == '!') {
        while (at < text.size() && text[at] != ' ' && text[at] != '\t' && text[at] != '\n' && text[at] != '\r') ++at;
      } else if (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
        ++at;
      } else {
        break;
      }
    }
    node.start_ = file_->mark_at(at);
  }

  Result<void> open(const yaml_event_t& event, Kind kind, std::string_view anchor) {
    QUELL_TRY(Node * node, add_node(event, kind));
    if (open_.size() >= limits_.depth) {
      return Error{Code::limit, "nested deeper than " + std::to_string(limits_.depth) + " levels",
                   file_->where(node->start_)};
    }
    if (kind == Kind::map) {
      node->value_ = std::vector<Entry>();
    } else {
      node->value_ = std::vector<const Node*>();
    }
    if (!anchor.empty()) anchors_[std::string(anchor)] = node;
    open_.push_back({node, nullptr, {}});
    return {};
  }

  Result<void> close(const yaml_event_t& event) {
    Node* node = open_.back().node;
    node->end_ = mark(event.end_mark);
    open_.pop_back();
    return attach(node);
  }

  Result<void> take_alias(const yaml_event_t& event) {
    const std::string name(view(event.data.alias.anchor));
    const Mark at = mark(event.start_mark);
    const auto found = anchors_.find(name);
    if (found == anchors_.end())
      return Error{Code::malformed, "the alias '*" + name + "' has no anchor '&" + name + "' before it",
                   file_->where(at)};
    for (const Frame& frame : open_) {
      if (frame.node == found->second)
        return Error{Code::malformed, "the alias '*" + name + "' stands inside what it names", file_->where(at)};
    }
    QUELL_CHECK(count(found->second->weight_, at));
    return attach(found->second);
  }

  Result<void> attach(const Node* node) {
    if (open_.empty()) {
      file_->documents_.push_back(node);
      return {};
    }
    Frame& frame = open_.back();
    frame.node->weight_ += node->weight_;
    if (frame.node->kind_ == Kind::sequence) {
      std::get<std::vector<const Node*>>(frame.node->value_).push_back(node);
    } else if (!frame.key) {
      frame.key = node;
    } else {
      if (frame.key->is_scalar()) {
        const auto [first, is_new] = frame.keys.emplace(frame.key->text(), frame.key);
        if (!is_new) file_->duplicate_keys_.push_back({first->second, frame.key});
      }
      std::get<std::vector<Entry>>(frame.node->value_).push_back({frame.key, node});
      frame.key = nullptr;
    }
    return {};
  }

  std::shared_ptr<File> file_;
  DuplicateKeys duplicate_keys_;
  Limits limits_;
  size_t count_ = 0;
  std::vector<Frame> open_;
  std::unordered_map<std::string, const Node*> anchors_;
  mutable Mark last_{0, UINT32_MAX, 0};  // what mark() gave last
};

Result<std::shared_ptr<const File>> parse(std::string name, std::string text, DuplicateKeys duplicate_keys,
                                          const Limits& limits) {
  return Composer(std::move(name), std::move(text), duplicate_keys, limits).run();
}

Result<std::string> read_text_file(const std::string& path, size_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), &std::fclose);
  if (!file) return errno_error(errno, "cannot open the file", path);
  std::string text;
  char buffer[1 << 16];
  while (const size_t count = std::fread(buffer, 1, sizeof buffer, file.get())) {
    text.append(buffer, count);
    if (text.size() > max_bytes)
      return Error{Code::limit, "the file is larger than " + std::to_string(max_bytes) + " bytes; split it", path};
  }
  if (std::ferror(file.get())) return errno_error(errno, "cannot read the file", path);
  return text;
}

Result<std::shared_ptr<const File>> parse_file(const std::string& path, DuplicateKeys duplicate_keys,
                                               const Limits& limits) {
  QUELL_TRY(std::string text, read_text_file(path, limits.bytes));
  return parse(path, std::move(text), duplicate_keys, limits);
}

}  // namespace quell::yaml
