#include "search/campaign.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "search/kinds.h"

namespace verdict::search {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;

CampaignHead head() {
  return {.profile = "default", .settings = {"defects=[\"kip-101\"]"}, .build = "b", .seeds = {"1..9"}, .shard = ""};
}

CampaignRun lost(std::uint64_t seed) {
  RunResult result;
  result.seed = seed;
  result.outcome = RunOutcome::violation;
  result.invariant = "C1";
  result.sentence = "committed offset " + std::to_string(seed) + " of orders-0 lost when epoch 1 became 2";
  result.partition = "orders-0";
  result.hash = seed;
  result.marks["truncated-by-epoch"] = 3;
  result.simulated_ms = 5;
  return condensed({}, result);
}

CampaignRun passed(std::uint64_t seed) {
  Scenario scenario;
  scenario.cluster.combined = true;
  scenario.faults.push_back({.id = "kill-1", .action = "kill", .at_ms = 5, .target = "broker(1)"});
  RunResult result;
  result.seed = seed;
  result.fired = {"kill-1"};
  result.faults["kill"] = 1;
  result.messages = 10;
  result.abstract_states = {1, kStatesSampled, 2 * kStatesSampled, seed * kStatesSampled};
  return condensed(scenario, result);
}

std::string text(const CampaignSummary& summary, const CampaignHead& of) {
  return summary.text(of, [](const FailureGroup& group) { return "replay " + std::to_string(group.first_seed); });
}

TEST(Lines, AreReadAsTheyWereWritten) {
  EXPECT_EQ(parse_head(to_line(head())), head());
  for (const CampaignRun& run : {lost(4), passed(5)}) {
    const auto again = parse_run(to_line(run));
    ASSERT_TRUE(again) << again.error();
    EXPECT_EQ(to_line(*again), to_line(run));
    EXPECT_EQ(again->hash, run.hash);
  }
  const CampaignRun again = *parse_run(to_line(passed(5)));
  EXPECT_EQ(again.states, 4U);
  EXPECT_EQ(again.sampled, (StateSample{1, 2, 5}));
}

TEST(Lines, OfSomethingElseAreRefused) {
  EXPECT_FALSE(parse_head("{}"));
  EXPECT_FALSE(parse_head("not json"));
  EXPECT_NE(parse_head("{\"search\":2}").error().find("version 2"), std::string::npos);
  EXPECT_FALSE(parse_run("{\"seed\":1}"));
  EXPECT_FALSE(parse_run("[]"));
}

TEST(Runs, ThatPassKeepNoResult) {
  EXPECT_TRUE(passed(1).result.empty());
  EXPECT_TRUE(passed(1).signature.empty());
  EXPECT_FALSE(lost(1).result.empty());
  EXPECT_EQ(lost(1).signature, lost(2).signature) << "the same but for numbers";
  EXPECT_EQ(passed(1).actions, (std::set<std::string>{"kill"}));
  EXPECT_EQ(passed(1).settings, (std::set<std::string>{"cluster.combined"}));
}

TEST(Summary, DependsOnTheSetOfRunsAlone) {
  std::vector<CampaignRun> runs{passed(1), lost(2), passed(3), lost(4), lost(5)};
  CampaignSummary there, back;
  for (const CampaignRun& run : runs) there.add(run);
  std::ranges::reverse(runs);
  for (const CampaignRun& run : runs) back.add(run);
  EXPECT_EQ(text(there, head()), text(back, head()));
  EXPECT_EQ(there.json(head()), back.json(head()));
  ASSERT_EQ(back.groups().size(), 1U);
  EXPECT_EQ(back.groups()[0].runs, 3U);
  EXPECT_EQ(back.groups()[0].first_seed, 2U);
  EXPECT_NE(back.groups()[0].sentence.find("offset 2 "), std::string::npos);
  EXPECT_EQ(back.passed(), 2U);
  EXPECT_EQ(back.failed(), 3U);
}

TEST(Summary, SaysWhatCleanRunsBound) {
  CampaignSummary summary;
  for (std::uint64_t seed = 1; seed <= 300; ++seed) summary.add(passed(seed));
  EXPECT_NE(text(summary, head()).find("0 violations in 300 runs: p < 0.01 at 95%"), std::string::npos);
  summary.add(lost(301));
  EXPECT_EQ(text(summary, head()).find("0 violations"), std::string::npos);
}

TEST(Summary, HasTheCurveOfNewStates) {
  CampaignSummary summary;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) summary.add(passed(seed));
  EXPECT_NE(text(summary, head())
                .find("abstract states of partitions, about: 32 by seed 1, 32 by seed 2, 80 by seed 5, "
                      "160 by seed 10\n    one more run would bring about 13 new ones\n"),
            std::string::npos)
      << text(summary, head());
  EXPECT_NE(summary.json(head()).find("{\"seed\":5,\"states\":80}"), std::string::npos) << summary.json(head());
}

TEST(Summary, CountsTheSeedsThatWereNotRun) {
  CampaignSummary summary;
  for (std::uint64_t seed = 1; seed <= 7; ++seed) summary.add(passed(seed));
  const auto left = [&](std::set<std::string> seeds, std::string shard = {}) {
    CampaignHead of = head();
    of.seeds = std::move(seeds);
    of.shard = std::move(shard);
    return summary.not_run(of);
  };
  EXPECT_EQ(left({"1..7"}), 0U);
  EXPECT_EQ(left({"1..10"}), 3U);
  EXPECT_EQ(left({"1..10", "5..12", "20..20"}), 6U) << "1 to 12, and 20";
  EXPECT_EQ(left({"1.."}), 0U) << "no end, nothing left out";
  // 1/4: the seeds 0, 4, 8, ... 28; 4/4: 3, 7, ... 31.
  EXPECT_EQ(left({"0..31"}, "1/4"), 1U);
  EXPECT_EQ(left({"1..31"}, "1/4"), 0U);
  EXPECT_EQ(left({"0..35"}, "4/4"), 2U);
  CampaignHead of = head();
  of.seeds = {"1..10"};
  of.shard.clear();
  EXPECT_NE(text(summary, of).find("3 of its seeds were not run\n"), std::string::npos) << text(summary, of);
  EXPECT_NE(summary.json(of).find("\"not_run\":3"), std::string::npos);
}

TEST(Summary, NamesThePlantedDefectThatNoRunReached) {
  CampaignSummary summary;
  summary.add(passed(1));
  EXPECT_EQ(summary.unreached(head()), (std::vector<std::string>{"kip-101"}));
  EXPECT_NE(text(summary, head()).find("defect kip-101: unreached"), std::string::npos);
  CampaignRun run = passed(2);
  run.marks.insert("defect-kip-101");
  summary.add(run);
  EXPECT_TRUE(summary.unreached(head()).empty());
}

TEST(Summary, MissesKindsThatAThousandRunsNeverMet) {
  const Profile& profile = *find_profile("default");
  CampaignSummary summary;
  for (std::uint64_t seed = 1; seed < kRunsForKinds; ++seed) summary.add(passed(seed));
  EXPECT_TRUE(summary.missing(profile).empty()) << "too few runs to tell";
  summary.add(passed(kRunsForKinds));
  const std::vector<std::string> missing = summary.missing(profile);
  const auto lacks = [&](const char* kind) { return std::ranges::find(missing, kind) != missing.end(); };
  EXPECT_TRUE(lacks("action pause"));
  EXPECT_TRUE(lacks("operation create_topic"));
  EXPECT_TRUE(lacks("setting network.latency_us"));
  EXPECT_TRUE(lacks("mark divergence-answered"));
  EXPECT_TRUE(lacks("fault pause"));
  EXPECT_FALSE(lacks("action kill"));
  EXPECT_FALSE(lacks("fault kill"));
  EXPECT_FALSE(lacks("setting cluster.combined"));
}

TEST(Heads, OfPartsMakeAWholeInAnyOrder) {
  CampaignHead first = head(), second = head();
  first.shard = "1/2";
  second.shard = "2/2";
  EXPECT_EQ(merged(first, second), head());
  EXPECT_EQ(merged(second, first), merged(first, second));
  EXPECT_EQ(merged(head(), head()), head());
  second.seeds = {"10..19"};
  EXPECT_EQ(merged(first, second)->seeds, (std::set<std::string>{"1..9", "10..19"}));
  CampaignHead other = head();
  other.profile = "small";
  EXPECT_NE(merged(head(), other).error().find("profiles differ"), std::string::npos);
  other = head();
  other.settings.clear();
  EXPECT_NE(merged(head(), other).error().find("settings differ"), std::string::npos);
  other = head();
  other.build = "c";
  EXPECT_NE(merged(head(), other).error().find("builds differ"), std::string::npos);
}

}  // namespace
}  // namespace verdict::search
