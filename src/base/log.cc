#include "base/log.h"

#include <atomic>
#include <cstdio>
#include <ctime>
#include <string>

#include "base/clock.h"
#include "base/text.h"

namespace quell::log {
namespace {
std::atomic<Level> g_level{Level::info};
std::atomic<Format> g_format{Format::text};

const char* name(Level level) {
  switch (level) {
    case Level::debug: return "debug";
    case Level::info: return "info";
    case Level::warn: return "warn";
    case Level::error: return "error";
  }
  return "error";
}
}  // namespace

void set_level(Level level) { g_level = level; }
void set_format(Format format) { g_format = format; }

void write(Level level, std::string_view component, std::string_view message) {
  if (level < g_level.load(std::memory_order_relaxed)) return;
  const std::string line =
      g_format.load(std::memory_order_relaxed) == Format::json
          ? fmt::format("{{\"ts\":\"{}\",\"level\":\"{}\",\"component\":\"{}\",\"msg\":\"{}\"}}\n",
                        iso8601_utc(system_clock().realtime_ns()), name(level), component, json_escape(message))
          : fmt::format("quell: {}{}\n", level == Level::info ? "" : fmt::format("{}: ", name(level)), message);
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace quell::log
