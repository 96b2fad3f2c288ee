// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
// The sensor's kernel side: one object, one program per system call (x_<name>), on that call's own tracepoint, or reached by
// tail calls from `dispatch` where the kernel does not allow that.
// To add a call: one CALL() row, named after the call in src/model/syscall_table.inc, with one put per parameter of its event
// in src/model/event_table.inc. User space finds the program by its name.
#include "arrival.h"
#include "dispatch.h"
#include "files.h"
#include "process.h"
#include "sockets.h"
#include "system.h"
#include "tracepoints.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
