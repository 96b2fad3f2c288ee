#pragma once
// A small world for evaluation tests: threads, descriptors and one event, put together by hand.
#include <map>
#include <memory>

#include "model/state_view.h"

namespace quell::detect {

class FakeState final : public StateView {
 public:
  FakeState() { host_.id = ""; }

  Thread& add(int64_t tid, int64_t ptid, std::string comm) {
    auto& slot = threads_[tid];
    slot = std::make_unique<Thread>();
    slot->tid = slot->pid = slot->vtid = slot->vpid = tid;
    slot->ptid = ptid;
    slot->comm = std::move(comm);
    slot->main = slot.get();
    slot->container = &host_;
    slot->fds = boost::make_local_shared<FdTable>();
    return *slot;
  }
  void bump_lineage() { ++epoch_; }

  const Thread* thread(int64_t tid) const override {
    const auto found = threads_.find(tid);
    return found == threads_.end() ? nullptr : found->second.get();
  }
  const Thread* parent(const Thread& thread) const override { return this->thread(thread.ptid); }
  uint32_t lineage_epoch() const override { return epoch_; }
  const User* user(const ContainerSlot&, uint32_t uid) const override {
    const auto found = users.find(uid);
    return found == users.end() ? nullptr : &found->second;
  }
  const Group* group(const ContainerSlot&, uint32_t) const override { return nullptr; }
  const MachineInfo& machine() const override { return machine_; }
  const std::vector<NetworkInterface>& interfaces() const override { return interfaces_; }
  bool is_local(const IpAddress&, const Thread&) const override { return false; }
  const ContainerSlot* container(std::string_view) const override { return nullptr; }

  std::map<uint32_t, User> users;

 private:
  std::map<int64_t, std::unique_ptr<Thread>> threads_;
  ContainerSlot host_;
  MachineInfo machine_;
  std::vector<NetworkInterface> interfaces_;
  uint32_t epoch_ = 1;
};

/// An event and its context. Keeps the bytes.
struct FakeEvent {
  FakeEvent(std::vector<uint8_t> bytes_in, const FakeState& state) : bytes(std::move(bytes_in)) {
    const auto parsed = Event::parse(bytes, event);
    if (!parsed) std::abort();
    context.event = &event;
    context.state = &state;
    context.number = 7;
    context.first_ts_ns = 1;
    context.thread = state.thread(event.tid());
    context.has_fd_class = event.spec().has(kEvCreatesFd | kEvUsesFd | kEvDestroysFd);
    if (event.spec().has_return_value() && event.carries(0)) context.result = event.param(0).i64();
  }
  FakeEvent(const FakeEvent&) = delete;

  /// Attaches descriptor `number` of the event's process.
  void attach(int64_t number) {
    context.fd_number = number;
    context.fd = context.thread->group().fds->find(number);
  }

  std::vector<uint8_t> bytes;
  Event event;
  EventContext context;
};

}  // namespace quell::detect
