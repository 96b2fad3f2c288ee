#pragma once
// Events of older schemas become events of the current one. Older captures hold an enter and an exit event per system
// call; today an exit event carries everything, so an enter event is kept until its exit comes and then merged into it.
#include <array>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "model/event.h"

namespace quell::capture::scap {

/// What to do with an event, decided by its code alone. Looked up for every event, so one array access decides.
struct CodeRule {
  enum class Verdict : uint8_t {
    pass,              // as it is
    pass_if_complete,  // as it is if it has all parameters of the schema, else it needs the converter
    convert,           // always needs the converter
    drop,
  };
  Verdict verdict = Verdict::drop;
  uint8_t nparams = 0;      // of the schema
  bool wide = false;        // lengths of parameters are u32
  bool state_only = false;  // an enter event that passes: the tables want it, nobody else
};
using CodeRules = std::array<CodeRule, kEventCodeCount>;
const CodeRules& code_rules();

/// An event taken apart. Parameters point into the block, into a stored enter event or into constants; those from
/// nparams on mean nothing (one is reused for all events: clearing 32 of them each time would cost more than
/// converting).
struct LooseEvent {
  EventCode code = ev::GENERIC_E;
  uint64_t ts_ns = 0;
  uint64_t tid = 0;
  uint32_t nparams = 0;
  std::array<Param, kMaxParams> params;
};

/// Upgrades events. Holds at most one enter event per thread, for at most kMaxStored threads.
class Converter {
 public:
  enum class Outcome {
    pass,     // deliver `event` as it now is
    merged,   // nothing to deliver: kept for the exit event, or of no use to anyone
    unknown,  // a layout that no schema ever had
  };

  /// The parameters of `event` stay valid until the next call.
  Outcome convert(LooseEvent& event);
  /// Writes `event` in the current layout over `out`. Parameters that are too long for their length field are cut.
  static void assemble(const LooseEvent& event, std::vector<uint8_t>& out);

  void forget_thread(uint64_t tid);
  void clear();
  /// Enter events that were not kept because of the bounds; their exit events have empty or default values instead.
  uint64_t not_kept() const { return not_kept_; }

 private:
  struct Stored {
    EventCode code = ev::GENERIC_E;
    bool live = false;
    uint8_t nparams = 0;
    std::array<uint16_t, 8> lengths{};
    std::vector<uint8_t> bytes;
  };
  void store(const LooseEvent& event);
  Stored* make_room(uint64_t tid);
  static Param stored_param(const Stored& enter, size_t index);
  void write_container_json(const LooseEvent& event);

  boost::unordered_flat_map<uint64_t, Stored> stored_;
  uint64_t not_kept_ = 0;
  std::array<Param, kMaxParams> before_;  // the parameters before the current step
  std::string json_;
};

}  // namespace quell::capture::scap
