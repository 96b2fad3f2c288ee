#include "apps/quell/completion.h"

#include <cctype>
#include <optional>
#include <set>
#include <string>

#include "detect/container_value.h"

namespace quell::cli {
namespace {

constexpr std::string_view kAbsentText = "<NA>";

std::string display(const OutputValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  return std::string(kAbsentText);
}

/// Length of the field name at the start of `text`, its [argument] included.
size_t field_length(std::string_view text) {
  size_t at = 0;
  while (at < text.size() &&
         (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '.' || text[at] == '_'))
    ++at;
  if (at < text.size() && text[at] == '[') {
    const size_t end = text.find(']', at);
    if (end != std::string_view::npos) return end + 1;
  }
  while (at > 0 && text[at - 1] == '.') --at;  // the end of a sentence is no part of the name
  return at;
}

const OutputValue* find(const Detection& detection, std::string_view field) {
  for (const auto& [name, value] : detection.output_fields) {
    if (name == field) return &value;
  }
  return nullptr;
}

/// The message with `filled` fields in place of their "<NA>"; empty when template and message do not lie side by side.
std::optional<std::string> fill_message(const Detection& detection, const std::set<std::string, std::less<>>& filled,
                                        std::string_view output_template) {
  const std::string_view message = detection.message;
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < output_template.size();) {
    const size_t length = output_template[i] == '%' ? field_length(output_template.substr(i + 1)) : 0;
    if (length == 0) {
      if (at >= message.size() || message[at] != output_template[i]) return {};
      out += message[at++];
      ++i;
      continue;
    }
    const std::string_view field = output_template.substr(i + 1, length);
    i += 1 + length;
    const OutputValue* value = find(detection, field);
    if (filled.contains(field)) {
      if (!message.substr(at).starts_with(kAbsentText)) return {};
      out += display(*value);
      at += kAbsentText.size();
      continue;
    }
    const std::string* text = value != nullptr ? std::get_if<std::string>(value) : nullptr;
    size_t taken = 0;
    if (text != nullptr && message.substr(at).starts_with(*text)) {
      taken = text->size();
    } else {
      // A number may be shown in another form: it ends where the template's next words begin.
      const std::string_view rest = output_template.substr(i);
      const std::string_view words = rest.substr(0, rest.find('%'));
      const size_t end = words.empty() ? message.size() : message.find(words, at);
      if (end == std::string_view::npos) return {};
      taken = end - at;
    }
    out += message.substr(at, taken);
    at += taken;
  }
  if (at != message.size()) return {};
  return out;
}

}  // namespace

bool awaits_metadata(const Detection& detection) {
  return !detection.container_full_id.empty() && detection.container == nullptr;
}

void complete(Detection& detection, std::shared_ptr<const Container> container, std::string_view output_template,
              uint64_t now_ns) {
  std::set<std::string, std::less<>> filled;
  for (auto& [name, value] : detection.output_fields) {
    if (!std::holds_alternative<std::monostate>(value)) continue;
    OutputValue found = detect::container_value(name, *container);
    if (std::holds_alternative<std::monostate>(found)) continue;
    value = std::move(found);
    filled.insert(name);
  }
  if (!filled.empty()) {
    if (auto message = fill_message(detection, filled, output_template)) detection.message = *std::move(message);
  }
  detection.container = std::move(container);
  detection.container_missing = ContainerMissing::none;
  detection.container_missing_detail.clear();
  detection.completed_ns = now_ns;
}

}  // namespace quell::cli
