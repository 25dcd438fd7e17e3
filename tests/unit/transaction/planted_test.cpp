#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/transaction/harness.h"

// Planted defects, each beside what a coordinator does without it; and what it says of its decisions.
namespace verdict::transaction {
namespace {

using enum ErrorCode;
using enum TransactionState;

std::unique_ptr<Harness> with(std::optional<Defect> defect, std::int16_t version = 2) {
  auto h = std::make_unique<Harness>(version);
  if (defect) h->options.defects.add(*defect);
  h->fail_over();
  return h;
}

TEST(Planted, Kip890ATransactionEndsWithoutANewEpoch) {
  for (const bool planted : {false, true}) {
    const auto h = with(planted ? std::optional(Defect::Kip890) : std::nullopt);
    const Producer producer = h->init("id")->producer;
    h->add("id", producer, {kA0});
    const Answer end = *h->end("id", producer, true, 5);
    EXPECT_EQ(end.error, NONE);
    EXPECT_EQ(end.producer.epoch, planted ? producer.epoch : producer.epoch + 1);
    EXPECT_EQ(std::ranges::count(h->marks, Mark::DefectKip890), planted ? 1 : 0);
    h->mark();
    // A batch of the transaction before, late: it is taken into the next one, or refused.
    EXPECT_EQ(h->from_broker("id", producer, {kA0}, false).at(0), planted ? NONE : PRODUCER_FENCED);
  }
}

TEST(Planted, EndtxnRetryEndsTheNextTransaction) {
  for (const bool planted : {false, true}) {
    const auto h = with(planted ? std::optional(Defect::EndtxnRetry) : std::nullopt);
    const Producer first = h->init("id")->producer;
    h->add("id", first, {kA0});
    const Producer second = h->end("id", first, true, 5)->producer;
    h->mark();
    EXPECT_EQ(h->end("id", first, true, 5), (Answer{NONE, second})) << "its own retry";
    h->add("id", second, {kA0});
    EXPECT_EQ(h->end("id", first, true, 5)->error, planted ? NONE : PRODUCER_FENCED);
    EXPECT_EQ(h->state("id"), planted ? prepare_commit : ongoing);
    EXPECT_EQ(std::ranges::count(h->marks, Mark::DefectEndtxnRetry), planted ? 1 : 0);
  }
}

TEST(Planted, Kafka9600AZombieEndsAnothersTransaction) {
  for (const bool planted : {false, true}) {
    for (const int version : {4, 5}) {
      const auto h = with(planted ? std::optional(Defect::Kafka9600) : std::nullopt);
      const Producer zombie = h->init("id")->producer;
      const Producer heir = h->init("id")->producer;
      h->add("id", heir, {kA0});
      EXPECT_EQ(h->end("id", zombie, true, version)->error, planted ? NONE : PRODUCER_FENCED);
      EXPECT_EQ(h->state("id"), planted ? prepare_commit : ongoing);
      EXPECT_EQ(std::ranges::count(h->marks, planted ? Mark::DefectKafka9600 : Mark::EndTxnFenced), 1);
    }
  }
}

TEST(Decisions, AreToldWithTheirCause) {
  Harness h(2);
  Producer producer = h.init("id", std::nullopt, 5, 1000)->producer;
  h.add("id", producer, {kA0});
  h.wait(200ms);
  producer = h.end("id", producer, true, 5)->producer;
  h.mark();
  h.add("id", producer, {kA0});
  h.init("id");
  h.mark();
  producer = h.init("id", std::nullopt, 5, 1000)->producer;
  h.add("id", producer, {kA0});
  h.wait(20s);
  ASSERT_EQ(h.decided.size(), 3U);
  EXPECT_EQ(h.decided[0].cause, "end");
  EXPECT_TRUE(h.decided[0].commit);
  EXPECT_EQ(h.decided[0].open_ms, 200);
  EXPECT_EQ(h.decided[0].timeout_ms, 1000);
  EXPECT_EQ(h.decided[1].cause, "fence");
  EXPECT_EQ(h.decided[2].cause, "timeout");
  EXPECT_GT(h.decided[2].open_ms, 1000);
  for (const effects::Decided& decided : h.decided) {
    EXPECT_EQ(decided.producer_epoch, decided.ended_epoch + 1);
    EXPECT_EQ(decided.version, 2);
  }
}

TEST(Decisions, WhatIsFoundIsTold) {
  Harness h(2);
  const Producer producer = h.init("id")->producer;
  h.add("id", producer, {kA0});
  h.init("other");
  h.feed.found.clear();
  h.fail_over();
  EXPECT_THAT(h.feed.found, testing::ElementsAre("id Ongoing 1000/0", "other Empty 1001/0"));
  EXPECT_TRUE(h.decided.empty());
  h.end("id", producer, true, 5);
  h.feed.found.clear();
  h.fail_over();
  EXPECT_EQ(h.feed.found.front(), "id PrepareCommit 1000/1");
  EXPECT_EQ(h.decided.size(), 1U) << "it is decided already";
}

}  // namespace
}  // namespace verdict::transaction
