// A transactional producer against a simulated broker.
#include "protocol/client/transactional_producer.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/io.h"
#include "sim/node.h"
#include "sim/world.h"
#include "tests/unit/scenarios/one_broker.h"
#include "tests/unit/sim/add_process.h"

namespace verdict::client {
namespace {

const TopicPartition kFirst{.topic = "t", .partition = 0};
const TopicPartition kSecond{.topic = "t", .partition = 1};

struct Machine final : sim::Process, DeliverySink {
  explicit Machine(Runtime& of) : runtime(of), admin(of, one_brokers_client()), scope(of) {}
  void delivered(std::uint64_t token, const DeliveryReport& report) override { reports[token] = report; }
  std::unique_ptr<TransactionalProducer> producer() {
    ProducerOptions how;
    how.delivery_timeout = 3s;
    return std::make_unique<TransactionalProducer>(runtime, one_brokers_client(), how,
                                                   TransactionOptions{.id = "a", .highest_version = version}, *this);
  }
  static bool send(TransactionalProducer& to, const TopicPartition& at, const std::string& value, std::uint64_t token) {
    ProducerRecord record;
    record.value = std::as_bytes(std::span(value.data(), value.size()));
    return to.send(at.topic, at.partition, record, token);
  }

  Runtime& runtime;
  Admin admin;
  std::map<std::uint64_t, DeliveryReport> reports;
  std::vector<std::string> seen;
  std::vector<ErrorCode> errors;
  std::vector<TransactionEnd> ends;
  bool done = false;
  std::int16_t version = 2;
  Scope scope;
};

// Until nothing came for a second.
Task<void> read_committed(Machine* m) {
  Consumer consumer(m->runtime, one_brokers_client(), {.max_wait = 100ms, .read_committed = true});
  consumer.assign(kFirst, StartAt::earliest());
  consumer.assign(kSecond, StartAt::earliest());
  for (MonoTime end = m->runtime.now() + 1s; m->runtime.now() < end;) {
    const Polled polled = co_await consumer.poll(end);
    for (const PolledPartition& part : polled.partitions) {
      for (const storage::RecordView& record : part.records)
        m->seen.emplace_back(reinterpret_cast<const char*>(record.value->data()), record.value->size());
    }
    if (polled.records() != 0) end = m->runtime.now() + 1s;
  }
  co_await consumer.close();
  std::ranges::sort(m->seen);
  m->done = true;
}

// A client that speaks this transaction version at most, on a cluster that has finalized 2.
class TransactionalProducing : public ::testing::TestWithParam<std::int16_t> {
 protected:
  void SetUp() override {
    at = sim::testing::add_process(world, "client", m);
    cluster.start_all();
    world.start(at);
    ASSERT_EQ(world.run_until([&] { return m != nullptr; }, world.now() + 1s), sim::RunEnd::stopped);
    m->version = GetParam();
    run(create_topic(m, 2));
  }
  void run(Task<void> task) {
    m->done = false;
    m->scope.spawn(std::move(task));
    ASSERT_EQ(world.run_until([&] { return m->done; }, world.now() + 60s), sim::RunEnd::stopped);
  }

  sim::World world{{.seed = 3}};
  sim::Cluster cluster{world, {.brokers = 1}, nullptr};
  Machine* m = nullptr;
  sim::NodeIndex at{};
};

// One transaction with one record in each partition.
Task<void> transact(Machine* m, TransactionalProducer* producer, std::string value, bool commit) {
  const std::uint64_t token = 2 * m->ends.size();
  std::vector<TopicPartition> both{kFirst, kSecond};
  const ErrorCode added = co_await producer->add_partitions(std::move(both), m->runtime.now() + 5s);
  m->errors.push_back(added);
  if (added == ErrorCode::NONE) {
    EXPECT_TRUE(Machine::send(*producer, kFirst, value + "1", token));
    EXPECT_TRUE(Machine::send(*producer, kSecond, value + "2", token + 1));
  }
  const MonoTime deadline = m->runtime.now() + 5s;
  TransactionEnd end;
  if (commit) {
    end = co_await producer->commit(deadline);
  } else {
    end = co_await producer->abort(deadline);
  }
  m->ends.push_back(end);
}

Task<void> commits_and_aborts(Machine* m) {
  auto producer = m->producer();
  const ErrorCode error = co_await producer->init(m->runtime.now() + 10s);
  EXPECT_EQ(error, ErrorCode::NONE);
  co_await transact(m, producer.get(), "a", true);
  co_await transact(m, producer.get(), "b", false);
  co_await transact(m, producer.get(), "c", true);
  EXPECT_EQ(producer->version_two(), m->version == 2);
  EXPECT_EQ(producer->identity().epoch, m->version == 2 ? 3 : 0) << "nothing failed";
  co_await producer->close();
  m->done = true;
}

TEST_P(TransactionalProducing, WhatIsCommittedIsSeen) {
  run(commits_and_aborts(m));
  for (const TransactionEnd& end : m->ends) EXPECT_EQ(end.outcome, TransactionOutcome::done);
  EXPECT_EQ(m->reports.size(), 6U);
  for (const auto& [token, report] : m->reports) EXPECT_EQ(report.delivery, Delivery::acknowledged);
  run(read_committed(m));
  EXPECT_EQ(m->seen, (std::vector<std::string>{"a1", "a2", "c1", "c2"}));
}

Task<void> second_life(Machine* m) {
  auto zombie = m->producer(), heir = m->producer();
  EXPECT_EQ(co_await zombie->init(m->runtime.now() + 10s), ErrorCode::NONE);
  std::vector<TopicPartition> first{kFirst};
  EXPECT_EQ(co_await zombie->add_partitions(first, m->runtime.now() + 5s), ErrorCode::NONE);
  EXPECT_TRUE(Machine::send(*zombie, kFirst, "z", 100));
  EXPECT_EQ(co_await heir->init(m->runtime.now() + 10s), ErrorCode::NONE);
  EXPECT_GT(heir->identity().epoch, zombie->identity().epoch);
  co_await transact(m, heir.get(), "h", true);
  const TransactionEnd end = co_await zombie->commit(m->runtime.now() + 5s);
  m->ends.push_back(end);
  co_await zombie->close();
  co_await heir->close();
  m->done = true;
}

TEST_P(TransactionalProducing, AZombieCommitsNothing) {
  run(second_life(m));
  EXPECT_EQ(m->ends[0].outcome, TransactionOutcome::done);
  EXPECT_EQ(m->ends[1].outcome, TransactionOutcome::not_done);
  run(read_committed(m));
  EXPECT_EQ(m->seen, (std::vector<std::string>{"h1", "h2"}));
}

// A batch that got no answer in time leaves a gap in its sequences: the transaction can only be aborted, and the next
// one begins in another epoch.
Task<void> loses_a_batch(Machine* m, std::function<void(bool)> cut) {
  auto producer = m->producer();
  EXPECT_EQ(co_await producer->init(m->runtime.now() + 10s), ErrorCode::NONE);
  co_await transact(m, producer.get(), "a", true);
  std::vector<TopicPartition> first{kFirst};
  EXPECT_EQ(co_await producer->add_partitions(first, m->runtime.now() + 5s), ErrorCode::NONE);
  cut(true);
  EXPECT_TRUE(Machine::send(*producer, kFirst, "lost", 100));
  TransactionEnd end = co_await producer->commit(m->runtime.now() + 10s);
  m->ends.push_back(end);
  cut(false);
  end = co_await producer->abort(m->runtime.now() + 10s);
  m->ends.push_back(end);
  EXPECT_GT(producer->identity().epoch, 0);
  co_await transact(m, producer.get(), "c", true);
  co_await producer->close();
  m->done = true;
}

TEST_P(TransactionalProducing, ALostBatchTakesItsTransactionWithIt) {
  const sim::NodeIndex broker = cluster.machine(NodeId(1))->index;
  const auto cut = [this, broker](bool off) {
    if (off) {
      world.block(at, broker);
    } else {
      world.heal_network();
    }
  };
  run(loses_a_batch(m, cut));
  ASSERT_EQ(m->ends.size(), 4U);
  EXPECT_EQ(m->ends[1].outcome, TransactionOutcome::not_done);
  EXPECT_EQ(m->ends[2].outcome, TransactionOutcome::done);
  EXPECT_EQ(m->ends[2].error, ErrorCode::NONE);
  EXPECT_EQ(m->ends[3].outcome, TransactionOutcome::done);
  EXPECT_NE(m->reports.at(100).delivery, Delivery::acknowledged);
  run(read_committed(m));
  EXPECT_EQ(m->seen, (std::vector<std::string>{"a1", "a2", "c1", "c2"}));
}

// What the cluster has finalized counts, whatever the client speaks.
Task<void> lower(Machine* m) {
  const auto done = co_await m->admin.lower_feature("transaction.version", 1, m->runtime.now() + 5s);
  EXPECT_TRUE(done.has_value());
  m->done = true;
}
Task<void> once(Machine* m) {
  auto producer = m->producer();
  EXPECT_EQ(co_await producer->init(m->runtime.now() + 10s), ErrorCode::NONE);
  EXPECT_FALSE(producer->version_two());
  co_await transact(m, producer.get(), "a", true);
  EXPECT_EQ(producer->identity().epoch, 0);
  co_await producer->close();
  m->done = true;
}
TEST_P(TransactionalProducing, AClusterOfBeforeKip890) {
  run(lower(m));
  world.run_for(1s);
  run(once(m));
  EXPECT_EQ(m->ends.at(0).outcome, TransactionOutcome::done);
  run(read_committed(m));
  EXPECT_EQ(m->seen, (std::vector<std::string>{"a1", "a2"}));
}

INSTANTIATE_TEST_SUITE_P(Version, TransactionalProducing, ::testing::Values(std::int16_t{1}, std::int16_t{2}));

}  // namespace
}  // namespace verdict::client
