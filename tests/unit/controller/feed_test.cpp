#include "runtime/random.h"
#include "tests/unit/controller/harness.h"

// What the observer hears, and that whatever is asked the decisions keep the rules.
namespace verdict::controller {
namespace {

namespace ev = protocol::events;

// Judges each decision as the checker does (C8, M2, M3), from the feed alone.
class Judge : public protocol::Observer {
 public:
  void observe(const protocol::Event& event) override {
    std::visit([this](const auto& e) { see(e); }, event);
  }
  template <class T>
  void see(const T&) {}
  void see(const ev::TopicCreated& e) {
    offset(e.offset);
    names.push_back(std::string(e.topic_name) + "/" + std::to_string(e.partitions));
  }
  void see(const ev::TopicDeleted& e) { offset(e.offset); }
  void see(const ev::MinIsrConfigured& e) {
    offset(e.offset);
    min_isr[e.topic] = e.min_isr;
  }
  void see(const ev::BrokerRegistered& e) {
    offset(e.offset);
    clean.push_back(e.clean);
    EXPECT_GT(e.epoch, epochs[e.broker]);
    epochs[e.broker] = e.epoch;
  }
  void see(const ev::BrokerFencing& e) {
    offset(e.offset);
    active[e.broker] = !e.fenced && !e.shutting_down;
  }
  void see(const ev::PartitionDecided& e) {
    offset(e.offset);
    ++decisions;
    const auto has = [](ev::NodeSpan in, NodeId id) { return std::ranges::find(in, id) != in.end(); };
    EXPECT_FALSE(e.isr.empty());
    for (const NodeId id : e.isr) {
      EXPECT_TRUE(has(e.replicas, id)) << "the ISR is within the replicas";
    }
    EXPECT_TRUE(e.leader == kNoNode || has(e.isr, e.leader)) << "the leader is in the ISR";
    auto& last = partitions[e.partition];
    for (const NodeId id : e.isr) {
      EXPECT_TRUE(active[id] || std::ranges::find(last.isr, id) != last.isr.end())
          << "a fenced broker joined an ISR: " << id.value() << " offset " << e.offset.value() << " leader "
          << e.leader.value() << " unclean " << e.unclean;
    }
    if (!last.isr.empty()) {
      EXPECT_EQ(e.partition_epoch.value(), last.partition_epoch.value() + 1);
      EXPECT_EQ(e.leader_epoch.value() - last.leader_epoch.value(), e.leader == last.leader ? 0 : 1)
          << "one leader an epoch";
      const bool outsider = e.leader != kNoNode && std::ranges::find(last.isr, e.leader) == last.isr.end();
      EXPECT_EQ(e.unclean, outsider && e.leader != last.leader);
      unclean += e.unclean ? 1 : 0;
    }
    last = {NodeIds(e.isr.begin(), e.isr.end()), e.leader, e.leader_epoch, e.partition_epoch};
  }
  void offset(Offset at) {
    EXPECT_GE(at, last_offset);
    last_offset = at;
  }
  struct Last {
    NodeIds isr;
    NodeId leader;
    LeaderEpoch leader_epoch;
    PartitionEpoch partition_epoch;
  };
  std::map<PartitionKey, Last> partitions;
  std::map<NodeId, bool> active;
  std::map<NodeId, BrokerEpoch> epochs;
  std::map<Uuid, std::int32_t> min_isr;
  std::vector<std::string> names;
  std::vector<bool> clean;
  Offset last_offset{-1};
  int decisions = 0;
  int unclean = 0;
};

TEST(Feed, SpeaksOfWhatIsCommittedOnly) {
  Judge judge;
  Harness h({}, {}, &judge);
  h.start_brokers(2);
  std::vector<std::int32_t> replicas{1, 2};
  std::vector<wire::CreateTopicsRequest::CreatableReplicaAssignment> assignments{
      {.partition_index = 0, .broker_ids = replicas}};
  std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> configs{{.name = "min.insync.replicas", .value = "2"}};
  std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{
      {.name = "t", .num_partitions = -1, .replication_factor = -1, .assignments = assignments, .configs = configs}};
  const wire::CreateTopicsRequest request{.topics = topics};
  h.step(events_in::CreateTopics{.token = 900, .version = 7, .request = request, .random = 1});
  EXPECT_TRUE(judge.names.empty());
  h.commit();
  EXPECT_EQ(judge.names, std::vector<std::string>{"t/1"});
  EXPECT_EQ(judge.min_isr.begin()->second, 2);
  EXPECT_EQ(judge.decisions, 1);
}

TEST(Feed, SaysWhetherAReturnWasClean) {
  Judge judge;
  Harness h({}, {}, &judge);
  h.start_brokers(1);
  h.beat(1, true);
  h.register_broker(1, 2, h.epochs[1]);
  h.beat(1);
  h.now += 9s;
  h.register_broker(1, 3, -1);
  EXPECT_EQ(judge.clean, (std::vector<bool>{true, true, false}));
}

TEST(Feed, ARestartedControllerTellsItsLogAgainInOrder) {
  Judge first;
  Harness h({}, {}, &first);
  h.start_brokers(3);
  h.create("t", {{1, 2, 3}, {2, 3, 1}});
  h.let_session_end(1);
  Judge second;
  Controller again(Harness::options({}, {}), &second);
  Offset at{1};
  for (const auto& record : h.log) {
    ASSERT_TRUE(again.replay(record, at));
    ++at;
  }
  EXPECT_EQ(second.decisions, 0);
  Effects out;
  again.step(events_in::BecameLeader{.epoch = 2, .next_offset = at + 1}, h.now, out);
  EXPECT_EQ(second.decisions, first.decisions);
  EXPECT_EQ(second.last_offset, first.last_offset);
}

// Random requests, honest and not, and random silences.
void run_random(std::uint64_t seed, bool defect, Judge& judge) {
  DefectSet defects;
  if (defect) {
    defects.add(Defect::UncleanElection);
  }
  Harness h({}, defects, &judge);
  KeyedRandom random(seed);
  constexpr int kBrokers = 4;
  std::map<int, int> incarnation;
  std::vector<PartitionKey> keys;
  for (int id = 1; id <= kBrokers; ++id) {
    ASSERT_EQ(h.register_broker(id, incarnation[id] = id).error_code, 0);
    h.beat(id);
  }
  for (int i = 0; i < 3; ++i) {
    const std::string name = "t" + std::to_string(i);
    keys.push_back(h.create(name, {{1 + i % kBrokers, 1 + (i + 1) % kBrokers, 1 + (i + 2) % kBrokers}}));
  }
  for (int round = 0; round < 400; ++round) {
    const int id = 1 + static_cast<int>(random.below(kBrokers));
    const std::uint64_t action = random.below(10);
    if (action < 3) {
      const bool want_shut_down = random.one_in(8);
      const bool want_fence = random.one_in(10);
      h.beat(id, want_shut_down, want_fence);
    } else if (action < 4) {
      incarnation[id] += random.one_in(2) ? kBrokers : 0;
      h.register_broker(id, incarnation[id], random.one_in(2) ? h.epochs[id] : -1);
    } else if (action < 6) {
      h.now += std::chrono::milliseconds(random.below(4000));
      h.step(events_in::Tick{});
      h.commit();
    } else {
      const PartitionKey key = keys[random.below(keys.size())];
      const auto p = h.at(key);
      std::vector<std::pair<int, std::int64_t>> isr;
      for (const NodeId replica : p.replicas) {
        if (random.below(3) > 0) {
          isr.emplace_back(replica.value(), h.epochs[replica.value()] - (random.one_in(6) ? 1 : 0));
        }
      }
      const bool honest = !random.one_in(5) && p.leader != kNoNode;
      const LeaderEpoch leader_epoch(p.leader_epoch.value() - (random.one_in(8) ? 1 : 0));
      const PartitionEpoch partition_epoch(p.partition_epoch.value() + (random.one_in(8) ? 1 : 0));
      h.alter(honest ? p.leader.value() : id, key, leader_epoch, partition_epoch, isr);
    }
  }
}

TEST(Feed, WhateverIsAskedTheDecisionsKeepTheRules) {
  int decisions = 0;
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Judge judge;
    run_random(seed, /*defect=*/false, judge);
    EXPECT_EQ(judge.unclean, 0) << "seed " << seed;
    decisions += judge.decisions;
    if (testing::Test::HasFailure()) {
      FAIL() << "seed " << seed;
    }
  }
  EXPECT_GT(decisions, 2000) << "the requests must not all be refused";
}

TEST(Feed, TheJudgeSeesThePlantedDefect) {
  int unclean = 0;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Judge judge;
    run_random(seed, /*defect=*/true, judge);
    unclean += judge.unclean;
  }
  EXPECT_GT(unclean, 0);
}

}  // namespace
}  // namespace verdict::controller
