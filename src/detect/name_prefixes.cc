#include "detect/name_prefixes.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "model/interest.h"

namespace quell::detect {
namespace {

constexpr std::string_view kSpecial = "*?[\\";

// Is it a parameter that names a file? The target of a symbolic link is any text, and yet a path.
bool is_file_name(EventCode code, std::string_view param) {
  const EventSpec& spec = event_spec(code);
  int index = spec.param_index(param);
  if (index < 0) {
    const auto [end, error] = std::from_chars(param.data(), param.data() + param.size(), index);
    if (error != std::errc{} || end != param.data() + param.size()) return false;
  }
  if (index < 0 || static_cast<size_t>(index) >= spec.params.size()) return false;
  const ParamSpec& found = spec.params[static_cast<size_t>(index)];
  const bool is_link = code == ev::SYSCALL_SYMLINK_X || code == ev::SYSCALL_SYMLINKAT_X;
  return found.type == ParamType::fspath || found.type == ParamType::fsrelpath || (is_link && found.name == "target");
}

// Fields whose value is the name, or the beginning of it. (fd.* of an event that opens nothing is about a descriptor
// that was there before.)
bool tells_name(const Operand& left, EventCode code) {
  if (left.kind != Operand::Kind::field || !has_file_names(code)) return false;
  const std::string_view field = left.name;
  if (field == "evt.arg" || field == "evt.rawarg") return left.arg && is_file_name(code, *left.arg);
  if (left.arg) return false;
  for (const std::string_view by_name : {"evt.arg.", "evt.rawarg."}) {
    if (field.starts_with(by_name)) return is_file_name(code, field.substr(by_name.size()));
  }
  if (field == "fd.name" || field == "fd.nameraw" || field == "fd.directory") return opens_file(code);
  return field == "fs.path.name" || field == "fs.path.nameraw" || field == "fs.path.source" ||
         field == "fs.path.sourceraw" || field == "fs.path.target" || field == "fs.path.targetraw";
}

// Before the first component with a wildcard, and what stands before the wildcard. Components are compared one by one,
// so doubled slashes and a missing first one say nothing.
std::string beginning_of_components(std::string_view pattern) {
  std::string out;
  while (!pattern.empty()) {
    const size_t slash = pattern.find('/');
    const std::string_view part = pattern.substr(0, slash);
    pattern = slash == std::string_view::npos ? std::string_view{} : pattern.substr(slash + 1);
    if (part.empty()) continue;
    out += '/';
    if (part.find_first_of("*?[") != std::string_view::npos) {
      out += part.substr(0, part.find_first_of(kSpecial));
      break;
    }
    out += part;
  }
  return out;
}

}  // namespace

std::optional<std::vector<std::string>> name_prefixes(const Check& check, EventCode code) {
  if (check.right || check.modifier != Modifier::none || check.value_is_identifier || !tells_name(check.left, code)) {
    return {};
  }
  std::vector<std::string> out;
  for (const std::string& value : check.values) {
    std::string_view begin = value;
    std::string components;
    switch (check.op) {
      case Op::eq:
      case Op::in:
      case Op::startswith: break;
      case Op::glob: begin = begin.substr(0, begin.find_first_of(kSpecial)); break;
      case Op::pmatch:
        components = beginning_of_components(value);
        begin = components;
        break;
      default: return {};
    }
    begin = begin.substr(0, begin.find('\0'));
    if (begin.empty()) return {};
    if (begin[0] == '/') out.emplace_back(begin);  // an absolute name begins like nothing else
  }
  return out;
}

std::optional<std::vector<std::string>> fewer_prefixes(std::vector<std::string> prefixes) {
  for (const size_t length : {NameTest::kMaxLength, size_t{32}, size_t{16}, size_t{8}, size_t{4}, size_t{2}}) {
    for (std::string& prefix : prefixes) {
      if (prefix.size() > length) prefix.resize(length);
    }
    // In this order a prefix stands right before all that begin with it.
    std::sort(prefixes.begin(), prefixes.end());
    std::vector<std::string> kept;
    for (std::string& prefix : prefixes) {
      if (kept.empty() || !prefix.starts_with(kept.back())) kept.push_back(std::move(prefix));
    }
    prefixes = std::move(kept);
    if (prefixes.size() > NameTest::kMaxPrefixes) continue;
    if (!prefixes.empty() && prefixes.front() == "/") return {};
    return prefixes;
  }
  return {};
}

}  // namespace quell::detect
