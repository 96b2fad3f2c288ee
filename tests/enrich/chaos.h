#pragma once
// Arbitrary bytes as a sequence of events for the state machine. Shared by the fuzz target and its deterministic twin.
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "enrich/tables.h"
#include "model/event.h"

namespace quell::enrich {

/// Hands out bytes until they run out, then zeros.
class Chaos {
 public:
  explicit Chaos(std::span<const uint8_t> bytes) : bytes_(bytes) {}
  bool empty() const { return at_ >= bytes_.size(); }
  uint8_t byte() { return empty() ? 0 : bytes_[at_++]; }
  uint16_t half() { return static_cast<uint16_t>(byte() | byte() << 8); }

  /// Mostly a few small numbers, so that events meet; sometimes extremes.
  int64_t number() {
    const uint8_t choice = byte();
    if (choice < 160) return choice % 12;
    if (choice < 200) return -static_cast<int64_t>(choice % 120);
    static constexpr int64_t kExtremes[] = {INT64_MIN,  INT64_MAX, -1,   -100, -115,
                                            UINT32_MAX, 1 << 20,   1024, 1023, 65535};
    return kExtremes[choice % std::size(kExtremes)];
  }

 private:
  std::span<const uint8_t> bytes_;
  size_t at_ = 0;
};

/// One event of any code whose parameters are of plausible or of impossible sizes.
inline std::vector<uint8_t> chaotic_event(Chaos& chaos, uint64_t ts_ns) {
  static constexpr std::string_view kTexts[] = {
      "",
      "/",
      "a",
      "../..",
      "/etc/shadow",
      "//x//",
      "cpu=/docker/3ad7b26ded6d8e7b23da7d48fe889434573036c27ae5a74837233de441c3601e",
      "cpu=/lxc/web",
      "{\"container\":{\"id\":\"abcdefabcdef\"}}",
      "container",
      "container_removed",
      "abcdefabcdef"};
  const auto code = static_cast<EventCode>(chaos.half() % kEventCodeCount);
  const EventSpec& spec = event_spec(code);
  EventBuilder builder(code, ts_ns, chaos.number());
  const size_t count = chaos.byte() % 8 == 0 ? chaos.byte() % (spec.params.size() + 1) : spec.params.size();
  for (size_t i = 0; i < count; ++i) {
    const ParamSpec& param = spec.params[i];
    const uint8_t choice = chaos.byte();
    if (choice % 16 == 0) {
      builder.empty();
      continue;
    }
    if (choice % 16 == 1) {  // any size at all
      std::vector<uint8_t> raw(chaos.byte() % 40);
      for (uint8_t& b : raw) b = chaos.byte();
      builder.bytes(raw);
      continue;
    }
    switch (param.type) {
      case ParamType::charbuf:
      case ParamType::fspath:
      case ParamType::fsrelpath: builder.text(kTexts[chaos.byte() % std::size(kTexts)]); break;
      case ParamType::bytebuf:
      case ParamType::charbufarray: {
        std::string text(kTexts[chaos.byte() % std::size(kTexts)]);
        text.push_back('\0');
        builder.raw(text.data(), text.size());
        break;
      }
      case ParamType::sockaddr:
      case ParamType::socktuple: {
        static constexpr uint8_t kFamilies[] = {1, 2, 10, 0};
        static constexpr uint8_t kSizes[] = {7, 13, 18, 19, 37};
        std::vector<uint8_t> raw(kSizes[chaos.byte() % std::size(kSizes)]);
        for (uint8_t& b : raw) b = chaos.byte() % 4;
        raw[0] = kFamilies[chaos.byte() % std::size(kFamilies)];
        builder.bytes(raw);
        break;
      }
      case ParamType::uint8:
      case ParamType::int8:
      case ParamType::flags8:
      case ParamType::enumflags8: builder.num(static_cast<uint8_t>(chaos.number())); break;
      case ParamType::uint32:
      case ParamType::int32:
      case ParamType::uid:
      case ParamType::gid:
      case ParamType::flags32:
      case ParamType::enumflags32:
        builder.num(static_cast<uint32_t>(chaos.byte() % 4 == 0 ? chaos.half() << 13 : chaos.number()));
        break;
      default: builder.num(chaos.number()); break;
    }
  }
  return builder.build();
}

/// Applies events made of `bytes` to small tables and looks at everything that a rule could look at.
inline uint64_t live_through(std::span<const uint8_t> bytes) {
  Options options;
  options.max_threads = 32;
  options.max_fds = 64;
  options.max_fds_per_process = 16;
  options.max_containers = 3;
  Chaos chaos(bytes);
  if (chaos.byte() % 2 == 0) {
    options.live = true;
    options.read_thread = [](int64_t tid, Thread& out, std::vector<std::pair<int64_t, Fd>>& fds) {
      if (tid % 3 == 0) return false;
      out.pid = tid % 2 == 0 ? tid : tid - 1;
      out.ptid = tid / 2;
      out.comm = "scanned";
      out.scanned_ns = 5;
      fds.emplace_back(3, Fd{});
      return true;
    };
    options.read_fd = [](int64_t, int64_t number, Fd&) { return number % 2 == 0; };
    options.is_alive = [](const Thread& thread) { return thread.tid % 2 == 0; };
    options.read_users = [](int64_t, std::vector<User>& users, std::vector<Group>&) {
      users.push_back({});
      return true;
    };
  }
  StateTables tables(options);
  Snapshot snapshot;
  for (int64_t tid = 1; tid < 6; ++tid) {
    Thread thread;
    thread.tid = tid;
    thread.pid = tid > 3 ? 3 : tid;
    thread.ptid = tid - 1;
    thread.scanned_ns = chaos.byte() % 4;
    snapshot.threads.push_back(thread);
  }
  tables.load(snapshot);

  uint64_t number = 0, digest = 0;
  Event event;
  while (!chaos.empty() && number < 4096) {
    const auto made = chaotic_event(chaos, ++number * 700'000'000);
    if (!Event::parse(made, event)) continue;
    event.state_only = chaos.byte() % 16 == 0;
    const EventContext& context = tables.apply(event, number);
    digest = digest * 31 + static_cast<uint64_t>(context.fd_number);
    if (const Thread* thread = context.thread) {
      digest += thread->version + thread->cmdline().size() + thread->group().cwd.size() + thread->container->id.size();
      const Thread* ancestor = thread;
      for (int steps = 0; ancestor != nullptr && steps < 40; ++steps) {
        digest += static_cast<uint64_t>(ancestor->pid);
        ancestor = tables.parent(*ancestor);
      }
      const User* user = tables.user(*thread->container, thread->uid);
      digest += user == nullptr ? 0 : user->name.size();
      if (context.fd != nullptr) {
        digest += context.fd->name.size() + context.fd->given_name().size();
        digest += tables.is_local(context.fd->tuple.dest, *thread) ? 1 : 0;
      }
    }
    if (context.container_event != nullptr) digest += context.container_event->id.size();
    if (number % 64 == 0) tables.housekeep(number * 700'000'000);
    if (number % 512 == 0) {
      const Snapshot taken = tables.snapshot();
      tables.load(taken);
    }
    const Counters counters = tables.counters();
    if (counters.threads > 32 || counters.fds > 64 || counters.containers > 3) __builtin_trap();
  }
  return digest;
}

}  // namespace quell::enrich
