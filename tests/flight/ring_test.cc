// Bounds of the rings, what a capture begins with, and how captures end.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/sha256.h"
#include "capture/flight/recorder.h"
#include "enrich/tables.h"
#include "machine.h"

namespace quell::capture::flight {
namespace {

using test::Argument;
using test::kMachineStartNs;
using test::make_event;

constexpr uint64_t kMs = 1'000'000;

struct Finished {
  CaptureRef ref;
  Snapshot base;
  std::vector<std::vector<uint8_t>> preface;
  const Thread* thread(int64_t tid) const {
    const auto found =
        std::find_if(base.threads.begin(), base.threads.end(), [&](const Thread& t) { return t.tid == tid; });
    return found == base.threads.end() ? nullptr : &*found;
  }
  const Fd* fd(int64_t tid, int64_t number) const {
    for (const auto& list : base.fd_lists)
      for (const auto& [which, fd] : list.fds)
        if (list.tid == tid && which == number) return &fd;
    return nullptr;
  }
};

class FakeSink final : public CaptureSink {
 public:
  void begin(const std::string& id) override { begun.push_back(id); }
  bool add(const std::string&, std::shared_ptr<const Chunk> chunk) override {
    bytes += chunk->size();
    return takes_more;
  }
  void finish(CaptureRef ref, Snapshot base, std::vector<std::vector<uint8_t>> preface) override {
    finished.push_back({std::move(ref), std::move(base), std::move(preface)});
  }
  std::vector<std::string> begun;
  std::vector<Finished> finished;
  size_t bytes = 0;
  bool takes_more = true;
};

std::string cgroups(int container) {
  std::string text = "cpu=/docker/" + test::Machine::container_id(container);
  text.push_back('\0');
  return text;
}

/// A host with two shells, and containers with one process each: pid 100 + N in container N.
class Stand {
 public:
  explicit Stand(FlightLimits limits, int containers = 3)
      : tables({}),
        recorder(limits,
                 {.view = &tables,
                  .for_each_thread = [this](const auto& visit) { tables.for_each_thread(visit); },
                  .accounts = [this](const ContainerSlot& slot, auto& users,
                                     auto& groups) { tables.accounts(slot, users, groups); },
                  .describe =
                      [](const Container& container) { return "{\"container\":{\"id\":\"" + container.id + "\"}}"; }},
                 sink) {
    Snapshot snapshot;
    const auto add = [&](int64_t pid, int64_t ptid, const std::string& comm, int container) {
      Thread thread;
      thread.tid = thread.pid = thread.vtid = thread.vpid = pid;
      thread.ptid = ptid;
      thread.comm = thread.exe = comm;
      thread.cwd = "/home/";
      thread.uid = 1000;
      if (container > 0) thread.cgroups = cgroups(container);
      snapshot.threads.push_back(thread);
      Fd fd;
      fd.type = FdType::file;
      fd.name = "/dev/null";
      snapshot.fd_lists.push_back({pid, {{0, fd}}});
    };
    add(1, 0, "init", 0);
    add(10, 1, "shim", 0);
    add(20, 1, "bash", 0);
    for (int i = 1; i <= containers; ++i) add(100 + i, 10, "app" + std::to_string(i), i);
    tables.load(snapshot);
  }
  void feed(std::vector<uint8_t> bytes) {
    Event event;
    ASSERT_TRUE(Event::parse(bytes, event));
    tables.settle();
    recorder.before(event, tables.thread(event.tid()));
    const EventContext& context = tables.apply(event, ++number);
    recorder.after(context, 0, false);
  }
  void happens(EventCode code, int64_t tid, const std::vector<std::pair<std::string_view, Argument>>& arguments) {
    feed(make_event(code, now += kMs, tid, arguments));
  }
  void open(int64_t tid, int64_t number_, std::string name) {
    happens(ev::SYSCALL_OPENAT_2_X, tid,
            {{"fd", number_}, {"dirfd", int64_t{-100}}, {"name", std::move(name)}, {"flags", int64_t{1}}});
  }
  void exec(int64_t tid, const std::string& comm) {
    happens(ev::SYSCALL_EXECVE_19_X, tid,
            {{"res", int64_t{0}},
             {"exe", comm},
             {"comm", comm},
             {"tid", tid},
             {"pid", tid},
             {"ptid", int64_t{10}},
             {"trusted_exepath", "/bin/" + comm}});
  }
  std::optional<FlightRecorder::Started> detect(const std::string& id, uint64_t after_ns = 0) {
    CaptureRef ref;
    ref.id = id;
    ref.trigger_ns = now;
    return recorder.trigger(ref, after_ns);
  }

  enrich::StateTables tables;
  FakeSink sink;
  FlightRecorder recorder;
  uint64_t now = kMachineStartNs;
  uint64_t number = 0;
};

FlightLimits limits_of(size_t ring, size_t total, uint64_t before_ms = 1'000'000) {
  FlightLimits limits;
  limits.before_ns = before_ms * kMs;
  limits.after_ns = 100 * kMs;
  limits.max_after_ns = 300 * kMs;
  limits.ring_bytes = ring;
  limits.total_bytes = total;
  return limits;
}

TEST(FlightRing, OneContainerHasItsBound) {
  Stand stand(limits_of(256 << 10, 16 << 20));
  for (int i = 0; i < 20'000; ++i) stand.open(101, 3, "/var/data/some/file");
  const FlightCounters counters = stand.recorder.counters();
  EXPECT_LE(counters.bytes, (256u << 10) + (64u << 10));
  EXPECT_GT(counters.events_dropped_ring, 0u);
  EXPECT_EQ(counters.events_kept, 20'000u);
  EXPECT_EQ(counters.rings, 1u);
  EXPECT_GE(counters.segments, 4u);
}

TEST(FlightRing, WhatIsOlderThanAskedForGoes) {
  Stand stand(limits_of(4 << 20, 16 << 20, 100));
  for (int i = 0; i < 1000; ++i) stand.open(101, 3, "/var/data");
  FlightCounters counters = stand.recorder.counters();
  // 100 ms of one event per millisecond, and at most two segments (an eighth each) more.
  EXPECT_LE(counters.events_kept - counters.events_aged, 130u);
  EXPECT_GE(counters.events_kept - counters.events_aged, 100u);
  EXPECT_EQ(counters.events_dropped_ring, 0u);
  // A container that has fallen silent is forgotten with time.
  stand.recorder.tick(stand.now + 2'000 * kMs);
  counters = stand.recorder.counters();
  EXPECT_EQ(counters.rings, 0u);
  EXPECT_EQ(counters.bytes, 0u);
  stand.open(101, 3, "/var/data");
  EXPECT_EQ(stand.recorder.counters().rings, 1u);
}

TEST(FlightRing, AllTogetherHaveABoundAndTheSilentGoFirst) {
  Stand stand(limits_of(256 << 10, 512 << 10), 40);
  for (int container = 1; container <= 40; ++container)
    for (int i = 0; i < 300; ++i) stand.open(100 + container, 3, "/var/data/some/file");
  const FlightCounters counters = stand.recorder.counters();
  EXPECT_LE(counters.bytes, (512u << 10) + (64u << 10));
  EXPECT_GT(counters.events_dropped_total, 0u);
  EXPECT_LT(counters.rings, 40u);
  // The last is whole, the first is gone.
  ASSERT_TRUE(stand.detect("d-last"));
  stand.open(101, 3, "/now");
  ASSERT_TRUE(stand.detect("d-first"));
  stand.recorder.finish("end");
  ASSERT_EQ(stand.sink.finished.size(), 2u);
  for (const Finished& one : stand.sink.finished) EXPECT_EQ(one.ref.events, one.ref.id == "d-last" ? 300u : 1u);
}

TEST(FlightCapture, BeginsWithTheStateOfItsFirstEvent) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.open(101, 5, "/etc/before");
  stand.happens(ev::SYSCALL_CHDIR_X, 101, {{"res", int64_t{0}}, {"path", std::string("/srv")}});
  stand.exec(101, "evil");
  stand.happens(ev::SYSCALL_SETUID_X, 101, {{"res", int64_t{0}}, {"uid", int64_t{0}}});
  stand.open(101, 6, "/etc/shadow");
  ASSERT_TRUE(stand.detect("d-1"));
  stand.open(101, 7, "/etc/after");
  stand.open(102, 7, "/etc/elsewhere");
  stand.recorder.finish("end");
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  const Finished& capture = stand.sink.finished[0];
  EXPECT_EQ(capture.ref.events, 6u) << "of its own container alone";
  EXPECT_EQ(capture.ref.container_id, test::Machine::container_id(1).substr(0, 12));
  EXPECT_TRUE(capture.ref.is_base_complete);
  ASSERT_NE(capture.thread(101), nullptr);
  EXPECT_EQ(capture.thread(101)->comm, "app1");
  EXPECT_EQ(capture.thread(101)->cwd, "/home/");
  EXPECT_EQ(capture.thread(101)->uid, 1000u);
  EXPECT_NE(capture.fd(101, 0), nullptr);
  EXPECT_EQ(capture.fd(101, 5), nullptr) << "opened later";
  ASSERT_NE(capture.thread(10), nullptr) << "what it descends from";
  ASSERT_NE(capture.thread(1), nullptr);
  EXPECT_EQ(capture.thread(102), nullptr) << "of another container";
  EXPECT_EQ(capture.thread(20), nullptr) << "of the host, and no relative";
}

TEST(FlightCapture, BeginsWithTheStateOfASegmentWhenOlderOnesAreGone) {
  Stand stand(limits_of(128 << 10, 16 << 20));
  stand.exec(101, "first");
  for (int i = 0; i < 5'000; ++i) stand.open(101, 5, "/var/data/" + std::to_string(i));
  stand.exec(101, "second");
  stand.open(101, 6, "/etc/shadow");
  ASSERT_TRUE(stand.detect("d-1"));
  stand.recorder.finish("end");
  const Finished& capture = stand.sink.finished.at(0);
  EXPECT_GT(stand.recorder.counters().events_dropped_ring, 0u);
  EXPECT_EQ(capture.thread(101)->comm, "first");
  // The descriptor as it was left by the last event that is gone.
  const uint64_t gone = stand.number - capture.ref.events;
  ASSERT_NE(capture.fd(101, 5), nullptr);
  EXPECT_EQ(capture.fd(101, 5)->name, "/var/data/" + std::to_string(gone - 2));
}

TEST(FlightCapture, WhoWasBornInItIsNotThereAtTheBeginning) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.happens(ev::SYSCALL_CLONE_20_X, 20,
                {{"res", int64_t{21}},
                 {"exe", std::string("bash")},
                 {"tid", int64_t{20}},
                 {"pid", int64_t{20}},
                 {"ptid", int64_t{1}},
                 {"comm", std::string("bash")},
                 {"vtid", int64_t{20}},
                 {"vpid", int64_t{20}}});
  stand.open(21, 3, "/etc/shadow");
  ASSERT_TRUE(stand.detect("d-1"));
  stand.recorder.finish("end");
  const Finished& capture = stand.sink.finished.at(0);
  EXPECT_EQ(capture.thread(21), nullptr);
  EXPECT_NE(capture.thread(20), nullptr);
  EXPECT_NE(capture.thread(10), nullptr) << "who did nothing is there as he is now";
  EXPECT_EQ(capture.thread(101), nullptr);
}

TEST(FlightCapture, WhoEntersTheContainerBringsHisPast) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  // A helper of the host becomes a container's process, then the one who made it goes.
  stand.happens(ev::SYSCALL_CLONE_20_X, 10,
                {{"res", int64_t{30}},
                 {"exe", std::string("runc")},
                 {"tid", int64_t{10}},
                 {"pid", int64_t{10}},
                 {"ptid", int64_t{1}},
                 {"comm", std::string("runc")},
                 {"vtid", int64_t{10}},
                 {"vpid", int64_t{10}}});
  stand.happens(ev::SYSCALL_CLONE_20_X, 30,
                {{"res", int64_t{31}},
                 {"exe", std::string("runc")},
                 {"tid", int64_t{30}},
                 {"pid", int64_t{30}},
                 {"ptid", int64_t{10}},
                 {"comm", std::string("runc")},
                 {"vtid", int64_t{30}},
                 {"vpid", int64_t{30}}});
  stand.open(31, 4, "/proc/self/exe");
  stand.happens(ev::SYSCALL_EXECVE_19_X, 31,
                {{"res", int64_t{0}},
                 {"exe", std::string("sh")},
                 {"comm", std::string("sh")},
                 {"tid", int64_t{31}},
                 {"pid", int64_t{31}},
                 {"ptid", int64_t{30}},
                 {"cgroups", cgroups(2)}});
  ASSERT_TRUE(stand.detect("d-1"));
  stand.happens(ev::PROCEXIT_1_E, 30, {{"reaper_tid", int64_t{10}}});
  stand.open(31, 5, "/later");
  stand.recorder.finish("end");
  const Finished& capture = stand.sink.finished.at(0);
  ASSERT_NE(capture.thread(31), nullptr);
  EXPECT_EQ(capture.thread(31)->comm, "runc") << "before its exec";
  EXPECT_NE(capture.fd(31, 4), nullptr);
  ASSERT_NE(capture.thread(30), nullptr) << "the parent that has gone since";
  EXPECT_EQ(capture.ref.events, 3u) << "the exec, the parent's end, and what came after";
}

TEST(FlightCapture, EndsWithItsTimeAndOthersJoin) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.open(101, 3, "/a");
  const auto first = stand.detect("d-1");
  ASSERT_TRUE(first && first->is_new);
  EXPECT_TRUE(stand.recorder.would_join());
  for (int i = 0; i < 80; ++i) stand.open(101, 3, "/b");
  const auto joined = stand.detect("d-2");
  ASSERT_TRUE(joined && !joined->is_new);
  EXPECT_EQ(joined->ref.id, "d-1");
  for (int i = 0; i < 80; ++i) stand.open(101, 3, "/c");
  EXPECT_TRUE(stand.sink.finished.empty()) << "the second made it longer";
  stand.open(102, 3, "/other");
  EXPECT_FALSE(stand.recorder.would_join());
  for (int i = 0; i < 40; ++i) stand.open(101, 3, "/d");
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  const CaptureRef& ref = stand.sink.finished[0].ref;
  EXPECT_EQ(ref.also, std::vector<std::string>{"d-2"});
  EXPECT_EQ(ref.to_ns, kMachineStartNs + 181 * kMs);
  EXPECT_TRUE(ref.note.empty()) << ref.note;
  // However many join: there is an end.
  ASSERT_TRUE(stand.detect("d-3")->is_new);
  const uint64_t begun_ns = stand.now;
  for (int i = 0; i < 400 && stand.sink.finished.size() < 2; ++i) {
    stand.open(101, 3, "/e");
    if (stand.recorder.would_join()) stand.detect("d-more");
  }
  ASSERT_EQ(stand.sink.finished.size(), 2u);
  EXPECT_LE(stand.sink.finished[1].ref.to_ns, begun_ns + 300 * kMs);
  // Silence ends one, too.
  ASSERT_TRUE(stand.detect("d-4")->is_new);
  stand.recorder.tick(stand.now + 50 * kMs);
  EXPECT_EQ(stand.sink.finished.size(), 2u);
  stand.recorder.tick(stand.now + 400 * kMs);
  EXPECT_EQ(stand.sink.finished.size(), 3u);
  EXPECT_EQ(stand.recorder.counters().captures_active, 0u);
}

TEST(FlightCapture, ARuleSaysHowLong) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.open(101, 3, "/a");
  ASSERT_TRUE(stand.detect("d-1", 20 * kMs));
  for (int i = 0; i < 40; ++i) stand.open(101, 3, "/b");
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  EXPECT_EQ(stand.sink.finished[0].ref.to_ns, kMachineStartNs + 21 * kMs);
}

TEST(FlightCapture, AtMostSoManyAtOnce) {
  FlightLimits limits = limits_of(1 << 20, 16 << 20);
  limits.active_captures = 2;
  Stand stand(limits);
  stand.open(101, 3, "/a");
  EXPECT_TRUE(stand.detect("d-1"));
  stand.open(102, 3, "/a");
  EXPECT_TRUE(stand.detect("d-2"));
  stand.open(103, 3, "/a");
  EXPECT_FALSE(stand.detect("d-3"));
  EXPECT_EQ(stand.recorder.counters().captures_refused, 1u);
  stand.recorder.finish("stopped");
  EXPECT_EQ(stand.sink.finished.size(), 2u);
  EXPECT_EQ(stand.sink.finished[0].ref.note, "stopped");
  EXPECT_EQ(stand.recorder.counters().captures_cut, 2u);
}

TEST(FlightCapture, IsCutWhenItIsTooLargeOrTheDiskTooSlow) {
  FlightLimits limits = limits_of(256 << 10, 16 << 20);
  limits.file_bytes = 100 << 10;
  limits.after_ns = limits.max_after_ns = 1'000'000 * kMs;
  Stand stand(limits);
  stand.open(101, 3, "/a");
  ASSERT_TRUE(stand.detect("d-1"));
  for (int i = 0; i < 5'000 && stand.sink.finished.empty(); ++i) stand.open(101, 3, "/b");
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  EXPECT_FALSE(stand.sink.finished[0].ref.note.empty());
  EXPECT_LE(stand.sink.bytes, size_t{200} << 10);
  stand.sink.takes_more = false;
  ASSERT_TRUE(stand.detect("d-2"));
  EXPECT_EQ(stand.sink.finished.size(), 2u) << "ends at once";
  EXPECT_FALSE(stand.sink.finished[1].ref.note.empty());
  stand.open(101, 3, "/still recording");
  EXPECT_EQ(stand.recorder.counters().captures_cut, 2u);
}

TEST(FlightCapture, SaysWhatWasLostMeanwhile) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.recorder.note_lost(5);
  stand.open(101, 3, "/a");
  stand.recorder.note_lost(7);
  ASSERT_TRUE(stand.detect("d-1"));
  stand.recorder.note_lost(12);
  stand.recorder.finish("end");
  EXPECT_EQ(stand.sink.finished.at(0).ref.lost_events, 7u);
}

TEST(FlightCapture, AfterANewStartNothingOldIsLeft) {
  Stand stand(limits_of(4 << 20, 16 << 20));
  stand.open(101, 3, "/a");
  ASSERT_TRUE(stand.detect("d-1"));
  stand.recorder.reset();
  EXPECT_EQ(stand.sink.finished.size(), 1u);
  EXPECT_EQ(stand.recorder.counters().bytes, 0u);
  EXPECT_FALSE(stand.detect("d-2")) << "there is no event that it could be about";
  stand.open(101, 3, "/b");
  EXPECT_TRUE(stand.detect("d-3"));
}

TEST(Sha256, KnownSums) {
  const auto sum = [](std::string_view text, size_t step) {
    Sha256 hash;
    for (size_t at = 0; at < text.size(); at += step) {
      const std::string_view part = text.substr(at, step);
      hash.update({reinterpret_cast<const uint8_t*>(part.data()), part.size()});
    }
    return hash.finish();
  };
  EXPECT_EQ(sum("", 1), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sum("abc", 1), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
  for (const size_t step : {1u, 7u, 55u, 56u, 64u})
    EXPECT_EQ(sum(two_blocks, step), "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1'000'000, 'a');
  for (const size_t step : {63u, 64u, 4096u})
    EXPECT_EQ(sum(million, step), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

}  // namespace
// A child's own side of a clone makes the thread when it is applied, and its time can be what ends a capture.
TEST(FlightCapture, WhoIsBornByTheEventThatEndsItIsNotInItsTables) {
  Stand stand(limits_of(256 << 10, 1 << 20));
  stand.open(101, 5, "/etc/shadow");
  ASSERT_TRUE(stand.detect("d-1"));
  stand.now += 150 * kMs;
  stand.happens(ev::SYSCALL_CLONE_20_X, 150,
                {{"res", int64_t{0}},
                 {"tid", int64_t{150}},
                 {"pid", int64_t{101}},
                 {"ptid", int64_t{10}},
                 {"flags", int64_t{0x2000}},
                 {"cgroups", cgroups(1)}});
  ASSERT_NE(stand.tables.thread(150), nullptr);
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  EXPECT_NE(stand.sink.finished[0].thread(101), nullptr);
  EXPECT_EQ(stand.sink.finished[0].thread(150), nullptr);
}

// An exec ends the other threads without an event of theirs: who was silent in the window was there nonetheless.
TEST(FlightCapture, ThreadsThatAnExecEndsWereThereBeforeIt) {
  Stand stand(limits_of(256 << 10, 1 << 20, 50));
  stand.happens(ev::SYSCALL_CLONE_20_X, 150,
                {{"res", int64_t{0}},
                 {"tid", int64_t{150}},
                 {"pid", int64_t{101}},
                 {"ptid", int64_t{10}},
                 {"flags", int64_t{0x2000}},
                 {"cgroups", cgroups(1)}});
  ASSERT_EQ(stand.tables.thread(101)->live_threads, 2u);
  stand.now += 200 * kMs;
  stand.open(101, 5, "/etc/passwd");
  stand.exec(101, "sh");
  ASSERT_EQ(stand.tables.thread(150), nullptr);
  ASSERT_TRUE(stand.detect("d-1"));
  stand.recorder.finish("");
  ASSERT_EQ(stand.sink.finished.size(), 1u);
  EXPECT_NE(stand.sink.finished[0].thread(150), nullptr);
}

}  // namespace quell::capture::flight
