#include <fmt/format.h>

#include "apps/quell/cli.h"
#include "apps/quell/daemon.h"
#include "apps/quell/engine_flags.h"

namespace quell::cli {
namespace {

struct Options {
  DaemonOptions daemon;
  std::string listen = "127.0.0.1:7555";
  bool match_all = true;
};

Exit up(const Globals& globals, const Options& options) {
  const auto format = output_format(globals, {"text", "json", "jsonl"});
  if (!format) return fail(format.error());
  const auto listen = api::parse_listen_address(options.listen);
  if (!listen) return fail(listen.error());
  DaemonOptions daemon_options = options.daemon;
  daemon_options.data_dir = globals.data_dir_or_default();
  daemon_options.listen = *listen;
  daemon_options.format = *format == "text" ? StreamFormat::text : StreamFormat::json;
  daemon_options.engine.match_all = options.match_all;
  daemon_options.show_warnings = globals.verbose;

  Daemon::block_signals();
  const auto daemon = Daemon::create(std::move(daemon_options));
  if (!daemon) return fail(daemon.error());
  say(globals, fmt::format("watching {}; health and metrics on {}; actions by `quell action … --data-dir {}`",
                           options.daemon.scope.empty() ? "this machine" : options.daemon.scope, (*daemon)->address(),
                           globals.data_dir_or_default()));
  if (const auto ended = (*daemon)->run(); !ended) return fail(ended.error());
  return Exit::done;
}

}  // namespace

void add_up(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "up", "Watch this machine: sensor, rules, detections, responses",
                                  "  quell up\n"
                                  "  quell up --scope container:web --rules my_rules.yaml -o json");
  command
      ->add_option("--scope", options->daemon.scope,
                   "watch, and let actions touch, only cgroup:PATH, container:ID|NAME or pid:PID")
      ->type_name("SCOPE");
  command->add_option("-r,--rules", options->daemon.rules, "rule files or folders (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command
      ->add_option("--listen", options->listen,
                   "where health and metrics are served; port 0 picks a free one (default 127.0.0.1:7555)")
      ->type_name("ADDR:PORT");
  command->add_option("--record", options->daemon.record_path, "also write every evaluated event to this capture")
      ->type_name("FILE");
  add_rule_matching(*command, options->match_all);
  add_profile(*command, options->daemon.profile);
  command->add_option("--docker-socket", options->daemon.sockets.docker, "Docker's API socket")->type_name("PATH");
  command->add_option("--containerd-socket", options->daemon.sockets.containerd, "containerd's socket")
      ->type_name("PATH");
  command->add_option("--runc-root", options->daemon.sockets.runc_roots, "where runc keeps its containers (patterns)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command
      ->add_option("--label-max-len", options->daemon.label_max_len,
                   "container labels with a longer value are left out (default 100, 0: none is)")
      ->type_name("BYTES");
  command->callback([&globals, &run, options] { run = [&globals, options] { return up(globals, *options); }; });
}

}  // namespace quell::cli
