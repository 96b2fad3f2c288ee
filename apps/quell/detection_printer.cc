#include "apps/quell/detection_printer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "base/text.h"
#include "model/detection_json.h"

namespace quell::cli {
namespace {

/// A rule's output holds what an attacker chose: control characters must not reach a terminal, nor break the line.
std::string one_safe_line(std::string_view text) {
  constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return to_valid_utf8(out);
}

/// What a reader must know about the line itself.
std::string caveats(const Detection& detection) {
  std::string out;
  if (detection.container == nullptr && detection.container_missing != ContainerMissing::none)
    out += fmt::format(" [container: {}]", to_string(detection.container_missing));
  if (detection.losses.count > 0) out += fmt::format(" [{} events lost in its window]", detection.losses.count);
  return out;
}

}  // namespace

Result<void> DetectionPrinter::print(const Detection& detection) {
  if (format_ == StreamFormat::json) {
    json_.clear();
    write_detection(json_, detection, style_);
    return put(json_.finished());
  }
  return put(one_safe_line(text_line(detection, style_)) + caveats(detection));
}

Result<void> DetectionPrinter::put(std::string_view line) {
  if (std::fwrite(line.data(), 1, line.size(), stdout) != line.size() || std::fputc('\n', stdout) == EOF ||
      std::fflush(stdout) != 0) {
    return errno_error(errno, "cannot write to stdout");
  }
  return {};
}

}  // namespace quell::cli
