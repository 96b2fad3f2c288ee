#pragma once
// Temp folders and sample nouns for the tests of record/.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <filesystem>
#include <string>

#include "model/action_json.h"
#include "model/detection_json.h"
#include "record/stores.h"

namespace quell::record {

class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "quell-record-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }
  std::string data() const { return path_ + "/data"; }

 private:
  std::string path_;
};

inline Detection make_detection(uint64_t number, std::string rule = "A rule", Priority priority = Priority::warning) {
  Detection d;
  d.id = fmt::format("d-{:016x}", number);
  d.rule = std::move(rule);
  d.priority = priority;
  d.source = "syscall";
  d.message = fmt::format("event {} \"quoted\"", number);
  d.output_fields = {{"evt.time", static_cast<int64_t>(1'000'000 + number)}, {"proc.name", std::string("cat")}};
  d.kernel_ns = 1'000'000 + number;
  d.event_number = number;
  d.container_id = number % 2 == 0 ? "3ad7b26ded6d" : "host";
  d.container_full_id = number % 2 == 0 ? "3ad7b26ded6d" + std::string(52, '0') : "";
  return d;
}

inline ActionRecord make_action(uint64_t number, ActionState state = ActionState::contained) {
  ActionRecord record;
  record.id = fmt::format("a-{:016x}", number);
  record.command.action = "container.pause";
  record.command.target = "container:web";
  record.command.idempotency_key = fmt::format("key-{}", number);
  record.target.kind = EntityKind::container;
  record.target.container_id = std::string(64, 'c');
  record.state = state;
  record.requested_ns = number;
  record.history = {{number, ActionState::requested}, {number + 1, state}};
  return record;
}

inline std::vector<std::string> ids(const std::vector<Detection>& detections) {
  std::vector<std::string> out;
  for (const Detection& d : detections) out.push_back(d.id);
  return out;
}

inline std::vector<std::string> ids(const std::vector<ActionRecord>& records) {
  std::vector<std::string> out;
  for (const ActionRecord& record : records) out.push_back(record.id);
  return out;
}

}  // namespace quell::record
