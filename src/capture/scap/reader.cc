#include "capture/scap/reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "capture/scap/converter.h"
#include "capture/scap/format.h"
#include "capture/scap/input.h"
#include "capture/scap/table_reader.h"

namespace quell::capture {
namespace scap {
namespace {

// Blocks per fill(): a capture whose events all merge away must still return to the caller now and then.
constexpr size_t kMaxBlocksPerFill = 65536;

class ScapSource final : public EventSource {
 public:
  ScapSource(std::unique_ptr<RawBytes> raw, std::string name) : input_(std::move(raw)), name_(std::move(name)) {}

  /// Reads a section header and the tables behind it. Fails if this is no capture; a break later on is told by fill().
  Result<void> read_section();

  const Snapshot& snapshot() const override { return snapshot_; }
  Result<Pull> fill(EventBatch& batch, uint64_t timeout_ns) override;
  SourceCounters counters() const override {
    SourceCounters counters = counters_;
    counters.enters_not_kept = converter_.not_kept();
    return counters;
  }

 private:
  enum class Block { event, section, other };

  static Block kind_of(uint32_t type);
  bool holds_block() const;
  size_t take_current_events(EventBatch& batch, size_t limit);
  Result<void> read_section_header();
  Result<void> read_tables(TableReader& tables);
  Result<void> take_event(uint32_t type, EventBatch& batch);
  Result<void> take_event_v1(std::span<const uint8_t> bytes, uint16_t cpu, bool state_only, EventBatch& batch);
  void deliver_converted(LooseEvent& event, uint16_t cpu, bool state_only, EventBatch& batch);
  void skip_event() { ++skipped_before_; }
  Result<void> skip_block();
  Result<uint32_t> frame_block(size_t limit);
  Error error(Code code, std::string_view what) const {
    return Error{code, fmt::format("{}: {}", name_, what), std::to_string(input_.offset())};
  }
  /// The input has fewer bytes than a whole block: cut short, unreadable or damaged compression.
  Error broken_off(std::string_view inside) const;

  Input input_;
  std::string name_;
  Snapshot snapshot_;
  SourceCounters counters_;
  const CodeRules& rules_ = code_rules();
  Converter converter_;
  LooseEvent loose_;
  std::vector<uint8_t> scratch_;
  std::optional<Error> failure_;
  uint32_t skipped_before_ = 0;
  bool ended_ = false;
};

ScapSource::Block ScapSource::kind_of(uint32_t type) {
  switch (type) {
    case kEventV2:
    case kEventFlagsV2:
    case kEventV2Large:
    case kEventFlagsV2Large:
    case kEventV1:
    case kEventV1Old:
    case kEventFlagsV1: return Block::event;
    case kSectionHeader: return Block::section;
    default: return Block::other;
  }
}

/// True if the block at the input's position is whole in the window.
bool ScapSource::holds_block() const {
  return input_.left() >= kBlockHead && input_.left() >= load<uint32_t>(input_.here() + 4);
}

Error ScapSource::broken_off(std::string_view inside) const {
  if (const auto& failure = input_.failure()) return error(failure->code, failure->message);
  return error(Code::truncated, fmt::format("the capture ends inside {}; everything before was read", inside));
}

/// Brings the block at the input's position whole into the window and checks its frame; its total length.
Result<uint32_t> ScapSource::frame_block(size_t limit) {
  if (!input_.ensure(kBlockFrame)) return broken_off("the head of a block");
  const auto total = load<uint32_t>(input_.here() + 4);
  if (total < kBlockFrame) return error(Code::malformed, fmt::format("a block says it is {} bytes long", total));
  if (total > limit)
    return error(Code::malformed, fmt::format("a block says it is {} bytes long; at most {} make sense", total, limit));
  if (!input_.ensure(total)) return broken_off("a block");
  if (load<uint32_t>(input_.here() + total - kBlockTail) != total)
    return error(Code::malformed, "the two lengths of a block differ");
  return total;
}

Result<void> ScapSource::skip_block() {
  if (!input_.ensure(kBlockFrame)) return broken_off("the head of a block");
  const auto total = load<uint32_t>(input_.here() + 4);
  if (total < kBlockFrame) return error(Code::malformed, fmt::format("a block says it is {} bytes long", total));
  size_t left = total - kBlockTail;
  while (left > 0) {
    if (input_.left() == 0 && !input_.ensure(1)) return broken_off("a block");
    const size_t step = std::min(left, input_.left());
    input_.advance(step);
    left -= step;
  }
  if (!input_.ensure(kBlockTail)) return broken_off("a block");
  if (load<uint32_t>(input_.here()) != total) return error(Code::malformed, "the two lengths of a block differ");
  input_.advance(kBlockTail);
  ++counters_.skipped_blocks;
  return {};
}

/// Consumes the section header at the input's position.
Result<void> ScapSource::read_section_header() {
  if (!input_.ensure(kBlockHead) && !input_.failure()) {
    if (input_.left() == 0) return error(Code::truncated, "the file is empty; a capture begins with a section header");
    return error(Code::malformed, "not a .scap capture: too short for a section header");
  }
  if (input_.failure()) return broken_off("the section header");
  if (load<uint32_t>(input_.here()) != kSectionHeader)
    return error(Code::malformed, "not a .scap capture: it does not begin with a section header");
  QUELL_TRY(const uint32_t total, frame_block(kMaxTableBlock));
  if (total < kBlockFrame + kSectionHeaderBody) return error(Code::malformed, "the section header is too short");
  const uint8_t* body = input_.here() + kBlockHead;
  const auto magic = load<uint32_t>(body);
  if (magic == kByteOrderSwapped)
    return error(Code::unsupported, "the capture was written on a machine of the other byte order");
  if (magic != kByteOrderMagic) return error(Code::malformed, "not a .scap capture: its byte-order mark is wrong");
  if (const auto major = load<uint16_t>(body + 4); major > kMajorVersion)
    return error(Code::unsupported, fmt::format("the capture has format version {}, this program reads up to {}; use a "
                                                "newer release",
                                                major, kMajorVersion));
  input_.advance(total);
  return {};
}

Result<void> ScapSource::read_section() {
  QUELL_CHECK(read_section_header());
  snapshot_ = Snapshot{};
  TableReader tables(snapshot_);
  // From here on a break is no reason to refuse the capture: what was read is served, then fill() tells.
  if (auto read = read_tables(tables); !read) failure_ = std::move(read).error();
  tables.finish();
  counters_.skipped_entries += tables.skipped_entries();
  return {};
}

/// Reads blocks up to the first event block, the next section header or the end.
Result<void> ScapSource::read_tables(TableReader& tables) {
  for (;;) {
    if (!input_.ensure(kBlockHead)) {
      if (input_.left() == 0 && !input_.failure()) return {};
      return broken_off("the head of a block");
    }
    const auto type = load<uint32_t>(input_.here());
    if (kind_of(type) != Block::other) return {};
    if (!TableReader::knows(type)) {
      QUELL_CHECK(skip_block());
      continue;
    }
    QUELL_TRY(const uint32_t total, frame_block(kMaxTableBlock));
    tables.read(type, {input_.here() + kBlockHead, total - kBlockFrame});
    input_.advance(total);
  }
}

Result<Pull> ScapSource::fill(EventBatch& batch, uint64_t /*timeout_ns: a file never makes us wait*/) {
  batch.clear();
  if (failure_) return *failure_;
  bool restarted = false;
  for (size_t blocks = 0; blocks < kMaxBlocksPerFill && !batch_is_full(batch); ++blocks) {
    // What the batch borrows stays where it is: the window moves only for an empty one.
    if (!batch.empty() && !holds_block()) return restarted ? Pull::restarted : Pull::more;
    if (!input_.ensure(kBlockHead)) {
      if (input_.left() > 0 || input_.failure())
        failure_ = broken_off("the head of a block");
      else
        ended_ = true;
      break;
    }
    if (const size_t taken = take_current_events(batch, kMaxBlocksPerFill); taken > 0) {
      blocks += taken - 1;
      continue;
    }
    const auto type = load<uint32_t>(input_.here());
    Result<void> step;
    switch (kind_of(type)) {
      case Block::event: step = take_event(type, batch); break;
      case Block::section:
        if (!batch.empty()) return Pull::more;  // these events belong to the tables that are about to go
        converter_.clear();
        restarted = true;
        step = read_section();
        break;
      case Block::other: step = skip_block(); break;
    }
    if (!step) failure_ = std::move(step).error();
    if (failure_) break;
  }
  if (restarted && (!failure_ || !batch.empty())) return Pull::restarted;
  if (!batch.empty()) return Pull::more;
  if (failure_) return *failure_;
  return ended_ ? Pull::ended : Pull::more;
}

/// The fast path: version 2 blocks that lie whole in the window with an event that passes as it is. Stops, without
/// having touched it, at the first block that is anything else, wrong ones included: the general path looks closer and
/// finds the words. Returns the number of blocks taken.
size_t ScapSource::take_current_events(EventBatch& batch, size_t limit) {
  constexpr size_t kBeforeEvent = kBlockHead + sizeof(uint16_t);
  constexpr size_t kLeast = kBeforeEvent + sizeof(EventHeader) + kBlockTail;
  const uint8_t* const begin = input_.here();
  const uint8_t* const end = begin + input_.left();
  const uint8_t* block = begin;
  const CodeRule* const rules = rules_.data();
  limit = std::min(limit, kBatchEvents - std::min(kBatchEvents, batch.size()));
  size_t taken = 0;
  for (; taken < limit; ++taken) {
    const auto left = static_cast<size_t>(end - block);
    if (left < kLeast || load<uint32_t>(block) != kEventV2) break;
    const size_t total = load<uint32_t>(block + 4);
    if (total < kLeast || total > left || load<uint32_t>(block + total - kBlockTail) != total) break;
    const uint8_t* event = block + kBeforeEvent;
    const uint32_t length = load<uint32_t>(event + offsetof(EventHeader, len));
    const uint16_t type = load<uint16_t>(event + offsetof(EventHeader, type));
    const uint32_t nparams = load<uint32_t>(event + offsetof(EventHeader, nparams));
    if (length > total - kBeforeEvent - kBlockTail || type >= kEventCodeCount) break;
    const CodeRule rule = rules[type];
    if (nparams != rule.nparams || rule.verdict > CodeRule::Verdict::pass_if_complete || rule.wide) break;
    uint32_t need = static_cast<uint32_t>(sizeof(EventHeader)) + nparams * 2;
    if (need > length) break;
    const uint8_t* lengths = event + sizeof(EventHeader);
#pragma GCC unroll 4
    for (uint32_t i = 0; i < nparams; ++i) need += load<uint16_t>(lengths + 2 * i);  // at most 32 of them
    if (need > length) break;
    batch.lend(event, length, load<uint16_t>(block + kBlockHead), rule.state_only, std::exchange(skipped_before_, 0));
    if (type == ev::PROCEXIT_1_E) converter_.forget_thread(load<uint64_t>(event + offsetof(EventHeader, tid)));
    block += total;
  }
  input_.advance(static_cast<size_t>(block - begin));
  counters_.events += taken;
  return taken;
}

Result<void> ScapSource::take_event(uint32_t type, EventBatch& batch) {
  QUELL_TRY(const uint32_t total, frame_block(kMaxEventBlock));
  const uint8_t* block = input_.here();
  const bool has_flags = type == kEventFlagsV2 || type == kEventFlagsV2Large || type == kEventFlagsV1;
  const size_t before_event = kBlockHead + sizeof(uint16_t) + (has_flags ? sizeof(uint32_t) : 0);
  if (total < before_event + kBlockTail) return error(Code::malformed, "an event block is too short");
  const auto cpu = load<uint16_t>(block + kBlockHead);
  const bool state_only = has_flags && (load<uint32_t>(block + kBlockHead + 2) & kEventFlagStateOnly) != 0;
  const std::span<const uint8_t> bytes(block + before_event, total - before_event - kBlockTail);

  if (type == kEventV1 || type == kEventV1Old || type == kEventFlagsV1) {
    QUELL_CHECK(take_event_v1(bytes, cpu, state_only, batch));
    input_.advance(total);
    return {};
  }
  if (bytes.size() < sizeof(EventHeader)) return error(Code::malformed, "an event is shorter than its header");
  const auto header = load<EventHeader>(bytes.data());
  const uint32_t nparams = header.nparams;  // the header is packed: its members cannot be referred to
  if (header.len < sizeof(EventHeader) || header.len > bytes.size())
    return error(Code::malformed, "an event's length does not fit its block");
  if (header.type >= kEventCodeCount) {
    ++counters_.skipped_events;
    skip_event();
  } else {
    const CodeRule& rule = rules_[header.type];
    // Lengths of parameters lie inside the event, whatever becomes of it: what is delivered must parse.
    const uint64_t table = uint64_t{nparams} * (rule.wide ? 4 : 2);
    uint64_t need = sizeof(EventHeader) + table;
    if (need > header.len) return error(Code::malformed, "an event has more parameters than bytes");
    const uint8_t* lengths = bytes.data() + sizeof(EventHeader);
    if (rule.wide)
      for (uint32_t i = 0; i < nparams; ++i) need += load<uint32_t>(lengths + 4 * i);
    else
      for (uint32_t i = 0; i < nparams; ++i) need += load<uint16_t>(lengths + 2 * i);
    if (need > header.len) return error(Code::malformed, "a parameter reaches past the end of its event");

    if (rule.verdict == CodeRule::Verdict::pass ||
        (rule.verdict == CodeRule::Verdict::pass_if_complete && nparams == rule.nparams)) {
      batch.lend(bytes.data(), header.len, cpu, state_only || rule.state_only, std::exchange(skipped_before_, 0));
      if (header.type == ev::PROCEXIT_1_E) converter_.forget_thread(header.tid);
    } else if (rule.verdict == CodeRule::Verdict::drop) {
      skip_event();
    } else {
      LooseEvent& event = loose_;
      event.code = static_cast<EventCode>(header.type);
      event.ts_ns = header.ts_ns;
      event.tid = header.tid;
      event.nparams = std::min<uint32_t>(nparams, rule.nparams);
      const uint8_t* data = lengths + table;
      for (uint32_t i = 0; i < event.nparams; ++i) {
        const uint32_t length = rule.wide ? load<uint32_t>(lengths + 4 * i) : load<uint16_t>(lengths + 2 * i);
        event.params[i] = {data, length};
        data += length;
      }
      deliver_converted(event, cpu, state_only, batch);
    }
  }
  ++counters_.events;
  input_.advance(total);
  return {};
}

/// Version 1 of the event block has no number of parameters: it is the number, at most the schema's, with which the
/// length table and the parameters fill the event exactly.
Result<void> ScapSource::take_event_v1(std::span<const uint8_t> bytes, uint16_t cpu, bool state_only,
                                       EventBatch& batch) {
  if (bytes.size() < kEventHeaderV1) return error(Code::malformed, "an event is shorter than its header");
  LooseEvent& event = loose_;
  event.ts_ns = load<uint64_t>(bytes.data());
  event.tid = load<uint64_t>(bytes.data() + 8);
  auto len = load<uint32_t>(bytes.data() + 16);
  const auto type = load<uint16_t>(bytes.data() + 20);
  // Two events were written with a length that is three bytes too long.
  if ((type == ev::NOTIFICATION_E || type == ev::INFRASTRUCTURE_EVENT_E) && len >= 3) len -= 3;
  if (len < kEventHeaderV1 || len > bytes.size())
    return error(Code::malformed, "an event's length does not fit its block");
  ++counters_.events;
  if (type >= kEventCodeCount) {
    ++counters_.skipped_events;
    skip_event();
    return {};
  }
  const CodeRule& rule = rules_[type];
  if (rule.verdict == CodeRule::Verdict::drop) {
    skip_event();
    return {};
  }
  event.code = static_cast<EventCode>(type);
  const uint32_t width = rule.wide ? 4 : 2;
  const uint8_t* lengths = bytes.data() + kEventHeaderV1;
  const size_t room = len - kEventHeaderV1;
  const auto length_at = [&](uint32_t i) {
    return rule.wide ? load<uint32_t>(lengths + 4 * i) : load<uint16_t>(lengths + 2 * i);
  };
  const auto most = static_cast<uint32_t>(std::min<size_t>(rule.nparams, room / width));
  uint32_t count = 0;
  bool exact = room == 0;
  uint64_t need = 0;
  for (uint32_t n = 1; n <= most; ++n) {
    need += width + uint64_t{length_at(n - 1)};
    if (need == room) count = n, exact = true;  // the largest number that fits wins
    if (need > room) break;
  }
  if (!exact) return error(Code::malformed, "an event's parameters do not fill it");
  const uint8_t* data = lengths + size_t{count} * width;
  for (uint32_t i = 0; i < count; ++i) {
    event.params[i] = {data, length_at(i)};
    data += event.params[i].len;
  }
  event.nparams = count;
  deliver_converted(event, cpu, state_only, batch);
  return {};
}

void ScapSource::deliver_converted(LooseEvent& event, uint16_t cpu, bool state_only, EventBatch& batch) {
  switch (converter_.convert(event)) {
    case Converter::Outcome::merged: skip_event(); return;
    case Converter::Outcome::unknown:
      ++counters_.skipped_events;
      skip_event();
      return;
    case Converter::Outcome::pass: break;
  }
  Converter::assemble(event, scratch_);
  batch.append(scratch_, cpu, state_only || rules_[event.code].state_only, std::exchange(skipped_before_, 0));
  if (event.code == ev::PROCEXIT_1_E) converter_.forget_thread(event.tid);
}

Result<std::unique_ptr<EventSource>> open(std::unique_ptr<RawBytes> raw, const std::string& name) {
  auto source = std::make_unique<ScapSource>(std::move(raw), name);
  QUELL_CHECK(source->read_section());
  return std::unique_ptr<EventSource>(std::move(source));
}

}  // namespace
}  // namespace scap

Result<std::unique_ptr<EventSource>> open_scap(const std::string& path) {
  QUELL_TRY(auto raw, scap::open_raw_file(path));
  return scap::open(std::move(raw), path);
}

Result<std::unique_ptr<EventSource>> open_scap_bytes(std::span<const uint8_t> bytes, const std::string& name) {
  return scap::open(scap::raw_memory(bytes), name);
}

}  // namespace quell::capture
