#include "search/signature.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "scenarios/catalogue.h"
#include "scenarios/runner.h"

namespace verdict::search {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;

RunResult lost(std::int64_t offset, std::int32_t epoch, std::int32_t leader, std::string partition) {
  RunResult result;
  result.outcome = RunOutcome::violation;
  result.invariant = "C1";
  result.partition = partition;
  result.sentence = "acknowledged offset " + std::to_string(offset) + " of " + partition + " lost when epoch " +
                    std::to_string(epoch) + " became " + std::to_string(epoch + 1);
  const std::int64_t ms = 1'000'000;
  result.witnesses = {
      {10 * ms, 4 - leader, 1, "truncates its log from 3 to 1"},
      {11 * ms, leader, 1, "truncates its log from " + std::to_string(offset + 2) + " to " + std::to_string(offset)},
      {12 * ms, leader, 1, "advances its high watermark to 3 in epoch 1"},
      {20 * ms, 100, 1, "broker " + std::to_string(leader) + " is elected with log end " + std::to_string(offset)}};
  return result;
}

TEST(Signature, is_the_same_for_the_same_cause) {
  const std::string one = signature(lost(41, 5, 1, "orders-0"));
  EXPECT_EQ(
      one,
      "C1: committed offset # of P lost when epoch # became #; broker # is elected with log end #; after truncate");
  EXPECT_EQ(one, signature(lost(7, 12, 3, "payments-2-11")));
  RunResult unanswered = lost(3, 3, 1, "orders-0");
  unanswered.sentence.replace(0, 12, "committed");
  EXPECT_EQ(one, signature(unanswered));
}

TEST(Signature, differs_by_invariant_and_by_what_the_node_went_through) {
  const RunResult base = lost(41, 5, 1, "orders-0");
  RunResult other = base;
  other.invariant = "C2";
  EXPECT_NE(signature(base), signature(other));
  other = base;
  other.witnesses[1].text = "opens its log, which ends at 41 (epoch 4)";
  EXPECT_NE(signature(base), signature(other));
  RunResult pass;
  EXPECT_EQ(signature(pass), "");
}

TEST(Signature, placeholders) {
  EXPECT_EQ(canonical_text("brokers [1, 2, 3] of orders-10 (orders) at 0x7f3a, -4 and 12.5", "orders-10"),
            "brokers [#] of P (T) at # and #.#");
  EXPECT_EQ(canonical_text("offsets 4..9 of utf8-orders-1x", "orders-1"), "offsets # of utf8-T-#x");
  EXPECT_EQ(canonical_text("client-3 waits", ""), "client-# waits");
  EXPECT_EQ(canonical_text("one-69cd2aac-5219-432e-9528-d2ac03b62b57 joins 3", ""), "one-U joins #");
}

// Real failures of one planted defect fall into a handful of kinds, not into one for each seed.
TEST(Signature, few_for_many_seeds_of_one_defect) {
  const auto scenario = scenarios::library_scenario("back-to-back-elections");
  ASSERT_TRUE(scenario);
  std::map<std::string, std::set<std::string>> kinds;  // by invariant
  int failures = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    scenarios::RunOptions options;
    options.defects = {"no-truncation"};
    const RunResult result = scenarios::run(*scenario, seed, options);
    if (result.outcome != RunOutcome::violation) continue;
    ++failures;
    const std::string kind = signature(result);
    EXPECT_TRUE(kind.starts_with(result.invariant + ": ")) << kind;
    kinds[result.invariant].insert(kind);
  }
  ASSERT_GE(failures, 5);
  for (const auto& [invariant, of] : kinds) EXPECT_LE(of.size(), 4U) << invariant << ": " << *of.begin();
}

}  // namespace
}  // namespace verdict::search
