#pragma once
// quell rule fields: the field catalogue for people (a table), scripts (JSON) and the documentation (Markdown).
#include <string>

#include "apps/quell/cli.h"

namespace quell::cli {

struct FieldFilter {
  std::string prefix;      // the name begins so
  std::string search;      // name or description contains this, in any case
  std::string class_name;  // "fd"
};

void add_field_filter(CLI::App& command, FieldFilter& filter);
Exit print_fields(const Globals& globals, const FieldFilter& filter);

}  // namespace quell::cli
