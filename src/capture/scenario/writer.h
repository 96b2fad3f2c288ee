#pragma once
// One entry of `events:` to one event with all parameters of its schema.
#include <map>
#include <string>
#include <vector>

#include "capture/scenario/cast.h"
#include "capture/scenario/scenario.h"
#include "model/event.h"

namespace quell::capture::scenario {

class Writer {
 public:
  /// Keeps a reference to `cast`, which grows while events are written.
  explicit Writer(Cast& cast) : cast_(cast) {}

  /// Appends the event, and before it what must have happened (a socket() before a connect).
  Result<void> write(const yaml::Node& entry);
  /// How a process came to be, age_ns before the first event: clone as its parent and itself see it, and execve. The
  /// oldest first.
  void write_birth(const Actor& actor);
  std::vector<ScenarioEvent> take() { return std::move(out_); }

 private:
  /// Parameter bytes by name; what is not in it stays empty.
  using Params = std::map<std::string_view, Bytes>;

  Result<void> check_keys(const yaml::Node& entry, const EventSpec& spec) const;
  Result<Actor*> actor_of(const yaml::Node& entry, const EventSpec& spec, bool failed);
  Result<int64_t> result_of(const yaml::Node& entry, const EventSpec& spec, bool& given) const;
  Result<void> fill_descriptor(const yaml::Node& entry, const EventSpec& spec, Actor& actor, Params& params,
                               int64_t& result, bool result_given);
  Result<void> fill_open(const yaml::Node& entry, const EventSpec& spec, Params& params);
  Result<void> fill_socket(const yaml::Node& entry, const EventSpec& spec, Actor& actor, Params& params, int64_t number,
                           bool failed);
  void fill_image(const Thread& thread, const EventSpec& spec, Params& params) const;
  void emit(EventCode code, int64_t tid, const Params& params, int32_t index);

  Cast& cast_;
  std::vector<ScenarioEvent> out_;
  int32_t index_ = 0;
  uint64_t ts_ns_ = kScenarioStartNs;
  uint64_t born_until_ns_ = 0;  // end of the last birth
};

}  // namespace quell::capture::scenario
