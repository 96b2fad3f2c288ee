#pragma once
// Short words for reading parsed JSON whose members may be absent, null or of another type: the default then.
#include <simdjson.h>

#include <string>
#include <string_view>

namespace quell::os::json {

using Value = simdjson::simdjson_result<simdjson::dom::element>;

inline std::string text(const Value& value) {
  std::string_view out;
  return value.get(out) == simdjson::SUCCESS ? std::string(out) : std::string();
}
inline bool flag(const Value& value) {
  bool out = false;
  return value.get(out) == simdjson::SUCCESS && out;
}
inline int64_t number(const Value& value, int64_t otherwise) {
  int64_t out = 0;
  return value.get(out) == simdjson::SUCCESS ? out : otherwise;
}
template <typename Visit>  // visit(Value)
void for_each_element(const Value& value, Visit&& visit) {
  simdjson::dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return;
  for (const simdjson::dom::element element : array) visit(Value(simdjson::dom::element(element)));
}
template <typename Visit>  // visit(key, Value)
void for_each_member(const Value& value, Visit&& visit) {
  simdjson::dom::object object;
  if (value.get(object) != simdjson::SUCCESS) return;
  for (const auto& member : object) visit(member.key, Value(simdjson::dom::element(member.value)));
}

}  // namespace quell::os::json
