#pragma once
// Handlers of /v1/audit and /v1/evidence.
#include "api/routes.h"

namespace quell::api {

Response get_audit(const ApiServices& services, const Request& request);
Response get_audit_head(const ApiServices& services, const Request& request);
Response get_evidence_list(const ApiServices& services, const Request& request);
Response get_evidence(const ApiServices& services, const Request& request);
Response get_evidence_content(const ApiServices& services, const Request& request);
Response post_evidence_export(const ApiServices& services, const Request& request);
Response post_evidence_hold(const ApiServices& services, const Request& request);
Response post_evidence_release(const ApiServices& services, const Request& request);

}  // namespace quell::api
