#include <gtest/gtest.h>

#include "sim/cluster.h"
#include "sim/sim_runtime.h"

// A controller whose metadata log fails in the middle of a step, on a simulated cluster.
namespace verdict::broker {
namespace {

constexpr std::string_view kLog = "__cluster_metadata";

// Two brokers die at once while the controller is away for longer than their sessions: one step then fences both, in
// two batches, as each has a line of the log of its own.
class ControllerHalt : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  ControllerHalt() : world({.seed = GetParam()}), cluster(world, {.brokers = 3}, nullptr) {
    cluster.start_all();
    EXPECT_EQ(world.run_until([this] { return unfenced() == 3; }, world.now() + 60s), sim::RunEnd::stopped);
    world.run_for(1s);
    world.pause(controller());
    world.kill(cluster.machine(NodeId(2))->index);
    world.kill(cluster.machine(NodeId(3))->index);
    world.run_for(30s);
  }
  sim::NodeIndex controller() const { return cluster.controller().index; }
  int unfenced() const {
    int count = 0;
    for (const auto& [id, broker] : cluster.view().brokers) count += broker.registered && !broker.fenced ? 1 : 0;
    return count;
  }
  // The controller goes on, ends, and is back with what its disk holds.
  void go_on() {
    world.resume(controller());
    const auto down = [this] { return !world.node(controller()).running(); };
    ASSERT_EQ(world.run_until(down, world.now() + 10s), sim::RunEnd::stopped);
    world.node(controller()).disk().set_faults({});
    cluster.start_all();
    world.run_for(20s);
    EXPECT_TRUE(world.node(controller()).running());
    EXPECT_EQ(unfenced(), 3);
  }

  sim::World world;
  sim::Cluster cluster;
};

TEST_P(ControllerHalt, AFailedAppendEndsTheStep) {
  world.node(controller()).disk().set_faults({.path_part = std::string(kLog), .fail_writes = 1000});
  go_on();
  EXPECT_NE(world.node(controller()).halt_reason().find("can't be appended to"), std::string::npos);
}

TEST_P(ControllerHalt, ADeathInsideAnAppendEndsTheStep) {
  world.doom(controller(), 1);
  go_on();
  EXPECT_EQ(world.counters().of(sim::FaultKind::doomed), 1U);
}

INSTANTIATE_TEST_SUITE_P(, ControllerHalt, ::testing::Range<std::uint64_t>(1, 6));

}  // namespace
}  // namespace verdict::broker
