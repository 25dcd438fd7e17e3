#include "tests/unit/controller/harness.h"

namespace verdict::controller {
namespace {

using enum wire::ErrorCode;

struct AlterPartitionTest : testing::Test {
  AlterPartitionTest() {
    h.start_brokers(3);
    key = h.create("t", {{1, 2, 3}});
  }
  std::int16_t alter(int sender, int leader_epoch, int partition_epoch, std::vector<std::pair<int, std::int64_t>> isr,
                     std::int8_t recovery = 0) {
    return h.alter(sender, key, LeaderEpoch(leader_epoch), PartitionEpoch(partition_epoch), isr, -2, recovery)
        .topics[0]
        .partitions[0]
        .error_code;
  }
  std::pair<int, std::int64_t> now(int id) { return {id, h.epochs[id]}; }
  Harness h;
  PartitionKey key;
};

TEST_F(AlterPartitionTest, ShrinksAndExpandsWithoutANewLeaderEpoch) {
  const auto& shrunk = h.alter(1, key, LeaderEpoch(0), PartitionEpoch(0), {now(1), now(2)}).topics[0].partitions[0];
  EXPECT_EQ(shrunk.error_code, 0);
  EXPECT_EQ(shrunk.leader_id, 1);
  EXPECT_EQ(shrunk.leader_epoch, 0);
  EXPECT_EQ(shrunk.partition_epoch, 1);
  EXPECT_EQ(std::vector(shrunk.isr.begin(), shrunk.isr.end()), (std::vector<std::int32_t>{1, 2}));
  EXPECT_EQ(alter(1, 0, 1, {now(1), now(2), now(3)}), 0);
  EXPECT_EQ(h.at(key).isr, ids({1, 2, 3}));
  EXPECT_EQ(h.at(key).partition_epoch, PartitionEpoch(2));
}

// A leader keeps its ISR so that what it has asked for before, and got no answer to, is refused.
TEST_F(AlterPartitionTest, AnIsrThatIsKeptRefusesWhatWasAskedBefore) {
  EXPECT_EQ(alter(1, 0, 0, {now(1), now(2)}), 0);
  EXPECT_EQ(alter(1, 0, 1, {now(1), now(2)}), 0);
  EXPECT_EQ(h.at(key).isr, ids({1, 2}));
  EXPECT_EQ(h.at(key).partition_epoch, PartitionEpoch(2));
  EXPECT_EQ(h.at(key).leader_epoch, LeaderEpoch(0));
  EXPECT_EQ(alter(1, 0, 1, {now(1), now(2), now(3)}), error(INVALID_UPDATE_VERSION));
}

TEST_F(AlterPartitionTest, ChecksInKafkasOrder) {
  EXPECT_EQ(h.alter(1, key, LeaderEpoch(0), PartitionEpoch(0), {now(1)}, 12345).error_code, error(STALE_BROKER_EPOCH));
  EXPECT_EQ(h.alter(1, {{9, 9}, 0}, LeaderEpoch(0), PartitionEpoch(0), {now(1)}).topics[0].partitions[0].error_code,
            error(UNKNOWN_TOPIC_ID));
  EXPECT_EQ(h.alter(1, {key.topic, 7}, LeaderEpoch(0), PartitionEpoch(0), {now(1)}).topics[0].partitions[0].error_code,
            error(UNKNOWN_TOPIC_OR_PARTITION));
  EXPECT_EQ(alter(1, 1, 0, {now(1)}), error(NOT_CONTROLLER)) << "a newer leader epoch";
  EXPECT_EQ(alter(1, 0, 1, {now(1)}), error(NOT_CONTROLLER)) << "a newer partition epoch";
  EXPECT_EQ(alter(2, 0, 0, {now(2)}), error(INVALID_REQUEST)) << "not the leader";
  EXPECT_EQ(alter(1, 0, 0, {}), error(INVALID_REQUEST));
  EXPECT_EQ(alter(1, 0, 0, {now(2), now(3)}), error(INVALID_REQUEST)) << "without the leader";
  EXPECT_EQ(alter(1, 0, 0, {now(1), now(1)}), error(INVALID_REQUEST)) << "twice";
  EXPECT_EQ(alter(1, 0, 0, {now(1), {4, -1}}), error(INVALID_REQUEST)) << "no replica";
  EXPECT_EQ(alter(1, 0, 0, {now(1)}, /*recovery=*/1), error(INVALID_REQUEST)) << "it is recovered already";
  EXPECT_EQ(alter(1, 0, 0, {now(1)}, /*recovery=*/7), error(INVALID_REQUEST));
  EXPECT_EQ(alter(1, 0, 0, {now(1), now(2)}), 0);
  EXPECT_EQ(alter(1, 0, 0, {now(1)}), error(INVALID_UPDATE_VERSION));
  EXPECT_EQ(h.marks[Mark::AlterPartitionRefused], 11);
}

TEST_F(AlterPartitionTest, AnOldLeaderIsFenced) {
  h.let_session_end(1);
  h.beat(1);
  EXPECT_EQ(h.at(key).leader_epoch, LeaderEpoch(1));
  EXPECT_EQ(alter(1, 0, 0, {now(1)}), error(FENCED_LEADER_EPOCH));
}

TEST_F(AlterPartitionTest, NobodyFencedOrShuttingDownOrOfAnEarlierLifeIsAdmitted) {
  h.let_session_end(3);
  const auto at = h.at(key);
  EXPECT_EQ(at.isr, ids({1, 2}));
  EXPECT_EQ(alter(1, 0, at.partition_epoch.value(), {now(1), now(2), now(3)}), error(INELIGIBLE_REPLICA)) << "fenced";
  h.beat(3);
  EXPECT_EQ(alter(1, 0, at.partition_epoch.value(), {now(1), now(2), {3, h.epochs[3] - 1}}), error(INELIGIBLE_REPLICA))
      << "an earlier life";
  EXPECT_EQ(alter(1, 0, at.partition_epoch.value(), {now(1), now(2), now(3)}), 0);
  h.create("u", {{2, 3}});
  h.beat(2, /*want_shut_down=*/true);
  EXPECT_EQ(h.at(key).isr, ids({1, 3}));
  EXPECT_EQ(alter(1, 0, h.at(key).partition_epoch.value(), {now(1), now(2), now(3)}), error(INELIGIBLE_REPLICA))
      << "shutting down";
  EXPECT_EQ(h.marks[Mark::FencedJoinRefused], 3);
}

TEST(Election, PrefersTheOrderOfTheReplicas) {
  Harness h;
  h.start_brokers(3);
  const auto key = h.create("t", {{1, 3, 2}});
  h.let_session_end(1);
  EXPECT_EQ(h.at(key).leader, NodeId(3));
}

TEST(Election, WithNobodyLeftWaitsForTheLastIsrMember) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  h.let_session_end(2);
  ASSERT_EQ(h.at(key).isr, ids({1}));
  h.beat(2);
  h.let_session_end(1);
  EXPECT_EQ(h.at(key).leader, kNoNode);
  EXPECT_EQ(h.at(key).isr, ids({1}));
  EXPECT_EQ(h.marks[Mark::PartitionOffline], 1);
  h.tick_after(400s);
  EXPECT_EQ(h.at(key).leader, kNoNode) << "broker 2 is alive but not in sync";
  const auto epoch = h.at(key).leader_epoch;
  h.beat(1);
  EXPECT_EQ(h.at(key).leader, NodeId(1));
  EXPECT_GT(h.at(key).leader_epoch, epoch);
}

TEST(Election, UncleanOnlyWhereItIsAllowed) {
  Harness h;
  h.start_brokers(2);
  const auto allowed = h.create("allowed", {{1, 2}}, {{"unclean.leader.election.enable", "true"}});
  const auto strict = h.create("strict", {{1, 2}});
  h.let_session_end(2);
  h.beat(2);
  h.let_session_end(1);
  EXPECT_EQ(h.at(strict).leader, kNoNode);
  EXPECT_EQ(h.at(allowed).leader, NodeId(2));
  EXPECT_EQ(h.at(allowed).isr, ids({2})) << "what the new leader lacks is lost: nobody else is in sync with it";
  EXPECT_EQ(h.at(allowed).recovery, protocol::LeaderRecovery::recovering);
  EXPECT_EQ(h.marks[Mark::DefectUncleanElection], 0);
  const auto now = h.at(allowed);
  EXPECT_EQ(
      h.alter(2, allowed, now.leader_epoch, now.partition_epoch, {{2, h.epochs[2]}}).topics[0].partitions[0].error_code,
      0);
  EXPECT_EQ(h.at(allowed).recovery, protocol::LeaderRecovery::recovered);
}

TEST(Election, TheDefectElectsAnyoneAndSaysSo) {
  DefectSet defects;
  defects.add(Defect::UncleanElection);
  Harness h({}, defects);
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  h.let_session_end(2);
  h.beat(2);
  h.let_session_end(1);
  EXPECT_EQ(h.at(key).leader, NodeId(2));
  EXPECT_EQ(h.marks[Mark::DefectUncleanElection], 1);
}

TEST(AlterPartition, TheDefectTakesAMemberOfAnEarlierLife) {
  DefectSet defects;
  defects.add(Defect::Kip903);
  Harness h({}, defects);
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  h.let_session_end(2);
  ASSERT_EQ(h.at(key).isr, ids({1}));
  const std::int64_t earlier = h.epochs[2];
  ASSERT_EQ(h.register_broker(2, 77).error_code, 0);
  const auto propose = [&] {
    const auto at = h.at(key);
    return h.alter(1, key, at.leader_epoch, at.partition_epoch, {{1, h.epochs[1]}, {2, earlier}})
        .topics[0]
        .partitions[0]
        .error_code;
  };
  EXPECT_EQ(propose(), error(INELIGIBLE_REPLICA)) << "fenced (KIP-841)";
  h.beat(2);
  EXPECT_EQ(propose(), 0);
  EXPECT_EQ(h.at(key).isr, ids({1, 2}));
  EXPECT_EQ(h.marks[Mark::DefectKip903], 1);
}

TEST(Election, ThePreferredLeaderTakesOverInTime) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  h.let_session_end(1);
  h.beat(1);
  const auto now = h.at(key);
  ASSERT_EQ(now.leader, NodeId(2));
  ASSERT_EQ(h.alter(2, key, now.leader_epoch, now.partition_epoch, {{2, h.epochs[2]}, {1, h.epochs[1]}})
                .topics[0]
                .partitions[0]
                .error_code,
            0);
  for (int i = 0; i < 160; ++i) {
    h.now += 2s;
    h.beat(1);
    h.beat(2);
    h.step(events_in::Tick{});
    h.commit();
  }
  EXPECT_EQ(h.at(key).leader, NodeId(1));
  EXPECT_EQ(h.at(key).leader_epoch, LeaderEpoch(now.leader_epoch.value() + 1));
}

}  // namespace
}  // namespace verdict::controller
