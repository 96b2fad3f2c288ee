#pragma once
// The loads, each alone: ns per operation (CPU time of the caller; spawn: wall time), measured inside. `count`
// operations.
#include <cstdint>

namespace quell::bench {

double load_getpid(uint64_t count);
double load_read_write(uint64_t count);       // read /dev/zero + write /dev/null, per call
double load_open_read_close(uint64_t count);  // per call: three calls an iteration
double load_connect(uint64_t count);          // socket, connect, accept, two closes on loopback; per round
double load_spawn(uint64_t count);            // posix_spawn of true and wait; per spawn

}  // namespace quell::bench
