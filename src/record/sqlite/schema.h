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

inline constexpr std::array<std::string_view, 4> kActionsSchema = {R"sql(
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
)sql",
                                                                   // REPLACE deletes without asking triggers, so
                                                                   // the one for inserts lets only the next
                                                                   // entry in.
                                                                   R"sql(
CREATE TABLE audit (
  seq INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  body TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, seq);
CREATE TABLE audit_cuts (
  seq INTEGER PRIMARY KEY,
  at_ns INTEGER NOT NULL,
  hash TEXT NOT NULL,
  public_key TEXT NOT NULL,
  signature TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_never_changed BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_never_deleted BEFORE DELETE ON audit
WHEN OLD.seq > (SELECT coalesce(max(seq), 0) FROM audit_cuts)
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_is_appended BEFORE INSERT ON audit
WHEN NEW.seq IS NOT (SELECT coalesce((SELECT max(seq) FROM audit), (SELECT max(seq) FROM audit_cuts), 0) + 1)
BEGIN SELECT RAISE(ABORT, 'an audit entry follows the last one'); END;
CREATE TRIGGER audit_cuts_are_never_changed BEFORE UPDATE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'a cut of the audit log stays'); END;
CREATE TRIGGER audit_cuts_are_never_deleted BEFORE DELETE ON audit_cuts
BEGIN SELECT RAISE(ABORT, 'a cut of the audit log stays'); END;
CREATE TRIGGER audit_is_cut_at_an_entry BEFORE INSERT ON audit_cuts
WHEN NOT EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq AND hash = NEW.hash)
  OR NEW.seq >= (SELECT max(seq) FROM audit)
BEGIN SELECT RAISE(ABORT, 'the audit log is cut at one of its entries'); END;
)sql",
                                                                   R"sql(
CREATE TABLE evidence (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  sha256 TEXT NOT NULL,
  size INTEGER NOT NULL,
  evidence_kind TEXT NOT NULL,
  action_id TEXT NOT NULL,
  ended_ns INTEGER NOT NULL,
  held INTEGER NOT NULL,
  deleting INTEGER NOT NULL,
  json TEXT NOT NULL
) STRICT;
CREATE INDEX evidence_by_content ON evidence (sha256);
CREATE INDEX evidence_by_action ON evidence (action_id, seq);
CREATE TABLE evidence_dropped (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  items INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
INSERT INTO evidence_dropped VALUES (1, 0, 0);
)sql"};

}  // namespace quell::record
