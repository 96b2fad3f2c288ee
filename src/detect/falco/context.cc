#include "detect/falco/context.h"

#include <algorithm>

#include "base/text.h"

namespace quell::detect::falco {
namespace {

constexpr size_t kExcerptBytes = 160;

bool is_continuation(char c) { return (static_cast<uint8_t>(c) & 0xC0) == 0x80; }

}  // namespace

Problem problem_at(const Context& context, LoadCode code, std::string message, std::string suggestion) {
  return problem_at(context, context.node->file(), context.node->start(), code, std::move(message),
                    std::move(suggestion));
}

Problem problem_at(const Context& context, const yaml::File& file, const yaml::Mark& mark, LoadCode code,
                   std::string message, std::string suggestion) {
  Problem problem;
  problem.code = code;
  problem.message = std::move(message);
  problem.suggestion = std::move(suggestion);
  for (const Context* step = &context; step; step = step->parent) {
    Location location{std::string(step->item_type), step->item_name, step->node->file().name(), 0, 0, 0};
    if (step->parent) {
      location.line = step->node->start().line;
      location.column = step->node->start().column;
      location.offset = step->node->start().offset;
    }
    problem.locations.push_back(std::move(location));
  }
  std::reverse(problem.locations.begin(), problem.locations.end());

  problem.file = file.name();
  problem.line = mark.line + 1;
  problem.column = mark.column + 1;
  // A long line is cut around the place, at the edges of characters.
  const std::string_view line = file.line(mark.line);
  size_t place = 0;
  for (uint32_t column = 0; column < mark.column && place < line.size(); ++column) {
    ++place;
    while (place < line.size() && is_continuation(line[place])) ++place;
  }
  size_t from = 0;
  if (line.size() > kExcerptBytes && place > kExcerptBytes / 2)
    from = std::min(place - kExcerptBytes / 2, line.size() - kExcerptBytes);
  while (from < place && is_continuation(line[from])) ++from;
  size_t to = std::min(line.size(), from + kExcerptBytes);
  while (to > place && to < line.size() && is_continuation(line[to])) --to;
  problem.excerpt = line.substr(from, to - from);
  for (size_t i = from; i < place; ++i) problem.excerpt_column += is_continuation(line[i]) ? 0 : 1;
  return problem;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string_view>& known) {
  const std::string_view meant = nearest(word, known);
  return meant.empty() || meant == word ? std::string() : "did you mean '" + std::string(meant) + "'?";
}

}  // namespace quell::detect::falco
