#pragma once
// The same load seen by two sensors, one that is told everything and one that may leave things out; both streams judged
// by the same rules.
#include <functional>
#include <set>
#include <string>

#include "apps/quell/rules.h"
#include "model/snapshot.h"
#include "sandbox.h"

namespace quell::capture::test {

struct Seen {
  std::multiset<std::string> detections;
  size_t events = 0;
};

/// What the rules say to those events.
Seen judge(const Events& events, const cli::LoadedRules& rules, const Snapshot& snapshot);

struct BothViews {
  Seen all, few;
  Events all_events, few_events;
  int status = 0;  // of the load, as waitpid gives it
};

/// Runs `load` in a child under both sensors and checks that they agree. `change`: called once the load has started, in
/// another thread, with the source of the sensor that filters.
BothViews see_both(const cli::LoadedRules& rules, const Interest& filter, const std::function<void()>& load,
                   const std::function<void(LiveSource&)>& change = {});

}  // namespace quell::capture::test
