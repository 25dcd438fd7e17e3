#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/property/replication/cluster.h"

namespace verdict::replication {
namespace {

// SplitMix64: the same runs on every machine.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

std::unique_ptr<Cluster> run(std::uint64_t seed, std::size_t ops, std::optional<Defect> defect, bool heal) {
  Dice dice(seed);
  const std::size_t nodes = dice.next() % 4 == 0 ? 4 : 3;
  const auto min_isr = static_cast<std::int32_t>(1 + dice.next() % 2);
  auto cluster = std::make_unique<Cluster>(ClusterConfig{.nodes = nodes, .min_isr = min_isr, .defect = defect});
  for (std::size_t i = 0; i < ops; ++i) {
    const std::uint64_t draw = dice.next();
    cluster->apply({.kind = static_cast<std::uint8_t>(draw),
                    .a = static_cast<std::uint8_t>(draw >> 8),
                    .b = static_cast<std::uint8_t>(draw >> 16)});
  }
  if (heal) cluster->heal();
  return cluster;
}

constexpr std::uint64_t kSeeds = 400;
constexpr std::size_t kOps = 2000;

TEST(ReplicationModel, healthy_clusters_keep_every_rule_and_converge) {
  std::size_t committed = 0;
  std::size_t acknowledged = 0;
  std::vector<Mark> missing = {Mark::DivergenceAnswered,     Mark::TruncatedByEpoch,
                               Mark::TruncatedAgain,         Mark::StaleFetchAnswerDropped,
                               Mark::NewerEpochBatchSkipped, Mark::FetchFencedOldEpoch,
                               Mark::FetchFencedNewEpoch,    Mark::HwFrozenUnderMinIsr,
                               Mark::HwWaitsForCaughtUp,     Mark::IsrShrinkProposed,
                               Mark::IsrExpandProposed,      Mark::AlterPartitionRefused,
                               Mark::AlterPartitionStale,    Mark::LeaderChangedWithIsrPending,
                               Mark::NotEnoughReplicas,      Mark::WaiterTimedOut,
                               Mark::WaiterLostLeadership,   Mark::WaiterSurvivedEpochBump,
                               Mark::StaleBrokerEpochRefused};
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto cluster = run(seed, kOps, std::nullopt, true);
    ASSERT_FALSE(cluster->violation()) << "seed " << seed << ": " << *cluster->violation();
    committed += cluster->committed();
    acknowledged += cluster->acknowledged();
    std::erase_if(missing, [&](Mark mark) { return cluster->reached(mark); });
  }
  EXPECT_GT(committed, kSeeds * 10);
  EXPECT_GT(acknowledged, kSeeds * 5);
  RecordProperty("committed", static_cast<int>(committed));
  RecordProperty("acknowledged", static_cast<int>(acknowledged));
  for (Mark mark : missing) ADD_FAILURE() << "never reached: " << name_of(mark);
}

RC_GTEST_PROP(ReplicationModel, any_sequence_of_steps_keeps_every_rule, ()) {
  const auto genes =
      *rc::gen::resize(1500, rc::gen::container<std::vector<std::uint32_t>>(rc::gen::arbitrary<std::uint32_t>()));
  const auto min_isr = *rc::gen::inRange<std::int32_t>(1, 4);
  Cluster cluster({.nodes = 3, .min_isr = min_isr});
  for (std::uint32_t gene : genes) {
    cluster.apply({.kind = static_cast<std::uint8_t>(gene),
                   .a = static_cast<std::uint8_t>(gene >> 8),
                   .b = static_cast<std::uint8_t>(gene >> 16)});
  }
  if (cluster.violation()) RC_FAIL(*cluster.violation());
}

class PlantedDefect : public testing::TestWithParam<Defect> {};

TEST_P(PlantedDefect, breaks_a_rule_within_the_seeds_that_a_healthy_core_passes) {
  const Mark mark = find_mark("defect-" + std::string(name_of(GetParam()))).value();
  std::uint64_t found = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto cluster = run(seed, kOps, GetParam(), false);
    if (!cluster->violation()) continue;
    EXPECT_TRUE(cluster->reached(mark)) << *cluster->violation();
    if (found == 0) RecordProperty("first_seed", static_cast<int>(seed));
    if (found == 0) RecordProperty("violation", *cluster->violation());
    ++found;
  }
  EXPECT_GT(found, 0U);
  RecordProperty("found", static_cast<int>(found));
}

INSTANTIATE_TEST_SUITE_P(, PlantedDefect,
                         testing::Values(Defect::MajorityHw, Defect::NoTruncation, Defect::LocalShrink, Defect::Kip101,
                                         Defect::MinIsrOff, Defect::AckByOffset),
                         [](const auto& info) {
                           std::string name(name_of(info.param));
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

}  // namespace
}  // namespace verdict::replication
