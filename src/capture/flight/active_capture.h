#pragma once
// A capture that is being made: what it has handed out already, and what it must remember until its end.
#include <memory>
#include <string>
#include <vector>

#include "capture/flight/ring.h"
#include "model/capture_ref.h"
#include "model/snapshot.h"

namespace quell::capture::flight {

struct ActiveCapture {
  CaptureRef ref;
  Ring* ring = nullptr;
  uint64_t until_ns = 0;  // the last event that belongs to it
  uint64_t limit_ns = 0;  // until_ns never exceeds this
  Notes base;             // the first note of every thread: its state before the capture's first event
  size_t bytes = 0;       // of events handed out
  uint64_t lost_before = 0;
  std::string cut;  // why it must end early; empty while all is well
  std::shared_ptr<const Container> container;
  std::vector<User> users;
  std::vector<Group> groups;
};

}  // namespace quell::capture::flight
