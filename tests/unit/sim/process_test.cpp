// Processes and clocks: deaths between any two disk calls, pauses, restarts, clocks at wrong rates, rare behaviour.
#include <set>

#include "sim/sim_runtime.h"
#include "tests/unit/sim/machine.h"

namespace verdict::sim::testing {
namespace {

// Each step is one disk call; `steps` counts those that the process believes to have done.
struct Life {
  int steps = 0;
  int destroyed = 0;
  bool wrote_after = false;
};

struct Guard {
  Life* life;
  Runtime* runtime;
  File* file;
  ~Guard() {
    ++life->destroyed;
    // What a dying process tries is swallowed.
    if (append(*file, "from a destructor").has_value()) life->wrote_after = true;
    static_cast<void>(runtime->disk().remove("b"));
  }
};

Task<void> steps(Runtime* runtime, void* context) {
  Life* life = static_cast<Life*>(context);
  Disk& disk = runtime->disk();
  auto a = disk.open("a", OpenMode::create);
  if (!a.has_value()) co_return;
  Guard guard{life, runtime, a->get()};
  ++life->steps;
  for (int i = 0; i < 3; ++i) {
    if (append(**a, "xy").has_value()) ++life->steps;
  }
  auto b = disk.open("b", OpenMode::create);
  life->steps += b.has_value();
  life->steps += b.has_value() && append(**b, "index").has_value();
  life->steps += disk.rename("b", "c").has_value();
  life->steps += disk.remove("a").has_value();
  Signal never(*runtime);
  co_await never.wait();
}

TEST(Doom, AKillFallsBetweenAnyTwoDiskCallsOfATurn) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (std::uint64_t k = 1; k <= 8; ++k) {
      Life life;
      World world({.seed = seed});
      const NodeIndex node = world.add_node(node_of("node", steps, &life));
      std::vector<DeathCause> deaths;
      world.on_death = [&](NodeIndex, DeathCause cause) { deaths.push_back(cause); };
      world.doom(node, k);
      world.start(node);
      world.run_for(1s);
      ASSERT_EQ(deaths, std::vector{DeathCause::doomed});
      ASSERT_EQ(world.counters().of(FaultKind::doomed), 1U);
      ASSERT_FALSE(world.node(node).running());
      ASSERT_FALSE(life.wrote_after);
      ASSERT_EQ(static_cast<std::uint64_t>(life.steps), k - 1);
      ASSERT_EQ(life.destroyed, k > 1 ? 1 : 0);
      DiskImage& disk = world.node(node).disk();
      const std::string a = content_of(disk, "a");
      const std::string all = "xyxyxy";
      if (k == 1) {
        ASSERT_EQ(a, "(absent)");
      } else {
        const std::size_t whole = std::min<std::size_t>(k - 2, 3) * 2;
        ASSERT_TRUE(a.size() >= whole && a.size() <= std::min<std::size_t>(whole + 2, 6)) << k << " " << a;
        ASSERT_EQ(a, all.substr(0, a.size()));
      }
      ASSERT_EQ(disk.find("b") != nullptr, k == 6 || k == 7);
      ASSERT_EQ(disk.find("c") != nullptr, k == 8);
    }
  }
}

TEST(Doom, ALiftedOneDoesNotStrike) {
  Life life;
  World world({});
  const NodeIndex node = world.add_node(node_of("node", steps, &life));
  world.doom(node, 3);
  world.undoom(node);
  world.start(node);
  world.run_for(1s);
  EXPECT_TRUE(world.node(node).running());
  EXPECT_EQ(life.steps, 8);
  EXPECT_EQ(world.counters().of(FaultKind::doomed), 0U);
}

TEST(Doom, ThePowerMayFailThere) {
  Life life;
  World world({.seed = 3});
  const NodeIndex node = world.add_node(node_of("node", steps, &life));
  world.doom_power(node, 5, PowerLossPolicy::all_unsynced_lost());
  world.start(node);
  world.run_for(1s);
  EXPECT_FALSE(world.node(node).powered());
  EXPECT_EQ(content_of(world.node(node).disk(), "a"), "(absent)");
  EXPECT_EQ(world.counters().of(FaultKind::power_loss), 1U);
}

struct Ticks {
  std::vector<std::int64_t> at_ms;  // by the node's own clock
  std::vector<std::uint32_t> incarnations;
  World* world = nullptr;
};

Task<void> ticker(Runtime* runtime, void* context) {
  Ticks* ticks = static_cast<Ticks*>(context);
  const MonoTime start = runtime->now();
  for (int i = 1;; ++i) {
    co_await sleep_until(*runtime, start + 10ms * i);
    ticks->at_ms.push_back(to_ms(runtime->now() - start));
  }
}

TEST(Process, APauseHoldsEverythingAndAResumeLetsItGo) {
  Ticks ticks;
  World world({});
  const NodeIndex node = world.add_node(node_of("node", ticker, &ticks));
  world.start(node);
  world.run_for(105ms);
  EXPECT_EQ(ticks.at_ms.size(), 10U);
  EXPECT_EQ(world.counters().of(FaultKind::pause), 0U);
  world.pause(node);
  world.run_for(1s);
  EXPECT_EQ(ticks.at_ms.size(), 10U);
  EXPECT_EQ(world.counters().of(FaultKind::pause), 1U);
  world.resume(node);
  world.run_for(Duration(1));
  world.run_for(1s);
  EXPECT_GT(ticks.at_ms.size(), 180U);
  EXPECT_EQ(ticks.at_ms[10], 1105);
}

struct CountedOp : Op {
  int ends = 0;
};

// An orderly stop from outside cancels sleeps of a paused process that were due and held.
TEST(Process, WhatIsCancelledWhileItIsHeldEndsOnce) {
  World world({});
  const NodeIndex node = world.add_node(node_of("node"));
  world.start(node);
  CountedOp op;
  op.complete = [](Op* ended) { ++static_cast<CountedOp*>(ended)->ends; };
  SimRuntime& runtime = *world.node(node).runtime();
  ASSERT_FALSE(runtime.sleep_until(op, runtime.now() + 10ms));
  world.pause(node);
  world.run_for(50ms);
  runtime.cancel(op);
  world.run_for(50ms);
  EXPECT_EQ(op.ends, 0);
  world.resume(node);
  world.run_for(50ms);
  EXPECT_EQ(op.ends, 1);
  EXPECT_TRUE(op.error);
}

TEST(Process, KillsAndRestartsAreCountedWhereSomethingRan) {
  Ticks ticks;
  World world({});
  const NodeIndex node = world.add_node(node_of("node", ticker, &ticks));
  world.kill(node);
  EXPECT_EQ(world.counters().of(FaultKind::kill), 0U);
  world.start(node);
  EXPECT_EQ(world.counters().of(FaultKind::restart), 0U);
  world.run_for(55ms);
  world.kill(node);
  world.run_for(1s);
  EXPECT_EQ(ticks.at_ms.size(), 5U);
  EXPECT_EQ(world.pending(), 0U);
  world.start(node);
  world.pause(node);
  world.kill(node);
  world.start(node);
  world.run_for(55ms);
  EXPECT_EQ(ticks.at_ms.size(), 10U);
  EXPECT_EQ(world.counters().of(FaultKind::restart), 2U);
  EXPECT_EQ(world.counters().of(FaultKind::kill), 2U);
}

Task<void> halts(Runtime* runtime, void*) {
  co_await sleep_until(*runtime, runtime->now() + 1ms);
  runtime->halt("no log directory is left");
  auto file = runtime->disk().open("late", OpenMode::create);
  VERDICT_ASSERT(!file.has_value());
}

TEST(Process, AHaltStopsTheProcessWithoutCleaningUp) {
  World world({});
  const NodeIndex node = world.add_node(node_of("node", halts));
  std::vector<DeathCause> deaths;
  world.on_death = [&](NodeIndex, DeathCause cause) { deaths.push_back(cause); };
  world.start(node);
  world.run_for(1s);
  EXPECT_EQ(deaths, std::vector{DeathCause::halt});
  EXPECT_EQ(world.node(node).halt_reason(), "no log directory is left");
  EXPECT_EQ(world.node(node).disk().find("late"), nullptr);
}

TEST(Clock, RatesOffsetsAndJumps) {
  Ticks ticks;
  World world({});
  const NodeIndex node = world.add_node(node_of("node", ticker, &ticks));
  world.start(node);
  Runtime& runtime = *world.node(node).runtime();
  const WallTime wall = runtime.wall_now();
  world.run_for(100ms);
  EXPECT_EQ(ticks.at_ms.size(), 10U);
  EXPECT_EQ(to_ms(runtime.wall_now() - wall), 100);
  for (const FaultKind kind : {FaultKind::clock_drift, FaultKind::clock_offset, FaultKind::clock_jump}) {
    EXPECT_EQ(world.counters().of(kind), 0U);
  }
  world.set_clock_rate(node, 1'000'000);  // twice as fast, the sleep in progress included
  world.run_for(100ms);
  EXPECT_EQ(ticks.at_ms.size(), 30U);
  EXPECT_EQ(to_ms(runtime.wall_now() - wall), 300);
  EXPECT_GT(world.counters().of(FaultKind::clock_drift), 0U);
  world.set_clock_rate(node, 0);
  world.set_clock_offset(node, -500ms);
  EXPECT_EQ(to_ms(runtime.wall_now() - wall), -200);
  EXPECT_EQ(world.counters().of(FaultKind::clock_offset), 1U);
  world.jump_clock(node, 10s);
  EXPECT_EQ(to_ms(runtime.wall_now() - wall), 9800);
  EXPECT_EQ(world.counters().of(FaultKind::clock_jump), 1U);
}

Task<void> disk_waits(Runtime* runtime, void* context) {
  Ticks* ticks = static_cast<Ticks*>(context);
  auto file = runtime->disk().open("log", OpenMode::create);
  for (;;) {
    const MonoTime before = runtime->now();
    VERDICT_ASSERT(append(**file, "x").has_value());
    const IoResult synced = co_await sync(**file);
    VERDICT_ASSERT(synced.ok());
    ticks->at_ms.push_back(to_ms(runtime->now() - before));
  }
}

TEST(Disk, LatencySlowsSyncsAndStallsAppends) {
  Ticks ticks;
  World world({});
  const NodeIndex node = world.add_node(node_of("node", disk_waits, &ticks));
  world.start(node);
  world.run_for(1s);
  EXPECT_GT(ticks.at_ms.size(), 500U);
  EXPECT_EQ(world.counters().of(FaultKind::disk_latency), 0U);
  DiskFaults slow;
  slow.extra_latency = 100ms;
  world.set_disk_faults(node, slow);
  ticks.at_ms.clear();
  world.run_for(1s);
  EXPECT_LE(ticks.at_ms.size(), 11U);
  EXPECT_GE(world.counters().of(FaultKind::disk_latency), 9U);
  slow.extra_latency = Duration(0);
  slow.append_stall = 200ms;
  world.set_disk_faults(node, slow);
  world.run_for(200ms);
  ticks.at_ms.clear();
  world.run_for(2s);
  EXPECT_LE(ticks.at_ms.size(), 11U);
}

TEST(Doom, AProcessDiesWhileItsSyncIsUnderWay) {
  for (std::uint64_t k = 1; k <= 3; ++k) {
    Ticks ticks;
    World world({});
    const NodeIndex node = world.add_node(node_of("node", disk_waits, &ticks));
    world.doom_in_sync(node, k);
    world.start(node);
    world.run_for(1s);
    EXPECT_FALSE(world.node(node).running());
    EXPECT_EQ(ticks.at_ms.size(), k - 1);
    EXPECT_EQ(world.counters().of(FaultKind::doomed_in_sync), 1U);
    EXPECT_EQ(world.counters().of(FaultKind::doomed), 0U);
    EXPECT_EQ(content_of(world.node(node).disk(), "log").size(), k);
    world.power_loss(node, PowerLossPolicy::all_unsynced_lost().without(PowerLossEffect::creation_undone));
    EXPECT_EQ(content_of(world.node(node).disk(), "log").size(), k - 1);  // the sync was not done
  }
}

TEST(Scheduling, AProcessMayWaitForAProcessor) {
  for (const bool stalls : {false, true}) {
    Ticks ticks;
    World world({.stall_one_in = stalls ? 3U : 0U});
    const NodeIndex node = world.add_node(node_of("node", ticker, &ticks));
    world.start(node);
    world.run_for(1s);
    ASSERT_GT(ticks.at_ms.size(), 50U);
    std::size_t late = 0;
    for (const std::int64_t at : ticks.at_ms) late += at % 10 != 0;
    EXPECT_EQ(late != 0, stalls);
    EXPECT_EQ(world.counters().of(FaultKind::scheduling_stall) >= late, true);
    EXPECT_EQ(world.counters().of(FaultKind::scheduling_stall) != 0, stalls);
  }
}

TEST(Scheduling, EventsOfOneInstantComeInRandomOrderOrInTheirOwn) {
  for (const bool shuffle : {false, true}) {
    World world({.random_order = shuffle});
    std::vector<int> order;
    for (int i = 0; i < 8; ++i) world.at(virtual_ns(1000), [&order, i] { order.push_back(i); });
    world.run_for(1s);
    ASSERT_EQ(order.size(), 8U);
    EXPECT_EQ(std::is_sorted(order.begin(), order.end()), !shuffle);
    EXPECT_EQ(world.counters().of(FaultKind::reorder) != 0, shuffle);
  }
}

TEST(Scheduling, StartsYieldAsOftenAsTheyAreTold) {
  for (const std::uint32_t yields : {0U, 256U}) {
    Ticks ticks;
    World world({.deferred_in_256 = yields});
    const NodeIndex node = world.add_node(node_of("node"));
    world.start(node);
    Runtime& runtime = *world.node(node).runtime();
    for (int i = 0; i < 10; ++i) {
      Op op;
      op.complete = [](Op*) {};
      const bool at_once = runtime.sleep_until(op, runtime.now());
      EXPECT_EQ(at_once, yields == 0);
      world.run_for(1ms);
    }
    EXPECT_EQ(world.counters().of(FaultKind::forced_yield), yields == 0 ? 0U : 10U);
  }
}

TEST(Sites, AreActiveInSomeRunsAndThenFireSometimes) {
  int active = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    World world({.seed = seed, .maybe_sites = true});
    const NodeIndex node = world.add_node(node_of("node"));
    world.start(node);
    Runtime& runtime = *world.node(node).runtime();
    int fired = 0;
    for (int i = 0; i < 400; ++i) fired += runtime.maybe(Site::ShortRead);
    EXPECT_EQ(fired != 0, world.site_active(Site::ShortRead));
    EXPECT_EQ(world.sites(Site::ShortRead), static_cast<std::uint64_t>(fired));
    if (fired == 0) continue;
    ++active;
    EXPECT_GT(fired, 50);
    EXPECT_LT(fired, 150);
  }
  EXPECT_GT(active, 60);
  EXPECT_LT(active, 140);
}

}  // namespace
}  // namespace verdict::sim::testing
