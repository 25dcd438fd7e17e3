#include "search/state_curve.h"

#include <gtest/gtest.h>

namespace verdict::search {
namespace {

// The n-th state that a sample keeps.
constexpr std::uint64_t kept(std::uint64_t n) { return n * kStatesSampled; }

TEST(Sample, IsOfTheSameStatesInEachRun) {
  std::vector<std::uint64_t> states;
  for (std::uint64_t i = 0; i < 10 * kStatesSampled; ++i) states.push_back(i);
  EXPECT_EQ(sample_of(states), (StateSample{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}));
  const std::vector<std::uint64_t> few{kept(3) + 1, kept(3), kept(7)};
  EXPECT_EQ(sample_of(few), (StateSample{3, 7}));
}

TEST(Curve, GrowsWithNewStatesAlone) {
  StateCurve curve;
  for (std::uint64_t seed = 11; seed <= 40; ++seed) curve.add(seed, sample_of(std::vector{kept(1), kept(seed / 20)}));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> points;
  for (const auto& [seed, states] : curve.points()) points.emplace_back(seed, states / kStatesSampled);
  // 0 and 1 with seed 11, 2 with seed 40
  EXPECT_EQ(points, (std::vector<std::pair<std::uint64_t, std::uint64_t>>{
                        {11, 2}, {12, 2}, {15, 2}, {20, 2}, {30, 2}, {40, 3}}));
  EXPECT_EQ(curve.new_a_thousand_runs(), kStatesSampled * 1'000 / 30) << "the state of seed 40 alone was seen once";
}

TEST(Curve, DoesNotDependOnTheOrderOfRuns) {
  StateCurve there, back;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) there.add(seed, StateSample{static_cast<std::uint32_t>(seed / 7)});
  for (std::uint64_t seed = 100; seed >= 1; --seed) back.add(seed, StateSample{static_cast<std::uint32_t>(seed / 7)});
  ASSERT_EQ(there.points().size(), back.points().size());
  for (std::size_t i = 0; i < there.points().size(); ++i) {
    EXPECT_EQ(there.points()[i].seed, back.points()[i].seed);
    EXPECT_EQ(there.points()[i].states, back.points()[i].states);
  }
  EXPECT_EQ(there.points().back().seed, 100U);
  EXPECT_EQ(there.points().back().states, 15 * kStatesSampled);
  EXPECT_EQ(there.new_a_thousand_runs(), back.new_a_thousand_runs());
}

TEST(Curve, OfOneRunIsAPoint) {
  StateCurve curve;
  EXPECT_TRUE(curve.points().empty());
  EXPECT_EQ(curve.new_a_thousand_runs(), 0U);
  curve.add(5, StateSample{1, 2});
  ASSERT_EQ(curve.points().size(), 1U);
  EXPECT_EQ(curve.points()[0].seed, 5U);
  EXPECT_EQ(curve.points()[0].states, 2 * kStatesSampled);
}

}  // namespace
}  // namespace verdict::search
