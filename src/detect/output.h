#pragma once
// Output templates: literal text with %field, %field[arg], %transformer(...) and %<N>field tokens.
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "detect/operand.h"
#include "model/detection.h"

namespace quell::detect {

using NamedValue = std::pair<std::string, OutputValue>;

class OutputTemplate {
 public:
  /// Parses greedily: the longest text after a % that names something is the token. Null `out` only checks.
  static std::vector<Finding> parse(std::string_view text, OutputTemplate* out);

  /// The text with every token replaced; absent values print as <NA>. The fields that the template names (transformer
  /// tokens are left out) are appended to `fields`, by name, each once; null: nobody wants them.
  std::string render(const Extract& x, std::vector<NamedValue>* fields = nullptr) const;
  /// The fields alone.
  void collect(const Extract& x, std::vector<NamedValue>& fields) const;

 private:
  struct Token {
    CompiledOperand operand;
    uint32_t width = 0;  // cut or padded to this many bytes; 0: as it is
  };
  void list_fields();
  static void add_field(const Token& token, Value value, const Extract& x, std::vector<NamedValue>& fields);

  std::vector<std::variant<std::string, Token>> parts_;
  std::vector<uint32_t> fields_;  // of parts_: the fields, by name, each once
};

}  // namespace quell::detect
