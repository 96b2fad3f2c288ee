// Cutting the network under a live flow: how long the cut takes, and how long until it is proven that nothing moves. In
// namespaces and a cgroup of its own; needs root.
#include <algorithm>
#include <cstdio>
#include <functional>

#include "base/clock.h"
#include "os/block_list.h"
#include "os/cgroup_cut.h"
#include "os/namespace_cut.h"
#include "os/sock_diag.h"
#include "run.h"
#include "support/net_lab.h"

namespace quell::bench {
namespace {
using test::NetChild;
using test::NetLab;

constexpr const char* kTag = "0a1b2c3d";
constexpr uint64_t kObservationNs = 250'000'000;

void report(const std::string& name, std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1, static_cast<size_t>(share * static_cast<double>(values.size())))];
  };
  figure(name + "p50_ms", at(0.50), "ms");
  figure(name + "p99_ms", at(0.99), "ms");
}

/// Milliseconds of each run; ends the program when one fails.
std::vector<double> measure(int runs, const std::function<bool()>& before, const std::function<bool()>& act,
                            const std::function<bool()>& after) {
  std::vector<double> out;
  for (int i = 0; i < runs; ++i) {
    bool good = before();
    const uint64_t begin = system_clock().monotonic_ns();
    good = good && act();
    out.push_back(static_cast<double>(system_clock().monotonic_ns() - begin) / 1e6);
    if (!good || !after()) {
      std::fprintf(stderr, "bench_net: run %d failed\n", i);
      std::exit(1);
    }
  }
  return out;
}

int measure_all(int runs) {
  if (const std::string why = NetLab::missing(); !why.empty()) {
    std::fprintf(stderr, "bench_net: %s\n", why.c_str());
    return 1;
  }
  const auto lab = std::move(NetLab::make().value());
  const auto cgroup = std::move(test::TestCgroup::make("bench").value());
  const os::CgroupRef ref = os::cgroup_ref(cgroup->directory()).value();
  const auto server = NetChild::echo_server(lab->outside(), test::kEchoPort);
  const auto flow = NetChild::talker(lab->inside(), test::kOutside4, test::kEchoPort, NetChild::Via::tcp, cgroup.get());
  const auto peer = os::IpPrefix::parse(test::kOutside4).value();
  const os::FlowFilter filter{.remote = peer};
  const auto talks = [&] { return flow->talks(); };
  const auto nothing = [] { return true; };
  const auto still = [&] {
    const auto motion = os::watch_flows(lab->inside(), filter, kObservationNs);
    return motion && motion->flows.size() == 1 && motion->moved_bytes == 0;
  };
  const auto undo_cgroup = [&] { return os::undo_cgroup_cut(ref, kTag).value(); };
  const auto undo_namespace = [&] { return os::undo_namespace_cut(lab->inside(), kTag).value(); };

  report("net_cgroup_cut_", measure(
                                runs, nothing, [&] { return os::cut_cgroup(ref, kTag, {})->whole(); }, undo_cgroup));
  report("net_namespace_cut_",
         measure(
             runs, nothing, [&] { return os::cut_namespace(lab->inside(), kTag, {}, 0)->in_effect; }, undo_namespace));
  report("net_block_ip_", measure(
                              runs, nothing, [&] { return os::block_prefix(lab->inside(), peer, kTag, 0).has_value(); },
                              [&] { return os::unblock_prefix(lab->inside(), peer, kTag).has_value(); }));
  report("net_cgroup_proven_still_",
         measure(
             runs, talks, [&] { return os::cut_cgroup(ref, kTag, {})->whole() && still(); }, undo_cgroup));
  report("net_namespace_proven_still_",
         measure(
             runs, talks, [&] { return os::cut_namespace(lab->inside(), kTag, {}, 0)->in_effect && still(); },
             undo_namespace));
  return 0;
}

}  // namespace
}  // namespace quell::bench

int main(int argc, char** argv) {
  const bool quick = quell::bench::has_flag(argc, argv, "--quick");
  return quell::bench::measure_all(quick ? 10 : 100);
}
