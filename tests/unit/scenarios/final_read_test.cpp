#include <gtest/gtest.h>

#include <string>

#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// What the last reading of everything may be blamed for.
namespace verdict::scenarios {
namespace {

RunResult run_text(const std::string& text) {
  const auto scenario = parse_scenario(text);
  EXPECT_TRUE(scenario.has_value()) << scenario.error().text();
  return run(*scenario, 1);
}

TEST(FinalRead, AsksForNoMoreThanASlowNetworkBringsInTime) {
  const RunResult result = run_text(
      R"({"version":1,"name":"a","topics":[{"name":"orders","assignment":[[1,2,3]]}],"network":{"bytes_per_ms":100},)"
      R"("workload":{"request_timeout_ms":500,"delivery_timeout_ms":1000,)"
      R"("producers":[{"interval_us":10000,"value_bytes":800}],"consumers":[]},"phases":{"run_ms":1500},)"
      R"("expect":{"delivered":0}})");
  EXPECT_EQ(result.outcome, RunOutcome::pass) << result.invariant << ": " << result.sentence;
  EXPECT_GT(result.acknowledged * 800, 100 * 500) << "too little to fill an answer";
}

TEST(FinalRead, TellsNothingOfATopicWhoseNameIsUsedAgain) {
  const RunResult result = run_text(
      R"({"version":1,"name":"a","topics":[{"name":"orders","assignment":[[1,2,3]]}],)"
      R"("workload":{"producers":[{"topic":"again","interval_us":10000}],"consumers":[]},"phases":{"run_ms":1500},)"
      R"("expect":{"delivered":0},"faults":[)"
      R"({"action":"create_topic","at_ms":10,"topic":{"name":"again","assignment":[[1,2]]}},)"
      R"({"action":"delete_topic","at_ms":500,"topic":{"name":"again"}},)"
      R"({"action":"create_topic","at_ms":800,"topic":{"name":"again","assignment":[[1,2]]}}]})");
  EXPECT_EQ(result.outcome, RunOutcome::pass) << result.invariant << ": " << result.sentence;
  EXPECT_EQ(result.event_counts.at("topic_created"), 3U);
  EXPECT_EQ(result.event_counts.at("topic_deleted"), 1U);
}

}  // namespace
}  // namespace verdict::scenarios
