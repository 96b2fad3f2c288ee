#include "model/event_schema.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <unordered_map>

namespace quell {
namespace {

#define FLAG(symbol, value) \
  FlagName { symbol, value }
#define FLAG_TABLE(table, ...) constexpr FlagName k_##table[] = {__VA_ARGS__};
#include "model/flag_tables.inc"
#undef FLAG_TABLE
#undef FLAG

// The parameters of each event, with an empty row at the end because C++ has no empty arrays.
#define PARAMS(...) __VA_ARGS__ __VA_OPT__(, )
#define P(name, type, format) \
  ParamSpec { name, QUELL_TYPE_##type, PrintFormat::format, {}, DynTable::none, -1 }
#define PF(name, type, format, table) \
  ParamSpec { name, QUELL_TYPE_##type, PrintFormat::format, k_##table, DynTable::none, -1 }
#define PD(name, type, format, dirfd) \
  ParamSpec { name, QUELL_TYPE_##type, PrintFormat::format, {}, DynTable::none, dirfd }
#define PY(name, type, format, table) \
  ParamSpec { name, QUELL_TYPE_##type, PrintFormat::format, {}, table, -1 }
#define QUELL_TYPE_int8 ParamType::int8
#define QUELL_TYPE_int16 ParamType::int16
#define QUELL_TYPE_int32 ParamType::int32
#define QUELL_TYPE_int64 ParamType::int64
#define QUELL_TYPE_uint8 ParamType::uint8
#define QUELL_TYPE_uint16 ParamType::uint16
#define QUELL_TYPE_uint32 ParamType::uint32
#define QUELL_TYPE_uint64 ParamType::uint64
#define QUELL_TYPE_errno ParamType::errno_
#define QUELL_TYPE_fd ParamType::fd
#define QUELL_TYPE_fd32 ParamType::fd32
#define QUELL_TYPE_pid ParamType::pid
#define QUELL_TYPE_pid32 ParamType::pid32
#define QUELL_TYPE_charbuf ParamType::charbuf
#define QUELL_TYPE_fspath ParamType::fspath
#define QUELL_TYPE_fsrelpath ParamType::fsrelpath
#define QUELL_TYPE_bytebuf ParamType::bytebuf
#define QUELL_TYPE_sockaddr ParamType::sockaddr
#define QUELL_TYPE_socktuple ParamType::socktuple
#define QUELL_TYPE_fdlist ParamType::fdlist
#define QUELL_TYPE_dyn ParamType::dyn
#define QUELL_TYPE_charbufarray ParamType::charbufarray
#define QUELL_TYPE_charbuf_pair_array ParamType::charbuf_pair_array
#define QUELL_TYPE_flags8 ParamType::flags8
#define QUELL_TYPE_flags16 ParamType::flags16
#define QUELL_TYPE_flags32 ParamType::flags32
#define QUELL_TYPE_enumflags8 ParamType::enumflags8
#define QUELL_TYPE_enumflags16 ParamType::enumflags16
#define QUELL_TYPE_enumflags32 ParamType::enumflags32
#define QUELL_TYPE_mode ParamType::mode
#define QUELL_TYPE_uid ParamType::uid
#define QUELL_TYPE_gid ParamType::gid
#define QUELL_TYPE_bool ParamType::bool_
#define QUELL_TYPE_sigtype ParamType::sigtype
#define QUELL_TYPE_sigset ParamType::sigset
#define QUELL_TYPE_syscallid ParamType::syscallid
#define QUELL_TYPE_port ParamType::port
#define QUELL_TYPE_l4proto ParamType::l4proto
#define QUELL_TYPE_sockfamily ParamType::sockfamily
#define QUELL_TYPE_ipv4addr ParamType::ipv4addr
#define QUELL_TYPE_ipv6addr ParamType::ipv6addr
#define QUELL_TYPE_reltime ParamType::reltime
#define QUELL_TYPE_abstime ParamType::abstime
#define QUELL_TYPE_double ParamType::double_
#define EVENT(code, id, name, dir, source, category, flags, ...) \
  constexpr ParamSpec k_params_##id[] = {__VA_ARGS__ ParamSpec{}};
#include "model/event_table.inc"
#undef EVENT

// The one parameter named "fd", or else the first fd-typed parameter that is not the return value.
constexpr int8_t find_fd_param(const ParamSpec* params, size_t count, uint32_t flags) {
  if ((flags & (kEvUsesFd | kEvDestroysFd)) == 0) return -1;
  for (size_t i = 0; i < count; ++i)
    if (params[i].name == "fd" && params[i].type == ParamType::fd) return static_cast<int8_t>(i);
  for (size_t i = 0; i < count; ++i)
    if (params[i].type == ParamType::fd && params[i].name != "res") return static_cast<int8_t>(i);
  return -1;
}

}  // namespace

const EventSpec kEventTable[kEventCodeCount] = {
#define EVENT(code, id, name, dir, source, category, flags, ...)                     \
  EventSpec{ev::id,                                                                  \
            #id,                                                                     \
            name,                                                                    \
            EventDir::dir,                                                           \
            EventClass::source,                                                      \
            EventCategory::category,                                                 \
            flags,                                                                   \
            std::span<const ParamSpec>(k_params_##id, std::size(k_params_##id) - 1), \
            find_fd_param(k_params_##id, std::size(k_params_##id) - 1, flags)},
#include "model/event_table.inc"
#undef EVENT
};

namespace {
constexpr SyscallSpec kSyscalls[] = {
#define SYSCALL(code, name, x86_64, enter, exit, flags) SyscallSpec{code, #name, x86_64, ev::enter, ev::exit, flags},
#include "model/syscall_table.inc"
#undef SYSCALL
};
}  // namespace
const std::span<const SyscallSpec> kSyscallTable = kSyscalls;

int EventSpec::param_index(std::string_view param) const {
  for (size_t i = 0; i < params.size(); ++i)
    if (params[i].name == param) return static_cast<int>(i);
  return -1;
}

uint32_t fixed_width(ParamType type) {
  switch (type) {
    case ParamType::int8:
    case ParamType::uint8:
    case ParamType::flags8:
    case ParamType::enumflags8:
    case ParamType::sigtype:
    case ParamType::l4proto:
    case ParamType::sockfamily: return 1;
    case ParamType::int16:
    case ParamType::uint16:
    case ParamType::flags16:
    case ParamType::enumflags16:
    case ParamType::syscallid:
    case ParamType::port: return 2;
    case ParamType::int32:
    case ParamType::uint32:
    case ParamType::flags32:
    case ParamType::enumflags32:
    case ParamType::uid:
    case ParamType::gid:
    case ParamType::mode:
    case ParamType::bool_:
    case ParamType::sigset:
    case ParamType::ipv4addr:
    case ParamType::fd32:
    case ParamType::pid32: return 4;
    case ParamType::int64:
    case ParamType::uint64:
    case ParamType::errno_:
    case ParamType::fd:
    case ParamType::pid:
    case ParamType::reltime:
    case ParamType::abstime:
    case ParamType::double_: return 8;
    case ParamType::ipv6addr: return 16;
    case ParamType::none:
    case ParamType::charbuf:
    case ParamType::fspath:
    case ParamType::fsrelpath:
    case ParamType::bytebuf:
    case ParamType::sockaddr:
    case ParamType::socktuple:
    case ParamType::fdlist:
    case ParamType::dyn:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array: return 0;
  }
  return 0;
}

std::vector<EventCode> event_codes_named(std::string_view name) {
  std::vector<EventCode> codes;
  for (const EventSpec& event : kEventTable)
    if (event.name == name && !event.has(kEvUnused)) codes.push_back(event.code);
  if (codes.empty() && syscall_by_name(name) != nullptr) codes = {ev::GENERIC_E, ev::GENERIC_X};
  return codes;
}

FlagTable flag_table(std::string_view name) {
#define FLAG(symbol, value)
#define FLAG_TABLE(table, ...) \
  if (name == #table) return k_##table;
#include "model/flag_tables.inc"
#undef FLAG_TABLE
#undef FLAG
  return {};
}

std::optional<uint32_t> flag_value(FlagTable table, std::string_view symbol) {
  for (const FlagName& flag : table)
    if (flag.name == symbol) return flag.value;
  return {};
}

namespace {
// Both kinds of number are small, so a table by number is the whole lookup.
using SyscallIndex = std::array<const SyscallSpec*, 1024>;
SyscallIndex index_syscalls(int (*number_of)(const SyscallSpec&)) {
  SyscallIndex index{};
  for (const SyscallSpec& call : kSyscalls)
    if (const int number = number_of(call); number >= 0) index[static_cast<size_t>(number)] = &call;
  return index;
}
}  // namespace

const SyscallSpec* syscall_by_code(uint32_t code) {
  static const SyscallIndex index = index_syscalls([](const SyscallSpec& call) { return int{call.code}; });
  return code < index.size() ? index[code] : nullptr;
}

const SyscallSpec* syscall_by_number(int64_t number) {
  static const SyscallIndex index = index_syscalls([](const SyscallSpec& call) { return int{call.x86_64}; });
  return number >= 0 && static_cast<uint64_t>(number) < index.size() ? index[static_cast<size_t>(number)] : nullptr;
}

const SyscallSpec* syscall_by_name(std::string_view name) {
  static const auto index = [] {
    std::unordered_map<std::string_view, const SyscallSpec*> table;
    for (const SyscallSpec& call : kSyscalls) table.emplace(call.name, &call);
    return table;
  }();
  const auto found = index.find(name);
  return found == index.end() ? nullptr : found->second;
}

std::string_view errno_name(int64_t number) {
  const char* name = strerrorname_np(static_cast<int>(number));
  if (number <= 0 || name == nullptr) return {};
  return name;
}

std::string_view signal_name(int64_t number) {
  static constexpr std::string_view kNames[] = {
      "",          "SIGHUP",  "SIGINT",    "SIGQUIT", "SIGILL",   "SIGTRAP", "SIGABRT", "SIGBUS",
      "SIGFPE",    "SIGKILL", "SIGUSR1",   "SIGSEGV", "SIGUSR2",  "SIGPIPE", "SIGALRM", "SIGTERM",
      "SIGSTKFLT", "SIGCHLD", "SIGCONT",   "SIGSTOP", "SIGTSTP",  "SIGTTIN", "SIGTTOU", "SIGURG",
      "SIGXCPU",   "SIGXFSZ", "SIGVTALRM", "SIGPROF", "SIGWINCH", "SIGIO",   "SIGPWR",  "SIGSYS"};
  if (number <= 0 || static_cast<size_t>(number) >= std::size(kNames)) return {};
  return kNames[number];
}

}  // namespace quell
