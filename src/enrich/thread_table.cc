#include "enrich/thread_table.h"

#include "base/assert.h"

namespace quell::enrich {
namespace {

// Intrusive lists: O(1) in and out, no allocation when threads come and go.
void push_child(Entry*& head, Entry& entry) {
  entry.prev_sibling = nullptr;
  entry.next_sibling = head;
  if (head != nullptr) head->prev_sibling = &entry;
  head = &entry;
}
void erase_child(Entry*& head, Entry& entry) {
  (entry.prev_sibling != nullptr ? entry.prev_sibling->next_sibling : head) = entry.next_sibling;
  if (entry.next_sibling != nullptr) entry.next_sibling->prev_sibling = entry.prev_sibling;
  entry.next_sibling = entry.prev_sibling = nullptr;
}
void push_member(Entry*& head, Entry& entry) {
  entry.prev_member = nullptr;
  entry.next_member = head;
  if (head != nullptr) head->prev_member = &entry;
  head = &entry;
}
void erase_member(Entry*& head, Entry& entry) {
  (entry.prev_member != nullptr ? entry.prev_member->next_member : head) = entry.next_member;
  if (entry.next_member != nullptr) entry.next_member->prev_member = entry.prev_member;
  entry.next_member = entry.prev_member = nullptr;
}

}  // namespace

Entry& ThreadTable::make() {
  if (free_ == nullptr) {
    auto slab = std::make_unique<Entry[]>(kSlab);
    for (size_t i = kSlab; i-- > 0;) {
      slab[i].next_sibling = free_;
      free_ = &slab[i];
    }
    slabs_.push_back(std::move(slab));
  }
  Entry& entry = *free_;
  free_ = entry.next_sibling;
  entry.next_sibling = nullptr;
  return entry;
}

void ThreadTable::insert(Entry& entry) {
  const bool is_new = by_tid_.emplace(entry.tid, &entry).second;
  QUELL_ASSERT(is_new);
  link_group(entry);
  link_parent(entry);
  const auto waiting = orphans_.find(entry.tid);
  if (waiting == orphans_.end()) return;
  Entry* child = waiting->second;
  orphans_.erase(waiting);
  while (child != nullptr) {
    Entry* next = child->next_sibling;
    child->parent = &entry;
    push_child(entry.first_child, *child);
    child = next;
  }
  ++lineage_epoch_;
}

void ThreadTable::link_parent(Entry& entry) {
  entry.parent = nullptr;
  if (entry.ptid <= 0 || entry.ptid == entry.tid) return;
  if (Entry* parent = find(entry.ptid)) {
    entry.parent = parent;
    push_child(parent->first_child, entry);
  } else {
    push_child(orphans_[entry.ptid], entry);
  }
}

void ThreadTable::unlink_parent(Entry& entry) {
  if (entry.parent != nullptr) {
    erase_child(entry.parent->first_child, entry);
    entry.parent = nullptr;
    return;
  }
  const auto waiting = orphans_.find(entry.ptid);
  if (waiting == orphans_.end() || entry.ptid == entry.tid) return;
  erase_child(waiting->second, entry);
  if (waiting->second == nullptr) orphans_.erase(waiting);
}

void ThreadTable::link_group(Entry& entry) {
  entry.main = nullptr;
  if (entry.pid <= 0) return;
  if (!entry.is_main()) {
    Entry* main = find(entry.pid);
    if (main == nullptr || !main->is_main()) {
      push_member(headless_[entry.pid], entry);
      return;
    }
    entry.main = main;
    push_member(main->first_member, entry);
    ++main->live_threads;
    main->changed();
    return;
  }
  entry.main = &entry;
  entry.live_threads = entry.dead ? 0 : 1;
  const auto waiting = headless_.find(entry.pid);
  if (waiting == headless_.end()) return;
  Entry* member = waiting->second;
  headless_.erase(waiting);
  while (member != nullptr) {
    Entry* next = member->next_member;
    member->main = &entry;
    push_member(entry.first_member, *member);
    member->changed();
    ++entry.live_threads;
    member = next;
  }
}

void ThreadTable::unlink_group(Entry& entry) {
  if (entry.pid <= 0) return;
  if (entry.is_main()) {
    Entry* member = entry.first_member;
    entry.first_member = nullptr;
    while (member != nullptr) {
      Entry* next = member->next_member;
      member->main = nullptr;
      push_member(headless_[member->pid], *member);
      member->changed();
      member = next;
    }
  } else if (entry.main != nullptr) {
    Entry& main = entry.owner();
    erase_member(main.first_member, entry);
    if (!entry.dead && main.live_threads > 0) --main.live_threads;
    main.changed();
  } else if (const auto waiting = headless_.find(entry.pid); waiting != headless_.end()) {
    erase_member(waiting->second, entry);
    if (waiting->second == nullptr) headless_.erase(waiting);
  }
  entry.main = nullptr;
}

void ThreadTable::give_children(Entry& entry, int64_t heir) {
  Entry* child = entry.first_child;
  if (child == nullptr) return;
  entry.first_child = nullptr;
  const Entry* adopter = find(heir);
  const bool within_process = adopter != nullptr && &adopter->owner() == &entry.owner();
  const ForebearPtr creator = within_process ? ForebearPtr{} : remember(entry.owner(), kMaxAncestry);
  while (child != nullptr) {
    Entry* next = child->next_sibling;
    if (!child->creator) child->creator = creator;
    child->parent = nullptr;
    child->ptid = heir == child->tid ? 0 : heir;
    link_parent(*child);
    child->changed();
    child = next;
  }
  ++lineage_epoch_;
}

void ThreadTable::remove(Entry& entry, int64_t heir) {
  lineage_changed(entry);
  give_children(entry, heir == entry.tid ? 0 : heir);
  if (entry.record) remember(entry, kMaxAncestry);  // as it was in the end
  unlink_parent(entry);
  unlink_group(entry);
  by_tid_.erase(entry.tid);
  if (Entry*& recent = recent_[static_cast<size_t>(entry.tid) % kRecent]; recent == &entry) recent = nullptr;
  recycle(entry);
}

void ThreadTable::recycle(Entry& entry) {
  entry = Entry{};
  entry.next_sibling = free_;
  free_ = &entry;
}

void ThreadTable::set_identity(Entry& entry, int64_t pid, int64_t ptid) {
  if (entry.pid != pid) {
    unlink_group(entry);
    entry.pid = pid;
    link_group(entry);
  }
  if (entry.ptid != ptid) {
    unlink_parent(entry);
    entry.ptid = ptid;
    link_parent(entry);
    lineage_changed(entry);
  }
  entry.changed();
}

void ThreadTable::adopt(Entry& entry, int64_t ptid) {
  if (!entry.creator && entry.parent != nullptr) entry.creator = remember(entry.parent->owner(), kMaxAncestry);
  set_identity(entry, entry.pid, ptid);
}

void ThreadTable::lineage_changed(const Entry& entry) {
  // Leaders of sessions and groups need not be ancestors, but what members see of them is looked up with each event.
  bool has_children = entry.first_child != nullptr;
  if (entry.is_main())
    for (const Entry* member = entry.first_member; member != nullptr && !has_children; member = member->next_member)
      has_children = member->first_child != nullptr;
  if (has_children) ++lineage_epoch_;
}

void ThreadTable::clear() {
  by_tid_.clear();
  recent_.fill(nullptr);
  orphans_.clear();
  headless_.clear();
  slabs_.clear();
  free_ = nullptr;
  ++lineage_epoch_;
}

}  // namespace quell::enrich
