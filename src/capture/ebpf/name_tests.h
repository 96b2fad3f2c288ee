#pragma once
// What file names decide, as the kernel programs read it.
#include <cstdint>
#include <span>

#include "bpf/wire.h"
#include "model/interest.h"

namespace quell::capture {

/// Writes the tests of an interest into the memory of the programs while they run: at every moment they find the old
/// test of an event type, the new one, or none (which leaves nothing out).
class NameTests {
 public:
  /// `tests` by event code, `prefixes` of size kNamePrefixes; both outlive this.
  NameTests(std::span<quell_name_test> tests, std::span<quell_name_prefix> prefixes)
      : tests_(tests), prefixes_(prefixes) {}

  void set(const Interest& interest);

 private:
  /// Where those prefixes stand from now on; -1 if there is no room for them.
  int place(const std::vector<std::string>& prefixes);

  std::span<quell_name_test> tests_;
  std::span<quell_name_prefix> prefixes_;
  size_t half_ = 0;  // which half is written next
  size_t used_ = 0;  // of it
};

}  // namespace quell::capture
