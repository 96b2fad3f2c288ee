#pragma once
// A container's metadata that came after the event: fills what a detection could not know yet.
#include <memory>
#include <string_view>

#include "model/container.h"
#include "model/detection.h"

namespace quell::cli {

/// True if the detection is of a container whose metadata is still unknown.
bool awaits_metadata(const Detection& detection);

/// Sets the container, every absent field of output_fields that metadata gives, and these fields' places in the
/// message, as far as `output_template` (the rule's) leads to them. What was known before is not touched.
void complete(Detection& detection, std::shared_ptr<const Container> container, std::string_view output_template);

/// What a container's metadata says for a field (container.name, k8s.pod.name); absent for every other field.
OutputValue container_field(const Container& container, std::string_view field);

}  // namespace quell::cli
