#include "api/json.h"

#include <simdjson.h>

namespace quell::api {

namespace dom = simdjson::dom;

struct Json::Node {
  std::shared_ptr<dom::parser> parser;  // owns the document
  dom::element element;
};

Result<Json> Json::parse(std::string_view text) {
  try {
    auto parser = std::make_shared<dom::parser>();
    dom::element element;
    if (const auto error = parser->parse(text.data(), text.size()).get(element); error != simdjson::SUCCESS) {
      return Error{Code::malformed, std::string("not valid JSON: ") + simdjson::error_message(error), {}};
    }
    Json out;
    out.node_ = std::make_shared<Node>(Node{std::move(parser), element});
    return out;
  } catch (const std::exception& error) {
    return Error{Code::malformed, std::string("not readable as JSON: ") + error.what(), {}};
  }
}

Json::Kind Json::kind() const {
  if (!node_) return Kind::null;
  switch (node_->element.type()) {
    case dom::element_type::ARRAY:
      return Kind::array;
    case dom::element_type::OBJECT:
      return Kind::object;
    case dom::element_type::INT64:
    case dom::element_type::UINT64:
    case dom::element_type::DOUBLE:
      return Kind::number;
    case dom::element_type::STRING:
      return Kind::text;
    case dom::element_type::BOOL:
      return Kind::boolean;
    case dom::element_type::NULL_VALUE:
      return Kind::null;
  }
  return Kind::null;
}

Json Json::at(std::string_view key) const {
  dom::object object;
  dom::element element;
  if (!node_ || node_->element.get(object) != simdjson::SUCCESS) return {};
  if (object.at_key(key).get(element) != simdjson::SUCCESS) return {};
  Json out;
  out.node_ = std::make_shared<Node>(Node{node_->parser, element});
  return out;
}

std::vector<Json> Json::items() const {
  std::vector<Json> out;
  dom::array array;
  if (!node_ || node_->element.get(array) != simdjson::SUCCESS) return out;
  for (const dom::element element : array) {
    out.emplace_back();
    out.back().node_ = std::make_shared<Node>(Node{node_->parser, element});
  }
  return out;
}

std::vector<std::pair<std::string, Json>> Json::members() const {
  std::vector<std::pair<std::string, Json>> out;
  dom::object object;
  if (!node_ || node_->element.get(object) != simdjson::SUCCESS) return out;
  for (const auto field : object) {
    Json value;
    value.node_ = std::make_shared<Node>(Node{node_->parser, field.value});
    out.emplace_back(std::string(field.key), std::move(value));
  }
  return out;
}

std::optional<std::string> Json::as_text() const {
  std::string_view value;
  if (!node_ || node_->element.get(value) != simdjson::SUCCESS) return {};
  return std::string(value);
}

std::optional<uint64_t> Json::as_u64() const {
  uint64_t value = 0;
  if (!node_ || node_->element.get(value) != simdjson::SUCCESS) return {};
  return value;
}

std::optional<bool> Json::as_bool() const {
  bool value = false;
  if (!node_ || node_->element.get(value) != simdjson::SUCCESS) return {};
  return value;
}

std::string Json::display() const {
  switch (kind()) {
    case Kind::text:
      return *as_text();
    case Kind::boolean:
    case Kind::number:
      return str();
    default:
      return {};
  }
}

std::string Json::str() const { return node_ ? simdjson::minify(node_->element) : "null"; }

}  // namespace quell::api
