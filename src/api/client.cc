#include "api/client.h"

#include <curl/curl.h>
#include <fmt/format.h>

#include <array>
#include <memory>
#include <mutex>

#include "api/server.h"
#include "base/json.h"

namespace quell::api {
namespace {

constexpr size_t kAnswerLimit = 64 * 1024 * 1024;

size_t collect(char* data, size_t size, size_t count, void* into) {
  auto& body = *static_cast<std::string*>(into);
  if (body.size() + size * count > kAnswerLimit) return 0;
  body.append(data, size * count);
  return size * count;
}

Code code_named(std::string_view name, long status) {
  for (int i = 0; i <= static_cast<int>(Code::internal); ++i) {
    if (name == to_string(static_cast<Code>(i))) return static_cast<Code>(i);
  }
  return status == 404 ? Code::not_found : status >= 500 ? Code::internal : Code::invalid_argument;
}

Error answered_error(long status, const std::string& body) {
  if (const auto json = Json::parse(body)) {
    const Json& error = json->at("error");
    if (error.object() != nullptr) {
      return {code_named(error.at("code").str(), status), error.at("message").str(), error.at("where").str()};
    }
  }
  return {code_named({}, status), fmt::format("the server answered {} and gave no reason", status), {}};
}

}  // namespace

Client::Client(std::string unix_path, std::string base, uint64_t timeout_ms)
    : unix_path_(std::move(unix_path)), base_(std::move(base)), timeout_ms_(timeout_ms) {}

Result<Client> Client::open(std::string_view server, uint64_t timeout_ms) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  if (server.starts_with("unix:")) server.remove_prefix(5);
  if (server.starts_with('/')) return Client(std::string(server), "http://quell", timeout_ms);
  if (server.starts_with("http://")) {
    std::string_view address = server.substr(7);
    if (address.ends_with('/')) address.remove_suffix(1);
    QUELL_TRY(const TcpAddress checked, parse_listen_address(address));
    return Client({}, "http://" + checked.str(), timeout_ms);
  }
  return Error{
      Code::invalid_argument,
      fmt::format("\"{}\" names no server; write unix:/var/lib/quell/quell.sock or http://127.0.0.1:7555", server),
      {}};
}

Result<std::string> Client::call(Method method, std::string_view target, std::string_view body) const {
  const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  if (!curl) return Error{Code::internal, "libcurl gives no handle", {}};
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
      curl_slist_append(nullptr, "Content-Type: application/json"), curl_slist_free_all);
  const std::string url = base_ + std::string(target);
  const std::string& peer = unix_path_.empty() ? base_ : unix_path_;
  std::string answer;
  std::array<char, CURL_ERROR_SIZE> reason{};
  CURL* handle = curl.get();
  curl_easy_setopt(handle, CURLOPT_URL, url.c_str());
  if (!unix_path_.empty()) curl_easy_setopt(handle, CURLOPT_UNIX_SOCKET_PATH, unix_path_.c_str());
  curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(handle, CURLOPT_PROXY, "");
  curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, static_cast<long>(timeout_ms_));
  curl_easy_setopt(handle, CURLOPT_ERRORBUFFER, reason.data());
  curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, collect);
  curl_easy_setopt(handle, CURLOPT_WRITEDATA, &answer);
  if (method == Method::post || method == Method::put) {
    curl_easy_setopt(handle, CURLOPT_POST, 1L);
    if (method == Method::put) curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, "PUT");
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, body.data() == nullptr ? "" : body.data());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  } else if (method != Method::get) {
    curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, to_string(method).data());
  }

  const CURLcode code = curl_easy_perform(handle);
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Error{Code::timeout,
                 fmt::format("no answer within {} ms; whether it was done shows `quell action list`", timeout_ms_),
                 peer};
  }
  if (code == CURLE_COULDNT_CONNECT) {
    long number = 0;
    curl_easy_getinfo(handle, CURLINFO_OS_ERRNO, &number);
    if (number == EACCES || number == EPERM) {
      return Error{Code::permission_denied, "this socket may be used by root and by the user that runs `quell up` only",
                   peer};
    }
    return Error{Code::unavailable, "no quell answers here", peer};
  }
  if (code != CURLE_OK) {
    return Error{Code::unavailable, reason[0] != '\0' ? reason.data() : curl_easy_strerror(code), peer};
  }
  long status = 0;
  curl_easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
  if (status >= 200 && status < 300) return answer;
  return answered_error(status, answer);
}

}  // namespace quell::api
