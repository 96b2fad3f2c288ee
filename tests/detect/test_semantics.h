#pragma once
// A stand-in for the field catalogue: any field of a known class is a field, except the ones the tests want unknown.
#include <algorithm>
#include <string>
#include <vector>

#include "detect/falco/condition_parser.h"
#include "detect/falco/event_types.h"
#include "detect/semantics.h"

namespace quell::detect {

class TestSemantics final : public Semantics {
 public:
  explicit TestSemantics(std::vector<std::string> sources = {"syscall"}) : sources_(std::move(sources)) {}

  static std::vector<std::string> all_sources() {
    return {"syscall", "k8s_audit", "aws_cloudtrail", "okta", "github", "gcp_auditlog"};
  }

  bool knows_source(std::string_view source) const override {
    return std::find(sources_.begin(), sources_.end(), source) != sources_.end();
  }

  std::optional<Finding> check_operand(std::string_view, const Operand& operand) const override {
    if (operand.kind == Operand::Kind::field && !is_field(operand.name)) {
      Finding finding;
      finding.unknown_filter = true;
      finding.message = "filter_check called with nonexistent field " + operand.name;
      finding.pos = operand.pos;
      return finding;
    }
    for (const Operand& arg : operand.args)
      if (auto finding = check_operand("", arg)) return finding;
    return {};
  }

  std::vector<Finding> check_condition(std::string_view source, const Expr& condition) const override {
    std::vector<Finding> findings;
    walk(source, condition, findings);
    return findings;
  }

  std::vector<Finding> check_output(std::string_view, std::string_view output) const override {
    std::vector<Finding> findings;
    for (size_t at = output.find('%'); at != std::string_view::npos; at = output.find('%', at + 1)) {
      size_t end = at + 1;
      while (end < output.size() &&
             (std::isalnum(static_cast<unsigned char>(output[end])) || output[end] == '.' || output[end] == '_'))
        ++end;
      std::string_view name = output.substr(at + 1, end - at - 1);
      while (name.ends_with('.')) name.remove_suffix(1);
      if (is_field(name)) continue;
      Finding finding;
      finding.unknown_filter = true;
      finding.message = "unknown filter: " + std::string(name);
      finding.pos.offset = static_cast<uint32_t>(at);
      findings.push_back(std::move(finding));
    }
    return findings;
  }

 private:
  static bool is_field(std::string_view name) {
    static constexpr std::string_view kClasses[] = {
        "evt.", "proc.", "fd.",     "user.", "group.",  "container.", "k8s.",     "ka.",  "jevt.", "json.",
        "ct.",  "okta.", "github.", "gcp.",  "thread.", "fs.",        "syscall.", "aws.", "s3."};
    if (name.find(".no") != std::string_view::npos) return false;
    return std::any_of(std::begin(kClasses), std::end(kClasses),
                       [&](std::string_view prefix) { return name.starts_with(prefix); });
  }

  void walk(std::string_view source, const Expr& expr, std::vector<Finding>& findings) const {
    for (const ExprPtr& child : expr.children) walk(source, *child, findings);
    if (expr.kind != Expr::Kind::check) return;
    if (auto finding = check_operand(source, expr.check.left)) findings.push_back(std::move(*finding));
    for (const std::string& value : expr.check.values) {
      Finding finding;
      finding.pos = expr.check.value_pos;
      if (expr.check.left.name == "evt.type" && event_codes_named(value).empty() &&
          !falco::is_async_event_name(value)) {
        finding.unknown_filter = true;
        finding.message = "unknown event type " + value;
        findings.push_back(finding);
        continue;
      }
      const auto operand = falco::parse_operand(value);
      if (!operand || check_operand(source, *operand)) continue;
      finding.is_error = false;
      finding.message = operand->kind == Operand::Kind::field
                            ? "'" + value + "' may be a valid field misused as a const string value"
                            : "'" + value + "' may be a valid field transformer misused as a const string value";
      findings.push_back(std::move(finding));
    }
  }

  std::vector<std::string> sources_;
};

}  // namespace quell::detect
