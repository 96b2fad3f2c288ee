#pragma once
// One event: a view of its bytes in .scap layout, of the current schema, with its parameters located and bounded.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "model/event_schema.h"

namespace quell {

/// The 26 bytes before the parameter lengths. Packed, little-endian.
#pragma pack(push, 1)
struct EventHeader {
  uint64_t ts_ns;  // since the Unix epoch
  uint64_t tid;    // all ones: no thread
  uint32_t len;    // of the whole event, header included
  uint16_t type;   // EventCode
  uint32_t nparams;
};
#pragma pack(pop)
static_assert(sizeof(EventHeader) == 26);

/// A parameter's bytes. Length 0 means "value not available". Valid as long as the event's batch.
struct Param {
  const uint8_t* data = nullptr;
  uint32_t len = 0;

  bool empty() const { return len == 0; }
  std::span<const uint8_t> bytes() const { return {data, len}; }
  /// A number of at most 8 bytes, zero-extended or sign-extended from its width; 0 if empty.
  uint64_t u64() const {
    switch (len) {
      case 8: return load<uint64_t>(data);
      case 4: return load<uint32_t>(data);
      case 2: return load<uint16_t>(data);
      case 1: return *data;
      default: return u64_of_odd_width();
    }
  }
  int64_t i64() const {
    if (len == 8) return load<int64_t>(data);
    switch (len) {
      case 1: return load<int8_t>(data);
      case 2: return load<int16_t>(data);
      case 4: return load<int32_t>(data);
      default: return static_cast<int64_t>(u64_of_odd_width());
    }
  }
  /// Text up to its first NUL.
  std::string_view text() const {
    const auto* from = reinterpret_cast<const char*>(data);
    return {from, len == 0 ? 0 : strnlen(from, len)};
  }
  uint64_t u64_of_odd_width() const;
};

class Event {
 public:
  /// Locates the parameters of the event at `bytes` (which starts with its EventHeader). Checks that every length lies
  /// inside. The code must be known (< kEventCodeCount). Parameters beyond the schema's are ignored, missing ones read
  /// as empty. Errors: Code::malformed. `out` keeps pointers into `bytes`.
  static Result<void> parse(std::span<const uint8_t> bytes, Event& out);
  /// What parse() would complain about; null if the event is sound.
  static const char* flaw(std::span<const uint8_t> bytes);
  /// parse() for an event that is known to be sound, such as those of a batch.
  static void locate(const uint8_t* bytes, Event& out);

  EventCode code() const { return spec_->code; }
  const EventSpec& spec() const { return *spec_; }
  uint64_t ts_ns() const { return ts_ns_; }
  int64_t tid() const { return tid_; }
  uint32_t nparams() const { return nparams_; }
  /// Parameter by index; empty if this event does not carry it.
  Param param(size_t index) const {
    if (index >= nparams_) return {};
    return {params_ + starts_[index], starts_[index + 1] - starts_[index]};
  }
  /// True if the event carries a parameter of that index, even an empty one.
  bool carries(size_t index) const { return index < nparams_; }
  std::span<const uint8_t> bytes() const { return bytes_; }

  // Set by the capture source.
  uint16_t cpu = 0;
  bool state_only = false;  // update the tables, show it to nobody

 private:
  std::span<const uint8_t> bytes_;
  const EventSpec* spec_ = nullptr;
  const uint8_t* params_ = nullptr;  // the first one's bytes
  uint64_t ts_ns_ = 0;
  int64_t tid_ = 0;
  uint32_t nparams_ = 0;
  // Where each parameter starts, and where the last one ends; what lies behind that means nothing: setting all of it
  // for every event would cost more than locating the few that there are.
  std::array<uint32_t, kMaxParams + 1> starts_;
};

/// Events in the order in which they happened, each one sound (see Event::flaw). The batch owns the bytes of what
/// was appended and borrows from its source what was lent: all of it is valid until the source fills the batch again.
/// Reused: clear() keeps some memory.
class EventBatch {
 public:
  struct Slot {
    const uint8_t* bytes;
    uint32_t len;
    uint32_t skipped_before;  // events of the stream between the previous one and this that are not delivered
    uint16_t cpu;
    bool state_only;
  };
  void clear();
  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  /// Of the events that were appended.
  size_t byte_size() const { return owned_bytes_; }
  /// Copies the event. `skipped_before` keeps evt.num equal to the position in the capture when events were merged away
  /// (enter events).
  void append(std::span<const uint8_t> event, uint16_t cpu, bool state_only = false, uint32_t skipped_before = 0) {
    lend(keep(event), static_cast<uint32_t>(event.size()), cpu, state_only, skipped_before);
  }
  /// The same without a copy: the bytes stay where they are until the next fill.
  void lend(const uint8_t* event, uint32_t len, uint16_t cpu, bool state_only, uint32_t skipped_before) {
    if (size_ == slots_.size()) slots_.resize(size_ < kFirstSlots ? kFirstSlots : 2 * size_);
    slots_[size_++] = {event, len, skipped_before, cpu, state_only};
  }
  const Slot& slot(size_t index) const { return slots_[index]; }
  std::span<const Slot> slots() const { return {slots_.data(), size_}; }
  std::span<const uint8_t> event(size_t index) const { return {slots_[index].bytes, slots_[index].len}; }

 private:
  // Appended bytes live in blocks, so that they stay in place while more come.
  static constexpr size_t kBlock = 64 << 10, kKeptBlocks = 8;
  struct Block {
    std::unique_ptr<uint8_t[]> bytes;
    size_t size;
  };
  const uint8_t* keep(std::span<const uint8_t> event);

  static constexpr size_t kFirstSlots = 64;
  std::vector<Slot> slots_;  // the first `size_` of them
  size_t size_ = 0;
  std::vector<Block> blocks_;
  size_t block_ = 0, block_used_ = 0;  // where the next event goes
  size_t owned_bytes_ = 0;
};

/// Builds one event in .scap layout. Lengths are u16, or u32 for kEvLargePayload events; too long values are cut.
class EventBuilder {
 public:
  explicit EventBuilder(EventCode code, uint64_t ts_ns, int64_t tid);
  template <typename T>
  EventBuilder& num(T value) {
    return raw(&value, sizeof value);
  }
  EventBuilder& text(std::string_view value);  // adds the NUL
  EventBuilder& bytes(std::span<const uint8_t> value) { return raw(value.data(), value.size()); }
  EventBuilder& raw(const void* value, size_t length);
  EventBuilder& empty() { return raw(nullptr, 0); }
  /// The finished event. The builder can be destroyed afterwards.
  std::vector<uint8_t> build() const;

 private:
  const EventSpec& spec_;
  uint64_t ts_ns_;
  int64_t tid_;
  std::vector<uint32_t> lengths_;
  std::vector<uint8_t> data_;
};

}  // namespace quell
