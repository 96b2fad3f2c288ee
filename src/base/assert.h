#pragma once
// QUELL_ASSERT: our own bugs only, in release too. Input never reaches an assert.
namespace quell {
[[noreturn]] void assert_failed(const char* condition, const char* file, int line);
}
#define QUELL_ASSERT(condition) ((condition) ? void(0) : ::quell::assert_failed(#condition, __FILE__, __LINE__))
