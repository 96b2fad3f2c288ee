#pragma once
// Store on SQLite files: detections.db (commits survive a crash of the process) and actions.db (commits are on stable
// storage). Two files, so that an intent never waits behind a batch of detections for the write lock or the disk.
#include <memory>

#include "record/store.h"

namespace quell::record {

Result<std::unique_ptr<Store>> open_sqlite(const StoreOptions& options);

}  // namespace quell::record
