#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "protocol/broker/coordinators.h"
#include "protocol/client/admin.h"
#include "protocol/client/group.h"
#include "protocol/client/transaction.h"
#include "sim/cluster.h"
#include "tests/unit/broker/produce_request.h"
#include "tests/unit/sim/add_process.h"
#include "tests/unit/storage/producing.h"

// Groups and transactions over a change of their coordinator, as clients see them.
namespace verdict::broker {
namespace {

using client::CommittedOffset;
using client::OffsetsToCommit;
using client::TopicPartition;
using storage::testing::make_producer_batch;
using wire::ErrorCode;

constexpr int kProduceVersion = 9;

client::ClientOptions client_options() {
  client::ClientOptions options;
  for (int id = 1; id <= 3; ++id)
    options.bootstrap.push_back({.host = "broker-" + std::to_string(id), .port = sim::kBrokerPort});
  options.request_timeout = 2s;
  options.retry_backoff = 20ms;
  options.retry_backoff_max = 200ms;
  return options;
}

// A client machine: a member of a group, and a transactional producer.
struct Caller final : sim::Process, client::GroupListener {
  explicit Caller(Runtime& of)
      : runtime(of),
        options(client_options()),
        connections(of, options),
        metadata(of, connections, options),
        admin(of, options),
        transaction(of, options, connections, metadata, {.id = "tx", .timeout = 30s}),
        scope(of) {
    metadata.want("t");
  }

  Task<void> create() {
    client::NewTopic topic{.name = "t", .partitions = 1, .replication_factor = 3};
    const auto made = co_await admin.create_topic(topic, runtime.now() + 30s);
    error = made ? ErrorCode::NONE : made.error().error;
    ++answers;
  }
  void join() {
    member = client::make_group_member(
        runtime, options, client::GroupOptions{.group = "g", .topics = {"t"}, .session_timeout = 10s}, *this);
  }
  void revoked(const std::vector<TopicPartition>&, bool) override { owned.clear(); }
  void assigned(std::int32_t generation, const std::vector<TopicPartition>& partitions) override {
    generations.push_back(generation);
    owned = partitions;
  }

  Task<void> commit(std::int64_t offset) {
    OffsetsToCommit offsets;
    offsets[{.topic = "t", .partition = 0}] = {.offset = Offset(offset), .metadata = "m"};
    error = co_await member->commit(offsets, runtime.now() + 30s);
    ++answers;
  }
  Task<void> fetch(bool require_stable) {
    std::vector<TopicPartition> wanted{{.topic = "t", .partition = 0}};
    const auto found = co_await member->committed(wanted, require_stable, runtime.now() + 60s);
    committed = found ? found->at(wanted[0]).offset.value() : -2;
    ++answers;
  }
  Task<void> init() {
    error = co_await transaction.init(runtime.now() + 60s);
    ++answers;
  }
  Task<void> add() {
    std::vector<TopicPartition> partitions{{.topic = "t", .partition = 0}};
    error = co_await transaction.add_partitions(partitions, runtime.now() + 60s);
    ++answers;
  }
  Task<void> commit_in_transaction(std::int64_t offset) {
    OffsetsToCommit offsets;
    offsets[{.topic = "t", .partition = 0}] = {.offset = Offset(offset)};
    error = co_await transaction.commit_offsets({.group = "g"}, offsets, runtime.now() + 60s);
    ++answers;
  }
  Task<void> end(bool commits) {
    error = co_await transaction.end(commits, runtime.now() + 60s);
    ++answers;
  }
  Task<void> produce(std::int32_t sequence) {
    wire::Arena arena;
    storage::testing::ProducerBatch spec;
    spec.producer = transaction.identity().id;
    spec.epoch = transaction.identity().epoch;
    spec.sequence = sequence;
    spec.transactional = true;
    const auto batch = make_producer_batch(spec);
    const wire::ProduceRequest request = produce_request(arena, batch);
    const ErrorCode refreshed = co_await metadata.refresh(runtime.now() + 20s);
    const auto leader = metadata.leader("t", 0);
    error = refreshed;
    if (refreshed == ErrorCode::NONE && leader) {
      const auto channel = connections.node(leader->node);
      const auto answer = co_await channel->call<wire::ProduceResponse>(kProduceVersion, request, runtime.now() + 20s);
      error = answer ? wire::error_from_code(answer->value.responses[0].partition_responses[0].error_code)
                     : ErrorCode::NETWORK_EXCEPTION;
    }
    ++answers;
  }

  Runtime& runtime;
  client::ClientOptions options;
  client::Connections connections;
  client::Metadata metadata;
  client::Admin admin;
  client::Transaction transaction;
  std::unique_ptr<client::GroupMember> member;
  std::vector<TopicPartition> owned;
  std::vector<std::int32_t> generations;
  int answers = 0;
  ErrorCode error = ErrorCode::UNKNOWN_SERVER_ERROR;
  std::int64_t committed = -3;
  Scope scope;
};

class CoordinatorFailover : public ::testing::TestWithParam<std::uint64_t> {
 protected:
  CoordinatorFailover() : world({.seed = GetParam()}), cluster(world, config(), nullptr) {
    machine = sim::testing::add_process(world, "caller", caller);
    cluster.start_all();
    world.start(machine);
    EXPECT_EQ(world.run_until([&] { return serving(1) && serving(2) && serving(3); }, world.now() + 60s),
              sim::RunEnd::stopped);
    world.run_for(1s);
    EXPECT_EQ(call([&] { return caller->create(); }), ErrorCode::NONE);
    EXPECT_EQ(world.run_until([&] { return leader_of("t") > 0; }, world.now() + 30s), sim::RunEnd::stopped);
  }
  static sim::ClusterConfig config() {
    return {.brokers = 3,
            .properties = {{"offsets.topic.num.partitions", "1"},
                           {"transaction.state.log.num.partitions", "1"},
                           {"transaction.state.log.segment.bytes", "2000000"},
                           {"default.replication.factor", "3"},
                           {"group.initial.rebalance.delay.ms", "0"}}};
  }
  sim::NodeIndex index(int id) const { return cluster.machine(NodeId(id))->index; }
  bool serving(int id) { return cluster.serving(index(id)) != nullptr; }
  template <class Start>
  ErrorCode call(Start start) {
    const int before = caller->answers;
    world.after(1us, [&] { caller->scope.spawn(start()); });
    EXPECT_EQ(world.run_until([&] { return caller->answers > before; }, world.now() + 120s), sim::RunEnd::stopped);
    return caller->error;
  }
  std::int64_t committed(bool require_stable = true) {
    call([&] { return caller->fetch(require_stable); });
    return caller->committed;
  }
  int leader_of(std::string_view topic) {
    const auto* partition = cluster.view().partition(topic, 0);
    return partition == nullptr ? -1 : partition->leader.value();
  }
  // The coordinator dies and comes back later; another one has taken over when this returns.
  void kill_coordinator(std::string_view topic) {
    const int old = leader_of(topic);
    ASSERT_GT(old, 0);
    world.kill(index(old));
    ASSERT_EQ(world.run_until([&] { return leader_of(topic) > 0 && leader_of(topic) != old; }, world.now() + 60s),
              sim::RunEnd::stopped);
    world.after(1s, [this, old] { cluster.start(index(old)); });
  }
  void joined() {
    caller->join();
    ASSERT_EQ(world.run_until([&] { return !caller->owned.empty(); }, world.now() + 60s), sim::RunEnd::stopped);
  }

  sim::World world;
  sim::Cluster cluster;
  sim::NodeIndex machine;
  Caller* caller = nullptr;
};

TEST_P(CoordinatorFailover, ACommittedOffsetAndTheGroupOutliveTheirCoordinator) {
  joined();
  EXPECT_EQ(call([&] { return caller->commit(41); }), ErrorCode::NONE);
  EXPECT_EQ(committed(), 41);
  const std::size_t before = caller->generations.size();
  kill_coordinator(kOffsetsTopic);
  EXPECT_EQ(committed(), 41);
  EXPECT_EQ(call([&] { return caller->commit(42); }), ErrorCode::NONE);
  EXPECT_EQ(committed(), 42);
  // The member is known from the log: it needs no new generation.
  world.run_for(15s);
  EXPECT_EQ(caller->generations.size(), before);
  EXPECT_FALSE(caller->owned.empty());
}

TEST_P(CoordinatorFailover, ATransactionWhoseEndIsDecidedIsEndedByTheNextCoordinator) {
  for (const bool commits : {true, false}) {
    if (caller->member == nullptr) joined();
    const std::int64_t before = committed();
    ASSERT_EQ(call([&] { return caller->init(); }), ErrorCode::NONE);
    ASSERT_EQ(call([&] { return caller->add(); }), ErrorCode::NONE);
    ASSERT_EQ(call([&] { return caller->produce(0); }), ErrorCode::NONE);
    ASSERT_EQ(call([&] { return caller->commit_in_transaction(7); }), ErrorCode::NONE);
    EXPECT_EQ(committed(false), before) << "before the end";
    ASSERT_EQ(call([&] { return caller->end(commits); }), ErrorCode::NONE);
    kill_coordinator(kTransactionsTopic);
    EXPECT_EQ(committed(), commits ? 7 : before);
    if (commits) ASSERT_EQ(call([&] { return caller->commit(50); }), ErrorCode::NONE);
  }
}

TEST_P(CoordinatorFailover, ABatchOfAPartitionThatIsNotInTheTransactionIsRefused) {
  ASSERT_EQ(call([&] { return caller->init(); }), ErrorCode::NONE);
  EXPECT_EQ(call([&] { return caller->produce(0); }), ErrorCode::INVALID_TXN_STATE);
  ASSERT_EQ(call([&] { return caller->add(); }), ErrorCode::NONE);
  EXPECT_EQ(call([&] { return caller->produce(0); }), ErrorCode::NONE);
  ASSERT_EQ(call([&] { return caller->end(true); }), ErrorCode::NONE);
  world.run_for(1s);
  EXPECT_EQ(call([&] { return caller->produce(1); }), ErrorCode::INVALID_TXN_STATE);
}

INSTANTIATE_TEST_SUITE_P(Seeds, CoordinatorFailover, ::testing::Range<std::uint64_t>(1, 6));

}  // namespace
}  // namespace verdict::broker
