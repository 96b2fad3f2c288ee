// What the flight recorder adds to each event, and what its rings occupy. The same capture goes through the state
// tables twice, in a process of its own each time: without the recorder, and with it.
//   instructions per event = ((with, long) - (with, short) - (without, long) + (without, short)) / (events more)
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "capture/flight/recorder.h"
#include "capture/scap/reader.h"
#include "enrich/tables.h"
#include "run.h"
#include "workload.h"

namespace quell::bench {
namespace {

class NoSink final : public capture::flight::CaptureSink {
 public:
  void begin(const std::string&) override {}
  bool add(const std::string&, std::shared_ptr<const capture::flight::Chunk>) override { return true; }
  void finish(CaptureRef, Snapshot, std::vector<std::vector<uint8_t>>) override {}
};

/// The whole capture through the tables; the path of events as Evaluator has it, without rules.
int pass(const std::string& path, bool with_recorder) {
  auto source = capture::open_scap(path);
  if (!source) return 1;
  enrich::StateTables tables({});
  NoSink sink;
  capture::flight::FlightRecorder recorder(
      {},
      {.view = &tables,
       .for_each_thread = [&](const auto& visit) { tables.for_each_thread(visit); },
       .accounts = [&](const ContainerSlot& slot, auto& users, auto& groups) { tables.accounts(slot, users, groups); },
       .describe = [](const Container&) { return std::string(); }},
      sink);
  tables.load((*source)->snapshot());
  EventBatch batch;
  Event event;
  uint64_t number = 0;
  for (bool more = true; more;) {
    const auto pull = (*source)->fill(batch, 0);
    more = pull && *pull != capture::Pull::ended;
    for (size_t i = 0; i < batch.size(); ++i) {
      if (!Event::parse(batch.event(i), event)) continue;
      if (with_recorder) {
        tables.settle();
        recorder.before(event, tables.thread(event.tid()));
      }
      const EventContext& context = tables.apply(event, ++number);
      if (with_recorder) recorder.after(context, batch.slot(i).cpu, false);
    }
  }
  return 0;
}

double added(const std::string& self, const std::string& base, uint64_t events_more) {
  const auto count = [&](const char* suffix, const char* how) {
    return static_cast<double>(instructions({self, "--pass", base + suffix, how}));
  };
  const double with = count("-long.scap", "with") - count("-short.scap", "with");
  const double without = count("-long.scap", "without") - count("-short.scap", "without");
  return (with - without) / static_cast<double>(events_more);
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  using namespace quell::bench;
  if (argc == 4 && std::string(argv[1]) == "--pass") return pass(argv[2], std::string(argv[3]) == "with");
  const bool quick = has_flag(argc, argv, "--quick");
  const std::string self = argv[0];
  struct Load {
    const char* name;
    Mix mix;
    uint64_t few, many;
  };
  for (const Load& load : {Load{"mixed", Mix::mixed, 20'000, quick ? 60'000u : 200'000u},
                           Load{"big", Mix::big, 20'000, quick ? 60'000u : 200'000u}}) {
    const std::string base = scratch() + "/" + load.name;
    if (!write_capture(base + "-short.scap", load.mix, load.few) ||
        !write_capture(base + "-long.scap", load.mix, load.many)) {
      std::fprintf(stderr, "bench: cannot write a capture to %s\n", base.c_str());
      return 1;
    }
    const std::string name = std::string("flight.") + load.name;
    const double more = added(self, base, load.many - load.few);
    if (more > 0) figure(name + ".instructions", more, "1/event");
    double with = 1e9, without = 1e9;
    for (int i = 0; i < 3; ++i) {
      with = std::min(with, run({self, "--pass", base + "-long.scap", "with"}).cpu_s);
      without = std::min(without, run({self, "--pass", base + "-long.scap", "without"}).cpu_s);
    }
    figure(name + ".cpu", (with - without) * 1e9 / static_cast<double>(load.many), "ns/event");
  }
  return 0;
}
