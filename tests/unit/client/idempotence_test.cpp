#include <gtest/gtest.h>

#include <algorithm>
#include <limits>

#include "protocol/client/producer_parts.h"
#include "tests/unit/client/harness.h"

// Producers whose retries append nothing twice, against brokers that check sequences.
namespace verdict::client::testing {
namespace {

class IdempotenceTest : public ProducingTest {
 protected:
  void begin(ProducerOptions how, int nodes = 1, std::size_t partitions = 1) {
    how.idempotent = true;
    ProducingTest::begin(how, nodes, partitions);
  }
  std::vector<storage::BatchHeader> batches(std::size_t partition = 0) {
    std::vector<storage::BatchHeader> all;
    for (const FakeBatch& one : cluster->partition("t", partition).log)
      all.push_back(storage::BatchView::parse(one.bytes)->header());
    return all;
  }
  // One record a batch, all at once.
  void send_all(std::uint64_t from, std::uint64_t to, std::int32_t partition = 0) {
    for (std::uint64_t i = from; i < to; ++i) ASSERT_TRUE(send(*producer, "t", partition, std::to_string(i), i));
  }
  static std::vector<std::string> numbers(std::uint64_t from, std::uint64_t to) {
    std::vector<std::string> all;
    for (std::uint64_t i = from; i < to; ++i) all.push_back(std::to_string(i));
    return all;
  }
  std::uint64_t acknowledged() const {
    return static_cast<std::uint64_t>(std::ranges::count_if(
        outcomes.reports, [](const auto& one) { return one.second.delivery == Delivery::acknowledged; }));
  }
  // Record 0, then 1 to 19 while answers take time, the `nth` produce of which is refused.
  void refuse_one_of_several(int nth, ErrorCode error) {
    cluster->answer_delay = 5ms;
    send_all(0, 1);
    ASSERT_TRUE(settled(1));
    cluster->on_produce = [nth, error, n = 0](int, const std::string&, int) mutable {
      return ++n == nth ? error : ErrorCode::NONE;
    };
    send_all(1, 20);
    ASSERT_TRUE(settled(20));
  }
};

const ProducerOptions kOneARecord{.batch_bytes = 1};

TEST_F(IdempotenceTest, EachPartitionCountsItsRecords) {
  begin(kOneARecord, 2, 2);
  for (std::uint64_t i = 0; i < 10; ++i) send_all(i, i + 1, static_cast<std::int32_t>(i % 2));
  ASSERT_TRUE(settled(10));
  for (const std::size_t partition : {0U, 1U}) {
    std::int32_t next = 0;
    for (const auto& batch : batches(partition)) {
      EXPECT_EQ(batch.producer_id, ProducerId(1000));
      EXPECT_EQ(batch.producer_epoch, ProducerEpoch(0));
      EXPECT_EQ(batch.base_sequence, next);
      next += batch.count;
    }
    EXPECT_EQ(next, 5);
  }
}

TEST_F(IdempotenceTest, LostAnswersAppendNothingTwiceAndOutOfOrder) {
  begin(kOneARecord);
  int n = 0;
  cluster->on_request = [&](int, wire::ApiKey api) {
    if (api != wire::ApiKey::Produce) return Verdict::serve;
    ++n;
    return n % 7 == 3 ? Verdict::drop_after : n % 11 == 5 ? Verdict::drop_before : Verdict::serve;
  };
  send_all(0, 200);
  ASSERT_TRUE(settled(200));
  EXPECT_EQ(acknowledged(), 200U);
  EXPECT_EQ(values(), numbers(0, 200));
  for (const auto& [token, report] : outcomes.reports)
    EXPECT_EQ(report.offset, Offset(static_cast<std::int64_t>(token)));
  EXPECT_EQ(producer->stats().epoch_bumps, 0U);
  EXPECT_GT(producer->stats().retried_batches, 10U);
}

TEST_F(IdempotenceTest, WhatFollowsAFailureGoesAfterItsRetry) {
  begin(kOneARecord);
  ASSERT_NO_FATAL_FAILURE(refuse_one_of_several(1, ErrorCode::NOT_ENOUGH_REPLICAS));
  EXPECT_GT(cluster->most_produces_waiting, 1) << "several were under way";
  EXPECT_EQ(acknowledged(), 20U);
  EXPECT_EQ(values(), numbers(0, 20));
  EXPECT_EQ(producer->stats().epoch_bumps, 0U);
  EXPECT_TRUE(outcomes.renumbered.empty()) << "a retry has the sequence that it had";
}

// A leader that knows nothing of the producer takes whatever comes first.
TEST_F(IdempotenceTest, NothingOvertakesWhatAnEarlierLeaderWasSent) {
  begin(kOneARecord, 2, 2);
  cluster->partition("t", 1).leader = 1;
  cluster->on_request = [&](int node, wire::ApiKey) {
    cluster->answer_delay = node == 0 ? 200ms : 0ms;
    return Verdict::serve;
  };
  int refused = 0;
  cluster->on_produce = [&](int node, const std::string&, int partition) {
    if (node != partition || refused > 1) return ErrorCode::NONE;
    ++refused;
    cluster->partition("t", 0).leader = 1;
    cluster->partition("t", 0).epoch = LeaderEpoch(2);
    return ErrorCode::NOT_LEADER_OR_FOLLOWER;
  };
  send_all(0, 1);
  ASSERT_TRUE(run_until([&] { return refused == 1; }));
  send_all(1, 2, 1);
  ASSERT_TRUE(settled(1)) << "by another partition's error it learns of all leaders";
  send_all(2, 3);
  ASSERT_TRUE(settled(3));
  EXPECT_EQ(values(), (std::vector<std::string>{"0", "2"}));
  EXPECT_EQ(producer->stats().epoch_bumps, 0U);
}

TEST_F(IdempotenceTest, ABatchThatIsLostForGoodBeginsAnotherEpoch) {
  begin(kOneARecord);
  ASSERT_NO_FATAL_FAILURE(refuse_one_of_several(2, ErrorCode::MESSAGE_TOO_LARGE));
  EXPECT_EQ(acknowledged(), 19U);
  EXPECT_EQ(outcomes.reports[2].error, ErrorCode::MESSAGE_TOO_LARGE);
  std::vector<std::string> wanted = numbers(0, 20);
  wanted.erase(wanted.begin() + 2);
  EXPECT_EQ(values(), wanted);
  EXPECT_EQ(producer->stats().epoch_bumps, 1U);
  EXPECT_EQ(batches()[2].producer_epoch, ProducerEpoch(1));
  EXPECT_EQ(batches()[2].base_sequence, 0);
  // Batch 4 was under way behind the lost one, and goes again; the last was never sent with another sequence.
  EXPECT_GE(outcomes.renumbered[4], 1);
  EXPECT_FALSE(outcomes.renumbered.contains(3));
  EXPECT_FALSE(outcomes.renumbered.contains(20));
}

TEST_F(IdempotenceTest, ABrokerThatHasLostBatchesIsTakenByTheNextEpoch) {
  begin(kOneARecord, 1, 2);
  send_all(0, 5);
  send_all(5, 6, 1);
  ASSERT_TRUE(settled(6));
  cluster->partition("t").producers.at(1000) = {.epoch = 0, .next = 1};
  send_all(6, 10);
  send_all(10, 11, 1);
  ASSERT_TRUE(settled(11));
  EXPECT_EQ(acknowledged(), 11U);
  EXPECT_EQ(producer->stats().epoch_bumps, 1U);
  EXPECT_EQ(batches().back().producer_epoch, ProducerEpoch(1));
  std::vector<std::string> wanted = numbers(0, 5);
  std::ranges::copy(numbers(6, 10), std::back_inserter(wanted));
  EXPECT_EQ(values(), wanted);
}

TEST_F(IdempotenceTest, ADuplicateIsASuccess) {
  begin(kOneARecord);
  cluster->on_produce = [](int, const std::string&, int) { return ErrorCode::DUPLICATE_SEQUENCE_NUMBER; };
  send_all(0, 1);
  ASSERT_TRUE(settled(1));
  EXPECT_EQ(outcomes.reports[0].delivery, Delivery::acknowledged);
  EXPECT_EQ(outcomes.reports[0].offset, kNoOffset);
}

TEST_F(IdempotenceTest, AsksForItsIdUntilThereIsOne) {
  begin(kOneARecord, 3);
  int n = 0;
  cluster->on_init_producer = [&](int) { return ++n < 4 ? ErrorCode::COORDINATOR_LOAD_IN_PROGRESS : ErrorCode::NONE; };
  send_all(0, 3);
  ASSERT_TRUE(settled(3));
  EXPECT_EQ(acknowledged(), 3U);
  EXPECT_EQ(n, 4);
}

TEST_F(IdempotenceTest, WithoutAnIdNothingIsSent) {
  begin(kOneARecord);
  cluster->on_init_producer = [](int) { return ErrorCode::CLUSTER_AUTHORIZATION_FAILED; };
  send_all(0, 3);
  ASSERT_TRUE(settled(3));
  for (const auto& [token, report] : outcomes.reports) {
    EXPECT_EQ(report.delivery, Delivery::failed);
    EXPECT_EQ(report.error, ErrorCode::CLUSTER_AUTHORIZATION_FAILED);
  }
  EXPECT_TRUE(cluster->partition("t").log.empty());
}

TEST(Sequences, BeginAnewBehindTheLargest) {
  constexpr std::int32_t kLargest = std::numeric_limits<std::int32_t>::max();
  EXPECT_EQ(sequence_after(0, 5), 5);
  EXPECT_EQ(sequence_after(kLargest, 1), 0);
  EXPECT_EQ(sequence_after(kLargest - 1, 5), 3);
}

}  // namespace
}  // namespace verdict::client::testing
