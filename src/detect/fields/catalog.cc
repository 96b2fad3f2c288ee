#include "detect/fields/catalog.h"

#include <algorithm>

#include "base/text.h"

namespace quell::detect {
namespace {

const FieldSpec* row_named(std::string_view name) {
  static const auto index = [] {
    std::vector<const FieldSpec*> rows;
    for_each_field([&](const FieldSpec& row) { rows.push_back(&row); });
    std::stable_sort(rows.begin(), rows.end(),
                     [](const FieldSpec* a, const FieldSpec* b) { return a->name < b->name; });
    return rows;
  }();
  const auto found = std::lower_bound(index.begin(), index.end(), name,
                                      [](const FieldSpec* row, std::string_view wanted) { return row->name < wanted; });
  return found != index.end() && (*found)->name == name ? *found : nullptr;
}

Finding unknown_field(std::string_view text) {
  static const std::vector<std::string_view> names = [] {
    std::vector<std::string_view> all;
    for_each_field([&](const FieldSpec& row) { all.push_back(row.name); });
    return all;
  }();
  Finding finding;
  finding.unknown_filter = true;
  finding.message = "filter_check called with nonexistent field " + std::string(text);
  if (const std::string_view near = nearest(text, names); !near.empty())
    finding.suggestion = "did you mean " + std::string(near) + "?";
  return finding;
}

Finding error(std::string message) {
  Finding finding;
  finding.message = std::move(message);
  return finding;
}

}  // namespace

std::span<const FieldClass> field_classes() {
  static const FieldClass kClasses[] = {evt_fields(),     proc_fields(),      user_fields(),
                                        fd_fields(),      fs_path_fields(),   util_fields(),
                                        fd_list_fields(), container_fields(), k8s_fields()};
  return kClasses;
}

const FieldSpec* field_row(std::string_view name) {
  // Cut at dots from the right until what is left is a name.
  for (;;) {
    if (const FieldSpec* row = row_named(name)) return row;
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos) return nullptr;
    name = name.substr(0, dot);
  }
}

FieldLookup find_field(std::string_view name, const std::optional<std::string>& arg) {
  const FieldSpec* row = field_row(name);
  const std::string_view rest = row == nullptr ? std::string_view{} : name.substr(row->name.size());
  if (row == nullptr || (!rest.empty() && ((row->flags & kDotArgument) == 0 || arg))) return {{}, unknown_field(name)};

  FieldRef ref;
  ref.spec = row;
  ref.type = row->type;
  ref.several = row->several;
  ref.text = std::string(name) + (arg ? "[" + *arg + "]" : "");
  if (arg || !rest.empty()) {
    ref.arg.given = true;
    ref.arg.text = arg ? *arg : std::string(rest.substr(1));
  }
  switch (row->arg) {
    case Arg::none:
      if (ref.arg.given) return {{}, error("filter error: field " + std::string(row->name) + " takes no argument")};
      break;
    case Arg::required_index:
    case Arg::required_key:
      if (!ref.arg.given) {
        Finding finding = error("filter error: field " + std::string(row->name) + " needs an argument");
        finding.suggestion = "for example: " + std::string(row->example);
        return {{}, std::move(finding)};
      }
      break;
    default: break;
  }
  if (ref.arg.given && (row->arg == Arg::optional_index || row->arg == Arg::required_index)) {
    if (!parse_i64(ref.arg.text, ref.arg.index) || ref.arg.index < 0)
      return {{},
              error("filter error: the argument of " + std::string(row->name) + " must be a number, not '" +
                    ref.arg.text + "'")};
    ref.several = Several::no;
  }
  if (row->bind != nullptr) {
    if (auto finding = row->bind(ref)) return {{}, std::move(*finding)};
  }
  return {std::move(ref), {}};
}

bool is_field_text(std::string_view text) {
  const size_t bracket = text.find('[');
  // Most texts are none; find_field() would look for what they resemble.
  if (field_row(text.substr(0, bracket)) == nullptr) return false;
  if (bracket == std::string_view::npos) return find_field(text, {}).field.has_value();
  if (text.back() != ']') return false;
  return find_field(text.substr(0, bracket), std::string(text.substr(bracket + 1, text.size() - bracket - 2)))
      .field.has_value();
}

bool is_transformer(std::string_view name) {
  static constexpr std::string_view kNames[] = {"tolower", "toupper", "b64",    "basename",
                                                "len",     "join",    "concat", "getopt"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

}  // namespace quell::detect
