// Every field in one event where it has a value and in one where it is absent, as outputs print it. The table must name
// every row of the catalogue.
#include "detect/fields/catalog.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "detect/domains.h"
#include "detect/engine.h"
#include "detect/falco/condition_parser.h"
#include "detect/predicate.h"
#include "fields_cases.h"
#include "fields_print.h"

namespace quell::detect {
namespace {

class Utc : public testing::Environment {
 public:
  void SetUp() override {
    setenv("TZ", "UTC", 1);
    tzset();
  }
};
[[maybe_unused]] const auto* const kUtc = testing::AddGlobalTestEnvironment(new Utc);

bool matches(const std::string& condition, const Scene& scene) {
  const auto parsed = falco::parse_condition(condition);
  EXPECT_TRUE(parsed) << condition;
  if (!parsed) return false;
  auto compiled = compile_predicate((*parsed)->check, false);
  EXPECT_TRUE(compiled.predicate) << condition;
  if (!compiled.predicate) return false;
  Arena arena;
  return holds(*compiled.predicate, Extract{scene.context, arena}, nullptr, nullptr);
}

// Fields for conditions only: what holds in which happening.
struct Condition {
  const char* condition;
  H holds = H::none, fails = H::none;
};
constexpr Condition kConditions[] = {
    {"fd.ip = 203.0.113.9", H::connect, H::open},
    {"fd.ip = 10.0.0.8", H::udp_unknown, H::connect},
    {"fd.ip != 10.0.0.9", H::connect, H::open},
    {"fd.ip != 10.0.0.7", H::listen, H::connect},
    {"fd.ip exists", H::open, H::failed_open},
    {"fd.ip exists", H::unix_send, H::chmod},
    {"fd.port in (https, 8080)", H::listen, H::udp_unknown},
    {"fd.port != 443", H::udp_unknown, H::connect},
    {"fd.port > 40000", H::connect, H::open},
    {"fd.proto = domain", H::udp_unknown, H::connect},
    {"fd.net = 203.0.113.0/24", H::connect, H::udp_unknown},
    {"fd.net != 203.0.113.0/24", H::udp_unknown, H::connect},
    {"fd.net != 203.0.113.0/24", H::listen, H::open},
    {"fd.cnet = 10.0.0.0/8", H::connect, H::udp_unknown},
    {"fd.snet in (10.0.0.0/8, 203.0.113.0/24)", H::connect, H::open},
    {"fd.lnet = 10.0.0.0/8", H::connect, H::listen},
    {"fd.rnet != 10.0.0.0/8", H::connect, H::udp_unknown},
    {"evt.around[1714558830000000000] = 12", H::open},
    {"evt.around[1714558830024345678] = 12", H::open},
    // what the same field means in a condition
    {"proc.aname = systemd", H::open, H::unknown_thread},
    {"proc.aname = bash", H::none, H::open},
    {"proc.aname != sshd", H::open},
    {"proc.apid = 1", H::open, H::unknown_thread},
    {"proc.aenv contains LANG", H::open, H::exec_in_pod},
    {"proc.aenv contains HOME", H::none, H::open},
    {"proc.aenv[2] contains LANG", H::open},
    {"proc.aargs contains \"-D -e\"", H::open, H::exec_in_pod},
    {"toupper(proc.aargs[1]) = \"-D -E\"", H::open},
    {"evt.buffer bcontains 726f00", H::read_file, H::write_socket},
    {"evt.rawtime.ns = 12345678", H::open},
    {"evt.rawarg.flags = 0x4007", H::open, H::failed_open},
    {"container.image.repository exists", H::open, H::exec_in_new_pod},
    {"container.mount.dest[/etc] != x", H::none, H::exec_in_pod},
    {"fd.types in (file, directory, pipe, ipv4, ipv6, unix)", H::open, H::chmod},
    {"fd.types intersects (ipv6)", H::open, H::chmod},
    {"len(fd.types) = 6", H::open},
};

// Not those for outputs only, names of addresses (which are only compared) and events by number (which the grammar of
// conditions does not know).
bool for_conditions(std::string_view field) {
  return field != "evt.outputtime" && !field.ends_with("ip.name") && !field.starts_with("evt.type.is.3");
}

template <size_t N>
void run(const Case (&cases)[N]) {
  const World world;
  for (const Case& one : cases) {
    if (one.present != H::none) {
      const Scene scene(world, one.present);
      EXPECT_EQ(printed(std::string("%") + one.field, scene), one.text)
          << one.field << " in happening " << static_cast<int>(one.present);
      if (for_conditions(one.field)) {
        EXPECT_TRUE(matches(std::string(one.field) + " exists", scene)) << one.field;
      }
    }
    if (one.absent != H::none) {
      const Scene scene(world, one.absent);
      EXPECT_EQ(printed(std::string("%") + one.field, scene), "<NA>") << one.field;
      if (for_conditions(one.field)) {
        EXPECT_FALSE(matches(std::string(one.field) + " exists", scene)) << one.field;
      }
    }
  }
}

class Fields : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(define_static_fields({{"environment", "production"}})); }
  void TearDown() override { ASSERT_TRUE(define_static_fields({})); }
};

TEST_F(Fields, OfEvents) { run(kEvents); }
TEST_F(Fields, OfProcesses) { run(kProcesses); }
TEST_F(Fields, OfDescriptors) { run(kDescriptors); }
TEST_F(Fields, OfContainers) { run(kContainers); }

TEST_F(Fields, InConditions) {
  const World world;
  for (const Condition& one : kConditions) {
    if (one.holds != H::none) {
      EXPECT_TRUE(matches(one.condition, Scene(world, one.holds))) << one.condition;
    }
    if (one.fails != H::none) {
      EXPECT_FALSE(matches(one.condition, Scene(world, one.fails))) << one.condition;
    }
  }
  EXPECT_FALSE(matches("evt.around[1714558830000000000] = 11", Scene(world, H::open)));
}

TEST_F(Fields, NamesOfAddressesAreThoseOfTheDomainTable) {
  const World world;
  const Scene scene(world, H::connect);
  DomainTable table;
  table.tell("c2.example.org", scene.context.fd->tuple.dest);
  table.tell("web.example.org", scene.context.fd->tuple.source);
  OutputTemplate out;
  EXPECT_TRUE(OutputTemplate::parse("%fd.sip.name %fd.rip.name %fd.cip.name %fd.lip.name", &out).empty());
  Arena arena;
  EXPECT_EQ(out.render({scene.context, arena, nullptr, &table}),
            "c2.example.org c2.example.org web.example.org web.example.org");
}

TEST_F(Fields, EveryRowHasACase) {
  std::set<std::string_view> named;
  const auto add = [&](std::string_view text) {
    const auto found = find_field(text.substr(0, text.find('[')),
                                  text.ends_with(']') ? std::optional<std::string>("0") : std::nullopt);
    if (found.field) named.insert(found.field->spec->name);
  };
  for (const Case& one : kEvents) add(one.field);
  for (const Case& one : kProcesses) add(one.field);
  for (const Case& one : kDescriptors) add(one.field);
  for (const Case& one : kContainers) add(one.field);
  for (const Condition& one : kConditions) {
    const std::string_view text(one.condition);
    add(text.substr(0, text.find(' ')));
  }
  for_each_field([&](const FieldSpec& row) { EXPECT_TRUE(named.contains(row.name)) << row.name << " has no case"; });
}

TEST_F(Fields, EveryRowIsSoundAndNamedOnce) {
  std::set<std::string_view> names;
  for (const FieldClass& one : field_classes()) {
    EXPECT_FALSE(one.title.empty()) << one.name;
    for (const FieldSpec& row : one.rows) {
      EXPECT_TRUE(names.insert(row.name).second) << row.name;
      EXPECT_NE(row.get, nullptr) << row.name;
      EXPECT_FALSE(row.doc.empty()) << row.name;
      EXPECT_FALSE(row.events.empty() && one.events.empty()) << row.name;
      EXPECT_NE(row.example.find(row.name), std::string_view::npos) << row.name;
      const std::string example(row.example);
      if ((row.flags & kOutputOnly) != 0) {
        EXPECT_TRUE(OutputTemplate::parse(example, nullptr).empty()) << example;
        continue;
      }
      const auto parsed = falco::parse_condition(example);
      ASSERT_TRUE(parsed) << example;
      for (const Finding& finding : semantics().check_condition("syscall", **parsed))
        EXPECT_FALSE(finding.is_error) << example << ": " << finding.message;
    }
  }
  EXPECT_EQ(names.size(), 295u) << "a field came or went: say so in the changelog";
}

bool accepted(const std::string& condition) {
  const auto parsed = falco::parse_condition(condition);
  if (!parsed) return false;
  for (const Finding& finding : semantics().check_condition("syscall", **parsed))
    if (finding.is_error) return false;
  return true;
}

TEST_F(Fields, WrongArgumentsAreRefused) {
  EXPECT_FALSE(accepted("proc.name[0] = a")) << "takes no argument";
  EXPECT_FALSE(accepted("proc.env.PATH = a")) << "brackets only";
  EXPECT_FALSE(accepted("proc.args[x] = a"));
  EXPECT_FALSE(accepted("proc.aname[-1] = a"));
  EXPECT_FALSE(accepted("container.label = a")) << "needs an argument";
  EXPECT_FALSE(accepted("thread.cgroup = a"));
  EXPECT_FALSE(accepted("evt.type.is.opne = 1"));
  EXPECT_FALSE(accepted("evt.abspath.both = a"));
  EXPECT_FALSE(accepted("evt.arg.flgs = a"));
  EXPECT_FALSE(accepted("evt.rawarg[0] = 1")) << "by name only";
  EXPECT_FALSE(accepted("evt.around[1] != 5")) << "only =";
  EXPECT_FALSE(accepted("evt.outputtime = a")) << "for outputs";
  EXPECT_FALSE(accepted("static.environmnt = production"));
  EXPECT_FALSE(accepted("static = production"));
  EXPECT_FALSE(accepted("tolower(evt.type) = open"));
  EXPECT_FALSE(accepted("fd.sip.name startswith a")) << "names are resolved, not compared";
  EXPECT_TRUE(OutputTemplate::parse("%fd.ip", nullptr).at(0).is_error) << "for conditions";
  EXPECT_TRUE(OutputTemplate::parse("%evt.around[5]", nullptr).at(0).is_error);
}

TEST_F(Fields, StaticFieldsAreNamedLikeFields) {
  EXPECT_FALSE(define_static_fields({{"9lives", "x"}}));
  EXPECT_FALSE(define_static_fields({{"", "x"}}));
  EXPECT_FALSE(define_static_fields({{"a-b", "x"}}));
  EXPECT_EQ(static_fields().at("environment"), "production") << "a refused set changes nothing";
}

}  // namespace
}  // namespace quell::detect
