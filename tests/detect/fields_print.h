#pragma once
#include <gtest/gtest.h>

#include <string>

#include "detect/output.h"
#include "fields_world.h"

namespace quell::detect {

/// What an output with this text prints.
inline std::string printed(const std::string& text, const Scene& scene, FieldMemory* memory = nullptr) {
  OutputTemplate out;
  for (const Finding& finding : OutputTemplate::parse(text, &out))
    EXPECT_FALSE(finding.is_error) << text << ": " << finding.message;
  Arena arena;
  return out.render({scene.context, arena, memory});
}

}  // namespace quell::detect
