#include "apps/quell/evidence_access.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

#include "api/handler.h"
#include "apps/quell/server_call.h"
#include "base/json.h"
#include "base/text.h"
#include "model/evidence_json.h"
#include "record/audit/small_file.h"

namespace quell::cli {
namespace {

std::string own_actor() {
  api::Peer self{.is_unix = true, .uid = geteuid(), .pid = getpid()};
  if (const auto text = record::read_small_file("/proc/self/loginuid")) {
    uint64_t uid = 0;
    if (parse_u64(*text, uid) && uid <= UINT32_MAX) self.login_uid = static_cast<uint32_t>(uid);
  }
  return api::actor_of(self);
}

}  // namespace

Result<EvidenceAccess> EvidenceAccess::open(const Globals& globals) {
  EvidenceAccess access(globals);
  if (!globals.server.empty()) return access;
  std::error_code error;
  const std::string folder = globals.data_dir_or_default();
  if (std::filesystem::exists(folder + "/" + std::string(kControlSocketName), error)) {
    const auto answer = call_server(globals, api::Method::get, "/version");
    if (answer) return access;
    // A socket that nobody listens on is what a crash leaves.
    if (answer.error().code != Code::unavailable) return answer.error();
  }
  if (!std::filesystem::exists(folder + "/actions.db", error))
    return Error{error ? Code::permission_denied : Code::not_found,
                 "there is no evidence here; name the data directory of a `quell up` with --data-dir", folder};
  QUELL_TRY(std::unique_ptr<record::Store> store, record::open_store({.data_dir = folder}));
  access.store_ = std::move(store);
  // Looking deletes nothing: what is too old goes when quell runs.
  record::EvidenceOptions options{.folder = folder + "/" + std::string(record::kEvidenceFolder), .max_age_ns = 0};
  QUELL_TRY(std::unique_ptr<record::EvidenceFiles> files,
            record::EvidenceFiles::open(options, *access.store_, *access.store_));
  access.files_ = std::move(files);
  return access;
}

Result<EvidenceAccess::Handed> EvidenceAccess::hand_out(const std::string& id) {
  if (files_) {
    Handed out{.path = {}, .actor = own_actor()};
    QUELL_TRY(out.path, files_->hand_out(id, out.actor, "exported"));
    return out;
  }
  QUELL_TRY(const std::string answer,
            call_server(*globals_, api::Method::post, fmt::format("/v1/evidence/{}/export", id)));
  QUELL_TRY(const Json json, Json::parse(answer));
  return Handed{json.at("path").str(), json.at("actor").str()};
}

Result<EvidenceItem> EvidenceAccess::set_hold(const std::string& id, bool is_held, const std::string& reason) {
  if (files_) return files_->set_hold(id, is_held, own_actor(), reason);
  JsonWriter body;
  body.begin_object().text("reason", reason).end_object();
  QUELL_TRY(const std::string answer,
            call_server(*globals_, api::Method::post,
                        fmt::format("/v1/evidence/{}/{}", id, is_held ? "hold" : "release"), body.take()));
  return evidence_from_json(answer);
}

}  // namespace quell::cli
