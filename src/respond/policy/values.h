#pragma once
// The small values of policies as people write them: durations, rates, amounts, approvers, globs. Each has one parser,
// and the pattern that the published schema says the same with.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace quell::respond::policy {

inline constexpr uint64_t kSecondNs = 1'000'000'000;
inline constexpr uint64_t kDayNs = 86'400 * kSecondNs;

/// "500ms", "60s", "10m", "4h", "7d", at most ten years; nanoseconds. A number without a unit is refused: nobody
/// agrees on what it means.
std::optional<uint64_t> parse_duration_ns(std::string_view text);
inline constexpr std::string_view kDurationPattern = "^[0-9]{1,9}(ms|s|m|h|d)$";
/// The shortest way to write it: "10m", "90s".
std::string duration_text(uint64_t ns);

/// "5/10m": at most so many in any such span.
struct Rate {
  uint32_t count = 0;  // 0: no limit
  uint64_t window_ns = 0;
  bool operator==(const Rate&) const = default;
};
std::optional<Rate> parse_rate(std::string_view text);
inline constexpr std::string_view kRatePattern = "^[0-9]{1,6}/[0-9]{1,9}(ms|s|m|h|d)$";
std::string rate_text(const Rate& rate);

/// "60%" or "2".
struct Amount {
  uint32_t value = 0;
  bool is_percent = false;
};
std::optional<Amount> parse_amount(std::string_view text);
inline constexpr std::string_view kAmountPattern = "^([0-9]{1,6}|[0-9]{1,3}%)$";

/// "one_of(oncall)", "two_of(security)".
struct Approvers {
  uint8_t count = 1;
  std::string group;  // empty: whoever may approve
};
std::optional<Approvers> parse_approvers(std::string_view text);
inline constexpr std::string_view kApproversPattern = "^(one|two)_of\\([A-Za-z0-9_.-]+\\)$";

inline constexpr std::string_view kNamePattern = "^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$";
bool is_policy_name(std::string_view text);

/// `*` stands for any text, `?` for one byte; the whole text must match.
bool glob_match(std::string_view pattern, std::string_view text);
inline bool is_glob(std::string_view pattern) { return pattern.find_first_of("*?") != std::string_view::npos; }

/// Names, some of them globs.
class GlobList {
 public:
  GlobList() = default;
  explicit GlobList(std::vector<std::string> patterns);
  bool matches(std::string_view text) const;
  bool empty() const { return written_.empty(); }
  /// As they were written.
  const std::vector<std::string>& written() const { return written_; }

 private:
  std::vector<std::string> written_;
  std::vector<std::string> exact_;  // sorted
  std::vector<std::string> globs_;
};

}  // namespace quell::respond::policy
