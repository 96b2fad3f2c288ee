#include "model/process.h"

namespace quell {

size_t count_parts(std::string_view list) {
  size_t count = 0;
  for_each_part(list, [&](std::string_view) { ++count; });
  return count;
}

std::string_view part_at(std::string_view list, size_t index) {
  std::string_view found;
  size_t at = 0;
  for_each_part(list, [&](std::string_view part) {
    if (at++ == index) found = part;
  });
  return found;
}

std::string join_parts(std::string_view list) {
  std::string out;
  out.reserve(list.size());
  bool first = true;
  for_each_part(list, [&](std::string_view part) {
    if (!first) out += ' ';
    first = false;
    out += part;
  });
  return out;
}

std::string_view Thread::cmdline() const {
  if (cmdline_.empty()) {
    cmdline_ = comm;
    if (!args.empty()) {
      cmdline_ += ' ';
      cmdline_ += join_parts(args);
    }
  }
  return cmdline_;
}

}  // namespace quell
