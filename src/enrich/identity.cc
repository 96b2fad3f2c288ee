// Who a thread acts as and where: ids, capabilities, name, session, working directory, limits.
#include "base/path.h"
#include "enrich/impl.h"
#include "enrich/path.h"
#include "model/capabilities.h"

namespace quell::enrich {
namespace {

constexpr uint32_t kUnchanged = UINT32_MAX;  // the -1 of setresuid and its family
constexpr uint64_t kPrSetName = 15, kPrSetSubreaper = 36, kPrGetSubreaper = 37;
constexpr uint64_t kRlimitNofile = 7;
constexpr size_t kCommSize = 15;

bool succeeded(const EventContext& context) { return context.result && *context.result >= 0; }
uint32_t u32(Param param) { return static_cast<uint32_t>(param.u64()); }

}  // namespace

void StateTables::Impl::on_setuid(const Event& event) {
  if (!succeeded(context_) || !has_value(event, 1) || entry_->uid == u32(event.param(1))) return;
  entry_->uid = u32(event.param(1));
  changed(*entry_);
}

void StateTables::Impl::on_setgid(const Event& event) {
  if (!succeeded(context_) || !has_value(event, 1) || entry_->gid == u32(event.param(1))) return;
  entry_->gid = u32(event.param(1));
  changed(*entry_);
}

void StateTables::Impl::on_set_euid(const Event& event) {
  const uint32_t euid = has_value(event, 2) ? u32(event.param(2)) : kUnchanged;
  if (!succeeded(context_) || euid == kUnchanged || euid == entry_->uid) return;
  entry_->uid = euid;
  changed(*entry_);
}

void StateTables::Impl::on_set_egid(const Event& event) {
  const uint32_t egid = has_value(event, 2) ? u32(event.param(2)) : kUnchanged;
  if (!succeeded(context_) || egid == kUnchanged || egid == entry_->gid) return;
  entry_->gid = egid;
  changed(*entry_);
}

void StateTables::Impl::on_setsid(const Event&) {
  if (!succeeded(context_)) return;
  // The caller leads a new session and a new group in it; the result is its id inside its pid namespace.
  threads_.lineage_changed(*entry_);
  entry_->sid = *context_.result;
  entry_->vpgid = *context_.result;
  entry_->pgid = entry_->pid;
  entry_->tty = 0;
  changed(*entry_);
}

void StateTables::Impl::on_capset(const Event& event) {
  if (!succeeded(context_) || !has_value(event, 1)) return;
  const uint64_t inheritable = event.param(1).u64(), permitted = event.param(2).u64(), effective = event.param(3).u64();
  if (entry_->cap_inheritable == inheritable && entry_->cap_permitted == permitted &&
      entry_->cap_effective == effective)
    return;
  entry_->cap_inheritable = inheritable;
  entry_->cap_permitted = permitted;
  entry_->cap_effective = effective;
  changed(*entry_);
}

void StateTables::Impl::on_prctl(const Event& event) {
  if (!succeeded(context_)) return;
  switch (event.param(1).u64()) {
    case kPrSetName:
      if (!has_value(event, 2)) return;
      if (const auto comm = event.param(2).text().substr(0, kCommSize); entry_->comm != comm) {
        entry_->comm = comm;
        changed(*entry_);
      }
      return;
    case kPrSetSubreaper:
    case kPrGetSubreaper: entry_->owner().reaper = event.param(3).i64() != 0; return;
    default: return;
  }
}

// Who makes or enters a user namespace has every capability in it.
void StateTables::Impl::on_unshare(const Event& event) {
  if (!succeeded(context_) || (event.param(1).u64() & kCloneNewUser) == 0) return;
  entry_->cap_inheritable = entry_->cap_permitted = entry_->cap_effective = kAllCapabilities;
  changed(*entry_);
}

void StateTables::Impl::on_setns(const Event& event) {
  if (!succeeded(context_) || (event.param(2).u64() & kCloneNewUser) == 0) return;
  entry_->cap_inheritable = entry_->cap_permitted = entry_->cap_effective = kAllCapabilities;
  changed(*entry_);
}

void StateTables::Impl::set_cwd(Entry& owner, std::string cwd) {
  cwd = as_directory(std::move(cwd));
  if (cwd.empty() || cwd == owner.cwd) return;
  owner.cwd = std::move(cwd);
  group_changed(owner);
}

void StateTables::Impl::on_chdir(const Event& event) {
  const std::string_view path = event.param(1).text();
  if (!succeeded(context_) || path.empty()) return;
  Entry& owner = entry_->owner();
  set_cwd(owner, absolute_path(owner.cwd, path));
}

void StateTables::Impl::on_fchdir(const Event&) {
  if (!succeeded(context_) || context_.fd == nullptr) return;
  set_cwd(entry_->owner(), context_.fd->name);
}

void StateTables::Impl::on_getcwd(const Event& event) {
  const std::string_view path = event.param(1).text();
  if (!succeeded(context_) || path.empty() || path.front() != '/') return;
  const std::string& known = entry_->owner().cwd;
  if (known.size() == path.size() + 1 && known.starts_with(path)) return;
  set_cwd(entry_->owner(), std::string(path));
}

void StateTables::Impl::on_chroot(const Event& event) {
  const std::string_view path = event.param(1).text();
  if (!succeeded(context_) || path.empty()) return;
  entry_->root = absolute_path(entry_->owner().cwd, path);
  join_container(*entry_, entry_->cgroups);
  changed(*entry_);
}

void StateTables::Impl::on_setrlimit(const Event& event) {
  if (!succeeded(context_) || event.param(3).u64() != kRlimitNofile || !has_value(event, 1)) return;
  entry_->owner().fdlimit = event.param(1).i64();
  group_changed(entry_->owner());
}

void StateTables::Impl::on_prlimit(const Event& event) {
  if (!succeeded(context_) || event.param(6).u64() != kRlimitNofile || !has_value(event, 1)) return;
  const int64_t pid = event.param(5).i64();
  const int64_t limit = event.param(1).i64();
  if (limit < 0) return;  // only asked
  Entry* target = pid == 0 ? entry_ : threads_.find(pid);
  if (target == nullptr) return;
  target->owner().fdlimit = limit;
  group_changed(target->owner());
}

}  // namespace quell::enrich
