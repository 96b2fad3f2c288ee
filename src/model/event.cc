#include "model/event.h"

#include <algorithm>

#include "base/assert.h"

namespace quell {

uint64_t Param::u64_of_odd_width() const {
  uint64_t value = 0;
  if (len != 0) std::memcpy(&value, data, std::min<size_t>(len, sizeof value));
  return value;
}

void Event::locate(const uint8_t* bytes, Event& out) {
  const auto header = load<EventHeader>(bytes);
  const EventSpec& spec = kEventTable[header.type];
  const auto count = static_cast<uint32_t>(std::min<uint64_t>(header.nparams, spec.params.size()));
  const uint8_t* lengths = bytes + sizeof(EventHeader);
  uint32_t start = 0;
  out.starts_[0] = 0;
  if (spec.has(kEvLargePayload)) {
    for (uint32_t i = 0; i < count; ++i) out.starts_[i + 1] = start += load<uint32_t>(lengths + 4 * i);
    out.params_ = lengths + size_t{header.nparams} * 4;
  } else {
#pragma GCC unroll 4
    for (uint32_t i = 0; i < count; ++i) out.starts_[i + 1] = start += load<uint16_t>(lengths + 2 * i);
    out.params_ = lengths + size_t{header.nparams} * 2;
  }
  out.bytes_ = {bytes, header.len};
  out.spec_ = &spec;
  out.ts_ns_ = header.ts_ns;
  out.tid_ = static_cast<int64_t>(header.tid);
  out.nparams_ = count;
}

const char* Event::flaw(std::span<const uint8_t> bytes) {
  if (bytes.size() < sizeof(EventHeader)) return "event shorter than its header";
  const auto header = load<EventHeader>(bytes.data());
  if (header.len < sizeof(EventHeader) || header.len > bytes.size()) return "event length outside its block";
  if (header.type >= kEventCodeCount) return "event code unknown";
  const EventSpec& spec = kEventTable[header.type];
  const bool wide = spec.has(kEvLargePayload);
  const uint64_t table = uint64_t{header.nparams} * (wide ? 4 : 2);
  if (table > header.len - sizeof(EventHeader)) return "more parameters than the event has room for";

  const uint8_t* lengths = bytes.data() + sizeof(EventHeader);
  const uint64_t count = std::min<uint64_t>(header.nparams, spec.params.size());
  uint64_t need = sizeof(EventHeader) + table;
  for (uint64_t i = 0; i < count; ++i) need += wide ? load<uint32_t>(lengths + 4 * i) : load<uint16_t>(lengths + 2 * i);
  return need > header.len ? "a parameter reaches past the end of its event" : nullptr;
}

Result<void> Event::parse(std::span<const uint8_t> bytes, Event& out) {
  if (const char* what = flaw(bytes)) return Error{Code::malformed, what, {}};
  locate(bytes.data(), out);
  return {};
}

void EventBatch::clear() {
  size_ = 0;
  if (blocks_.size() > kKeptBlocks) blocks_.resize(kKeptBlocks);
  block_ = block_used_ = owned_bytes_ = 0;
}

const uint8_t* EventBatch::keep(std::span<const uint8_t> event) {
  while (block_ < blocks_.size() && blocks_[block_].size - block_used_ < event.size()) ++block_, block_used_ = 0;
  if (block_ == blocks_.size()) {
    const size_t size = std::max(kBlock, event.size());
    blocks_.push_back({std::make_unique_for_overwrite<uint8_t[]>(size), size});
  }
  uint8_t* to = blocks_[block_].bytes.get() + block_used_;
  std::memcpy(to, event.data(), event.size());
  block_used_ += event.size();
  owned_bytes_ += event.size();
  return to;
}

EventBuilder::EventBuilder(EventCode code, uint64_t ts_ns, int64_t tid)
    : spec_(event_spec(code)), ts_ns_(ts_ns), tid_(tid) {}

EventBuilder& EventBuilder::text(std::string_view value) {
  const size_t length = spec_.has(kEvLargePayload) ? value.size() : std::min<size_t>(value.size(), 65534);
  lengths_.push_back(static_cast<uint32_t>(length + 1));
  data_.insert(data_.end(), value.begin(), value.begin() + static_cast<ptrdiff_t>(length));
  data_.push_back(0);
  return *this;
}

EventBuilder& EventBuilder::raw(const void* value, size_t length) {
  if (!spec_.has(kEvLargePayload)) length = std::min<size_t>(length, 65535);
  const auto* from = static_cast<const uint8_t*>(value);
  lengths_.push_back(static_cast<uint32_t>(length));
  if (length > 0) data_.insert(data_.end(), from, from + length);
  return *this;
}

std::vector<uint8_t> EventBuilder::build() const {
  QUELL_ASSERT(lengths_.size() <= spec_.params.size());
  const bool large = spec_.has(kEvLargePayload);
  EventHeader header{};
  header.ts_ns = ts_ns_;
  header.tid = static_cast<uint64_t>(tid_);
  header.len = static_cast<uint32_t>(sizeof header + lengths_.size() * (large ? 4 : 2) + data_.size());
  header.type = spec_.code;
  header.nparams = static_cast<uint32_t>(lengths_.size());
  std::vector<uint8_t> out;
  out.reserve(header.len);
  ByteWriter writer(out);
  writer.write(header);
  for (const uint32_t length : lengths_) large ? writer.write(length) : writer.write(static_cast<uint16_t>(length));
  writer.append(data_.data(), data_.size());
  return out;
}

}  // namespace quell
