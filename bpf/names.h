// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#pragma once
// Events that are wanted only for their file names: by what such a name begins with. Where the value that rules will see is not
// the name as it stands in the event, the event is told.
#include "event.h"

enum { kComparedBytes = 512 };  // a longer name is told; beyond 1024 user space calls it by another one

// Does the event's type leave anything to its names?
INLINE bool asks_for_names(struct event *e, u32 code, u32 flags) {
  const u32 any = e->ret < 0 ? name_tests[code].any_failure : name_tests[code].any_success;
  return any != ~0u && !(flags & any);
}

// The top bit of each byte that is `byte`; exact.
INLINE u64 bytes_equal(u64 word, u8 byte) {
  const u64 low = 0x7f7f7f7f7f7f7f7f, other = word ^ (byte * 0x0101010101010101ull);
  return ~(((other & low) + low) | other | low);
}

// "//", "/./", "/../": folding them changes how the name begins. (At the end of a name it does not.)
INLINE bool has_folded_parts(u8 *buf, u64 name, u64 length) {
  u64 slashes_before = 0, dots_before = 0;  // of the word before: its last byte is '/', its last two are "/."
  for (u32 i = 0; i < kComparedBytes / 8; ++i) {
    if (8 * i >= length) return false;
    u64 word = *(u64 *)(buf + bounded(name + 8 * i, kSlotMask));
    const u64 left = length - 8 * i;
    if (left < 8) word &= (1ull << (8 * left)) - 1;
    const u64 slashes = bytes_equal(word, '/'), dots = bytes_equal(word, '.');
    const u64 behind_slash = slashes << 8 | slashes_before;
    const u64 behind_dot = (behind_slash & dots) << 8 | dots_before;
    if ((behind_slash & slashes) | (behind_dot & (slashes | dots))) return true;
    slashes_before = slashes >> 56;
    dots_before = (behind_slash & dots) >> 56;
  }
  return false;
}

INLINE bool begins_with(u8 *buf, u64 name, volatile struct quell_name_prefix *prefix) {
  for (u32 i = 0; i < kNamePrefixBytes / 8; ++i) {
    const u64 mask = prefix->mask[i];
    if (!mask) break;
    if ((*(u64 *)(buf + bounded(name + 8 * i, kSlotMask)) ^ prefix->text[i]) & mask) return false;
  }
  return true;
}

// `name`: where it is in the slot, `length` with its NUL.
GLOBAL int name_matters(u64 name, u64 length, u64 code) {
  u8 *buf = own_slot();
  if (!buf || length < 2 || length > kComparedBytes || buf[bounded(name, kSlotMask)] != '/') return true;
  if (has_folded_parts(buf, name, length)) return true;
  volatile struct quell_name_test *test = &name_tests[bounded(code, kMaxEventCodes - 1)];
  const u64 first = test->first, count = test->count;
  for (u32 i = 0; i < kNamePrefixesEach; ++i) {
    if (i >= count) break;
    if (begins_with(buf, name, &name_prefixes[bounded(first + i, kNamePrefixes - 1)])) return true;
  }
  return false;
}

// The name at `name` has been written.
INLINE void see_name(struct event *e, u64 name, u64 length) {
  if (e->by_name && name_matters(name, length, e->code)) e->by_name = false;
}

// As CALL, for calls whose names (NAME) can make them unwanted.
#define NAMED_CALL(name, event_code, params)                                                          \
  SEC("tp")                                                                                           \
  int x_##name(unsigned long long *ctx) {                                                             \
    struct event e;                                                                                   \
    if (!take_call(&e, ctx) || !begin_exit(&e, event_code, COUNT_##event_code)) return 0;             \
    e.by_name = asks_for_names(&e, event_code, 0);                                                    \
    params;                                                                                           \
    return e.by_name ? 0 : submit(&e);                                                                \
  }
INLINE void put_name(struct event *e, u64 address) {
  const u64 name = e->off;
  put_user_string(e, address);
  see_name(e, name, e->off - name);
}
#define NAME(i) put_name(&e, arg(&e, i));
