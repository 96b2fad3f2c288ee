#pragma once
// What can be done, told from the rows: for the API, the command line and docs/response.md.
#include <string>

#include "respond/world.h"

namespace quell::respond {

/// One object: apiVersion, items[] of name, summary, target, class, reversible, default_ttl_s, params[], mechanism,
/// permissions, proof, undo, limits, example, missing (why this machine cannot do it, or null).
std::string catalogue_json(const World& world);

/// docs/response.md: a table of all actions and a section for each.
std::string catalogue_markdown();

}  // namespace quell::respond
