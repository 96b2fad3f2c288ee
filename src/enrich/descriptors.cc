// Descriptors that are not sockets, and the tables that hold all of them.
#include "base/path.h"
#include "enrich/impl.h"

namespace quell::enrich {
namespace {

bool succeeded(const EventContext& context) { return context.result && *context.result >= 0; }
uint32_t u32(Param param) { return static_cast<uint32_t>(param.u64()); }

constexpr uint64_t kFcntlDupfd = 1, kFcntlSetfd = 3, kFcntlDupfdCloexec = 0x1A;
constexpr uint32_t kCloseRangeCloexec = 4;

FdPtr with_cloexec(const FdPtr& fd, bool cloexec) {
  if (fd->has(kFdCloexec) == cloexec) return fd;
  Fd copy = *fd;
  copy.flags = static_cast<uint8_t>(cloexec ? copy.flags | kFdCloexec : copy.flags & ~kFdCloexec);
  return make_fd(std::move(copy));
}

Fd file(uint32_t flags, uint32_t dev, uint64_t ino) {
  Fd fd;
  fd.type = (flags & kOpenDirectory) != 0 ? FdType::directory : FdType::file;
  fd.open_flags = flags;
  fd.dev = dev;
  fd.ino = ino;
  if (flags & kOpenCloexec) fd.flags |= kFdCloexec;
  if (flags & kOpenUpperLayer) fd.flags |= kFdUpperLayer;
  if (flags & kOpenLowerLayer) fd.flags |= kFdLowerLayer;
  return fd;
}

/// Where a file is kept; the end of the path tells more than its begin.
size_t file_hash(std::string_view path, uint64_t ino) {
  uint64_t tail = 0;
  if (path.size() >= sizeof tail) std::memcpy(&tail, path.data() + path.size() - sizeof tail, sizeof tail);
  return static_cast<size_t>(((tail ^ ino) * 0x9E3779B97F4A7C15 + path.size()) >> 40);
}

}  // namespace

/// The process' own table: a shared one is copied first.
FdTable& StateTables::Impl::own_fds(Entry& owner) {
  if (!owner.fds) {
    owner.fds = boost::make_local_shared<FdTable>();
  } else if (owner.fds.local_use_count() > 1) {
    if (fd_count_ + owner.fds->size() > options_.max_fds) {
      // No room for a copy: who changes first forgets what it inherited.
      counters_.fds_refused += owner.fds->size();
      owner.fds = boost::make_local_shared<FdTable>();
    } else {
      owner.fds = boost::make_local_shared<FdTable>(*owner.fds);
      fd_count_ += owner.fds->size();
    }
  }
  return *owner.fds;
}

bool StateTables::Impl::put_fd(Entry& owner, int64_t number, FdPtr fd) {
  if (number < 0) return false;
  FdTable& table = own_fds(owner);
  const size_t before = table.size();
  const bool is_full = before >= options_.max_fds_per_process || fd_count_ >= options_.max_fds;
  if (is_full && table.find(number) == nullptr) {
    ++counters_.fds_refused;
    return false;
  }
  table.set(number, std::move(fd));
  fd_count_ += table.size() - before;
  return true;
}

void StateTables::Impl::drop_fd(Entry& owner, int64_t number) {
  if (!owner.fds || owner.fds->find(number) == nullptr) return;
  if (own_fds(owner).erase(number)) --fd_count_;
}

void StateTables::Impl::release_fds(Entry& owner) {
  if (owner.fds && owner.fds.local_use_count() == 1) fd_count_ -= owner.fds->size();
  owner.fds.reset();
}

void StateTables::Impl::create_fd(int64_t number, Fd fd) { create_fd(number, make_fd(std::move(fd))); }

void StateTables::Impl::create_fd(int64_t number, FdPtr fd) {
  context_.fd_number = number;
  if (number < 0) return;
  held_ = std::move(fd);
  context_.fd = held_.get();
  put_fd(entry_->owner(), number, held_);
}

void StateTables::Impl::replace_fd(int64_t number, Fd fd) {
  const bool renamed = context_.fd == nullptr || context_.fd->name != fd.name;
  create_fd(number, std::move(fd));
  context_.fd_name_changed = renamed;
}

// The five calls whose arguments a second thread could swap while the kernel works: what it was given comes first.
void StateTables::Impl::on_enter(const Event& event) {
  if (entry_->enter == nullptr) entry_->enter = std::make_unique<EnterArguments>();
  EnterArguments& held = *entry_->enter;
  held.code = event.code();
  held.name.clear();
  held.address.clear();
  held.has_flags = held.has_dirfd = false;
  const auto hold_flags = [&](size_t index) {
    held.has_flags = has_value(event, index);
    held.flags = u32(event.param(index));
  };
  switch (event.code()) {
    case ev::SYSCALL_OPEN_E:
      held.name = event.param(0).text();
      hold_flags(1);
      break;
    case ev::SYSCALL_CREAT_E: held.name = event.param(0).text(); break;
    case ev::SYSCALL_OPENAT_2_E:
    case ev::SYSCALL_OPENAT2_E:
      held.has_dirfd = has_value(event, 0);
      held.dirfd = fd_number(event.param(0));
      held.name = event.param(1).text();
      hold_flags(2);
      break;
    case ev::SOCKET_CONNECT_E: {
      const auto address = event.param(1).bytes();
      held.address.assign(address.begin(), address.end());
      break;
    }
    default: break;
  }
}

std::string_view StateTables::Impl::directory_of(int64_t dirfd) const {
  const Entry& owner = entry_->owner();
  if (dirfd == kAtFdCwd) return owner.cwd;
  const Fd* fd = owner.fds ? owner.fds->find(dirfd) : nullptr;
  return fd == nullptr ? kUnknownDirectory : fd->name;
}

void StateTables::Impl::opened(const Event& event, int64_t dirfd, std::string_view name, uint32_t flags, uint32_t dev,
                               uint64_t ino) {
  if (EnterArguments* held = entry_->enter.get(); held != nullptr && held->code + 1 == event.code()) {
    constexpr uint32_t kDriverBits = kOpenCreated | kOpenUpperLayer | kOpenLowerLayer;
    if (!held->name.empty()) name = held->name;
    if (held->has_flags) flags = held->flags | (flags & kDriverBits);
    if (held->has_dirfd) dirfd = held->dirfd;
    held->code = 0;
  }
  if (!succeeded(context_)) return;
  // The same files are opened over and over: what is known of one is shared.
  FdPtr& recent = recent_files_[file_hash(name, ino) % recent_files_.size()];
  if (recent && recent->ino == ino && recent->dev == dev && recent->open_flags == flags && recent->name == name)
    return create_fd(*context_.result, recent);
  Fd fd = file(flags, dev, ino);
  if (is_normal_path(name)) {
    fd.name = name;
    fd.given_is_name = true;
    recent = make_fd(std::move(fd));
    return create_fd(*context_.result, recent);
  }
  if (!name.empty()) {
    fd.name = absolute_path(name.front() == '/' ? std::string_view{} : directory_of(dirfd), name);
    fd.name_raw = name;
  }
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_open(const Event& event) {
  opened(event, kAtFdCwd, event.param(1).text(), u32(event.param(2)), u32(event.param(4)), event.param(5).u64());
}

void StateTables::Impl::on_creat(const Event& event) {
  constexpr uint32_t kWriteOnly = 2, kCreate = 4, kTruncate = 256;
  const auto layers = event.param(5).u64();
  uint32_t flags = kWriteOnly | kCreate | kTruncate;
  if (layers & 1) flags |= kOpenUpperLayer;
  if (layers & 2) flags |= kOpenLowerLayer;
  opened(event, kAtFdCwd, event.param(1).text(), flags, u32(event.param(3)), event.param(4).u64());
}

void StateTables::Impl::on_openat(const Event& event) {
  const size_t dev = event.code() == ev::SYSCALL_OPENAT2_X ? 6 : 5;
  opened(event, has_value(event, 1) ? fd_number(event.param(1)) : kAtFdCwd, event.param(2).text(), u32(event.param(3)),
         u32(event.param(dev)), event.param(dev + 1).u64());
}

void StateTables::Impl::on_open_by_handle(const Event& event) {
  opened(event, kAtFdCwd, event.param(3).text(), u32(event.param(2)), u32(event.param(4)), event.param(5).u64());
}

void StateTables::Impl::on_close(const Event&) {
  if (!succeeded(context_) || context_.fd == nullptr) return;
  deferred_.close = &entry_->owner();
  deferred_.close_fd = context_.fd_number;
  has_deferred_ = true;
}

void StateTables::Impl::on_close_range(const Event& event) {
  Entry& owner = entry_->owner();
  if (!succeeded(context_) || !owner.fds || !has_value(event, 1) || !has_value(event, 2)) return;
  const auto first = static_cast<int64_t>(event.param(1).u64()), last = static_cast<int64_t>(event.param(2).u64());
  const bool mark_only = (event.param(3).u64() & kCloseRangeCloexec) != 0;
  std::vector<int64_t> inside;
  owner.fds->for_each([&](int64_t number, const Fd&) {
    if (number >= first && number <= last) inside.push_back(number);
  });
  for (const int64_t number : inside) {
    const FdPtr fd = owner.fds->find_ptr(number);
    if (!fd) continue;  // the copy of a shared table may have found no room
    mark_only ? void(put_fd(owner, number, with_cloexec(fd, true))) : drop_fd(owner, number);
  }
}

void StateTables::Impl::on_dup(const Event& event) {
  if (!succeeded(context_)) return;
  Entry& owner = entry_->owner();
  const int64_t copy = *context_.result;
  const FdPtr from = owner.fds ? owner.fds->find_ptr(context_.fd_number) : FdPtr{};
  if (copy == context_.fd_number) return;  // dup2 onto itself
  if (!from) {
    drop_fd(owner, copy);  // whatever had the number is closed
    context_.fd_number = copy;
    return;
  }
  const bool cloexec = event.code() == ev::SYSCALL_DUP3_X && (event.param(3).u64() & kOpenCloexec) != 0;
  create_fd(copy, with_cloexec(from, cloexec));
}

void StateTables::Impl::on_fcntl(const Event& event) {
  const uint64_t command = event.param(2).u64();
  if (command != kFcntlDupfd && command != kFcntlDupfdCloexec && command != kFcntlSetfd) return;
  if (!succeeded(context_)) return;
  Entry& owner = entry_->owner();
  const FdPtr from = owner.fds ? owner.fds->find_ptr(context_.fd_number) : FdPtr{};
  switch (command) {
    case kFcntlDupfd:
    case kFcntlDupfdCloexec:
      if (from) {
        create_fd(*context_.result, with_cloexec(from, command == kFcntlDupfdCloexec));
      } else {
        drop_fd(owner, *context_.result);
      }
      return;
    case kFcntlSetfd: {
      if (!from || !has_value(event, 3)) return;
      const bool cloexec = (event.param(3).u64() & 1) != 0;
      if (from->has(kFdCloexec) != cloexec) create_fd(context_.fd_number, with_cloexec(from, cloexec));
      return;
    }
    default: return;
  }
}

void StateTables::Impl::on_pipe(const Event& event) {
  if (!succeeded(context_)) return;
  Fd fd;
  fd.type = FdType::fifo;
  fd.ino = event.param(3).u64();
  fd.open_flags = u32(event.param(4));
  if (fd.open_flags & kOpenCloexec) fd.flags |= kFdCloexec;
  const FdPtr both = make_fd(std::move(fd));
  create_fd(event.param(1).i64(), both);
  create_fd(event.param(2).i64(), both);
}

// Descriptors of which nothing is known but their kind.
void StateTables::Impl::on_plain_fd(const Event& event) {
  if (!succeeded(context_)) return;
  Fd fd;
  uint32_t flags = 0;
  switch (event.code()) {
    case ev::SYSCALL_EVENTFD_X: fd.type = FdType::event; break;
    case ev::SYSCALL_EVENTFD2_X: fd.type = FdType::event, flags = u32(event.param(1)); break;
    case ev::SYSCALL_SIGNALFD_X: fd.type = FdType::signalfd; break;
    case ev::SYSCALL_SIGNALFD4_X: fd.type = FdType::signalfd, flags = u32(event.param(1)); break;
    case ev::SYSCALL_TIMERFD_CREATE_X: fd.type = FdType::timerfd; break;
    case ev::SYSCALL_INOTIFY_INIT_X: fd.type = FdType::inotify; break;
    case ev::SYSCALL_INOTIFY_INIT1_X: fd.type = FdType::inotify, flags = u32(event.param(1)); break;
    case ev::SYSCALL_EPOLL_CREATE_X: fd.type = FdType::eventpoll; break;
    case ev::SYSCALL_EPOLL_CREATE1_X:
      fd.type = FdType::eventpoll, flags = (event.param(1).u64() & 1) != 0 ? kOpenCloexec : 0;
      break;
    case ev::SYSCALL_USERFAULTFD_X: fd.type = FdType::userfaultfd, flags = u32(event.param(1)); break;
    case ev::SYSCALL_IO_URING_SETUP_X: fd.type = FdType::io_uring, flags = kOpenCloexec; break;
    default: break;
  }
  fd.open_flags = flags;
  if (flags & kOpenCloexec) fd.flags |= kFdCloexec;
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_bpf(const Event& event) {
  if (!succeeded(context_) || !has_value(event, 1)) return;
  // Only these commands return a descriptor; others return 0, which must not become one.
  constexpr uint64_t kCreating[] = {0 /*MAP_CREATE*/,         5 /*PROG_LOAD*/,         7 /*OBJ_GET*/,
                                    13 /*PROG_GET_FD_BY_ID*/, 14 /*MAP_GET_FD_BY_ID*/, 17 /*RAW_TRACEPOINT_OPEN*/,
                                    18 /*BTF_LOAD*/,          19 /*BTF_GET_FD_BY_ID*/, 28 /*LINK_CREATE*/,
                                    30 /*LINK_GET_FD_BY_ID*/, 32 /*ENABLE_STATS*/,     33 /*ITER_CREATE*/};
  for (const uint64_t command : kCreating) {
    if (event.param(1).u64() != command) continue;
    Fd fd;
    fd.type = FdType::bpf;
    fd.flags = kFdCloexec;
    return create_fd(*context_.result, std::move(fd));
  }
}

void StateTables::Impl::on_memfd(const Event& event) {
  if (!succeeded(context_)) return;
  Fd fd;
  fd.type = FdType::memfd;
  fd.name = event.param(1).text();
  if (event.param(2).u64() & 1) fd.flags |= kFdCloexec;
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_pidfd_open(const Event& event) {
  if (!succeeded(context_)) return;
  Fd fd;
  fd.type = FdType::pidfd;
  fd.pid = event.param(1).i64();
  fd.name = "/proc/" + std::to_string(fd.pid);
  fd.flags = kFdCloexec;  // the kernel sets it always
  create_fd(*context_.result, std::move(fd));
}

void StateTables::Impl::on_pidfd_getfd(const Event& event) {
  if (!succeeded(context_)) return;
  Entry& owner = entry_->owner();
  const Fd* pidfd = owner.fds ? owner.fds->find(event.param(1).i64()) : nullptr;
  const Entry* other = pidfd != nullptr && pidfd->type == FdType::pidfd ? threads_.find(pidfd->pid) : nullptr;
  const FdPtr theirs =
      other != nullptr && other->owner().fds ? other->owner().fds->find_ptr(event.param(2).i64()) : FdPtr{};
  if (theirs) return create_fd(*context_.result, with_cloexec(theirs, true));
  Fd fd;
  if (options_.live && options_.read_fd && options_.read_fd(owner.pid, *context_.result, fd))
    return create_fd(*context_.result, std::move(fd));
  drop_fd(owner, *context_.result);
  context_.fd_number = *context_.result;
}

void StateTables::Impl::drop_cloexec_fds(Entry& owner) {
  if (!owner.fds) return;
  std::vector<int64_t> doomed;
  owner.fds->for_each([&](int64_t number, const Fd& fd) {
    if (fd.has(kFdCloexec)) doomed.push_back(number);
  });
  for (const int64_t number : doomed) drop_fd(owner, number);
}

}  // namespace quell::enrich
