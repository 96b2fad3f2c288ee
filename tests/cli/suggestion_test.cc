// Exceptions for what is daily life: narrow, loadable whatever the detection holds, and kept where they can be undone.
#include "apps/quell/suggestion.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "apps/quell/detection_fields.h"
#include "apps/quell/exception_files.h"
#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "detect/falco/loader.h"
#include "process.h"

namespace quell::cli {
namespace {

Detection detection() {
  Detection out;
  out.id = "d-0000000000000001";
  out.rule = "r";
  out.process_name = "tar";
  out.exepath = "/usr/bin/tar";
  out.cmdline = "tar c /etc";
  out.user_name = "root";
  out.container_id = "host";
  out.ancestors = {{{}, "cron", "/usr/sbin/cron", "cron -f"}, {{}, "systemd", "/sbin/init", "init"}};
  out.output_fields = {{"evt.time", uint64_t{1}},
                       {"fd.name", std::string("/etc/shadow")},
                       {"proc.name", std::string("tar")},
                       {"proc.tty", int64_t{0}},
                       {"user.name", std::string("<NA>")}};
  return out;
}

detect::Rule rule() {
  detect::Rule out;
  out.name = "r";
  return out;
}

bool loads(const std::string& yaml, std::string& condition) {
  detect::falco::Loader loader(detect::semantics());
  EXPECT_TRUE(loader
                  .load("r.yaml",
                        "- rule: r\n  desc: d\n  condition: evt.type = open\n  output: o\n  priority: INFO\n"
                        "  exceptions:\n    - {name: own, fields: [proc.name, fd.directory], comps: [in, =]}\n")
                  .successful());
  const auto result = loader.load("e.yaml", yaml, detect::falco::FileKind::exceptions);
  EXPECT_TRUE(result.successful()) << detect::falco::readable(result) << yaml;
  EXPECT_TRUE(result.warnings.empty()) << detect::falco::readable(result) << yaml;
  condition = loader.rules().rules.at(0).condition->str();
  return result.successful() && detect::compile(loader.rules(), {}).has_value();
}

TEST(DetectionFields, AreReadFromAllThatIsKept) {
  const Detection d = detection();
  EXPECT_EQ(field_of(d, "fd.name"), "/etc/shadow");
  EXPECT_EQ(field_of(d, "fd.directory"), "/etc");
  EXPECT_EQ(field_of(d, "fd.filename"), "shadow");
  EXPECT_EQ(field_of(d, "proc.tty"), "0");
  EXPECT_EQ(field_of(d, "proc.exepath"), "/usr/bin/tar");
  EXPECT_EQ(field_of(d, "proc.pname"), "cron");
  EXPECT_EQ(field_of(d, "proc.aname[2]"), "systemd");
  EXPECT_EQ(field_of(d, "proc.aname[3]"), std::nullopt);
  EXPECT_EQ(field_of(d, "proc.aname[x]"), std::nullopt);
  EXPECT_EQ(field_of(d, "user.name"), "root") << "the output had only <NA>";
  EXPECT_EQ(field_of(d, "container.image.repository"), std::nullopt);
  EXPECT_EQ(field_of(d, "no.such"), std::nullopt);
  Detection peer = d;
  peer.output_fields[1].second = std::string("10.0.0.1:40000->203.0.113.9:443");
  EXPECT_EQ(field_of(peer, "fd.sip"), "203.0.113.9");
  EXPECT_EQ(field_of(peer, "fd.sport"), "443");
}

TEST(Suggestions, GoFromNarrowToWideAndAllSilenceTheDetection) {
  const auto all = suggestions_for(detection(), rule());
  ASSERT_GE(all.size(), 4u);
  EXPECT_EQ(
      all[0].text(),
      "container.id = host, proc.exepath = /usr/bin/tar, proc.pname = cron, user.name = root, fd.name = /etc/shadow");
  EXPECT_EQ(all[1].terms.size(), 4u);
  EXPECT_EQ(all.back().text(), "container.id = host, proc.exepath = /usr/bin/tar");
  for (const Suggestion& one : all) EXPECT_EQ(one.silences(detection()), true) << one.text();
  Detection other = detection();
  other.output_fields[1].second = std::string("/etc/gshadow");
  EXPECT_EQ(all[0].silences(other), false);
  EXPECT_EQ(all.back().silences(other), true);
  Detection silent;
  EXPECT_EQ(all[0].silences(silent), std::nullopt) << "it does not tell";
}

TEST(Suggestions, AreTheSameEveryTime) {
  const auto one = suggestions_for(detection(), rule()), other = suggestions_for(detection(), rule());
  ASSERT_EQ(one.size(), other.size());
  for (size_t i = 0; i < one.size(); ++i) EXPECT_EQ(one[i].name, other[i].name);
}

TEST(Suggestions, PreferWhatTheRuleForesaw) {
  detect::Rule own = rule();
  own.exceptions = {{"own", {"proc.name", "fd.directory"}, {"in", "="}, true},
                    {"not_told", {"proc.name", "k8s.ns.name"}, {"=", "="}, true},
                    {"odd", {"proc.name", "fd.name"}, {"=", "!="}, true}};
  const auto all = suggestions_for(detection(), own);
  ASSERT_FALSE(all.empty());
  EXPECT_TRUE(all[0].is_own);
  EXPECT_EQ(all[0].name, "own");
  EXPECT_FALSE(all[1].is_own);
  std::string condition;
  ASSERT_TRUE(loads(exception_yaml("r", all[0], {"anna", "", "2099-01-01"}), condition));
  EXPECT_NE(condition.find("(proc.name in (tar) and fd.directory = /etc)"), std::string::npos) << condition;
}

TEST(Suggestions, SpeakOfTheImageInAContainerAndOfNoPid) {
  Detection d = detection();
  Container info;
  info.image_repository = "registry.example/backup";
  d.container_id = "3ad7b26ded6d";
  d.container = std::make_shared<const Container>(info);
  d.output_fields[1].second = std::string("/proc/4711/environ");
  const auto all = suggestions_for(d, rule());
  EXPECT_EQ(all[0].terms[0], (ExceptionTerm{"container.image.repository", "=", "registry.example/backup"}));
  EXPECT_EQ(all[0].terms.back(), (ExceptionTerm{"fd.name", "glob", "/proc/*/environ"}));
  EXPECT_EQ(all.back().text(), "container.image.repository = registry.example/backup");
}

// What an intruder chose must neither break out of the exception nor keep it from loading.
TEST(Suggestions, LoadWhateverTheDetectionHolds) {
  for (const char* nasty :
       {"a b", "it's", "say \"x\"", "back\\slash", "(x) or (evt.num > 0", "a,b", "a=b", "- x: [y", "*",
        "tab\tnew\nline", "ünïcode", "# no remark", "\"", "'", "val(proc.name)", "tools", "%proc.name"}) {
    Detection d = detection();
    d.exepath = std::string("/tmp/") + nasty;
    d.ancestors[0].name = nasty;
    d.output_fields[1].second = std::string("/x/") + nasty;
    for (const Suggestion& one : suggestions_for(d, rule())) {
      std::string condition;
      EXPECT_TRUE(loads(exception_yaml("r", one, {nasty, nasty, "2099-01-01"}), condition)) << nasty;
      const auto parsed = detect::falco::parse_condition(condition);
      ASSERT_TRUE(parsed) << condition;
      EXPECT_EQ((*parsed)->children.size(), 2u) << condition;
    }
  }
}

TEST(ExceptionFiles, ComeCompleteAndGoAlone) {
  const TempFolder folder;
  const std::string home = folder.path() + "/exceptions.d";
  const std::string yaml = exception_yaml("r", suggestions_for(detection(), rule())[0], {"anna", "", "2099-01-01"});
  const std::string name = suggestions_for(detection(), rule())[0].name;
  const auto added = add_exception_file(home, name, yaml);
  ASSERT_TRUE(added) << added.error().str();
  EXPECT_EQ(read_file(*added), yaml);
  EXPECT_EQ(add_exception_file(home, name, yaml).error().code, Code::already_exists);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(home), {}), 1) << "nothing half written stays";
  EXPECT_EQ(remove_exception_file(home, "other").error().code, Code::not_found);
  EXPECT_EQ(remove_exception_file(home, name).value(), *added);
  EXPECT_FALSE(std::filesystem::exists(*added));
  const std::string both = folder.file("exceptions.d/both.yaml", "- {rule: r, exceptions: [{name: a}, {name: b}]}\n");
  const auto refused = remove_exception_file(home, "b");
  EXPECT_EQ(refused.error().code, Code::conflict);
  EXPECT_EQ(refused.error().where, both + ":1:37");
  EXPECT_EQ(add_exception_file(home, "../../evil", yaml).value(), home + "/------evil.yaml");
}

}  // namespace
}  // namespace quell::cli
