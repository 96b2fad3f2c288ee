#pragma once
// Things that upstream rules are about, done for real: on a stage of our own, by busybox and player.c.
#include <string>
#include <vector>

namespace quell::test {

enum class Place {
  host,        // no container: a root folder, a network and a control group of its own
  container,   // a Docker container with what Docker gives to everybody
  privileged,  // a privileged one
  start,       // the start of a privileged container
};
const char* name_of(Place place);

struct Behaviour {
  const char* name;
  Place place;
  std::vector<std::string> command;  // empty for Place::start
  std::vector<std::string> rules;    // upstream rules that must fire
  bool live = false;                 // quick enough for the test that watches it live
};

const std::vector<Behaviour>& behaviours();

/// A shell script that makes the links and files that the behaviours need; the player is /bin/player.
extern const char kStageScript[];

}  // namespace quell::test
