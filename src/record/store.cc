#include "record/store.h"

#include <fmt/format.h>

#include "record/stores.h"

namespace quell::record {

Result<std::unique_ptr<Store>> open_store(const StoreOptions& options, std::string_view kind) {
  std::string names;
  for (const StoreSpec& spec : kStores) {
    if (spec.name == kind) return spec.open(options);
    names += (names.empty() ? "" : ", ") + std::string(spec.name);
  }
  return Error{Code::not_found, fmt::format("there is no store called \"{}\"; there are: {}", kind, names), {}};
}

}  // namespace quell::record
