#pragma once
// Scenarios: a capture written as text, and what the rules must say about it. A test for a rule that anybody can read.
//
//   why: A shell with a terminal is T1059 inside a container; on the host the same shell is daily life.
//   rules: [content/rules/00_base.yaml, content/rules/shells.yaml]
//   processes:                                   # optional: who lives through several events, or has open descriptors
//     web: {proc.name: nginx, container.id: 3ad7b26ded6d, fds: [{fd.num: 4, fd.sip: 203.0.113.9, fd.sport: 443}]}
//   events:
//     - {evt.type: execve, proc.name: bash, proc.tty: 34816, container.id: 3ad7b26ded6d}
//     - {evt.type: dup2, process: web, evt.arg.oldfd: 4, evt.arg.newfd: 0}
//     - {evt.type: execve, proc.name: bash, proc.tty: 34816, container.id: host}
//   expect: [{rule: Interactive shell in container, event: 0, attack: T1059}]
//   near_miss: [{rule: Interactive shell in container, event: 2, because: the host is no container}]
//   must_not_fire: [Miner started]               # on no event at all
//   exact: true                                  # false: rules that are not expected may fire, too
//
// An expectation may ask for values: {rule: NAME, event: 0, fields: {proc.name: bash, fd.name: /etc/shadow}}: any
// field, as outputs print it. A file may hold several cases, which share its rules and processes:
//
//   why: ...
//   rules: [...]
//   cases:
//     - {name: in a container, events: [...], expect: [...]}
//     - {name: on the host, events: [...], expect: []}
//
// The keys are the names that rules use. What they mean here:
//   evt.type            the event, in its current version; where nothing is said, numbers are 0 and texts empty
//   evt.arg.NAME        a parameter by its schema name, in the form rules see it (O_WRONLY|O_CREAT, S_ISUID, AF_PACKET)
//   evt.res, evt.rawres SUCCESS (default), an errno name, or the number
//   evt.is_open_read, evt.is_open_write    add O_RDONLY, O_WRONLY to the flags of an open; read is the default
//   fd.name/num/type/sip/sport/cip/cport/l4proto   what an open opens, a connect reaches, or the descriptor an event
//   uses proc.*, user.*      the process: for execve what it becomes, otherwise what it is. proc.cmdline is comm and
//   arguments;
//                       proc.args takes a text (split at spaces) or a sequence; proc.env a map
//   proc.pname, proc.pexepath, proc.pcmdline, "proc.aname[2]" ...   ancestors, made as needed
//   container.*, k8s.*  the container it runs in; metadata arrives before the first event. `host` is none
//   thread.cap_effective, thread.cap_permitted    names of capabilities joined with '|', ALL or NONE; the other one
//                       follows. Without them root has all and others none
//   proc.duration       ns since its clone and execve, which then lead the capture; otherwise its start is unknown
//   parent              a process from `processes` as the parent; its container is inherited
//   process             one from `processes`, instead of describing it in place; an execve changes it for later events
//   note                a remark
// Data of reads and writes is text, or bytes as hex:cafebabe. `names: {kubernetes.default: 10.96.0.1}` at the top tells
// the addresses of domain names that rules compare with.
// Ancestors of a process in a container run in it too, up to a containerd-shim on the host; everything ends at systemd
// (1).
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/snapshot.h"

namespace quell::capture {

struct ScenarioEvent {
  std::vector<uint8_t> bytes;  // one event in .scap layout, current schema; Event::parse() takes it
  int32_t index = -1;          // position in `events:`; -1 for what had to happen first (container metadata, socket())
};

struct Expectation {
  std::string rule;
  uint32_t event = 0;  // position in `events:`
  std::string attack;  // ATT&CK id that one of the rule's tags must start with; empty: not asked
  std::vector<std::pair<std::string, std::string>> fields;  // field and its value as text
  std::string where;                                        // "file:line:col"
};

struct NearMiss {
  std::string rule;
  uint32_t event = 0;
  std::string because;
  std::string where;
};

struct Scenario {
  std::string name;       // as given to parse_scenario()
  std::string case_name;  // empty: the only one of its file
  std::string where;      // "file:line:col"
  std::string why;
  std::vector<std::string> rules;                        // paths as written; empty: not said
  Snapshot snapshot;                                     // the machine before the first event
  std::vector<ScenarioEvent> events;                     // in order of time, one millisecond apart
  uint32_t event_count = 0;                              // entries of `events:`
  std::vector<Expectation> expect;                       // everything that must be detected
  std::vector<std::pair<std::string, IpAddress>> names;  // addresses of domain names
  std::vector<NearMiss> near_misses;                     // what must not be detected, and the reason
  std::vector<std::string> must_not_fire;                // rules that must not fire on any event
  bool is_exact = true;                                  // nothing but what is expected may be detected
};

/// Time of the first event of every scenario: 2024-05-01T10:20:30Z.
inline constexpr uint64_t kScenarioStartNs = 1714558830ull * 1'000'000'000ull;

/// Errors: malformed (no YAML), invalid_argument with file:line:col (an unknown key, with the nearest known one; a
/// value that does not fit its parameter; an event that says too little).
Result<Scenario> parse_scenario(std::string name, std::string text);
/// The same from a file. Errors also: what the system says about it.
Result<Scenario> load_scenario(const std::string& path);
/// All cases of a file: at least one.
Result<std::vector<Scenario>> parse_scenarios(std::string name, std::string text);
Result<std::vector<Scenario>> load_scenarios(const std::string& path);

}  // namespace quell::capture
