// Docker's networks: where a container is connected, and how it gets its place back.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "os/docker.h"
#include "os/json_access.h"

namespace quell::os {
namespace {

std::vector<std::string> texts(const json::Value& list) {
  std::vector<std::string> out;
  json::for_each_element(list, [&](const json::Value& item) { out.push_back(json::text(item)); });
  return out;
}

std::string json_string(std::string_view text) { return "\"" + json_escape(text) + "\""; }

std::string json_texts(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& text : list) out += (out.size() > 1 ? "," : "") + json_string(text);
  return out + "]";
}

bool says(const Error& error, std::string_view part) { return error.message.find(part) != std::string::npos; }

/// Docker answers 403 or 500 for what is a conflict.
Error network_error(const HttpResponse& response) {
  Error error = docker_error(response);
  for (const char* part : {"is not connected to", "already exists in network", "Address already in use",
                           "cannot be disconnected from host", "cannot be connected to host", "conflicting options"})
    if (says(error, part)) error.code = Code::conflict;
  if (says(error, "No such network") || (says(error, "network") && says(error, "not found")))
    error.code = Code::not_found;
  return error;
}

}  // namespace

Result<std::vector<NetworkEndpoint>> parse_docker_networks(std::string_view text) {
  simdjson::dom::parser parser;
  const json::Value root = parser.parse(text.data(), text.size());
  simdjson::dom::object members;
  if (root["NetworkSettings"].get(members) != simdjson::SUCCESS)
    return Error{Code::malformed, "Docker's answer about a container has no NetworkSettings", {}};
  std::vector<NetworkEndpoint> out;
  json::for_each_member(root["NetworkSettings"]["Networks"], [&](std::string_view name, const json::Value& entry) {
    // Docker lists these two as networks as well; they have nothing to disconnect.
    if (name == "host" || name == "none") return;
    NetworkEndpoint endpoint;
    endpoint.network = name;
    endpoint.network_id = json::text(entry["NetworkID"]);
    endpoint.ipv4 = json::text(entry["IPAddress"]);
    endpoint.ipv6 = json::text(entry["GlobalIPv6Address"]);
    endpoint.mac = json::text(entry["MacAddress"]);
    endpoint.fixed_ipv4 = json::text(entry["IPAMConfig"]["IPv4Address"]);
    endpoint.fixed_ipv6 = json::text(entry["IPAMConfig"]["IPv6Address"]);
    endpoint.aliases = texts(entry["Aliases"]);
    endpoint.links = texts(entry["Links"]);
    json::for_each_member(entry["DriverOpts"], [&](std::string_view key, const json::Value& value) {
      endpoint.driver_options.emplace(key, json::text(value));
    });
    out.push_back(std::move(endpoint));
  });
  return out;
}

std::string docker_connect_body(const std::string& id, const NetworkEndpoint& endpoint, bool with_addresses) {
  const std::string& ipv4 = with_addresses && !endpoint.ipv4.empty() ? endpoint.ipv4 : endpoint.fixed_ipv4;
  const std::string& ipv6 = with_addresses && !endpoint.ipv6.empty() ? endpoint.ipv6 : endpoint.fixed_ipv6;
  std::string addresses;
  if (!ipv4.empty()) addresses += "\"IPv4Address\":" + json_string(ipv4);
  if (!ipv6.empty()) addresses += (addresses.empty() ? "" : ",") + ("\"IPv6Address\":" + json_string(ipv6));
  std::string config = "\"IPAMConfig\":{" + addresses + "}";
  if (!endpoint.aliases.empty()) config += ",\"Aliases\":" + json_texts(endpoint.aliases);
  if (!endpoint.links.empty()) config += ",\"Links\":" + json_texts(endpoint.links);
  if (!endpoint.mac.empty()) config += ",\"MacAddress\":" + json_string(endpoint.mac);
  if (!endpoint.driver_options.empty()) {
    std::string options;
    for (const auto& [key, value] : endpoint.driver_options)
      options += (options.empty() ? "" : ",") + json_string(key) + ":" + json_string(value);
    config += ",\"DriverOpts\":{" + options + "}";
  }
  return "{\"Container\":" + json_string(id) + ",\"EndpointConfig\":{" + config + "}}";
}

Result<std::vector<NetworkEndpoint>> DockerRuntime::networks(const std::string& id) const {
  QUELL_TRY(const HttpResponse response, call("GET", fmt::format("/containers/{}/json", percent_encode(id))));
  if (response.status != 200) return docker_error(response);
  return parse_docker_networks(response.body);
}

Result<void> DockerRuntime::disconnect_network(const std::string& id, const std::string& network, bool force) const {
  QUELL_TRY(const HttpResponse response, call("POST", fmt::format("/networks/{}/disconnect", percent_encode(network)),
                                              fmt::format(R"({{"Container":{},"Force":{}}})", json_string(id), force)));
  if (response.status == 200) return {};
  return network_error(response);
}

Result<NetworkEndpoint> DockerRuntime::connect_network(const std::string& id, const NetworkEndpoint& endpoint) const {
  const std::string& network = endpoint.network_id.empty() ? endpoint.network : endpoint.network_id;
  for (const bool with_addresses : {true, false}) {
    QUELL_TRY(const HttpResponse response, call("POST", fmt::format("/networks/{}/connect", percent_encode(network)),
                                                docker_connect_body(id, endpoint, with_addresses)));
    if (response.status == 200) break;
    Error error = network_error(response);
    const bool no_wishes = says(error, "user specified IP address") || says(error, "user configured subnets");
    if (!with_addresses || !no_wishes) return error;
  }
  QUELL_TRY(std::vector<NetworkEndpoint> now, networks(id));
  for (NetworkEndpoint& one : now)
    if (one.network_id == network || one.network == network) return std::move(one);
  return Error{Code::io, fmt::format("Docker connected the container to {} and does not list it there", network), {}};
}

}  // namespace quell::os
