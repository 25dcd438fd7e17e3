#include <gtest/gtest.h>

#include <algorithm>

#include "protocol/client/admin.h"
#include "protocol/client/producer.h"
#include "runtime/scope.h"
#include "sim/cluster.h"

// Fetch answers end inside a batch where the limit is: followers that take little at a time still get all of it.
namespace verdict::broker {
namespace {

constexpr std::uint64_t kRecords = 150;  // each in a batch of its own, of another size than the one before it

client::ClientOptions client_options() {
  client::ClientOptions client;
  client.bootstrap = {{.host = "broker-1", .port = sim::kBrokerPort}};
  return client;
}

struct Writer final : sim::Process, client::DeliverySink {
  explicit Writer(Runtime& runtime)
      : admin(runtime, client_options()), producer(runtime, client_options(), {}, *this), scope(runtime) {
    scope.spawn(write(&runtime));
  }
  Task<void> write(Runtime* runtime) {
    client::NewTopic topic{.name = "t"};
    topic.assignment[0] = {NodeId(1), NodeId(2), NodeId(3)};
    const auto made = co_await admin.create_topic(std::move(topic), runtime->now() + 20s);
    EXPECT_TRUE(made.has_value());
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      const std::string value(1 + i * 37 % 101, 'v');
      client::ProducerRecord record;
      record.value = std::as_bytes(std::span(value));
      EXPECT_TRUE(producer.send("t", 0, record, i));
      const bool flushed = co_await producer.flush(runtime->now() + 30s);
      EXPECT_TRUE(flushed);
    }
  }
  void delivered(std::uint64_t, const client::DeliveryReport& report) override {
    acknowledged += report.delivery == client::Delivery::acknowledged ? 1 : 0;
  }
  client::Admin admin;
  client::Producer producer;
  std::uint64_t acknowledged = 0;
  Scope scope;
};

class SmallAnswers : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallAnswers, AFollowerThatWasAwayCatchesUp) {
  sim::World world({.seed = 3});
  sim::Cluster cluster(world, {.brokers = 3, .properties = {{"replica.fetch.max.bytes", GetParam()}}}, nullptr);
  Writer* writer = nullptr;
  const auto client = world.add_node({"client",
                                      [&](Runtime& runtime) -> std::unique_ptr<sim::Process> {
                                        auto process = std::make_unique<Writer>(runtime);
                                        writer = process.get();
                                        return process;
                                      },
                                      {}});
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
