#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// What clients see of transactions that Kafka doesn't promise either: it is listed, and convicts nobody.
namespace verdict::scenarios {
namespace {

// In how many runs clients saw it.
int runs_that_saw(std::string_view anomaly, const std::string& text, std::uint64_t seeds) {
  const auto scenario = parse_scenario(text);
  EXPECT_TRUE(scenario.has_value()) << scenario.error().text();
  int seen = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const RunResult result = run(*scenario, seed);
    EXPECT_EQ(result.outcome, RunOutcome::pass) << "seed " << seed << ": " << result.sentence;
    seen += std::ranges::any_of(result.black_box, [&](const std::string& one) { return one.starts_with(anomaly); });
  }
  return seen;
}

// The group's coordinator is cut off from the controller, so that others lead in its place; it goes on telling its
// member what was committed while it led.
TEST(TransactionExcuses, ACoordinatorThatHasNotHeardOfItsEndTellsOldOffsets) {
  const int seen =
      runs_that_saw("input-twice",
                    R"j({"version":1,"name":"deposed","cluster":{"brokers":4},)j"
                    R"j("topics":[{"name":"orders","assignment":[[2]]},{"name":"bills","assignment":[[1]]}],)j"
                    R"j("workload":{"request_timeout_ms":300,"producers":[{"topic":"orders","interval_us":15000},)j"
                    R"j({"topic":"bills","transactional":true,"source":"orders","group":"billing","abort_one_in":2}],)j"
                    R"j("consumers":[{"topic":"bills","isolation":"read_committed"}]},)j"
                    R"j("faults":[{"id":"cut","action":"partition","at_ms":300,"a":["leader(__consumer_offsets-0)"],)j"
                    R"j("b":["controller"],"for_ms":4000}],"phases":{"run_ms":5000}})j",
                    25);
  EXPECT_GT(seen, 0);
}

// The leader of the inputs has not heard that another leads in its place, and removes what lies beneath the member's
// position by its own clock, which is ahead; it refuses the position, and the next leader still has all, from 0 on.
TEST(TransactionExcuses, ALeaderThatHasNotHeardOfItsEndSendsAMemberBack) {
  const int seen = runs_that_saw(
      "input-twice",
      R"j({"version":1,"name":"sent-back","cluster":{"brokers":4,"combined":false,"config":)j"
      R"j({"broker.session.timeout.ms":"600","log.retention.check.interval.ms":"100"}},)j"
      R"j("topics":[{"name":"orders","assignment":[[3,4]],"config":)j"
      R"j({"internal.segment.bytes":"500","retention.ms":"20000"}},{"name":"bills","assignment":[[1]]}],)j"
      R"j("workload":{"request_timeout_ms":500,"producers":[{"topic":"orders","interval_us":5000},)j"
      R"j({"topic":"bills","transactional":true,"source":"orders","group":"billing"}],)j"
      R"j("consumers":[{"topic":"bills","isolation":"read_committed"}]},)j"
      R"j("faults":[{"id":"slow","action":"pause","at_ms":850,"target":"client(2)","for_ms":1100},)j"
      R"j({"id":"lost","action":"message","api":"ListOffsets","side":"request","from":"client(2)",)j"
      R"j("at_ms":1000},)j"
      R"j({"id":"cut","action":"partition","at_ms":800,"a":["broker(3)"],"b":["controller"],"for_ms":3000},)j"
      R"j({"id":"late","action":"clock_jump","at_ms":1800,"target":"broker(3)","by_ms":30000}],)j"
      R"j("phases":{"run_ms":4000}})j",
      10);
  EXPECT_GT(seen, 0);
}

// A request to commit is late, the one that was sent in its place is answered, and the late one commits the next
// transaction, which was to be aborted (KIP-890; with an epoch of its own for each transaction it can't).
TEST(TransactionExcuses, AnEndThatWasGivenUpEndsTheNextTransaction) {
  const int seen = runs_that_saw(
      "G1a",
      R"j({"version":1,"name":"late-end","topics":[{"name":"orders","partitions":2}],)j"
      R"j("workload":{"request_timeout_ms":300,"producers":[{"transactional":true,"transaction_version":1,)j"
      R"j("abort_one_in":2,"burst":3}],)j"
      R"j("consumers":[{"isolation":"read_committed"}]},"phases":{"run_ms":2500},"faults":[)j"
      R"j({"id":"a","action":"message","api":"EndTxn","side":"request","at_ms":500},)j"
      R"j({"id":"b","action":"release","of":"a","when":{"event":"transaction_moved","match":{"state":"Ongoing"},)j"
      R"j("not_before_ms":700,"after_us":1000}},)j"
      R"j({"id":"c","action":"message","api":"EndTxn","side":"request","at_ms":1500},)j"
      R"j({"id":"d","action":"release","of":"c","when":{"event":"transaction_moved","match":{"state":"Ongoing"},)j"
      R"j("not_before_ms":1700,"after_us":1000}}]})j",
      15);
  EXPECT_GT(seen, 0);
}

}  // namespace
}  // namespace verdict::scenarios
