#include <gtest/gtest.h>

#include <string>

#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// After the heal everything comes up and stays up, whatever was under way.
namespace verdict::scenarios {
namespace {

// The only replica's broker is stopped behind a block, which the heal lifts.
RunResult run_behind_block(const std::string& stop, std::uint64_t seed) {
  const auto scenario =
      parse_scenario(R"j({"version":1,"name":"a","topics":[{"name":"orders","assignment":[[2]],)j"
                     R"j("config":{"min.insync.replicas":"1"}}],"network":{"bytes_per_ms":1000},)j"
                     R"j("workload":{"request_timeout_ms":500,"delivery_timeout_ms":1000,)j"
                     R"j("producers":[{"interval_us":5000,"value_bytes":800}],"consumers":[]},)j"
                     R"j("phases":{"run_ms":1000,"final_leaders":false},"expect":{"delivered":0},"faults":[)j"
                     R"j({"action":"block","at_ms":500,"a":["broker(2)"],"b":["controller"],"for_ms":5000},)j"
                     R"j({"action":"stop","at_ms":700,"target":"broker(2)",)j" +
                     stop + "}]}");
  EXPECT_TRUE(scenario.has_value()) << scenario.error().text();
  return run(*scenario, seed);
}

RunResult run_with(const std::string& fault) {
  const auto scenario = parse_scenario(R"({"version":1,"name":"a","topics":[{"name":"orders","assignment":[[1,2,3]]}],)"
                                       R"("phases":{"run_ms":1000},"faults":[)" +
                                       fault + "]}");
  EXPECT_TRUE(scenario.has_value()) << scenario.error().text();
  return run(*scenario, 1);
}

void expect_pass(const RunResult& result) {
  EXPECT_EQ(result.outcome, RunOutcome::pass) << result.invariant << ": " << result.sentence;
  EXPECT_TRUE(result.unmet.empty()) << result.unmet.front();
}

TEST(Heal, ADoomThatDidNotStrikeIsLifted) {
  // The calls left at the heal are few: its broker makes them soon after.
  for (const char* calls : {"3", "10", "30"}) {
    const std::string doom = R"j({"action":"doom","at_ms":995,"target":"broker(2)","optional":true,"nth_call":)j";
    const RunResult result = run_with(doom + calls + "}");
    expect_pass(result);
  }
}

TEST(Heal, AStopThatWasUnderWayIsFollowedByAStart) {
  const RunResult result =
      run_with(R"j({"id":"stop","action":"stop","at_ms":999,"target":"broker(2)","restart_ms":-1})j");
  expect_pass(result);
  EXPECT_EQ(result.fired, std::vector<std::string>{"stop"});
}

// Its heartbeat from inside the block runs into its time-out: until then the broker doesn't hear that it may go, leads
// and looks as if at rest. The only replica goes with it (seed 7790 of a search blamed V4 for a reader that it left
// behind).
TEST(Heal, WhoIsStillOnItsWayDownIsWaitedFor) {
  for (std::uint64_t seed = 1; seed <= 4; ++seed) {
    const RunResult result = run_behind_block(R"("restart_ms":-1)", seed);
    expect_pass(result);
    EXPECT_EQ(result.event_counts.at("broker_registered"), 4U) << "three brokers, and one of them again";
  }
}

TEST(Heal, WhoIsOnItsWayDownForGoodIsWaitedForToo) { expect_pass(run_behind_block(R"("stays_down":true)", 1)); }

TEST(Heal, AStartDuringAnOrderlyStopIsNotForgotten) {
  for (const char* restart : {"-1", "5000"}) {
    const std::string at_two = R"j("target":"broker(2)"})j";
    const RunResult result = run_with(R"j({"action":"stop","at_ms":300,"restart_ms":)j" + std::string(restart) + "," +
                                      at_two + R"j(,{"action":"start","at_ms":301,)j" + at_two);
    expect_pass(result);
  }
}

TEST(Heal, ARestartThatSomebodyForestalledForgetsNoLaterStop) {
  const std::string at_two = R"j("target":"broker(2)"})j";
  const RunResult result =
      run_with(R"j({"action":"kill","at_ms":300,"restart_ms":400,)j" + at_two + R"j(,{"action":"start","at_ms":350,)j" +
               at_two + R"j(,{"action":"pause","at_ms":600,"for_ms":5000,)j" + at_two +
               R"j(,{"action":"stop","at_ms":610,"restart_ms":50,)j" + at_two);
  expect_pass(result);
}

}  // namespace
}  // namespace verdict::scenarios
