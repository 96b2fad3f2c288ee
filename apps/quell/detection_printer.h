#pragma once
// Detections on stdout: one line each, flushed, so that a reader sees it at once.
#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "model/detection.h"

namespace quell::cli {

enum class StreamFormat : uint8_t { text, json };

class DetectionPrinter {
 public:
  explicit DetectionPrinter(StreamFormat format) : format_(format) {}
  /// Errors: io (the reader went away, the disk is full).
  Result<void> print(const Detection& detection) const;

 private:
  StreamFormat format_;
};

}  // namespace quell::cli
