// The reader of audit exports, over any bytes: it ends, and what it calls whole has a signed end.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/text.h"
#include "record/audit/verify.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  record::ExportCheck check({});
  for (const std::string_view line : split({reinterpret_cast<const char*>(data), size}, '\n')) check.line(line);
  const record::AuditVerification found = check.finish();
  if (!found.broken && (found.public_key.empty() || found.end.seq < found.start.seq)) std::abort();
  return 0;
}
