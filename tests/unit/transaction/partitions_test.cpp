#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transaction/harness.h"

namespace verdict::transaction {
namespace {

using enum ErrorCode;
using enum TransactionState;
using testing::ElementsAre;

TEST(AddPartitionsToTxn, BeginsATransaction) {
  Harness h(1);
  const Producer producer = h.init("id")->producer;
  h.wait(10s);
  EXPECT_EQ(h.add("id", producer, {kA0, kA1, kB0}), NONE);
  EXPECT_EQ(h.state("id"), ongoing);
  EXPECT_EQ(h.find("id")->start_ms, to_ms(h.wall));
  const std::int64_t began = h.find("id")->start_ms;
  h.wait(10s);
  EXPECT_EQ(h.add("id", producer, {kA0, {"c", 0}}), NONE);
  EXPECT_EQ(h.find("id")->start_ms, began);
  EXPECT_THAT(h.find("id")->partitions, ElementsAre(kA0, kA1, kB0, TopicPartition{"c", 0}));
  EXPECT_EQ(h.log.size(), 3U);
  EXPECT_EQ(h.add("id", producer, {kA0, kB0}), NONE);
  EXPECT_EQ(h.log.size(), 3U) << "they are there already";
}

TEST(AddPartitionsToTxn, Errors) {
  Harness h(1);
  const Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.add("", producer, {kA0}), INVALID_REQUEST);
  EXPECT_EQ(h.add("unknown", producer, {kA0}), INVALID_PRODUCER_ID_MAPPING);
  EXPECT_EQ(h.add("id", {1, 0}, {kA0}), INVALID_PRODUCER_ID_MAPPING);
  for (const std::int16_t epoch : std::initializer_list<std::int16_t>{-1, 1}) {
    EXPECT_EQ(h.add("id", {producer.id, epoch}, {kA0}, 2), PRODUCER_FENCED);
    EXPECT_EQ(h.add("id", {producer.id, epoch}, {kA0}, 1), INVALID_PRODUCER_EPOCH);
  }
  EXPECT_EQ(h.log.size(), 1U);
  for (const bool commit : {true, false}) {
    h.add("id", producer, {kA0});
    h.end("id", producer, commit, 4);
    EXPECT_EQ(h.add("id", producer, {kA1}), CONCURRENT_TRANSACTIONS);
    h.mark();
    EXPECT_EQ(h.state("id"), commit ? complete_commit : complete_abort);
    EXPECT_EQ(h.add("id", producer, {kA1}), NONE);
    EXPECT_THAT(h.find("id")->partitions, ElementsAre(kA1));
    h.end("id", producer, commit, 4);
    h.mark();
  }
}

TEST(AddPartitionsToTxn, OfABrokerAddsWithTheVersionOfItsClient) {
  Harness h(2);
  const Producer producer = h.init("id")->producer;
  EXPECT_THAT(h.from_broker("id", producer, {kA0, kB0}, false, 5), ElementsAre(NONE, NONE));
  EXPECT_EQ(h.find("id")->client_version, 2);
  EXPECT_THAT(h.from_broker("id", producer, {kA1}, false, 4), ElementsAre(NONE));
  EXPECT_EQ(h.find("id")->client_version, 0);
  EXPECT_THAT(h.find("id")->partitions, ElementsAre(kA0, kA1, kB0));
  EXPECT_THAT(h.from_broker("id", {producer.id, 9}, {kA0, kA1}, false), ElementsAre(PRODUCER_FENCED, PRODUCER_FENCED));
}

TEST(AddPartitionsToTxn, VerifiesForBrokers) {
  Harness h(1);
  const Producer producer = h.init("id")->producer;
  EXPECT_THAT(h.from_broker("id", producer, {kA0}, true), ElementsAre(TRANSACTION_ABORTABLE));
  h.add("id", producer, {kA0});
  const std::size_t records = h.log.size();
  EXPECT_THAT(h.from_broker("id", producer, {kA0, kA1}, true), ElementsAre(NONE, TRANSACTION_ABORTABLE));
  EXPECT_THAT(h.from_broker("", producer, {kA0}, true), ElementsAre(INVALID_REQUEST));
  EXPECT_THAT(h.from_broker("unknown", producer, {kA0}, true), ElementsAre(INVALID_PRODUCER_ID_MAPPING));
  EXPECT_THAT(h.from_broker("id", {3, 0}, {kA0}, true), ElementsAre(INVALID_PRODUCER_ID_MAPPING));
  EXPECT_THAT(h.from_broker("id", {producer.id, 1}, {kA0, kA1}, true), ElementsAre(PRODUCER_FENCED, PRODUCER_FENCED));
  EXPECT_EQ(h.log.size(), records) << "nothing is added";
  for (const bool commit : {true, false}) {
    h.add("id", producer, {kA0});
    h.end("id", producer, commit, 4);
    EXPECT_THAT(h.from_broker("id", producer, {kA0}, true), ElementsAre(CONCURRENT_TRANSACTIONS));
    h.mark();
    EXPECT_THAT(h.from_broker("id", producer, {kA0}, true), ElementsAre(TRANSACTION_ABORTABLE));
  }
}

TEST(AddPartitionsToTxn, TheDefectTakesFencedProducersToo) {
  for (const bool planted : {false, true}) {
    Harness h(1);
    if (planted) h.options.defects.add(Defect::InitNoFence);
    h.fail_over();
    const Producer fenced = h.init("id")->producer;
    const Producer producer = h.init("id")->producer;
    ASSERT_EQ(producer.epoch, fenced.epoch + 1);
    EXPECT_EQ(h.add("id", fenced, {kA0}), planted ? NONE : PRODUCER_FENCED);
    EXPECT_THAT(h.from_broker("id", fenced, {kA0}, true), ElementsAre(planted ? NONE : PRODUCER_FENCED));
    const Producer unborn{producer.id, static_cast<std::int16_t>(producer.epoch + 1)};
    EXPECT_EQ(h.add("id", unborn, {kA0}), PRODUCER_FENCED);
    EXPECT_EQ(h.add("id", producer, {kA0}), NONE);
    EXPECT_EQ(h.end("id", fenced, true, 4)->error, PRODUCER_FENCED) << "EndTxn is another matter";
  }
}

TEST(AddOffsetsToTxn, AddsThePartitionOfTheGroup) {
  Harness h(1);
  const Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.add_offsets("id", producer, 17), NONE);
  EXPECT_THAT(h.find("id")->partitions, ElementsAre(TopicPartition{"__consumer_offsets", 17}));
  EXPECT_EQ(h.state("id"), ongoing);
  EXPECT_EQ(h.add_offsets("", producer, 17), INVALID_REQUEST);
  EXPECT_EQ(h.add_offsets("id", {producer.id, 5}, 17), PRODUCER_FENCED);
  EXPECT_EQ(h.add_offsets("id", {producer.id, 5}, 17, 1), INVALID_PRODUCER_EPOCH);
  EXPECT_EQ(h.add_offsets("id", {5, 0}, 17), INVALID_PRODUCER_ID_MAPPING);
  h.end("id", producer, true, 4);
  EXPECT_EQ(h.add_offsets("id", producer, 17), CONCURRENT_TRANSACTIONS);
}

}  // namespace
}  // namespace verdict::transaction
