#include <gtest/gtest.h>

#include "tests/unit/broker/writer.h"

// Segments that roll faster than the disk takes them.
namespace verdict::broker {
namespace {

constexpr std::uint64_t kRecords = 100;  // each fills a segment

Writing writing() {
  Writing what{.values = std::vector<std::string>(kRecords, std::string(100, 'v'))};
  what.topic.name = "t";
  what.topic.assignment[0] = {NodeId(1)};
  what.topic.configs["internal.segment.bytes"] = "250";
  return what;
}

struct Flushes final : sim::ClusterSink {
  void started(const sim::Origin&) override {}
  void event(const sim::Origin&, const protocol::Event& event) override {
    if (std::holds_alternative<protocol::events::BatchAppended>(event)) ++appended;
    if (const auto* flushed = std::get_if<protocol::events::LogFlushed>(&event)) {
      ++count;
      to = flushed->to;
    }
  }
  void stopped(const sim::Origin&, sim::StopCause) override {}
  void bytes_lost(const sim::Origin&, const sim::Loss&) override {}
  std::uint64_t appended = 0;
  std::uint64_t count = 0;
  Offset to{0};
};

TEST(Flush, OneAtATimeAndOneMoreForAllThatRolledMeanwhile) {
  sim::World world({.seed = 3});
  Flushes flushes;
  sim::Cluster cluster(world, {.brokers = 1}, &flushes);
  Writer* writer = nullptr;
  const auto client = add_writer(world, writing(), writer);
  const auto broker = cluster.machine(NodeId(1))->index;
  cluster.start_all();
  world.start(client);
  ASSERT_EQ(world.run_until([&] { return flushes.appended == 1; }, world.now() + 60s), sim::RunEnd::stopped);
  world.node(broker).disk().set_faults({.path_part = "t-0/", .extra_latency = 2s});
  ASSERT_EQ(world.run_until([&] { return writer->done; }, world.now() + 60s), sim::RunEnd::stopped);
  ASSERT_EQ(flushes.count, 0U) << "the disk must be slower than the client";
  world.node(broker).disk().set_faults({.path_part = "t-0/", .extra_latency = 10ms});
  ASSERT_EQ(world.run_until([&] { return flushes.to >= Offset(kRecords - 1); }, world.now() + 60s),
            sim::RunEnd::stopped);
  world.run_for(60s);
  EXPECT_LE(flushes.count, 3U);
}

}  // namespace
}  // namespace verdict::broker
