// Output templates: whatever the text, complaints with a place in it, or a template that renders on any event.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "../tests/detect/fields_world.h"
#include "detect/fields/catalog.h"
#include "detect/output.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace quell;
  using namespace quell::detect;
  static const World world;
  static const Scene scenes[] = {{world, Happening::open},           {world, Happening::connect},
                                 {world, Happening::exec_in_pod},    {world, Happening::poll},
                                 {world, Happening::unknown_thread}, {world, Happening::container_added}};
  static const bool defined = define_static_fields({{"environment", "production"}}).has_value();
  if (!defined) std::abort();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  OutputTemplate out;
  bool sound = true;
  for (const Finding& finding : OutputTemplate::parse(text, &out)) {
    if (finding.message.empty() || finding.pos.offset >= size) std::abort();
    sound = sound && !finding.is_error;
  }
  if (sound != [&] {
        for (const Finding& finding : OutputTemplate::parse(text, nullptr))
          if (finding.is_error) return false;
        return true;
      }())
    std::abort();
  if (!sound) return 0;
  Arena arena;
  FieldMemory memory;
  for (const Scene& scene : scenes) {
    arena.reset();
    const Extract x{scene.context, arena, &memory};
    out.render(x);
    std::vector<std::pair<std::string, OutputValue>> fields;
    out.collect(x, fields);
  }
  return 0;
}
