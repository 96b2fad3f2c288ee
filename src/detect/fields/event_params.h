#pragma once
// evt.args, evt.arg, evt.rawarg: parameters of the event by name.
#include <optional>

#include "detect/fields/field.h"

namespace quell::detect {

Value event_args(const Extract& x, const FieldArg& a);
Value event_arg(const Extract& x, const FieldArg& a);
Value raw_event_arg(const Extract& x, const FieldArg& a);
/// In outputs: hexadecimal or octal where the parameter is shown so.
Value raw_event_arg_text(const Extract& x, const FieldArg& a);

/// Finds which parameter of each event type is meant; a name that no event has is a finding.
std::optional<Finding> bind_event_arg(FieldRef& ref);
std::optional<Finding> bind_raw_event_arg(FieldRef& ref);

}  // namespace quell::detect
