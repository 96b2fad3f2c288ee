#include "model/fd.h"

#include <arpa/inet.h>

#include <charconv>

namespace quell {

/// Nodes that were given back, for the next ones; of each thread its own.
struct FdPtr::Pool {
  static constexpr size_t kMaxFree = 4096;
  Node* free = nullptr;
  size_t count = 0;
  ~Pool() {
    while (free != nullptr) delete std::exchange(free, free->next);
    count = kMaxFree;  // what is given back later goes at once
  }
  static Pool& of_thread() {
    thread_local Pool pool;
    return pool;
  }
};

FdPtr FdPtr::make(Fd&& fd) {
  Pool& pool = Pool::of_thread();
  FdPtr out;
  if (pool.free == nullptr) {
    out.node_ = new Node{std::move(fd)};
    return out;
  }
  out.node_ = std::exchange(pool.free, pool.free->next);
  --pool.count;
  out.node_->fd = std::move(fd);
  out.node_->uses = 1;
  return out;
}

void FdPtr::release(Node* node) {
  Pool& pool = Pool::of_thread();
  if (pool.count >= Pool::kMaxFree) {
    delete node;
    return;
  }
  // A long name would be kept for nothing; a short one's buffer serves the next.
  constexpr size_t kKeptName = 256;
  if (node->fd.name.capacity() > kKeptName) node->fd.name = std::string();
  if (node->fd.name_raw.capacity() > kKeptName) node->fd.name_raw = std::string();
  node->next = pool.free;
  pool.free = node;
  ++pool.count;
}

bool IpAddress::is_v4_mapped() const {
  static constexpr uint8_t kPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  return family == 6 && std::memcmp(bytes.data(), kPrefix, sizeof kPrefix) == 0;
}

std::string IpAddress::str() const {
  char buffer[kMaxText];
  return {buffer, write(buffer)};
}

char* IpAddress::write(char* out) const {
  if (family == 4) {
    for (size_t i = 0; i < 4; ++i) {
      if (i > 0) *out++ = '.';
      out = std::to_chars(out, out + 3, bytes[i]).ptr;
    }
    return out;
  }
  static_assert(kMaxText >= INET6_ADDRSTRLEN);
  if (family == 0 || inet_ntop(AF_INET6, bytes.data(), out, kMaxText) == nullptr) return out;
  return out + std::strlen(out);
}

}  // namespace quell
