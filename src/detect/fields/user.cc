// user.*, group.*: who runs it, by the user database of its container.
#include "detect/fields/helpers.h"

namespace quell::detect {
namespace {

const User* user_of(const Extract& x, const Thread& t, uint32_t uid) {
  return t.container == nullptr ? nullptr : x.context.state->user(*t.container, uid);
}

Value name_of(const Extract& x, const Thread& t, uint32_t uid) {
  if (const User* user = user_of(x, t, uid)) return Value::text(user->name);
  return Value::text(uid == 0 ? "root" : "<NA>");
}

// A container event has no thread: its user is the one that the container is configured to run as.
Value user_name(const Extract& x, const FieldArg&) {
  if (x.context.container_event != nullptr && !x.context.container_event->user.empty())
    return Value::text(x.context.container_event->user);
  return x.thread() == nullptr ? Value{} : name_of(x, *x.thread(), x.thread()->uid);
}
Value home(const Extract& x, const Thread& t) {
  if (const User* user = user_of(x, t, t.uid)) return Value::text(user->home);
  return Value::text(t.uid == 0 ? "/root" : "<NA>");
}
Value shell(const Extract& x, const Thread& t) {
  const User* user = user_of(x, t, t.uid);
  return Value::text(user == nullptr ? std::string_view("<NA>") : std::string_view(user->shell));
}
Value group_name(const Extract& x, const Thread& t) {
  const Group* group = t.container == nullptr ? nullptr : x.context.state->group(*t.container, t.gid);
  if (group != nullptr) return Value::text(group->name);
  return Value::text(t.gid == 0 ? "root" : "<NA>");
}
Value uid(const Extract&, const Thread& t) { return Value::number(t.uid); }
Value gid(const Extract&, const Thread& t) { return Value::number(t.gid); }
Value loginuid(const Extract&, const Thread& t) {
  return Value::integer(t.loginuid == UINT32_MAX ? -1 : int64_t{t.loginuid});
}
Value loginname(const Extract& x, const Thread& t) { return name_of(x, t, t.loginuid); }

// One row is one field, on one line.
// clang-format off
constexpr FieldSpec kFields[] = {
    {.name = "user.uid", .type = Type::uint32, .scope = Scope::process, .get = with_thread<uid>, .doc = "Effective user id.", .example = "user.uid = 0"},
    {.name = "user.name", .get = user_name, .doc = "Name of the effective user, by the user database of its container; the text <NA> if unknown. On container events the user that the container is configured with.", .example = "user.name = root", .events = "events of a known thread, container events"},
    {.name = "user.homedir", .get = with_thread<home>, .doc = "Home directory of the user; the text <NA> if unknown.", .example = "user.homedir = /root"},
    {.name = "user.shell", .get = with_thread<shell>, .doc = "Login shell of the user; the text <NA> if unknown.", .example = "user.shell endswith nologin"},
    {.name = "user.loginuid", .type = Type::int64, .scope = Scope::process, .get = with_thread<loginuid>, .doc = "Id of the user who logged in (audit user id), -1 if unset.", .example = "user.loginuid != -1"},
    {.name = "user.loginname", .get = with_thread<loginname>, .doc = "Name of the user who logged in (audit user id); the text <NA> if unknown.", .example = "user.loginname = admin"},
    {.name = "group.gid", .type = Type::uint32, .scope = Scope::process, .get = with_thread<gid>, .doc = "Effective group id.", .example = "group.gid = 0"},
    {.name = "group.name", .get = with_thread<group_name>, .doc = "Name of the effective group; the text <NA> if unknown.", .example = "group.name = docker"},
};
// clang-format on

}  // namespace

FieldClass user_fields() { return {"user", "Users and groups", "events of a known thread", kFields}; }

}  // namespace quell::detect
