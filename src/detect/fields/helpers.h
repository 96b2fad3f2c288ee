#pragma once
// Small things that several field classes share.
#include <fmt/format.h>
#include <string>

#include "base/path.h"
#include "detect/fields/field.h"

namespace quell::detect {

inline Value text_in(const Extract& x, std::string_view text) { return Value::text(x.arena.copy(text)); }

/// absolute_path() as a value. Most names are absolute and normal already: these are shown where they lie, in the
/// event.
inline Value path_in(const Extract& x, std::string_view directory, std::string_view name) {
  if (is_normal_path(name)) return Value::text(name);
  thread_local std::string path;  // keeps its memory, so that evaluation allocates nothing
  absolute_path(directory, name, path);
  return text_in(x, path);
}

template <typename... Args>
Value format_in(const Extract& x, fmt::format_string<Args...> format, Args&&... args) {
  fmt::basic_memory_buffer<char, 512> buffer;
  fmt::format_to(std::back_inserter(buffer), format, std::forward<Args>(args)...);
  return text_in(x, {buffer.data(), buffer.size()});
}

/// Name of the directory that a dirfd parameter means, for joining: cwd for AT_FDCWD, the descriptor's path, else
/// "<UNKNOWN>".
inline std::string_view directory_of(const Extract& x, int64_t dirfd) {
  const Thread* thread = x.thread();
  if (thread == nullptr) return "<UNKNOWN>";
  if (dirfd == -100) return thread->group().cwd;
  const Fd* fd = thread->group().fds ? thread->group().fds->find(dirfd) : nullptr;
  return fd == nullptr ? std::string_view("<UNKNOWN>") : std::string_view(fd->name);
}

/// Text of parameter `index` as evt.arg shows it: the resolved form where there is one, else the raw one.
std::string param_text(const Extract& x, size_t index);
Value param_value(const Extract& x, size_t index);
/// Text as evt.args shows it: "raw" or "raw(resolved)".
std::string param_text_both(const Extract& x, size_t index);

/// What fd.type says.
std::string_view fd_type_name(const Fd& fd);
/// What fd.typechar says.
char fd_type_char(const Fd& fd);
std::string_view l4_name(L4Proto l4);
/// fd.name: of the entry, or derived from the event when there is none; absent when neither gives one.
Value fd_name(const Extract& x, const FieldArg& arg);

/// Nanoseconds from `earlier` to the event, for durations. A clock read twice may go back a little: that is 0.
inline uint64_t since(const Extract& x, uint64_t earlier) {
  return x.event().ts_ns() > earlier ? x.event().ts_ns() - earlier : 0;
}

/// Remembers across events where the engine keeps a memory (see memory.h).
template <typename Compute>
uint64_t remembered(const Extract& x, Remembered what, Compute&& compute) {
  FieldMemory first;
  FieldMemory& memory = x.memory != nullptr ? *x.memory : first;
  return memory.once_per_event(what, x.context.number, compute);
}

/// Extraction needs a thread: `get` is only called with one.
template <Value (*kGet)(const Extract&, const Thread&)>
Value with_thread(const Extract& x, const FieldArg&) {
  return x.thread() == nullptr ? Value{} : kGet(x, *x.thread());
}

}  // namespace quell::detect
