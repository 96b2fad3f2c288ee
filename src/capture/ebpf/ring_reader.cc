#include "capture/ebpf/ring_reader.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace quell::capture {

Result<RingReader> RingReader::open(int map_fd, uint64_t size) {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  void* consumer = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
  if (consumer == MAP_FAILED) return errno_error(errno, "cannot map the position of the event ring");
  // The data lies behind the producer's page, twice in a row, so that a record never wraps.
  void* producer = mmap(nullptr, page + 2 * size, PROT_READ, MAP_SHARED, map_fd, static_cast<off_t>(page));
  if (producer == MAP_FAILED) {
    const int number = errno;
    munmap(consumer, page);
    return errno_error(number, "cannot map the event ring");
  }
  // Children (responders, runtimes' clients) have no use for the ring, and copying its thousands of page table entries
  // would make every fork of this process dearer by a millisecond.
  madvise(consumer, page, MADV_DONTFORK);
  madvise(producer, page + 2 * size, MADV_DONTFORK);
  return RingReader(consumer, producer, size, page);
}

RingReader::RingReader(void* consumer_page, void* producer_pages, uint64_t size, uint64_t page)
    : consumer_page_(consumer_page),
      producer_pages_(producer_pages),
      page_(page),
      mask_(size - 1),
      consumer_(static_cast<std::atomic<uint64_t>*>(consumer_page)),
      producer_(static_cast<const std::atomic<uint64_t>*>(producer_pages)),
      data_(static_cast<const uint8_t*>(producer_pages) + page) {}

RingReader::RingReader(RingReader&& other) noexcept
    : consumer_page_(std::exchange(other.consumer_page_, nullptr)),
      producer_pages_(std::exchange(other.producer_pages_, nullptr)),
      page_(other.page_),
      mask_(other.mask_),
      consumer_(other.consumer_),
      producer_(other.producer_),
      data_(other.data_) {}

RingReader::~RingReader() {
  if (consumer_page_ != nullptr) munmap(consumer_page_, page_);
  if (producer_pages_ != nullptr) munmap(producer_pages_, page_ + 2 * (mask_ + 1));
}

}  // namespace quell::capture
