#include "scenarios/target.h"

#include <gtest/gtest.h>

#include <string>

#include "protocol/broker/coordinators.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"

// Coordinators by what they coordinate: the leader of the partition that the id's hash chooses dies, no other.
namespace verdict::scenarios {
namespace {

// One broker dies for good in each: where the partitions are placed, every one of them leads some.
std::string leaders(const std::string& target, const std::string& topic, std::int32_t partition) {
  return R"j({"version":1,"name":"a","cluster":{"config":{"offsets.topic.num.partitions":"6",)j"
         R"j("transaction.state.log.num.partitions":"6","transaction.state.log.replication.factor":"3"}},)j"
         R"j("workload":{"producers":[{"transactional":true},{"transactional":true,"transactional_id":"another"}],)j"
         R"j("consumers":[{"group":"readers"},{"group":"others"}]},"phases":{"run_ms":4000,"final_leaders":false},)j"
         R"j("faults":[{"id":"c","action":"kill","at_ms":2000,"target":")j" +
         target + R"j("}],"expect":{"events":[{"event":"partition_decided","match":{"partition":")j" + topic + "-" +
         std::to_string(partition) + R"j(","leader_epoch":{"min":1,"max":9}}},{"event":"became_leader","match":{)j" +
         R"j("node":")j" + target + R"j(","partition":")j" + topic + "-" + std::to_string(partition) +
         R"j(","leader_epoch":{"min":1,"max":9}}}]}})j";
}

void expect_dies(const std::string& kind, const std::string& key, std::string_view topic) {
  const std::int32_t partition = broker::coordinator_partition(key, 6);
  const auto scenario = parse_scenario(leaders(kind + "(" + key + ")", std::string(topic), partition));
  ASSERT_TRUE(scenario.has_value()) << scenario.error().text();
  const RunResult result = run(*scenario, 1);
  EXPECT_EQ(result.outcome, RunOutcome::pass)
      << result.invariant << ": " << result.sentence << (result.unmet.empty() ? "" : result.unmet.front());
}

TEST(Target, ACoordinatorIsTheLeaderOfTheKeysPartition) {
  for (const char* group : {"readers", "others"}) expect_dies("coordinator", group, broker::kOffsetsTopic);
}

TEST(Target, ATransactionCoordinatorLikewise) {
  for (const char* id : {"txn-1", "another"}) expect_dies("transaction_coordinator", id, broker::kTransactionsTopic);
}

}  // namespace
}  // namespace verdict::scenarios
