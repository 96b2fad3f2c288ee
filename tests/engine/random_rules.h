#pragma once
// Random conditions, processes and events over a small world, so that comparisons hold about as often as they fail.
#include <memory>
#include <random>
#include <string>

#include "detect/ruleset.h"
#include "fake_state.h"

namespace quell::detect {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  size_t pick(size_t count) { return std::uniform_int_distribution<size_t>(0, count - 1)(random_); }

  /// One comparison: every operator, modifier, transformer and kind of field comes up.
  std::string check();
  /// Comparisons under and, or, not, at most `depth` deep.
  std::string condition(int depth);
  /// Parsed; empty on a condition that does not parse.
  RuleSet rules(size_t count);

  void populate(FakeState& state);
  std::unique_ptr<FakeEvent> event(FakeState& state);
  /// A fork, an exec, a rename, a new parent or an end: what must not be missed by what was remembered.
  void disturb(FakeState& state);

 private:
  template <size_t N>
  std::string any(const char* const (&choices)[N]) {
    return choices[pick(N)];
  }
  std::string texts(size_t most);
  std::string text_check(const std::string& operand);
  std::string number_check(const std::string& operand);
  std::string address_check();
  void dress(Thread& thread);

  std::mt19937 random_;
  int64_t next_tid_ = 1;
};

}  // namespace quell::detect
