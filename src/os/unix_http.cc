#include "os/unix_http.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cctype>
#include <cerrno>
#include <memory>
#include <mutex>

#include "base/text.h"

namespace quell::os {
namespace {

struct Receiver {
  HttpResponse response;
  size_t limit = 0;
  bool too_large = false;
};

size_t on_body(char* data, size_t size, size_t count, void* user) {
  auto& receiver = *static_cast<Receiver*>(user);
  if (receiver.response.body.size() + size * count > receiver.limit) {
    receiver.too_large = true;
    return 0;
  }
  receiver.response.body.append(data, size * count);
  return size * count;
}

size_t on_header(char* data, size_t size, size_t count, void* user) {
  auto& headers = static_cast<Receiver*>(user)->response.headers;
  const std::string_view line(data, size * count);
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || headers.size() >= 200) return size * count;
  std::string name(line.substr(0, colon));
  for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
  while (!value.empty() && (value.back() == '\r' || value.back() == '\n' || value.back() == ' '))
    value.remove_suffix(1);
  headers[std::move(name)] = value;
  return size * count;
}

Error missing_socket(const UnixPeer& peer) {
  return {Code::unavailable,
          fmt::format("{}'s socket {} does not exist: is {} running? Set {} if it listens elsewhere.", peer.name,
                      peer.socket, peer.name, peer.option),
          {}};
}

Error transfer_error(const UnixPeer& peer, const HttpRequest& request, CURLcode code, long os_error, bool too_large) {
  if (too_large)
    return {Code::limit, fmt::format("{} answered with more than {} bytes", peer.name, request.response_limit),
            peer.socket};
  switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
      return {
          Code::timeout,
          fmt::format("{} did not answer within {} ms: it may be overloaded or hung", peer.name, request.timeout_ms),
          peer.socket};
    case CURLE_COULDNT_CONNECT:
      if (os_error == EACCES || os_error == EPERM)
        return {
            Code::permission_denied,
            fmt::format("not allowed to connect to {}: run as root or as a member of the socket's group", peer.name),
            peer.socket};
      return {Code::unavailable,
              fmt::format("nobody listens at {}'s socket: is {} running? Set {} if it listens elsewhere.", peer.name,
                          peer.name, peer.option),
              peer.socket};
    default:
      return {Code::io, fmt::format("talking to {} failed: {}", peer.name, curl_easy_strerror(code)), peer.socket};
  }
}

}  // namespace

Result<HttpResponse> unix_http(const UnixPeer& peer, const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });

  struct stat info {};
  if (::stat(peer.socket.c_str(), &info) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return missing_socket(peer);
    return errno_error(errno, fmt::format("cannot reach {}'s socket", peer.name), peer.socket);
  }

  const std::unique_ptr<CURL, void (*)(CURL*)> handle(curl_easy_init(), curl_easy_cleanup);
  if (!handle) return Error{Code::io, "libcurl could not start a transfer: out of memory?", peer.socket};
  CURL* curl = handle.get();
  Receiver receiver{.response = {}, .limit = request.response_limit, .too_large = false};
  curl_slist* list = nullptr;
  for (const std::string& header : request.headers) list = curl_slist_append(list, header.c_str());
  list = curl_slist_append(list, "Expect:");  // no 100-continue round trip
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(list, curl_slist_free_all);

  const std::string url = "http://localhost" + request.path;
  curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, peer.socket.c_str());
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http");
  curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");  // http_proxy in the environment must not capture a local call
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(curl, CURLOPT_HTTP_VERSION,
                   request.http2 ? CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE : CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  if (request.method == "POST") {
    curl_easy_setopt(curl, CURLOPT_POST, 1L);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  } else if (request.method != "GET") {
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  }
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &receiver);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &receiver);

  const CURLcode code = curl_easy_perform(curl);
  if (code != CURLE_OK) {
    long os_error = 0;
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
    return transfer_error(peer, request, code, os_error, receiver.too_large);
  }
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  receiver.response.status = static_cast<int>(status);
  return std::move(receiver.response);
}

bool socket_exists(const UnixPeer& peer) {
  struct stat info {};
  return ::stat(peer.socket.c_str(), &info) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

std::string percent_encode(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 128 && std::isalnum(byte)) || c == '-' || c == '_' || c == '.' || c == '~')
      out.push_back(c);
    else
      out += fmt::format("%{:02X}", byte);
  }
  return out;
}

std::string percent_decode(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    uint64_t value = 0;
    if (text[at] == '%' && at + 2 < text.size() && parse_u64(text.substr(at + 1, 2), value, 16)) {
      out.push_back(static_cast<char>(value));
      at += 2;
    } else {
      out.push_back(text[at]);
    }
  }
  return out;
}

}  // namespace quell::os
