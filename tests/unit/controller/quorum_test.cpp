#include <gtest/gtest.h>

#include "protocol/quorum/single_voter.h"
#include "protocol/wire/errors.h"

namespace verdict::quorum {
namespace {

using enum wire::ErrorCode;

class Machine {
 public:
  explicit Machine(std::optional<QuorumState> state = {}, Offset log_end = Offset(0),
                   std::vector<EpochStart> epochs = {})
      : voter({.self = NodeId(1), .cluster_id = "c"}, nullptr) {
    step(events_in::Start{.state = std::move(state), .log_end = log_end, .epochs = std::move(epochs)});
  }
  void step(Input input) {
    Effects out;
    voter.step(std::move(input), now, out);
    for (Effect& effect : out) {
      effects.push_back(std::move(effect));
    }
  }
  template <class T>
  std::vector<T> take() {
    std::vector<T> out;
    std::erase_if(effects, [&](Effect& e) {
      const bool match = std::holds_alternative<T>(e);
      if (match) {
        out.push_back(std::move(std::get<T>(e)));
      }
      return match;
    });
    return out;
  }
  // Plays the disk until the machine leads.
  void lead() {
    step(events_in::Durable{.token = take<effects::PersistState>().at(0).token});
    step(events_in::Durable{.token = take<effects::Persist>().at(0).token});
    ASSERT_TRUE(voter.is_leader());
    effects.clear();
  }
  Token append(int records) {
    step(events_in::Append{.base = voter.log_end(),
                           .records = std::vector<LogRecord>(static_cast<std::size_t>(records))});
    return take<effects::Persist>().at(0).token;
  }
  effects::AnswerFetch fetch(Offset offset, int last_epoch, int current_epoch = -1) {
    step(events_in::Fetch{.request = 7,
                          .replica = NodeId(5),
                          .current_leader_epoch = QuorumEpoch(current_epoch),
                          .fetch_offset = offset,
                          .last_fetched_epoch = QuorumEpoch(last_epoch)});
    return take<effects::AnswerFetch>().at(0);
  }

  SingleVoter voter;
  MonoTime now{1s};
  Effects effects;
};

TEST(SingleVoter, ItsEpochIsDurableBeforeItIsUsed) {
  Machine m;
  ASSERT_EQ(m.effects.size(), 1U) << "nothing but the state file";
  const auto state = m.take<effects::PersistState>().at(0);
  EXPECT_EQ(state.json, R"({"clusterId":"c","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,)"
                        R"("currentVoters":[{"voterId":1}],"data_version":0})");
  EXPECT_FALSE(m.voter.is_leader());
  m.step(events_in::Durable{.token = state.token});
  const auto opening = m.take<effects::Persist>().at(0);
  EXPECT_TRUE(opening.control);
  EXPECT_EQ(opening.epoch, QuorumEpoch(1));
  EXPECT_FALSE(m.voter.is_leader()) << "its LeaderChange record isn't durable";
  m.step(events_in::Durable{.token = opening.token});
  EXPECT_TRUE(m.voter.is_leader());
  EXPECT_EQ(m.take<effects::Committed>().at(0).to, Offset(1));
  EXPECT_EQ(m.take<effects::BecameLeader>().at(0).next_offset, Offset(1));
}

TEST(SingleVoter, ARestartTakesANewEpoch) {
  Machine m(QuorumState{.cluster_id = "c", .leader = NodeId(1), .epoch = QuorumEpoch(4)}, Offset(10),
            {{QuorumEpoch(4), Offset(0)}});
  m.lead();
  EXPECT_EQ(m.voter.epoch(), QuorumEpoch(5));
  Machine lost_file({}, Offset(10), {{QuorumEpoch(9), Offset(0)}});
  lost_file.lead();
  EXPECT_EQ(lost_file.voter.epoch(), QuorumEpoch(10)) << "the log knows of newer epochs than the lost file";
}

TEST(SingleVoter, CommitsWhatIsSyncedAndNotMore) {
  Machine m;
  m.lead();
  const Token first = m.append(3);
  const Token second = m.append(2);
  EXPECT_EQ(m.voter.high_watermark(), Offset(1));
  EXPECT_EQ(m.fetch(Offset(1), 1).read_to, Offset(1)) << "unsynced records are shown to nobody";
  m.step(events_in::Durable{.token = first});
  EXPECT_EQ(m.voter.high_watermark(), Offset(4));
  m.step(events_in::Durable{.token = second});
  EXPECT_EQ(m.voter.high_watermark(), Offset(6));
  EXPECT_EQ(m.take<effects::Committed>().size(), 2U);
  m.append(1);
  const Token last = m.append(1);
  m.step(events_in::Durable{.token = last});
  EXPECT_EQ(m.voter.high_watermark(), Offset(8)) << "a sync covers what was before it";
}

TEST(SingleVoter, FetchesAreCheckedAndAnswered) {
  Machine idle;
  EXPECT_EQ(idle.fetch(Offset(0), -1).error, code(NOT_LEADER_OR_FOLLOWER));
  Machine m(QuorumState{.epoch = QuorumEpoch(3)}, Offset(10),
            {{QuorumEpoch(1), Offset(0)}, {QuorumEpoch(3), Offset(6)}});
  m.lead();
  EXPECT_EQ(m.fetch(Offset(0), -1).read_to, Offset(11));
  EXPECT_EQ(m.fetch(Offset(11), 4).error, 0);
  EXPECT_EQ(m.fetch(Offset(5), 1, 3).error, code(FENCED_LEADER_EPOCH));
  EXPECT_EQ(m.fetch(Offset(5), 1, 5).error, code(UNKNOWN_LEADER_EPOCH));
  EXPECT_EQ(m.fetch(Offset(-1), -1).error, code(INVALID_REQUEST));
  EXPECT_EQ(m.fetch(Offset(5), 9).error, code(INVALID_REQUEST));
  EXPECT_EQ(m.fetch(Offset(12), -1).error, code(OFFSET_OUT_OF_RANGE));
  const auto missing_epoch = m.fetch(Offset(6), 2);
  ASSERT_TRUE(missing_epoch.diverging);
  EXPECT_EQ(missing_epoch.diverging->epoch, QuorumEpoch(1));
  EXPECT_EQ(missing_epoch.diverging->start, Offset(6));
  const auto too_long = m.fetch(Offset(8), 1);
  ASSERT_TRUE(too_long.diverging);
  EXPECT_EQ(too_long.diverging->start, Offset(6));
  EXPECT_FALSE(m.fetch(Offset(6), 1).diverging);
}

TEST(SingleVoter, AFetchAtTheEndWaitsForNewsOrItsTime) {
  Machine m;
  m.lead();
  const events_in::Fetch fetch{.request = 9,
                               .replica = NodeId(5),
                               .current_leader_epoch = QuorumEpoch(1),
                               .fetch_offset = Offset(1),
                               .last_fetched_epoch = QuorumEpoch(1),
                               .known_high_watermark = Offset(1),
                               .max_wait = 500ms};
  m.step(fetch);
  EXPECT_TRUE(m.take<effects::AnswerFetch>().empty());
  EXPECT_EQ(m.take<effects::ArmTimer>().at(0).when, m.now + 500ms);
  m.step(events_in::Durable{.token = m.append(1)});
  const auto answer = m.take<effects::AnswerFetch>().at(0);
  EXPECT_EQ(answer.request, 9U);
  EXPECT_EQ(answer.read_to, Offset(2));
  auto later = fetch;
  later.fetch_offset = Offset(2);
  later.known_high_watermark = Offset(2);
  m.step(later);
  m.now += 500ms;
  m.step(events_in::Tick{});
  EXPECT_EQ(m.take<effects::AnswerFetch>().at(0).read_to, Offset(2)) << "empty, at its time";
  later.known_high_watermark = Offset(1);
  m.step(later);
  EXPECT_EQ(m.take<effects::AnswerFetch>().size(), 1U) << "it hasn't heard of the high watermark";
}

TEST(QuorumState, SurvivesItsFileAndRefusesGarbage) {
  const QuorumState state{
      .cluster_id = "x\"y", .leader = NodeId(2), .epoch = QuorumEpoch(7), .voted = NodeId(2), .voters = {NodeId(2)}};
  EXPECT_EQ(parse_quorum_state(format_quorum_state(state)), state);
  const auto kafka = parse_quorum_state(
      R"({"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1})");
  ASSERT_TRUE(kafka);
  EXPECT_EQ(kafka->epoch, QuorumEpoch(3));
  for (const char* bad : {"", "[]", "{}", R"({"leaderId":1,"leaderEpoch":-3,"votedId":-1,"data_version":0})",
                          R"({"leaderId":"1","leaderEpoch":3,"votedId":-1,"data_version":0})",
                          R"({"leaderId":1,"leaderEpoch":3,"votedId":-1,"currentVoters":[{}],"data_version":0})",
                          R"({"leaderId":1,"leaderEpoch":3,"votedId":-1,"data_version":2})"}) {
    EXPECT_FALSE(parse_quorum_state(bad)) << bad;
  }
}

TEST(Voters, SeveralAreRefusedInOneLine) {
  protocol::BrokerConfig config;
  ASSERT_TRUE(config.set("process.roles", "controller"));
  ASSERT_TRUE(config.set("node.id", "1"));
  ASSERT_TRUE(config.set("controller.quorum.voters", "1@a:1"));
  EXPECT_TRUE(check_voters(config));
  ASSERT_TRUE(config.set("controller.quorum.voters", "1@a:1,2@b:2"));
  EXPECT_EQ(check_voters(config).error(),
            "controller.quorum.voters=1@a:1,2@b:2: a replicated quorum is not implemented yet "
            "(allowed: exactly one voter, id@host:port)");
  ASSERT_TRUE(config.set("controller.quorum.voters", "2@b:2"));
  EXPECT_FALSE(check_voters(config)) << "a controller that is no voter";
}

TEST(LeaderChange, IsWhatKafkaWrites) {
  const LogRecord record = leader_change_record(NodeId(1), {NodeId(1)});
  EXPECT_EQ(*record.key, (std::vector{std::byte{0}, std::byte{0}, std::byte{0}, std::byte{2}}));
  EXPECT_EQ(record.value.size(), 19U) << "as in Apache Kafka's log";
}

}  // namespace
}  // namespace verdict::quorum
