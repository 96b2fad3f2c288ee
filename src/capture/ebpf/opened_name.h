#pragma once
// The name in an event of a successful open, when it does not spell the path of the opened file: a symbolic link, dots,
// or a process that changed its memory after the kernel had looked.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "model/event.h"

namespace quell::capture {

/// True if the name of that event (open, openat, openat2 or creat, successful) leads the process to the very file that
/// was opened, by device and inode; /proc/self, which would lead us elsewhere, by `path`, the kernel's path of that
/// file. Asks only what the kernel has in memory: never waits for a file system.
bool leads_to_opened_file(const Event& event, std::string_view path);

/// The event with another name.
std::vector<uint8_t> with_name(const Event& event, std::string_view name);

}  // namespace quell::capture
