#pragma once
// What a process may still do: capabilities are dropped for good, and so is every way to gain one.
#include <cstdint>

#include "base/result.h"

namespace quell::responder {

/// Of the calling thread: the permitted set (capabilities(7)).
Result<uint64_t> permitted_capabilities();

/// Keeps those of `wanted` that there are, in the permitted and the effective set, and drops the others from every set,
/// the bounding one included; no program that is started gains any. Before any thread is started: sets are a thread's.
/// Errors: Code::io.
Result<void> keep_only(uint64_t wanted);

}  // namespace quell::responder
