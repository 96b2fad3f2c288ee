// What rules may say: the meaning behind the loader's checks, by the same compilation that evaluation uses.
#include "detect/engine.h"
#include "detect/fields/catalog.h"
#include "detect/output.h"
#include "detect/predicate.h"

namespace quell::detect {
namespace {

class SyscallSemantics final : public Semantics {
 public:
  bool knows_source(std::string_view source) const override { return source == "syscall"; }

  std::optional<Finding> check_operand(std::string_view, const Operand& operand) const override {
    OperandCompilation compiled = compile_operand(operand);
    if (compiled.operand) return {};
    return std::move(compiled.finding);
  }

  std::vector<Finding> check_condition(std::string_view, const Expr& condition) const override {
    std::vector<Finding> findings;
    walk(condition, findings);
    return findings;
  }

  std::vector<Finding> check_output(std::string_view, std::string_view output) const override {
    return OutputTemplate::parse(output, nullptr);
  }

 private:
  static void walk(const Expr& expr, std::vector<Finding>& findings) {
    if (expr.kind == Expr::Kind::check) {
      PredicateCompilation compiled = compile_predicate(expr.check, false);
      for (Finding& finding : compiled.findings) findings.push_back(std::move(finding));
    }
    for (const ExprPtr& child : expr.children) walk(*child, findings);
  }
};

}  // namespace

const Semantics& semantics() {
  static const SyscallSemantics instance;
  return instance;
}

}  // namespace quell::detect
