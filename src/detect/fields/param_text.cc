// Parameters as text: evt.arg, evt.args. Each has a raw text and, for many types, a resolved one (names instead of
// numbers).
#include <ctime>

#include "base/text.h"
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

struct ParamText {
  std::string raw;
  std::string resolved;
};

std::string number_text(const Param& param, PrintFormat format, bool is_signed) {
  switch (format) {
    case PrintFormat::hex: return fmt::format("{:X}", param.u64());
    case PrintFormat::oct: return param.u64() == 0 ? "0" : fmt::format("0{:o}", param.u64());
    default: return is_signed ? fmt::format("{}", param.i64()) : fmt::format("{}", param.u64());
  }
}

std::string printable(std::string_view bytes) {
  std::string out(bytes);
  for (char& c : out)
    if (static_cast<uint8_t>(c) < 0x20 || static_cast<uint8_t>(c) > 0x7E) c = '.';
  return out;
}

// Names of the bits, from the top of the table; a zero value only if the table names it.
std::string flag_names(FlagTable table, uint32_t value) {
  std::string out;
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

ParamText render(const Extract& x, size_t index, const ParamSpec& spec, const Param& param);

// A dyn parameter: the first byte selects the variant.
ParamText render_dyn(const Extract& x, size_t index, const ParamSpec& spec, const Param& param) {
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
  if (param.data[0] >= variants.size()) return {"NULL", ""};
  const ParamSpec variant{spec.name, variants[param.data[0]], spec.format, {}, DynTable::none, -1};
  return render(x, index, variant, {param.data + 1, param.len - 1});
}

ParamText render(const Extract& x, size_t index, const ParamSpec& spec, const Param& param) {
  if (param.empty()) {
    switch (spec.type) {
      case ParamType::bytebuf:
      case ParamType::socktuple:
      case ParamType::sockaddr:
      case ParamType::fdlist:
      case ParamType::charbufarray:
      case ParamType::charbuf_pair_array:
      case ParamType::dyn: return {"NULL", ""};
      default: return {"<NA>", ""};
    }
  }
  switch (spec.type) {
    case ParamType::none: return {};
    case ParamType::int8:
    case ParamType::int16:
    case ParamType::int32:
    case ParamType::int64: return {number_text(param, spec.format, true), ""};
    case ParamType::uint8:
    case ParamType::uint16:
    case ParamType::uint32:
    case ParamType::uint64:
    case ParamType::port:
    case ParamType::sigset:
    case ParamType::l4proto:
    case ParamType::sockfamily: return {number_text(param, spec.format, false), ""};
    case ParamType::double_: return {fmt::format("{:.1f}", param.len == 8 ? load<double>(param.data) : 0.0), ""};
    case ParamType::bool_: return {param.u64() != 0 ? "true" : "false", ""};
    case ParamType::errno_: {
      const int64_t value = param.i64();
      return {std::to_string(value), value < 0 ? std::string(errno_name(-value)) : std::string()};
    }
    case ParamType::fd:
    case ParamType::fd32: return {std::to_string(param.i64()), fd_label(x, param.i64())};
    case ParamType::pid:
    case ParamType::pid32: {
      const Thread* thread = x.context.state == nullptr ? nullptr : x.context.state->thread(param.i64());
      return {std::to_string(param.i64()), thread == nullptr ? std::string() : thread->comm};
    }
    case ParamType::charbuf: return {std::string(param.text()), ""};
    case ParamType::fspath:
    case ParamType::fsrelpath: {
      const std::string_view path = param.text();
      if (path.empty() || path[0] == '/' || x.thread() == nullptr) return {std::string(path), ""};
      const int64_t dirfd = spec.type == ParamType::fsrelpath && spec.dirfd_param >= 0
                                ? x.event().param(static_cast<size_t>(spec.dirfd_param)).i64()
                                : -100;
      return {std::string(path), absolute_path(directory_of(x, dirfd), path)};
    }
    case ParamType::bytebuf:
    case ParamType::charbufarray:
    case ParamType::charbuf_pair_array: return {printable({reinterpret_cast<const char*>(param.data), param.len}), ""};
    case ParamType::sockaddr: return {sockaddr_text(param.bytes()), ""};
    case ParamType::socktuple: return {socktuple_text(param.bytes()), ""};
    case ParamType::fdlist: return {fdlist_text(x, param.bytes()), ""};
    case ParamType::dyn: return render_dyn(x, index, spec, param);
    case ParamType::flags8:
    case ParamType::flags16:
    case ParamType::flags32:
      return {number_text(param, spec.format, false), flag_names(spec.flags, static_cast<uint32_t>(param.u64()))};
    case ParamType::enumflags8:
    case ParamType::enumflags16:
    case ParamType::enumflags32:
      return {number_text(param, spec.format, false), enum_names(spec.flags, static_cast<uint32_t>(param.u64()))};
    case ParamType::mode:
      return {number_text(param, PrintFormat::oct, false), flag_names(spec.flags, static_cast<uint32_t>(param.u64()))};
    case ParamType::uid:
    case ParamType::gid: {
      const auto id = static_cast<uint32_t>(param.u64());
      if (id == UINT32_MAX) return {"-1", "<NONE>"};
      std::string name = "<NA>";
      if (x.thread() != nullptr && x.thread()->container != nullptr && x.context.state != nullptr) {
        if (spec.type == ParamType::uid) {
          if (const User* user = x.context.state->user(*x.thread()->container, id)) name = user->name;
        } else if (const Group* group = x.context.state->group(*x.thread()->container, id)) {
          name = group->name;
        }
        if (name == "<NA>" && id == 0) name = "root";
      }
      return {std::to_string(id), name};
    }
    case ParamType::sigtype: return {number_text(param, spec.format, false), std::string(signal_name(param.i64()))};
    case ParamType::syscallid: {
      const SyscallSpec* call = syscall_by_code(static_cast<uint32_t>(param.u64()));
      return {number_text(param, spec.format, false), call == nullptr ? std::string() : std::string(call->name)};
    }
    case ParamType::ipv4addr: return {param.len < 4 ? std::string() : IpAddress::v4(param.data).str(), ""};
    case ParamType::ipv6addr: return {param.len < 16 ? std::string() : IpAddress::v6(param.data).str(), ""};
    case ParamType::reltime: {
      const uint64_t ns = param.u64();
      if (ns == UINT64_MAX) return {"none", ""};
      return {std::to_string(ns), fmt::format("{:g}s", static_cast<double>(ns) / 1e9)};
    }
    case ParamType::abstime: {
      const uint64_t ns = param.u64();
      const auto seconds = static_cast<time_t>(ns / 1'000'000'000);
      tm parts{};
      localtime_r(&seconds, &parts);
      char date[32], zone[8];
      std::strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
      std::strftime(zone, sizeof zone, "%z", &parts);
      return {fmt::format("{}.{:09} {}", date, ns % 1'000'000'000, zone), ""};
    }
  }
  return {};
}

ParamText render(const Extract& x, size_t index) {
  return render(x, index, x.event().spec().params[index], x.event().param(index));
}

}  // namespace

std::string param_text(const Extract& x, size_t index) {
  ParamText text = render(x, index);
  return text.resolved.empty() ? std::move(text.raw) : std::move(text.resolved);
}

Value param_value(const Extract& x, size_t index) {
  const Param param = x.event().param(index);
  const ParamType type = x.event().spec().params[index].type;
  const bool is_path = type == ParamType::fspath || type == ParamType::fsrelpath;
  // Most texts are shown as they came.
  if (!param.empty() && (type == ParamType::charbuf || is_path)) {
    const std::string_view text = param.text();
    if (!is_path || text.empty() || text[0] == '/' || x.thread() == nullptr) return Value::text(text);
  }
  return text_in(x, param_text(x, index));
}

std::string param_text_both(const Extract& x, size_t index) {
  const ParamText text = render(x, index);
  return text.resolved.empty() ? text.raw : text.raw + "(" + text.resolved + ")";
}

}  // namespace quell::detect
