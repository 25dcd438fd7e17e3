#include <gtest/gtest.h>

#include <vector>

#include "sim/cluster.h"

// A machine that is down may still lose its power, and with it what its disk had not written.
namespace verdict::broker {
namespace {

using sim::StopCause;

struct Stops final : sim::ClusterSink {
  void started(const sim::Origin& origin) override { running = origin.incarnation; }
  void event(const sim::Origin&, const protocol::Event&) override {}
  void stopped(const sim::Origin& origin, StopCause cause) override {
    EXPECT_EQ(origin.incarnation, running);
    causes.push_back(cause);
  }
  void bytes_lost(const sim::Origin&, const sim::Loss&) override {}
  std::uint32_t running = 0;
  std::vector<StopCause> causes;
};

TEST(PowerLoss, IsToldOfAMachineThatIsDown) {
  for (const bool killed : {false, true}) {
    for (const bool at_once : {false, true}) {
      sim::World world({.seed = 3});
      Stops stops;
      sim::Cluster cluster(world, {.brokers = 1, .combined = true}, &stops);
      const auto broker = cluster.machine(NodeId(1))->index;
      cluster.start_all();
      world.run_for(1s);
      if (killed) world.kill(broker);
      if (!at_once) world.run_for(1s);
      world.power_loss(broker, sim::PowerLossPolicy::all_unsynced_lost());
      world.run_for(1s);
      const bool two = killed && !at_once;
      EXPECT_EQ(stops.causes,
                two ? (std::vector{StopCause::kill, StopCause::power_loss}) : std::vector{StopCause::power_loss});
      cluster.start(broker);
      world.run_for(1s);
      world.kill(broker);
      world.run_for(1s);
      EXPECT_EQ(stops.causes.back(), StopCause::kill);
    }
  }
}

}  // namespace
}  // namespace verdict::broker
