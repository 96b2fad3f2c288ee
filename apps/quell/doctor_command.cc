#include <fmt/format.h>

#include <algorithm>

#include "apps/quell/cli.h"
#include "apps/quell/doctor.h"
#include "base/json.h"

namespace quell::cli {
namespace {

void print_text(const std::vector<Finding>& findings) {
  for (const Finding& one : findings) {
    fmt::print("{:<8} {:<19} {}\n", to_string(one.status), one.check, one.found);
    if (!one.remedy.empty()) fmt::print("{:<8} {:<19} to do: {}\n", "", "", one.remedy);
  }
}

void print_json(const std::vector<Finding>& findings) {
  JsonWriter out;
  out.begin_object().text("apiVersion", "quell/v1");
  out.key("checks").begin_array();
  for (const Finding& one : findings) {
    out.begin_object();
    out.text("check", one.check).text("found", one.found).text("remedy", one.remedy);
    out.text("status", to_string(one.status));
    out.end_object();
  }
  out.end_array();
  out.end_object();
  fmt::print("{}\n", out.take());
}

}  // namespace

void add_doctor(CLI::App& app, const Globals& globals, Action& run) {
  const auto options = std::make_shared<DoctorOptions>();
  CLI::App* command = add_command(app, "doctor", "What this machine withholds from a running quell, and what to do",
                                  "  quell doctor\n"
                                  "  quell doctor -o json --containerd-socket /run/k3s/containerd/containerd.sock");
  command->add_option("--docker-socket", options->sockets.docker, "Docker's API socket")->type_name("PATH");
  command->add_option("--containerd-socket", options->sockets.containerd, "containerd's socket")->type_name("PATH");
  command->add_option("--runc-root", options->sockets.runc_roots, "where runc keeps its containers (patterns)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command->add_option("-r,--rules", options->rules, "rule files or folders (default: the installed rules)")
      ->type_name("PATH")
      ->expected(1, -1)
      ->take_all();
  command->callback([&globals, &run, options] {
    run = [&globals, options] {
      const auto format = output_format(globals, {"text", "json", "jsonl"});
      if (!format) return fail(format.error());
      options->data_dir = globals.data_dir_or_default();
      options->server = globals.server_or_default();
      const auto findings = examine(*options);
      *format == "text" ? print_text(findings) : print_json(findings);
      const bool is_ill = std::any_of(findings.begin(), findings.end(),
                                      [](const Finding& one) { return one.status == Finding::Status::failure; });
      return is_ill ? Exit::failed : Exit::done;
    };
  });
}

}  // namespace quell::cli
