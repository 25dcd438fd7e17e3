// Clients with numbers of their own: taking one away leaves what the others draw as it was.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "scenarios/runner.h"

namespace verdict::scenarios {
namespace {

// What each client asked for, in order: the history's lines without times and outcomes.
class Invocations final : public RunObserver {
 public:
  void on_history(std::string_view line) override {
    const std::string text(line);
    if (text.find("\"type\":\"invoke\"") == std::string::npos || text.find("\"send\"") == std::string::npos) return;
    const std::size_t at = text.find("\"process\":") + 10;
    by_process[std::stoi(text.substr(at))].push_back(text.substr(at));
  }
  void on_cluster(const std::vector<NodeInfo>& nodes) override {
    for (const NodeInfo& node : nodes) hosts.push_back(node.host);
  }
  std::map<int, std::vector<std::string>> by_process;
  std::vector<std::string> hosts;
};

Scenario three_producers() {
  Scenario scenario;
  scenario.name = "three-producers";
  scenario.workload.producers = {{.interval_us = 7000}, {.interval_us = 9000}, {.interval_us = 8000}};
  scenario.workload.consumers = {{}};
  scenario.phases.run_ms = 400;
  return scenario;
}

Invocations observed(const Scenario& scenario) {
  Invocations seen;
  RunOptions options;
  options.observer = &seen;
  options.until_ms = 5000;
  static_cast<void>(run(scenario, 3, options));
  return seen;
}

TEST(ClientNumbers, ArePlacesWhereNoneIsSaid) {
  EXPECT_EQ(client_numbers(three_producers().workload), (std::vector<std::int32_t>{1, 2, 3, 4}));
  Scenario numbered = three_producers();
  for (std::int32_t i = 0; i < 3; ++i) numbered.workload.producers[static_cast<std::size_t>(i)].client = i + 1;
  numbered.workload.consumers[0].client = 4;
  RunOptions short_run;
  short_run.until_ms = 3000;
  EXPECT_EQ(run(numbered, 3, short_run).hash, run(three_producers(), 3, short_run).hash);
}

TEST(ClientNumbers, DeletionDisturbsNoOtherClientsDraws) {
  const Invocations all = observed(three_producers());
  Scenario less = three_producers();
  less.workload.producers.erase(less.workload.producers.begin());
  less.workload.producers[0].client = 2;
  less.workload.producers[1].client = 3;
  less.workload.consumers[0].client = 4;
  ASSERT_TRUE(validate(less));
  const Invocations rest = observed(less);
  EXPECT_EQ(rest.by_process.size(), 2U);
  for (const int process : {2, 3}) {
    const auto& was = all.by_process.at(process);
    const auto& now = rest.by_process.at(process);
    ASSERT_GE(was.size(), 40U);
    ASSERT_GE(now.size(), 40U);
    for (std::size_t i = 0; i < 40; ++i) {  // which partition, which value; times move with the cluster's
      const auto without_time = [](std::string line) { return line.substr(0, line.find("\"time")); };
      EXPECT_EQ(without_time(was[i]), without_time(now[i])) << "send " << i << " of client " << process;
    }
  }
  // An empty place has no lane.
  EXPECT_EQ(std::count(rest.hosts.begin(), rest.hosts.end(), "client-1"), 0);
  EXPECT_EQ(std::count(rest.hosts.begin(), rest.hosts.end(), "client-2"), 1);
}

TEST(ClientNumbers, TwoOfOneNumberAreRefused) {
  Scenario twice = three_producers();
  twice.workload.producers[0].client = 2;
  const auto valid = validate(twice);
  ASSERT_FALSE(valid);
  EXPECT_EQ(valid.error().path, "$.workload");
}

}  // namespace
}  // namespace verdict::scenarios
