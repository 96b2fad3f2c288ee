// quell action: asks the running quell to preview, run, list, show and undo responses.
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <iostream>

#include "apps/quell/cli.h"
#include "apps/quell/server_call.h"
#include "base/json.h"
#include "base/moment.h"
#include "base/text.h"
#include "model/action.h"
#include "model/action_json.h"
#include "respond/catalogue.h"

namespace quell::cli {
namespace {

// Actions wait for a runtime's own grace period (10 s for a stop) and for their proof.
constexpr uint64_t kActionTimeoutMs = 120'000;

struct Options {
  std::string action, target, id, reason, ttl, wait, budget = "3s";
  std::vector<std::string> params, evidence;
  bool yes = false, dry_run = false, force = false, in_effect = false;
  uint32_t limit = 20;
};

Exit exit_of_state(ActionState state) {
  switch (state) {
    case ActionState::refused_guard: return Exit::refused;
    case ActionState::stale_target: return Exit::not_found;
    case ActionState::partially_contained: return Exit::partly_done;
    case ActionState::awaiting_approval: return Exit::done;
    default: return is_success(state) ? Exit::done : Exit::failed;
  }
}

std::string described_target(const Target& target) {
  std::string out = target.str();
  if (target.kind != EntityKind::container && target.kind != EntityKind::process) return out;
  const std::string& name = target.kind == EntityKind::container ? target.container_name : target.process_name;
  const std::string& more = target.kind == EntityKind::container ? target.image : target.cmdline;
  if (!name.empty()) out += fmt::format(" ({}{}{})", name, more.empty() ? "" : ": ", more);
  return out;
}

/// `key: value` lines of a JSON document that somebody else defines; nested values are indented.
void print_document(std::FILE* out, const Json& json, int indent) {
  const Json::Object* members = json.object();
  if (members == nullptr) return;
  for (const auto& [key, value] : *members) {
    if (value.is_null()) continue;
    if (value.object() != nullptr) {
      fmt::print(out, "{:{}}{}:\n", "", indent, key);
      print_document(out, value, indent + 2);
    } else {
      fmt::print(out, "{:{}}{}: {}\n", "", indent, key,
                 std::holds_alternative<std::string>(value.value()) ? value.str() : value.dump());
    }
  }
}

void print_sentences(std::FILE* out, std::string_view title, const Json& list) {
  if (list.array() == nullptr || list.array()->empty()) return;
  fmt::print(out, "  {}:\n", title);
  for (const std::string& sentence : list.texts()) fmt::print(out, "    - {}\n", sentence);
}

/// The preview document of the server, for people: target, effects, who is touched, how to undo, what the guard says.
void print_preview(std::FILE* out, const Json& preview) {
  const Json& target = preview.at("target");
  const Json& container = target.at("container");
  fmt::print(out, "{} on {}", preview.at("action").str(), target.at("ref").str());
  if (target.at("kind").str() == "container") {
    fmt::print(out, " ({}: {})", container.at("name").str(), container.at("image").str());
  } else if (target.at("process").object() != nullptr) {
    fmt::print(out, " ({})",
               target.at("process").at("cmdline").str().empty() ? target.at("process").at("name").str()
                                                                : target.at("process").at("cmdline").str());
    if (container.object() != nullptr) fmt::print(out, " in container {}", container.at("id").str().substr(0, 12));
  }
  fmt::print(out, "\n");
  print_sentences(out, "effects", preview.at("effects"));
  print_sentences(out, "warnings", preview.at("warnings"));
  if (const Json::Array* affected = preview.at("affected").array(); affected != nullptr && !affected->empty()) {
    fmt::print(out, "  affected: {} process{}\n", preview.at("affected_count").u64(),
               preview.at("affected_count").u64() == 1 ? "" : "es");
    for (const Json& process : *affected) {
      fmt::print(out, "    - {} {} {}\n", process.at("pid").i64(), process.at("comm").str(),
                 process.at("cmdline").str());
    }
  }
  if (preview.at("already_in_effect").boolean()) fmt::print(out, "  already in effect: nothing would change\n");
  if (preview.at("ttl_s").u64() != 0) fmt::print(out, "  undone by itself after {} s\n", preview.at("ttl_s").u64());
  if (!preview.at("undo").str().empty()) fmt::print(out, "  undo: {}\n", preview.at("undo").str());
  if (const uint64_t needed = preview.at("approval").at("needed").u64(); needed != 0)
    fmt::print(out, "  waits for the approval of {} other {}\n", needed, needed == 1 ? "person" : "persons");
}

/// One line on stderr when the guard says no, and the status that follows.
Exit exit_of_preview(const Json& preview) {
  const Json& refusal = preview.at("refusal");
  if (refusal.object() == nullptr) return Exit::done;
  fmt::print(stderr, "quell: error: refused by the safety rule {}: {}{}{}\n", refusal.at("rule").str(),
             refusal.at("message").str(), refusal.at("remedy").str().empty() ? "" : "; ", refusal.at("remedy").str());
  return Exit::refused;
}

void print_record(const ActionRecord& record) {
  fmt::print("{}  {}  {}  {}\n", record.id, record.command.action, described_target(record.target),
             to_string(record.state));
  if (!record.reason.empty()) fmt::print("  {}\n", record.reason);
  if (const auto proof = Json::parse(record.proof_json); proof && proof->object() != nullptr) {
    fmt::print("  proof:\n");
    print_document(stdout, *proof, 4);
  }
}

void print_outcome(const ActionRecord& record) {
  print_record(record);
  const auto preview = Json::parse(record.preview_json);
  const bool can_undo =
      record.undo_of.empty() && is_in_effect(record) && preview && preview->at("reversible").boolean();
  if (can_undo) fmt::print("  undo: quell action undo {}\n", record.id);
  if (record.state == ActionState::awaiting_approval)
    fmt::print("  approve (another person): quell action approve {}\n", record.id);
}

/// Prints an answer that is one record, as `format` wants it.
Exit show(const std::string& format, Result<std::string> answer, void (*print)(const ActionRecord&)) {
  if (!answer) return fail(answer.error());
  const auto record = action_from_json(*answer);
  if (!record) return fail(record.error());
  if (format == "table") {
    print(*record);
  } else {
    fmt::print("{}\n", *answer);
  }
  std::fflush(stdout);
  if (record->state == ActionState::refused_guard) {
    fmt::print(stderr, "quell: error: refused by a safety rule: {}\n", record->reason);
  }
  return exit_of_state(record->state);
}

Result<std::string> command_body(const Options& options) {
  JsonWriter body;
  body.begin_object().text("action", options.action).text("target", options.target).text("reason", options.reason);
  if (!options.ttl.empty()) {
    QUELL_TRY(const uint64_t ttl_ms, parse_duration_ms(options.ttl));
    if (ttl_ms < 1000) return Error{Code::invalid_argument, "--ttl is at least one second", {}};
    body.integer("ttl_s", ttl_ms / 1000);
  }
  if (!options.params.empty()) {
    body.key("params").begin_object();
    for (const std::string& param : options.params) {
      const size_t equals = param.find('=');
      if (equals == std::string::npos || equals == 0)
        return Error{Code::invalid_argument, fmt::format("\"{}\" is no parameter; write NAME=VALUE", param), {}};
      body.text(param.substr(0, equals), param.substr(equals + 1));
    }
    body.end_object();
  }
  if (!options.evidence.empty()) {
    QUELL_TRY(const uint64_t budget_ms, parse_duration_ms(options.budget));
    body.key("evidence").begin_object();
    body.texts("items", options.evidence).integer("budget_ms", budget_ms).end_object();
  }
  body.flag("force", options.force).end_object();
  return body.take();
}

Exit preview(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto body = command_body(options);
  if (!body) return fail(body.error());
  const auto answer = call_server(globals, api::Method::post, "/v1/actions/preview", *body, kActionTimeoutMs);
  if (!answer) return fail(answer.error());
  const auto json = Json::parse(*answer);
  if (!json) return fail(json.error());
  if (*format == "table") {
    print_preview(stdout, *json);
  } else {
    fmt::print("{}\n", *answer);
  }
  return exit_of_preview(*json);
}

bool confirmed() {
  fmt::print(stderr, "Run it? [y/N] ");
  std::string line;
  std::getline(std::cin, line);
  return line == "y" || line == "Y" || line == "yes";
}

Exit run_action(const Globals& globals, const Options& options) {
  if (options.dry_run) return preview(globals, options);
  const auto format = output_format(globals, {"table", "json", "jsonl"});
  if (!format) return fail(format.error());
  if (!options.yes && (isatty(STDIN_FILENO) == 0 || isatty(STDERR_FILENO) == 0)) {
    return fail({Code::invalid_argument,
                 "there is no terminal to ask on; add --yes to run it, or --dry-run to stop after the preview",
                 {}});
  }
  const auto wait_ms = options.wait.empty() ? Result<uint64_t>(kActionTimeoutMs) : parse_duration_ms(options.wait);
  if (!wait_ms) return fail(wait_ms.error());
  const auto body = command_body(options);
  if (!body) return fail(body.error());
  auto planned = call_server(globals, api::Method::post, "/v1/actions/preview", *body, kActionTimeoutMs);
  if (!planned) return fail(planned.error());
  const auto plan = Json::parse(*planned);
  if (!plan) return fail(plan.error());
  if (!globals.quiet) print_preview(stderr, *plan);
  if (!options.yes && !confirmed()) {
    say(globals, "not run");
    return Exit::interrupted;
  }
  return show(*format, call_server(globals, api::Method::post, "/v1/actions", *body, *wait_ms), print_outcome);
}

/// A person's word on an action: `what` is the end of its address.
Exit say_on(const Globals& globals, const Options& options, std::string_view what) {
  const auto format = output_format(globals, {"table", "json", "jsonl"});
  if (!format) return fail(format.error());
  JsonWriter body;
  body.begin_object().text("reason", options.reason).end_object();
  return show(*format,
              call_server(globals, api::Method::post, fmt::format("/v1/actions/{}/{}", options.id, what), body.take(),
                          kActionTimeoutMs),
              print_outcome);
}
Exit undo(const Globals& globals, const Options& options) { return say_on(globals, options, "undo"); }
Exit approve(const Globals& globals, const Options& options) { return say_on(globals, options, "approve"); }
Exit cancel(const Globals& globals, const Options& options) { return say_on(globals, options, "cancel"); }

Exit turn_stop_switch(const Globals& globals, const Options& options, bool is_on) {
  JsonWriter body;
  body.begin_object().flag("is_on", is_on).text("reason", options.reason).end_object();
  const auto answer = call_server(globals, api::Method::put, "/v1/stop-switch", body.take());
  if (!answer) return fail(answer.error());
  say(globals, is_on ? "the stop switch is on: nothing takes effect by itself, and persons have to force it"
                     : "the stop switch is off");
  return Exit::done;
}
Exit stop_all(const Globals& globals, const Options& options) { return turn_stop_switch(globals, options, true); }
Exit resume_all(const Globals& globals, const Options& options) { return turn_stop_switch(globals, options, false); }

Exit catalogue(const Globals& globals, const Options&) {
  const auto format = output_format(globals, {"table", "json", "markdown"});
  if (!format) return fail(format.error());
  if (*format == "markdown") {
    fmt::print("{}", respond::catalogue_markdown());
    return Exit::done;
  }
  const auto answer = call_server(globals, api::Method::get, "/v1/actions/catalogue");
  if (!answer) return fail(answer.error());
  if (*format == "json") {
    fmt::print("{}\n", *answer);
    return Exit::done;
  }
  const auto json = Json::parse(*answer);
  if (!json || json->at("items").array() == nullptr)
    return fail({Code::malformed, "the server's answer is no list", {}});
  for (const Json& item : *json->at("items").array()) {
    fmt::print("{:<26} {:<10} {:<9} {}\n", item.at("name").str(), item.at("target").str(), item.at("class").str(),
               item.at("missing").is_null() ? item.at("summary").str() : "not here: " + item.at("missing").str());
  }
  return Exit::done;
}

/// What is in effect now, with what the machine says about it.
Exit list_in_effect(const std::string& format, const std::string& answer) {
  const auto json = Json::parse(answer);
  if (!json || json->at("items").array() == nullptr)
    return fail({Code::malformed, "the server's answer is no list", {}});
  if (json->at("items").array()->empty() && format == "table") fmt::print("nothing is in effect\n");
  for (const Json& item : *json->at("items").array()) {
    if (format == "jsonl") {
      fmt::print("{}\n", item.dump());
      continue;
    }
    const auto record = action_from_json(item.at("action").dump());
    if (!record) return fail(record.error());
    if (format == "name") {
      fmt::print("{}\n", record->id);
      continue;
    }
    fmt::print("{}  {:<20} {}  until {}  by {}\n", record->id, record->command.action, described_target(record->target),
               record->expires_ns == 0 ? "undone by hand" : iso8601_utc(record->expires_ns), record->command.actor);
    if (const std::string drift = item.at("drift").str(); !drift.empty()) fmt::print("  DRIFT: {}\n", drift);
  }
  return Exit::done;
}

Exit show_one(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto answer = call_server(globals, api::Method::get, "/v1/actions/" + options.id);
  if (!answer) return fail(answer.error());
  const auto record = action_from_json(*answer);
  if (!record) return fail(record.error());
  if (*format != "table") {
    fmt::print("{}\n", *answer);
    return Exit::done;
  }
  print_record(*record);
  fmt::print("  by {}: {}\n", record->command.actor,
             record->command.reason.empty() ? "(no reason given)" : record->command.reason);
  for (const auto& [when_ns, state] : record->history) fmt::print("  {}  {}\n", iso8601_utc(when_ns), to_string(state));
  return Exit::done;
}

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  const auto answer = call_server(
      globals, api::Method::get,
      options.in_effect ? std::string("/v1/actions/in-effect") : fmt::format("/v1/actions?limit={}", options.limit));
  if (!answer) return fail(answer.error());
  if (*format == "json") {
    fmt::print("{}\n", *answer);
    return Exit::done;
  }
  if (options.in_effect) return list_in_effect(*format, *answer);
  const auto json = Json::parse(*answer);
  if (!json || json->at("items").array() == nullptr)
    return fail({Code::malformed, "the server's answer is no list", {}});
  for (const Json& item : *json->at("items").array()) {
    const std::string text = item.dump();
    if (*format == "jsonl") {
      fmt::print("{}\n", text);
      continue;
    }
    const auto record = action_from_json(text);
    if (!record) return fail(record.error());
    if (*format == "name") {
      fmt::print("{}\n", record->id);
    } else {
      fmt::print("{}  {}  {:<20} {:<20} {}\n", record->id, iso8601_utc(record->requested_ns), record->command.action,
                 to_string(record->state), described_target(record->target));
    }
  }
  return Exit::done;
}

}  // namespace

void add_action(CLI::App& app, const Globals& globals, Action& run) {
  // Lives as long as the callbacks that CLI11 keeps.
  const auto options = std::make_shared<Options>();
  CLI::App* action = add_command(app, "action", "Preview, run, list and undo responses",
                                 "  quell action preview container.pause container:web\n"
                                 "  quell action run process.kill process:4711 --reason \"reverse shell\"");
  action->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& summary, const std::string& examples,
                       Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command = add_command(*action, name, summary, examples);
    command->callback([&globals, &run, options, function] {
      run = [&globals, options, function] { return function(globals, *options); };
    });
    return command;
  };
  const auto add_request_options = [&options](CLI::App* command) {
    command->add_option("ACTION", options->action, "such as container.pause; `quell action catalogue` lists them")
        ->required();
    command->add_option("TARGET", options->target, "container:ID|NAME, process:PID[@START_TICKS] or detection:ID")
        ->required();
    command->add_option("PARAMETERS", options->params, "NAME=VALUE, as the action takes them")->type_name("NAME=VALUE");
    command->add_option("--evidence", options->evidence, "collect this before the effect, such as process_tree,sockets")
        ->delimiter(',')
        ->type_name("LIST");
    command->add_option("--budget", options->budget, "how long evidence may delay the effect (default 3s)")
        ->type_name("TIME");
    command->add_option("--reason", options->reason, "why; recorded with the action");
    command->add_option("--ttl", options->ttl, "undo by itself after this time, such as 30m")->type_name("TIME");
    command->add_flag("--force", options->force, "past the guards that a person may overrule");
  };
  add_request_options(add("preview", "Shows exact targets, effects and undo; changes nothing",
                          "  quell action preview container.pause container:web\n"
                          "  quell action preview process.kill detection:d-0123456789abcdef -o json",
                          preview));
  CLI::App* run_command = add("run", "Runs an action after showing its preview; ends when the effect is proven",
                              "  quell action run container.pause container:web --reason \"miner\"\n"
                              "  quell action run process.kill detection:d-0123456789abcdef --yes -o json",
                              run_action);
  add_request_options(run_command);
  run_command->add_flag("--yes", options->yes, "do not ask");
  run_command->add_flag("--dry-run", options->dry_run, "stop after the preview");
  run_command->add_option("--wait", options->wait, "how long to wait for the proof (default 2m)")
      ->expected(0, 1)
      ->type_name("TIME");

  const auto add_verdict = [&](const std::string& name, const std::string& summary, const std::string& examples,
                               Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command = add(name, summary, examples, function);
    command->add_option("ACTION_ID", options->id, "as `quell action list` shows it")->required();
    command->add_option("--reason", options->reason, "why; recorded with it");
  };
  add_verdict("undo", "Restores what an action changed",
              "  quell action undo a-0123456789abcdef\n"
              "  quell action undo a-0123456789abcdef --reason \"false alarm\" -o json",
              undo);
  add_verdict("approve", "Agrees to a request of another person that waits for it",
              "  quell action approve a-0123456789abcdef --reason \"seen the logs\"", approve);
  add_verdict("cancel", "Ends a request that has not taken effect",
              "  quell action cancel a-0123456789abcdef --reason \"wrong container\"", cancel);
  add("stop", "Turns the stop switch on: nothing takes effect any more, except for undoing",
      "  quell action stop --reason \"a policy runs wild\"", stop_all)
      ->add_option("--reason", options->reason, "why; everybody sees it");
  add("resume", "Turns the stop switch off", "  quell action resume", resume_all)
      ->add_option("--reason", options->reason, "why; recorded with it");
  add("catalogue", "Every action: what it does, and why this machine cannot do it if so",
      "  quell action catalogue\n  quell action catalogue -o markdown", catalogue);
  add("show", "One action with its history and proof",
      "  quell action show a-0123456789abcdef\n  quell action show a-0123456789abcdef -o json", show_one)
      ->add_option("ACTION_ID", options->id, "as `quell action list` shows it")
      ->required();
  CLI::App* list_command =
      add("list", "Actions, newest first",
          "  quell action list\n  quell action list --in-effect\n  quell action list --limit 100 -o jsonl", list);
  list_command->add_option("--limit", options->limit, "how many at most (1 to 1000)")->check(CLI::Range(1, 1000));
  list_command->add_flag("--in-effect", options->in_effect,
                         "what is in effect now: until when, by whom, and how the machine differs from it");
}

}  // namespace quell::cli
