// Members of a group against a simulated broker; and a group that never comes to rest.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "protocol/client/group.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"
#include "sim/node.h"
#include "sim/world.h"
#include "tests/unit/scenarios/one_broker.h"
#include "tests/unit/sim/add_process.h"

namespace verdict::client {
namespace {

struct Heard final : GroupListener {
  void revoked(const std::vector<TopicPartition>& partitions, bool lost) override {
    for (const TopicPartition& one : partitions) gave_up.push_back(one.partition);
    losses += lost ? 1 : 0;
  }
  void assigned(std::int32_t, const std::vector<TopicPartition>& partitions) override {
    has.clear();
    for (const TopicPartition& one : partitions) has.push_back(one.partition);
    ++assignments;
  }
  std::vector<std::int32_t> has, gave_up;
  int losses = 0, assignments = 0;
};

struct Machine final : sim::Process {
  explicit Machine(Runtime& of) : runtime(of), admin(of, one_brokers_client()), scope(of) {}
  GroupMember& join(std::size_t who, Assignor assignor, std::string instance = "") {
    GroupOptions group{.group = "g", .instance = std::move(instance), .topics = {"t"}};
    group.session_timeout = 2s;
    group.rebalance_timeout = 2s;
    group.heartbeat_interval = 100ms;
    group.assignor = assignor;
    members[who] = make_group_member(runtime, one_brokers_client(), group, heard[who]);
    return *members[who];
  }

  GroupMember& join_consumers(std::size_t who, std::string instance = "") {
    GroupOptions group{.group = "g", .instance = std::move(instance), .topics = {"t"}};
    group.protocol = GroupProtocol::consumer;
    group.rebalance_timeout = 2s;
    members[who] = make_group_member(runtime, one_brokers_client(), group, heard[who]);
    return *members[who];
  }
  Task<void> commit(GroupMember* member, GroupMembership as, std::int32_t partition) {
    OffsetsToCommit offsets;
    offsets[{.topic = "t", .partition = partition}] = {.offset = Offset(0)};
    answer = co_await member->commit_as(std::move(as), offsets, runtime.now() + 1s);
    done = true;
  }
  Task<void> close(GroupMember* member) {
    co_await member->close();
    done = true;
  }

  Runtime& runtime;
  Admin admin;
  Heard heard[2];
  std::unique_ptr<GroupMember> members[2];
  bool done = false;
  ErrorCode answer = ErrorCode::NONE;
  Scope scope;
};

class Members : public ::testing::Test {
 protected:
  void SetUp() override {
    at = sim::testing::add_process(world, "client", m);
    cluster.start_all();
    world.start(at);
    ASSERT_EQ(world.run_until([&] { return m != nullptr; }, world.now() + 1s), sim::RunEnd::stopped);
    m->scope.spawn(create_topic(m, 4));
    wait([&] { return m->done; });
  }
  template <class Done>
  void wait(Done done) {
    ASSERT_EQ(world.run_until(done, world.now() + 20s), sim::RunEnd::stopped);
  }
  ErrorCode commit(GroupMember& member, const GroupMembership& as, std::int32_t partition) {
    m->done = false;
    m->scope.spawn(m->commit(&member, as, partition));
    wait([&] { return m->done; });
    return m->answer;
  }
  bool settled() const { return m->members[0]->settled() && m->members[1]->settled(); }

  sim::World world{{.seed = 3}};
  sim::Cluster cluster{world, {.brokers = 1}, nullptr};
  sim::NodeIndex at{};
  Machine* m = nullptr;
};

TEST_F(Members, EagerOnesGiveUpAllBeforeTheyJoinAgain) {
  m->join(0, Assignor::range);
  wait([&] { return m->heard[0].has.size() == 4; });
  m->join(1, Assignor::range);
  wait([&] { return m->heard[1].assignments > 0 && settled(); });
  EXPECT_EQ(m->heard[0].gave_up, (std::vector<std::int32_t>{0, 1, 2, 3}));
  EXPECT_EQ(m->heard[0].has.size() + m->heard[1].has.size(), 4U);
}

TEST_F(Members, CooperativeOnesGiveUpWhatMovesAndJoinAgain) {
  m->join(0, Assignor::cooperative_sticky);
  wait([&] { return m->heard[0].has.size() == 4; });
  m->join(1, Assignor::cooperative_sticky);
  wait([&] { return m->heard[1].has.size() == 2 && settled(); });
  EXPECT_EQ(m->heard[0].has, (std::vector<std::int32_t>{0, 1}));
  EXPECT_EQ(m->heard[0].gave_up, (std::vector<std::int32_t>{2, 3}));
  EXPECT_EQ(m->heard[1].has, (std::vector<std::int32_t>{2, 3}));
  EXPECT_TRUE(m->heard[1].gave_up.empty());
  EXPECT_EQ(m->heard[1].assignments, 2) << "nothing in the first round";
}

TEST_F(Members, AStaticOneIsEndedByItsSuccessor) {
  GroupMember& older = m->join(0, Assignor::range, "one");
  wait([&] { return m->heard[0].has.size() == 4; });
  GroupMember& newer = m->join(1, Assignor::range, "one");
  wait([&] { return older.fenced(); });
  EXPECT_EQ(m->heard[0].losses, 1);
  EXPECT_FALSE(older.settled());
  wait([&] { return newer.settled(); });
  EXPECT_EQ(m->heard[1].has.size(), 4U);
  EXPECT_EQ(newer.membership().generation, 1) << "nobody rebalanced";
}

TEST_F(Members, OfTheConsumerProtocolGiveUpWhatMoves) {
  GroupMember& first = m->join_consumers(0);
  wait([&] { return m->heard[0].has.size() == 4; });
  const GroupMembership as = first.membership();
  EXPECT_EQ(as.generation, 1);
  m->join_consumers(1);
  wait([&] { return m->heard[1].has.size() == 2 && settled(); });
  EXPECT_EQ(m->heard[0].has.size(), 2U);
  EXPECT_EQ(m->heard[0].gave_up.size(), 2U);
  EXPECT_EQ(m->heard[0].losses, 0);
  EXPECT_TRUE(m->heard[1].gave_up.empty());
  EXPECT_GT(first.membership().generation, as.generation);
  // As who it was in an older epoch it commits of what it has had since, and of nothing else.
  EXPECT_EQ(commit(first, as, m->heard[0].has[0]), ErrorCode::NONE);
  EXPECT_EQ(commit(first, as, m->heard[0].gave_up[0]), ErrorCode::STALE_MEMBER_EPOCH);
  m->done = false;
  m->scope.spawn(m->close(m->members[1].get()));
  wait([&] { return m->heard[0].has.size() == 4; });
  EXPECT_EQ(commit(first, as, m->heard[0].gave_up[0]), ErrorCode::STALE_MEMBER_EPOCH) << "another had it meanwhile";
}

TEST_F(Members, OfTheConsumerProtocolJoinAnewWhenTheyAreForgotten) {
  GroupMember& member = m->join_consumers(0);
  wait([&] { return m->heard[0].has.size() == 4; });
  // It hears nothing for longer than its session.
  world.pause(at);
  world.run_for(3s);
  world.resume(at);
  wait([&] { return m->heard[0].losses == 1; });
  EXPECT_EQ(m->heard[0].gave_up.size(), 4U);
  wait([&] { return m->heard[0].has.size() == 4 && member.settled(); });
  EXPECT_EQ(member.membership().generation, 3) << "without it the group was in 2";
}

TEST_F(Members, AStaticOneOfTheConsumerProtocolFindsItsPlaceAgain) {
  GroupMember& older = m->join_consumers(0, "one");
  wait([&] { return m->heard[0].has.size() == 4; });
  GroupMember& newer = m->join_consumers(1, "one");
  world.run_for(1s);
  EXPECT_TRUE(m->heard[1].has.empty()) << "the place is taken";
  EXPECT_TRUE(newer.settled() && !newer.fenced());
  m->done = false;
  m->scope.spawn(m->close(&older));
  wait([&] { return m->heard[1].has.size() == 4; });
  EXPECT_EQ(newer.membership().generation, 1) << "nobody rebalanced";
}

}  // namespace
}  // namespace verdict::client

namespace verdict::scenarios {
namespace {

TEST(GroupsAfterTheHeal, WhoFindsNoPlaceIsV6) {
  for (const char* room : {"1", "2"}) {
    const auto scenario = parse_scenario(
        R"j({"version":1,"name":"a","cluster":{"config":{"group.max.size":")j" + std::string(room) +
        R"j("}},"workload":{"producers":[{}],"consumers":[{"group":"g"},{"group":"g"}]},"phases":{"run_ms":2000}})j");
    ASSERT_TRUE(scenario.has_value()) << scenario.error().text();
    const RunResult result = run(*scenario, 1);
    EXPECT_EQ(result.invariant, std::string(room) == "1" ? "V6" : "") << result.sentence;
  }
}

}  // namespace
}  // namespace verdict::scenarios
