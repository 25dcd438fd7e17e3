#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/transaction/pattern.h"
#include "tests/unit/transaction/harness.h"

namespace verdict::transaction {
namespace {

using enum ErrorCode;
using enum TransactionState;
using testing::ElementsAre;

TEST(TimeOut, AbortsAtABumpedEpoch) {
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{0, 2}) {
    Harness h(feature);
    const Producer producer = h.init("id", std::nullopt, 5, 15000)->producer;
    h.add("id", producer, {kA0});
    h.wait(15s);
    EXPECT_EQ(h.state("id"), ongoing);
    h.wait(5s);  // the interval is ten seconds
    EXPECT_EQ(h.state("id"), prepare_abort);
    EXPECT_EQ(h.markers.at(0).producer_epoch, 1);
    EXPECT_EQ(h.markers.at(0).transaction_version, feature);
    EXPECT_EQ(h.end("id", producer, true, feature == 2 ? 5 : 4)->error,
              feature == 2 ? INVALID_TXN_STATE : PRODUCER_FENCED);
    h.mark();
    EXPECT_EQ(h.state("id"), complete_abort);
    EXPECT_EQ(h.add("id", producer, {kA0}), PRODUCER_FENCED);
    if (feature == 2) {  // its own late abort tells it how to go on
      EXPECT_EQ(h.end("id", producer, false, 5), (Answer{NONE, {1000, 1}}));
    } else {
      EXPECT_EQ(h.end("id", producer, false, 4)->error, PRODUCER_FENCED);
    }
  }
}

TEST(TimeOut, CountsFromTheBeginningOfEachTransaction) {
  Harness h(1);
  const Producer producer = h.init("id", std::nullopt, 5, 15000)->producer;
  for (int i = 0; i < 10; ++i) {
    h.add("id", producer, {kA0});
    h.wait(12s);
    ASSERT_EQ(h.end("id", producer, true, 4)->error, NONE);
    h.mark();
  }
}

TEST(TimeOut, IsNotYetOverWhenItIsReached) {
  Harness h(1);
  h.add("id", h.init("id", std::nullopt, 5, 10000)->producer, {kA0});
  h.wait(19s);
  EXPECT_EQ(h.state("id"), ongoing);
  h.wait(1s);
  EXPECT_EQ(h.state("id"), prepare_abort);
}

TEST(TimeOut, GoesOnAfterAChangeOfCoordinators) {
  Harness h(1);
  const Producer producer = h.init("id", std::nullopt, 5, 15000)->producer;
  h.add("id", producer, {kA0});
  h.wait(14s);
  h.fail_over();
  h.wait(10s);
  EXPECT_EQ(h.state("id"), prepare_abort);
}

TEST(TimeOut, WaitsForTheProducerIdThatTheLastEpochNeeds) {
  Harness h(2);
  h.allocate_at_once = false;
  h.rewrite("id", {.producer_id = 7,
                   .producer_epoch = kMaxProducerEpoch - 1,
                   .timeout_ms = 1000,
                   .state = ongoing,
                   .partitions = {kA0},
                   .start_ms = to_ms(h.wall)});
  h.wait(20s);
  EXPECT_THAT(h.allocations, ElementsAre("id")) << "asked for once";
  h.allocated("id", std::unexpected(COORDINATOR_LOAD_IN_PROGRESS));
  EXPECT_EQ(h.state("id"), ongoing);
  h.wait(10s);
  h.allocated("id", 70);
  EXPECT_EQ(h.state("id"), prepare_abort);
  EXPECT_EQ(h.find("id")->next_producer_id, 70);
}

TEST(Expiration, WritesTombstonesForWhatNobodyUses) {
  Harness h(1);
  const Producer producer = h.init("open")->producer;
  h.init("idle");
  h.add("open", producer, {kA0});
  h.end("open", producer, true, 4);  // its markers never come
  h.wait(std::chrono::hours(7 * 24) - 1s);
  EXPECT_NE(h.find("idle"), nullptr);
  h.init("young");
  h.wait(3601s);
  EXPECT_EQ(h.find("idle"), nullptr);
  EXPECT_NE(h.find("young"), nullptr);
  EXPECT_EQ(h.state("open"), prepare_commit);
  EXPECT_EQ(h.log.back().key, encode_key("idle"));
  EXPECT_EQ(h.log.back().value, std::nullopt);
  h.fail_over();
  EXPECT_EQ(h.find("idle"), nullptr);
  EXPECT_EQ(h.init("idle"), (Answer{NONE, {1003, 0}})) << "it begins anew";
}

TEST(Expiration, GoesOnAfterAChangeOfCoordinators) {
  Harness h(1);
  h.init("id");
  h.fail_over();
  h.wait(std::chrono::hours(8 * 24));
  EXPECT_EQ(h.find("id"), nullptr);
}

TEST(Expiration, LeavesAnIdAloneThatWaitsForAProducerId) {
  Harness h(1);
  h.allocate_at_once = false;
  h.rewrite("id", {.producer_id = 7, .producer_epoch = kMaxProducerEpoch - 1, .timeout_ms = 1000});
  EXPECT_EQ(h.init("id"), std::nullopt);
  h.wait(std::chrono::hours(8 * 24));
  ASSERT_NE(h.find("id"), nullptr);
  h.allocated("id", 70);
  EXPECT_EQ(h.later_answers.at(1), (Answer{NONE, {70, 0}}));
}

TEST(Expiration, KeepsItsBatchesSmall) {
  Harness h(1);
  for (int i = 0; i < 1000; ++i) {
    h.init(std::string(100, 'x') + std::to_string(i));
  }
  h.batches.clear();
  h.wait(std::chrono::hours(8 * 24));
  EXPECT_THAT(h.batches, ElementsAre(154U, 154U, 154U, 154U, 154U, 154U, 76U));
  EXPECT_EQ(h.timer, std::nullopt) << "nothing is left to wait for";
}

TEST(Feed, TellsEachStateOnce) {
  Harness h(2);
  const Producer producer = h.init("id")->producer;
  h.add("id", producer, {kA0, kB0});
  h.end("id", producer, true, 5);
  h.fail_over();
  EXPECT_EQ(h.feed.seen.size(), 3U) << "nothing is told again";
  h.mark();
  h.wait(std::chrono::hours(8 * 24));
  EXPECT_THAT(h.feed.seen, ElementsAre("id Empty 1000/0 by 0 with 0", "id Ongoing 1000/0 by 0 with 2",
                                       "id PrepareCommit 1000/1 by 0 with 2", "id CompleteCommit 1000/1 by 1 with 0",
                                       "id Dead 1000/1 by 1 with 0"));
}

TEST(Timer, RestsWithoutTransactions) {
  Harness h(1);
  EXPECT_EQ(h.timer, std::nullopt);
  const Producer producer = h.init("id")->producer;
  EXPECT_EQ(h.timer, h.now + 3600s);
  h.add("id", producer, {kA0});
  EXPECT_EQ(h.timer, h.now + 10s);
}

TEST(DescribeTransactions, TellsWhatIsKnown) {
  Harness h(1);
  EXPECT_EQ(h.describe("id").value.transaction_states[0].error_code, code(TRANSACTIONAL_ID_NOT_FOUND));
  EXPECT_EQ(h.describe("id").value.transaction_states[0].transactional_id, "id");
  EXPECT_EQ(h.describe("").value.transaction_states[0].error_code, code(INVALID_REQUEST));
  const Producer producer = h.init("id", std::nullopt, 5, 777)->producer;
  h.add("id", producer, {kA1, kA0, kB0});
  const auto response = h.describe("id");
  EXPECT_EQ(
      to_json(response.value, 0),
      R"({"throttleTimeMs":0,"transactionStates":[{"errorCode":0,"transactionalId":"id","transactionState":"Ongoing",)"
      R"("transactionTimeoutMs":777,"transactionStartTimeMs":1700000000000,"producerId":1000,"producerEpoch":0,)"
      R"("topics":[{"topic":"a","partitions":[0,1]},{"topic":"b","partitions":[0]}]}]})");
  h.end("id", producer, true, 4);
  h.mark({MarkerOutcome::done, MarkerOutcome::done, MarkerOutcome::retry_later});
  EXPECT_EQ(h.describe("id").value.transaction_states[0].topics.size(), 1U) << "those without a marker yet";
}

class ListTransactions : public testing::Test {
 protected:
  ListTransactions() : h(1) {
    h.init("empty");
    const Producer producer = h.init("old-open")->producer;
    h.add("old-open", producer, {kA0});
    h.wait(5s);
    h.add("open", h.init("open")->producer, {kA0});
    const Producer ended = h.init("ended")->producer;
    h.add("ended", ended, {kA0});
    h.end("ended", ended, true, 4);
    h.wait(1s);
  }
  std::vector<std::string> ids(const wire::ListTransactionsRequest& request) {
    const auto response = h.list(request);
    EXPECT_EQ(response.value.error_code, 0);
    unknown.assign(response.value.unknown_state_filters.begin(), response.value.unknown_state_filters.end());
    std::vector<std::string> out;
    for (const auto& one : response.value.transaction_states) {
      out.push_back(std::string(one.transactional_id) + ":" + std::string(one.transaction_state));
    }
    return out;
  }
  Harness h;
  std::vector<std::string> unknown;
};

TEST_F(ListTransactions, AllOfThem) {
  EXPECT_THAT(ids({}), ElementsAre("empty:Empty", "ended:PrepareCommit", "old-open:Ongoing", "open:Ongoing"));
}

TEST_F(ListTransactions, ByState) {
  std::vector<std::string_view> states{"PrepareCommit", "Empty", "Nonsense"};
  EXPECT_THAT(ids({.state_filters = states}), ElementsAre("empty:Empty", "ended:PrepareCommit"));
  EXPECT_THAT(unknown, ElementsAre("Nonsense"));
  states = {"Nonsense"};
  EXPECT_THAT(ids({.state_filters = states}), ElementsAre());
}

TEST_F(ListTransactions, ByProducerAndDuration) {
  std::vector<std::int64_t> producers{1001, 1003, 5};
  EXPECT_THAT(ids({.producer_id_filters = producers}), ElementsAre("ended:PrepareCommit", "old-open:Ongoing"));
  EXPECT_THAT(ids({.producer_id_filters = producers, .duration_filter = 5999}), ElementsAre("old-open:Ongoing"));
  EXPECT_THAT(ids({.producer_id_filters = producers, .duration_filter = 6000}), ElementsAre());
  EXPECT_THAT(ids({.duration_filter = 5000}), ElementsAre("empty:Empty", "old-open:Ongoing")) << "no start is long ago";
}

TEST_F(ListTransactions, ByPattern) {
  EXPECT_EQ(ids({.transactional_id_pattern = ""}).size(), 4U);
  EXPECT_THAT(ids({.transactional_id_pattern = "open"}), ElementsAre("open:Ongoing"));
  EXPECT_THAT(ids({.transactional_id_pattern = ".*open"}), ElementsAre("old-open:Ongoing", "open:Ongoing"));
  EXPECT_EQ(h.list({.transactional_id_pattern = "(open"}).value.error_code, code(INVALID_REGULAR_EXPRESSION));
}

TEST(TransactionalIdPattern, IsASmallPartOfRegularExpressions) {
  const auto matches = [](std::string_view pattern, std::string_view text) {
    return Pattern::parse(pattern)->matches(text);
  };
  EXPECT_TRUE(matches("", ""));
  EXPECT_FALSE(matches("", "a"));
  EXPECT_TRUE(matches("a.c", "abc"));
  EXPECT_FALSE(matches("a.c", "ac"));
  EXPECT_FALSE(matches("a.c", "abcd"));
  EXPECT_TRUE(matches("a\\.c", "a.c"));
  EXPECT_FALSE(matches("a\\.c", "abc"));
  EXPECT_TRUE(matches("ab*c?", "a"));
  EXPECT_TRUE(matches("ab*c?", "abbbc"));
  EXPECT_FALSE(matches("ab*c?", "abcc"));
  EXPECT_FALSE(matches("ab+", "a"));
  EXPECT_TRUE(matches("ab+", "abb"));
  EXPECT_TRUE(matches(".*.*.*.*x", std::string(5000, 'y') + "x"));
  for (const char* more : {"[a]", "a|b", "(a)", "a{2}", "*a", "a**", "\\d", "a\\", "^a$"}) {
    EXPECT_FALSE(Pattern::parse(more)) << more;
  }
}

}  // namespace
}  // namespace verdict::transaction
