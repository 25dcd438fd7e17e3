#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transaction/harness.h"

namespace verdict::transaction {
namespace {

using enum ErrorCode;
using enum TransactionState;

constexpr std::int16_t kLast = kMaxProducerEpoch - 1;  // the highest epoch that a client may have

Transaction at_rest(std::int16_t epoch, TransactionState state = empty) {
  return {.producer_id = 7,
          .producer_epoch = epoch,
          .timeout_ms = 60000,
          .state = state,
          .start_ms = state == empty ? -1 : 5,
          .last_update_ms = 1'700'000'000'000};
}
Transaction open(std::int16_t epoch) {
  Transaction t = at_rest(epoch, ongoing);
  t.partitions = {kA0};
  t.start_ms = 1'700'000'000'000;
  return t;
}

TEST(InitProducerId, ANewIdBeginsAtEpoch0) {
  Harness h(0);
  EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 0}}));
  EXPECT_EQ(h.state("id"), empty);
  EXPECT_EQ(h.find("id")->start_ms, -1);
  EXPECT_EQ(h.log.size(), 1U);
  EXPECT_EQ(h.init("other"), (Answer{NONE, {1001, 0}}));
}

TEST(InitProducerId, EachBumpsTheEpoch) {
  Harness h(0);
  h.init("id");
  EXPECT_EQ(h.init("id", std::nullopt, 5, 1234), (Answer{NONE, {1000, 1}}));
  EXPECT_EQ(h.find("id")->timeout_ms, 1234);
  EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 2}}));
}

TEST(InitProducerId, WhatIsNoRequest) {
  Harness h(2);
  EXPECT_EQ(h.init("")->error, INVALID_REQUEST);
  EXPECT_EQ(h.init("id", Producer{.id = 5})->error, INVALID_REQUEST);
  EXPECT_EQ(h.init("id", Producer{.epoch = 5})->error, INVALID_REQUEST);
  EXPECT_EQ(h.init("id", std::nullopt, 5, 0)->error, INVALID_TRANSACTION_TIMEOUT);
  EXPECT_EQ(h.init("id", std::nullopt, 5, -1)->error, INVALID_TRANSACTION_TIMEOUT);
  EXPECT_EQ(h.init("id", std::nullopt, 5, 900'001)->error, INVALID_TRANSACTION_TIMEOUT);
  EXPECT_EQ(h.init("id", std::nullopt, 5, 900'000)->error, NONE);
}

TEST(InitProducerId, WhileAProducerIdIsAllocatedOthersWait) {
  Harness h(2);
  h.allocate_at_once = false;
  EXPECT_EQ(h.init("id"), std::nullopt);
  EXPECT_THAT(h.allocations, testing::ElementsAre("id"));
  EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.add("id", {1, 0}, {kA0}), INVALID_PRODUCER_ID_MAPPING);
  EXPECT_EQ(h.allocations.size(), 1U);
  h.allocated("id", std::unexpected(COORDINATOR_LOAD_IN_PROGRESS));
  EXPECT_EQ(h.later_answers.at(1), (Answer{COORDINATOR_LOAD_IN_PROGRESS}));
  EXPECT_EQ(h.find("id"), nullptr);
  EXPECT_TRUE(h.log.empty());
  EXPECT_EQ(h.init("id"), std::nullopt);
  h.allocated("id", 44);
  EXPECT_EQ(h.later_answers.at(4), (Answer{NONE, {44, 0}}));
  h.allocated("id", 45);  // asked for by an earlier coordinator
  EXPECT_EQ(h.find("id")->producer_id, 44);
  EXPECT_EQ(h.log.size(), 1U);
}

TEST(InitProducerId, AProducerGoesOnFromWhatItHas) {  // KIP-360
  Harness h(1);
  const Producer first = h.init("id")->producer;
  EXPECT_EQ(h.init("id", first), (Answer{NONE, {1000, 1}}));
  EXPECT_EQ(h.init("id", first), (Answer{NONE, {1000, 1}})) << "the retry of the same";
  EXPECT_EQ(h.init("id", Producer{1000, 1}), (Answer{NONE, {1000, 2}}));
  EXPECT_EQ(h.init("id", first)->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id", first, 3)->error, INVALID_PRODUCER_EPOCH);
  EXPECT_EQ(h.init("id", Producer{999, 2})->error, PRODUCER_FENCED);
}

TEST(InitProducerId, AnotherInstanceEndsWhatTheOldOneMayRetry) {
  Harness h(1);
  const Producer old = h.init("id")->producer;
  h.init("id", old);
  h.init("id");
  EXPECT_EQ(h.init("id", old)->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id", Producer{1000, 1})->error, PRODUCER_FENCED);
  EXPECT_EQ(h.find("id")->producer_epoch, 2);
}

TEST(InitProducerId, AProducerThatIsGoneGetsANewId) {
  Harness h(1);
  EXPECT_EQ(h.init("id", Producer{5, 9}), (Answer{NONE, {1000, 0}}));
}

TEST(InitProducerId, ARetryAcrossAChangeOfCoordinatorsIsFenced) {  // the last epoch is in memory only, as in Kafka
  Harness h(1);
  const Producer first = h.init("id")->producer;
  h.init("id", first);
  h.fail_over();
  EXPECT_EQ(h.init("id", first)->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id", Producer{1000, 1}), (Answer{NONE, {1000, 2}}));
}

TEST(InitProducerId, FencesAndAbortsWhatIsOpen) {
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{0, 1, 2}) {
    Harness h(feature);
    const Producer old = h.init("id")->producer;
    ASSERT_EQ(h.add("id", old, {kA0, kB0}), NONE);
    EXPECT_EQ(h.init("id"), (Answer{CONCURRENT_TRANSACTIONS}));
    EXPECT_EQ(h.state("id"), prepare_abort);
    ASSERT_EQ(h.markers.size(), 1U);
    EXPECT_FALSE(h.markers[0].commit);
    EXPECT_EQ(h.markers[0].producer_id, 1000);
    EXPECT_EQ(h.markers[0].producer_epoch, 1) << "above the epoch of who is fenced";
    EXPECT_EQ(h.markers[0].transaction_version, feature == 2 ? 2 : 0);
    EXPECT_THAT(h.markers[0].partitions, testing::ElementsAre(kA0, kB0));
    EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
    EXPECT_EQ(h.add("id", old, {kA1}), PRODUCER_FENCED);
    EXPECT_EQ(h.end("id", old, true, 4)->error, PRODUCER_FENCED);
    h.mark();
    EXPECT_EQ(h.state("id"), complete_abort);
    EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 2}})) << "nobody is told the epoch of the fence";
    EXPECT_EQ(h.end("id", old, true, 4)->error, PRODUCER_FENCED);
    EXPECT_EQ(h.end("id", old, false, 5)->error, PRODUCER_FENCED);
  }
}

TEST(InitProducerId, AProducerThatGoesOnAbortsItsOwn) {
  Harness h(2);
  const Producer producer = h.init("id")->producer;
  h.add("id", producer, {kA0});
  EXPECT_EQ(h.init("id", producer)->error, CONCURRENT_TRANSACTIONS);
  h.mark();
  EXPECT_EQ(h.init("id", producer), (Answer{NONE, {1000, 1}})) << "the fence's epoch is the bump that it asked for";
}

TEST(InitProducerId, WaitsForMarkers) {
  Harness h(0);
  const Producer producer = h.init("id")->producer;
  h.add("id", producer, {kA0});
  h.end("id", producer, true, 4);
  EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
  h.mark();
  EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 1}}));
}

TEST(InitProducerId, TheLastEpochLeadsToANewProducerId) {
  for (const TransactionState state : {empty, complete_commit, complete_abort}) {
    Harness h(1);
    h.rewrite("id", at_rest(kLast - 1, state));
    EXPECT_EQ(h.init("id"), (Answer{NONE, {7, kLast}}));
    EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 0}}));
    EXPECT_EQ(h.find("id")->previous_producer_id, 7);
    EXPECT_EQ(h.init("id", Producer{7, kLast})->error, PRODUCER_FENCED) << "another instance took it";
  }
}

TEST(InitProducerId, AProducerAtItsLastEpochGoesOnWithANewId) {
  Harness h(1);
  h.rewrite("id", at_rest(kLast));
  EXPECT_EQ(h.init("id", Producer{7, kLast}), (Answer{NONE, {1000, 0}}));
  EXPECT_EQ(h.init("id", Producer{7, kLast}), (Answer{NONE, {1000, 0}})) << "the retry";
  EXPECT_EQ(h.init("id", Producer{7, kLast - 1})->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id", Producer{1000, 0}), (Answer{NONE, {1000, 1}}));
}

TEST(InitProducerId, ARetryOfTheBumpToTheLastEpochIsAnswered) {
  Harness h(1);
  h.rewrite("id", at_rest(kLast - 1));
  EXPECT_EQ(h.init("id", Producer{7, kLast - 1}), (Answer{NONE, {7, kLast}}));
  EXPECT_EQ(h.init("id", Producer{7, kLast - 1}), (Answer{NONE, {7, kLast}}));
}

TEST(InitProducerId, FencingTheLastEpochTellsNobodyTheHighest) {
  Harness h(1);
  h.rewrite("id", open(kLast));
  EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.markers.at(0).producer_epoch, kMaxProducerEpoch);
  h.mark();
  EXPECT_EQ(h.find("id")->producer_epoch, kMaxProducerEpoch);
  EXPECT_EQ(h.init("id", Producer{7, kLast})->error, PRODUCER_FENCED);
  EXPECT_EQ(h.init("id"), (Answer{NONE, {1000, 0}}));
}

TEST(InitProducerId, AtVersion2FencingTheLastEpochLeadsToANewId) {
  Harness h(2);
  h.allocate_at_once = false;
  h.rewrite("id", open(kLast));
  EXPECT_EQ(h.init("id"), std::nullopt);
  EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.add("id", {7, kLast}, {kA1}), CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.end("id", {7, kLast}, true, 5)->error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.state("id"), ongoing);
  h.allocated("id", std::unexpected(COORDINATOR_LOAD_IN_PROGRESS));
  EXPECT_EQ(h.later_answers.at(1).error, COORDINATOR_LOAD_IN_PROGRESS);
  h.init("id");
  h.allocated("id", 50);
  EXPECT_EQ(h.later_answers.at(5).error, CONCURRENT_TRANSACTIONS);
  EXPECT_EQ(h.markers.at(0).producer_id, 7);
  EXPECT_EQ(h.markers.at(0).producer_epoch, kMaxProducerEpoch);
  h.mark();
  EXPECT_EQ(h.find("id")->producer_id, 50);
  EXPECT_EQ(h.find("id")->producer_epoch, 0);
  EXPECT_EQ(h.end("id", {7, kLast}, true, 5)->error, INVALID_TXN_STATE);
  EXPECT_EQ(h.end("id", {7, kLast}, false, 5), (Answer{NONE, {50, 0}})) << "as if it had aborted itself";
  h.allocate_at_once = true;
  EXPECT_EQ(h.init("id"), (Answer{NONE, {50, 1}}));
  EXPECT_EQ(h.end("id", {7, kLast}, false, 5)->error, INVALID_PRODUCER_ID_MAPPING);
}

TEST(InitProducerId, AtTheHighestEpochAFenceStillAborts) {  // a log that an older Kafka left
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{1, 2}) {
    Harness h(feature);
    h.rewrite("id", open(kMaxProducerEpoch));
    EXPECT_EQ(h.init("id")->error, CONCURRENT_TRANSACTIONS);
    EXPECT_EQ(h.markers.at(0).producer_epoch, kMaxProducerEpoch);
    h.mark();
    EXPECT_EQ(h.init("id")->error, NONE);
    EXPECT_EQ(h.find("id")->producer_id, 1000);
  }
}

}  // namespace
}  // namespace verdict::transaction
