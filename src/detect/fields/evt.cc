// evt.*, syscall.type: the event itself.
#include <ctime>

#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

std::string local_time(uint64_t ns, const char* format, bool with_fraction) {
  const auto seconds = static_cast<time_t>(ns / kSecond);
  tm parts{};
  localtime_r(&seconds, &parts);
  char text[48];
  std::strftime(text, sizeof text, format, &parts);
  return with_fraction ? fmt::format("{}.{:09}", text, ns % kSecond) : text;
}

Value iso8601(const Extract& x, const FieldArg&) {
  const auto seconds = static_cast<time_t>(x.event().ts_ns() / kSecond);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[48];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  return format_in(x, "{}.{:09}+0000", text, x.event().ts_ns() % kSecond);
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
    case FdType::eventpoll:
    case FdType::inotify:
    case FdType::timerfd: return Value::text("ipc");
    default: return Value::text("unknown");
  }
}

Value args(const Extract& x, const FieldArg&) {
  const Event& event = x.event();
  if (event.code() == ev::GENERIC_E || event.code() == ev::GENERIC_X) return Value::text("");
  std::string out;
  for (size_t i = 0; i < event.nparams(); ++i) {
    if (!out.empty()) out += ' ';
    out += event.spec().params[i].name;
    out += '=';
    out += param_text_both(x, i);
  }
  return text_in(x, out);
}

Value arg(const Extract& x, const FieldArg& a) {
  const int index = a.index >= 0 ? static_cast<int>(a.index) : a.param_of[x.event().code()];
  if (index < 0 || !x.event().carries(static_cast<size_t>(index))) return {};
  return text_in(x, param_text(x, static_cast<size_t>(index)));
}

Value rawarg(const Extract& x, const FieldArg& a) {
  const int index = a.param_of[x.event().code()];
  if (index < 0) return {};
  const Param param = x.event().param(static_cast<size_t>(index));
  if (param.empty()) return {};
  switch (x.event().spec().params[static_cast<size_t>(index)].type) {
    case ParamType::charbuf:
    case ParamType::fspath:
    case ParamType::fsrelpath: return Value::text(param.text());
    case ParamType::int8:
    case ParamType::int16:
    case ParamType::int32:
    case ParamType::int64:
    case ParamType::errno_:
    case ParamType::fd:
    case ParamType::fd32:
    case ParamType::pid:
    case ParamType::pid32: return Value::integer(param.i64());
    case ParamType::bytebuf:
    case ParamType::sockaddr:
    case ParamType::socktuple:
    case ParamType::fdlist:
    case ParamType::dyn:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array: return Value::bytes(param.data, param.len);
    case ParamType::ipv4addr:
    case ParamType::ipv6addr: return Value::bytes(param.data, param.len);
    default: return Value::number(param.u64());
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

Value buflen(const Extract& x, const FieldArg&) {
  if (!x.event().spec().has(kEvReadsFromFd | kEvWritesToFd) || x.context.fd == nullptr || !x.context.result ||
      *x.context.result < 0)
    return {};
  return Value::number(static_cast<uint64_t>(*x.context.result));
}

enum class Io { any, in, out };
enum class On { any, file, net };
template <On kOn, Io kIo>
Value buflen_of(const Extract& x, const FieldArg& a) {
  if (kIo == Io::in && !x.event().spec().has(kEvReadsFromFd)) return {};
  if (kIo == Io::out && !x.event().spec().has(kEvWritesToFd)) return {};
  const Fd* fd = x.context.fd;
  if (fd == nullptr || (kOn == On::file && !fd->is_file()) || (kOn == On::net && !fd->is_inet())) return {};
  return buflen(x, a);
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
Errors error_class(const Extract& x) {
  const Fd* fd = x.context.fd;
  const EventCode code = x.event().code();
  if ((fd != nullptr && (fd->is_file() || fd->type == FdType::directory)) || open_params(code).flags >= 0 ||
      code == ev::SYSCALL_CREAT_X)
    return Errors::file;
  if ((fd != nullptr && fd->is_socket()) || code == ev::SOCKET_ACCEPT_5_X || code == ev::SOCKET_ACCEPT4_6_X ||
      code == ev::SOCKET_CONNECT_X)
    return Errors::net;
  if (x.event().spec().category == EventCategory::memory) return Errors::memory;
  return Errors::other;
}
template <Errors kWhich>
Value error_count(const Extract& x, const FieldArg&) {
  if (!x.context.result) return {};
  if (kWhich != Errors::any && error_class(x) != kWhich) return {};
  return Value::number(*x.context.result < 0 ? 1 : 0);
}

Value type_is(const Extract& x, const FieldArg& a) {
  // Only the first pair of the table with that name counts, so re-versioned events never match; kept as users know it.
  for (const EventSpec& event : kEventTable)
    if (event.name == a.text) return Value::number((x.event().code() | 1) == (event.code | 1) ? 1 : 0);
  return Value::number(0);
}

Value around(const Extract& x, const FieldArg& a) {
  // Compared as a distance in ms by the operator: evt.around[T]=D holds when |ts - T| <= D.
  uint64_t center = a.index < 0 ? 0 : static_cast<uint64_t>(a.index);
  const uint64_t ts = x.event().ts_ns();
  return Value::number((ts > center ? ts - center : center - ts) / 1'000'000);
}

// Directory descriptor and path of each side of the calls that evt.abspath covers.
struct Sides {
  EventCode code;
  int dirfd, path, dest_dirfd, dest_path;
};
constexpr Sides kSides[] = {
    {ev::SYSCALL_RENAMEAT_X, 1, 2, 3, 4},   {ev::SYSCALL_RENAMEAT2_X, 1, 2, 3, 4},
    {ev::SYSCALL_SYMLINKAT_X, 2, 3, -1, 1}, {ev::SYSCALL_OPENAT_2_X, 1, 2, -2, -1},
    {ev::SYSCALL_OPENAT2_X, 1, 2, -2, -1},  {ev::SYSCALL_OPEN_BY_HANDLE_AT_X, -1, 3, -2, -1},
    {ev::SYSCALL_LINKAT_2_X, 1, 2, 3, 4},   {ev::SYSCALL_UNLINKAT_2_X, 1, 2, -2, -1},
    {ev::SYSCALL_MKDIRAT_X, 1, 2, -2, -1},  {ev::SYSCALL_FCHMODAT_X, 1, 2, -2, -1},
    {ev::SYSCALL_FCHOWNAT_X, 1, 2, -2, -1},
};
Value abspath(const Extract& x, const FieldArg& a) {
  for (const Sides& sides : kSides) {
    if (sides.code != x.event().code()) continue;
    const bool dest = a.text == "dst";
    const int path = dest ? sides.dest_path : sides.path;
    const int dirfd = dest ? sides.dest_dirfd : sides.dirfd;
    if (path < 0) return {};
    const std::string_view name = x.event().param(static_cast<size_t>(path)).text();
    if (name.empty()) return {};
    const int64_t fd = dirfd < 0 ? -100 : x.event().param(static_cast<size_t>(dirfd)).i64();
    return text_in(x, absolute_path(directory_of(x, fd), name));
  }
  return {};
}

uint64_t since_first(const Extract& x) { return x.event().ts_ns() - x.context.first_ts_ns; }
Value zero(const Extract&, const FieldArg&) { return Value::number(0); }

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "evt.num", .type = Type::uint64, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.context.number); },
     .doc = "Running number of the event; the first is 1.", .example = "evt.num >= 0"},
    {.name = "evt.time", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_time(x.event().ts_ns(), "%H:%M:%S", true)); },
     .doc = "Local time of day with nanoseconds."},
    {.name = "evt.time.s", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_time(x.event().ts_ns(), "%H:%M:%S", false)); },
     .doc = "Local time of day."},
    {.name = "evt.time.iso8601", .get = iso8601, .doc = "UTC date and time with nanoseconds, ISO 8601."},
    {.name = "evt.datetime", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_time(x.event().ts_ns(), "%Y-%m-%d %H:%M:%S", true)); },
     .doc = "Local date and time with nanoseconds."},
    {.name = "evt.datetime.s", .get = [](const Extract& x, const FieldArg&) { return text_in(x, local_time(x.event().ts_ns(), "%Y-%m-%d %H:%M:%S", false)); },
     .doc = "Local date and time."},
    {.name = "evt.rawtime", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns()); },
     .doc = "Timestamp in ns since the epoch."},
    {.name = "evt.rawtime.s", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns() / kSecond); },
     .doc = "Whole seconds of the timestamp."},
    {.name = "evt.rawtime.ns", .type = Type::abstime, .get = [](const Extract& x, const FieldArg&) { return Value::number(x.event().ts_ns() % kSecond); },
     .print = [](const Extract& x, const FieldArg&) { return format_in(x, "{:010}", x.event().ts_ns() % kSecond); },
     .doc = "Nanoseconds within the second."},
    {.name = "evt.reltime", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x)); },
     .doc = "ns since the first event."},
    {.name = "evt.reltime.s", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x) / kSecond); },
     .doc = "Whole seconds since the first event."},
    {.name = "evt.reltime.ns", .type = Type::reltime, .get = [](const Extract& x, const FieldArg&) { return Value::number(since_first(x) % kSecond); },
     .doc = "Nanosecond remainder since the first event."},
    {.name = "evt.pluginname", .get = [](const Extract&, const FieldArg&) { return Value{}; },
     .doc = "Name of the source that made a plugin event; absent for system calls."},
    {.name = "evt.plugininfo", .get = [](const Extract&, const FieldArg&) { return Value{}; },
     .doc = "One-line rendering of a plugin event; absent for system calls."},
    {.name = "evt.source", .get = [](const Extract& x, const FieldArg&) { return Value::text(x.context.source); },
     .doc = "Event source.", .example = "evt.source = syscall"},
    {.name = "evt.is_async", .type = Type::boolean, .get = [](const Extract& x, const FieldArg&) { return Value::boolean(is_meta(x.event())); },
     .doc = "True for meta events (container, user and group events)."},
    {.name = "evt.asynctype", .get = [](const Extract& x, const FieldArg&) { return is_meta(x.event()) ? Value::text(type_name(x.event())) : Value{}; },
     .doc = "Name of a meta event; absent for others."},
    {.name = "evt.hostname", .get = [](const Extract& x, const FieldArg&) { return Value::text(x.context.state->machine().hostname); },
     .doc = "Name of the host where the event happened."},
    {.name = "evt.type", .flags = kNoRightSide | kNoTransformers,
     .get = [](const Extract& x, const FieldArg&) { return Value::text(type_name(x.event())); },
     .doc = "Name of the event: the system call, tracepoint or meta event.", .example = "evt.type in (execve, execveat)"},
    {.name = "evt.type.is", .type = Type::uint32, .arg = Arg::required_key, .get = type_is,
     .doc = "1 if the event is the first pair of the table with that name."},
    {.name = "syscall.type", .get = [](const Extract& x, const FieldArg&) {
       return x.event().spec().source == EventClass::syscall ? Value::text(type_name(x.event())) : Value{}; },
     .doc = "As evt.type, absent for what is not a system call."},
    {.name = "evt.category", .get = category, .doc = "Category of the event; for I/O the kind of its descriptor."},
    {.name = "evt.cpu", .type = Type::int16, .get = [](const Extract& x, const FieldArg&) { return Value::integer(x.event().cpu); },
     .doc = "CPU on which it happened."},
    {.name = "evt.dir", .flags = kDeprecated, .get = [](const Extract& x, const FieldArg&) { return Value::text(x.event().spec().dir == EventDir::enter ? ">" : "<"); },
     .doc = "'>' for enter and meta events, '<' for exits. Deprecated: rules see exits."},
    {.name = "evt.args", .get = args, .doc = "All parameters as name=value, separated by spaces."},
    {.name = "evt.info", .get = args, .doc = "Same as evt.args."},
    {.name = "evt.arg", .arg = Arg::required_key, .get = arg, .doc = "One parameter as text, by name or index.", .example = "evt.arg.flags contains O_CREAT"},
    {.name = "evt.rawarg", .type = Type::dynamic, .arg = Arg::required_key, .flags = kNoTransformers | kNoRightSide, .get = rawarg,
     .doc = "One parameter by name, as a number or bytes.", .example = "evt.rawarg.res < 0"},
    {.name = "evt.buffer", .type = Type::bytes, .get = buffer, .doc = "Payload of an I/O event, cut at the snap length.", .example = "evt.buffer bcontains cafebabe"},
    {.name = "evt.buflen", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen, .doc = "Bytes moved by an I/O event."},
    {.name = "evt.res", .get = res, .doc = "SUCCESS or the error's name; absent without a return value.", .example = "evt.res = EACCES"},
    {.name = "evt.rawres", .type = Type::int64, .get = rawres, .doc = "Return value.", .example = "evt.rawres >= 0"},
    {.name = "evt.failed", .type = Type::boolean, .get = failed, .doc = "True if the return value is negative."},
    {.name = "evt.is_io", .type = Type::boolean, .get = has_flag<kEvReadsFromFd | kEvWritesToFd>, .doc = "The event reads or writes a descriptor."},
    {.name = "evt.is_io_read", .type = Type::boolean, .get = has_flag<kEvReadsFromFd>, .doc = "The event reads from a descriptor."},
    {.name = "evt.is_io_write", .type = Type::boolean, .get = has_flag<kEvWritesToFd>, .doc = "The event writes to a descriptor."},
    {.name = "evt.io_dir", .get = io_dir, .doc = "read or write; absent for others."},
    {.name = "evt.is_wait", .type = Type::boolean, .get = has_flag<kEvWaits>, .doc = "The event makes the thread wait."},
    {.name = "evt.is_syslog", .type = Type::boolean, .get = is_syslog, .doc = "A write to /dev/log."},
    {.name = "evt.is_open_read", .type = Type::boolean, .get = is_open<kRdonly>, .doc = "An open for reading (never absent; failed opens count)."},
    {.name = "evt.is_open_write", .type = Type::boolean, .get = is_open<kWronly>, .doc = "An open for writing (never absent; failed opens count)."},
    {.name = "evt.is_open_exec", .type = Type::boolean, .get = is_open_exec, .doc = "An open or creat that makes an executable file."},
    {.name = "evt.is_open_create", .type = Type::boolean, .get = is_open_create, .doc = "An open that made a new file."},
    {.name = "evt.latency", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated."},
    {.name = "evt.latency.s", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated."},
    {.name = "evt.latency.ns", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated."},
    {.name = "evt.latency.quantized", .type = Type::uint64, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated."},
    {.name = "evt.latency.human", .flags = kDeprecated, .get = [](const Extract&, const FieldArg&) { return Value::text("0ns"); }, .doc = "Always 0ns. Deprecated."},
    {.name = "evt.wait_latency", .type = Type::reltime, .flags = kDeprecated, .get = zero, .doc = "Always 0. Deprecated."},
    {.name = "evt.outputtime", .flags = kOutputOnly, .get = iso8601, .doc = "Time in the output's mode."},
    {.name = "evt.count", .type = Type::uint32, .get = [](const Extract&, const FieldArg&) { return Value::number(1); }, .doc = "Always 1."},
    {.name = "evt.count.error", .type = Type::uint32, .get = error_count<Errors::any>, .doc = "1 if failed, 0 if not."},
    {.name = "evt.count.error.file", .type = Type::uint32, .get = error_count<Errors::file>, .doc = "Same, for files only."},
    {.name = "evt.count.error.net", .type = Type::uint32, .get = error_count<Errors::net>, .doc = "Same, for sockets only."},
    {.name = "evt.count.error.memory", .type = Type::uint32, .get = error_count<Errors::memory>, .doc = "Same, for memory calls only."},
    {.name = "evt.count.error.other", .type = Type::uint32, .get = error_count<Errors::other>, .doc = "Same, for the rest."},
    {.name = "evt.count.exit", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) {
       return x.event().spec().dir == EventDir::exit ? Value::number(1) : Value{}; }, .doc = "1 for exit events."},
    {.name = "evt.count.procinfo", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) {
       return x.event().code() == ev::PROCINFO_E && x.thread() != nullptr && x.thread()->is_main() ? Value::number(1) : Value{}; },
     .doc = "1 for procinfo events of main threads."},
    {.name = "evt.count.threadinfo", .type = Type::uint32, .get = [](const Extract& x, const FieldArg&) {
       return x.event().code() == ev::PROCINFO_E ? Value::number(1) : Value{}; }, .doc = "1 for procinfo events."},
    {.name = "evt.around", .type = Type::uint64, .arg = Arg::required_index, .flags = kFilterOnly | kNoTransformers | kNoRightSide, .get = around,
     .doc = "evt.around[T]=D: the event happened within D ms of T (ns since the epoch).", .example = "evt.around[1404996934793590564]=1000"},
    {.name = "evt.abspath", .arg = Arg::optional_key, .get = abspath, .doc = "Absolute path of an *at call; .src and .dst pick the side."},
    {.name = "evt.buflen.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::any, Io::in>, .doc = "Bytes read."},
    {.name = "evt.buflen.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::any, Io::out>, .doc = "Bytes written."},
    {.name = "evt.buflen.file", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::file, Io::any>, .doc = "Bytes moved on files."},
    {.name = "evt.buflen.file.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::file, Io::in>, .doc = "Bytes read from files."},
    {.name = "evt.buflen.file.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::file, Io::out>, .doc = "Bytes written to files."},
    {.name = "evt.buflen.net", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::net, Io::any>, .doc = "Bytes moved on inet sockets."},
    {.name = "evt.buflen.net.in", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::net, Io::in>, .doc = "Bytes received."},
    {.name = "evt.buflen.net.out", .type = Type::uint64, .flags = kNeedsFdClass, .get = buflen_of<On::net, Io::out>, .doc = "Bytes sent."},
};
// clang-format on

}  // namespace

std::span<const FieldSpec> evt_fields() { return kFields; }

}  // namespace quell::detect
