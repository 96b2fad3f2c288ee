// What nft and the kernel answer about cuts and sockets, and prefixes as people write them. Whatever the bytes: an
// error with a word, or a value that keeps its promises.
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "os/nft_rules.h"
#include "os/sock_diag.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell::os;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto table = parse_nft_table(text)) {
    if (table->digest.size() != 64) std::abort();
    (void)table->drops({"cut"});
  } else if (table.error().message.empty()) {
    std::abort();
  }
  if (const auto prefix = IpPrefix::parse(text)) {
    const auto again = IpPrefix::parse(prefix->str());
    if (!again || !(*again == *prefix) || !prefix->contains(*again)) std::abort();
  } else if (prefix.error().message.empty()) {
    std::abort();
  }
  for (const auto protocol : {Flow::Protocol::tcp, Flow::Protocol::udp}) {
    const auto flow = parse_diag_message(std::span(data, size), protocol);
    if (flow ? flow->str().empty() : flow.error().message.empty()) std::abort();
  }
  if (!check_net_tag(net_tag(text))) std::abort();
  return 0;
}
