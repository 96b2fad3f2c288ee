#pragma once
// A field of container metadata outside of any event: for detections whose metadata came after their event.
#include <string_view>

#include "model/container.h"
#include "model/detection.h"

namespace quell::detect {

/// What `field` ("container.name", "container.label[team]", "k8s.pod.name") is by this metadata; absent for every field
/// that metadata does not give. The same catalogue as in rules. Any thread.
OutputValue container_value(std::string_view field, const Container& container);

}  // namespace quell::detect
