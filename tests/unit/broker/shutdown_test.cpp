#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/client/admin.h"
#include "runtime/scope.h"
#include "sim/cluster.h"
#include "sim/sim_runtime.h"
#include "storage/meta_properties.h"

// The orderly stop of nodes, on a simulated cluster: a controller and three brokers, a topic with a leader on each.
namespace verdict::broker {
namespace {

using sim::NodeIndex;
using sim::VirtualTime;

constexpr Duration kQuick = 5s;

struct Creator final : sim::Process {
  explicit Creator(Runtime& runtime) : admin(runtime, options()), scope(runtime) { scope.spawn(create(&runtime)); }
  static client::ClientOptions options() {
    client::ClientOptions client;
    client.bootstrap = {{.host = "broker-1", .port = sim::kBrokerPort}};
    return client;
  }
  Task<void> create(Runtime* runtime) {
    client::NewTopic topic{.name = "t"};
    for (int i = 0; i < 3; ++i) topic.assignment[i] = {NodeId(1 + i), NodeId(1 + (i + 1) % 3), NodeId(1 + (i + 2) % 3)};
    const auto made = co_await admin.create_topic(std::move(topic), runtime->now() + 20s);
    EXPECT_TRUE(made.has_value());
  }
  client::Admin admin;
  Scope scope;
};

class Shutdown : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  Shutdown()
      : world({.seed = GetParam()}),
        cluster(world, {.brokers = 3, .properties = {{"broker.session.timeout.ms", "9000"}}}, nullptr) {
    client = world.add_node(
        {"client",
         [](Runtime& runtime) -> std::unique_ptr<sim::Process> { return std::make_unique<Creator>(runtime); },
         {}});
    cluster.start_all();
    world.start(client);
    const auto ready = [this] {
      return cluster.view().partitions.size() == 3 &&
             std::ranges::all_of(cluster.view().partitions, [](const auto& p) { return p.second.isr.size() == 3; }) &&
             std::ranges::all_of(cluster.machines(), [this](const sim::Machine& machine) {
               return !machine.broker || cluster.view().brokers.at(machine.id).applied >= cluster.view().decided;
             });
    };
    EXPECT_EQ(world.run_until(ready, world.now() + 60s), sim::RunEnd::stopped);
    world.run_for(1s);
  }
  NodeIndex index(int id) const { return cluster.machine(NodeId(id))->index; }
  NodeIndex controller() const { return cluster.controller().index; }
  // How long until none of them runs; 60 s at most.
  Duration stop(const std::vector<NodeIndex>& nodes) {
    const VirtualTime begin = world.now();
    for (const NodeIndex node : nodes) cluster.stop_orderly(node);
    return until_down(nodes, begin);
  }
  Duration until_down(const std::vector<NodeIndex>& nodes, VirtualTime begin) {
    const auto down = [&] {
      return std::ranges::none_of(nodes, [&](auto node) { return world.node(node).running(); });
    };
    world.run_until(down, begin + 60s);
    for (const NodeIndex node : nodes) {
      const std::string mark = std::string("data/") + std::string(storage::kCleanShutdownFile);
      EXPECT_NE(world.node(node).disk().find(mark), nullptr) << "not a clean stop";
    }
    return world.now() - begin;
  }
  int led_by(int id) const {
    return static_cast<int>(std::ranges::count_if(cluster.view().partitions,
                                                  [id](const auto& p) { return p.second.leader == NodeId(id); }));
  }

  sim::World world;
  sim::Cluster cluster;
  NodeIndex client;
};

TEST_P(Shutdown, LeadersMoveFirst) {
  ASSERT_EQ(led_by(1), 1);
  EXPECT_LT(stop({index(1)}), 2s);
  EXPECT_EQ(led_by(1), 0);
  EXPECT_EQ(led_by(2) + led_by(3), 3);
  for (const auto& [key, partition] : cluster.view().partitions) {
    EXPECT_EQ(std::ranges::count(partition.isr, NodeId(1)), 0);
  }
}

TEST_P(Shutdown, AllAtOnceIsQuick) { EXPECT_LT(stop({controller(), index(1), index(2), index(3)}), kQuick); }

TEST_P(Shutdown, TheBrokersWithoutTheirControllerAreQuick) {
  world.kill(controller());
  world.run_for(1s);
  EXPECT_LT(stop({index(1), index(2), index(3)}), kQuick);
}

TEST_P(Shutdown, AControllerThatIsBackSoonIsWaitedFor) {
  world.kill(controller());
  const VirtualTime begin = world.now();
  cluster.stop_orderly(index(1));
  world.run_for(1s);
  EXPECT_TRUE(world.node(index(1)).running());
  cluster.start(controller());
  EXPECT_LT(until_down({index(1)}, begin), kQuick);
  EXPECT_EQ(led_by(1), 0) << "its leadership was moved";
}

TEST_P(Shutdown, ASilentControllerIsGivenUpWithItsSession) {
  world.isolate(controller(), true);
  const Duration took = stop({index(1), index(2), index(3)});
  EXPECT_GE(took, 3s) << "it may only be slow";
  EXPECT_LT(took, 9s + kQuick);
}

INSTANTIATE_TEST_SUITE_P(, Shutdown, ::testing::Range<std::uint64_t>(1, 6));

}  // namespace
}  // namespace verdict::broker
