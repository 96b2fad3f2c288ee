#include "base/version.h"

namespace quell {
const std::string_view kVersion = QUELL_VERSION;
const std::string_view kCommit = QUELL_COMMIT;
}  // namespace quell
