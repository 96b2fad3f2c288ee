#pragma once
// The protobuf wire format, as much as containerd's and the CRI's messages need: varints, byte strings, nested
// messages, maps. Field numbers are given at the call, so that a message is written and read where it is used.
#include <cstdint>
#include <string>
#include <string_view>

namespace quell::os {

class ProtoWriter {
 public:
  /// Zero and empty are the defaults of the format and are left out, as its encoders do.
  ProtoWriter& number(uint32_t field, uint64_t value);
  ProtoWriter& text(uint32_t field, std::string_view value);
  /// Written also when empty: presence means something for a message and for an element of a list.
  ProtoWriter& message(uint32_t field, const ProtoWriter& value);
  ProtoWriter& element(uint32_t field, std::string_view value);
  /// One entry of a map<string, string>.
  ProtoWriter& entry(uint32_t field, std::string_view key, std::string_view value);
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(uint64_t value);
  std::string bytes_;
};

/// Walks the fields of one message. Never reads past its end, whatever the bytes are.
class ProtoReader {
 public:
  explicit ProtoReader(std::string_view bytes) : bytes_(bytes) {}

  /// Moves to the next field; false at the end, and for ever after bytes that do not follow the format (then ok() is
  /// false).
  [[nodiscard]] bool next();
  bool ok() const { return ok_; }

  uint32_t field() const { return field_; }
  /// Of a varint or fixed-width field; 0 for others.
  uint64_t number() const { return number_; }
  /// Of a byte string or nested message; empty for others. Borrows from the message.
  std::string_view bytes() const { return payload_; }
  std::string text() const { return std::string(payload_); }

 private:
  bool fail();
  bool varint(uint64_t& out);
  std::string_view bytes_;
  uint32_t field_ = 0;
  uint64_t number_ = 0;
  std::string_view payload_;
  bool ok_ = true;
};

/// Key and value of one entry of a map<string, string>; false if malformed.
bool read_map_entry(std::string_view entry, std::string& key, std::string& value);

}  // namespace quell::os
