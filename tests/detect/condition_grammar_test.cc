#include <gtest/gtest.h>
#include <pthread.h>

#include <boost/json.hpp>
#include <fstream>
#include <functional>
#include <random>

#include "detect/falco/condition_parser.h"

namespace quell::detect::falco {
namespace {

std::string printed(std::string_view text) {
  const auto tree = parse_condition(text);
  return tree ? (*tree)->str() : "error: " + tree.error().message;
}

TextPos error_pos(std::string_view text) {
  const auto tree = parse_condition(text);
  EXPECT_FALSE(tree) << text;
  return tree ? TextPos{} : tree.error().pos;
}

void expect_round_trip(const Expr& tree) {
  const std::string text = tree.str();
  const auto again = parse_condition(text);
  ASSERT_TRUE(again) << text << ": " << again.error().message;
  EXPECT_TRUE(same(**again, tree)) << text << " became " << (*again)->str();
}

TEST(ConditionGrammar, Vectors) {
  const char* data = std::getenv("QUELL_TEST_DATA");
  if (!data) {
    std::printf("SKIPPED: QUELL_TEST_DATA is not set\n");
    GTEST_SKIP();
  }
  std::ifstream file(std::string(data) + "/samples/conformance/condition-grammar.jsonl");
  ASSERT_TRUE(file);
  std::string line;
  size_t count = 0;
  while (std::getline(file, line)) {
    const auto row = boost::json::parse(line).as_object();
    const std::string filter(row.at("filter").as_string());
    ++count;
    const auto tree = parse_condition(filter);
    if (row.at("expect").as_string() == "reject") {
      ASSERT_FALSE(tree) << filter << " was read as " << (*tree)->str();
      if (const auto* message = row.if_contains("message")) {
        EXPECT_NE(tree.error().message.find(message->as_string().c_str()), std::string::npos) << tree.error().message;
      }
      continue;
    }
    ASSERT_TRUE(tree) << filter << ": " << tree.error().message;
    expect_round_trip(**tree);
    for (const char blank : {'\n', '\t'}) {
      std::string other = filter;
      char quote = 0;
      char last = 0;
      for (char& c : other) {  // blanks inside quotes are content
        if (quote != 0 && std::exchange(last, c) == '\\') continue;
        if (quote == 0 && (c == '"' || c == '\'')) {
          quote = c;
        } else if (c == quote) {
          quote = 0;
        } else if (c == ' ' && quote == 0) {
          c = blank;
        }
      }
      const auto again = parse_condition(other);
      ASSERT_TRUE(again) << other << ": " << again.error().message;
      EXPECT_TRUE(same(**again, **tree)) << other;
      std::string everywhere = filter;
      std::replace(everywhere.begin(), everywhere.end(), ' ', blank);
      EXPECT_TRUE(parse_condition(everywhere)) << everywhere;
    }
  }
  EXPECT_GT(count, 200u);
}

TEST(ConditionGrammar, CanonicalText) {
  EXPECT_EQ(printed("evt.type in(open,openat)or evt.type==openat2"),
            "(evt.type in (open, openat) or evt.type = openat2)");
  EXPECT_EQ(printed("a or b and not c or d"), "(a or (b and not c) or d)");
  EXPECT_EQ(printed("((a))"), "a");
  EXPECT_EQ(printed("not not not a"), "not a");
  EXPECT_EQ(printed("not (not (a and b))"), "(a and b)");
  EXPECT_EQ(printed("not(a or b)"), "not (a or b)");
  EXPECT_EQ(printed("proc.aname[2] = 'a b'"), "proc.aname[2] = \"a b\"");
  EXPECT_EQ(printed("evt.arg['a b'] exists"), "evt.arg[\"a b\"] exists");
  EXPECT_EQ(printed("fd.num >= -0x1F and a"), "error: unexpected token after '-0', expecting 'or', 'and'");
  EXPECT_EQ(printed("fd.num >= 0x1F and a"), "(fd.num >= 0x1F and a)");
  EXPECT_EQ(printed("fd.name = val( proc.name )"), "fd.name = val(proc.name)");
  EXPECT_EQ(printed("fd.name = toupper( basename(proc.exepath))"), "fd.name = toupper(basename(proc.exepath))");
  EXPECT_EQ(printed("join(',', (proc.name, 12, 'x')) = a"), "join(\",\", (proc.name, 12, \"x\")) = a");
  EXPECT_EQ(printed("proc.name startswith oneof (a,b)"), "proc.name startswith oneof (a, b)");
  EXPECT_EQ(printed("proc.name startswith oneof and b"), "(proc.name startswith oneof and b)");
  EXPECT_EQ(printed("proc.name in names"), "proc.name in names");
  EXPECT_EQ(printed("proc.name in ()"), "proc.name in ()");
}

TEST(ConditionGrammar, EscapesInsideQuotes) {
  const auto value = [](std::string_view text) { return (*parse_condition(text))->check.values.at(0); };
  EXPECT_EQ(value(R"(a.b = "x\n\t\\\/\"")"), "x\n\t\\/\"");
  EXPECT_EQ(value(R"(a.b = 'it\'s \x41')"), "it's A");
  EXPECT_EQ(value(R"(a.b = "a\ b")"), "a\\b");
  EXPECT_EQ(value(R"(a.b = c:\dir\)"), "c:\\dir\\");
  for (const char* bad :
       {R"(a.b = "\q")", R"(a.b = "\'")", R"(a.b = '\"')", R"(a.b = "\x4")", R"(a.b = "\x00")", R"(a.b = "x\\")"})
    EXPECT_FALSE(parse_condition(bad)) << bad;
  EXPECT_FALSE(parse_condition(std::string_view("a.b = x\0y", 9)));
  EXPECT_FALSE(parse_condition(std::string_view("a.b = 'x\0y'", 11)));
}

TEST(ConditionGrammar, ErrorsHavePlaces) {
  EXPECT_EQ(error_pos("evt.type = open\n  and proc.nam").line, 2u);
  EXPECT_EQ(error_pos("evt.type = open\n  and proc.nam").column, 15u);
  EXPECT_EQ(error_pos("a and b c").offset, 8u);
  EXPECT_NE(printed("proc.name strtswith x").find("'startswith'"), std::string::npos);
  EXPECT_EQ(printed("evt.type=execve foo"), "error: unexpected token after 'execve', expecting 'or', 'and'");
  EXPECT_EQ(printed(" \n"), "error: filter input string is empty");
  const auto based = parse_condition("a.b = c", 5000);
  EXPECT_EQ((*based)->check.value_pos.offset, 5006u);
}

/// Instrumented builds need several times the stack for the same depth.
void on_large_stack(const std::function<void()>& work) {
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, size_t{64} << 20), 0);
  pthread_t thread{};
  const auto run = [](void* argument) -> void* {
    (*static_cast<const std::function<void()>*>(argument))();
    return nullptr;
  };
  ASSERT_EQ(pthread_create(&thread, &attributes, run, const_cast<std::function<void()>*>(&work)), 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

TEST(ConditionGrammar, DepthLimit) {
  const auto nested = [](size_t depth) { return std::string(depth, '(') + "a" + std::string(depth, ')'); };
  on_large_stack([&] { EXPECT_TRUE(parse_condition(nested(kMaxDepth))); });
  on_large_stack(
      [&] { EXPECT_NE(printed(nested(kMaxDepth + 1)).find("exceeded max depth limit of 1000"), std::string::npos); });
  std::string calls;
  for (int i = 0; i < 2000; ++i) calls += "tolower(";
  on_large_stack([&] { EXPECT_FALSE(parse_condition(calls + "a.b")); });
  std::string nots;
  for (int i = 0; i < 100'001; ++i) nots += "not ";
  EXPECT_EQ(printed(nots + "a"), "not a");
}

TEST(ConditionGrammar, OperandAlone) {
  EXPECT_EQ(parse_operand(" tolower(proc.name) ")->str(), "tolower(proc.name)");
  EXPECT_EQ(parse_operand("proc.aname[1]")->str(), "proc.aname[1]");
  for (const char* bad : {"proc", "proc.name x", "", "val(a.b)", "proc.name[", "12"})
    EXPECT_FALSE(parse_operand(bad)) << bad;
}

// Random trees, printed and read again.
class TreeMaker {
 public:
  explicit TreeMaker(uint32_t seed) : random_(seed) {}
  ExprPtr expr(int depth) {
    auto made = std::make_shared<Expr>();
    const int pick = depth > 0 ? below(5) : 2 + below(3);
    if (pick < 2) {
      made->kind = pick == 0 ? Expr::Kind::all : Expr::Kind::any;
      for (int i = 2 + below(3); i > 0; --i) made->children.push_back(expr(depth - 1));
    } else if (pick == 2 && depth > 0) {
      made->kind = Expr::Kind::negation;
      made->children.push_back(expr(depth - 1));
      if (made->children[0]->kind == Expr::Kind::negation) return made->children[0]->children[0];
    } else if (pick == 3) {
      made->kind = Expr::Kind::macro;
      made->macro = "macro_" + std::to_string(below(9));
    } else {
      check(made->check);
    }
    return made;
  }

 private:
  int below(int limit) { return static_cast<int>(random_() % static_cast<uint32_t>(limit)); }
  std::string value() {
    static const std::string kBytes = "ab.*/\\\"'=,() \t\n\r\b\f\v\x01\x7f-0[]<>%\xc3\xa9\xff";
    std::string made;
    for (int i = below(6); i >= 0; --i) made += kBytes[static_cast<size_t>(below(static_cast<int>(kBytes.size())))];
    static const char* kWords[] = {"oneof", "val", "exists", "and", "toupper(x.y)", "", "12", "in"};
    return below(4) == 0 ? kWords[below(8)] : made;
  }
  Operand operand(int depth) {
    Operand made;
    if (depth > 0 && below(3) == 0) {
      made.kind = Operand::Kind::transformer;
      made.name = below(2) ? "tolower" : "join";
      made.args.push_back(operand(depth - 1));
      if (below(2)) {
        Operand list;
        list.kind = Operand::Kind::list;
        Operand text;
        text.kind = Operand::Kind::text;
        text.name = value();
        list.args = {text, operand(0)};
        made.args.push_back(list);
      }
    } else {
      made.name = below(2) ? "proc.name" : "evt.arg.data";
    }
    if (below(3) == 0) made.arg = value();
    return made;
  }
  void check(Check& made) {
    made.left = operand(2);
    made.op = static_cast<Op>(below(19));
    if (made.op == Op::exists) return;
    const bool order = made.op == Op::lt || made.op == Op::le || made.op == Op::gt || made.op == Op::ge;
    const bool list = made.op == Op::in || made.op == Op::intersects || made.op == Op::pmatch;
    if (below(5) == 0) {
      made.right = operand(1);
      made.right_is_val = made.right->kind == Operand::Kind::field;
      return;
    }
    if (order) {
      made.values = {std::to_string(below(1000) - 500)};
      return;
    }
    if (!list && below(3) == 0) made.modifier = static_cast<Modifier>(1 + below(3));
    if (list || made.modifier != Modifier::none) {
      if (below(4) == 0) {
        made.values = {"some_list"};
        made.value_is_identifier = true;
        return;
      }
      for (int i = below(4); i > 0; --i) made.values.push_back(value());
      return;
    }
    made.values = {value()};
  }
  std::mt19937 random_;
};

TEST(ConditionGrammar, PrintedTreesReadBackTheSame) {
  for (uint32_t seed = 0; seed < 3000; ++seed) expect_round_trip(*TreeMaker(seed).expr(4));
}

}  // namespace
}  // namespace quell::detect::falco
