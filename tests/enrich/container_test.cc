// Containers, their metadata and their users.
#include "enrich/container_json.h"

#include <map>
#include <optional>

#include "world.h"

namespace quell::enrich {
namespace {

std::vector<uint8_t> async_event(World& w, std::string_view name, std::string_view json) {
  return w.event(ev::ASYNCEVENT_E, -1).num<uint32_t>(0).text(name).raw(json.data(), json.size()).build();
}
std::string web_json(std::string_view name = "web") {
  Container c;
  c.type = ContainerType::docker;
  c.id = kContainerId.substr(0, 12);
  c.full_id = kContainerId;
  c.name = name;
  c.ip = "172.17.0.2";
  return container_json(c);
}
void enter_container(World& w, int64_t tid, int64_t ptid = 100) {
  w.clone({.res = 0, .tid = tid, .ptid = ptid, .vtid = 1, .vpid = 1, .cgroups = kContainerCgroups});
}

}  // namespace

TEST(Containers, SlotLivesWithItsThreads) {
  std::vector<std::string> seen;
  Options options;
  options.on_new_container = [&](const ContainerSlot& slot) { seen.push_back(slot.full_id); };
  World w(options);
  EXPECT_EQ(w.thread(100)->container->info->name, "host");
  EXPECT_EQ(w.thread(100)->container, w.tables.container("host"));
  enter_container(w, 200);
  const ContainerSlot* slot = w.thread(200)->container;
  EXPECT_EQ(slot->id, kContainerId.substr(0, 12));
  EXPECT_EQ(slot->cgroup_path, "/docker/" + kContainerId);
  EXPECT_EQ(slot->type_guess, ContainerType::docker);
  EXPECT_EQ(slot->info, nullptr);
  EXPECT_EQ(seen, std::vector<std::string>{kContainerId});
  EXPECT_EQ(w.tables.container(slot->id), slot);
  EXPECT_EQ(w.tables.container(kContainerId), slot);
  w.clone({.res = 0, .tid = 201, .ptid = 200, .vtid = 2, .vpid = 2, .cgroups = kContainerCgroups});
  EXPECT_EQ(seen.size(), 1u);
  w.exit(201, 200);
  w.tick();
  EXPECT_EQ(w.tables.counters().containers, 1u);
  w.exit(200, 1);
  EXPECT_EQ(w.tables.counters().containers, 1u);
  w.tick();
  EXPECT_EQ(w.tables.counters().containers, 0u);
  EXPECT_EQ(w.tables.container(kContainerId), nullptr);
}

TEST(Containers, InfoReachesEveryThreadInside) {
  World w;
  enter_container(w, 200);
  const uint32_t inside = w.thread(200)->version, outside = w.thread(100)->version;
  auto info = std::make_shared<Container>();
  info->name = "web";
  EXPECT_TRUE(w.tables.set_container_info(kContainerId, info));
  EXPECT_EQ(w.thread(200)->container->info->name, "web");
  EXPECT_NE(w.thread(200)->version, inside);
  EXPECT_EQ(w.thread(100)->version, outside);
  EXPECT_FALSE(w.tables.set_container_info(std::string(64, 'a'), info)) << "nobody is there";
  EXPECT_FALSE(w.tables.set_container_info("", info)) << "the host is no container";
}

TEST(Containers, ExecMovesAProcess) {
  World w;
  w.fork(100, 200);
  w.exec(200, {.cgroups = kContainerCgroups});
  EXPECT_FALSE(w.thread(200)->container->is_host());
  w.exec(200, {.cgroups = nul_list({"cpu=/user.slice"})});
  EXPECT_TRUE(w.thread(200)->container->is_host());
  EXPECT_EQ(w.tables.counters().containers, 0u);
}

TEST(Containers, ExecIntoAnotherCgroupOfTheSameContainer) {
  World w;
  enter_container(w, 200);
  const ContainerSlot* slot = w.thread(200)->container;
  w.exec(200, {.cgroups = nul_list({"memory=/docker/" + kContainerId})});
  EXPECT_EQ(w.thread(200)->container, slot);
}

TEST(Containers, EventsOfACaptureCarryMetadata) {
  World w;
  enter_container(w, 200);
  const auto& told = w.apply(async_event(w, "container", web_json()));
  EXPECT_EQ(told.thread, nullptr);
  ASSERT_NE(told.container_event, nullptr);
  EXPECT_EQ(told.container_event->name, "web");
  EXPECT_EQ(w.thread(200)->container->info->name, "web");
  const auto& next = w.tick();
  EXPECT_EQ(next.container_event, nullptr);
  const auto& removed = w.apply(async_event(w, "container_removed", web_json()));
  ASSERT_NE(removed.container_event, nullptr);
  EXPECT_NE(w.thread(200)->container->info, nullptr) << "a thread is still inside";
}

TEST(Containers, MetadataMayComeFirst) {
  World w;
  int announced = 0;
  w.apply(w.event(ev::CONTAINER_JSON_2_E, -1).text(web_json()).build());
  enter_container(w, 200);
  EXPECT_EQ(w.thread(200)->container->info->name, "web");
  EXPECT_EQ(w.thread(200)->container->full_id, kContainerId);
  EXPECT_EQ(announced, 0);
  EXPECT_EQ(w.tables.counters().containers, 1u);
}

TEST(Containers, RemovalForgetsAnEmptyOne) {
  World w;
  w.apply(w.event(ev::CONTAINER_JSON_E, -1).text(web_json()).build());
  EXPECT_EQ(w.tables.counters().containers, 1u);
  w.apply(async_event(w, "container_removed", web_json()));
  EXPECT_EQ(w.tables.counters().containers, 0u);
}

TEST(Containers, TheOldestEventForm) {
  World w;
  const auto& told =
      w.apply(w.event(ev::CONTAINER_E, -1).text("abcdefabcdef").num<uint32_t>(1).text("lx").text("img").build());
  ASSERT_NE(told.container_event, nullptr);
  EXPECT_EQ(told.container_event->type, ContainerType::lxc);
  EXPECT_EQ(told.container_event->image, "img");
}

TEST(Containers, MalformedMetadataIsCounted) {
  World w;
  for (const std::string_view json : {"{", "[]", "{\"container\":{}}", "{\"container\":{\"id\":7}}"})
    EXPECT_EQ(w.apply(async_event(w, "container", json)).container_event, nullptr) << json;
  EXPECT_EQ(w.tables.counters().malformed_containers, 4u);
  EXPECT_EQ(w.apply(async_event(w, "something_else", "{")).container_event, nullptr);
  EXPECT_EQ(w.tables.counters().malformed_containers, 4u);
}

TEST(Containers, BoundedByForgettingEmptyOnes) {
  Options options;
  options.max_containers = 2;
  World w(options);
  const auto json = [](char letter) {
    Container c;
    c.id = std::string(12, letter);
    return container_json(c);
  };
  for (const char letter : {'a', 'b', 'c'}) w.apply(async_event(w, "container", json(letter)));
  EXPECT_EQ(w.tables.counters().containers, 2u);
  EXPECT_EQ(w.tables.container(std::string(12, 'a')), nullptr);
  const auto enter = [&](int64_t tid, char letter) {
    w.clone({.res = 0, .tid = tid, .ptid = 100, .cgroups = nul_list({"cpu=/docker/" + std::string(64, letter)})});
  };
  enter(300, '1');
  enter(301, '2');
  enter(302, '3');
  EXPECT_EQ(w.tables.counters().containers, 2u);
  EXPECT_EQ(w.tables.counters().containers_refused, 1u);
  EXPECT_FALSE(w.thread(302)->container->is_host()) << "a container that found no slot is still no host";
  w.exit(302);
  w.tick();
}

TEST(Users, HostFromTheSnapshotAndByEvents) {
  World w;
  const ContainerSlot& host = *w.thread(100)->container;
  EXPECT_EQ(w.tables.user(host, 1000)->name, "ann");
  EXPECT_EQ(w.tables.group(host, 0)->name, "root");
  EXPECT_EQ(w.tables.user(host, 4711), nullptr);
  const uint32_t version = w.thread(100)->version;
  const auto user = [&](EventCode code, uint32_t uid, std::string_view name, std::string_view container) {
    w.apply(w.event(code, -1)
                .num<uint32_t>(uid)
                .num<uint32_t>(uid)
                .text(name)
                .text("/home")
                .text("/bin/sh")
                .text(container)
                .build());
  };
  user(ev::USER_ADDED_E, 4711, "eve", "");
  EXPECT_EQ(w.tables.user(host, 4711)->name, "eve");
  EXPECT_NE(w.thread(100)->version, version);
  user(ev::USER_DELETED_E, 4711, "eve", "");
  EXPECT_EQ(w.tables.user(host, 4711), nullptr);

  user(ev::USER_ADDED_E, 33, "www", kContainerId.substr(0, 12));
  enter_container(w, 200);
  EXPECT_EQ(w.tables.user(*w.thread(200)->container, 33)->name, "www");
  EXPECT_EQ(w.tables.user(host, 33), nullptr);
  w.apply(w.event(ev::GROUP_ADDED_E, -1).num<uint32_t>(33).text("web").text(kContainerId.substr(0, 12)).build());
  EXPECT_EQ(w.tables.group(*w.thread(200)->container, 33)->name, "web");
  w.apply(w.event(ev::GROUP_DELETED_E, -1).num<uint32_t>(33).text("web").text(kContainerId.substr(0, 12)).build());
  EXPECT_EQ(w.tables.group(*w.thread(200)->container, 33), nullptr);
}

TEST(Users, LiveContainersAreReadOnceWhenNeeded) {
  int reads = 0;
  Options options;
  options.live = true;
  options.read_users = [&](int64_t pid, std::vector<User>& users, std::vector<Group>& groups) {
    EXPECT_EQ(pid, 200);
    ++reads;
    users = {{33, 33, "www", "/", "/bin/sh"}};
    groups = {{33, "web"}};
    return true;
  };
  World w(options);
  enter_container(w, 200);
  w.exec(200, {.cgroups = kContainerCgroups});
  const ContainerSlot& slot = *w.thread(200)->container;
  EXPECT_EQ(reads, 0);
  EXPECT_EQ(w.tables.user(slot, 33)->name, "www");
  EXPECT_EQ(w.tables.group(slot, 33)->name, "web");
  EXPECT_EQ(w.tables.user(slot, 99), nullptr);
  EXPECT_EQ(reads, 1) << "a missing entry is not asked for again from the same process";
}

// A control group's name is anybody's choice. What makes a container is that it is cut off from the host.

namespace {
struct Live {
  std::map<int64_t, bool> isolated;          // by pid; who is not in it is gone
  std::map<std::string, std::string> known;  // cgroups → id
  std::vector<std::string> announced;
  int questions = 0;
  Options options() {
    Options out;
    out.live = true;
    out.is_isolated = [this](int64_t pid) -> std::optional<bool> {
      ++questions;
      const auto found = isolated.find(pid);
      return found == isolated.end() ? std::optional<bool>() : found->second;
    };
    out.container_of = [this](std::string_view cgroups) {
      const auto found = known.find(std::string(cgroups));
      return found == known.end() ? std::string() : found->second;
    };
    out.on_new_container = [this](const ContainerSlot& slot) { announced.push_back(slot.full_id); };
    return out;
  }
};
}  // namespace

TEST(Lookalikes, AHostProcessInACgroupNamedLikeAContainersIsTheHosts) {
  Live live;
  live.isolated[200] = live.isolated[300] = false;
  World w(live.options());
  w.clone({.res = 0, .tid = 200, .ptid = 100, .cgroups = kContainerCgroups});
  EXPECT_TRUE(w.thread(200)->container->is_host());
  EXPECT_TRUE(w.thread(200)->container_lookalike);
  EXPECT_TRUE(live.announced.empty()) << "no runtime is asked";
  EXPECT_EQ(w.tables.counters().containers, 0u);
  w.clone({.res = 0, .tid = 300, .ptid = 200, .cgroups = kContainerCgroups});
  EXPECT_TRUE(w.thread(300)->container->is_host());
  EXPECT_EQ(w.tables.counters().lookalikes, 2u);
  // It leaves that cgroup.
  w.exec(200, {.cgroups = nul_list({"cpu=/user.slice"})});
  EXPECT_FALSE(w.thread(200)->container_lookalike);
}

TEST(Lookalikes, ARuntimesOwnStepsBecomeTheContainer) {
  Live live;
  live.isolated[200] = false;  // put into the cgroup, still the host's
  World w(live.options());
  w.clone({.res = 0, .tid = 200, .ptid = 100, .cgroups = kContainerCgroups});
  EXPECT_TRUE(w.thread(200)->container->is_host());
  w.clone({.res = 0, .tid = 201, .ptid = 200, .vtid = 1, .vpid = 1, .cgroups = kContainerCgroups});
  EXPECT_EQ(w.thread(201)->container->full_id, kContainerId) << "its pid namespace says it without a question";
  EXPECT_EQ(live.questions, 1);
  EXPECT_EQ(live.announced, std::vector<std::string>{kContainerId});
  EXPECT_EQ(w.tables.container(kContainerId)->first_pid, 201);
  // Who joins a container that is known belongs to it, whatever its namespaces.
  w.clone({.res = 0, .tid = 202, .ptid = 100, .cgroups = kContainerCgroups});
  EXPECT_EQ(w.thread(202)->container->full_id, kContainerId);
  EXPECT_EQ(live.questions, 1);
}

TEST(Lookalikes, AContainerInTheHostsPidNamespaceIsTold) {
  Live live;
  live.isolated[200] = false;
  World w(live.options());
  w.clone({.res = 0, .tid = 200, .ptid = 100, .cgroups = kContainerCgroups});
  EXPECT_TRUE(w.thread(200)->container->is_host());
  live.isolated[200] = true;  // it has its root now, and becomes the program
  w.exec(200, {.cgroups = kContainerCgroups});
  EXPECT_EQ(w.thread(200)->container->full_id, kContainerId);
  EXPECT_FALSE(w.thread(200)->container_lookalike);
}

TEST(Lookalikes, WhoIsGoneIsBelievedByTheName) {
  Live live;
  World w(live.options());
  w.clone({.res = 0, .tid = 200, .ptid = 100, .cgroups = kContainerCgroups});
  EXPECT_EQ(w.thread(200)->container->full_id, kContainerId);
}

TEST(Lookalikes, AContainerWhoseCgroupSaysNothingIsKnownByItsState) {
  Live live;
  const std::string odd = nul_list({"pids=/batch/job-7", "=/batch/job-7"}), other = nul_list({"=/sandbox/app"});
  live.known[odd] = "job-7";
  World w(live.options());
  w.clone({.res = 0, .tid = 200, .ptid = 100, .cgroups = odd});
  EXPECT_TRUE(w.thread(200)->container->is_host()) << "the host's namespaces";
  w.clone({.res = 0, .tid = 201, .ptid = 200, .vtid = 1, .vpid = 1, .cgroups = odd});
  const ContainerSlot* slot = w.thread(201)->container;
  EXPECT_EQ(slot->full_id, "job-7");
  EXPECT_EQ(slot->id, "job-7");
  EXPECT_EQ(slot->cgroup_path, "/batch/job-7");
  EXPECT_EQ(live.announced, std::vector<std::string>{"job-7"});
  w.clone({.res = 0, .tid = 202, .ptid = 201, .vtid = 2, .vpid = 2, .cgroups = odd});
  EXPECT_EQ(w.thread(202)->container, slot);
  // A browser's sandbox is in a pid namespace, too.
  w.clone({.res = 0, .tid = 203, .ptid = 100, .vtid = 1, .vpid = 1, .cgroups = other});
  EXPECT_TRUE(w.thread(203)->container->is_host());
}

}  // namespace quell::enrich
