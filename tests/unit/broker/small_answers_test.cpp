#include <gtest/gtest.h>

#include "tests/unit/broker/writer.h"

// Fetch answers end inside a batch where the limit is: followers that take little at a time still get all of it.
namespace verdict::broker {
namespace {

constexpr std::uint64_t kRecords = 150;  // each in a batch of its own, of another size than the one before it

Writing writing() {
  Writing what;
  what.topic.name = "t";
  what.topic.assignment[0] = {NodeId(1), NodeId(2), NodeId(3)};
  for (std::uint64_t i = 0; i < kRecords; ++i) what.values.emplace_back(1 + i * 37 % 101, 'v');
  return what;
}

class SmallAnswers : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallAnswers, AFollowerThatWasAwayCatchesUp) {
  sim::World world({.seed = 3});
  sim::Cluster cluster(world, {.brokers = 3, .properties = {{"replica.fetch.max.bytes", GetParam()}}}, nullptr);
  Writer* writer = nullptr;
  const auto client = add_writer(world, writing(), writer);
  const auto isr_of = [&](std::size_t size) {
    const auto& partitions = cluster.view().partitions;
    return !partitions.empty() && partitions.begin()->second.isr.size() == size;
  };
  cluster.start_all();
  world.start(client);
  ASSERT_EQ(world.run_until([&] { return writer->acknowledged >= 10; }, world.now() + 60s), sim::RunEnd::stopped);
  const auto away = cluster.machine(NodeId(3))->index;
  world.kill(away);
  ASSERT_EQ(world.run_until([&] { return writer->acknowledged == kRecords; }, world.now() + 60s), sim::RunEnd::stopped);
  EXPECT_TRUE(isr_of(2));
  cluster.start(away);
  ASSERT_EQ(world.run_until([&] { return isr_of(3); }, world.now() + 60s), sim::RunEnd::stopped);
  const PartitionKey key = cluster.view().partitions.begin()->first;
  for (const int id : {1, 2, 3}) {
    const PartitionPtr replica = cluster.node(cluster.machine(NodeId(id))->index)->broker()->replicas().find(key);
    EXPECT_EQ(replica->log().log_end(), Offset(kRecords)) << id;
  }
}

// In one byte no batch fits: each answer is its first one, whole.
INSTANTIATE_TEST_SUITE_P(, SmallAnswers, ::testing::Values("1", "100", "250", "1000"));

}  // namespace
}  // namespace verdict::broker
