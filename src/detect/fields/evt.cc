// evt.*, syscall.type: the event itself.
#include <cstring>
#include <ctime>

#include "base/moment.h"
#include "base/text.h"
#include "detect/fields/event_params.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string local_text(uint64_t ns, const char* format, bool with_fraction) {
  const tm parts = local_time(static_cast<time_t>(ns / kSecond));
  char text[48];
  std::strftime(text, sizeof text, format, &parts);
  return with_fraction ? fmt::format("{}.{:09}", text, ns % kSecond) : text;
}

Value iso8601(const Extract& x, const FieldArg&) {
  constexpr std::string_view kZone = "+0000";
  char text[kIso8601Length - 1 + kZone.size()];
  write_iso8601_utc(x.event().ts_ns(), text);
  std::memcpy(text + kIso8601Length - 1, kZone.data(), kZone.size());
  return text_in(x, {text, sizeof text});
}

// What rules call the event: generic events are known by their system call, async events by their own name.
std::string_view type_name(const Event& event) {
  switch (event.code()) {
    case ev::GENERIC_E:
    case ev::GENERIC_X: {
      const SyscallSpec* call = syscall_by_code(static_cast<uint32_t>(event.param(0).u64()));
      if (call == nullptr || call->code == 0) call = syscall_by_number(event.param(1).i64());
      return call == nullptr ? std::string_view("unknown") : call->name;
    }
    case ev::ASYNCEVENT_E: return event.param(1).text();
    default: return event.spec().name;
  }
}

bool is_meta(const Event& event) { return event.spec().source == EventClass::meta; }

Value category(const Extract& x, const FieldArg&) {
  static constexpr std::string_view kNames[] = {
      "unknown", "other", "file",       "net", "IPC", "memory", "process", "sleep",     "system",  "signal",
      "user",    "time",  "processing", "",    "",    "",       "wait",    "scheduler", "internal"};
  const EventCategory category = x.event().spec().category;
  if (category != EventCategory::io_read && category != EventCategory::io_write && category != EventCategory::io_other)
    return Value::text(kNames[static_cast<size_t>(category)]);
  const Fd* fd = x.context.fd;
  if (fd == nullptr) return Value::text("unknown");
  switch (fd->type) {
    case FdType::file:
    case FdType::directory: return Value::text("file");
    case FdType::ipv4:
    case FdType::ipv6:
    case FdType::ipv4_server:
    case FdType::ipv6_server: return Value::text("net");
    case FdType::fifo:
    case FdType::unix_socket:
    case FdType::event:
    case FdType::signalfd:
    case FdType::inotify:
    case FdType::userfaultfd: return Value::text("ipc");
    default: return Value::text("unknown");
  }
}

Value buffer(const Extract& x, const FieldArg&) {
  static const auto index = [] {
    std::array<int8_t, kEventCodeCount> table{};
    for (const EventSpec& event : kEventTable) table[event.code] = static_cast<int8_t>(event.param_index("data"));
    return table;
  }();
  const int at = index[x.event().code()];
  if (at < 0 || !x.event().carries(static_cast<size_t>(at)) || is_meta(x.event())) return {};
  const Param param = x.event().param(static_cast<size_t>(at));
  return Value::bytes(param.data == nullptr ? reinterpret_cast<const uint8_t*>("") : param.data, param.len);
}

// I/O by the event's category, which also counts what neither reads nor writes (lseek): so does the reference.
enum class Io { any, in, out };
enum class On { any, file, net };
template <On kOn, Io kIo>
Value buflen(const Extract& x, const FieldArg&) {
  const EventCategory category = x.event().spec().category;
  const bool is_read = category == EventCategory::io_read, is_write = category == EventCategory::io_write;
  if (kIo == Io::in    ? !is_read
      : kIo == Io::out ? !is_write
                       : !is_read && !is_write && category != EventCategory::io_other)
    return {};
  const Fd* fd = x.context.fd;
  if (fd == nullptr || (kOn == On::file && !fd->is_file()) || (kOn == On::net && !fd->is_inet())) return {};
  if (x.event().spec().dir != EventDir::exit || !x.context.result || *x.context.result < 0) return {};
  return Value::number(static_cast<uint64_t>(*x.context.result));
}

Value res(const Extract& x, const FieldArg&) {
  if (!x.context.result) return {};
  if (*x.context.result >= 0) return Value::text("SUCCESS");
  // Process ids have no error names: a failed clone shows its number.
  return text_in(x, param_text(x, 0));
}
Value rawres(const Extract& x, const FieldArg&) {
  return x.context.result ? Value::integer(*x.context.result) : Value{};
}
Value failed(const Extract& x, const FieldArg&) {
  return x.context.result ? Value::boolean(*x.context.result < 0) : Value{};
}

template <uint32_t kFlags>
Value has_flag(const Extract& x, const FieldArg&) {
  return Value::boolean(x.event().spec().has(kFlags));
}
Value io_dir(const Extract& x, const FieldArg&) {
  if (x.event().spec().has(kEvWritesToFd)) return Value::text("write");
  if (x.event().spec().has(kEvReadsFromFd)) return Value::text("read");
  return {};
}
Value is_syslog(const Extract& x, const FieldArg&) {
  return Value::boolean(x.event().spec().has(kEvWritesToFd) && x.context.fd != nullptr &&
                        x.context.fd->name.find("/dev/log") != std::string::npos);
}

// The open family, by where their flags and mode are.
struct OpenParams {
  int flags, mode;
};
OpenParams open_params(EventCode code) {
  switch (code) {
    case ev::SYSCALL_OPEN_X: return {2, 3};
    case ev::SYSCALL_OPENAT_2_X: return {3, 4};
    case ev::SYSCALL_OPENAT2_X: return {3, 4};
    case ev::SYSCALL_OPEN_BY_HANDLE_AT_X: return {2, -1};
    default: return {-1, -1};
  }
}
constexpr uint32_t kRdonly = 1, kWronly = 2, kCreat = 4, kTmpfile = 8192, kFCreated = 16384;

uint32_t open_flags(const Event& event) {
  const OpenParams at = open_params(event.code());
  return at.flags < 0 ? 0 : static_cast<uint32_t>(event.param(static_cast<size_t>(at.flags)).u64());
}
template <uint32_t kBit>
Value is_open(const Extract& x, const FieldArg&) {
  return Value::boolean((open_flags(x.event()) & kBit) != 0);
}
Value is_open_exec(const Extract& x, const FieldArg&) {
  constexpr uint32_t kAnyX = 0111;
  const Event& event = x.event();
  if (event.code() == ev::SYSCALL_CREAT_X) return Value::boolean((event.param(2).u64() & kAnyX) != 0);
  const OpenParams at = open_params(event.code());
  if (at.mode < 0) return Value::boolean(false);
  return Value::boolean((open_flags(event) & (kCreat | kTmpfile)) != 0 &&
                        (event.param(static_cast<size_t>(at.mode)).u64() & kAnyX) != 0);
}
Value is_open_create(const Extract& x, const FieldArg&) {
  const uint32_t flags = open_flags(x.event());
  return Value::boolean((flags & kFCreated) != 0 ||
                        ((flags & kTmpfile) != 0 && x.context.result && *x.context.result >= 0));
}

enum class Errors { any, file, net, memory, other };
bool is_error_of(Errors which, const Extract& x) {
  const Fd* fd = x.context.fd;
  const EventCode code = x.event().code();
  // Without an entry the event itself says what it would have made.
  const bool is_file = fd != nullptr ? fd->is_file() || fd->type == FdType::directory
                                     : open_params(code).flags >= 0 || code == ev::SYSCALL_CREAT_X;
  const bool is_net =
      fd != nullptr ? fd->is_socket()
                    : code == ev::SOCKET_ACCEPT_5_X || code == ev::SOCKET_ACCEPT4_6_X || code == ev::SOCKET_CONNECT_X;
  const bool is_memory = x.event().spec().category == EventCategory::memory;
  switch (which) {
    case Errors::any: return true;
    case Errors::file: return is_file;
    case Errors::net: return is_net;
    case Errors::memory: return is_memory;
    case Errors::other: return !is_file && !is_net && (fd != nullptr || !is_memory);
  }
  return false;
}
template <Errors kWhich>
Value error_count(const Extract& x, const FieldArg&) {
  if (!x.context.result || !is_error_of(kWhich, x)) return {};
  return Value::number(*x.context.result < 0 ? 1 : 0);
}

// By number that very type; by name the first pair of the table, so re-versioned events never match: kept as users know
// it.
std::optional<Finding> bind_type_is(FieldRef& ref) {
  uint64_t number = 0;
  if (parse_u64(ref.arg.text, number)) {
    ref.arg.index = number < kEventCodeCount ? static_cast<int64_t>(number) : int64_t{kEventCodeCount};
    return {};
  }
  std::vector<std::string_view> names;
  for (const EventSpec& event : kEventTable) {
    if (event.name == ref.arg.text) {
      ref.arg.param_of[0] = 1;  // the pair
      ref.arg.index = event.code;
      return {};
    }
    names.push_back(event.name);
  }
  Finding finding;
  finding.unknown_filter = true;
  finding.message = "filter_check called with nonexistent field " + ref.text;
  if (const std::string_view near = nearest(ref.arg.text, names); !near.empty())
    finding.suggestion = "did you mean " + std::string(near) + "?";
  return finding;
}
Value type_is(const Extract& x, const FieldArg& a) {
  const int64_t code = x.event().code();
  return Value::number(code == a.index || (a.param_of[0] == 1 && code == a.index + 1) ? 1 : 0);
}

Value around(const Extract& x, const FieldArg& a) {
  // Compared as a distance in ms by the operator: evt.around[T]=D holds when |ts - T| <= D.
  uint64_t center = a.index < 0 ? 0 : static_cast<uint64_t>(a.index);
  const uint64_t ts = x.event().ts_ns();
  return Value::number((ts > center ? ts - center : center - ts) / 1'000'000);
}

// Directory descriptor and path of the calls that evt.abspath covers; a second side where both can be asked for.
struct Sides {
  EventCode code;
  int8_t dirfd, path, dest_dirfd, dest_path;
};
constexpr Sides kSides[] = {
    {ev::SYSCALL_RENAMEAT_X, 1, 2, 3, 4},   {ev::SYSCALL_RENAMEAT2_X, 1, 2, 3, 4}, {ev::SYSCALL_LINKAT_2_X, 1, 2, 3, 4},
    {ev::SYSCALL_SYMLINKAT_X, 2, 3, 2, 3},  {ev::SYSCALL_OPENAT_2_X, 1, 2, 1, 2},  {ev::SYSCALL_OPENAT2_X, 1, 2, 1, 2},
    {ev::SYSCALL_UNLINKAT_2_X, 1, 2, 1, 2}, {ev::SYSCALL_MKDIRAT_X, 1, 2, 1, 2},   {ev::SYSCALL_FCHMODAT_X, 1, 2, 1, 2},
    {ev::SYSCALL_FCHOWNAT_X, 1, 2, 1, 2},
};
Value abspath(const Extract& x, const FieldArg& a) {
  if (x.thread() == nullptr) return {};
  const Event& event = x.event();
  // The kernel gives a handle's path only for an open that worked.
  if (event.code() == ev::SYSCALL_OPEN_BY_HANDLE_AT_X)
    return x.context.result.value_or(-1) > 0 ? path_in(x, "", event.param(3).text()) : Value{};
  for (const Sides& sides : kSides) {
    if (sides.code != event.code()) continue;
    const bool dest = a.text == "dst";
    const Param dirfd = event.param(static_cast<size_t>(dest ? sides.dest_dirfd : sides.dirfd));
    const std::string_view name = event.param(static_cast<size_t>(dest ? sides.dest_path : sides.path)).text();
    if (name.empty() || dirfd.empty()) return {};
    return path_in(x, directory_of(x, dirfd.i64()), name);
  }
  return {};
}
std::optional<Finding> bind_abspath(FieldRef& ref) {
  if (!ref.arg.given || ref.arg.text == "src" || ref.arg.text == "dst") return {};
  Finding finding;
  finding.unknown_filter = true;
  finding.message = "filter_check called with nonexistent field " + ref.text;
  finding.suggestion = "the sides are evt.abspath.src and evt.abspath.dst";
  return finding;
}

uint64_t since_first(const Extract& x) { return since(x, x.context.first_ts_ns); }
// ns since the event that was looked at before this one, 0 the first time.
uint64_t delta(const Extract& x, Remembered what) {
  return remembered(x, what, [&](FieldMemory::Entry& kept) {
    const uint64_t passed = kept.last_ns == 0 ? 0 : since(x, kept.last_ns);
    kept.last_ns = x.event().ts_ns();
    return passed;
  });
}
// The remainder of a second as outputs write it, so that it can stand behind a decimal point.
Value nine_digits(const Extract& x, uint64_t ns) { return format_in(x, "{:09}", ns); }
// Times are text in outputs, and numbers in output_fields.
Value timestamp(const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns()); }
Value never(const Extract&, const FieldArg&) { return {}; }
Value zero(const Extract&, const FieldArg&) { return Value::number(0); }

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "evt.num", .type = Type::uint64, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.context.number); },
     .doc = "Running number of the event; the first is 1.", .example = "evt.num >= 0"},
    {.name = "evt.time", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_text(x.event().ts_ns(), "%H:%M:%S", true)); },
     .json = timestamp, .doc = "Local time of day with nanoseconds; a number (ns since the epoch) in JSON.", .example = "evt.time startswith \"03:\""},
    {.name = "evt.time.s", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_text(x.event().ts_ns(), "%H:%M:%S", false)); },
     .json = timestamp, .doc = "Local time of day.", .example = "evt.time.s = \"10:20:30\""},
    {.name = "evt.time.iso8601", .get = iso8601, .json = timestamp, .doc = "UTC date and time with nanoseconds, ISO 8601.", .example = "evt.time.iso8601 startswith 2024-05-01"},
    {.name = "evt.datetime", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_text(x.event().ts_ns(), "%Y-%m-%d %H:%M:%S", true)); },
     .json = timestamp, .doc = "Local date and time with nanoseconds.", .example = "evt.datetime startswith 2024-05-01"},
    {.name = "evt.datetime.s", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_text(x.event().ts_ns(), "%Y-%m-%d %H:%M:%S", false)); },
     .json = timestamp, .doc = "Local date and time.", .example = "evt.datetime.s = \"2024-05-01 10:20:30\""},
    {.name = "evt.rawtime", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns()); },
     .doc = "Timestamp in ns since the epoch.", .example = "evt.rawtime > 1714558830000000000"},
    {.name = "evt.rawtime.s", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns() / kSecond); },
     .doc = "Whole seconds of the timestamp.", .example = "evt.rawtime.s >= 1714558830"},
    {.name = "evt.rawtime.ns", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns() % kSecond); },
     .print = [](const Extract& x, const FieldArg&) { return nine_digits(x, x.event().ts_ns() % kSecond); }, .json = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns() % kSecond); },
     .doc = "Nanoseconds within the second, nine digits in outputs.", .example = "evt.rawtime.ns < 500000000"},
    {.name = "evt.reltime", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x)); },
     .doc = "ns since the first event.", .example = "evt.reltime < 1000000000"},
    {.name = "evt.reltime.s", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x) / kSecond); },
     .doc = "Whole seconds since the first event.", .example = "evt.reltime.s < 60"},
    {.name = "evt.reltime.ns", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x) % kSecond); },
     .print = [](const Extract& x, const FieldArg&) { return nine_digits(x, since_first(x) % kSecond); }, .json = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x) % kSecond); },
     .doc = "Nanosecond remainder of the time since the first event, nine digits in outputs.", .example = "evt.reltime.ns < 500000000"},
    {.name = "evt.pluginname", .get = never, .doc = "Name of the plugin that made a plugin event; absent for system calls.", .example = "evt.pluginname = k8saudit", .events = "plugin events"},
    {.name = "evt.plugininfo", .get = never, .doc = "One-line rendering of a plugin event; absent for system calls.", .example = "evt.plugininfo contains delete", .events = "plugin events"},
    {.name = "evt.source", .get = [](const Extract& x, const FieldArg&) { return x.context.source.empty() ? Value{} : Value::text(x.context.source); },
     .doc = "Event source.", .example = "evt.source = syscall"},
    {.name = "evt.is_async", .type = Type::boolean, .get = [](const Extract& x, const FieldArg&) { return Value::boolean(is_meta(x.event())); },
     .doc = "True for meta events (container, user and group events).", .example = "evt.is_async = true"},
    {.name = "evt.asynctype", .get = [](const Extract& x, const FieldArg&) { return is_meta(x.event()) ? Value::text(type_name(x.event())) : Value{}; },
     .doc = "Name of a meta event; absent for others.", .example = "evt.asynctype = container", .events = "meta events"},
    {.name = "evt.hostname", .get = [](const Extract& x, const FieldArg&) { return Value::text(x.context.state->machine().hostname); },
     .doc = "Name of the host where the event happened.", .example = "evt.hostname startswith web-"},
    {.name = "evt.type", .flags = kNoRightSide | kNoTransformers,
     .get = [](const Extract& x, const FieldArg&) { return Value::text(type_name(x.event())); },
     .doc = "Name of the event: the system call, tracepoint or meta event.", .example = "evt.type in (execve, execveat)"},
    {.name = "evt.type.is", .type = Type::uint32, .arg = Arg::required_key, .flags = kDotArgument, .get = type_is, .bind = bind_type_is,
     .doc = "1 for events of the first pair in the event table with that name, or of that number; 0 for others.", .example = "evt.type.is.openat = 1"},
    {.name = "syscall.type", .get = [](const Extract& x, const FieldArg&) {
       return x.event().spec().source == EventClass::syscall ? Value::text(type_name(x.event())) : Value{}; },
     .doc = "As evt.type, absent for what is not a system call.", .example = "syscall.type = ptrace", .events = "system calls"},
    {.name = "evt.category", .get = category, .doc = "Category of the event; for I/O the kind of its descriptor.", .example = "evt.category = net"},
    {.name = "evt.cpu", .type = Type::int16, .get = [](const Extract& x, const FieldArg&) { return Value::integer(x.event().cpu); },
     .doc = "CPU on which it happened.", .example = "evt.cpu = 0"},
    {.name = "evt.dir", .flags = kDeprecated, .get = [](const Extract& x, const FieldArg&) { return Value::text(x.event().spec().dir == EventDir::enter ? ">" : "<"); },
     .doc = "'>' for enter and meta events, '<' for exits. Deprecated: rules see exits.", .example = "evt.dir = <"},
    {.name = "evt.args", .get = event_args,  .doc = "All parameters as name=value, separated by spaces.", .example = "evt.args contains O_TRUNC"},
    {.name = "evt.info", .get = event_args,  .doc = "Same as evt.args.", .example = "evt.info contains O_TRUNC"},
    {.name = "evt.arg", .arg = Arg::required_key, .flags = kDotArgument, .get = event_arg, .bind = bind_event_arg,
     .doc = "One parameter as text, by name or index: names of flags, errors, users and descriptors where there are such.", .example = "evt.arg.flags contains O_CREAT", .events = "events that have the parameter"},
    {.name = "evt.rawarg", .type = Type::dynamic, .arg = Arg::required_key, .flags = kDotArgument | kNoTransformers | kNoRightSide, .get = raw_event_arg, .print = raw_event_arg_text, .bind = bind_raw_event_arg,
     .doc = "One parameter by name as it is: number, text or bytes.", .example = "evt.rawarg.res < 0", .events = "events that have the parameter"},
    {.name = "evt.buffer", .type = Type::bytes, .get = buffer, .doc = "Payload of an I/O event, cut at the snap length.", .example = "evt.buffer bcontains cafebabe", .events = "events with a data parameter: read, write, recvfrom, sendto and their kin, init_module and others"},
    {.name = "evt.buflen", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::any, Io::any>, .doc = "Bytes moved by an I/O event.", .example = "evt.buflen > 1000000", .events = "I/O on a known descriptor"},
    {.name = "evt.res", .get = res, .doc = "SUCCESS or the error's name; absent without a return value.", .example = "evt.res = EACCES", .events = "system calls with a return value"},
    {.name = "evt.rawres", .type = Type::int64, .get = rawres, .doc = "Return value.", .example = "evt.rawres >= 0", .events = "system calls with a return value"},
    {.name = "evt.failed", .type = Type::boolean, .get = failed, .doc = "True if the return value is negative.", .example = "evt.failed = true", .events = "system calls with a return value"},
    {.name = "evt.is_io", .type = Type::boolean, .get = has_flag<kEvReadsFromFd | kEvWritesToFd>, .doc = "The event reads or writes a descriptor.", .example = "evt.is_io = true"},
    {.name = "evt.is_io_read", .type = Type::boolean, .get = has_flag<kEvReadsFromFd>, .doc = "The event reads from a descriptor.", .example = "evt.is_io_read = true"},
    {.name = "evt.is_io_write", .type = Type::boolean, .get = has_flag<kEvWritesToFd>, .doc = "The event writes to a descriptor.", .example = "evt.is_io_write = true"},
    {.name = "evt.io_dir", .get = io_dir, .doc = "read or write; absent for others.", .example = "evt.io_dir = write", .events = "events that read from or write to a descriptor"},
    {.name = "evt.is_wait", .type = Type::boolean, .get = has_flag<kEvWaits>, .doc = "The event makes the thread wait.", .example = "evt.is_wait = true"},
    {.name = "evt.is_syslog", .type = Type::boolean, .get = is_syslog, .doc = "A write to /dev/log.", .example = "evt.is_syslog = true", .events = "any event; true on writes"},
    {.name = "evt.is_open_read", .type = Type::boolean, .get = is_open<kRdonly>, .doc = "An open for reading (never absent; failed opens count).", .example = "evt.is_open_read = true", .events = "any event; true on open, openat, openat2, open_by_handle_at"},
    {.name = "evt.is_open_write", .type = Type::boolean, .get = is_open<kWronly>, .doc = "An open for writing (never absent; failed opens count).", .example = "evt.is_open_write = true", .events = "any event; true on open, openat, openat2, open_by_handle_at"},
    {.name = "evt.is_open_exec", .type = Type::boolean, .get = is_open_exec, .doc = "An open or creat that makes an executable file.", .example = "evt.is_open_exec = true", .events = "any event; true on open, openat, openat2, creat"},
    {.name = "evt.is_open_create", .type = Type::boolean, .get = is_open_create, .doc = "An open that made a new file.", .example = "evt.is_open_create = true", .events = "any event; true on open, openat, openat2, open_by_handle_at"},
    {.name = "evt.deltatime", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(delta(x, Remembered::delta)); },
     .doc = "ns since the event before this one that the rules (in an output: that output) looked at for this field; 0 the first time.", .example = "evt.deltatime > 1000000000"},
    {.name = "evt.deltatime.s", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(delta(x, Remembered::delta_s) / kSecond); },
     .doc = "Whole seconds of evt.deltatime.", .example = "evt.deltatime.s >= 10"},
    {.name = "evt.deltatime.ns", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(delta(x, Remembered::delta_ns) % kSecond); },
     .print = [](const Extract& x, const FieldArg&) { return nine_digits(x, delta(x, Remembered::delta_ns) % kSecond); }, .json = [](const Extract& x, const FieldArg&) { return Value::number(delta(x, Remembered::delta_ns) % kSecond); },
     .doc = "Nanosecond remainder of evt.deltatime, nine digits in outputs.", .example = "evt.deltatime.ns > 0"},
    {.name = "evt.latency", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated.", .example = "evt.latency = 0"},
    {.name = "evt.latency.s", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated.", .example = "evt.latency.s = 0"},
    {.name = "evt.latency.ns", .type = Type::reltime, .flags = kDeprecated, .get = zero, .print = [](const Extract& x, const FieldArg&) { return nine_digits(x, 0); }, .json = zero, .doc = "Always 0. Deprecated.", .example = "evt.latency.ns = 0"},
    {.name = "evt.latency.quantized", .type = Type::uint64, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated.", .example = "evt.latency.quantized = 0"},
    {.name = "evt.latency.human", .flags = kDeprecated, .get = [](const Extract&, const FieldArg&) { return Value::text("0ns"); }, .doc = "Always 0ns. Deprecated.", .example = "evt.latency.human = 0ns"},
    {.name = "evt.wait_latency", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated.", .example = "evt.wait_latency = 0"},
    {.name = "evt.outputtime", .flags = kOutputOnly, .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_text(x.event().ts_ns(), "%H:%M:%S", true)); }, .json = timestamp,
     .doc = "The time in front of text detections: local time of day with nanoseconds.", .example = "%evt.outputtime"},
    {.name = "evt.count", .type = Type::uint32, .get = [](const Extract&, const FieldArg&) { return Value::number(1); }, .doc = "Always 1.", .example = "evt.count = 1"},
    {.name = "evt.count.error", .type = Type::uint32, .get = error_count<Errors::any>, .doc = "1 if the call failed, 0 if not.", .example = "evt.count.error = 1", .events = "system calls with a return value"},
    {.name = "evt.count.error.file", .type = Type::uint32, .get = error_count<Errors::file>, .doc = "1 if a call on a file failed, 0 if not.", .example = "evt.count.error.file = 1", .events = "calls on files and directories, opens"},
    {.name = "evt.count.error.net", .type = Type::uint32, .get = error_count<Errors::net>, .doc = "1 if a call on a socket failed, 0 if not.", .example = "evt.count.error.net = 1", .events = "calls on sockets, accept, connect"},
    {.name = "evt.count.error.memory", .type = Type::uint32, .get = error_count<Errors::memory>, .doc = "1 if a memory call failed, 0 if not.", .example = "evt.count.error.memory = 1", .events = "mmap, munmap, brk and their kin"},
    {.name = "evt.count.error.other", .type = Type::uint32, .get = error_count<Errors::other>, .doc = "1 if any other call failed, 0 if not.", .example = "evt.count.error.other = 1", .events = "system calls that none of these counts"},
    {.name = "evt.count.exit", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) {
       return x.event().spec().dir == EventDir::exit ? Value::number(1) : Value{}; }, .doc = "1 for exit events.", .example = "evt.count.exit = 1", .events = "system calls"},
    {.name = "evt.count.procinfo", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().code() == ev::PROCINFO_E && x.thread() != nullptr && x.thread()->is_main() ? 1 : 0); },
     .doc = "1 for procinfo events of main threads, 0 for others.", .example = "evt.count.procinfo = 1"},
    {.name = "evt.count.threadinfo", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().code() == ev::PROCINFO_E ? 1 : 0); },
     .doc = "1 for procinfo events, 0 for others.", .example = "evt.count.threadinfo = 1"},
    {.name = "evt.around", .type = Type::uint64, .arg = Arg::required_index, .flags = kFilterOnly | kNoTransformers | kNoRightSide, .get = around,
     .doc = "evt.around[T]=D: the event happened within D ms of T (ns since the epoch).", .example = "evt.around[1404996934793590564] = 1000"},
    {.name = "evt.abspath", .arg = Arg::optional_key, .flags = kDotArgument, .get = abspath, .bind = bind_abspath,
     .doc = "Absolute path of a call that takes a directory descriptor; .src and .dst pick a side where there are two.", .example = "evt.abspath.dst startswith /etc/", .events = "renameat, renameat2, linkat, symlinkat, openat, openat2, open_by_handle_at, unlinkat, mkdirat, fchmodat, fchownat"},
    {.name = "evt.buflen.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::any, Io::in>, .doc = "Bytes read.", .example = "evt.buflen.in > 0", .events = "reads on a known descriptor"},
    {.name = "evt.buflen.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::any, Io::out>, .doc = "Bytes written.", .example = "evt.buflen.out > 0", .events = "writes on a known descriptor"},
    {.name = "evt.buflen.file", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::file, Io::any>, .doc = "Bytes moved on files.", .example = "evt.buflen.file > 0", .events = "I/O on a known file"},
    {.name = "evt.buflen.file.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::file, Io::in>, .doc = "Bytes read from files.", .example = "evt.buflen.file.in > 0", .events = "reads on a known file"},
    {.name = "evt.buflen.file.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::file, Io::out>, .doc = "Bytes written to files.", .example = "evt.buflen.file.out > 0", .events = "writes on a known file"},
    {.name = "evt.buflen.net", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::net, Io::any>, .doc = "Bytes moved on inet sockets.", .example = "evt.buflen.net > 0", .events = "I/O on a known inet socket"},
    {.name = "evt.buflen.net.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::net, Io::in>, .doc = "Bytes received.", .example = "evt.buflen.net.in > 0", .events = "reads on a known inet socket"},
    {.name = "evt.buflen.net.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen<On::net, Io::out>, .doc = "Bytes sent.", .example = "evt.buflen.net.out > 0", .events = "writes on a known inet socket"},
    {.name = "evt.infra.docker.name", .get = never, .doc = "Of infrastructure events, which no sensor writes any more: always absent.", .example = "evt.infra.docker.name exists", .events = "none"},
    {.name = "evt.infra.docker.container.id", .get = never, .doc = "Of infrastructure events, which no sensor writes any more: always absent.", .example = "evt.infra.docker.container.id exists", .events = "none"},
    {.name = "evt.infra.docker.container.name", .get = never, .doc = "Of infrastructure events, which no sensor writes any more: always absent.", .example = "evt.infra.docker.container.name exists", .events = "none"},
    {.name = "evt.infra.docker.container.image", .get = never, .doc = "Of infrastructure events, which no sensor writes any more: always absent.", .example = "evt.infra.docker.container.image exists", .events = "none"},
};
// clang-format on

}  // namespace

FieldClass evt_fields() { return {"evt", "Events", "any event", kFields}; }

}  // namespace quell::detect
