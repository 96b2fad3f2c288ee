// Parameters as text: evt.arg, evt.args. Each has a raw text and, for many types, a resolved one (names instead of
// numbers).
#include <ctime>

#include "base/moment.h"
#include "base/text.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

std::string number_text(const Param& param, PrintFormat format, bool is_signed) {
  switch (format) {
    case PrintFormat::hex: return fmt::format("{:X}", param.u64());
    case PrintFormat::oct: return param.u64() == 0 ? "0" : fmt::format("0{:o}", param.u64());
    default: return is_signed ? fmt::format("{}", param.i64()) : fmt::format("{}", param.u64());
  }
}

// Names of the bits, from the top of the table; a zero value only if the table names it.
std::string flag_names(FlagTable table, uint32_t value) {
  std::string out;
  out.reserve(96);
  uint32_t left = value;
  for (const FlagName& flag : table) {
    const bool set = flag.value != 0 ? (left & flag.value) == flag.value : value == 0;
    if (!set) continue;
    if (!out.empty()) out += '|';
    out += flag.name;
    left &= ~flag.value;
  }
  return out;
}

/// The same without looking them up again each time: rules ask for them with most events, and few sets are common.
/// Valid until the next call.
std::string_view common_flag_names(FlagTable table, uint32_t value) {
  struct Known {
    const FlagName* table = nullptr;
    uint32_t value = 0;
    std::string names;
  };
  thread_local std::array<Known, 64> kept;
  Known& known = kept[(value ^ value >> 6 ^ reinterpret_cast<uintptr_t>(table.data()) >> 5) % kept.size()];
  if (known.table != table.data() || known.value != value) known = {table.data(), value, flag_names(table, value)};
  return known.names;
}

std::string enum_names(FlagTable table, uint32_t value) {
  std::string out;
  for (const FlagName& flag : table)
    if (flag.value == value) {
      if (!out.empty()) out += '|';
      out += flag.name;
    }
  return out;
}

std::string fd_label(const Extract& x, int64_t number) {
  if (number == -100) return "AT_FDCWD";
  if (number < 0) return std::string(errno_name(-number));
  const Thread* thread = x.thread();
  const Fd* fd = thread != nullptr && thread->group().fds ? thread->group().fds->find(number) : nullptr;
  if (fd == nullptr && x.context.fd != nullptr && x.context.fd_number == number) fd = x.context.fd;
  if (fd == nullptr) return {};
  std::string out = "<";
  out += fd_type_char(*fd);
  switch (fd->l4) {
    case L4Proto::tcp: out += 't'; break;
    case L4Proto::udp: out += 'u'; break;
    case L4Proto::icmp: out += 'i'; break;
    case L4Proto::raw: out += 'r'; break;
    default: break;
  }
  out += '>';
  out += fd->name;
  return out;
}

std::string endpoint(const uint8_t* address, bool v6, uint16_t port) {
  return (v6 ? IpAddress::v6(address) : IpAddress::v4(address)).str() + ":" + std::to_string(port);
}

std::string sockaddr_text(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return "NULL";
  const uint8_t family = bytes[0];
  if (family == 2 && bytes.size() >= 7) return endpoint(&bytes[1], false, load<uint16_t>(&bytes[5]));
  if (family == 10 && bytes.size() >= 19) return endpoint(&bytes[1], true, load<uint16_t>(&bytes[17]));
  if (family == 1) return std::string(Param{bytes.data() + 1, static_cast<uint32_t>(bytes.size() - 1)}.text());
  return fmt::format("family {}", family);
}

std::string socktuple_text(std::span<const uint8_t> bytes) {
  if (bytes.empty()) return "NULL";
  const uint8_t family = bytes[0];
  if (family == 2 && bytes.size() >= 13)
    return endpoint(&bytes[1], false, load<uint16_t>(&bytes[5])) + "->" +
           endpoint(&bytes[7], false, load<uint16_t>(&bytes[11]));
  if (family == 10 && bytes.size() >= 37)
    return endpoint(&bytes[1], true, load<uint16_t>(&bytes[17])) + "->" +
           endpoint(&bytes[19], true, load<uint16_t>(&bytes[35]));
  if (family == 1 && bytes.size() >= 18)
    return fmt::format("{:x}->{:x} {}", load<uint64_t>(&bytes[1]), load<uint64_t>(&bytes[9]),
                       Param{bytes.data() + 17, static_cast<uint32_t>(bytes.size() - 17)}.text());
  return fmt::format("family {}", family);
}

std::string fdlist_text(const Extract& x, std::span<const uint8_t> bytes) {
  if (bytes.size() < 2) return "NULL";
  std::string out;
  const uint16_t count = load<uint16_t>(bytes.data());
  for (size_t i = 0, at = 2; i < count && at + 10 <= bytes.size(); ++i, at += 10) {
    const int64_t number = load<int64_t>(&bytes[at]);
    const Thread* thread = x.thread();
    const Fd* fd = thread != nullptr && thread->group().fds ? thread->group().fds->find(number) : nullptr;
    if (!out.empty()) out += ' ';
    out += fmt::format("{}:{}{:x}", number, fd == nullptr ? "" : std::string(1, fd_type_char(*fd)),
                       load<uint16_t>(&bytes[at + 8]));
  }
  return out;
}

/// A dyn parameter: the first byte selects the variant. None that is known: type none.
ParamSpec variant_of(const ParamSpec& spec, const Param& param) {
  static constexpr ParamType kSockopt[] = {ParamType::bytebuf, ParamType::errno_, ParamType::uint32, ParamType::uint64,
                                           ParamType::reltime};
  static constexpr ParamType kPtrace[] = {ParamType::uint64, ParamType::sigtype};
  static constexpr ParamType kBpf[] = {ParamType::fd, ParamType::errno_};
  static constexpr ParamType kKeyctl[] = {ParamType::int64, ParamType::charbuf};
  std::span<const ParamType> variants;
  switch (spec.dyn) {
    case DynTable::sockopt: variants = kSockopt; break;
    case DynTable::ptrace: variants = kPtrace; break;
    case DynTable::bpf: variants = kBpf; break;
    case DynTable::keyctl: variants = kKeyctl; break;
    case DynTable::none: break;
  }
  const ParamType type = param.data[0] < variants.size() ? variants[param.data[0]] : ParamType::none;
  return {spec.name, type, spec.format, {}, DynTable::none, -1};
}
Param without_selector(const Param& param) { return {param.data + 1, param.len - 1}; }

/// The names that a number stands for, or the whole of a relative path. Empty where the raw text is all there is.
std::string resolved_text(const Extract& x, const ParamSpec& spec, const Param& param) {
  if (param.empty()) return {};
  switch (spec.type) {
    case ParamType::errno_: return param.i64() < 0 ? std::string(errno_name(-param.i64())) : std::string();
    case ParamType::fd:
    case ParamType::fd32: return fd_label(x, param.i64());
    case ParamType::pid:
    case ParamType::pid32: {
      const Thread* thread = x.context.state == nullptr ? nullptr : x.context.state->thread(param.i64());
      return thread == nullptr ? std::string() : thread->comm;
    }
    case ParamType::fspath:
    case ParamType::fsrelpath: {
      const std::string_view path = param.text();
      if (path.empty() || path[0] == '/' || x.thread() == nullptr) return {};
      const int64_t dirfd = spec.type == ParamType::fsrelpath && spec.dirfd_param >= 0
                                ? x.event().param(static_cast<size_t>(spec.dirfd_param)).i64()
                                : -100;
      return absolute_path(directory_of(x, dirfd), path);
    }
    case ParamType::dyn: {
      const ParamSpec variant = variant_of(spec, param);
      return resolved_text(x, variant, without_selector(param));
    }
    case ParamType::flags8:
    case ParamType::flags16:
    case ParamType::flags32:
    case ParamType::mode: return flag_names(spec.flags, static_cast<uint32_t>(param.u64()));
    case ParamType::enumflags8:
    case ParamType::enumflags16:
    case ParamType::enumflags32: return enum_names(spec.flags, static_cast<uint32_t>(param.u64()));
    case ParamType::uid:
    case ParamType::gid: {
      const auto id = static_cast<uint32_t>(param.u64());
      if (id == UINT32_MAX) return "<NONE>";
      if (x.thread() != nullptr && x.thread()->container != nullptr && x.context.state != nullptr) {
        if (spec.type == ParamType::uid) {
          if (const User* user = x.context.state->user(*x.thread()->container, id)) return user->name;
        } else if (const Group* group = x.context.state->group(*x.thread()->container, id)) {
          return group->name;
        }
        if (id == 0) return "root";
      }
      return "<NA>";
    }
    case ParamType::sigtype: return std::string(signal_name(param.i64()));
    case ParamType::syscallid: {
      const SyscallSpec* call = syscall_by_code(static_cast<uint32_t>(param.u64()));
      return call == nullptr ? std::string() : std::string(call->name);
    }
    case ParamType::reltime:
      return param.u64() == UINT64_MAX ? std::string() : fmt::format("{:g}s", static_cast<double>(param.u64()) / 1e9);
    default: return {};
  }
}

std::string raw_text(const Extract& x, const ParamSpec& spec, const Param& param) {
  if (param.empty()) {
    switch (spec.type) {
      case ParamType::bytebuf:
      case ParamType::socktuple:
      case ParamType::sockaddr:
      case ParamType::fdlist:
      case ParamType::charbufarray:
      case ParamType::charbuf_pair_array:
      case ParamType::dyn: return "NULL";
      default: return "<NA>";
    }
  }
  switch (spec.type) {
    case ParamType::none: return {};
    case ParamType::int8:
    case ParamType::int16:
    case ParamType::int32:
    case ParamType::int64: return number_text(param, spec.format, true);
    case ParamType::uint8:
    case ParamType::uint16:
    case ParamType::uint32:
    case ParamType::uint64:
    case ParamType::port:
    case ParamType::sigset:
    case ParamType::l4proto:
    case ParamType::sockfamily:
    case ParamType::flags8:
    case ParamType::flags16:
    case ParamType::flags32:
    case ParamType::enumflags8:
    case ParamType::enumflags16:
    case ParamType::enumflags32:
    case ParamType::sigtype:
    case ParamType::syscallid: return number_text(param, spec.format, false);
    case ParamType::mode: return number_text(param, PrintFormat::oct, false);
    case ParamType::double_: return fmt::format("{:.1f}", param.len == 8 ? load<double>(param.data) : 0.0);
    case ParamType::bool_: return param.u64() != 0 ? "true" : "false";
    case ParamType::errno_:
    case ParamType::fd:
    case ParamType::fd32:
    case ParamType::pid:
    case ParamType::pid32: return std::to_string(param.i64());
    case ParamType::charbuf:
    case ParamType::fspath:
    case ParamType::fsrelpath: return std::string(param.text());
    case ParamType::bytebuf:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array: {
      const std::string_view bytes(reinterpret_cast<const char*>(param.data), param.len);
      return x.buffers_as_base64 && spec.type == ParamType::bytebuf ? base64(bytes) : printable(bytes);
    }
    case ParamType::sockaddr: return sockaddr_text(param.bytes());
    case ParamType::socktuple: return socktuple_text(param.bytes());
    case ParamType::fdlist: return fdlist_text(x, param.bytes());
    case ParamType::dyn: {
      const ParamSpec variant = variant_of(spec, param);
      return variant.type == ParamType::none ? "NULL" : raw_text(x, variant, without_selector(param));
    }
    case ParamType::uid:
    case ParamType::gid: {
      const auto id = static_cast<uint32_t>(param.u64());
      return id == UINT32_MAX ? "-1" : std::to_string(id);
    }
    case ParamType::ipv4addr: return param.len < 4 ? std::string() : IpAddress::v4(param.data).str();
    case ParamType::ipv6addr: return param.len < 16 ? std::string() : IpAddress::v6(param.data).str();
    case ParamType::reltime: return param.u64() == UINT64_MAX ? "none" : std::to_string(param.u64());
    case ParamType::abstime: {
      const uint64_t ns = param.u64();
      const tm parts = local_time(static_cast<time_t>(ns / 1'000'000'000));
      char date[32], zone[8];
      std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
      std::strftime(zone, sizeof zone, "%z", &parts);
      return fmt::format("{}.{:09} {}", date, ns % 1'000'000'000, zone);
    }
  }
  return {};
}

}  // namespace

std::string param_text(const Extract& x, size_t index) {
  const ParamSpec& spec = x.event().spec().params[index];
  const Param param = x.event().param(index);
  std::string text = resolved_text(x, spec, param);
  return text.empty() ? raw_text(x, spec, param) : text;
}

Value param_value(const Extract& x, size_t index) {
  const Param param = x.event().param(index);
  const ParamType type = x.event().spec().params[index].type;
  const bool is_path = type == ParamType::fspath || type == ParamType::fsrelpath;
  const bool is_flags = type == ParamType::flags32 || type == ParamType::flags16 || type == ParamType::flags8;
  if (!param.empty() && (is_flags || type == ParamType::mode)) {
    const ParamSpec& spec = x.event().spec().params[index];
    const std::string_view names = common_flag_names(spec.flags, static_cast<uint32_t>(param.u64()));
    if (!names.empty()) return text_in(x, names);
    return text_in(x, number_text(param, is_flags ? spec.format : PrintFormat::oct, false));
  }
  // Most texts are shown as they came.
  if (!param.empty() && (type == ParamType::charbuf || is_path)) {
    const std::string_view text = param.text();
    if (!is_path || text.empty() || text[0] == '/' || x.thread() == nullptr) return Value::text(text);
  }
  return text_in(x, param_text(x, index));
}

std::string param_text_both(const Extract& x, size_t index) {
  const ParamSpec& spec = x.event().spec().params[index];
  const Param param = x.event().param(index);
  std::string text = raw_text(x, spec, param);
  if (const std::string resolved = resolved_text(x, spec, param); !resolved.empty()) (text += '(') += resolved + ')';
  return text;
}

}  // namespace quell::detect
