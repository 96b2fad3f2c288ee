#pragma once
// What makes two detections the same to whoever reads them.
#include <string>

#include "model/detection.h"

namespace quell::triage {

/// Equal for detections that say the same about the same entity: of one rule, and then
///  - with equal values of the fields that the rule names under `fold: {by: [...]}`, and nothing else; or, without
///  those,
///  - in the same container or on the host, by the same program, command line and user, and with equal values of all
///    that the rule's output names, but for what differs between any two events: times, event numbers, ids of
///    processes, threads and descriptors, and the client's port of a connection. Two detections that read differently
///    are never the same.
/// What the runtime tells of a container takes no part: it may arrive late, and the container's id stands for it.
std::string fold_key(const Detection& detection);

}  // namespace quell::triage
