#include "base/result.h"

#include <cerrno>
#include <system_error>

namespace quell {

const char* to_string(Code code) {
  switch (code) {
    case Code::invalid_argument: return "invalid_argument";
    case Code::invalid_rules: return "invalid_rules";
    case Code::not_found: return "not_found";
    case Code::already_exists: return "already_exists";
    case Code::permission_denied: return "permission_denied";
    case Code::truncated: return "truncated";
    case Code::malformed: return "malformed";
    case Code::unsupported: return "unsupported";
    case Code::limit: return "limit";
    case Code::gone: return "gone";
    case Code::stale: return "stale";
    case Code::conflict: return "conflict";
    case Code::refused: return "refused";
    case Code::timeout: return "timeout";
    case Code::unavailable: return "unavailable";
    case Code::io: return "io";
    case Code::cancelled: return "cancelled";
    case Code::internal: return "internal";
  }
  return "internal";
}

namespace {
Code code_of_errno(int number) {
  switch (number) {
    case ENOENT: return Code::not_found;
    case ESRCH: return Code::gone;
    case EACCES:
    case EPERM: return Code::permission_denied;
    case EEXIST: return Code::already_exists;
    case EADDRINUSE:
    case EBUSY: return Code::conflict;
    case ETIMEDOUT: return Code::timeout;
    case ECONNREFUSED:
    case ENOTCONN:
    case ECONNRESET: return Code::unavailable;
    case ENOSYS:
    case EOPNOTSUPP: return Code::unsupported;
    case EINVAL: return Code::invalid_argument;
    default: return Code::io;
  }
}
}  // namespace

Error errno_error(int number, std::string what, std::string where) {
  return {code_of_errno(number), std::move(what) + ": " + std::generic_category().message(number), std::move(where)};
}

}  // namespace quell
