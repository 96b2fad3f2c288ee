#pragma once
// Numbers for operators, rendered as Prometheus text. Hot counters stay plain members of whoever counts; a collector
// reads them when somebody asks. Names begin with quell_, counters end in _total, units are base units (seconds,
// bytes).
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quell::metrics {

using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Durations in fixed buckets from 1 µs to 60 s. observe() is lock-free and may be called by any thread.
class Histogram {
 public:
  static constexpr std::array<double, 16> kBoundsSeconds = {1e-6, 1e-5, 1e-4, 5e-4, 1e-3, 5e-3, 0.01, 0.05,
                                                            0.1,  0.25, 0.5,  1,    2.5,  5,    10,   60};
  void observe_ns(uint64_t duration_ns);
  uint64_t count() const;

 private:
  friend class Page;
  std::array<std::atomic<uint64_t>, kBoundsSeconds.size() + 1> buckets_{};  // the last: longer than every bound
  std::atomic<uint64_t> sum_ns_{0};
};

/// One rendering. Samples of one name may come from several collectors; they are printed together, as the format wants
/// it.
class Page {
 public:
  void counter(std::string_view name, std::string_view help, uint64_t value, Labels labels = {});
  void gauge(std::string_view name, std::string_view help, double value, Labels labels = {});
  void histogram(std::string_view name, std::string_view help, const Histogram& histogram, Labels labels = {});
  /// Text exposition format, version 0.0.4; families in the order of their names.
  std::string str() const;

 private:
  struct Family {
    std::string help;
    std::string_view type;
    std::string samples;
  };
  Family& family(std::string_view name, std::string_view help, std::string_view type);
  std::map<std::string, Family, std::less<>> families_;
};

/// Who is asked at each rendering. A collector runs on the thread that renders: what it reads must allow that (an
/// atomic, or a copy that the owner publishes). Thread-safe.
class Registry {
 public:
  using Collector = std::function<void(Page&)>;
  void add(Collector collector);
  std::string render() const;

 private:
  mutable std::mutex mutex_;
  std::vector<Collector> collectors_;
};

}  // namespace quell::metrics
