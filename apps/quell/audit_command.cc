// quell audit: the hash-chained log of what was done. Reads the data directory itself, so that it works after the
// running quell has gone, and on a copy.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "apps/quell/cli.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "model/action_json.h"
#include "model/audit_json.h"
#include "record/audit/small_file.h"
#include "record/audit/verify.h"

namespace quell::cli {
namespace {

struct Options {
  std::string action, actor, kind, since, until, head, file, key, to;
  uint32_t limit = 20;
  uint64_t seq = 0, after_seq = 0;
};

/// A moment ("2024-05-01T10:20:30Z"), a day ("2024-05-01", its beginning), or so long ago ("2h").
Result<uint64_t> moment_of(const std::string& text) {
  if (const auto moment = parse_iso8601_utc(text)) return *moment;
  if (const auto day = parse_iso8601_utc(text + "T00:00:00Z")) return *day;
  const auto ago_ms = parse_duration_ms(text);
  if (!ago_ms)
    return Error{Code::invalid_argument,
                 fmt::format("\"{}\" is no time; write 2024-05-01, 2024-05-01T10:20:30Z or 2h (ago)", text),
                 {}};
  const uint64_t now = system_clock().realtime_ns();
  return now - std::min(now, *ago_ms * 1'000'000);
}

/// What happened, in one word or two: an action and its state, a setting, an event.
std::string summary(const AuditEntry& entry) {
  const auto body = Json::parse(entry.body_json);
  if (!body) return {};
  std::string out;
  for (const char* name : {"action", "state", "event", "name", "reason"}) {
    const std::string text = body->at(name).str();
    if (!text.empty()) out += (out.empty() ? "" : " ") + text;
  }
  return json_escape(out);
}

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl"});
  if (!format) return fail(format.error());
  AuditQuery query;
  query.subject = options.action;
  query.actor = options.actor;
  query.kind = options.kind;
  query.limit = options.limit;
  query.newest_first = true;
  if (!query.kind.empty() && !parse_audit_kind(query.kind))
    return fail({Code::invalid_argument,
                 fmt::format("\"{}\" is no kind; there are action, refusal, setting, policy, evidence, sign_in, "
                             "privilege and chain",
                             query.kind),
                 "--kind"});
  for (const auto& [text, out] : {std::pair{&options.since, &query.since_ns}, {&options.until, &query.until_ns}}) {
    if (text->empty()) continue;
    const auto moment = moment_of(*text);
    if (!moment) return fail(moment.error());
    *out = *moment;
  }
  const auto entries = record::read_audit_of(globals.data_dir_or_default(), query);
  if (!entries) return fail(entries.error());
  if (*format == "table") {
    fmt::print("{:>8} {:<20} {:<10} {:<20} {:<24} {}\n", "SEQ", "TIME", "KIND", "SUBJECT", "ACTOR", "WHAT");
    for (const AuditEntry& entry : *entries)
      fmt::print("{:>8} {:.19}Z {:<10} {:<20} {:<24} {}\n", entry.seq, iso8601_utc(entry.at_ns),
                 json_escape(entry.kind), json_escape(entry.subject), json_escape(entry.actor), summary(entry));
    return Exit::done;
  }
  const bool is_list = *format == "json";
  if (is_list) fmt::print("{{\"apiVersion\":\"{}\",\"items\":[", kApiVersion);
  for (size_t i = 0; i < entries->size(); ++i)
    fmt::print("{}{}{}", is_list && i > 0 ? "," : "", audit_entry_to_json((*entries)[i]), is_list ? "" : "\n");
  if (is_list) fmt::print("]}}\n");
  return Exit::done;
}

void print_indented(const Json& json, int indent) {
  if (const Json::Object* members = json.object()) {
    for (const auto& [key, value] : *members) {
      if (value.object() != nullptr) {
        fmt::print("{:{}}{}:\n", "", indent, json_escape(key));
        print_indented(value, indent + 2);
      } else if (!value.is_null()) {
        fmt::print("{:{}}{}: {}\n", "", indent, json_escape(key),
                   std::holds_alternative<std::string>(value.value()) ? json_escape(value.str()) : value.dump());
      }
    }
  }
}

Exit show(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  AuditQuery query;
  query.after_seq = options.seq == 0 ? 0 : options.seq - 1;
  query.limit = 1;
  const auto entries = record::read_audit_of(globals.data_dir_or_default(), query);
  if (!entries) return fail(entries.error());
  if (entries->empty() || entries->front().seq != options.seq)
    return fail({Code::not_found, fmt::format("there is no audit entry {}", options.seq), {}});
  const AuditEntry& entry = entries->front();
  if (*format != "text") {
    fmt::print("{}\n", audit_entry_to_json(entry));
    return Exit::done;
  }
  fmt::print("entry:    {}\ntime:     {}\nkind:     {}\nsubject:  {}\nactor:    {}\n", entry.seq,
             iso8601_utc(entry.at_ns), json_escape(entry.kind), json_escape(entry.subject), json_escape(entry.actor));
  fmt::print("previous: {}\nhash:     {}{}\n", entry.previous, entry.hash,
             audit_hash(entry) == entry.hash ? "" : " (NOT the hash of this entry: see `quell audit verify`)");
  if (const auto body = Json::parse(entry.body_json)) print_indented(*body, 0);
  return Exit::done;
}

std::string verification_json(const record::AuditVerification& found) {
  JsonWriter out;
  out.begin_object().text("apiVersion", kApiVersion).text("kind", "AuditVerification");
  out.flag("is_whole", !found.broken).integer("entries", found.entries);
  for (const auto& [name, head] : {std::pair{"start", &found.start}, {"end", &found.end}}) {
    out.key(std::string_view(name)).begin_object().integer("seq", head->seq).text("hash", head->hash);
    out.integer("at_ns", head->at_ns).end_object();
  }
  out.text("public_key", found.public_key).key("break");
  if (found.broken) {
    out.begin_object().text("fault", to_string(found.broken->fault)).integer("seq", found.broken->seq);
    out.text("expected", found.broken->expected).text("found", found.broken->found).end_object();
  } else {
    out.null();
  }
  out.texts("notes", found.notes).integer("duration_ms", found.duration_ns / 1'000'000).end_object();
  return out.take();
}

Exit verify(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  record::AuditExpectations expected;
  expected.public_key = options.key;
  if (is_audit_hash(options.head)) {
    expected.hash = options.head;
  } else if (!options.head.empty()) {
    const auto text = record::read_small_file(options.head);
    if (!text) return fail(text.error());
    const auto head = audit_head_from_json(*text);
    if (!head) return fail({head.error().code, head.error().message, options.head});
    expected.head = *head;
  }
  const auto found = options.file.empty() ? record::verify_audit_of(globals.data_dir_or_default(), expected)
                                          : record::verify_audit_export(options.file, expected);
  if (!found) return fail(found.error());
  if (*format != "text") {
    fmt::print("{}\n", verification_json(*found));
    return found->broken ? Exit::failed : Exit::done;
  }
  for (const std::string& note : found->notes) say(globals, "note: " + json_escape(note));
  if (found->broken) {
    fmt::print(stderr,
               "quell: error: the audit log does not hold from entry {} on: {}\n  expected: {}\n  found:    {}\n"
               "  {} entries before it hold\n",
               found->broken->seq, to_string(found->broken->fault), json_escape(found->broken->expected),
               json_escape(found->broken->found), found->entries);
    return Exit::failed;
  }
  fmt::print("the audit log holds: {} entries, {} to {}, in {:.3f} s\nhead: {} {}\nkey:  {}\n", found->entries,
             found->start.seq + 1, found->end.seq, static_cast<double>(found->duration_ns) / 1e9, found->end.seq,
             found->end.hash, found->public_key);
  return Exit::done;
}

Exit head(const Globals& globals, const Options&) {
  const auto format = output_format(globals, {"json", "jsonl", "text"});
  if (!format) return fail(format.error());
  const auto found = record::audit_head_of(globals.data_dir_or_default());
  if (!found) return fail(found.error());
  if (*format == "text") {
    fmt::print("{} {}\n", found->head.seq, found->head.hash);
  } else {
    fmt::print("{}\n", audit_head_to_json(*found));
  }
  return Exit::done;
}

Exit export_to(const Globals& globals, const Options& options) {
  std::FILE* out = stdout;
  if (!options.to.empty()) {
    const int fd = ::open(options.to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    out = fd < 0 ? nullptr : ::fdopen(fd, "w");
    if (out == nullptr) return fail(errno_error(errno, "cannot make the export", options.to));
  }
  auto done = record::export_audit_of(
      globals.data_dir_or_default(), options.after_seq, [&](std::string_view line) -> Result<void> {
        if (std::fwrite(line.data(), 1, line.size(), out) != line.size() || std::fputc('\n', out) == EOF)
          return errno_error(errno, "cannot write the export; is the disk full?", options.to);
        return {};
      });
  if (done && std::fflush(out) != 0)
    done = errno_error(errno, "cannot write the export; is the disk full?", options.to);
  if (out != stdout) {
    std::fclose(out);
    if (!done) ::unlink(options.to.c_str());
  }
  if (!done) return fail(done.error());
  say(globals, fmt::format("exported up to entry {}, hash {}", done->seq, done->hash));
  return Exit::done;
}

}  // namespace

void add_audit(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* audit = add_command(app, "audit", "Who did what and why, chained by hashes",
                                "  quell audit list --since 1d\n"
                                "  quell audit verify");
  audit->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& summary_text, const std::string& examples,
                       Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command = add_command(*audit, name, summary_text, examples);
    command->callback([&globals, &run, options, function] {
      run = [&globals, options, function] { return function(globals, *options); };
    });
    return command;
  };
  CLI::App* list_command = add("list", "Entries, newest first",
                               "  quell audit list --action a-0123456789abcdef\n"
                               "  quell audit list --kind refusal --since 2h -o jsonl",
                               list);
  list_command->add_option("--action", options->action, "only of this action (or evidence, or setting)")
      ->type_name("ID");
  list_command->add_option("--actor", options->actor, "only of this actor, by its beginning, such as uid:0")
      ->type_name("WHO");
  list_command
      ->add_option("--kind", options->kind, "action, refusal, setting, policy, evidence, sign_in, privilege, chain")
      ->type_name("KIND");
  list_command->add_option("--since", options->since, "2024-05-01, 2024-05-01T10:20:30Z, or 2h for two hours ago")
      ->type_name("TIME");
  list_command->add_option("--until", options->until, "the same; exclusive")->type_name("TIME");
  list_command->add_option("--limit", options->limit, "how many at most (1 to 1000)")->check(CLI::Range(1, 1000));
  add("show", "One entry in full", "  quell audit show 17\n  quell audit show 17 -o json", show)
      ->add_option("SEQ", options->seq, "its number")
      ->required();
  CLI::App* verify_command = add("verify", "Checks every hash, and where the log does not hold if so",
                                 "  quell audit verify --head stored-elsewhere.json\n"
                                 "  quell audit verify --file export.jsonl --key HEX",
                                 verify);
  verify_command
      ->add_option("--head", options->head,
                   "what `quell audit head` said once (a file), or its hash: finds a lost tail")
      ->type_name("FILE|HASH");
  verify_command->add_option("--file", options->file, "an export instead of the data directory")->type_name("FILE");
  verify_command->add_option("--key", options->key, "the only public key to believe")->type_name("HEX");
  add("head", "The signed end of the log, to be stored elsewhere",
      "  quell audit head > /mnt/elsewhere/audit-head.json\n  quell audit head -o text", head);
  CLI::App* export_command = add("export", "The whole log as JSON lines that can be verified elsewhere",
                                 "  quell audit export --to audit.jsonl\n"
                                 "  quell audit export --after-seq 1000 | ssh elsewhere 'cat > part-2.jsonl'",
                                 export_to);
  export_command->add_option("--to", options->to, "the file to write, which must not exist (default: stdout)")
      ->type_name("FILE");
  export_command->add_option("--after-seq", options->after_seq, "only what comes after this entry")->type_name("SEQ");
}

}  // namespace quell::cli
