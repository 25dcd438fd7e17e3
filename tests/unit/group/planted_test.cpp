#include <array>
#include <utility>

#include "tests/unit/group/consumer_harness.h"

// Defects that can be planted here, each beside what the coordinator does without it; and what the feed says of groups.
namespace verdict::group {
namespace {

GroupCoordinator::Options with(std::optional<Defect> defect) {
  GroupCoordinator::Options options;
  if (defect) options.defects.add(*defect);
  return options;
}
constexpr std::array<std::optional<Defect>, 2> without_and_with(Defect defect) { return {std::nullopt, defect}; }

TEST(PlantedInGroups, NoGenerationFence) {
  for (const auto& defect : without_and_with(Defect::NoGenerationFence)) {
    Harness h(with(defect));
    const auto ids = h.stable(2);
    EXPECT_EQ(h.commit("t", 0, 1, {.member = ids[1], .generation = 1}), ErrorCode::NONE);
    EXPECT_FALSE(h.marks.contains(Mark::DefectNoGenerationFence) || h.marks.contains(Mark::StaleMemberRefused));
    h.leave({{.member = ids[1]}});
    EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[1], .generation = 1}),
              defect ? ErrorCode::NONE : ErrorCode::UNKNOWN_MEMBER_ID);
    EXPECT_EQ(h.fetch("t", 0).offset, defect ? 2 : 1);
    EXPECT_EQ(h.txn_commit(7, "t", 0, 3, {.member = ids[0], .generation = 9}),
              defect ? ErrorCode::NONE : ErrorCode::ILLEGAL_GENERATION);
    EXPECT_EQ(h.marks.contains(Mark::DefectNoGenerationFence), defect.has_value());
    EXPECT_NE(h.marks.contains(Mark::StaleMemberRefused), defect.has_value());
  }
}

TEST(PlantedInGroups, Kafka8500) {
  for (const auto& defect : without_and_with(Defect::Kafka8500)) {
    Harness h(with(defect));
    const auto ids = h.stable(2, {.instance = ""});
    // In a stable group the id is replaced all the same.
    const Token stable = h.join({.instance = "i1"});
    const std::string second(h.joined(stable).member_id);
    EXPECT_NE(second, ids[1]);
    EXPECT_FALSE(h.marks.contains(Mark::DefectKafka8500));
    h.join({.member = ids[0], .instance = "i0"});
    EXPECT_EQ(h.state(), "PreparingRebalance");
    const Token anew = h.join({.instance = "i1"});
    EXPECT_EQ(h.joined(anew).generation_id, 2);
    EXPECT_EQ(h.joined(anew).member_id == second, defect.has_value());
    EXPECT_EQ(h.heartbeat(second, 2, "i1"), defect ? ErrorCode::NONE : ErrorCode::FENCED_INSTANCE_ID);
    EXPECT_EQ(h.marks.contains(Mark::DefectKafka8500), defect.has_value());
  }
}

TEST(PlantedInGroups, Kafka10284) {
  for (const auto& defect : without_and_with(Defect::Kafka10284)) {
    Harness h(with(defect));
    const auto ids = h.stable(2, {.instance = ""});
    const Token token = h.join({.instance = "i1"});
    const std::string now(h.joined(token).member_id);
    EXPECT_EQ(h.heartbeat(now, 1, "i1"), ErrorCode::NONE);
    Harness next({}, h.log);
    EXPECT_EQ(next.heartbeat(now, 1, "i1"), defect ? ErrorCode::FENCED_INSTANCE_ID : ErrorCode::NONE);
    EXPECT_EQ(h.marks.contains(Mark::DefectKafka10284), defect.has_value());
  }
}

TEST(PlantedInGroups, Kafka16147) {
  for (const auto& defect : without_and_with(Defect::Kafka16147)) {
    Topics topics;
    topics.create("t", 2);
    ConsumerHarness h(topics, with(defect));
    const Named both{{"t", {0, 1}}};
    EXPECT_EQ(h.join("a", {"t"}).assignment, both);
    h.join("b", {"t"});
    EXPECT_EQ(h.beat({.member = "a", .epoch = 1}).assignment.value_or(Named{})["t"].size(), 1U);
    h.go("b");
    EXPECT_FALSE(h.marks.contains(Mark::DefectKafka16147));
    // It has not heard that it is to give up one of them; but by now it is to have both.
    const Beaten again = h.beat({.member = "a", .epoch = 1, .owned = both});
    EXPECT_EQ(again.epoch, defect ? 3 : 1);
    EXPECT_EQ(h.marks.contains(Mark::DefectKafka16147), defect.has_value());
    EXPECT_EQ(h.join("c", {"t"}).assignment.value_or(Named{})["t"].size(), defect ? 1U : 0U) << "a has both";
  }
}

struct Feed final : protocol::Observer {
  void observe(const protocol::Event& event) override {
    using namespace protocol::events;  // tidy: allow using-namespace: a list of events
    if (const auto* moved = std::get_if<GroupMoved>(&event)) {
      EXPECT_EQ(moved->protocol, "classic");
      told.push_back(std::string(moved->state) + " " + std::to_string(moved->generation) + " of " +
                     std::to_string(moved->members));
    } else if (const auto* member = std::get_if<GroupMemberMoved>(&event)) {
      told.push_back(std::string(member->change) + " " + std::string(member->instance));
    } else if (const auto* commit = std::get_if<GroupCommitDecided>(&event)) {
      told.push_back("commit in " + std::to_string(commit->generation) + ": " + std::to_string(commit->error_code));
    } else if (std::holds_alternative<GroupsLoaded>(event)) {
      told.emplace_back("loaded");
    }
  }
  std::vector<std::string> told;
};

// Of members of the consumer protocol: with their epochs and what they have.
struct ConsumerFeed final : protocol::Observer {
  void observe(const protocol::Event& event) override {
    using namespace protocol::events;  // tidy: allow using-namespace: a list of events
    if (const auto* moved = std::get_if<GroupMoved>(&event)) {
      EXPECT_EQ(moved->protocol, "consumer");
      told.push_back(std::string(moved->state) + " " + std::to_string(moved->generation));
    } else if (const auto* member = std::get_if<GroupMemberMoved>(&event)) {
      told.push_back(std::string(member->change) + " " + std::string(member->member) + "@" +
                     std::to_string(member->generation) + " " + std::string(member->assignment));
    } else if (const auto* beat = std::get_if<ConsumerHeartbeatDecided>(&event)) {
      told.push_back("beat " + std::string(beat->member) + " " + std::to_string(beat->asked_epoch) + "-" +
                     std::to_string(beat->epoch) + (beat->tells ? " has " : "") + std::string(beat->owned));
    }
  }
  std::vector<std::string> take() { return std::exchange(told, {}); }
  std::vector<std::string> told;
};

TEST(GroupFeed, TellsWhatIsDecided) {
  Feed feed;
  Harness h({}, {}, MonoTime{1000s}, &feed);
  const auto ids = h.stable(1, {.instance = ""});
  h.join({.instance = "i0"});
  h.commit("t", 0, 1, {.member = ids[0], .generation = 1});
  h.wait(20'000);
  h.delete_group();
  EXPECT_EQ(feed.told,
            (std::vector<std::string>{"loaded", "joined i0", "PreparingRebalance 0 of 1", "CompletingRebalance 1 of 1",
                                      "Stable 1 of 1", "replaced i0", "commit in 1: 25", "removed i0",
                                      "PreparingRebalance 1 of 0", "Empty 2 of 0", "Dead 2 of 0"}));
  Feed next;
  Harness other({}, h.log, MonoTime{1000s}, &next);
  EXPECT_EQ(next.told, std::vector<std::string>{"loaded"});
}

TEST(GroupFeed, TellsOfMembersOfTheConsumerProtocol) {
  using Told = std::vector<std::string>;
  Topics topics;
  topics.create("t", 2);
  ConsumerFeed feed;
  GroupCoordinator::Options options;
  options.offsets_retention_check_interval_ms = 10'000;
  ConsumerHarness h(topics, options, {}, MonoTime{1000s}, &feed);
  h.join("a", {"t"}, {.instance = "i"});
  EXPECT_EQ(feed.take(), (Told{"Empty 0", "Stable 1", "joined a@1 t-0,t-1", "beat a 0-1 has "}));
  h.beat({.member = "a", .epoch = 1, .instance = "i"});
  EXPECT_EQ(feed.take(), Told{"beat a 1-1"});
  h.join("b", {"t"});
  EXPECT_EQ(feed.take(), (Told{"Reconciling 2", "joined b@2 ", "beat b 0-2 has "}));
  const Beaten told = h.beat({.member = "a", .epoch = 1, .instance = "i"});
  EXPECT_EQ(feed.take(), (Told{"moved a@1 t-0,t-1", "beat a 1-1"})) << "with what it is to give up";
  const std::string kept = "t-" + ConsumerHarness::joined_text(told.assignment.value_or(Named{})["t"]);
  h.beat({.member = "a", .epoch = 1, .owned = told.assignment, .instance = "i"});
  EXPECT_EQ(feed.take(), (Told{"moved a@2 " + kept, "beat a 1-2 has " + kept}));
  h.go("a", kStaticLeftEpoch, "i");
  EXPECT_EQ(feed.take(), Told{"moved a@-2 " + kept});
  h.join("c", {"t"}, {.instance = "i"});
  EXPECT_EQ(feed.take(), (Told{"replaced c@2 " + kept, "beat c 0-2 has "}));
  ConsumerFeed next;
  ConsumerHarness later(topics, {}, h.log, MonoTime{1000s}, &next);
  EXPECT_EQ(next.take(), (Told{"Reconciling 2", "loaded b@2 ", "loaded c@2 " + kept}));
  h.go("b"), h.go("c");
  EXPECT_EQ(feed.take(), (Told{"Assigning 3", "removed b@2 ", "Empty 4", "removed c@2 "}));
  h.wait(10'000);
  EXPECT_EQ(feed.take(), Told{"Dead 4"}) << "it has neither members nor offsets";
}

}  // namespace
}  // namespace verdict::group
