#include "tests/unit/controller/harness.h"

namespace verdict::controller {
namespace {

using enum wire::ErrorCode;

TEST(Registration, AnEpochIsTheOffsetOfItsRecordAndTheBrokerBeginsFenced) {
  Harness h;
  const Offset before = h.end;
  EXPECT_EQ(h.register_broker(1, 1).broker_epoch, before.value());
  EXPECT_TRUE(h.fenced(1));
}

TEST(Registration, IsAnsweredOnlyWhenCommitted) {
  Harness h;
  std::vector<Uuid> dirs{{1, 1000}};
  std::vector<wire::BrokerRegistrationRequest::Feature> features{
      {.name = "group.version", .min_supported_version = 0, .max_supported_version = 1},
      {.name = "metadata.version", .min_supported_version = 7, .max_supported_version = 27},
      {.name = "transaction.version", .min_supported_version = 0, .max_supported_version = 2}};
  const wire::BrokerRegistrationRequest request{
      .broker_id = 1, .cluster_id = "cluster", .incarnation_id = {1, 1}, .features = features, .log_dirs = dirs};
  h.step(events_in::RegisterBroker{.token = 99, .version = 4, .request = request});
  EXPECT_FALSE(h.answers.contains(99));
  h.step(events_in::Committed{.to = h.end - 1});
  EXPECT_FALSE(h.answers.contains(99));
  h.commit();
  EXPECT_TRUE(h.answers.contains(99));
}

TEST(Registration, RefusesForeignClustersAndBadDirectoriesAndFeatures) {
  Harness h;
  EXPECT_EQ(h.register_broker(1, 1, -1, "other").error_code, error(INCONSISTENT_CLUSTER_ID));
  EXPECT_EQ(h.register_broker(1, 1, -1, "cluster", {}).error_code, error(INVALID_REGISTRATION));
  EXPECT_EQ(h.register_broker(1, 1, -1, "cluster", {Uuid{0, 1}}).error_code, error(INVALID_REGISTRATION));
  EXPECT_EQ(h.register_broker(1, 1, -1, "cluster", {Uuid{5, 5}, Uuid{5, 5}}).error_code, error(INVALID_REGISTRATION));
  EXPECT_EQ(h.register_broker(1, 1, -1, "cluster", {Uuid{5, 5}}, 20).error_code, error(UNSUPPORTED_VERSION));
  EXPECT_EQ(h.register_broker(1, 1).error_code, 0);
  EXPECT_EQ(h.register_broker(2, 2, -1, "cluster", {Harness::directory(1)}).error_code, error(INVALID_REGISTRATION));
}

TEST(Registration, AnotherIncarnationWaitsForTheSessionToEnd) {
  Harness h;
  h.start_brokers(2);
  EXPECT_EQ(h.register_broker(1, 77).error_code, error(DUPLICATE_BROKER_REGISTRATION));
  EXPECT_EQ(h.marks[Mark::RegistrationRefused], 1);
  EXPECT_EQ(h.register_broker(1, 1).error_code, 0) << "the same incarnation may ask again";
  EXPECT_FALSE(h.fenced(1)) << "and keeps its state";
  h.now += 9s;
  EXPECT_EQ(h.register_broker(1, 77).error_code, 0) << "the session ended, though nobody fenced it yet";
  EXPECT_TRUE(h.fenced(1));
}

TEST(Registration, AFencedLifeThatIsHeardKeepsItsIdUntilItIsLetGo) {
  Harness h;
  h.register_broker(1, 1);
  EXPECT_EQ(h.register_broker(1, 2).error_code, 0) << "nobody heard of the first but for its registration";
  h.beat(1, false, /*want_fence=*/true);
  ASSERT_TRUE(h.fenced(1));
  EXPECT_EQ(h.register_broker(1, 3).error_code, error(DUPLICATE_BROKER_REGISTRATION));
  ASSERT_TRUE(h.beat(1, /*want_shut_down=*/true).should_shut_down);
  EXPECT_EQ(h.register_broker(1, 3).error_code, 0);
}

TEST(Registration, ARefusalIsLoggedOnceForABrokerAndIncarnation) {
  Harness h;
  h.start_brokers(2);
  const std::size_t before = h.notes.size();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(h.register_broker(1, 77).error_code, error(DUPLICATE_BROKER_REGISTRATION));
  ASSERT_EQ(h.warnings.size(), 1U);
  EXPECT_NE(h.warnings[0].find("registration of broker 1 incarnation"), std::string::npos) << h.warnings[0];
  EXPECT_EQ(h.register_broker(2, 77).error_code, error(DUPLICATE_BROKER_REGISTRATION));
  EXPECT_EQ(h.register_broker(1, 78).error_code, error(DUPLICATE_BROKER_REGISTRATION));
  EXPECT_EQ(h.register_broker(1, 78, -1, "other").error_code, error(INCONSISTENT_CLUSTER_ID));
  EXPECT_EQ(h.warnings.size(), 4U) << "another broker, another incarnation, another reason";
  EXPECT_EQ(h.notes.size(), before);
  h.now += 9s;
  EXPECT_EQ(h.register_broker(1, 78).error_code, 0);
  ASSERT_EQ(h.notes.size(), before + 1) << "it is said when it is accepted";
  EXPECT_NE(h.notes.back().find("granted"), std::string::npos);
}

TEST(Registration, ANewLifeLeavesItsIsrsAndItsLeaderships) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  const auto alone = h.create("alone", {{1}});
  h.now += 9s;
  h.beat(2);
  const auto epoch_before = h.at(alone).leader_epoch;
  ASSERT_EQ(h.register_broker(1, 77, /*previous_epoch=*/-1).error_code, 0);
  EXPECT_EQ(h.at(key).isr, ids({2}));
  EXPECT_EQ(h.at(key).leader, NodeId(2));
  EXPECT_EQ(h.at(alone).isr, ids({1})) << "the last member stays while eligible leader replicas are off";
  EXPECT_EQ(h.at(alone).leader, kNoNode);
  EXPECT_GT(h.at(alone).leader_epoch, epoch_before);
  EXPECT_EQ(h.marks[Mark::UncleanReregistration], 1);
  EXPECT_FALSE(h.beat(1).is_fenced);
  EXPECT_EQ(h.at(alone).leader, NodeId(1)) << "unfenced, it may lead again";
}

TEST(Registration, TheDefectLeavesAnUncleanReturnInItsIsrsAndItsLeaderships) {
  DefectSet defects;
  defects.add(Defect::Kafka18106);
  Harness h({}, defects);
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  const auto before = h.at(key);
  h.now += 9s;
  h.beat(2);
  ASSERT_EQ(h.register_broker(1, 77, /*previous_epoch=*/-1).error_code, 0);
  EXPECT_EQ(h.at(key).isr, ids({1, 2}));
  EXPECT_EQ(h.at(key).leader, NodeId(1));
  EXPECT_EQ(h.at(key).leader_epoch, before.leader_epoch);
  EXPECT_EQ(h.marks[Mark::DefectKafka18106], 1);
  // Fenced in time, or stopped in order, it is nothing special.
  h.beat(1);
  h.let_session_end(2);
  EXPECT_EQ(h.register_broker(2, 78, -1).error_code, 0);
  EXPECT_EQ(h.at(key).isr, ids({1}));
  EXPECT_EQ(h.marks[Mark::DefectKafka18106], 1);
}

TEST(Heartbeat, UnfencesOnlyWhoReachedTheirOwnRegistration) {
  Harness h;
  h.register_broker(1, 1);
  const auto early = h.beat(1, false, false, h.epochs[1] - 1);
  EXPECT_TRUE(early.is_fenced);
  EXPECT_FALSE(early.is_caught_up);
  EXPECT_TRUE(h.beat(1, false, /*want_fence=*/true).is_fenced) << "not against its will";
  const auto there = h.beat(1, false, false, h.epochs[1]);
  EXPECT_FALSE(there.is_fenced);
  EXPECT_TRUE(there.is_caught_up);
}

TEST(Heartbeat, OfAnOlderIncarnationIsStale) {
  Harness h;
  h.start_brokers(1);
  h.epochs[1] += 1;
  EXPECT_EQ(h.beat(1).error_code, error(STALE_BROKER_EPOCH));
  h.epochs[9] = 5;
  EXPECT_EQ(h.beat(9).error_code, error(STALE_BROKER_EPOCH)) << "never registered";
}

TEST(Session, EndsAfterItsTimeoutAndFences) {
  Harness h;
  h.start_brokers(3);
  const auto key = h.create("t", {{1, 2, 3}});
  h.let_session_end(1);
  EXPECT_TRUE(h.fenced(1));
  EXPECT_FALSE(h.fenced(2));
  EXPECT_EQ(h.at(key).leader, NodeId(2));
  EXPECT_EQ(h.at(key).isr, ids({2, 3}));
  EXPECT_FALSE(h.beat(1).is_fenced) << "the same incarnation comes back with a heartbeat";
  EXPECT_EQ(h.at(key).isr, ids({2, 3})) << "and out of the ISR";
}

TEST(Session, TheTimerIsArmedForTheFirstToEnd) {
  Harness h;
  h.start_brokers(1);
  EXPECT_LE(h.timer_at, h.now + 9s);
  h.now = h.timer_at;
  h.step(events_in::Tick{});
  EXPECT_TRUE(h.fenced(1) || h.timer_at > h.now);
  h.now = h.timer_at;
  h.step(events_in::Tick{});
  EXPECT_TRUE(h.fenced(1));
}

TEST(Shutdown, MovesLeadershipThenWaitsForTheOthersThenLets) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}});
  const std::int64_t seen_before = h.end.value() - 1;
  const auto first = h.beat(1, /*want_shut_down=*/true);
  EXPECT_FALSE(first.should_shut_down);
  EXPECT_FALSE(first.is_fenced);
  EXPECT_EQ(h.at(key).leader, NodeId(2));
  EXPECT_EQ(h.at(key).isr, ids({2}));
  EXPECT_TRUE(h.controller.image().broker(NodeId(1))->in_controlled_shutdown);
  h.beat(2, false, false, seen_before);
  EXPECT_FALSE(h.beat(1, true).should_shut_down) << "broker 2 hasn't seen that it leads";
  h.beat(2);
  const auto last = h.beat(1, true);
  EXPECT_TRUE(last.should_shut_down);
  EXPECT_TRUE(last.is_fenced);
  EXPECT_EQ(h.register_broker(1, 2, h.epochs[1]).error_code, 0) << "it may return at once";
  EXPECT_EQ(h.marks[Mark::UncleanReregistration], 0);
}

TEST(Shutdown, ALifeThatBeganItLeadsNothingAgain) {
  Harness h;
  h.start_brokers(2);
  const auto alone = h.create("alone", {{1}});
  h.beat(1, /*want_shut_down=*/true);
  EXPECT_EQ(h.at(alone).leader, kNoNode);
  h.let_session_end(1);
  h.beat(1);
  EXPECT_EQ(h.at(alone).leader, kNoNode);
}

TEST(Shutdown, OfWhoLeadsNothingIsImmediate) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{2, 1}});
  EXPECT_TRUE(h.beat(1, true).should_shut_down);
  EXPECT_EQ(h.at(key).isr, ids({2}));
}

TEST(Controller, ThatIsNotActiveRefusesAndLosesNothingItHadNotCommitted) {
  Controller idle(Harness::options({}, {}), nullptr);
  Effects out;
  const wire::BrokerHeartbeatRequest beat{.broker_id = 1};
  idle.step(events_in::Heartbeat{.token = 1, .version = 1, .request = beat}, MonoTime{}, out);
  ASSERT_EQ(out.list.size(), 1U);
  const auto& respond = std::get<effects::Respond>(out.list[0]);
  EXPECT_EQ(std::get<wire::Message<wire::BrokerHeartbeatResponse>>(respond.response)->error_code,
            error(NOT_CONTROLLER));
}

TEST(Controller, ThatLosesItsLeadershipAnswersNothingAsDecided) {
  Harness h;
  h.start_brokers(1);
  std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{
      {.name = "t", .num_partitions = 1, .replication_factor = 1}};
  const wire::CreateTopicsRequest request{.topics = topics};
  h.step(events_in::CreateTopics{.token = 500, .version = 7, .request = request, .random = 1});
  h.step(events_in::LostLeadership{});
  const auto& answer = h.answer<wire::CreateTopicsResponse>(500);
  ASSERT_EQ(answer.topics.size(), 1U);
  EXPECT_EQ(answer.topics[0].name, "t");
  EXPECT_EQ(answer.topics[0].error_code, error(NOT_CONTROLLER));
  EXPECT_FALSE(h.controller.active());
  EXPECT_EQ(h.controller.image().topic("t"), nullptr);
}

TEST(Controller, RebuildsFromItsLog) {
  Harness h;
  h.start_brokers(2);
  const auto key = h.create("t", {{1, 2}}, {{"min.insync.replicas", "2"}});
  Controller again(Harness::options({}, {}), nullptr);
  Offset at{1};
  for (const auto& record : h.log) {
    ASSERT_TRUE(again.replay(record, at)) << protocol::to_json(record);
    ++at;
  }
  Effects out;
  again.step(events_in::BecameLeader{.epoch = 2, .next_offset = at + 1}, h.now, out);
  EXPECT_EQ(again.image().partition(key)->isr, ids({1, 2}));
  for (const Effect& effect : out.list) {
    EXPECT_FALSE(std::holds_alternative<effects::Append>(effect)) << "no second bootstrap";
  }
  again.step(events_in::Tick{}, h.now + 8s, out);
  EXPECT_FALSE(again.image().broker(NodeId(1))->fenced) << "sessions begin anew with a new controller";
  again.step(events_in::Tick{}, h.now + 9s, out);
  EXPECT_TRUE(again.image().broker(NodeId(1))->fenced);
}

TEST(Controller, IdleTimeIsMarkedInTheLog) {
  Harness h({{"metadata.max.idle.interval.ms", "500"}});
  const Offset before = h.end;
  h.tick_after(500ms);
  EXPECT_EQ(h.end, before + 1);
  EXPECT_TRUE(std::holds_alternative<protocol::records::NoOp>(h.log.back()));
}

}  // namespace
}  // namespace verdict::controller
