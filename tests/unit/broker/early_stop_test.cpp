#include <gtest/gtest.h>

#include "storage/meta_properties.h"
#include "tests/unit/broker/writer.h"

// An orderly stop that comes before the broker has opened its logs says nothing of them.
namespace verdict::broker {
namespace {

constexpr std::uint64_t kRecords = 5;

Writing writing() {
  Writing what{.values = std::vector<std::string>(kRecords, std::string(100, 'v')), .one_by_one = false};
  what.topic.name = "t";
  what.topic.assignment[0] = {NodeId(1)};
  return what;
}

struct Lives final : sim::ClusterSink {
  void started(const sim::Origin&) override {}
  void event(const sim::Origin& origin, const protocol::Event& event) override {
    if (std::holds_alternative<protocol::events::BrokerRegistered>(event)) ++registered;
    if (const auto* opened = std::get_if<protocol::events::LogOpened>(&event)) {
      life = origin.incarnation;
      unchecked = opened->clean;
      last_epoch = opened->last_epoch;
    }
    if (const auto* leads = std::get_if<protocol::events::BecameLeader>(&event)) high_watermark = leads->high_watermark;
  }
  void stopped(const sim::Origin&, sim::StopCause) override {}
  void bytes_lost(const sim::Origin&, const sim::Loss&) override {}
  int registered = 0;
  std::uint32_t life = 0;  // in which the log was opened last
  bool unchecked = false;
  LeaderEpoch last_epoch = kNoEpoch;
  Offset high_watermark{0};
};

// No answer to a fetch reaches anybody: the broker registers, and hears nothing of its partitions.
struct Deaf final : sim::MessageTap {
  sim::FrameDecision on_frame(const sim::FrameHead& frame) override {
    const bool fetched = on && frame.response && frame.api_key == 1;
    return {.action = fetched ? sim::FrameAction::hold : sim::FrameAction::deliver, .hold_id = 1};
  }
  bool on = false;
};

class EarlyStop : public ::testing::TestWithParam<bool> {
 protected:
  EarlyStop() : world({.seed = 3}), cluster(world, {.brokers = 1}, &lives), broker(cluster.machine(NodeId(1))->index) {
    const auto client = add_writer(world, writing(), writer);
    world.set_tap(&deaf);
    cluster.start_all();
    world.start(client);
    EXPECT_EQ(world.run_until([this] { return writer->done; }, world.now() + 60s), sim::RunEnd::stopped);
    world.run_for(10s);  // high watermarks are checkpointed
  }
  void stop() {
    cluster.stop_orderly(broker);
    world.run_until([this] { return !world.node(broker).running(); }, world.now() + 60s);
  }
  bool left_in_order() {
    const std::string mark = std::string("data/") + std::string(storage::kCleanShutdownFile);
    return world.node(broker).disk().find(mark) != nullptr;
  }

  Lives lives;
  Deaf deaf;
  sim::World world;
  sim::Cluster cluster;
  sim::NodeIndex broker;
  Writer* writer = nullptr;
};

TEST_P(EarlyStop, TheLogsAreAsTheLifeBeforeLeftThem) {
  const bool crash = GetParam();
  if (crash)
    world.kill(broker);
  else
    stop();
  EXPECT_EQ(left_in_order(), !crash);
  const int before = lives.registered;
  deaf.on = true;
  cluster.start(broker);
  ASSERT_EQ(world.run_until([&] { return lives.registered > before; }, world.now() + 60s), sim::RunEnd::stopped);
  world.run_for(100ms);  // and the broker knows
  stop();
  deaf.on = false;
  ASSERT_EQ(lives.life, 1U) << "the log was opened before the stop";
  EXPECT_EQ(left_in_order(), !crash);
  cluster.start(broker);
  ASSERT_EQ(world.run_until([&] { return lives.life == 3; }, world.now() + 60s), sim::RunEnd::stopped);
  world.run_for(10s);
  EXPECT_EQ(lives.unchecked, !crash);
  EXPECT_EQ(lives.last_epoch, LeaderEpoch(0));
  EXPECT_EQ(lives.high_watermark, Offset(kRecords));
}

INSTANTIATE_TEST_SUITE_P(, EarlyStop, ::testing::Bool());

}  // namespace
}  // namespace verdict::broker
