#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <utility>

#include "runtime/random.h"
#include "tests/property/transaction/world.h"

namespace verdict::transaction {
namespace {

using Commands = std::vector<std::uint32_t>;

void keeps_every_rule(std::int16_t feature, std::int16_t first_epoch) {
  const auto commands = *rc::gen::resize(600, rc::gen::container<Commands>(rc::gen::arbitrary<std::uint32_t>()));
  World world(feature, first_epoch);
  for (const std::uint32_t command : commands) {
    world.act(command);
  }
  world.settle();
  if (world.violation()) RC_FAIL(*world.violation());
}

RC_GTEST_PROP(Transactions, version_0_keeps_every_rule, ()) { keeps_every_rule(0, 0); }
RC_GTEST_PROP(Transactions, version_1_keeps_every_rule, ()) { keeps_every_rule(1, 0); }
RC_GTEST_PROP(Transactions, version_2_keeps_every_rule, ()) { keeps_every_rule(2, 0); }
RC_GTEST_PROP(Transactions, the_last_epochs_keep_every_rule, ()) {
  const auto feature = *rc::gen::inRange<std::int16_t>(0, 3);
  keeps_every_rule(feature, kMaxProducerEpoch - 6);
}

// SplitMix64: the same runs on every machine.
std::uint64_t next(std::uint64_t& state) { return mix64(std::exchange(state, state + 0x9e3779b97f4a7c15ULL)); }

TEST(Transactions, long_runs_keep_every_rule_and_meet_what_is_rare) {
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{0, 1, 2}) {
    std::size_t commits = 0, aborts = 0, fences = 0, fail_overs = 0, refused = 0, rotations = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      std::uint64_t state = seed * 3 + static_cast<std::uint64_t>(feature);
      World world(feature, seed % 2 == 0 ? 0 : kMaxProducerEpoch - 40);
      for (int i = 0; i < 3000; ++i) {
        world.act(static_cast<std::uint32_t>(next(state)));
      }
      world.settle();
      ASSERT_EQ(world.violation().value_or(""), "") << "feature " << feature << ", seed " << seed;
      commits += world.commits;
      aborts += world.aborts;
      fences += world.fences;
      fail_overs += world.fail_overs;
      refused += world.refused;
      rotations += world.rotations;
    }
    EXPECT_GT(commits, 1000U);
    EXPECT_GT(aborts, 1000U);
    EXPECT_GT(fences, 500U);
    EXPECT_GT(fail_overs, 1000U);
    EXPECT_GT(refused, 1000U);
    EXPECT_GT(rotations, 20U);
  }
}

}  // namespace
}  // namespace verdict::transaction
