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

// What one word of a name hands on to the next, and its finding.
enum {
  kAfterSlash = 1,     // its last byte is '/'
  kAfterSlashDot = 2,  // its last two are "/."
  kFolded = 4,
};

// Functions of their own, which the verifier checks once and not for each turn of a loop.
// Does a part to fold end in the eight bytes at `at`, of which `left` belong to the name?
GLOBAL u64 folds_in_word(u64 at, u64 left, u64 before) {
  u8 *buf = own_slot();
  if (!buf) return kFolded;
  u64 word = *(u64 *)(buf + bounded(at, kSlotMask));
  if (left < 8) word &= (1ull << (8 * left)) - 1;
  const u64 slashes = bytes_equal(word, '/'), dots = bytes_equal(word, '.');
  const u64 behind_slash = slashes << 8 | (before & kAfterSlash ? 0x80 : 0);
  const u64 slash_dots = behind_slash & dots;
  const u64 behind_dot = slash_dots << 8 | (before & kAfterSlashDot ? 0x80 : 0);
  if ((behind_slash & slashes) | (behind_dot & (slashes | dots))) return kFolded;
  return (slashes >> 63 ? kAfterSlash : 0) | (slash_dots >> 63 ? kAfterSlashDot : 0);
}

// "//", "/./", "/../": folding them changes how the name begins. (At the end of a name it does not.)
INLINE bool has_folded_parts(u64 name, u64 length) {
  u64 before = 0;
  for (u32 i = 0; i < kComparedBytes / 8; ++i) {
    if (8 * i >= length) return false;
    before = folds_in_word(name + 8 * i, length - 8 * i, before);
    if (before & kFolded) return true;
  }
  return false;
}

GLOBAL int begins_with(u64 name, u64 index) {
  u8 *buf = own_slot();
  if (!buf) return true;
  volatile struct quell_name_prefix *prefix = &name_prefixes[bounded(index, kNamePrefixes - 1)];
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
  if (has_folded_parts(name, length)) return true;
  volatile struct quell_name_test *test = &name_tests[bounded(code, kMaxEventCodes - 1)];
  const u64 first = test->first, count = test->count;
  for (u32 i = 0; i < kNamePrefixesEach; ++i) {
    if (i >= count) break;
    if (begins_with(name, first + i)) return true;
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
