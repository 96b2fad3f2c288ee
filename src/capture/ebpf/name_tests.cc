#include "capture/ebpf/name_tests.h"

#include <atomic>
#include <cstring>
#include <map>

namespace quell::capture {
namespace {

constexpr size_t kHalf = kNamePrefixes / 2;
static_assert(NameTest::kMaxPrefixes == kNamePrefixesEach && NameTest::kMaxLength == kNamePrefixBytes);

// The programs of other CPUs see what is written before it no later than what is written after it.
void in_order() { std::atomic_thread_fence(std::memory_order_seq_cst); }

}  // namespace

int NameTests::place(const std::vector<std::string>& prefixes) {
  if (prefixes.size() > kNamePrefixesEach || used_ + prefixes.size() > kHalf) return -1;
  const size_t first = half_ * kHalf + used_;
  for (size_t i = 0; i < prefixes.size(); ++i) {
    if (prefixes[i].empty() || prefixes[i].size() > kNamePrefixBytes) return -1;
    quell_name_prefix prefix{};
    std::memcpy(prefix.text, prefixes[i].data(), prefixes[i].size());
    std::memset(prefix.mask, 0xff, prefixes[i].size());
    prefixes_[first + i] = prefix;
  }
  used_ += prefixes.size();
  return static_cast<int>(first);
}

void NameTests::set(const Interest& interest) {
  // A program that is at a test right now may go on with its prefixes: the new ones stand in the other half.
  for (quell_name_test& test : tests_) test.any_success = test.any_failure = Need::kAlways;
  in_order();
  half_ = 1 - half_;
  used_ = 0;
  std::map<std::vector<std::string>, int> placed;
  for (size_t code = 0; code < tests_.size() && code < kEventCodeCount; ++code) {
    const NameTest& wanted = interest.name_test(static_cast<EventCode>(code));
    if (wanted == NameTest{} || !has_file_names(static_cast<EventCode>(code))) continue;
    auto found = placed.find(wanted.prefixes);
    if (found == placed.end()) found = placed.emplace(wanted.prefixes, place(wanted.prefixes)).first;
    if (found->second < 0) continue;
    quell_name_test& test = tests_[code];
    test.first = static_cast<wire_u16>(found->second);
    test.count = static_cast<wire_u16>(wanted.prefixes.size());
    in_order();
    // An opened file may be left out only where nobody asks about it later.
    const bool keeps_files = opens_file(static_cast<EventCode>(code)) && interest.plain_files_matter;
    if (!keeps_files) test.any_success = wanted.any_name.on_success;
    test.any_failure = wanted.any_name.on_failure;
  }
}

}  // namespace quell::capture
