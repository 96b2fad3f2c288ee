#pragma once
// host.disable_user, host.enable_user: a local account that nobody can log in to until it is given back as it was.
#include <fmt/format.h>
#include <linux/capability.h>

#include "os/user_account.h"
#include "respond/action_spec.h"

namespace quell::respond {

inline os::UserFiles user_files(const World& world) {
  os::UserFiles files;
  files.etc = world.etc;
  return files;
}

inline Look look_disabled_user(const Call& call, const Json& pre_state) {
  const auto record = os::user_record_from_json(pre_state);
  if (!record) return {Seen::cannot_tell, record.error().str(), "{}"};
  const auto state = os::look_user(user_files(call.world), *record);
  JsonWriter proof;
  proof.begin_object().text("user", record->name).integer("uid", record->uid);
  proof.text("shadow", state ? os::to_string(*state) : state.error().message).end_object();
  if (!state) {
    if (state.error().code == Code::not_found) return {Seen::ended, "the account is gone", proof.take()};
    return {Seen::cannot_tell, state.error().str(), proof.take()};
  }
  switch (*state) {
    case os::UserState::disabled: return {Seen::in_effect, "", proof.take()};
    case os::UserState::enabled: return {Seen::not_in_effect, "the account can be logged in to", proof.take()};
    case os::UserState::changed: break;
  }
  return {Seen::changed, "somebody has changed the account's password or expiry since", proof.take()};
}

inline constexpr ActionSpec kHostDisableUser{
    .name = "host.disable_user",
    .summary = "Locks a local account: its password, and logins by key as well.",
    .target = EntityKind::user,
    .effect_class = ActionClass::soft,
    .mechanism =
        "a \"!\" before the password in shadow and an expiry on the first day of 1970, written whole and atomically "
        "under the lock of passwd(1)",
    .permissions = "write access to /etc/shadow",
    .proof = "shadow says so",
    .undo_doc = "exactly the fields before, if nobody has changed them since; host.enable_user does the same",
    .limits =
        "who is logged in stays so, and the preview lists his processes; root, accounts of the system and users of a "
        "directory service are refused",
    .example = R"({"action":"host.disable_user","target":"user:mallory","reason":"stolen key"})",
    .missing = [](const World& world) -> std::optional<std::string> {
      const std::string why = os::why_no_user_change(user_files(world));
      return why.empty() ? std::nullopt : std::optional(why);
    },
    .capabilities = capability(CAP_DAC_OVERRIDE) | capability(CAP_CHOWN) | capability(CAP_FOWNER),
    .plan = [](const Call& call, const Subject&, Plan& plan) -> Result<void> {
      QUELL_TRY(const os::UserRecord record, os::plan_disable_user(user_files(call.world), call.target.user));
      JsonWriter pre_state;
      os::write_json(pre_state, record);
      plan.pre_state_json = pre_state.take();
      plan.effects.push_back(
          fmt::format("nobody logs in as {} (uid {}) any more, by password or by key", record.name, record.uid));
      if (const auto processes = os::processes_of_user(call.world.os, record.uid); processes && !processes->empty())
        plan.warnings.push_back(fmt::format("{} process(es) of this user go on: kill them as well", processes->size()));
      plan.undo = "the account is as it was";
      const auto state = os::look_user(user_files(call.world), record);
      if (state && *state == os::UserState::disabled)
        plan.already_in_effect = true, plan.already_reason = "already_disabled";
      return {};
    },
    .effect = [](const Call& call, const Subject&, const Plan& plan) -> Result<std::string> {
      QUELL_TRY(const Json pre_state, Json::parse(plan.pre_state_json));
      QUELL_TRY(const os::UserRecord record, os::user_record_from_json(pre_state));
      QUELL_CHECK(os::disable_user(user_files(call.world), record));
      return std::string();
    },
    .prove = [](const Call& call, const Subject&, const Plan& plan, const std::string&) -> Look {
      return look_disabled_user(call, *Json::parse(plan.pre_state_json));
    },
    .look = look_disabled_user,
    .undo = [](const Call& call, const Json& pre_state) -> Result<void> {
      QUELL_TRY(const os::UserRecord record, os::user_record_from_json(pre_state));
      return os::enable_user(user_files(call.world), record);
    },
};

inline constexpr ActionSpec kHostEnableUser{
    .name = "host.enable_user",
    .summary = "Gives an account back that host.disable_user took away.",
    .target = EntityKind::user,
    .effect_class = ActionClass::soft,
    .releases = true,
    .lifts = "host.disable_user",
    .by_undo = true,
    .mechanism = "the newest host.disable_user of that account that stands is undone",
    .permissions = "write access to /etc/shadow",
    .proof = "shadow says what it said before",
    .undo_doc = "host.disable_user disables it again",
    .limits = "what somebody else locked is his to unlock",
    .example = R"({"action":"host.enable_user","target":"user:mallory","reason":"key replaced"})",
    .capabilities = capability(CAP_DAC_OVERRIDE) | capability(CAP_CHOWN) | capability(CAP_FOWNER),
};

}  // namespace quell::respond
