#include <gtest/gtest.h>

#include "protocol/client/admin.h"
#include "protocol/client/producer.h"
#include "runtime/scope.h"
#include "sim/cluster.h"

// Segments that roll faster than the disk takes them.
namespace verdict::broker {
namespace {

constexpr std::uint64_t kRecords = 100;  // each fills a segment

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
    topic.assignment[0] = {NodeId(1)};
    topic.configs["internal.segment.bytes"] = "250";
    const auto made = co_await admin.create_topic(std::move(topic), runtime->now() + 20s);
    EXPECT_TRUE(made.has_value());
    const std::string value(100, 'v');
    for (std::uint64_t i = 0; i < kRecords; ++i) {
      client::ProducerRecord record;
      record.value = std::as_bytes(std::span(value));
      EXPECT_TRUE(producer.send("t", 0, record, i));
      const bool flushed = co_await producer.flush(runtime->now() + 30s);
      EXPECT_TRUE(flushed);
    }
    done = true;
  }
  void delivered(std::uint64_t, const client::DeliveryReport&) override {}
  client::Admin admin;
  client::Producer producer;
  bool done = false;
  Scope scope;
};

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
  const auto client = world.add_node({"client",
                                      [&](Runtime& runtime) -> std::unique_ptr<sim::Process> {
                                        auto process = std::make_unique<Writer>(runtime);
                                        writer = process.get();
                                        return process;
                                      },
                                      {}});
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
