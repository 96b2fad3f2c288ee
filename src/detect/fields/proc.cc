// proc.*, thread.*: the thread of the event and its ancestors.
#include "base/text.h"
#include "detect/fields/helpers.h"
#include "model/capabilities.h"

namespace quell::detect {
namespace {

using T = const Thread&;
using X = const Extract&;

// Ancestor n of the process: 0 is the process itself, 1 its parent. Loops in a damaged table end the walk.
constexpr int kMaxAncestors = 64;
const Thread* ancestor(X x, T thread, int64_t n) {
  const Thread* at = &thread.group();
  for (int64_t i = 0; i < n && at != nullptr; ++i) {
    if (i >= kMaxAncestors) return nullptr;
    at = x.context.state->parent(*at);
  }
  return at;
}

Value id_or_absent(int64_t id) { return id < -1 || id > int64_t{UINT32_MAX} ? Value{} : Value::integer(id); }
Value nonzero(uint64_t ns) { return ns == 0 ? Value{} : Value::number(ns); }

std::string cap_names(uint64_t set) {
  std::string out;
  for (size_t i = 0; i < std::size(kCapabilityNames); ++i)
    if ((set >> i) & 1) {
      if (!out.empty()) out += ' ';
      out += kCapabilityNames[i];
    }
  return out;
}
template <uint64_t Thread::*kSet>
Value caps(X x, T t) {
  return text_in(x, cap_names(t.*kSet));
}

template <std::string Thread::*kField>
Value own_text(X, T t) {
  return Value::text(t.*kField);
}

// argv[1..] or the environment joined; one part by index, by NAME for the environment.
Value args(X x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  if (a.given) {
    const std::string_view part = part_at(x.thread()->args, static_cast<size_t>(a.index));
    return Value::text(part.data() == nullptr ? std::string_view("") : part);
  }
  return text_in(x, join_parts(x.thread()->args));
}

bool is_all_digits(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}
std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}
std::string_view env_value(std::string_view env, std::string_view name) {
  std::string_view found;
  bool seen = false;
  for_each_part(env, [&](std::string_view entry) {
    if (!seen && entry.size() > name.size() && entry[name.size()] == '=' && entry.substr(0, name.size()) == name) {
      found = trim(entry.substr(name.size() + 1));
      seen = true;
    }
  });
  return found;
}
Value env(X x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  const std::string& own = x.thread()->group().env;
  if (a.given && !is_all_digits(a.text)) {
    const std::string_view value = env_value(own, a.text);
    return Value::text(value.data() == nullptr ? std::string_view("") : value);
  }
  return text_in(x, join_parts(own));
}

std::string exeline(T t) { return t.exe + " " + join_parts(t.args); }

// Text of one process, for fields of the process itself, its parent and its ancestors.
std::string_view name_of(X, T t) { return t.comm; }
std::string_view exe_of(X, T t) { return t.exe; }
std::string_view exepath_of(X, T t) { return t.exepath; }
std::string_view cmdline_of(X, T t) { return t.cmdline(); }
std::string_view args_of(X x, T t) { return x.arena.copy(join_parts(t.args)); }
std::string_view env_of(X x, T t) { return x.arena.copy(join_parts(t.group().env)); }

using TextOf = std::string_view (*)(X, T);

template <TextOf kOf>
Value own(X x, T t) {
  return Value::text(kOf(x, t));
}
template <TextOf kOf>
Value of_parent(X x, T t) {
  const Thread* parent = x.context.state->parent(t);
  return parent == nullptr ? Value{} : Value::text(kOf(x, *parent));
}

// All ancestors, parent first. With an index that one only.
template <TextOf kOf>
Value of_ancestors(X x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  if (a.given) {
    const Thread* found = ancestor(x, *x.thread(), a.index);
    return found == nullptr ? Value{} : Value::text(kOf(x, *found));
  }
  Value items[kMaxAncestors];
  size_t count = 0;
  for (const Thread* at = x.context.state->parent(*x.thread()); at != nullptr && count < kMaxAncestors;
       at = x.context.state->parent(*at))
    items[count++] = Value::text(kOf(x, *at));
  if (count == 0) return {};
  Value* kept = x.arena.values(count);
  std::copy_n(items, count, kept);
  return Value::list(kept, count);
}
// In outputs: the values joined with spaces.
template <TextOf kOf>
Value ancestors_joined(X x, const FieldArg& a) {
  const Value all = of_ancestors<kOf>(x, a);
  if (all.kind != Value::Kind::list) return all;
  std::string out;
  for (size_t i = 0; i < all.size; ++i) {
    if (i > 0) out += ' ';
    out += all.items[i].str();
  }
  return text_in(x, out);
}

Value aargs(X x, const FieldArg& a) { return ancestors_joined<args_of>(x, a); }

// In conditions the index of proc.aenv is ignored: any ancestor's whole environment.
Value aenv(X x, const FieldArg& a) {
  if (a.given && a.index < 0) {
    if (x.thread() == nullptr) return {};
    const Thread* at = x.context.state->parent(*x.thread());
    for (int i = 0; i < 20 && at != nullptr; ++i, at = x.context.state->parent(*at)) {
      const std::string_view value = env_value(at->group().env, a.text);
      if (!value.empty()) return Value::text(value);
    }
    return Value::text("");
  }
  return of_ancestors<env_of>(x, FieldArg{});
}
std::optional<Finding> bind_aenv(FieldRef& ref) {
  if (is_all_digits(ref.arg.text)) parse_i64(ref.arg.text, ref.arg.index);
  return {};
}
Value aenv_print(X x, const FieldArg& a) {
  if (a.given && a.index < 0) return aenv(x, a);
  if (x.thread() == nullptr) return {};
  const Thread* found = ancestor(x, *x.thread(), a.given ? a.index : 0);
  return found == nullptr ? Value{} : Value::text(env_of(x, *found));
}

Value apid(X x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  if (a.given) {
    const Thread* found = ancestor(x, *x.thread(), a.index);
    return found == nullptr ? Value{} : Value::integer(found->pid);
  }
  Value items[kMaxAncestors];
  size_t count = 0;
  for (const Thread* at = x.context.state->parent(*x.thread()); at != nullptr && count < kMaxAncestors;
       at = x.context.state->parent(*at))
    items[count++] = Value::integer(at->pid);
  if (count == 0) return {};
  Value* kept = x.arena.values(count);
  std::copy_n(items, count, kept);
  return Value::list(kept, count);
}
Value apid_print(X x, const FieldArg& a) {
  if (a.given) return apid(x, a);
  return x.thread() == nullptr ? Value{} : Value::integer(x.thread()->pid);
}

// Leaders: the entry whose tid is the id where ids are the host's, else the oldest ancestor that shares the id.
template <int64_t Thread::*kId, TextOf kOf, bool kHostIds>
Value of_leader(X x, T t) {
  const int64_t id = t.*kId;
  if (id == -1) return Value::text("");
  const bool initial_namespace = t.tid == t.vtid;
  if (kHostIds || initial_namespace)
    if (const Thread* found = x.context.state->thread(id)) return Value::text(kOf(x, *found));
  const Thread* oldest = &t.group();
  for (int i = 0; i < kMaxAncestors; ++i) {
    const Thread* parent = x.context.state->parent(*oldest);
    if (parent == nullptr || parent->*kId != id) break;
    oldest = parent;
  }
  return Value::text(kOf(x, *oldest));
}

Value loginshellid(X x, T t) {
  int64_t found = -1;
  int steps = 0;
  for (const Thread* at = &t.group(); at != nullptr && steps < kMaxAncestors;
       at = x.context.state->parent(*at), ++steps)
    if (at->comm.size() >= 2 && at->comm.compare(at->comm.size() - 2, 2, "sh") == 0) found = at->pid;
  return found < 0 ? Value{} : Value::integer(found);
}

Value cgroups(X x, T t) {
  if (t.cgroups.empty()) return {};
  return text_in(x, join_parts(t.cgroups));
}
Value cgroup(X x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  Value found;
  for_each_part(x.thread()->cgroups, [&](std::string_view entry) {
    const size_t equals = entry.find('=');
    if (found.is_absent() && equals != std::string_view::npos && entry.substr(0, equals) == a.text)
      found = Value::text(entry.substr(equals + 1));
  });
  return found;
}

uint64_t fd_count(T t) { return t.group().fds ? t.group().fds->size() : 0; }

template <int64_t kNumber, bool kType>
Value std_fd(X, T t) {
  const Fd* fd = t.group().fds ? t.group().fds->find(kNumber) : nullptr;
  if (fd == nullptr) return {};
  return Value::text(kType ? fd_type_name(*fd) : std::string_view(fd->name));
}

Value never(X, const FieldArg&) { return {}; }

bool is_switch(X x) { return x.event().code() == ev::SCHEDSWITCH_1_E || x.event().code() == ev::SCHEDSWITCH_6_E; }
// Processor time of the thread that a switch takes off its processor: since the switch before on the same one.
// Processors are remembered under negative keys, so that threads can be beside them.
uint64_t switched_out_ns(X x, FieldMemory::Entry& kept) {
  if (!is_switch(x)) return 0;
  uint64_t& last_ns = kept.of(-1 - int64_t{x.event().cpu});
  const uint64_t ran_ns = last_ns == 0 ? 0 : since(x, last_ns);
  last_ns = x.event().ts_ns();
  return ran_ns;
}
Value exec_time(X x, const FieldArg&) {
  return Value::number(
      remembered(x, Remembered::exec_time, [&](FieldMemory::Entry& kept) { return switched_out_ns(x, kept); }));
}
Value total_exec_time(X x, const FieldArg&) {
  return Value::number(remembered(x, Remembered::total_exec_time, [&](FieldMemory::Entry& kept) {
    const uint64_t ran_ns = switched_out_ns(x, kept);
    return kept.of(x.event().tid()) += ran_ns;
  }));
}

// Procinfo events carry processor time in ticks of 10 ms and come once a second: a difference is a percentage.
template <Remembered kWhat>
Value cpu_percent(X x, const FieldArg&) {
  if (x.event().code() != ev::PROCINFO_E || x.thread() == nullptr) return {};
  return Value::real(static_cast<double>(remembered(x, kWhat, [&](FieldMemory::Entry& kept) {
    uint64_t ticks = 0;
    if (kWhat != Remembered::cpu_system) ticks += x.event().param(0).u64();
    if (kWhat != Remembered::cpu_user) ticks += x.event().param(1).u64();
    uint64_t& last = kept.of(x.event().tid());
    const uint64_t percent = last == 0 || ticks < last ? 0 : std::min<uint64_t>(100, ticks - last);
    last = ticks;
    return percent;
  })));
}

#define QUELL_OWN(expression)         \
  with_thread<[](X x, T t) -> Value { \
    (void)x, (void)t;                 \
    return (expression);              \
  }>

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    // identity
    {.name = "proc.pid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(id_or_absent(t.pid)), .doc = "Process id.", .example = "proc.pid = 1"},
    {.name = "thread.tid", .type = Type::int64, .get = [](X x, const FieldArg&) { return Value::integer(x.event().tid()); }, .doc = "Thread id of the event.", .example = "thread.tid = 1", .events = "any event"},
    {.name = "thread.ismain", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.is_main())), .doc = "The thread is the main one of its process.", .example = "thread.ismain = true"},
    {.name = "proc.vpid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(t.vpid == -1 ? Value{} : id_or_absent(t.vpid)), .doc = "Process id inside its pid namespace.", .example = "proc.vpid = 1"},
    {.name = "thread.vtid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(t.vtid == -1 ? Value{} : id_or_absent(t.vtid)), .doc = "Thread id inside its pid namespace.", .example = "thread.vtid = 1"},
    {.name = "proc.ppid", .type = Type::int64, .scope = Scope::lineage, .get = QUELL_OWN([&]() -> Value { const Thread* p = x.context.state->parent(t); return p == nullptr ? Value::integer(t.ptid) : Value::integer(p->pid); }()), .doc = "Process id of the parent.", .example = "proc.ppid = 1"},
    {.name = "proc.pvpid", .type = Type::int64, .scope = Scope::lineage, .get = QUELL_OWN([&]() -> Value { const Thread* p = x.context.state->thread(t.ptid); return p == nullptr || p->vpid == -1 ? Value{} : Value::integer(p->vpid); }()), .doc = "Parent's process id inside its pid namespace.", .example = "proc.pvpid = 1"},
    {.name = "proc.apid", .type = Type::int64, .arg = Arg::optional_index, .flags = kNoTransformers | kNoRightSide, .scope = Scope::lineage, .several = Several::any_ancestor, .get = apid, .print = apid_print, .doc = "Process id of the N-th ancestor (0 is the process itself). Without N: in conditions any ancestor, in outputs the process.", .example = "proc.apid[2] = 1"},
    {.name = "proc.sid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(id_or_absent(t.sid)), .doc = "Session id.", .example = "proc.sid = 1"},
    {.name = "proc.vpgid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(id_or_absent(t.vpgid)), .doc = "Process group in the pid namespace.", .example = "proc.vpgid = 1"},
    {.name = "proc.pgid", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(id_or_absent(t.pgid)), .doc = "Process group on the host.", .example = "proc.pgid = 1"},
    {.name = "proc.is_sid_leader", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.sid == t.vpid)), .doc = "The process leads its session.", .example = "proc.is_sid_leader = true"},
    {.name = "proc.is_vpgid_leader", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.vpgid == t.vpid)), .doc = "The process leads its group (in its namespace).", .example = "proc.is_vpgid_leader = true"},
    {.name = "proc.is_pgid_leader", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.pgid == t.pid)), .doc = "The process leads its group.", .example = "proc.is_pgid_leader = true"},
    {.name = "proc.sname", .get = with_thread<of_leader<&Thread::sid, name_of, false>>, .doc = "Name of the session leader; empty if there is none.", .example = "proc.sname = sshd"},
    {.name = "proc.sid.exe", .get = with_thread<of_leader<&Thread::sid, exe_of, false>>, .doc = "argv[0] of the session leader.", .example = "proc.sid.exe endswith bash"},
    {.name = "proc.sid.exepath", .get = with_thread<of_leader<&Thread::sid, exepath_of, false>>, .doc = "Executable of the session leader.", .example = "proc.sid.exepath = /usr/bin/bash"},
    {.name = "proc.vpgid.name", .get = with_thread<of_leader<&Thread::vpgid, name_of, false>>, .doc = "Name of the group leader.", .example = "proc.vpgid.name = bash"},
    {.name = "proc.vpgid.exe", .get = with_thread<of_leader<&Thread::vpgid, exe_of, false>>, .doc = "argv[0] of the group leader.", .example = "proc.vpgid.exe endswith bash"},
    {.name = "proc.vpgid.exepath", .get = with_thread<of_leader<&Thread::vpgid, exepath_of, false>>, .doc = "Executable of the group leader.", .example = "proc.vpgid.exepath = /usr/bin/bash"},
    {.name = "proc.pgid.name", .get = with_thread<of_leader<&Thread::pgid, name_of, true>>, .doc = "Name of the host group's leader.", .example = "proc.pgid.name = bash"},
    {.name = "proc.pgid.exe", .get = with_thread<of_leader<&Thread::pgid, exe_of, true>>, .doc = "argv[0] of the host group's leader.", .example = "proc.pgid.exe endswith bash"},
    {.name = "proc.pgid.exepath", .get = with_thread<of_leader<&Thread::pgid, exepath_of, true>>, .doc = "Executable of the host group's leader.", .example = "proc.pgid.exepath = /usr/bin/bash"},
    {.name = "proc.tty", .type = Type::uint32, .scope = Scope::process, .get = QUELL_OWN(Value::number(t.tty)), .doc = "Controlling terminal's device number, 0 for none.", .example = "proc.tty != 0"},
    {.name = "proc.loginshellid", .type = Type::int64, .get = with_thread<loginshellid>, .doc = "Oldest process among itself and its ancestors whose name ends in sh.", .example = "proc.loginshellid exists"},
    // name, path, arguments
    {.name = "proc.name", .scope = Scope::process, .get = with_thread<own_text<&Thread::comm>>, .doc = "Name of the process, at most 15 characters.", .example = "proc.name in (bash, sh)"},
    {.name = "proc.exe", .scope = Scope::process, .get = with_thread<own_text<&Thread::exe>>, .doc = "argv[0].", .example = "proc.exe endswith /nc"},
    {.name = "proc.exepath", .scope = Scope::process, .get = with_thread<own_text<&Thread::exepath>>, .doc = "Path of the executable as the kernel resolved it.", .example = "proc.exepath startswith /usr/bin/"},
    {.name = "proc.args", .arg = Arg::optional_index, .scope = Scope::process, .get = args, .doc = "Arguments after argv[0], joined with spaces; with N the N-th of them (empty if there are fewer).", .example = "proc.args contains --privileged"},
    {.name = "proc.cmdline", .scope = Scope::process, .get = with_thread<own<cmdline_of>>, .doc = "Name and arguments joined with spaces.", .example = "proc.cmdline contains stratum"},
    {.name = "proc.exeline", .scope = Scope::process, .get = QUELL_OWN(text_in(x, exeline(t))), .doc = "argv[0] and arguments joined with spaces.", .example = "proc.exeline startswith /tmp/"},
    {.name = "proc.cmdnargs", .type = Type::uint64, .scope = Scope::process, .get = QUELL_OWN(Value::number(count_parts(t.args))), .doc = "Number of arguments.", .example = "proc.cmdnargs > 100"},
    {.name = "proc.cmdlenargs", .type = Type::uint64, .scope = Scope::process, .get = QUELL_OWN([&] { size_t n = 0; for_each_part(t.args, [&](std::string_view p) { n += p.size(); }); return Value::number(n); }()), .doc = "Total length of the arguments.", .example = "proc.cmdlenargs > 2000"},
    {.name = "proc.env", .arg = Arg::optional_key, .get = env, .doc = "Environment, joined with spaces; with a name the value of that variable (empty if it is not set).", .example = "proc.env[LD_PRELOAD] startswith /tmp/"},
    {.name = "proc.cwd", .get = QUELL_OWN(Value::text(t.group().cwd)), .doc = "Working directory, with a trailing slash.", .example = "proc.cwd startswith /dev/shm/"},
    // parent and ancestors
    {.name = "proc.pname", .scope = Scope::lineage, .get = with_thread<of_parent<name_of>>, .doc = "Name of the parent.", .example = "proc.pname = nginx"},
    {.name = "proc.pexe", .scope = Scope::lineage, .get = with_thread<of_parent<exe_of>>, .doc = "argv[0] of the parent.", .example = "proc.pexe endswith java"},
    {.name = "proc.pexepath", .scope = Scope::lineage, .get = with_thread<of_parent<exepath_of>>, .doc = "Executable of the parent.", .example = "proc.pexepath = /usr/sbin/nginx"},
    {.name = "proc.pcmdline", .scope = Scope::lineage, .get = with_thread<of_parent<cmdline_of>>, .doc = "Command line of the parent.", .example = "proc.pcmdline contains cron"},
    {.name = "proc.aname", .arg = Arg::optional_index, .flags = kNoTransformers | kNoRightSide, .scope = Scope::lineage, .several = Several::any_ancestor, .get = of_ancestors<name_of>, .print = ancestors_joined<name_of>, .doc = "Name of the N-th ancestor (0 is the process itself). Without N: in conditions any ancestor, in outputs all of them, parent first.", .example = "proc.aname[2] = sshd"},
    {.name = "proc.aexe", .arg = Arg::optional_index, .flags = kNoTransformers | kNoRightSide, .scope = Scope::lineage, .several = Several::any_ancestor, .get = of_ancestors<exe_of>, .print = ancestors_joined<exe_of>, .doc = "argv[0] of the N-th ancestor; without N as for proc.aname.", .example = "proc.aexe endswith java"},
    {.name = "proc.aexepath", .arg = Arg::optional_index, .flags = kNoTransformers | kNoRightSide, .scope = Scope::lineage, .several = Several::any_ancestor, .get = of_ancestors<exepath_of>, .print = ancestors_joined<exepath_of>, .doc = "Executable of the N-th ancestor; without N as for proc.aname.", .example = "proc.aexepath = /usr/sbin/nginx"},
    {.name = "proc.acmdline", .arg = Arg::optional_index, .flags = kNoTransformers | kNoRightSide, .scope = Scope::lineage, .several = Several::any_ancestor, .get = of_ancestors<cmdline_of>, .print = ancestors_joined<cmdline_of>, .doc = "Command line of the N-th ancestor; without N as for proc.aname.", .example = "proc.acmdline contains tomcat"},
    {.name = "proc.aargs", .arg = Arg::optional_index, .scope = Scope::lineage, .get = aargs, .doc = "Arguments of the N-th ancestor; without N those of all ancestors, joined with spaces, in conditions too.", .example = "proc.aargs[1] contains -c"},
    {.name = "proc.aenv", .arg = Arg::optional_key, .flags = kNoTransformers | kNoRightSide, .several = Several::any_ancestor, .get = aenv, .print = aenv_print, .bind = bind_aenv, .doc = "Environment of ancestors. With a name: the nearest value of that variable that is not empty. Else: in conditions any ancestor, in outputs that of the N-th one (none: the process).", .example = "proc.aenv contains JENKINS_URL"},
    // executable
    {.name = "proc.is_exe_writable", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.exe_writable)), .doc = "The caller could write the executable when it was started.", .example = "proc.is_exe_writable = true"},
    {.name = "proc.is_exe_upper_layer", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.exe_upper_layer)), .doc = "The executable was added or changed after the container started.", .example = "proc.is_exe_upper_layer = true"},
    {.name = "proc.is_exe_lower_layer", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.exe_lower_layer)), .doc = "The executable comes from the image.", .example = "proc.is_exe_lower_layer = true"},
    {.name = "proc.is_exe_from_memfd", .type = Type::boolean, .scope = Scope::process, .get = QUELL_OWN(Value::boolean(t.exe_from_memfd)), .doc = "The executable is an anonymous memory file.", .example = "proc.is_exe_from_memfd = true"},
    {.name = "proc.exe_ino", .type = Type::int64, .scope = Scope::process, .get = QUELL_OWN(t.exe_ino == 0 ? Value{} : Value::integer(static_cast<int64_t>(t.exe_ino))), .doc = "Inode of the executable.", .example = "proc.exe_ino = 131073"},
    {.name = "proc.exe_ino.ctime", .type = Type::abstime, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.exe_ino_ctime_ns)), .doc = "Change time of the executable.", .example = "proc.exe_ino.ctime > 1714558830000000000"},
    {.name = "proc.exe_ino.mtime", .type = Type::abstime, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.exe_ino_mtime_ns)), .doc = "Modification time of the executable.", .example = "proc.exe_ino.mtime > 1714558830000000000"},
    {.name = "proc.exe_ino.ctime_duration_proc_start", .type = Type::abstime, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.exe_ino_ctime_duration_clone_ns)), .doc = "ns between the executable's change and the process' start.", .example = "proc.exe_ino.ctime_duration_proc_start < 1000000000"},
    {.name = "proc.exe_ino.ctime_duration_pidns_start", .type = Type::abstime, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.exe_ino_ctime_duration_pidns_ns)), .doc = "ns between the pid namespace's start and the executable's change.", .example = "proc.exe_ino.ctime_duration_pidns_start > 0"},
    {.name = "proc.pidns_init_start_ts", .type = Type::uint64, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.pidns_init_start_ns)), .doc = "Start of the pid namespace's init.", .example = "proc.pidns_init_start_ts exists"},
    {.name = "proc.duration", .type = Type::reltime, .get = QUELL_OWN(t.clone_ns == 0 ? Value{} : Value::number(since(x, t.clone_ns))), .doc = "Time since the process started.", .example = "proc.duration < 1000000000"},
    {.name = "proc.ppid.duration", .type = Type::reltime, .get = QUELL_OWN([&]() -> Value { const Thread* p = x.context.state->parent(t); return p == nullptr || p->clone_ns == 0 ? Value{} : Value::number(since(x, p->clone_ns)); }()), .doc = "Time since the parent started.", .example = "proc.ppid.duration < 1000000000"},
    {.name = "proc.pid.ts", .type = Type::reltime, .scope = Scope::process, .get = QUELL_OWN(nonzero(t.clone_ns)), .doc = "Start of the process, ns since the epoch.", .example = "proc.pid.ts > 1714558830000000000"},
    {.name = "proc.ppid.ts", .type = Type::reltime, .scope = Scope::lineage, .get = QUELL_OWN([&]() -> Value { const Thread* p = x.context.state->parent(t); return p == nullptr ? Value{} : Value::number(p->clone_ns); }()), .doc = "Start of the parent, ns since the epoch.", .example = "proc.ppid.ts > 1714558830000000000"},
    // capabilities, resources
    {.name = "thread.cap_permitted", .scope = Scope::process, .get = with_thread<caps<&Thread::cap_permitted>>, .doc = "Permitted capabilities.", .example = "thread.cap_permitted contains CAP_SYS_ADMIN"},
    {.name = "thread.cap_inheritable", .scope = Scope::process, .get = with_thread<caps<&Thread::cap_inheritable>>, .doc = "Inheritable capabilities.", .example = "thread.cap_inheritable contains CAP_NET_RAW"},
    {.name = "thread.cap_effective", .scope = Scope::process, .get = with_thread<caps<&Thread::cap_effective>>, .doc = "Effective capabilities.", .example = "thread.cap_effective contains CAP_SYS_ADMIN"},
    {.name = "thread.cgroups", .get = with_thread<cgroups>, .doc = "All cgroups as subsystem=path.", .example = "thread.cgroups contains kubepods"},
    {.name = "thread.cgroup", .arg = Arg::required_key, .flags = kDotArgument, .get = cgroup, .doc = "Path of one cgroup subsystem.", .example = "thread.cgroup.cpu contains docker"},
    {.name = "proc.nthreads", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.group().live_threads)), .doc = "Live threads of the process.", .example = "proc.nthreads > 100"},
    {.name = "proc.nchilds", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.group().live_threads > 0 ? t.group().live_threads - 1 : 0)), .doc = "Live threads besides the main one.", .example = "proc.nchilds > 100"},
    {.name = "proc.fdopencount", .type = Type::uint64, .get = QUELL_OWN(Value::number(fd_count(t))), .doc = "Open descriptors known.", .example = "proc.fdopencount > 1000"},
    {.name = "proc.fdlimit", .type = Type::int64, .get = QUELL_OWN(Value::integer(t.group().fdlimit)), .doc = "Limit of open descriptors, -1 unknown.", .example = "proc.fdlimit < 1024"},
    {.name = "proc.fdusage", .type = Type::real, .get = QUELL_OWN(Value::real(t.group().fdlimit <= 0 ? 0.0 : 100.0 * static_cast<double>(fd_count(t)) / static_cast<double>(t.group().fdlimit))), .doc = "Open descriptors in percent of the limit.", .example = "proc.fdusage > 90"},
    {.name = "proc.vmsize", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.group().vm_size_kb)), .doc = "Virtual memory, kB.", .example = "proc.vmsize > 1000000"},
    {.name = "proc.vmrss", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.group().vm_rss_kb)), .doc = "Resident memory, kB.", .example = "proc.vmrss > 1000000"},
    {.name = "proc.vmswap", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.group().vm_swap_kb)), .doc = "Swapped memory, kB.", .example = "proc.vmswap > 0"},
    {.name = "thread.vmsize", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.is_main() ? t.vm_size_kb : 0)), .doc = "Virtual memory of a main thread, kB.", .example = "thread.vmsize > 1000000"},
    {.name = "thread.vmrss", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.is_main() ? t.vm_rss_kb : 0)), .doc = "Resident memory of a main thread, kB.", .example = "thread.vmrss > 1000000"},
    {.name = "thread.vmsize.b", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.is_main() ? uint64_t{t.vm_size_kb} * 1024 : 0)), .doc = "Virtual memory of a main thread, bytes.", .example = "thread.vmsize.b > 1000000000"},
    {.name = "thread.vmrss.b", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.is_main() ? uint64_t{t.vm_rss_kb} * 1024 : 0)), .doc = "Resident memory of a main thread, bytes.", .example = "thread.vmrss.b > 1000000000"},
    {.name = "thread.pfmajor", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.page_faults_major)), .doc = "Major page faults.", .example = "thread.pfmajor > 1000"},
    {.name = "thread.pfminor", .type = Type::uint64, .get = QUELL_OWN(Value::number(t.page_faults_minor)), .doc = "Minor page faults.", .example = "thread.pfminor > 100000"},
    {.name = "thread.exectime", .type = Type::reltime, .get = exec_time, .doc = "Processor time of the thread that a switch takes off its processor; 0 on other events.", .example = "thread.exectime > 10000000", .events = "any event; more than 0 on switch"},
    {.name = "thread.totexectime", .type = Type::reltime, .get = total_exec_time, .doc = "Running total of thread.exectime for the thread.", .example = "thread.totexectime > 1000000000", .events = "any event; grows on switch"},
    {.name = "thread.cpu", .type = Type::real, .get = cpu_percent<Remembered::cpu>, .doc = "Processor use in percent since the procinfo event before.", .example = "thread.cpu > 90", .events = "procinfo"},
    {.name = "thread.cpu.user", .type = Type::real, .get = cpu_percent<Remembered::cpu_user>, .doc = "Processor use in user mode, in percent since the procinfo event before.", .example = "thread.cpu.user > 90", .events = "procinfo"},
    {.name = "thread.cpu.system", .type = Type::real, .get = cpu_percent<Remembered::cpu_system>, .doc = "Processor use in the kernel, in percent since the procinfo event before.", .example = "thread.cpu.system > 90", .events = "procinfo"},
    {.name = "thread.nametid", .get = QUELL_OWN(format_in(x, "{}{}", t.comm, t.tid)), .doc = "Name followed by the thread id.", .example = "thread.nametid = bash4711"},
    {.name = "proc.stdin.type", .get = with_thread<std_fd<0, true>>, .doc = "Kind of descriptor 0.", .example = "proc.stdin.type in (ipv4, ipv6)"},
    {.name = "proc.stdout.type", .get = with_thread<std_fd<1, true>>, .doc = "Kind of descriptor 1.", .example = "proc.stdout.type in (ipv4, ipv6)"},
    {.name = "proc.stderr.type", .get = with_thread<std_fd<2, true>>, .doc = "Kind of descriptor 2.", .example = "proc.stderr.type in (ipv4, ipv6)"},
    {.name = "proc.stdin.name", .get = with_thread<std_fd<0, false>>, .doc = "Name of descriptor 0.", .example = "proc.stdin.name contains 4444"},
    {.name = "proc.stdout.name", .get = with_thread<std_fd<1, false>>, .doc = "Name of descriptor 1.", .example = "proc.stdout.name contains 4444"},
    {.name = "proc.stderr.name", .get = with_thread<std_fd<2, false>>, .doc = "Name of descriptor 2.", .example = "proc.stderr.name contains 4444"},
    {.name = "proc.is_container_healthcheck", .type = Type::boolean, .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "proc.is_container_healthcheck = true", .events = "none"},
    {.name = "proc.is_container_liveness_probe", .type = Type::boolean, .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "proc.is_container_liveness_probe = true", .events = "none"},
    {.name = "proc.is_container_readiness_probe", .type = Type::boolean, .flags = kDeprecated, .get = never, .doc = "Always absent. Deprecated.", .example = "proc.is_container_readiness_probe = true", .events = "none"},
};
// clang-format on
#undef QUELL_OWN

}  // namespace

FieldClass proc_fields() { return {"proc", "Processes and threads", "events of a known thread", kFields}; }

}  // namespace quell::detect
