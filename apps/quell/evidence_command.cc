// quell evidence: what was collected. Looking reads the data directory itself; using it leaves a trace in the audit
// log.
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>

#include "apps/quell/cli.h"
#include "apps/quell/evidence_access.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/text.h"
#include "model/action_json.h"
#include "model/audit_json.h"
#include "model/evidence_json.h"
#include "record/audit/small_file.h"
#include "record/audit/verify.h"
#include "record/evidence/verify.h"

namespace quell::cli {
namespace {

struct Options {
  std::string id, action, kind, to, reason;
  std::vector<std::string> ids;
  uint32_t limit = 20;
};

/// Names of files and processes are other people's text; a terminal shall not obey them.
std::string plain(std::string_view text) { return json_escape(text); }

Exit list(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"table", "json", "jsonl", "name"});
  if (!format) return fail(format.error());
  EvidenceQuery query;
  query.action_id = options.action;
  query.limit = options.limit;
  if (!options.kind.empty()) {
    query.kind = parse_evidence_kind(options.kind);
    if (!query.kind)
      return fail({Code::invalid_argument, fmt::format("\"{}\" is no kind of evidence", options.kind), "--kind"});
  }
  const auto items = record::list_evidence_of(globals.data_dir_or_default(), query);
  if (!items) return fail(items.error());
  if (*format == "table")
    fmt::print("{:<18} {:<20} {:<12} {:>12} {:<18} {:<4} {}\n", "ID", "TIME", "KIND", "BYTES", "ACTION", "HELD",
               "NAME");
  const bool is_list = *format == "json";
  if (is_list) fmt::print("{{\"apiVersion\":\"{}\",\"items\":[", kApiVersion);
  bool is_first = true;
  for (const EvidenceItem& item : *items) {
    if (*format == "name") {
      fmt::print("{}\n", item.id);
    } else if (*format == "table") {
      fmt::print("{:<18} {:.19}Z {:<12} {:>12} {:<18} {:<4} {}\n", item.id, iso8601_utc(item.ended_ns),
                 to_string(item.origin.kind), item.size, plain(item.origin.action_id), item.is_held ? "yes" : "",
                 plain(item.origin.name));
    } else {
      fmt::print("{}{}{}", is_list && !is_first ? "," : "", evidence_to_json(item), is_list ? "" : "\n");
    }
    is_first = false;
  }
  if (is_list) fmt::print("]}}\n");
  return Exit::done;
}

Result<std::vector<AuditEntry>> custody_of(const Globals& globals, const std::string& id) {
  std::vector<AuditEntry> out;
  AuditQuery query;
  query.subject = id;
  query.kind = to_string(AuditKind::evidence);
  query.limit = 1000;
  while (true) {
    QUELL_TRY(std::vector<AuditEntry> page, record::read_audit_of(globals.data_dir_or_default(), query));
    if (page.empty()) return out;
    query.after_seq = page.back().seq;
    out.insert(out.end(), page.begin(), page.end());
  }
}

void print_item(const EvidenceItem& item) {
  const EvidenceRequest& origin = item.origin;
  fmt::print("evidence:  {}\nname:      {}\nkind:      {} ({})\nsha256:    {}\nsize:      {} bytes\n", item.id,
             plain(origin.name), to_string(origin.kind), plain(origin.media_type), item.sha256, item.size);
  if (!origin.action_id.empty()) fmt::print("action:    {}\n", plain(origin.action_id));
  if (!origin.detection_id.empty()) fmt::print("detection: {}\n", plain(origin.detection_id));
  if (!origin.incident_id.empty()) fmt::print("incident:  {}\n", plain(origin.incident_id));
  fmt::print("collector: {}, {}, for {}\nhost:      {}\nbegun:     {}\nended:     {}\n", plain(origin.collector),
             plain(origin.tool_version), plain(origin.actor), plain(item.host), iso8601_utc(item.begun_ns),
             iso8601_utc(item.ended_ns));
  if (item.clock.is_known)
    fmt::print("clock:     {}, offset {} ns, error at most {} ns\n",
               item.clock.is_synchronised ? "synchronised" : "NOT synchronised", item.clock.offset_ns,
               item.clock.max_error_ns);
  else
    fmt::print("clock:     nothing is known of its offset\n");
  for (const std::string& error : item.errors) fmt::print("error:     {}\n", plain(error));
  for (const std::string& skipped : item.skipped) fmt::print("skipped:   {}\n", plain(skipped));
  if (!item.hold_actor.empty())
    fmt::print("hold:      {} by {}{}{}\n", item.is_held ? "set" : "lifted", plain(item.hold_actor),
               item.hold_reason.empty() ? "" : ": ", plain(item.hold_reason));
}

Exit show(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto item = record::find_evidence_of(globals.data_dir_or_default(), options.id);
  if (!item) return fail(item.error());
  if (*format != "text") {
    fmt::print("{}\n", evidence_to_json(*item));
    return Exit::done;
  }
  print_item(*item);
  const auto custody = custody_of(globals, options.id);
  if (!custody) return fail(custody.error());
  fmt::print("custody:\n");
  for (const AuditEntry& entry : *custody) {
    const auto body = Json::parse(entry.body_json);
    fmt::print("  {:>6} {:.19}Z {:<24} {}\n", entry.seq, iso8601_utc(entry.at_ns), plain(entry.actor),
               body ? plain(body->at("event").str()) : std::string());
  }
  return Exit::done;
}

Result<std::string> manifest_of(const Globals& globals, const EvidenceItem& item, const std::string& to,
                                const std::string& actor) {
  QUELL_TRY(const std::vector<AuditEntry> custody, custody_of(globals, item.id));
  QUELL_TRY(const SignedAuditHead head, record::audit_head_of(globals.data_dir_or_default()));
  const uint64_t now = system_clock().realtime_ns();
  JsonWriter out;
  out.begin_object().text("apiVersion", kApiVersion).text("kind", "CustodyManifest");
  out.key("evidence").raw(evidence_to_json(item));
  out.key("export").begin_object().text("by", actor).text("to", to).integer("at_ns", now);
  out.text("at_time", iso8601_utc(now)).text("sha256", item.sha256).integer("size", item.size).end_object();
  out.key("custody").begin_array();
  for (const AuditEntry& entry : custody) out.raw(audit_entry_to_export(entry));
  out.end_array().key("audit_head").raw(audit_head_to_json(head)).end_object();
  return out.take();
}

Result<void> export_one(const Globals& globals, EvidenceAccess& access, const std::string& id, const std::string& to) {
  QUELL_TRY(const EvidenceItem item, record::find_evidence_of(globals.data_dir_or_default(), id));
  const std::string manifest_path = to + ".custody.json";
  for (const std::string& path : {to, manifest_path})
    if (::access(path.c_str(), F_OK) == 0)
      return Error{Code::already_exists, "there is something of this name; choose another with --to", path};
  QUELL_TRY(const EvidenceAccess::Handed handed, access.hand_out(id));
  QUELL_CHECK(record::copy_evidence(handed.path, item, to));
  QUELL_TRY(const std::string manifest, manifest_of(globals, item, to, handed.actor));
  QUELL_CHECK(record::replace_file(manifest_path, manifest + "\n", 0600));
  say(globals, fmt::format("{}: {} bytes, sha256 {}; custody in {}", to, item.size, item.sha256, manifest_path));
  return {};
}

Exit export_to(const Globals& globals, const Options& options) {
  std::vector<std::string> ids = options.ids;
  if (!options.action.empty()) {
    EvidenceQuery query;
    query.action_id = options.action;
    query.limit = 1000;
    const auto items = record::list_evidence_of(globals.data_dir_or_default(), query);
    if (!items) return fail(items.error());
    for (const EvidenceItem& item : *items) ids.push_back(item.id);
    if (ids.empty())
      return fail({Code::not_found, fmt::format("there is no evidence of the action {}", options.action), {}});
  }
  if (ids.empty()) return fail({Code::invalid_argument, "name the evidence, or its action with --action", "ID"});
  auto access = EvidenceAccess::open(globals);
  if (!access) return fail(access.error());
  const bool is_one = ids.size() == 1 && options.action.empty();
  if (!is_one && ::mkdir(options.to.c_str(), 0700) != 0 && errno != EEXIST)
    return fail(errno_error(errno, "cannot make the folder of the export", options.to));
  size_t done = 0;
  for (const std::string& id : ids) {
    if (auto exported = export_one(globals, *access, id, is_one ? options.to : options.to + "/" + id); !exported) {
      const Exit exit = fail(exported.error());
      return done == 0 ? exit : Exit::partly_done;
    }
    ++done;
  }
  return Exit::done;
}

Exit verify(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const bool has_bar = isatty(STDERR_FILENO) != 0 && !globals.quiet;
  uint64_t shown_percent = UINT64_MAX;
  const auto bar = [&](uint64_t read, uint64_t all) {
    const uint64_t percent = all == 0 ? 100 : std::min<uint64_t>(read * 100 / all, 100);
    if (percent == shown_percent) return;
    shown_percent = percent;
    fmt::print(stderr, "\r[{:<40}] {:>3} %", std::string(percent * 40 / 100, '#'), percent);
    std::fflush(stderr);
  };
  const auto found = record::verify_evidence_of(globals.data_dir_or_default(), options.id,
                                                has_bar ? std::function<void(uint64_t, uint64_t)>(bar) : nullptr);
  if (has_bar && shown_percent != UINT64_MAX) fmt::print(stderr, "\r{:52}\r", "");
  if (!found) return fail(found.error());
  if (*format == "text") {
    for (const record::EvidenceFinding& finding : found->findings)
      fmt::print(stderr, "quell: error: evidence {} is {}: {}\n", finding.id.empty() ? finding.sha256 : finding.id,
                 to_string(finding.fault), plain(finding.detail));
    fmt::print(
        "{} items, {} objects, {} bytes in {:.3f} s: {}\n", found->items, found->objects, found->bytes,
        static_cast<double>(found->duration_ns) / 1e9,
        found->findings.empty() ? "all as they were collected" : fmt::format("{} findings", found->findings.size()));
  } else {
    JsonWriter out;
    out.begin_object().text("apiVersion", kApiVersion).text("kind", "EvidenceVerification");
    out.integer("items", found->items).integer("objects", found->objects).integer("bytes", found->bytes);
    out.key("findings").begin_array();
    for (const record::EvidenceFinding& finding : found->findings) {
      out.begin_object().text("fault", to_string(finding.fault)).text("id", finding.id);
      out.text("sha256", finding.sha256).text("detail", finding.detail).end_object();
    }
    out.end_array().integer("duration_ms", found->duration_ns / 1'000'000).end_object();
    fmt::print("{}\n", out.take());
  }
  return found->findings.empty() ? Exit::done : Exit::failed;
}

Exit set_hold(const Globals& globals, const Options& options, bool is_held) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  auto access = EvidenceAccess::open(globals);
  if (!access) return fail(access.error());
  const auto item = access->set_hold(options.id, is_held, options.reason);
  if (!item) return fail(item.error());
  if (*format != "text")
    fmt::print("{}\n", evidence_to_json(*item));
  else
    say(globals, fmt::format("{} is {}", item->id, is_held ? "held: it is never deleted" : "no longer held"));
  return Exit::done;
}
Exit hold(const Globals& globals, const Options& options) { return set_hold(globals, options, true); }
Exit release(const Globals& globals, const Options& options) { return set_hold(globals, options, false); }

}  // namespace

void add_evidence(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* evidence = add_command(app, "evidence", "What was collected: look, check, export, hold",
                                   "  quell evidence list --action a-0123456789abcdef\n"
                                   "  quell evidence export e-0123456789abcdef --to dump.bin");
  evidence->require_subcommand(1);
  const auto add = [&](const std::string& name, const std::string& summary, const std::string& examples,
                       Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command = add_command(*evidence, name, summary, examples);
    command->callback([&globals, &run, options, function] {
      run = [&globals, options, function] { return function(globals, *options); };
    });
    return command;
  };
  CLI::App* list_command = add("list", "The catalogue, newest first",
                               "  quell evidence list\n  quell evidence list --kind memory -o json", list);
  list_command->add_option("--action", options->action, "only of this action")->type_name("ID");
  list_command
      ->add_option("--kind", options->kind,
                   "process_tree, sockets, open_files, memory, file, logs, layer_diff, capture, triage, other, orphan")
      ->type_name("KIND");
  list_command->add_option("--limit", options->limit, "how many at most (1 to 1000)")->check(CLI::Range(1, 1000));
  add("show", "One catalogue entry and its chain of custody",
      "  quell evidence show e-0123456789abcdef\n  quell evidence show e-0123456789abcdef -o json", show)
      ->add_option("ID", options->id, "as `quell evidence list` shows it")
      ->required();
  CLI::App* export_command =
      add("export", "Copies objects, checked while they are copied, each with a custody manifest",
          "  quell evidence export e-0123456789abcdef --to dump.bin\n"
          "  quell evidence export --action a-0123456789abcdef --to case-12",
          export_to);
  export_command->add_option("ID", options->ids, "one or more");
  export_command->add_option("--action", options->action, "all of this action")->type_name("ID");
  export_command->add_option("--to", options->to, "the file to write; for several, the folder")
      ->required()
      ->type_name("PATH");
  add("verify", "Reads every object and compares its hash",
      "  quell evidence verify\n  quell evidence verify e-0123456789abcdef -o json", verify)
      ->add_option("ID", options->id, "only this one");
  const auto add_hold = [&](const std::string& name, const std::string& summary,
                            Exit (*function)(const Globals&, const Options&)) {
    CLI::App* command =
        add(name, summary,
            fmt::format("  quell evidence {0} e-0123456789abcdef\n  quell evidence {0} e-0123456789abcdef "
                        "--reason \"case 12\"",
                        name),
            function);
    command->add_option("ID", options->id, "as `quell evidence list` shows it")->required();
    command->add_option("--reason", options->reason, "why; recorded with it");
  };
  add_hold("hold", "Legal hold: it is never deleted, whatever its age", hold);
  add_hold("release", "Lifts the legal hold", release);
}

}  // namespace quell::cli
