#include "reports/kill_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "scenarios/runner.h"

namespace verdict::reports {
namespace {

using scenarios::RunOutcome;
using scenarios::RunResult;
using testing::HasSubstr;
using testing::Not;

std::vector<Cost> killed(std::initializer_list<std::int64_t> costs) {
  std::vector<Cost> out;
  for (const std::int64_t spent : costs) out.push_back({spent, true});
  return out;
}

TEST(CostToKill, IsTheNearestRankWhereAllTrialsKilled) {
  EXPECT_EQ(cost_to_kill(killed({5, 1, 3}), 0.5), (Estimate{.value = 3}));
  const auto ten = killed({1, 2, 3, 4, 5, 6, 7, 8, 9, 10});
  EXPECT_EQ(cost_to_kill(ten, 0.5), (Estimate{.value = 5}));
  EXPECT_EQ(cost_to_kill(ten, 0.9), (Estimate{.value = 9}));
  EXPECT_EQ(cost_to_kill(killed({7}), 0.9), (Estimate{.value = 7}));
  EXPECT_EQ(cost_to_kill({}, 0.5), std::nullopt);
}

TEST(CostToKill, ATrialThatWasGivenUpIsNoKillAndLastsAtLeastAsLong) {
  EXPECT_EQ(cost_to_kill(std::vector<Cost>{{500, false}}, 0.5), (Estimate{.value = 500, .above = true}));
  const std::vector<Cost> late{{1, true}, {2, true}, {90, false}};
  EXPECT_EQ(cost_to_kill(late, 0.5), (Estimate{.value = 2}));
  EXPECT_EQ(cost_to_kill(late, 0.9), (Estimate{.value = 90, .above = true}));
  // One that was given up early says nothing of what came later: of three, the one at 10 is left out from then on.
  const std::vector<Cost> early{{10, false}, {20, true}, {30, true}};
  EXPECT_EQ(cost_to_kill(early, 0.5), (Estimate{.value = 20}));
  EXPECT_EQ(cost_to_kill(early, 0.9), (Estimate{.value = 30}));
  // Given up when another killed: still at risk then.
  EXPECT_EQ(cost_to_kill(std::vector<Cost>{{10, false}, {10, true}}, 0.6), (Estimate{.value = 10, .above = true}));
  EXPECT_EQ(text_of(Estimate{.value = 500, .above = true}), "> 500");
  EXPECT_EQ(text_of(Estimate{.value = 12}), "12");
  EXPECT_EQ(text_of(std::nullopt), "-");
}

TEST(Halves, AreFixedAndNeitherIsEmpty) {
  std::size_t tuned = 0;
  const auto all = scenarios::defects();
  for (const auto& defect : all) tuned += half_of(defect.id) == Half::tuned ? 1 : 0;
  EXPECT_GE(4 * tuned, all.size());
  EXPECT_LE(4 * tuned, 3 * all.size());
  EXPECT_EQ(half_of("kip-101"), half_of(std::string("kip-") + "101"));
}

// Its number is no longer one of a generator that was made without it.
TEST(Halves, WhatAPatternWasMadeForIsNotHeldOut) {
  EXPECT_EQ(half_of("kip-320-truncate"), Half::tuned);
  EXPECT_EQ(half_of("kip-320-expand"), Half::held_out);
}

RunResult result(std::uint64_t seed, RunOutcome outcome, std::string invariant, bool mark, std::uint64_t hash = 1) {
  RunResult r;
  r.seed = seed;
  r.outcome = outcome;
  r.invariant = std::move(invariant);
  if (mark) r.marks["defect-kip-101"] = 1;
  r.hash = hash;
  r.wall_ms = 10;
  return r;
}

MatrixRow row_of(std::string_view id) {
  MatrixRow row{.defect = *scenarios::find_defect_entry(id)};
  row.begin_trial();
  return row;
}

TEST(Row, OnlyAnAcceptedInvariantWithItsMarkIsAKill) {
  MatrixRow row = row_of("kip-101");
  EXPECT_FALSE(row.take(result(1, RunOutcome::pass, "", true), 5, nullptr));
  EXPECT_FALSE(row.take(result(2, RunOutcome::violation, "V1", true), 5, nullptr));
  EXPECT_FALSE(row.take(result(3, RunOutcome::violation, "C2", false), 5, nullptr));
  EXPECT_FALSE(row.take(result(4, RunOutcome::crash, "C2", true), 5, nullptr));
  EXPECT_FALSE(row.take(result(5, RunOutcome::overrun, "event-budget", true), 5, nullptr));
  const RunResult healthy = result(6, RunOutcome::violation, "C2", false);
  EXPECT_FALSE(row.take(result(6, RunOutcome::violation, "C2", true), 5, &healthy)) << "fails without it as well";
  EXPECT_EQ(row.not_accepted, 3U);
  EXPECT_EQ(row.crashes, 1U);
  EXPECT_EQ(row.overruns, 1U);
  EXPECT_EQ(row.reached, 5U);
  EXPECT_EQ(row.runs_to_kill(0.5), (Estimate{.value = 6, .above = true}));
  RunResult kill = result(7, RunOutcome::violation, "C2", true);
  kill.black_box.emplace_back("lost-write: gone");
  const RunResult clean = result(7, RunOutcome::pass, "", false);
  EXPECT_TRUE(row.take(kill, 5, &clean));
  EXPECT_EQ(row.state(), DefectState::killed);
  EXPECT_EQ(row.runs_to_kill(0.5), (Estimate{.value = 7}));
  EXPECT_EQ(row.wall_ms_to_kill(0.5), (Estimate{.value = 70}));
  EXPECT_EQ(row.core_ms, 35);
  EXPECT_EQ(row.black_box, 1U);
  EXPECT_EQ(row.invariant(), "C2");
  EXPECT_EQ(row.kill_seeds, std::vector<std::uint64_t>{7});
}

// The campaign believes that kip-101 is planted; the switch does nothing.
TEST(Row, ASwitchThatDoesNothingIsReported) {
  const auto scenario = *scenarios::library_scenario("leader-crash-acks-all");
  KillMatrix dead{.rows = {row_of("kip-101")}}, live{.rows = {row_of("kip-101")}};
  scenarios::RunOptions planted;
  planted.defects = {"kip-101"};
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    const RunResult healthy = scenarios::run(scenario, seed);
    dead.healthy.add(healthy.outcome);
    dead.rows[0].take(scenarios::run(scenario, seed), 1, &healthy);
    live.rows[0].take(scenarios::run(scenario, seed, planted), 1, &healthy);
  }
  EXPECT_EQ(live.rows[0].state(), DefectState::killed);
  EXPECT_EQ(live.code(), 0);
  EXPECT_EQ(dead.rows[0].state(), DefectState::unreached);
  EXPECT_EQ(dead.code(), 2);
  EXPECT_THAT(matrix_plain(dead), HasSubstr("unreached"));
  EXPECT_THAT(matrix_plain(dead), HasSubstr("0 killed, 1 not"));
}

// Its mark is there and nothing else of it.
TEST(Row, ABranchThatChangesNothingIsReportedApartFromOneThatSurvived) {
  KillMatrix matrix{.rows = {row_of("kip-101")}};
  matrix.rows[0].take(result(1, RunOutcome::pass, "", true), 5, nullptr);
  EXPECT_EQ(matrix.rows[0].state(), DefectState::survived) << "nobody has compared";
  matrix.rows[0].compared = 1;
  EXPECT_EQ(matrix.rows[0].state(), DefectState::no_effect);
  EXPECT_EQ(matrix.code(), 2);
  matrix.rows[0].differs = 1;
  EXPECT_EQ(matrix.rows[0].state(), DefectState::survived);
  EXPECT_EQ(matrix.code(), 1);
}

TEST(Matrix, ItsFilesSayTheSame) {
  KillMatrix matrix{.profile = "<default>", .build = "b & c", .rows = {row_of("kip-101"), row_of("kip-279")}};
  matrix.rows[0].take(result(7, RunOutcome::violation, "C2", true), 5, nullptr);
  matrix.rows[0].minimal = Minimal{.faults = 3, .operations = 9};
  matrix.rows[1].take(result(8, RunOutcome::violation, "V1", false), 5, nullptr);
  matrix.healthy.add(RunOutcome::violation);
  matrix.healthy_failures = {"violation V1 in 1 runs, such as a|b <x>"};
  EXPECT_EQ(matrix.code(), 1) << "the healthy core failed";
  const auto json = nlohmann::json::parse(matrix_json(matrix));
  const auto& first = json["defects"][0];
  EXPECT_EQ(first["id"], "kip-101");
  EXPECT_EQ(first["killed"], true);
  EXPECT_EQ(first["seeds_to_kill_median"], 1);
  EXPECT_EQ(first["trials"], 1);
  EXPECT_EQ(first["minimal"], (nlohmann::json{{"faults", 3}, {"operations", 9}}));
  EXPECT_EQ(first["black_box"], 0.0);
  const auto& second = json["defects"][1];
  EXPECT_EQ(second["killed"], false);
  EXPECT_TRUE(second["seeds_to_kill_median"].is_null());
  EXPECT_EQ(second["seeds_to_kill_median_above"], 1);
  EXPECT_TRUE(second["minimal"].is_null());
  EXPECT_TRUE(second["black_box"].is_null());
  EXPECT_EQ(second["invariant"], "");
  EXPECT_EQ(json["minimal_median"]["operations"], 9);
  EXPECT_EQ(json["healthy"]["failed"], 1);
  const std::string html = matrix_html(matrix);
  EXPECT_THAT(html, HasSubstr("&lt;default&gt;"));
  EXPECT_THAT(html, HasSubstr("b &amp; c"));
  EXPECT_THAT(html, Not(HasSubstr("<x>")));
  EXPECT_THAT(html, Not(HasSubstr("src=")));
  EXPECT_THAT(html, Not(HasSubstr("href=")));
  const std::string markdown = matrix_markdown(matrix);
  EXPECT_THAT(markdown, HasSubstr("| kip-101 |"));
  EXPECT_THAT(markdown, HasSubstr("a\\|b"));
  for (const std::string& text : {html, markdown, matrix_plain(matrix)}) {
    EXPECT_THAT(text, HasSubstr("3f 9o"));
    EXPECT_THAT(text, HasSubstr("1 killed, 1 not"));
  }
}

}  // namespace
}  // namespace verdict::reports
