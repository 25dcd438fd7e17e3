#include <gtest/gtest.h>

#include "protocol/wire/gen/describe_producers.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/list_offsets.h"
#include "tests/unit/broker/produce_request.h"
#include "tests/unit/broker/writer.h"
#include "tests/unit/storage/producing.h"

// A broker with transactions, as clients see it over the wire. Markers are written from within: what clients ask a
// coordinator for is not this test's.
namespace verdict::broker {
namespace {

using storage::testing::make_producer_batch;
using storage::testing::marker_of;
using storage::testing::ProducerBatch;

constexpr int kProduceVersion = 9;
constexpr int kFetchVersion = 12;
constexpr int kListVersion = 6;

// A client machine that runs one task after the other.
struct Caller final : sim::Process {
  explicit Caller(Runtime& of)
      : runtime(of), channel(of, {.host = "broker-1", .port = sim::kBrokerPort}, {.client_id = "caller"}), scope(of) {}

  Task<void> produce(ProducerBatch spec) {
    wire::Arena arena;
    // The marker's time is the broker's: a segment must hold both.
    if (spec.timestamp == ProducerBatch{}.timestamp) spec.timestamp = to_ms(runtime.wall_now());
    const auto batch = make_producer_batch(spec);
    const wire::ProduceRequest request = produce_request(arena, batch);
    auto answer = co_await channel.call<wire::ProduceResponse>(kProduceVersion, request, runtime.now() + 20s);
    if (answer) {
      const auto& part = (*answer)->responses[0].partition_responses[0];
      error = part.error_code;
      offset = part.base_offset;
    }
    ++answers;
  }
  // Of a session where `session` is set; the first fetch begins it.
  Task<void> fetch(std::int64_t from, bool committed, std::int32_t min_bytes, std::int32_t max_wait_ms, bool session) {
    wire::Arena arena;
    wire::FetchRequest request{.max_wait_ms = max_wait_ms,
                               .min_bytes = min_bytes,
                               .max_bytes = 1 << 20,
                               .isolation_level = static_cast<std::int8_t>(committed ? 1 : 0),
                               .session_id = session ? session_id : 0,
                               .session_epoch = session ? session_epoch++ : -1};
    if (!session || session_epoch == 1) {
      request.topics = arena.make_span<wire::FetchRequest::FetchTopic>(1);
      request.topics[0].topic = "t";
      request.topics[0].partitions = arena.make_span<wire::FetchRequest::FetchPartition>(1);
      request.topics[0].partitions[0].fetch_offset = from;
      request.topics[0].partitions[0].partition_max_bytes = 1 << 20;
    }
    auto answer = co_await channel.call<wire::FetchResponse>(kFetchVersion, request, runtime.now() + 60s);
    news = 0;
    aborted.clear();
    if (answer) {
      session_id = (*answer)->session_id;
      news = (*answer)->responses.size();
    }
    if (news > 0) {
      const auto& part = (*answer)->responses[0].partitions[0];
      error = part.error_code;
      stable = part.last_stable_offset;
      high_watermark = part.high_watermark;
      listed = part.aborted_transactions.has_value();
      if (listed) {
        for (const auto& txn : *part.aborted_transactions) aborted.emplace_back(txn.producer_id, txn.first_offset);
      }
      end = from;
      storage::Bytes rest = part.records.bytes();
      for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest))
        end = batch->header().next_offset().value();
    }
    ++answers;
  }
  Task<void> latest(bool committed) {
    wire::Arena arena;
    wire::ListOffsetsRequest request{.replica_id = -1, .isolation_level = static_cast<std::int8_t>(committed ? 1 : 0)};
    request.topics = arena.make_span<wire::ListOffsetsRequest::ListOffsetsTopic>(1);
    request.topics[0].name = "t";
    request.topics[0].partitions = arena.make_span<wire::ListOffsetsRequest::ListOffsetsPartition>(1);
    request.topics[0].partitions[0].timestamp = -1;
    auto answer = co_await channel.call<wire::ListOffsetsResponse>(kListVersion, request, runtime.now() + 20s);
    if (answer) offset = (*answer)->topics[0].partitions[0].offset;
    ++answers;
  }
  Task<void> describe() {
    wire::Arena arena;
    wire::DescribeProducersRequest request;
    request.topics = arena.make_span<wire::DescribeProducersRequest::TopicRequest>(2);
    request.topics[0].name = "t";
    request.topics[0].partition_indexes = arena.make_span<std::int32_t>(2);
    request.topics[0].partition_indexes[1] = 5;
    request.topics[1].name = "no such/name";
    request.topics[1].partition_indexes = arena.make_span<std::int32_t>(1);
    auto answer = co_await channel.call<wire::DescribeProducersResponse>(0, request, runtime.now() + 20s);
    if (answer) described = std::move(*answer);
    ++answers;
  }

  Runtime& runtime;
  client::RpcChannel channel;
  int answers = 0;
  std::int16_t error = 0;
  std::int64_t offset = -1, stable = -1, high_watermark = -1, end = -1;
  std::int32_t session_id = 0, session_epoch = 0;
  std::size_t news = 0;  // topics in the fetch's answer
  bool listed = false;
  std::vector<std::pair<std::int64_t, std::int64_t>> aborted;
  wire::Message<wire::DescribeProducersResponse> described;
  Scope scope;
};

struct ReadCommitted : ::testing::Test {
  sim::World world{{.seed = 5}};
  std::unique_ptr<sim::Cluster> cluster;
  Writer* writer = nullptr;
  Caller* caller = nullptr;
  sim::NodeIndex broker{};

  void SetUp() override { begin({NodeId(1)}); }
  // A topic with one partition on these brokers, the first of which leads.
  void begin(const NodeIds& replicas) {
    cluster = std::make_unique<sim::Cluster>(
        world,
        sim::ClusterConfig{.brokers = static_cast<std::int32_t>(replicas.size()),
                           .properties = {{"transaction.partition.verification.enable", "false"}}},
        nullptr);
    Writing what{.values = {}};
    what.topic.name = "t";
    what.topic.assignment[0] = replicas;
    const auto client = add_writer(world, what, writer);
    const auto caller_at = sim::testing::add_process(world, "caller", caller);
    broker = cluster->machine(NodeId(1))->index;
    cluster->start_all();
    world.start(client);
    ASSERT_EQ(world.run_until([&] { return writer->done; }, world.now() + 60s), sim::RunEnd::stopped);
    world.start(caller_at);
    ASSERT_EQ(world.run_until([&] { return caller != nullptr; }, world.now() + 1s), sim::RunEnd::stopped);
  }
  void start(Task<void> task) { caller->scope.spawn(std::move(task)); }
  void finish() {
    const int before = caller->answers;
    ASSERT_EQ(world.run_until([&] { return caller->answers > before; }, world.now() + 30s), sim::RunEnd::stopped);
  }
  void run(Task<void> task) {
    start(std::move(task));
    finish();
  }
  PartitionPtr partition() {
    ReplicaManager& replicas = cluster->node(broker)->broker()->replicas();
    return replicas.partitions().begin()->second;
  }
  void end_transaction(std::int64_t producer, bool commit) {
    ReplicaManager& replicas = cluster->node(broker)->broker()->replicas();
    const PartitionPtr at = partition();
    ProduceWait waiting(caller->runtime);
    const WaiterId waiter = replicas.begin_wait(waiting, at).waiter;
    EXPECT_TRUE(at->write_marker(marker_of(producer, 0, commit), waiter).waits);
    EXPECT_TRUE(waiting.parts[0].finished) << "the only replica commits at once";
    EXPECT_EQ(waiting.parts[0].error, ErrorCode::NONE);
    replicas.end_wait(waiter);
  }
};

TEST_F(ReadCommitted, SeesWhatIsDecided) {
  run(caller->produce({.producer = 1, .sequence = 0}));                         // 0 to 2
  run(caller->produce({.producer = 2, .sequence = 0, .transactional = true}));  // 3 to 5
  run(caller->produce({.producer = 1, .sequence = 3}));                         // 6 to 8
  run(caller->fetch(0, true, 1, 0, false));
  EXPECT_EQ(caller->end, 3);
  EXPECT_EQ(caller->stable, 3);
  EXPECT_EQ(caller->high_watermark, 9);
  EXPECT_TRUE(caller->listed && caller->aborted.empty());
  run(caller->fetch(4, true, 1, 0, false));
  EXPECT_EQ(caller->end, 4) << "above the last stable offset: nothing, and no error";
  EXPECT_EQ(caller->error, 0);
  run(caller->fetch(0, false, 1, 0, false));
  EXPECT_EQ(caller->end, 9);
  EXPECT_EQ(caller->stable, 3);
  EXPECT_FALSE(caller->listed);
  run(caller->latest(true));
  EXPECT_EQ(caller->offset, 3);
  run(caller->latest(false));
  EXPECT_EQ(caller->offset, 9);
  end_transaction(2, false);  // 9
  run(caller->fetch(0, true, 1, 0, false));
  EXPECT_EQ(caller->end, 10);
  EXPECT_EQ(caller->aborted, (std::vector<std::pair<std::int64_t, std::int64_t>>{{2, 3}}));
  run(caller->fetch(6, true, 1, 0, false));
  EXPECT_EQ(caller->aborted.size(), 1U) << "its marker is in what is read";
  run(caller->latest(true));
  EXPECT_EQ(caller->offset, 10);
}

TEST_F(ReadCommitted, ALongPollEndsWithTheMarker) {
  run(caller->produce({.producer = 2, .sequence = 0, .transactional = true}));
  const int before = caller->answers;
  start(caller->fetch(0, true, 1, 20'000, false));
  world.run_for(2s);
  EXPECT_EQ(caller->answers, before);
  end_transaction(2, true);
  world.run_for(1s);
  EXPECT_EQ(caller->answers, before + 1);
  EXPECT_EQ(caller->end, 4);
}

TEST_F(ReadCommitted, ASessionHearsOfTheLastStableOffset) {
  run(caller->produce({.producer = 2, .sequence = 0, .transactional = true}));
  run(caller->fetch(0, true, 1, 0, true));
  ASSERT_NE(caller->session_id, 0);
  EXPECT_EQ(caller->stable, 0);
  run(caller->fetch(0, true, 1, 0, true));
  EXPECT_EQ(caller->news, 0U);
  end_transaction(2, false);
  run(caller->fetch(0, true, 1, 0, true));
  EXPECT_EQ(caller->news, 1U);
  EXPECT_EQ(caller->stable, 4);
}

// What a follower copied is enough to lead with, from the first answer on.
struct ElectedReadCommitted : ReadCommitted {
  void SetUp() override { begin({NodeId(1), NodeId(2), NodeId(3)}); }
};

TEST_F(ElectedReadCommitted, ANewLeaderKnowsTransactionsAndRetries) {
  run(caller->produce({.producer = 1, .sequence = 0}));                         // 0 to 2
  run(caller->produce({.producer = 2, .sequence = 0, .transactional = true}));  // 3 to 5
  run(caller->produce({.producer = 1, .sequence = 3}));                         // 6 to 8
  EXPECT_EQ(caller->error, 0);
  world.kill(broker);
  const auto leader = [&]() -> PartitionPtr {
    for (const sim::Machine& machine : cluster->machines()) {
      BrokerNode* node = machine.index == broker ? nullptr : cluster->serving(machine.index);
      if (node == nullptr) continue;
      for (const auto& [key, found] : node->replicas().partitions()) {
        if (found->opened() && found->replica().is_leader()) return found;
      }
    }
    return nullptr;
  };
  ASSERT_EQ(world.run_until([&] { return leader() != nullptr; }, world.now() + 60s), sim::RunEnd::stopped);
  const PartitionPtr now = leader();
  EXPECT_EQ(now->log().log_end(), Offset(9));
  EXPECT_EQ(now->last_stable_offset(), Offset(3));
  EXPECT_EQ(now->log().producers().find(ProducerId(1))->last_sequence(), 5);
  EXPECT_EQ(now->log().producers().find(ProducerId(2))->txn_first, Offset(3));
}

TEST_F(ReadCommitted, RetriesAreAnsweredOverTheWire) {
  run(caller->produce({.producer = 1, .sequence = 0}));
  EXPECT_EQ(caller->offset, 0);
  run(caller->produce({.producer = 1, .sequence = 3}));
  EXPECT_EQ(caller->offset, 3);
  run(caller->produce({.producer = 1, .sequence = 0}));
  EXPECT_EQ(caller->error, 0);
  EXPECT_EQ(caller->offset, 0);
  run(caller->produce({.producer = 1, .sequence = 9}));
  EXPECT_EQ(caller->error, static_cast<std::int16_t>(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
  EXPECT_EQ(partition()->log().log_end(), Offset(6));
}

TEST_F(ReadCommitted, ProducersAreDescribed) {
  run(caller->produce({.producer = 1, .epoch = 4, .sequence = 0, .timestamp = 123}));
  run(caller->produce({.producer = 2, .sequence = 7, .transactional = true, .timestamp = 456}));
  run(caller->describe());
  const auto& topics = caller->described->topics;
  ASSERT_EQ(topics.size(), 2U);
  ASSERT_EQ(topics[0].partitions.size(), 2U);
  const auto& known = topics[0].partitions[0];
  EXPECT_EQ(known.error_code, 0);
  ASSERT_EQ(known.active_producers.size(), 2U);
  EXPECT_EQ(known.active_producers[0],
            (wire::DescribeProducersResponse::ProducerState{.producer_id = 1,
                                                            .producer_epoch = 4,
                                                            .last_sequence = 2,
                                                            .last_timestamp = 123,
                                                            .coordinator_epoch = -1,
                                                            .current_txn_start_offset = -1}));
  EXPECT_EQ(known.active_producers[1].current_txn_start_offset, 3);
  EXPECT_EQ(topics[0].partitions[1].error_code, static_cast<std::int16_t>(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
  EXPECT_EQ(topics[1].partitions[0].error_code, static_cast<std::int16_t>(ErrorCode::INVALID_TOPIC_EXCEPTION));
}

}  // namespace
}  // namespace verdict::broker
