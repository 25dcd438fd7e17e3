#include <gtest/gtest.h>

#include <string>

#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// After the heal everything comes up and stays up, whatever was under way.
namespace verdict::scenarios {
namespace {

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

TEST(Heal, AStartDuringAnOrderlyStopIsNotForgotten) {
  for (const char* restart : {"-1", "5000"}) {
    const std::string at_two = R"j("target":"broker(2)"})j";
    const RunResult result =
        run_with(R"j({"action":"stop","at_ms":300,"restart_ms":)j" + std::string(restart) + "," + at_two +
                 R"j(,{"action":"start","at_ms":301,)j" + at_two);
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
