#include "search/edits.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "scenarios/runner.h"
#include "search/loads.h"
#include "search/shrink.h"

namespace verdict::search {
namespace {

using scenarios::Scenario;

Scenario parsed(std::string_view json) {
  auto scenario = scenarios::parse_scenario(json);
  EXPECT_TRUE(scenario.has_value()) << scenario.error().text();
  return scenarios::resolve(*scenario);
}

Scenario five_brokers() {
  return parsed(R"j({"version":1,"name":"five",
    "cluster":{"brokers":5,"config":{"min.insync.replicas":"5"}},
    "topics":[{"name":"orders","assignment":[[5,2,3],[1,2,3],[2]]},{"name":"others","replication_factor":5}],
    "workload":{"producers":[{"partitions":[0,2]},{"topic":"others"},{"start_ms":300,"stop_ms":900}],
                "consumers":[{"topic":"others"},{}]},
    "faults":[
      {"id":"cut","action":"isolate","target":"broker(2)","at_ms":100,"for_ms":50},
      {"id":"hold","action":"message","to":"leader(orders-2)","api":"Fetch","at_ms":200},
      {"id":"free","action":"release","of":"hold","at_ms":600},
      {"id":"split","action":"partition","a":["broker(2)","broker(4)"],"b":["broker(5)","clients"],"at_ms":700},
      {"id":"kill","action":"kill","target":"of(cut)",
       "when":{"event":"became_leader","match":{"partition":"orders-1","node":4},"deadline_ms":800}}]
})j");
}

std::vector<std::string> ids(const Scenario& scenario) {
  std::vector<std::string> out;
  for (const auto& fault : scenario.faults) out.push_back(fault.id);
  return out;
}

TEST(Edits, faults_go_with_those_that_they_name) {
  const Edited less = with_faults(five_brokers(), {false, true, true, true, true});
  EXPECT_EQ(ids(*less), (std::vector<std::string>{"hold", "free", "split"}));
  EXPECT_EQ(ids(*with_faults(five_brokers(), {true, false, true, false, true})),
            (std::vector<std::string>{"cut", "kill"}));
}

TEST(Edits, clients_that_stay_keep_their_numbers) {
  const Edited less = with_clients(five_brokers(), {false, true, false, false, true});
  ASSERT_EQ(less->workload.producers.size(), 1U);
  EXPECT_EQ(less->workload.producers[0].client, 2);
  EXPECT_EQ(less->workload.consumers[0].client, 5);
  EXPECT_FALSE(with_clients(five_brokers(), {false, false, false, false, false}));
}

TEST(Edits, a_broker_less) {
  const Edited less = without_broker(five_brokers(), 2);
  ASSERT_TRUE(less);
  EXPECT_TRUE(scenarios::validate(*less)) << scenarios::validate(*less).error().text();
  EXPECT_EQ(less->cluster.brokers, 4);
  EXPECT_EQ(less->cluster.config.at("min.insync.replicas"), "4");
  EXPECT_EQ(less->topics[0].assignment, (std::vector<std::vector<std::int32_t>>{{4, 2}, {1, 2}, {1}}));
  EXPECT_EQ(less->topics[1].replication_factor, 4);
  EXPECT_EQ(ids(*less), (std::vector<std::string>{"hold", "free", "split"}));  // "cut" was of it, "kill" of "cut"
  EXPECT_EQ(less->faults[2].a, (std::vector<std::string>{"broker(3)"}));
  EXPECT_EQ(less->faults[2].b, (std::vector<std::string>{"broker(4)", "clients"}));
  const Edited other = without_broker(five_brokers(), 3);
  EXPECT_EQ(other->faults.back().when->match[0].min, 3);
  EXPECT_EQ(ids(*other).size(), 5U);
}

TEST(Edits, a_partition_less) {
  const Edited less = without_partition(five_brokers(), 0, 0);
  ASSERT_TRUE(less);
  EXPECT_TRUE(scenarios::validate(*less)) << scenarios::validate(*less).error().text();
  EXPECT_EQ(less->topics[0].assignment.size(), 2U);
  EXPECT_EQ(less->workload.producers[0].partitions, (std::vector<std::int32_t>{1}));
  EXPECT_EQ(less->faults[1].to, "leader(orders-1)");
  EXPECT_EQ(less->faults[4].when->match[1].text, "orders-0");
  EXPECT_FALSE(without_partition(five_brokers(), 0, 2));  // a fault names it
  EXPECT_EQ(without_partition(five_brokers(), 1, 2)->topics[1].partitions, 2);
}

TEST(Edits, a_topic_less_takes_its_clients_along) {
  const Edited less = without_topic(five_brokers(), 1);
  EXPECT_EQ(less->workload.producers.size(), 2U);
  EXPECT_EQ(less->workload.producers[1].client, 3);
  EXPECT_TRUE(scenarios::validate(*less));
}

TEST(Edits, what_happens_later_comes_earlier) {
  const Scenario before = five_brokers();
  const Edited less = earlier(before, 300, 250);
  EXPECT_EQ(less->phases.run_ms, before.phases.run_ms - 250);
  EXPECT_EQ(less->faults[1].at_ms, 200);
  EXPECT_EQ(less->faults[2].at_ms, 350);
  EXPECT_EQ(less->faults[4].when->deadline_ms, 550);
  EXPECT_EQ(less->workload.producers[2].start_ms, 50);
  EXPECT_EQ(less->workload.producers[2].stop_ms, 650);
  EXPECT_LT(size_of(*less), size_of(before));
  EXPECT_FALSE(earlier(before, 0, before.phases.run_ms));
}

TEST(Edits, every_value_is_a_leaf_and_goes_back_to_its_default) {
  Scenario scenario = five_brokers();
  scenario.network.latency_us = 777;
  scenario.workload.producers[0].in_flight = 1;
  const std::vector<Leaf> leaves = leaves_of(scenario);
  const auto has = [&](std::string_view path) { return std::ranges::find(leaves, path, &Leaf::path) != leaves.end(); };
  EXPECT_TRUE(has("/network/latency_us"));
  EXPECT_TRUE(has("/cluster/config/min.insync.replicas"));
  EXPECT_TRUE(has("/faults/4/when/match/node"));
  EXPECT_TRUE(has("/faults/3/a/1"));
  for (const char* name : {"/name", "/version", "/faults/0/id", "/faults/0/action", "/topics/0/name"})
    EXPECT_FALSE(has(name)) << name;
  const Edited bare = without_leaves(scenario, {"/cluster/config/min.insync.replicas", "/network/latency_us",
                                                "/workload/producers/0/in_flight", "/faults/3/a/0", "/faults/3/a/1"});
  EXPECT_FALSE(bare);  // a partition needs its groups
  const Edited less = without_leaves(scenario, {"/cluster/config/min.insync.replicas", "/network/latency_us",
                                                "/workload/producers/0/in_flight", "/faults/3/a/0"});
  ASSERT_TRUE(less);
  EXPECT_TRUE(less->cluster.config.empty());
  EXPECT_EQ(less->network.latency_us, scenarios::NetworkSpec{}.latency_us);
  EXPECT_EQ(less->faults[3].a, (std::vector<std::string>{"broker(4)"}));
  EXPECT_EQ(size_of(*less).settings, size_of(scenario).settings - 4);
  EXPECT_EQ(with_number(scenario, "/network/latency_us", 3)->network.latency_us, 3);
  EXPECT_FALSE(with_number(scenario, "/network/latency_us", 0));  // out of range
}

Scenario with_coordinators() {
  return parsed(R"j({"version":1,"name":"coordinated","cluster":{"brokers":3,
      "config":{"offsets.topic.replication.factor":"3","transaction.state.log.replication.factor":"2",
                "transaction.state.log.min.isr":"3"}},
    "topics":[{"name":"orders","partitions":2},{"name":"bills","partitions":1}],
    "workload":{"producers":[
        {"topic":"orders","client":1,"transactional":true,"transactional_id":"shared","abort_one_in":2,
         "transaction_timeout_ms":300,"lives":2},
        {"topic":"bills","client":2,"transactional":true,"source":"orders","group":"billing"},
        {"topic":"orders","client":3,"idempotent":true}],
      "consumers":[{"topic":"bills","client":4,"isolation":"read_committed"},
        {"topic":"orders","client":5,"group":"readers","session_timeout_ms":700}]},
    "faults":[
      {"id":"still","action":"pause","target":"client(1)","at_ms":300,"for_ms":900},
      {"id":"asks","action":"message","api":"EndTxn","from":"client(2)","to":"leader(__transaction_state-0)",
       "at_ms":300},
      {"id":"asked","action":"release","of":"asks","at_ms":900},
      {"id":"cut","action":"partition","a":["client(1)","client(2)"],"b":["broker(1)"],"at_ms":500}]
})j");
}

TEST(Edits, faults_go_with_the_clients_that_they_hit) {
  const Edited one_less = with_clients(with_coordinators(), {false, true, true, true, true});
  ASSERT_TRUE(one_less);
  EXPECT_TRUE(scenarios::validate(*one_less));
  EXPECT_EQ(ids(*one_less), (std::vector<std::string>{"asks", "asked", "cut"}));
  EXPECT_EQ(one_less->faults.back().a, (std::vector<std::string>{"client(2)"}));
  const Edited none = with_clients(with_coordinators(), {false, false, true, true, true});
  EXPECT_EQ(ids(*none), (std::vector<std::string>{}));
}

TEST(Edits, coordinators_keep_no_more_copies_than_there_are_brokers) {
  const Edited less = without_broker(with_coordinators(), 3);
  ASSERT_TRUE(less);
  EXPECT_EQ(less->cluster.config.at("offsets.topic.replication.factor"), "2");
  EXPECT_EQ(less->cluster.config.at("transaction.state.log.replication.factor"), "2");
  EXPECT_EQ(less->cluster.config.at("transaction.state.log.min.isr"), "2");
}

TEST(Edits, clients_that_do_less) {
  const Scenario before = with_coordinators();
  const std::vector<Edited> plainer = with_plainer_clients(before);
  ASSERT_EQ(plainer.size(), 3U);
  for (const Edited& one : plainer) {
    ASSERT_TRUE(one);
    EXPECT_TRUE(scenarios::validate(*one)) << scenarios::validate(*one).error().text();
    EXPECT_LT(size_of(*one), size_of(before));
  }
  const scenarios::ProducerSpec& plain = plainer[0]->workload.producers[0];
  EXPECT_FALSE(plain.transactional);
  EXPECT_EQ(plain.transactional_id, "");
  EXPECT_FALSE(plainer[1]->workload.producers[1].transactional);
  EXPECT_TRUE(plainer[2]->workload.producers[1].transactional);
  EXPECT_EQ(plainer[2]->workload.producers[1].source, "");
  EXPECT_EQ(plainer[2]->workload.producers[1].group, "");
}

// All members of a group at once, since it has one protocol.
TEST(Edits, members_of_the_consumer_protocol_become_classic_ones) {
  Scenario before = with_coordinators();
  for (const char* group : {"g", "h", "g"}) {
    scenarios::ConsumerSpec member;
    member.group = group;
    member.protocol = "consumer";
    before.workload.consumers.push_back(member);
  }
  ASSERT_TRUE(scenarios::validate(before)) << scenarios::validate(before).error().text();
  const std::size_t others = before.workload.consumers.size() - 3;
  const std::vector<Edited> plainer = with_plainer_clients(before);
  ASSERT_EQ(plainer.size(), 5U);
  for (int i = 0; i < 2; ++i) {
    const Edited& one = plainer[static_cast<std::size_t>(i)];
    ASSERT_TRUE(one);
    EXPECT_TRUE(scenarios::validate(*one)) << scenarios::validate(*one).error().text();
    EXPECT_LT(size_of(*one), size_of(before));
    const std::string changed = i == 0 ? "g" : "h";
    for (std::size_t at = others; at < one->workload.consumers.size(); ++at) {
      const scenarios::ConsumerSpec& member = one->workload.consumers[at];
      EXPECT_EQ(member.protocol, member.group == changed ? "classic" : "consumer") << member.group;
    }
  }
}

// What transactions and groups are made of goes back to its default, one by one, but for what `clients_that_do_less`
// takes as a whole.
TEST(Edits, coordinated_clients_are_shrunk) {
  const Scenario scenario = with_coordinators();
  std::vector<std::string> paths;
  for (const Leaf& leaf : leaves_of(scenario)) paths.push_back(leaf.path);
  for (const char* path :
       {"/workload/producers/0/transactional_id", "/workload/producers/0/abort_one_in",
        "/workload/producers/0/transaction_timeout_ms", "/workload/producers/0/lives",
        "/workload/producers/2/idempotent", "/workload/consumers/0/isolation", "/workload/consumers/1/group",
        "/workload/consumers/1/session_timeout_ms", "/cluster/config/transaction.state.log.min.isr"}) {
    EXPECT_NE(std::ranges::find(paths, path), paths.end()) << path;
    const Edited less = without_leaves(scenario, {path});
    ASSERT_TRUE(less) << path;
    EXPECT_TRUE(scenarios::validate(*less)) << path;
    EXPECT_LT(size_of(*less), size_of(scenario)) << path;
  }
}

TEST(Edits, what_a_producer_can_send) {
  scenarios::PhaseSpec phases{.run_ms = 1000};
  scenarios::ProducerSpec producer{.burst = 3, .interval_us = 100'000};
  EXPECT_EQ(records_of(producer, phases), 42);  // it goes on for a while after the heal
  producer.stop_ms = 1000;
  EXPECT_EQ(records_of(producer, phases), 33);
  producer.records = 5;
  EXPECT_EQ(records_of(producer, phases), 5);
  producer.start_ms = 950;
  EXPECT_EQ(records_of(producer, phases), 3);
}

TEST(Edits, smaller_numbers_are_smaller) {
  EXPECT_EQ(smaller_numbers(1234), (std::vector<std::int64_t>{0, 1, 123, 617, 1200}));
  EXPECT_EQ(smaller_numbers(-40), (std::vector<std::int64_t>{0, -1, -4, -20}));
  EXPECT_EQ(smaller_numbers(1), (std::vector<std::int64_t>{0}));
  EXPECT_TRUE(smaller_numbers(0).empty());
}

}  // namespace
}  // namespace verdict::search
