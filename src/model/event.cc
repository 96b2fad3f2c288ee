#include "model/event.h"

#include <algorithm>

#include "base/assert.h"

namespace quell {

Result<void> Event::parse(std::span<const uint8_t> bytes, Event& out) {
  const auto malformed = [&](const char* what) { return Error{Code::malformed, what, {}}; };
  if (bytes.size() < sizeof(EventHeader)) return malformed("event shorter than its header");
  const auto header = load<EventHeader>(bytes.data());
  if (header.len < sizeof(EventHeader) || header.len > bytes.size()) return malformed("event length outside its block");
  if (header.type >= kEventCodeCount) return malformed("event code unknown");
  const EventSpec& spec = kEventTable[header.type];
  const uint32_t width = spec.has(kEvLargePayload) ? 4 : 2;
  const uint64_t table = uint64_t{header.nparams} * width;
  if (table > header.len - sizeof(EventHeader)) return malformed("more parameters than the event has room for");

  const uint8_t* lengths = bytes.data() + sizeof(EventHeader);
  const uint8_t* data = lengths + table;
  uint64_t left = header.len - sizeof(EventHeader) - table;
  const auto count = static_cast<uint32_t>(std::min<size_t>(header.nparams, spec.params.size()));
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t length = width == 2 ? load<uint16_t>(lengths + 2 * i) : load<uint32_t>(lengths + 4 * i);
    if (length > left) return malformed("a parameter reaches past the end of its event");
    out.params_[i] = {data, length};
    data += length;
    left -= length;
  }
  out.bytes_ = bytes.first(header.len);
  out.spec_ = &spec;
  out.ts_ns_ = header.ts_ns;
  out.tid_ = static_cast<int64_t>(header.tid);
  out.nparams_ = count;
  return {};
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
