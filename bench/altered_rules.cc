#include "altered_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>

#include "base/text.h"
#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::bench {
namespace {

using detect::Check;
using detect::Expr;
using detect::ExprPtr;

bool is_name(std::string_view field) {
  static constexpr std::array<std::string_view, 9> kNames = {"fd.name",          "fd.nameraw",      "fd.directory",
                                                             "fd.filename",      "evt.arg.path",    "evt.arg.name",
                                                             "evt.arg.filename", "evt.arg.oldpath", "evt.arg.newpath"};
  return std::find(kNames.begin(), kNames.end(), field) != kNames.end() || field.starts_with("container.image") ||
         (field.starts_with("proc.") && !field.ends_with("tty") && !field.starts_with("proc.is_") &&
          !field.starts_with("proc.duration") && !field.ends_with("pid") && !field.starts_with("proc.exe_ino"));
}

/// A constant like `text`, another one for each `variant`.
std::string altered(std::string_view field, const std::string& text, size_t variant) {
  if (is_name(field)) return text + fmt::format("-{}", variant);
  uint64_t number = 0;
  if (field.ends_with("port") && parse_u64(text, number)) return std::to_string((number + variant * 7) % 65'536);
  if (field.starts_with("fd.") && field.ends_with("ip") && text.find(':') == std::string::npos)
    return text.substr(0, text.rfind('.') + 1) + std::to_string(variant % 250);
  return text;
}

ExprPtr altered(const Expr& expr, size_t variant) {
  auto out = std::make_shared<Expr>(expr);
  for (ExprPtr& child : out->children) child = altered(*child, variant);
  if (expr.kind == Expr::Kind::check && !expr.check.right) {
    const std::string field = expr.check.left.kind == detect::Operand::Kind::field ? expr.check.left.name : "proc.";
    // A pattern stays one when something is put behind it; a regular expression might not.
    if (expr.check.op != detect::Op::regex && expr.check.op != detect::Op::exists)
      for (std::string& value : out->check.values) value = altered(field, value, variant);
  }
  return out;
}

Result<void> finish(std::ofstream& out, const std::string& path) {
  out.close();
  if (!out) return Error{Code::io, "cannot write the rules; is there room on the disk?", path};
  return {};
}

}  // namespace

Result<void> write_altered_rules(const std::vector<std::string>& files, size_t count, const std::string& path) {
  detect::falco::Loader loader(detect::semantics());
  for (const detect::falco::FileResult& file :
       detect::falco::load_files(loader, files, detect::falco::OnError::keep_going))
    if (!file.errors.empty()) return Error{Code::invalid_rules, "the rules to be altered do not load", file.name};
  std::vector<const detect::Rule*> sources;
  const detect::RuleSet rules = loader.rules();
  for (const detect::Rule& rule : rules.rules)
    if (rule.enabled && rule.condition != nullptr) sources.push_back(&rule);
  if (sources.empty()) return Error{Code::not_found, "there are no rules to alter", {}};
  std::ofstream out(path);
  for (size_t i = 0; i < count; ++i) {
    const detect::Rule& rule = *sources[i % sources.size()];
    const size_t variant = 1 + i / sources.size();
    // JSON strings are YAML strings.
    out << fmt::format(
        "- rule: \"{} {}\"\n  desc: a copy with other constants\n  condition: \"{}\"\n  output: \"{}\"\n"
        "  priority: {}\n",
        json_escape(rule.name), variant, json_escape(altered(*rule.condition, variant)->str()),
        json_escape(rule.output), to_string(rule.priority));
  }
  return finish(out, path);
}

Result<void> write_long_list(size_t entries, const std::string& path) {
  std::ofstream out(path);
  out << "- list: many_paths\n  items: [";
  for (size_t i = 0; i < entries; ++i) out << (i == 0 ? "" : ", ") << "/opt/listed/" << i % 100 << "/file-" << i;
  out << "]\n- rule: one of many paths\n  desc: a long list\n  condition: evt.type in (open, openat, openat2) and "
         "fd.name "
         "in (many_paths)\n  output: \"%fd.name\"\n  priority: NOTICE\n";
  return finish(out, path);
}

}  // namespace quell::bench
