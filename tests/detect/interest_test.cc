// What a sensor may leave out, from conditions.
#include "detect/interest.h"

#include <gtest/gtest.h>

#include "detect/engine.h"
#include "detect/falco/loader.h"

namespace quell::detect {
namespace {

constexpr uint32_t kAlways = Need::kAlways;

RuleSet rules_of(const std::vector<std::string>& conditions, const std::string& output = "o") {
  falco::Loader loader(semantics());
  std::string text;
  for (size_t i = 0; i < conditions.size(); ++i) {
    text += "- rule: r" + std::to_string(i) + "\n  desc: d\n  condition: " + conditions[i] + "\n  output: \"" + output +
            "\"\n  priority: INFO\n";
  }
  const auto result = loader.load("rules.yaml", text);
  EXPECT_TRUE(result.successful()) << text;
  return loader.rules();
}

Interest interest_in(const std::vector<std::string>& conditions, const std::string& output = "o") {
  const RuleSet rules = rules_of(conditions, output);
  const auto program = compile(rules, {});
  EXPECT_TRUE(program);
  return interest_of(rules, wanted_event_codes(**program));
}

Need openat_need(const std::string& test) {
  return interest_in({"evt.type=openat and " + test}).need(ev::SYSCALL_OPENAT_2_X);
}

TEST(Interest, Results) {
  const Need success{kAlways, 0}, failure{0, kAlways}, ever{};
  EXPECT_EQ(openat_need("fd.num>=0"), success);
  EXPECT_EQ(openat_need("fd.num>0"), success) << "0 is a success, too; it may be delivered";
  EXPECT_EQ(openat_need("fd.num>-1"), success);
  EXPECT_EQ(openat_need("fd.num<0"), failure);
  EXPECT_EQ(openat_need("not fd.num>=0"), ever) << "true as well where there is no descriptor to tell";
  EXPECT_EQ(openat_need("evt.rawres>=0"), success);
  EXPECT_EQ(openat_need("evt.rawres<=-1"), failure);
  EXPECT_EQ(openat_need("evt.rawres>=-2"), ever);
  EXPECT_EQ(openat_need("evt.rawres=-13"), failure);
  EXPECT_EQ(openat_need("not evt.rawres=-13"), ever);
  EXPECT_EQ(openat_need("evt.res=SUCCESS"), success);
  EXPECT_EQ(openat_need("evt.res!=SUCCESS"), failure);
  EXPECT_EQ(openat_need("evt.res=EACCES"), failure);
  EXPECT_EQ(openat_need("evt.res!=EACCES"), ever);
  EXPECT_EQ(openat_need("evt.failed=true"), failure);
  EXPECT_EQ(openat_need("evt.failed=false"), success);
  EXPECT_EQ(openat_need("proc.name=x"), ever);
}

TEST(Interest, Flags) {
  EXPECT_EQ(openat_need("evt.is_open_write=true"), (Need{2, 2}));
  EXPECT_EQ(openat_need("evt.is_open_write=true and fd.num>=0"), (Need{2, 0}));
  EXPECT_EQ(openat_need("(evt.is_open_write=true or evt.is_open_read=true)"), (Need{3, 3}));
  EXPECT_EQ(openat_need("(evt.is_open_write=true or fd.name=/x)"), (Need{}));
  EXPECT_EQ(openat_need("not evt.is_open_write=true"), (Need{})) << "a mask cannot say that bits are absent";
  EXPECT_EQ(openat_need("(evt.is_open_write=true and fd.num>=0 or evt.failed=true)"), (Need{2, kAlways}));
  EXPECT_EQ(openat_need("not (evt.failed=true or fd.name=/x)"), (Need{kAlways, 0}));
  EXPECT_EQ(interest_in({"evt.type=creat and evt.is_open_write=true"}).need(ev::SYSCALL_CREAT_X), Need{});
}

TEST(Interest, SeveralRulesJoin) {
  const Interest interest = interest_in({"evt.type=openat and evt.is_open_write=true and fd.num>=0",
                                         "evt.type in (openat, open) and evt.is_open_read=true and evt.failed=true"});
  EXPECT_EQ(interest.need(ev::SYSCALL_OPENAT_2_X), (Need{2, 1}));
  EXPECT_EQ(interest.need(ev::SYSCALL_OPEN_X), (Need{0, 1}));
  EXPECT_FALSE(interest.plain_files_matter);
}

TEST(Interest, PlainFilesMatterToOtherEvents) {
  const std::string open = "evt.type=openat and evt.is_open_write=true and fd.name startswith /etc";
  EXPECT_FALSE(interest_in({open}).plain_files_matter);
  EXPECT_FALSE(interest_in({open, "evt.type=execve and proc.name=x"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=read and fd.name=/etc/shadow"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=dup and fd.type=ipv4"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=write and proc.name=x"}, "%fd.name").plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=write and proc.name=x"}, "%evt.args").plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=execve and fd.types intersects (file)"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "proc.name=x and fd.name=/x"}).plain_files_matter) << "no type: every event";
  EXPECT_TRUE(interest_in({open, "evt.type=fchmod and fs.path.name=/x"}).plain_files_matter);
  EXPECT_TRUE(interest_in({open, "evt.type=unlinkat and evt.arg.name=/x"}).plain_files_matter);
  EXPECT_FALSE(interest_in({open, "evt.type=unlinkat and fs.path.name=/x"}).plain_files_matter);
  EXPECT_FALSE(interest_in({open, "evt.type=rename and evt.arg.oldpath=/x"}).plain_files_matter);
}

using Prefixes = std::vector<std::string>;
constexpr Need kNever{0, 0};

NameTest openat_names(const std::vector<std::string>& tests) {
  std::vector<std::string> conditions;
  for (const std::string& test : tests) conditions.push_back("evt.type=openat and " + test);
  return interest_in(conditions).name_test(ev::SYSCALL_OPENAT_2_X);
}
Prefixes openat_prefixes(const std::string& test) {
  const NameTest names = openat_names({test});
  EXPECT_EQ(names.any_name, kNever) << test;
  return names.prefixes;
}

TEST(Interest, NamesThatBegin) {
  EXPECT_EQ(openat_prefixes("fd.name startswith /etc/"), Prefixes{"/etc/"});
  EXPECT_EQ(openat_prefixes("fd.name = /etc/shadow"), Prefixes{"/etc/shadow"});
  EXPECT_EQ(openat_prefixes("fd.name in (/etc/shadow, /etc/passwd)"), (Prefixes{"/etc/passwd", "/etc/shadow"}));
  EXPECT_EQ(openat_prefixes("fd.directory in (/bin, /usr/bin)"), (Prefixes{"/bin", "/usr/bin"}));
  EXPECT_EQ(openat_prefixes("fs.path.name glob '/home/*/.ssh/*'"), Prefixes{"/home/"});
  EXPECT_EQ(openat_prefixes("fd.name glob '/a[bc]d'"), Prefixes{"/a"});
  EXPECT_EQ(openat_prefixes("fd.name pmatch (/var/log, //etc//ssh/, srv/x, /run/c*/d)"),
            (Prefixes{"/etc/ssh", "/run/c", "/srv/x", "/var/log"}));
  EXPECT_EQ(openat_prefixes("evt.arg.name startswith /tmp"), Prefixes{"/tmp"});
  EXPECT_EQ(openat_prefixes("evt.rawarg.name startswith /tmp"), Prefixes{"/tmp"});
  EXPECT_EQ(openat_prefixes("evt.arg[2] startswith /tmp"), Prefixes{"/tmp"});
  EXPECT_EQ(openat_prefixes("(fd.name startswith /etc or fd.name startswith /etc/ssh)"), Prefixes{"/etc"});
  EXPECT_EQ(openat_prefixes("fd.name startswith /etc and fd.name startswith /etc/ssh"), Prefixes{"/etc/ssh"});
  EXPECT_EQ(openat_prefixes("proc.name=x and fd.name startswith /etc and not fd.name startswith /etc/ssh"),
            Prefixes{"/etc"});
  EXPECT_EQ(openat_prefixes("fd.name = relative"), Prefixes{}) << "only names that cannot be compared";
}

TEST(Interest, NamesThatSayNothing) {
  for (const char* test :
       {"not fd.name startswith /etc", "fd.name contains /etc", "fd.name endswith /etc", "fd.name != /etc",
        "fd.name glob '*/etc'", "fd.name startswith /", "fd.name startswith ''", "fd.name pmatch (/)",
        "(fd.name startswith /etc or proc.name = x)", "not (fd.name startswith /etc and proc.name = x)",
        "fd.filename = shadow", "tolower(fd.name) startswith /etc", "fd.name startswith val(proc.cwd)",
        "evt.arg.flags startswith /etc", "fd.name regex '/etc/.*'", "proc.name startswith /etc"}) {
    EXPECT_EQ(openat_names({test}), NameTest{}) << test;
  }
  EXPECT_EQ(interest_in({"evt.type=unlinkat and fd.name startswith /etc"}).name_test(ev::SYSCALL_UNLINKAT_2_X),
            NameTest{})
      << "that is the directory";
  EXPECT_EQ(interest_in({"evt.type=chdir and evt.arg.path startswith /etc"}).name_test(ev::SYSCALL_CHDIR_X), NameTest{})
      << "the tables live on it";
}

TEST(Interest, NamesOfSeveralRules) {
  EXPECT_EQ(openat_names({"fd.name startswith /etc", "fd.name startswith /root"}),
            (NameTest{kNever, {"/etc", "/root"}}));
  EXPECT_EQ(openat_names({"fd.name startswith /etc", "proc.name = x"}), NameTest{});
  EXPECT_EQ(openat_names({"evt.is_open_read=true and fd.name startswith /etc", "evt.is_open_write=true"}),
            (NameTest{{2, 2}, {"/etc"}}));
  EXPECT_EQ(openat_names({"evt.is_open_write=true and fd.name startswith /etc", "evt.is_open_write=true"}), NameTest{})
      << "names decide nothing more";
  EXPECT_EQ(openat_names({"fd.name startswith /etc", "evt.failed=true"}), (NameTest{{0, kAlways}, {"/etc"}}));
  const Interest interest =
      interest_in({"(evt.type=openat and fd.name startswith /a or evt.type=unlink and fs.path.name startswith /b)",
                   "evt.type in (rename, symlink) and (fs.path.source startswith /c or fs.path.target = /d)"});
  EXPECT_EQ(interest.name_test(ev::SYSCALL_OPENAT_2_X), (NameTest{kNever, {"/a"}}));
  EXPECT_EQ(interest.name_test(ev::SYSCALL_UNLINK_2_X), (NameTest{kNever, {"/b"}}));
  EXPECT_EQ(interest.name_test(ev::SYSCALL_RENAME_X), (NameTest{kNever, {"/c", "/d"}}));
  EXPECT_EQ(interest.name_test(ev::SYSCALL_SYMLINK_X), (NameTest{kNever, {"/c", "/d"}}));
  EXPECT_EQ(interest.name_test(ev::SYSCALL_OPEN_X), NameTest{});
  EXPECT_FALSE(interest.plain_files_matter) << "none of them has a descriptor of a plain file";
}

TEST(Interest, ManyAndLongNamesAreShortened) {
  std::string many = "fd.name in (/x";
  for (int i = 100; i < 200; ++i) many += ", /a/directory/with/a/long/name/of/its/own/" + std::to_string(i);
  EXPECT_EQ(openat_prefixes(many + ")"), (Prefixes{"/a/directory/with/a/long/name/of", "/x"}));
  const std::string deep = "/" + std::string(100, 'd');
  EXPECT_EQ(openat_prefixes("fd.name startswith " + deep), Prefixes{deep.substr(0, NameTest::kMaxLength)});
  std::string letters = "fd.name in (/a";
  for (char c = 'b'; c <= 'z'; ++c) letters += std::string(", /") + c;
  EXPECT_EQ(openat_names({letters + ")"}), NameTest{}) << "too many to compare with";
}

TEST(Interest, GenericCallsByName) {
  const Interest interest = interest_in({"evt.type in (getppid, openat)", "syscall.type=times and proc.name=x"});
  EXPECT_TRUE(interest.wants_generic(syscall_by_name("getppid")->code));
  EXPECT_TRUE(interest.wants_generic(syscall_by_name("times")->code));
  EXPECT_FALSE(interest.wants_generic(syscall_by_name("getpid")->code));
  EXPECT_FALSE(interest_in({"evt.type=openat"}).wants_generic(syscall_by_name("getppid")->code));
}

}  // namespace
}  // namespace quell::detect
