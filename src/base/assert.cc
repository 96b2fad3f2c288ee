#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace quell {
void assert_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "quell: bug: %s does not hold (%s:%d)\n", condition, file, line);
  std::abort();
}
}  // namespace quell
