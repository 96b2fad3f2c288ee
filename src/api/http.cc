#include "api/http.h"

#include <fmt/format.h>

#include "base/text.h"

namespace quell::api {
namespace {

int status_of(Code code) {
  switch (code) {
    case Code::invalid_argument:
    case Code::malformed:
    case Code::truncated: return 400;
    case Code::permission_denied:
    case Code::refused: return 403;
    case Code::not_found: return 404;
    case Code::gone: return 410;
    case Code::already_exists:
    case Code::stale:
    case Code::conflict: return 409;
    case Code::limit: return 413;
    case Code::invalid_rules: return 422;
    case Code::unsupported: return 501;
    case Code::unavailable:
    case Code::cancelled: return 503;
    case Code::timeout: return 504;
    case Code::io:
    case Code::internal: return 500;
  }
  return 500;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Result<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] == '%') {
      const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
      if (high < 0 || low < 0)
        return Error{Code::malformed, "'%' is not followed by two hexadecimal digits", "request target"};
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i];
    }
    if (out.back() == '\0')
      return Error{Code::malformed, "a NUL byte has no place in a request target", "request target"};
  }
  return out;
}

}  // namespace

std::string_view to_string(Method method) {
  switch (method) {
    case Method::get: return "GET";
    case Method::post: return "POST";
    case Method::put: return "PUT";
    case Method::delete_: return "DELETE";
    case Method::other: return "OTHER";
  }
  return "OTHER";
}

Response error_response(int status, std::string_view code, std::string_view message, std::string_view where) {
  Response response;
  response.status = status;
  response.body = fmt::format(R"({{"error":{{"code":"{}","message":"{}","where":"{}"}}}})", json_escape(code),
                              json_escape(message), json_escape(where));
  return response;
}

Response error_response(const Error& error) {
  return error_response(status_of(error.code), to_string(error.code), error.message, error.where);
}

Result<void> parse_request_target(std::string_view text, Request& out) {
  const size_t mark = text.find('?');
  QUELL_TRY(out.path, percent_decode(text.substr(0, mark), false));
  if (mark == std::string_view::npos) return {};
  for (const std::string_view pair : split(text.substr(mark + 1), '&')) {
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    QUELL_TRY(std::string name, percent_decode(pair.substr(0, equals), true));
    std::string value;
    if (equals != std::string_view::npos) {
      QUELL_TRY(value, percent_decode(pair.substr(equals + 1), true));
    }
    out.query[std::move(name)] = std::move(value);
  }
  return {};
}

}  // namespace quell::api
