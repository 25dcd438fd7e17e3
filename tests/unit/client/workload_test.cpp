#include "sim/workload.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "sim/world.h"
#include "tests/unit/client/fake_cluster.h"

// Load on simulated machines against scripted brokers: what it reports, and that it survives what happens to machines.
namespace verdict::sim {
namespace {

using client::testing::FakeCluster;

struct Op {
  std::int64_t op, process, partition, offset, value;
  OpType type;
  OpCall call;
  std::string topic, error;
  std::vector<OffsetAndValue> records;
};

struct History final : HistorySink {
  void report(const ClientOp& op) override {
    ops.push_back({op.op,
                   op.process,
                   op.partition,
                   op.offset,
                   op.value,
                   op.type,
                   op.call,
                   std::string(op.topic),
                   std::string(op.error),
                   {op.records.begin(), op.records.end()}});
  }
  void produce_sent(std::int64_t process, std::uint64_t batch, std::string_view, const Uuid& id, std::int32_t,
                    std::uint32_t) override {
    EXPECT_TRUE(open.insert({process, batch}).second);
    EXPECT_FALSE(id.is_zero());
    ++batches;
  }
  void produce_finished(std::int64_t process, std::uint64_t batch) override { open.erase({process, batch}); }
  std::vector<Op> ops;
  std::set<std::pair<std::int64_t, std::uint64_t>> open;
  int batches = 0;
};

struct BrokerProcess final : Process {
  explicit BrokerProcess(Runtime& runtime) : cluster(runtime, "broker", 3) { cluster.add_topic("t", 3); }
  FakeCluster cluster;
};

template <class Load>
struct LoadProcess final : Process {
  template <class Spec>
  LoadProcess(Runtime& runtime, const Spec& spec, HistorySink* sink) : load(runtime, spec, sink) {}
  Load load;
};

class WorkloadTest : public ::testing::Test {
 protected:
  void begin(std::uint64_t seed = 1) {
    world = std::make_unique<World>(WorldConfig{.seed = seed, .log_level = LogLevel::error});
    broker = world->add_node({"broker", [](Runtime& runtime) { return std::make_unique<BrokerProcess>(runtime); }, {}});
    world->start(broker);
  }
  FakeCluster& cluster() { return static_cast<BrokerProcess*>(world->node(broker).process())->cluster; }
  client::ClientOptions options(std::uint64_t entity) {
    client::ClientOptions client;
    client.bootstrap = cluster().endpoints();
    client.request_timeout = 2s;
    client.entity = entity;
    return client;
  }
  ProducerLoad producer(std::int64_t process) {
    ProducerLoad load{.process = process,
                      .client = options(static_cast<std::uint64_t>(process)),
                      .partitions = {{"t", 0}, {"t", 1}, {"t", 2}}};
    load.producer.delivery_timeout = 5s;
    return load;
  }
  ConsumerLoad consumer(std::int64_t process) {
    return {.process = process,
            .client = options(static_cast<std::uint64_t>(process)),
            .partitions = {{"t", 0}, {"t", 1}, {"t", 2}}};
  }
  template <class Load, class Spec>
  NodeIndex add(const std::string& host, Spec spec) {
    HistorySink* const sink = &history;
    const NodeIndex node = world->add_node(
        {host,
         [spec, sink](Runtime& runtime) { return std::make_unique<LoadProcess<Load>>(runtime, spec, sink); },
         {}});
    world->start(node);
    return node;
  }
  template <class Load>
  Load& load_on(NodeIndex node) {
    return static_cast<LoadProcess<Load>*>(world->node(node).process())->load;
  }
  // Each operation is invoked once and completed at most once, and what is known fits together.
  void check(bool complete) {
    std::map<std::int64_t, std::pair<int, int>> counts;
    std::map<std::int64_t, std::int64_t> offsets;  // of acknowledged values
    std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t> read;
    for (const Op& op : history.ops) {
      auto& [invoked, done] = counts[op.op];
      if (op.call == OpCall::send) {
        ++(op.type == OpType::invoke ? invoked : done);
        EXPECT_EQ(invoked, 1);
        EXPECT_LE(done, 1);
        EXPECT_EQ(op.value, op.op) << "both are process and sequence";
        EXPECT_EQ(op.error.empty(), op.type == OpType::invoke || op.type == OpType::ok);
        if (op.type == OpType::ok) {
          EXPECT_GE(op.offset, 0);
          offsets[op.value] = op.offset;
        }
      }
      for (const OffsetAndValue& record : op.records) {
        const auto [at, fresh] = read.emplace(std::pair{op.partition, record.offset}, record.value);
        EXPECT_EQ(at->second, record.value);
      }
    }
    std::map<std::int64_t, std::int64_t> places;
    for (const auto& [place, value] : read) places[value] = place.second;
    for (const auto& [value, offset] : offsets) {
      if (complete) {
        ASSERT_TRUE(places.contains(value));
      }
    }
    if (complete) {
      for (const auto& [op, count] : counts) EXPECT_TRUE(count.first == 0 || count.second == 1) << op;
    }
  }

  History history;
  std::unique_ptr<World> world;
  NodeIndex broker;
};

TEST_F(WorkloadTest, ValuesNameThemselves) {
  std::string text(20, '.');
  format_value(make_value(3, 77), text);
  EXPECT_EQ(text, "0000012884901965....");
  EXPECT_EQ(parse_value(text), make_value(3, 77));
  EXPECT_EQ(parse_value("000001288490196"), std::nullopt);
  EXPECT_EQ(parse_value("00000128849019x5"), std::nullopt);
  EXPECT_EQ(parse_value("-000012884901965"), std::nullopt);
}

TEST_F(WorkloadTest, WhatIsSentIsAcknowledgedAndRead) {
  begin();
  ProducerLoad bursts = producer(1);
  bursts.burst = 20;
  bursts.interval = 5ms;
  bursts.records = 4000;
  bursts.keys.keys = 10;
  ProducerLoad fast = producer(2);
  fast.interval = 0ms;
  fast.records = 20'000;
  fast.partitions = {{"t", client::kAnyPartition}};
  fast.producer.linger = 1ms;
  const NodeIndex a = add<ProducerProcess>("a", bursts);
  const NodeIndex b = add<ProducerProcess>("b", fast);
  ConsumerLoad reading = consumer(3);
  reading.records = 24'000;
  const NodeIndex c = add<ConsumerProcess>("c", reading);
  const bool done = world->run_until(
                        [&] {
                          return load_on<ConsumerProcess>(c).finished() && load_on<ProducerProcess>(a).finished() &&
                                 load_on<ProducerProcess>(b).finished();
                        },
                        virtual_ns(60'000'000'000)) == RunEnd::stopped;
  ASSERT_TRUE(done);
  EXPECT_EQ(load_on<ProducerProcess>(a).stats().acknowledged, 4000U);
  EXPECT_EQ(load_on<ProducerProcess>(b).stats().acknowledged, 20'000U);
  EXPECT_EQ(load_on<ConsumerProcess>(c).stats().delivered, 24'000U);
  EXPECT_GT(history.batches, 0);
  EXPECT_TRUE(history.open.empty());
  check(/*complete=*/true);
}

TEST_F(WorkloadTest, ATimeEndsALoad) {
  begin();
  ProducerLoad load = producer(1);
  load.time = 1s;
  load.interval = 10ms;
  load.jitter = false;
  const NodeIndex a = add<ProducerProcess>("a", load);
  world->run_for(3s);
  EXPECT_TRUE(load_on<ProducerProcess>(a).finished());
  EXPECT_NEAR(static_cast<double>(load_on<ProducerProcess>(a).stats().sent), 100.0, 3.0);
}

TEST_F(WorkloadTest, SeeksReadTheSameAgain) {
  begin();
  ProducerLoad load = producer(1);
  load.records = 3000;
  add<ProducerProcess>("a", load);
  ConsumerLoad reading = consumer(2);
  reading.seek_one_in = 5;
  const NodeIndex c = add<ConsumerProcess>("c", reading);
  world->run_for(10s);
  EXPECT_GT(load_on<ConsumerProcess>(c).stats().delivered, 3500U);
  check(false);
}

// The fake loses its log with its process: outcomes alone are looked at.
TEST_F(WorkloadTest, DeathsOfBothSides) {
  std::uint64_t unknown = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    history = {};
    begin(seed);
    ProducerLoad load = producer(1);
    load.interval = 200us;
    const NodeIndex a = add<ProducerProcess>("a", load);
    const NodeIndex c = add<ConsumerProcess>("c", consumer(2));
    world->run_for(500ms + from_ms(static_cast<std::int64_t>(seed)));
    world->kill(broker);
    world->run_for(3s);
    world->start(broker);
    world->run_for(1s);
    load_on<ProducerProcess>(a).stop();
    world->run_for(10s);
    EXPECT_TRUE(load_on<ProducerProcess>(a).finished());
    unknown += load_on<ProducerProcess>(a).stats().unknown;
    const auto& stats = load_on<ProducerProcess>(a).stats();
    EXPECT_EQ(stats.sent, stats.acknowledged + stats.failed + stats.unknown);
    world->kill(c);
    world->kill(a);
    world->run_for(1s);
    check(false);
  }
  EXPECT_GT(unknown, 0U);
}

TEST_F(WorkloadTest, ARunIsAFunctionOfItsSeed) {
  const auto hash = [this](std::uint64_t seed) {
    begin(seed);
    ProducerLoad load = producer(1);
    load.burst = 3;
    add<ProducerProcess>("a", load);
    ConsumerLoad reading = consumer(2);
    reading.seek_one_in = 20;
    add<ConsumerProcess>("c", reading);
    world->run_for(2s);
    return world->hash();
  };
  EXPECT_EQ(hash(5), hash(5));
  EXPECT_NE(hash(5), hash(6));
}

}  // namespace
}  // namespace verdict::sim
