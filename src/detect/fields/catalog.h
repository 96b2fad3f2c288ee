#pragma once
// All fields of the syscall source: lookup by the name that a rule writes.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "detect/ast.h"
#include "detect/fields/field.h"
#include "detect/semantics.h"

namespace quell::detect {

/// Every class, in lookup order.
std::span<const FieldClass> field_classes();

/// Visits every row, in lookup order.
template <typename Visit>
void for_each_field(Visit&& visit) {
  for (const FieldClass& one : field_classes())
    for (const FieldSpec& row : one.rows) visit(row);
}

/// Makes the fields static.KEY, which always have the value given for them. Process-wide, as the command line is:
/// before rules are loaded, by one thread. Errors: invalid_argument (a key that rules could not write).
Result<void> define_static_fields(std::map<std::string, std::string> values);
const std::map<std::string, std::string>& static_fields();

/// The field that `name` with the bracket argument `arg` means. The longest known name that is a prefix of `name` wins;
/// what follows it after a dot is the argument ("evt.arg.flags", "container.label.app"). On failure the Finding says
/// why.
struct FieldLookup {
  std::optional<FieldRef> field;
  Finding finding;  // valid when there is no field
};
/// The row that `name` belongs to, whatever its argument; null if there is none. Cheap, for those who only try.
const FieldSpec* field_row(std::string_view name);
FieldLookup find_field(std::string_view name, const std::optional<std::string>& arg);

/// True if some field is called exactly this, or takes this as name plus dot argument.
bool is_field_text(std::string_view text);
bool is_transformer(std::string_view name);

}  // namespace quell::detect
