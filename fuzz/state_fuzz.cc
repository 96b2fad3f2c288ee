// The state machine against any sequence of events: it must neither crash nor outgrow its bounds.
#include "../tests/enrich/chaos.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  quell::enrich::live_through({data, size});
  return 0;
}
