#pragma once
// Reads one rule file into the store: items and their keys, append, override and replace, exceptions, required
// versions.
#include <set>
#include <string>
#include <vector>

#include "detect/falco/context.h"
#include "detect/falco/definitions.h"
#include "detect/falco/problem.h"
#include "detect/falco/version.h"
#include "detect/semantics.h"

namespace quell::detect::falco {

/// Names whose definition was refused. Nothing more is said about their uses: the first problem is the one to mend.
struct FailedNames {
  std::set<std::string, std::less<>> lists, macros, rules;
};

/// What a file may hold.
enum class FileKind : uint8_t {
  rules,       // everything
  exceptions,  // exceptions for rules of other files, and lists of their values; a rule that nobody defines is a
               // warning
};

class Reader {
 public:
  /// `now_ns` decides which exceptions have expired.
  Reader(const Semantics& semantics, const std::vector<Plugin>& plugins, FileKind kind, uint64_t now_ns, Store& store,
         FileResult& result)
      : semantics_(semantics), plugins_(plugins), kind_(kind), now_ns_(now_ns), store_(store), result_(result) {}

  /// Every problem goes to the result; an item with an error changes nothing in the store.
  void read(const yaml::File& file);
  const FailedNames& failed() const { return failed_; }
  /// Rules that were refused for one of their keys: the rest of them is worth checking too.
  const std::vector<RuleDefinition>& refused_rules() const { return refused_; }
  /// True if the file asks for an engine or plugin that this is not: what follows from that is not worth saying.
  bool wants_another_engine() const { return wants_another_engine_; }

 private:
  enum class Override : uint8_t { append, replace };
  struct Overrides {
    std::vector<std::pair<std::string, Override>> entries;
    bool any() const { return !entries.empty(); }
    bool has(std::string_view key, Override how) const;
    bool has(std::string_view key) const;
  };

  void read_item(const Context& parent, const yaml::Node& item);
  void read_engine_version(const Context& context, const yaml::Node& value);
  void read_plugin_versions(const Context& context, const yaml::Node& value);
  bool read_plugin(const Context& context, const yaml::Node& entry,
                   std::vector<std::pair<std::string, std::string>>& group);
  bool read_list(const Context& context, const yaml::Node& item, const std::string& name);
  bool read_macro(const Context& context, const yaml::Node& item, const std::string& name);

  // rule_reader.cc
  bool read_rule(const Context& context, const yaml::Node& item, const std::string& name);
  bool define_rule(const Context& context, const yaml::Node& item, const std::string& name);
  bool switch_rule(const Context& context, const yaml::Node& item, const std::string& name);
  bool append_rule(const Context& context, const yaml::Node& item, const std::string& name);
  bool override_rule(const Context& context, const yaml::Node& item, const std::string& name,
                     const Overrides& overrides);
  /// Keeps what could be read of a rule that is not defined; false.
  bool refuse(RuleDefinition rule);
  bool check_same_source(const Context& context, const yaml::Node& item, const RuleDefinition& earlier);
  bool read_tags(const Context& context, const yaml::Node& item, std::set<std::string>& tags);
  bool read_priority(const Context& context, const yaml::Node& item, Priority& priority);

  bool read_fold(const Context& context, const yaml::Node& item, FoldSpec& fold);

  // exception_reader.cc
  bool read_exceptions_only(const Context& context, const yaml::Node& item, const std::string& name);
  bool read_note(const Context& context, const yaml::Node& node, ExceptionDefinition& exception);
  void keep_orphans(const Context& context, const std::vector<ExceptionDefinition>& exceptions,
                    const std::string& rule);
  bool read_exceptions(const Context& context, const yaml::Node& item, bool appending,
                       std::vector<ExceptionDefinition>& exceptions);
  bool read_exception(const Context& context, const yaml::Node& node, bool appending, ExceptionDefinition& exception);
  bool read_entry(const Context& context, const yaml::Node& node, int depth, Entry& entry);
  bool append_exceptions(const Context& context, std::vector<ExceptionDefinition> more, RuleDefinition& rule);
  bool check_exceptions(const Context& context, RuleDefinition& rule);
  bool check_exception(const Context& context, const RuleDefinition& rule, ExceptionDefinition& exception);

  // A key's value as text, or a problem and false. `required` false: absent leaves `out` alone and is fine.
  bool read_text(const Context& context, const yaml::Node& item, std::string_view key, const yaml::Node*& out,
                 bool required = true);
  bool read_bool(const Context& context, const yaml::Node& item, std::string_view key, bool& out,
                 bool required = false);
  bool read_u64(const Context& context, const yaml::Node& item, std::string_view key, uint64_t& out);
  /// append: true, with its warning.
  bool read_append(const Context& context, const yaml::Node& item, bool& append, const Overrides& overrides);
  bool read_overrides(const Context& context, const yaml::Node& item,
                      std::initializer_list<std::string_view> appendable,
                      std::initializer_list<std::string_view> replaceable, Overrides& overrides);
  void warn_unknown_keys(const Context& context, const yaml::Node& item, std::initializer_list<std::string_view> known);

  /// Adds an error and returns false.
  bool fail(const Context& context, LoadCode code, std::string message, std::string suggestion = {});
  bool fail_at(const Context& context, const yaml::Node& node, LoadCode code, std::string message,
               std::string suggestion = {});
  void warn(const Context& context, LoadCode code, std::string message, std::string suggestion = {});
  void warn_at(const Context& context, const yaml::Node& node, LoadCode code, std::string message,
               std::string suggestion = {});

  const Semantics& semantics_;
  const std::vector<Plugin>& plugins_;
  const FileKind kind_;
  const uint64_t now_ns_;
  Store& store_;
  FileResult& result_;
  FailedNames failed_;
  std::vector<RuleDefinition> refused_;
  bool wants_another_engine_ = false;
};

}  // namespace quell::detect::falco
