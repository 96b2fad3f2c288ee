#include "base/json.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "base/assert.h"
#include "base/text.h"

namespace quell {

char* JsonWriter::grow(size_t count) {
  constexpr size_t kFirst = 512;
  const size_t size = this->size();
  const size_t capacity = std::max(kFirst, std::bit_ceil(size + count));
  std::unique_ptr<char[]> larger(new char[capacity]);
  if (size > 0) std::memcpy(larger.get(), memory_.get(), size);
  memory_ = std::move(larger);
  end_ = memory_.get() + size;
  limit_ = memory_.get() + capacity;
  return end_;
}

JsonWriter& JsonWriter::close(char bracket) {
  QUELL_ASSERT(depth_ > 0 && end_[-1] != ':');
  --depth_;
  *room(1) = bracket;
  ++end_;
  is_followed_ = true;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  string(name);
  *room(1) = ':';
  ++end_;
  is_followed_ = false;
  return *this;
}

template <typename Integer>
JsonWriter& JsonWriter::digits(Integer value) {
  constexpr size_t kMaxDigits = 20;
  char* at = begin_value(kMaxDigits);
  end_ = std::to_chars(at, at + kMaxDigits, value).ptr;
  return *this;
}

JsonWriter& JsonWriter::number(int64_t value) { return digits(value); }
JsonWriter& JsonWriter::number(uint64_t value) { return digits(value); }

JsonWriter& JsonWriter::number(double value) {
  if (!std::isfinite(value)) return null();
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".eE") == std::string::npos) text += ".0";
  return raw(text);
}

JsonWriter& JsonWriter::raw(std::string_view json) {
  if (json.empty()) return null();
  char* at = begin_value(json.size());
  std::memcpy(at, json.data(), json.size());
  end_ = at + json.size();
  return *this;
}

JsonWriter& JsonWriter::string(std::string_view value) {
  char* at = begin_value(value.size() * kMaxJsonEscape + 2);
  *at++ = '"';
  at = write_json_escaped(value, at);
  *at = '"';
  end_ = at + 1;
  return *this;
}

JsonWriter& JsonWriter::begin_string() {
  char* at = begin_value(1);
  *at = '"';
  end_ = at + 1;
  return *this;
}

JsonWriter& JsonWriter::part(std::string_view text) {
  end_ = write_json_escaped(text, room(text.size() * kMaxJsonEscape));
  return *this;
}

JsonWriter& JsonWriter::repeat(size_t begin, size_t end) {
  QUELL_ASSERT(begin <= end && end <= size());
  char* at = room(end - begin);
  std::memcpy(at, memory_.get() + begin, end - begin);
  end_ = at + (end - begin);
  return *this;
}

JsonWriter& JsonWriter::end_string() {
  *room(1) = '"';
  ++end_;
  return *this;
}

JsonWriter& JsonWriter::value(const Json& json) {
  struct Visitor {
    JsonWriter& out;
    void operator()(std::monostate) const { out.null(); }
    void operator()(bool value) const { out.boolean(value); }
    void operator()(int64_t value) const { out.number(value); }
    void operator()(uint64_t value) const { out.number(value); }
    void operator()(double value) const { out.number(value); }
    void operator()(const std::string& value) const { out.string(value); }
    void operator()(const Json::Array& values) const {
      out.begin_array();
      for (const Json& value : values) out.value(value);
      out.end_array();
    }
    void operator()(const Json::Object& members) const {
      out.begin_object();
      for (const auto& [name, value] : members) out.key(name).value(value);
      out.end_object();
    }
  };
  std::visit(Visitor{*this}, json.value());
  return *this;
}

std::string_view JsonWriter::finished() const {
  QUELL_ASSERT(depth_ == 0 && is_followed_);
  return {memory_.get(), size()};
}

std::string JsonWriter::take() {
  std::string text(finished());
  clear();
  return text;
}

void JsonWriter::clear() {
  end_ = memory_.get();
  depth_ = 0;
  is_followed_ = false;
}

namespace {

Json convert(const simdjson::dom::element& element) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::ARRAY: {
      Json::Array out;
      for (const simdjson::dom::element child : simdjson::dom::array(element)) out.push_back(convert(child));
      return Json(std::move(out));
    }
    case element_type::OBJECT: {
      Json::Object out;
      for (const auto& [name, child] : simdjson::dom::object(element))
        out.emplace_back(std::string(name), convert(child));
      return Json(std::move(out));
    }
    case element_type::INT64: return Json(Json::Value(int64_t(element)));
    case element_type::UINT64: return Json(Json::Value(uint64_t(element)));
    case element_type::DOUBLE: return Json(Json::Value(double(element)));
    case element_type::STRING: return Json(Json::Value(std::string(std::string_view(element))));
    case element_type::BOOL: return Json(Json::Value(bool(element)));
    case element_type::NULL_VALUE: break;
  }
  return Json();
}

const Json kNull;

}  // namespace

Result<Json> Json::parse(std::string_view text) {
  // The library throws on misuse and when memory runs out; neither crosses this border.
  try {
    simdjson::dom::parser parser;
    simdjson::dom::element root;
    if (const auto error = parser.parse(text.data(), text.size()).get(root); error != simdjson::SUCCESS)
      return Error{Code::malformed, fmt::format("not JSON: {}", simdjson::error_message(error)), {}};
    return convert(root);
  } catch (const std::exception& error) {
    return Error{Code::malformed, fmt::format("not JSON: {}", error.what()), {}};
  }
}

const Json* Json::find(std::string_view name) const {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  for (const auto& [key, value] : *members)
    if (key == name) return &value;
  return nullptr;
}

const Json& Json::at(std::string_view name) const {
  const Json* found = find(name);
  return found != nullptr ? *found : kNull;
}

std::string Json::str() const {
  const auto* text = std::get_if<std::string>(&value_);
  return text != nullptr ? *text : std::string();
}

bool Json::boolean() const {
  const auto* flag = std::get_if<bool>(&value_);
  return flag != nullptr && *flag;
}

int64_t Json::i64() const {
  if (const auto* number = std::get_if<int64_t>(&value_)) return *number;
  return 0;
}

uint64_t Json::u64() const {
  if (const auto* number = std::get_if<uint64_t>(&value_)) return *number;
  if (const auto* number = std::get_if<int64_t>(&value_); number != nullptr && *number >= 0)
    return static_cast<uint64_t>(*number);
  return 0;
}

std::vector<std::string> Json::texts() const {
  std::vector<std::string> out;
  if (const Array* values = array())
    for (const Json& value : *values) out.push_back(value.str());
  return out;
}

std::string Json::dump() const { return JsonWriter().value(*this).take(); }

}  // namespace quell
