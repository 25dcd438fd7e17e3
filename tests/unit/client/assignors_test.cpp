#include "protocol/client/assignors.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace verdict::client {
namespace {

std::vector<TopicPartition> of(const std::string& topic, const std::vector<int>& indexes) {
  std::vector<TopicPartition> out;
  for (const int index : indexes) out.push_back({.topic = topic, .partition = index});
  return out;
}
Subscription member(std::string id, std::vector<std::string> topics = {"t"}, std::string instance = "") {
  return {.member = std::move(id), .instance = std::move(instance), .topics = std::move(topics), .owned = {}};
}
Subscription owner(std::string id, std::vector<int> indexes, int generation = 1) {
  Subscription one = member(std::move(id));
  one.owned = of("t", indexes);
  one.generation = generation;
  return one;
}

TEST(Assignors, RangeGivesRunsOfEachTopic) {
  const Assignment got = assign(Assignor::range, {member("b", {"t", "u"}), member("a"), member("c", {"u"})},
                                {{"t", 3}, {"u", 2}, {"unwanted", 4}});
  EXPECT_EQ(got.at("a"), of("t", {0, 1}));
  auto b = of("t", {2});
  b.push_back({.topic = "u", .partition = 0});
  EXPECT_EQ(got.at("b"), b);
  EXPECT_EQ(got.at("c"), of("u", {1}));
}
TEST(Assignors, StaticMembersKeepTheirPlaceUnderAnotherId) {
  for (const Assignor how : {Assignor::range, Assignor::round_robin}) {
    const auto before = assign(how, {member("one-z", {"t"}, "one"), member("two-a", {"t"}, "two")}, {{"t", 3}});
    const auto after = assign(how, {member("one-a", {"t"}, "one"), member("two-a", {"t"}, "two")}, {{"t", 3}});
    EXPECT_EQ(before.at("one-z"), after.at("one-a"));
    EXPECT_EQ(before.at("two-a"), after.at("two-a"));
  }
}
TEST(Assignors, RoundRobinTakesTurns) {
  const Assignment got = assign(Assignor::round_robin, {member("a"), member("b")}, {{"t", 5}});
  EXPECT_EQ(got.at("a"), of("t", {0, 2, 4}));
  EXPECT_EQ(got.at("b"), of("t", {1, 3}));
}
TEST(Assignors, NobodyWantsATopicThatIsNotThere) {
  for (const Assignor how : {Assignor::range, Assignor::round_robin, Assignor::cooperative_sticky}) {
    const Assignment got = assign(how, {member("a"), member("b", {})}, {{"t", 0}});
    EXPECT_TRUE(got.at("a").empty() && got.at("b").empty());
  }
}
TEST(Assignors, StickyMovesTheLeastAndInTwoSteps) {
  // b is new: a gives one up first, and nobody is given it meanwhile.
  Assignment got = assign(Assignor::cooperative_sticky, {owner("a", {0, 1, 2}), member("b")}, {{"t", 3}});
  EXPECT_EQ(got.at("a"), of("t", {0, 1}));
  EXPECT_TRUE(got.at("b").empty());
  got = assign(Assignor::cooperative_sticky, {owner("a", {0, 1}, 2), owner("b", {}, 2)}, {{"t", 3}});
  EXPECT_EQ(got.at("a"), of("t", {0, 1}));
  EXPECT_EQ(got.at("b"), of("t", {2}));
}
TEST(Assignors, StickyBelievesTheLaterGeneration) {
  Assignment got =
      assign(Assignor::cooperative_sticky, {owner("a", {0, 1}, 1), owner("b", {0}, 2), member("c")}, {{"t", 3}});
  EXPECT_EQ(got.at("b"), of("t", {0}));
  EXPECT_EQ(got.at("a"), of("t", {1}));
  EXPECT_EQ(got.at("c"), of("t", {2}));
  got = assign(Assignor::cooperative_sticky, {owner("a", {0}, 1), owner("b", {0}, 1)}, {{"t", 1}});
  EXPECT_EQ(got.at("a").size() + got.at("b").size(), 1U);  // neither has it for sure: it is free
}
TEST(Assignors, EachGivesEveryPartitionOnceAndFairly) {
  for (const Assignor how : {Assignor::range, Assignor::round_robin, Assignor::cooperative_sticky}) {
    for (int members = 1; members <= 5; ++members) {
      std::vector<Subscription> all;
      for (int i = 0; i < members; ++i) all.push_back(member("m" + std::to_string(i)));
      std::set<TopicPartition> seen;
      std::size_t least = 99, most = 0;
      for (const auto& [id, given] : assign(how, all, {{"t", 7}})) {
        for (const TopicPartition& partition : given) EXPECT_TRUE(seen.insert(partition).second);
        least = std::min(least, given.size()), most = std::max(most, given.size());
      }
      EXPECT_EQ(seen.size(), 7U);
      EXPECT_LE(most - least, 1U);
    }
  }
}

}  // namespace
}  // namespace verdict::client
