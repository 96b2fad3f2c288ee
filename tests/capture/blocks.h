#pragma once
// Hand-made captures: blocks of any type and version, also wrong ones, and the events of older writers.
#include <zlib.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "capture/scap/format.h"

namespace quell::capture::testing {

using Bytes = std::vector<uint8_t>;

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

inline Bytes block(uint32_t type, const Bytes& body) {
  Bytes out;
  ByteWriter w(out);
  const auto total = static_cast<uint32_t>(scap::padded4(body.size()) + scap::kBlockFrame);
  w.write(type);
  w.write(total);
  w.append(body.data(), body.size());
  w.zeros(scap::padded4(body.size()) - body.size());
  w.write(total);
  return out;
}

inline Bytes section(uint16_t minor = 2, uint16_t major = 1, uint32_t magic = scap::kByteOrderMagic) {
  Bytes body;
  ByteWriter w(body);
  w.write(magic);
  w.write(major);
  w.write(minor);
  w.write(UINT64_MAX);
  return block(scap::kSectionHeader, body);
}

/// A parameter as bytes.
inline Bytes num64(int64_t value) {
  Bytes out;
  ByteWriter(out).write(value);
  return out;
}
inline Bytes num32(uint32_t value) {
  Bytes out;
  ByteWriter(out).write(value);
  return out;
}
inline Bytes text(std::string_view value) {
  Bytes out(value.begin(), value.end());
  out.push_back(0);
  return out;
}

/// An event; `v1` leaves out the number of parameters, as version 1 blocks do.
inline Bytes event(uint16_t type, uint64_t ts, uint64_t tid, const std::vector<Bytes>& params, bool v1 = false,
                   bool wide = false) {
  Bytes out;
  ByteWriter w(out);
  w.write(ts);
  w.write(tid);
  w.write(uint32_t{0});
  w.write(type);
  if (!v1) w.write(static_cast<uint32_t>(params.size()));
  for (const Bytes& p : params)
    wide ? w.write(static_cast<uint32_t>(p.size())) : w.write(static_cast<uint16_t>(p.size()));
  for (const Bytes& p : params) w.append(p.data(), p.size());
  w.patch(16, static_cast<uint32_t>(out.size()));
  return out;
}

inline Bytes event_block(uint32_t type, const Bytes& event, uint16_t cpu = 0) {
  Bytes body;
  ByteWriter w(body);
  w.write(cpu);
  w.append(event.data(), event.size());
  return block(type, body);
}
inline Bytes ev2(uint16_t type, uint64_t ts, uint64_t tid, const std::vector<Bytes>& params) {
  return event_block(scap::kEventV2, event(type, ts, tid, params));
}
inline Bytes ev1(uint16_t type, uint64_t ts, uint64_t tid, const std::vector<Bytes>& params) {
  return event_block(scap::kEventV1, event(type, ts, tid, params, true));
}

inline Bytes gzip(const Bytes& in) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  Bytes out(deflateBound(&stream, in.size()) + 64);
  stream.next_in = const_cast<uint8_t*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

}  // namespace quell::capture::testing
