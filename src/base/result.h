#pragma once
// Result<T>: a value, or an Error that callers branch on (code), operators act on (message) and that says where it
// arose.
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace quell {

enum class Code {
  invalid_argument,  // the caller's or the user's input is wrong
  invalid_rules,     // a rule or configuration file does not hold
  not_found,
  already_exists,
  permission_denied,
  truncated,    // foreign bytes end too early; `where` is the offset
  malformed,    // foreign bytes do not follow their format; `where` is the position
  unsupported,  // the kernel, file version or platform cannot do this
  limit,        // a stated bound would be exceeded
  gone,         // the thing existed and is no more
  stale,        // it exists, but is not the one that was meant
  conflict,     // it exists and is in a state that forbids this
  refused,      // a safety rule says no
  timeout,
  unavailable,  // a peer (socket, server) cannot be reached
  io,
  cancelled,
  internal,  // our own bug, reported instead of a crash at a border
};

/// The code's name as used in JSON and tests ("not_found").
const char* to_string(Code code);

struct Error {
  Code code = Code::internal;
  std::string message;  // one sentence: what and why; the remedy after it where there is one
  std::string where;    // "file:line:col", a byte offset, a path; empty when it adds nothing

  /// "where: message", or the message alone.
  std::string str() const { return where.empty() ? message : where + ": " + message; }
};

/// A value or an Error. Construction from either is implicit; reading the value of an error throws (a bug).
template <typename T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
  Result(Error error) : tl::expected<T, Error>(tl::unexpect, std::move(error)) {}  // NOLINT: implicit on purpose
};

template <>
class [[nodiscard]] Result<void> : public tl::expected<void, Error> {
 public:
  using tl::expected<void, Error>::expected;
  Result(Error error) : tl::expected<void, Error>(tl::unexpect, std::move(error)) {}  // NOLINT: implicit on purpose
};

/// An Error made from errno: `what` failed, with the system's text; the code follows from the number.
Error errno_error(int number, std::string what, std::string where = {});

}  // namespace quell

#define QUELL_CONCAT_(a, b) a##b
#define QUELL_CONCAT(a, b) QUELL_CONCAT_(a, b)

/// QUELL_TRY(Ast ast, parse(text)): declares `ast` from the value, or returns the Error from this function.
#define QUELL_TRY(declaration, ...)                                                                      \
  auto QUELL_CONCAT(quell_try_, __LINE__) = (__VA_ARGS__);                                               \
  if (!QUELL_CONCAT(quell_try_, __LINE__)) return std::move(QUELL_CONCAT(quell_try_, __LINE__)).error(); \
  declaration = std::move(*QUELL_CONCAT(quell_try_, __LINE__))

/// QUELL_CHECK(step()): returns the Error of a Result<void> from this function.
#define QUELL_CHECK(...)                                                                                            \
  do {                                                                                                              \
    if (auto quell_check_result = (__VA_ARGS__); !quell_check_result) return std::move(quell_check_result).error(); \
  } while (false)
