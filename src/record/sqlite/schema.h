#pragma once
// Schema steps, oldest first. A step that was released is never edited: append one. Documents are their canonical JSON;
// columns exist for what is filtered by.
#include <array>
#include <cstdint>
#include <string_view>

namespace quell::record {

inline constexpr int32_t kDetectionsApplicationId = 0x51644574;  // "QdEt"
inline constexpr int32_t kActionsApplicationId = 0x51644163;     // "QdAc"

inline constexpr std::array<std::string_view, 1> kDetectionsSchema = {R"sql(
CREATE TABLE detections (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  kernel_ns INTEGER NOT NULL,
  rule TEXT NOT NULL,
  priority INTEGER NOT NULL,
  container_id TEXT NOT NULL,
  container_full_id TEXT NOT NULL,
  json TEXT NOT NULL
) STRICT;
CREATE INDEX detections_by_time ON detections (kernel_ns);
CREATE INDEX detections_by_rule ON detections (rule, seq);
CREATE INDEX detections_by_container ON detections (container_id, seq);
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
)sql"};

inline constexpr std::array<std::string_view, 2> kActionsSchema = {R"sql(
CREATE TABLE actions (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  action TEXT NOT NULL,
  target TEXT NOT NULL,
  state TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  requested_ns INTEGER NOT NULL,
  unsettled INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT;
CREATE INDEX actions_by_key ON actions (idempotency_key, seq);
CREATE INDEX actions_by_target ON actions (target, seq);
CREATE INDEX actions_unsettled ON actions (seq) WHERE unsettled = 1;
)sql",
                                                                       R"sql(
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
)sql"};

}  // namespace quell::record
