#include "os/protobuf_wire.h"

#include "base/bytes.h"

namespace quell::os {
namespace {
enum WireType : uint32_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };
}

void ProtoWriter::varint(uint64_t value) {
  while (value >= 0x80) {
    bytes_.push_back(static_cast<char>(value | 0x80));
    value >>= 7;
  }
  bytes_.push_back(static_cast<char>(value));
}

ProtoWriter& ProtoWriter::number(uint32_t field, uint64_t value) {
  if (value == 0) return *this;
  varint(uint64_t{field} << 3 | kVarint);
  varint(value);
  return *this;
}

ProtoWriter& ProtoWriter::text(uint32_t field, std::string_view value) {
  return value.empty() ? *this : element(field, value);
}

ProtoWriter& ProtoWriter::element(uint32_t field, std::string_view value) {
  varint(uint64_t{field} << 3 | kBytes);
  varint(value.size());
  bytes_ += value;
  return *this;
}

ProtoWriter& ProtoWriter::message(uint32_t field, const ProtoWriter& value) { return element(field, value.bytes()); }

ProtoWriter& ProtoWriter::entry(uint32_t field, std::string_view key, std::string_view value) {
  return message(field, ProtoWriter().text(1, key).text(2, value));
}

bool ProtoReader::fail() {
  ok_ = false;
  bytes_ = {};
  return false;
}

bool ProtoReader::varint(uint64_t& out) {
  out = 0;
  for (uint32_t shift = 0; shift < 64 && !bytes_.empty(); shift += 7) {
    const auto byte = static_cast<uint8_t>(bytes_.front());
    bytes_.remove_prefix(1);
    out |= uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

bool ProtoReader::next() {
  if (!ok_ || bytes_.empty()) return false;
  uint64_t key = 0;
  if (!varint(key) || key >> 3 == 0 || key >> 3 > 0x1fffffff) return fail();
  field_ = static_cast<uint32_t>(key >> 3);
  number_ = 0;
  payload_ = {};
  switch (key & 7) {
    case kVarint: return varint(number_) || fail();
    case kFixed64:
    case kFixed32: {
      const size_t width = (key & 7) == kFixed64 ? 8 : 4;
      if (bytes_.size() < width) return fail();
      number_ = width == 8 ? load<uint64_t>(bytes_.data()) : load<uint32_t>(bytes_.data());
      bytes_.remove_prefix(width);
      return true;
    }
    case kBytes: {
      uint64_t size = 0;
      if (!varint(size) || size > bytes_.size()) return fail();
      payload_ = bytes_.substr(0, size);
      bytes_.remove_prefix(size);
      return true;
    }
    default: return fail();  // groups, which proto3 does not have
  }
}

bool read_map_entry(std::string_view entry, std::string& key, std::string& value) {
  ProtoReader reader(entry);
  key.clear();
  value.clear();
  while (reader.next()) {
    if (reader.field() == 1) key = reader.text();
    if (reader.field() == 2) value = reader.text();
  }
  return reader.ok();
}

}  // namespace quell::os
