#pragma once
// The reading side of a BPF ring buffer, on its two shared mappings. Ours instead of libbpf's because that one tells
// the kernel about every single record, a cache line which all producers read.
#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace quell::capture {

class RingReader {
 public:
  /// `map_fd` stays with the caller and must outlive the reader.
  static Result<RingReader> open(int map_fd, uint64_t size);
  RingReader(RingReader&& other) noexcept;
  RingReader& operator=(RingReader&&) = delete;
  ~RingReader();

  /// Calls take(bytes) for each finished record until it returns false or none is left; the bytes are valid during the
  /// call. A record for which it returned false was not taken. Returns how many were taken.
  template <typename Take>
  size_t drain(Take&& take) {
    size_t taken = 0;
    uint64_t position = consumer_->load(std::memory_order_relaxed);
    const uint64_t end = producer_->load(std::memory_order_acquire);
    while (position < end) {
      const auto* header = reinterpret_cast<const std::atomic<uint32_t>*>(data_ + (position & mask_));
      const uint32_t word = header->load(std::memory_order_acquire);
      if (word & kBusy) break;  // reserved, still being written; later ones wait for it
      const uint32_t length = word & ~(kBusy | kDiscard);
      if (!(word & kDiscard)) {
        if (!take(std::span(data_ + (position & mask_) + kHeader, length))) break;
        ++taken;
      }
      position += (uint64_t{length} + kHeader + 7) & ~uint64_t{7};
    }
    consumer_->store(position, std::memory_order_release);
    return taken;
  }

 private:
  static constexpr uint32_t kBusy = 1u << 31, kDiscard = 1u << 30, kHeader = 8;
  RingReader(void* consumer_page, void* producer_pages, uint64_t size, uint64_t page);

  void* consumer_page_;
  void* producer_pages_;
  uint64_t page_;
  uint64_t mask_;
  std::atomic<uint64_t>* consumer_;
  const std::atomic<uint64_t>* producer_;
  const uint8_t* data_;
};

}  // namespace quell::capture
