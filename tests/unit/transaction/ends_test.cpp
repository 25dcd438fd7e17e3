#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transaction/harness.h"

namespace verdict::transaction {
namespace {

using enum ErrorCode;
using enum TransactionState;
using testing::ElementsAre;

constexpr std::int16_t kLast = kMaxProducerEpoch - 1;

Producer begin(Harness& h, std::vector<TopicPartition> partitions = {kA0}) {
  const Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.add("id", producer, std::move(partitions)), NONE);
  return producer;
}

class EndTxn : public testing::TestWithParam<bool> {};  // commit or abort
INSTANTIATE_TEST_SUITE_P(Both, EndTxn, testing::Bool());

TEST_P(EndTxn, IsAnsweredBeforeTheMarkersAreWritten) {
  const bool commit = GetParam();
  Harness h(0);
  const Producer producer = begin(h, {kA0, kB0});
  EXPECT_EQ(h.end("id", producer, commit, 4), (Answer{NONE}));
  EXPECT_EQ(h.state("id"), commit ? prepare_commit : prepare_abort);
  ASSERT_EQ(h.markers.size(), 1U);
  EXPECT_EQ(h.markers[0].commit, commit);
  EXPECT_EQ(h.markers[0].producer_epoch, 0);
  EXPECT_EQ(h.markers[0].transaction_version, 0);
  EXPECT_THAT(h.markers[0].partitions, ElementsAre(kA0, kB0));
  const std::int64_t began = h.find("id")->start_ms;
  h.mark();
  EXPECT_EQ(h.state("id"), commit ? complete_commit : complete_abort);
  EXPECT_TRUE(h.find("id")->partitions.empty());
  EXPECT_EQ(h.find("id")->start_ms, began);
  EXPECT_EQ(h.log.size(), 4U);
}

TEST_P(EndTxn, BeforeVersion2TheStateTellsARetry) {
  const bool commit = GetParam();
  Harness h(1);
  const Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.end("id", producer, commit, 4)->error, INVALID_TXN_STATE);
  h.add("id", producer, {kA0});
  h.end("id", producer, commit, 4);
  EXPECT_EQ(h.end("id", producer, commit, 4)->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.end("id", producer, !commit, 4)->error, INVALID_TXN_STATE);
  h.mark();
  EXPECT_EQ(h.end("id", producer, commit, 4), (Answer{NONE}));
  EXPECT_EQ(h.end("id", producer, !commit, 4)->error, INVALID_TXN_STATE);
  EXPECT_EQ(h.log.size(), 4U);
}

TEST_P(EndTxn, OfOthersIsRefused) {
  const bool commit = GetParam();
  for (const int version : {4, 5}) {
    Harness h(2);
    const Producer producer = begin(h);
    EXPECT_EQ(h.end("", producer, commit, version)->error, INVALID_REQUEST);
    EXPECT_EQ(h.end("unknown", producer, commit, version)->error, INVALID_PRODUCER_ID_MAPPING);
    EXPECT_EQ(h.end("id", {5, 0}, commit, version)->error, INVALID_PRODUCER_ID_MAPPING);
    EXPECT_EQ(h.end("id", {producer.id, 1}, commit, version)->error, PRODUCER_FENCED);
    EXPECT_EQ(h.end("id", {producer.id, -1}, commit, version)->error, PRODUCER_FENCED);
    EXPECT_EQ(h.end("id", {producer.id, 1}, commit, 1)->error, INVALID_PRODUCER_EPOCH);
    EXPECT_EQ(h.state("id"), ongoing);
  }
}

TEST_P(EndTxn, AtVersion2EachBumpsTheEpoch) {
  const bool commit = GetParam();
  Harness h(2);
  const Producer producer = begin(h);
  EXPECT_EQ(h.end("id", producer, commit, 5), (Answer{NONE, {1000, 1}}));
  EXPECT_EQ(h.markers.at(0).producer_epoch, 1);
  EXPECT_EQ(h.markers.at(0).transaction_version, 2);
  EXPECT_EQ(h.find("id")->client_version, 2);
  EXPECT_EQ(h.end("id", producer, commit, 5)->error, CONCURRENT_TRANSACTIONS) << "a retry";
  EXPECT_EQ(h.end("id", producer, !commit, 5)->error, INVALID_TXN_STATE);
  EXPECT_EQ(h.end("id", {1000, 1}, commit, 5)->error, PRODUCER_FENCED) << "the next, too early";
  h.mark();
  EXPECT_EQ(h.end("id", producer, commit, 5), (Answer{NONE, {1000, 1}})) << "a retry";
  EXPECT_EQ(h.end("id", producer, !commit, 5)->error, INVALID_TXN_STATE);
  EXPECT_EQ(h.end("id", {1000, 2}, commit, 5)->error, PRODUCER_FENCED);
  EXPECT_EQ(h.add("id", producer, {kA0}), PRODUCER_FENCED);
  EXPECT_EQ(h.add("id", {1000, 1}, {kA0}), NONE);
  EXPECT_EQ(h.end("id", producer, commit, 5)->error, PRODUCER_FENCED) << "a late retry ends no later transaction";
}

TEST(EndTxnV2, AtVersion2NothingIsNothingToCommit) {
  Harness h(2);
  Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.end("id", producer, true, 5)->error, INVALID_TXN_STATE);
  for (const bool commit : {true, false}) {
    h.add("id", producer, {kA0});
    producer = h.end("id", producer, commit, 5)->producer;
    h.mark();
    EXPECT_EQ(h.end("id", producer, true, 5)->error, INVALID_TXN_STATE);
  }
}

TEST(EndTxnV2, AtVersion2NothingCanBeAborted) {
  Harness h(2);
  Producer producer = h.init("id")->producer;
  for (const TransactionState from : {empty, complete_abort, complete_commit}) {
    if (from == complete_commit) {
      h.add("id", producer, {kA0});
      producer = h.end("id", producer, true, 5)->producer;
      h.mark();
    }
    ASSERT_EQ(h.state("id"), from);
    h.wait(1s);
    const std::size_t records = h.log.size();
    const Producer next{producer.id, static_cast<std::int16_t>(producer.epoch + 1)};
    EXPECT_EQ(h.end("id", producer, false, 5), (Answer{NONE, next}));
    EXPECT_EQ(h.log.size(), records + 2) << "PrepareAbort and CompleteAbort";
    EXPECT_EQ(h.batches.back(), 1U);
    EXPECT_TRUE(h.markers.empty());
    EXPECT_EQ(h.state("id"), complete_abort);
    EXPECT_EQ(h.find("id")->start_ms, to_ms(h.wall));
    EXPECT_EQ(h.end("id", producer, false, 5), (Answer{NONE, next})) << "a retry";
    producer = next;
  }
}

TEST_P(EndTxn, AtVersion2TheLastEpochLeadsToANewProducerId) {
  const bool commit = GetParam();
  Harness h(2);
  h.allocate_at_once = false;
  h.rewrite("id", {.producer_id = 7,
                   .producer_epoch = kLast,
                   .timeout_ms = 60000,
                   .state = ongoing,
                   .partitions = {kA0},
                   .start_ms = to_ms(h.wall)});
  const Producer last{7, kLast};
  EXPECT_EQ(h.end("id", last, commit, 5), std::nullopt);
  EXPECT_EQ(h.end("id", last, commit, 5)->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.add("id", last, {kA1}), CONCURRENT_TRANSACTIONS);
  h.allocated("id", std::unexpected(COORDINATOR_LOAD_IN_PROGRESS));
  EXPECT_EQ(h.later_answers.at(1), (Answer{COORDINATOR_LOAD_IN_PROGRESS}));
  EXPECT_EQ(h.state("id"), ongoing);
  h.end("id", last, commit, 5);
  h.allocated("id", 60);
  EXPECT_EQ(h.later_answers.at(5), (Answer{NONE, {60, 0}}));
  EXPECT_EQ(h.markers.at(0).producer_id, 7);
  EXPECT_EQ(h.markers.at(0).producer_epoch, kMaxProducerEpoch);
  EXPECT_EQ(h.end("id", last, commit, 5)->error, CONCURRENT_TRANSACTIONS) << "a retry";
  h.fail_over();
  EXPECT_EQ(h.end("id", last, commit, 5)->error, CONCURRENT_TRANSACTIONS);
  h.mark();
  EXPECT_EQ(h.end("id", last, commit, 5), (Answer{NONE, {60, 0}}));
  EXPECT_EQ(h.find("id")->next_producer_id, kNoProducerId);
  h.fail_over();
  EXPECT_EQ(h.end("id", last, commit, 5), (Answer{NONE, {60, 0}})) << "known to the next coordinator, too";
  EXPECT_EQ(h.end("id", last, !commit, 5)->error, INVALID_TXN_STATE);
  EXPECT_EQ(h.add("id", {60, 0}, {kA0}), NONE);
  EXPECT_EQ(h.end("id", last, commit, 5)->error, INVALID_PRODUCER_ID_MAPPING);
}

TEST(EndTxnV2, AProducerThatLostTheAnswerMayGoOn) {  // KIP-360
  Harness h(2);
  const Producer producer = begin(h);
  h.end("id", producer, true, 5);
  h.mark();
  EXPECT_EQ(h.init("id", producer), (Answer{NONE, {1000, 1}}));
}

TEST(EndTxnV2, NobodyIsToldTheHighestEpoch) {  // left by Kafka 4.1, or by a fence before version 2
  Harness h(2);
  h.rewrite("id", {.producer_id = 7,
                   .producer_epoch = kMaxProducerEpoch,
                   .timeout_ms = 60000,
                   .state = complete_abort,
                   .start_ms = 1,
                   .client_version = 2});
  EXPECT_EQ(h.end("id", {7, kLast}, false, 5)->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id", Producer{7, kLast})->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 0}}));
}

TEST_P(EndTxn, AnOlderClientOfANewClusterKeepsItsEpoch) {
  Harness h(2);
  const Producer producer = begin(h);
  EXPECT_EQ(h.end("id", producer, GetParam(), 4), (Answer{NONE}));
  EXPECT_EQ(h.find("id")->producer_epoch, 0);
  EXPECT_EQ(h.find("id")->client_version, 0);
}

TEST(Markers, CompleteWhenEachPartitionHasItsOwn) {
  Harness h(1);
  const Producer producer = begin(h, {kA0, kA1, kB0});
  h.end("id", producer, true, 4);
  h.mark({MarkerOutcome::done, MarkerOutcome::retry_later, MarkerOutcome::gone});
  EXPECT_EQ(h.state("id"), prepare_commit);
  EXPECT_THAT(h.find("id")->partitions, ElementsAre(kA1));
  EXPECT_TRUE(h.markers.empty());
  h.wait(99ms);
  EXPECT_TRUE(h.markers.empty());
  h.wait(1ms);
  ASSERT_EQ(h.markers.size(), 1U);
  EXPECT_TRUE(h.markers[0].commit);
  EXPECT_THAT(h.markers[0].partitions, ElementsAre(kA1));
  h.mark({MarkerOutcome::retry_later});
  h.wait(100ms);
  h.mark();
  EXPECT_EQ(h.state("id"), complete_commit);
  EXPECT_EQ(h.log.size(), 4U);
}

TEST(Markers, OfAnEarlierTransactionCountForNothing) {
  Harness h(2);
  const Producer producer = begin(h);
  const Producer second = h.end("id", producer, true, 5)->producer;
  const events_in::MarkersWritten late{.transactional_id = "id",
                                       .producer_id = h.markers.at(0).producer_id,
                                       .producer_epoch = h.markers.at(0).producer_epoch,
                                       .partitions = {{kA0, MarkerOutcome::done}}};
  h.mark();
  h.marked(late);
  EXPECT_EQ(h.state("id"), complete_commit);
  h.add("id", second, {kA0});
  h.marked(late);
  h.end("id", second, false, 5);
  h.marked(late);
  EXPECT_EQ(h.state("id"), prepare_abort);
  h.marked({.transactional_id = "unknown"});
  h.marked({.transactional_id = "id", .producer_id = 999, .producer_epoch = 2, .partitions = {{kA0}}});
  EXPECT_EQ(h.state("id"), prepare_abort);
  h.mark();
  EXPECT_EQ(h.state("id"), complete_abort);
}

TEST(Markers, AreNoLongerSentOnceRefusedForGood) {
  Harness h(1);
  const Producer producer = begin(h, {kA0, kA1, kB0});
  h.end("id", producer, false, 4);
  h.mark({MarkerOutcome::done, MarkerOutcome::retry_later, MarkerOutcome::fenced});
  h.wait(60s);
  EXPECT_TRUE(h.markers.empty());
  EXPECT_EQ(h.state("id"), prepare_abort);
  EXPECT_TRUE(h.lines.back().warning);
  h.fail_over();
  ASSERT_EQ(h.markers.size(), 1U);
  EXPECT_THAT(h.markers[0].partitions, ElementsAre(kA0, kA1, kB0));
}

TEST(Markers, AreSentAgainByTheNextCoordinator) {
  Harness h(1);
  const Producer producer = begin(h, {kA0, kB0});
  h.end("id", producer, true, 4);
  h.mark({MarkerOutcome::done, MarkerOutcome::retry_later});
  h.fail_over();
  ASSERT_EQ(h.markers.size(), 1U);
  EXPECT_TRUE(h.markers[0].commit);
  EXPECT_EQ(h.markers[0].coordinator_epoch, 1);
  EXPECT_THAT(h.markers[0].partitions, ElementsAre(kA0, kB0)) << "to all: who has one already takes it again";
  h.mark();
  EXPECT_EQ(h.state("id"), complete_commit);
}

TEST(Markers, APreparedTransactionWithoutPartitionsIsCompletedAtLoad) {
  Harness h(2);
  h.rewrite("id", {.producer_id = 7, .producer_epoch = 3, .timeout_ms = 1, .state = prepare_abort, .start_ms = 1});
  EXPECT_EQ(h.state("id"), complete_abort);
  EXPECT_EQ(h.log.size(), 2U);
}

TEST(TransactionStates, FollowEachOther) {
  const std::map<TransactionState, std::set<TransactionState>> rules{
      {empty, {empty, complete_commit, complete_abort}},
      {ongoing, {empty, ongoing, complete_commit, complete_abort}},
      {prepare_commit, {ongoing}},
      {prepare_abort, {empty, ongoing, complete_commit, complete_abort, prepare_epoch_fence}},
      {complete_commit, {prepare_commit}},
      {complete_abort, {prepare_abort}},
      {dead, {empty, complete_commit, complete_abort}},
      {prepare_epoch_fence, {ongoing}}};
  for (const auto& [to, before] : rules) {
    for (const auto& [from, unused] : rules) {
      EXPECT_EQ(may_follow(from, to), before.contains(from)) << name_of(from) << " -> " << name_of(to);
    }
    EXPECT_EQ(find_state(name_of(to)), to);
  }
}

TEST(Markers, WhatAnErrorMeans) {
  EXPECT_EQ(marker_outcome(NONE), MarkerOutcome::done);
  EXPECT_EQ(marker_outcome(UNSUPPORTED_VERSION), MarkerOutcome::gone);
  EXPECT_EQ(marker_outcome(INVALID_PRODUCER_EPOCH), MarkerOutcome::fenced);
  EXPECT_EQ(marker_outcome(TRANSACTION_COORDINATOR_FENCED), MarkerOutcome::fenced);
  for (const ErrorCode error : {UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, NOT_ENOUGH_REPLICAS,
                                NOT_ENOUGH_REPLICAS_AFTER_APPEND, REQUEST_TIMED_OUT, KAFKA_STORAGE_ERROR}) {
    EXPECT_EQ(marker_outcome(error), MarkerOutcome::retry_later);
  }
}

}  // namespace
}  // namespace verdict::transaction
