#pragma once
// File descriptors of a process, as rules see them (fd.*).
#include <algorithm>
#include <array>
#include <boost/smart_ptr/make_local_shared.hpp>
#include <boost/unordered/unordered_flat_map.hpp>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace quell {

enum class FdType : uint8_t {
  unknown,
  file,
  directory,
  ipv4,
  ipv6,
  ipv4_server,
  ipv6_server,
  fifo,
  unix_socket,
  event,
  unsupported,
  signalfd,
  eventpoll,
  inotify,
  timerfd,
  netlink,
  bpf,
  userfaultfd,
  io_uring,
  memfd,
  pidfd
};
enum class L4Proto : uint8_t { unknown = 0, na = 1, tcp = 2, udp = 3, icmp = 4, raw = 5 };
enum class SocketRole : uint8_t { none, client, server };

/// An address of either family. IPv4 sits in the first four bytes; all bytes in network order.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  uint8_t family = 0;  // 0 none, 4 or 6

  static IpAddress v4(const void* network_order) {
    IpAddress a;
    a.family = 4;
    std::memcpy(a.bytes.data(), network_order, 4);
    return a;
  }
  static IpAddress v6(const void* network_order) {
    IpAddress a;
    a.family = 6;
    std::memcpy(a.bytes.data(), network_order, 16);
    return a;
  }
  bool operator==(const IpAddress&) const = default;
  bool is_v4_mapped() const;
  /// "10.0.0.1" or "::1"; empty for no address.
  std::string str() const;
  /// The same at `out`, which has room for kMaxText bytes; its end.
  char* write(char* out) const;
  static constexpr size_t kMaxText = 46;
};

/// A connection: client is the tuple's source once the role is known. Ports in host byte order.
struct SocketTuple {
  IpAddress source, dest;
  uint16_t source_port = 0, dest_port = 0;
  bool operator==(const SocketTuple&) const = default;
};

enum FdFlag : uint8_t {
  kFdCloexec = 1,
  kFdConnected = 2,
  kFdConnectPending = 4,
  kFdConnectFailed = 8,
  kFdUpperLayer = 16,
  kFdLowerLayer = 32
};

/// One open descriptor. Immutable once in a table: a change replaces the entry, so forked tables can share it.
struct Fd {
  FdType type = FdType::unknown;
  L4Proto l4 = L4Proto::unknown;
  SocketRole role = SocketRole::none;
  uint8_t flags = 0;           // FdFlag
  bool given_is_name = false;  // the program gave the path as it is in `name`: most do
  uint32_t open_flags = 0;     // portable file_flags
  uint32_t dev = 0;
  uint64_t ino = 0;
  std::string name;      // files: absolute, normalised; inet: "sip:sport->dip:dport"; unix: "src->dst path" or path
  std::string name_raw;  // files: as the program gave it, where that differs; see given_name()
  SocketTuple tuple;     // inet; servers use source only
  uint64_t unix_source = 0, unix_dest = 0;  // kernel addresses of a unix pair
  int64_t pid = 0;                          // pidfd: whose

  bool has(FdFlag flag) const { return (flags & flag) != 0; }
  /// Files: the path as the program gave it; empty if unknown.
  std::string_view given_name() const { return given_is_name ? name : name_raw; }
  bool is_inet() const {
    return type == FdType::ipv4 || type == FdType::ipv6 || type == FdType::ipv4_server || type == FdType::ipv6_server;
  }
  bool is_server() const { return type == FdType::ipv4_server || type == FdType::ipv6_server; }
  bool is_socket() const { return is_inet() || type == FdType::unix_socket; }
  bool is_file() const { return type == FdType::file; }
};
/// A shared Fd. Counted without atomics: tables belong to one thread. Its memory is reused, since descriptors come and
/// go with every open and close.
class FdPtr {
 public:
  FdPtr() = default;
  FdPtr(const FdPtr& other) : node_(other.node_) {
    if (node_ != nullptr) ++node_->uses;
  }
  FdPtr(FdPtr&& other) noexcept : node_(std::exchange(other.node_, nullptr)) {}
  FdPtr& operator=(FdPtr other) noexcept {
    std::swap(node_, other.node_);
    return *this;
  }
  ~FdPtr() { reset(); }
  void reset() {
    if (node_ != nullptr && --node_->uses == 0) release(node_);
    node_ = nullptr;
  }
  const Fd* get() const { return node_ == nullptr ? nullptr : &node_->fd; }
  const Fd& operator*() const { return node_->fd; }
  const Fd* operator->() const { return &node_->fd; }
  explicit operator bool() const { return node_ != nullptr; }

  static FdPtr make(Fd&& fd);

 private:
  struct Node {
    Fd fd;
    uint32_t uses = 1;
    Node* next = nullptr;  // while it is free
  };
  struct Pool;
  static void release(Node* node);

  Node* node_ = nullptr;
};
inline FdPtr make_fd(Fd fd) { return FdPtr::make(std::move(fd)); }

/// Numbers to descriptors. Bounded by the writer (see enrich); copied only when a process forks and then changes it.
class FdTable {
 public:
  const Fd* find(int64_t number) const {
    if (number < 0) return nullptr;
    if (static_cast<uint64_t>(number) < dense_.size()) return dense_[static_cast<size_t>(number)].get();
    if (sparse_.empty()) return nullptr;
    const auto found = sparse_.find(number);
    return found == sparse_.end() ? nullptr : found->second.get();
  }
  FdPtr find_ptr(int64_t number) const {
    if (number < 0) return {};
    if (static_cast<uint64_t>(number) < dense_.size()) return dense_[static_cast<size_t>(number)];
    const auto found = sparse_.find(number);
    return found == sparse_.end() ? FdPtr{} : found->second;
  }
  void set(int64_t number, FdPtr fd) {
    if (number < 0) return;
    FdPtr& slot = slot_of(number);
    if (!slot) ++count_;
    slot = std::move(fd);
  }
  bool erase(int64_t number) {
    if (number < 0) return false;
    if (static_cast<uint64_t>(number) < dense_.size()) {
      FdPtr& slot = dense_[static_cast<size_t>(number)];
      if (!slot) return false;
      slot.reset();
      --count_;
      return true;
    }
    if (sparse_.erase(number) == 0) return false;
    --count_;
    return true;
  }
  size_t size() const { return count_; }
  /// Calls visit(number, fd) for every descriptor; not in order beyond the dense part.
  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (size_t i = 0; i < dense_.size(); ++i)
      if (dense_[i]) visit(static_cast<int64_t>(i), *dense_[i]);
    for (const auto& [number, fd] : sparse_) visit(number, *fd);
  }

 private:
  static constexpr int64_t kDenseLimit = 1024;
  FdPtr& slot_of(int64_t number) {
    if (number >= kDenseLimit) return sparse_[number];
    const auto index = static_cast<size_t>(number);
    if (index >= dense_.size()) dense_.resize(std::max<size_t>(16, std::max(index + 1, dense_.size() * 2)));
    return dense_[index];
  }

  std::vector<FdPtr> dense_;
  boost::unordered_flat_map<int64_t, FdPtr> sparse_;
  size_t count_ = 0;
};
using FdTablePtr = boost::local_shared_ptr<FdTable>;

}  // namespace quell
