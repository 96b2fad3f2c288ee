#pragma once
// All fields of the syscall source: lookup by the name that a rule writes.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "detect/ast.h"
#include "detect/fields/field.h"
#include "detect/semantics.h"

namespace quell::detect {

/// Visits every row, in lookup order.
template <typename Visit>
void for_each_field(Visit&& visit) {
  for (const auto rows :
       {evt_fields(), proc_fields(), user_fields(), fd_fields(), fs_path_fields(), container_fields()})
    for (const FieldSpec& row : rows) visit(row);
}

/// The field that `name` with the bracket argument `arg` means. The longest known name that is a prefix of `name` wins;
/// what follows it after a dot is the argument ("evt.arg.flags", "container.label.app"). On failure the Finding says
/// why.
struct FieldLookup {
  std::optional<FieldRef> field;
  Finding finding;  // valid when there is no field
};
FieldLookup find_field(std::string_view name, const std::optional<std::string>& arg);

/// True if some field is called exactly this, or takes this as name plus dot argument.
bool is_field_text(std::string_view text);
bool is_transformer(std::string_view name);

}  // namespace quell::detect
