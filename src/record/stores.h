#pragma once
// Every store: to add one, write its folder and its row here; the conformance suite runs over the rows by itself.
#include <memory>
#include <string_view>

#include "record/sqlite/sqlite_store.h"
#include "record/store.h"

namespace quell::record {

struct StoreSpec {
  std::string_view name;
  std::string_view summary;
  Result<std::unique_ptr<Store>> (*open)(const StoreOptions& options);
};

inline constexpr StoreSpec kStores[] = {
    {"sqlite", "files in the data directory; nothing else to run", open_sqlite},
};

}  // namespace quell::record
