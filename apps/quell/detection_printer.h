#pragma once
// Detections on stdout: one line each, flushed, so that a reader sees it at once.
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/detection.h"
#include "model/detection_json.h"

namespace quell::cli {

enum class StreamFormat : uint8_t { text, json };

class DetectionPrinter {
 public:
  explicit DetectionPrinter(StreamFormat format, const DetectionStyle& style = {}) : format_(format), style_(style) {}
  /// Errors: io (the reader went away, the disk is full).
  Result<void> print(const Detection& detection);

 private:
  Result<void> put(std::string_view line);

  const StreamFormat format_;
  const DetectionStyle style_;
  JsonWriter json_;  // of the line before: its memory
};

}  // namespace quell::cli
