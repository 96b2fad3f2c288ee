#include "base/metrics.h"

#include <fmt/format.h>

#include "base/assert.h"

namespace quell::metrics {
namespace {

void append_escaped(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '"') {
      out += "\\\"";
    } else if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
}

/// `{a="1",b="2"}`, or nothing; `last` is one more label, for buckets.
std::string label_text(Labels labels, std::string_view last_name = {}, std::string_view last_value = {}) {
  std::string out;
  const auto add = [&](std::string_view name, std::string_view value) {
    out += out.empty() ? "{" : ",";
    out += name;
    out += "=\"";
    append_escaped(out, value);
    out += '"';
  };
  for (const auto& [name, value] : labels) add(name, value);
  if (!last_name.empty()) add(last_name, last_value);
  if (!out.empty()) out += '}';
  return out;
}

}  // namespace

void Histogram::observe_ns(uint64_t duration_ns) {
  const double seconds = static_cast<double>(duration_ns) / 1e9;
  size_t bucket = 0;
  while (bucket < kBoundsSeconds.size() && seconds > kBoundsSeconds[bucket]) ++bucket;
  buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
  sum_ns_.fetch_add(duration_ns, std::memory_order_relaxed);
}

uint64_t Histogram::count() const {
  uint64_t total = 0;
  for (const auto& bucket : buckets_) total += bucket.load(std::memory_order_relaxed);
  return total;
}

Page::Family& Page::family(std::string_view name, std::string_view help, std::string_view type) {
  auto [it, is_new] = families_.try_emplace(std::string(name));
  if (is_new) it->second = {std::string(help), type, {}};
  QUELL_ASSERT(it->second.type == type);
  return it->second;
}

void Page::counter(std::string_view name, std::string_view help, uint64_t value, Labels labels) {
  family(name, help, "counter").samples += fmt::format("{}{} {}\n", name, label_text(labels), value);
}

void Page::gauge(std::string_view name, std::string_view help, double value, Labels labels) {
  family(name, help, "gauge").samples += fmt::format("{}{} {}\n", name, label_text(labels), value);
}

void Page::histogram(std::string_view name, std::string_view help, const Histogram& histogram, Labels labels) {
  Family& target = family(name, help, "histogram");
  uint64_t cumulative = 0;
  for (size_t i = 0; i <= Histogram::kBoundsSeconds.size(); ++i) {
    cumulative += histogram.buckets_[i].load(std::memory_order_relaxed);
    const std::string bound =
        i < Histogram::kBoundsSeconds.size() ? fmt::format("{}", Histogram::kBoundsSeconds[i]) : "+Inf";
    target.samples += fmt::format("{}_bucket{} {}\n", name, label_text(labels, "le", bound), cumulative);
  }
  const double sum = static_cast<double>(histogram.sum_ns_.load(std::memory_order_relaxed)) / 1e9;
  target.samples += fmt::format("{}_sum{} {}\n", name, label_text(labels), sum);
  target.samples += fmt::format("{}_count{} {}\n", name, label_text(labels), cumulative);
}

std::string Page::str() const {
  std::string out;
  for (const auto& [name, family] : families_) {
    out += fmt::format("# HELP {} ", name);
    for (const char c : family.help) {
      if (c == '\\') {
        out += "\\\\";
      } else if (c == '\n') {
        out += "\\n";
      } else {
        out += c;
      }
    }
    out += fmt::format("\n# TYPE {} {}\n{}", name, family.type, family.samples);
  }
  return out;
}

void Registry::add(Collector collector) {
  std::lock_guard lock(mutex_);
  collectors_.push_back(std::move(collector));
}

std::string Registry::render() const {
  std::lock_guard lock(mutex_);
  Page page;
  for (const auto& collect : collectors_) collect(page);
  return page.str();
}

}  // namespace quell::metrics
