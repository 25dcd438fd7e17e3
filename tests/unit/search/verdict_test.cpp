// Verdict as a library: guests of a run, what they hear, and what comes of it.
#include "search/verdict.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/io.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace verdict::search {
namespace {

using scenarios::Broken;
using scenarios::Invariant;
using scenarios::Moment;
using scenarios::RunOutcome;
using scenarios::RunResult;
using scenarios::Scenario;
using scenarios::Seat;
using scenarios::Told;

Scenario short_scenario() {
  Scenario scenario;
  scenario.name = "short";
  scenario.topics = {{.assignment = {{1, 2, 3}}}};
  scenario.phases.run_ms = 300;
  scenario.phases.final_leaders = false;
  return scenario;
}

// Tells "tick" 1, 2, ... each 10 ms.
class Clock final : public scenarios::Workload {
 public:
  Clock(const Seat& seat, bool ends, std::int64_t step)
      : runtime_(seat.runtime), tell_(seat.tell), ends_(ends), step_(step), scope_(seat.runtime) {
    scope_.spawn(tick());
  }
  void stop() override { stopping_ = ends_; }
  bool finished() const override { return scope_.size() == 0; }

 private:
  Task<void> tick() {
    for (std::int64_t n = 1; !stopping_; ++n) {
      tell_("tick", "clock", n * step_);
      const MonoTime next = runtime_.now() + 10ms;
      co_await sleep_until(runtime_, next);
    }
  }
  Runtime& runtime_;
  decltype(Seat::tell) tell_;
  bool ends_;
  std::int64_t step_;
  bool stopping_ = false;
  Scope scope_;
};

scenarios::MakeWorkload clock_of(bool ends = true, std::int64_t step = 1) {
  return [ends, step](const Seat& seat) { return std::make_unique<Clock>(seat, ends, step); };
}

struct Heard {
  int made = 0;
  std::map<std::string, std::uint64_t> events;
  std::vector<std::int64_t> ticks;
  std::vector<std::string> partitions;
  int ends = 0;
};

// Breaks at the tick `limit`, or at the end.
class Listener final : public Invariant {
 public:
  Listener(Heard* heard, std::int64_t limit, bool break_at_end)
      : heard_(heard), limit_(limit), break_at_end_(break_at_end) {
    ++heard_->made;
  }
  std::optional<Broken> on_event(const Moment& at, const protocol::Event& event) override {
    std::visit([&](const auto& e) { ++heard_->events[std::string(e.name)]; }, event);
    if (const auto* leader = std::get_if<protocol::events::BecameLeader>(&event))
      heard_->partitions.push_back(at.cluster.name_of(leader->partition));
    return std::nullopt;
  }
  std::optional<Broken> on_told(const Moment& at, const Told& told) override {
    EXPECT_EQ(told.who, "my-clock");
    EXPECT_EQ(told.what, "tick");
    EXPECT_EQ(told.key, "clock");
    EXPECT_EQ(told.time_ns, at.time_ns);
    EXPECT_EQ(at.node, kNoNode);
    heard_->ticks.push_back(told.value);
    if (told.value != limit_) return std::nullopt;
    return Broken{.sentence = "it ticked", .partition = "orders-0", .offset = 7, .witnesses = {"a tick", "no tock"}};
  }
  std::optional<Broken> at_end(const Moment&) override {
    ++heard_->ends;
    if (!break_at_end_) return std::nullopt;
    return Broken{.sentence = "all's well that ends well"};
  }

 private:
  Heard* heard_;
  std::int64_t limit_;
  bool break_at_end_;
};

Cluster listening(Heard* heard, std::int64_t limit = -1, bool break_at_end = false) {
  Cluster cluster(short_scenario());
  cluster.add_workload("my-clock", clock_of());
  cluster.add_invariant("my-rule", [=] { return std::make_unique<Listener>(heard, limit, break_at_end); });
  return cluster;
}

TEST(Library, AnInvariantHearsEveryEventAndEveryWord) {
  Heard heard;
  const RunResult result = listening(&heard).run(1);
  EXPECT_EQ(result.outcome, RunOutcome::pass) << result.sentence;
  EXPECT_EQ(heard.made, 1);
  EXPECT_EQ(heard.ends, 1);
  EXPECT_EQ(heard.events, result.event_counts);
  ASSERT_GE(heard.ticks.size(), 30U);
  for (std::size_t i = 0; i < heard.ticks.size(); ++i) EXPECT_EQ(heard.ticks[i], static_cast<std::int64_t>(i) + 1);
  EXPECT_EQ(heard.partitions.front(), "orders-0");
}

TEST(Library, TheFirstAnswerIsTheRunsVerdict) {
  Heard heard;
  const Cluster cluster = listening(&heard, 20);
  const RunResult result = cluster.run(1);
  EXPECT_EQ(result.outcome, RunOutcome::violation);
  EXPECT_EQ(result.invariant, "my-rule");
  EXPECT_EQ(result.sentence, "it ticked");
  EXPECT_EQ(result.partition, "orders-0");
  EXPECT_EQ(result.offset, 7);
  ASSERT_EQ(result.witnesses.size(), 2U);
  EXPECT_EQ(result.witnesses[1].text, "no tock");
  EXPECT_EQ(result.witnesses[1].time_ns, result.violation_ns);
  EXPECT_EQ(heard.ticks.back(), 20);
  EXPECT_EQ(heard.ends, 0);
  const std::string story = cluster.story(result);
  for (const char* part : {"violation seed 1: my-rule: it ticked", "a tick", "no tock", "\"name\": \"short\""})
    EXPECT_NE(story.find(part), std::string::npos) << story;
}

TEST(Library, TheEndIsJudged) {
  Heard heard;
  const RunResult result = listening(&heard, -1, true).run(1);
  EXPECT_EQ(result.invariant, "my-rule");
  EXPECT_EQ(result.sentence, "all's well that ends well");
}

TEST(Library, GuestsLeaveTheScenariosOwnRunAsItWas) {
  const Scenario scenario = short_scenario();
  Heard heard;
  const RunResult alone = scenarios::run(scenario, 5);
  Cluster cluster(scenario);
  cluster.add_invariant("my-rule", [&] { return std::make_unique<Listener>(&heard, -1, false); });
  EXPECT_EQ(cluster.run(5).hash, alone.hash);
  const RunResult with_clock = listening(&heard).run(5);
  EXPECT_EQ(with_clock.acknowledged, alone.acknowledged);
  EXPECT_EQ(with_clock.delivered, alone.delivered);
}

TEST(Library, AWorkloadThatDoesNotFinishFailsTheRun) {
  Cluster cluster(short_scenario());
  cluster.add_workload("my-clock", clock_of(false));
  const RunResult result = cluster.run(1);
  EXPECT_EQ(result.outcome, RunOutcome::overrun);
  EXPECT_EQ(result.invariant, "workload");
  EXPECT_NE(result.sentence.find("workload my-clock did not come to its end"), std::string::npos) << result.sentence;
}

TEST(Library, WhatAWorkloadTellsIsPartOfTheHash) {
  const auto hash_of = [](std::int64_t step) {
    Cluster cluster(short_scenario());
    cluster.add_workload("my-clock", clock_of(true, step));
    return cluster.run(1).hash;
  };
  EXPECT_EQ(hash_of(1), hash_of(1));
  EXPECT_NE(hash_of(1), hash_of(2));
}

TEST(Library, AWorkloadThatIsNoFunctionOfItsRuntimeIsFoundOut) {
  auto runs = std::make_shared<std::int64_t>(0);
  Cluster cluster(short_scenario());
  cluster.add_workload("my-clock", [runs](const Seat& seat) { return std::make_unique<Clock>(seat, true, ++*runs); });
  const RunResult result = cluster.run_twice(1);
  EXPECT_EQ(result.outcome, RunOutcome::nondeterministic);
  EXPECT_FALSE(result.difference.empty());
  Cluster good(short_scenario());
  good.add_workload("my-clock", clock_of());
  EXPECT_EQ(good.run_twice(1).outcome, RunOutcome::pass);
}

TEST(Library, WhatIsWrongIsSaidAndNothingRuns) {
  const auto said = [](const Cluster& cluster) {
    const RunResult result = cluster.run(1);
    EXPECT_EQ(result.outcome, RunOutcome::overrun);
    EXPECT_EQ(result.invariant, "scenario");
    EXPECT_EQ(result.events, 0U);
    return result.sentence;
  };
  const auto named = [&](const std::string& name) {
    Cluster cluster(short_scenario());
    cluster.add_workload(name, clock_of());
    return said(cluster);
  };
  for (const char* name : {"", "two words", "broker-1", "controller", "client-9", "reader", "admin"})
    EXPECT_FALSE(named(name).empty()) << name;
  Cluster twins(short_scenario());
  twins.add_workload("twin", clock_of()).add_workload("twin", clock_of());
  EXPECT_EQ(said(twins), "two workloads twin");
  Cluster empty(short_scenario());
  EXPECT_EQ(said(empty.add_invariant("nothing", nullptr)), "nothing: nothing that makes it");
  Cluster unknown(short_scenario());
  EXPECT_EQ(said(unknown.plant("kip-0")), "kip-0: no such defect");
  Scenario bad = short_scenario();
  bad.topics.front().assignment = {{9}};
  EXPECT_NE(said(Cluster(bad)).find("$.topics[0].assignment[0]"), std::string::npos);
}

// With a bug planted, Verdict's own rules speak first, unless they are not asked.
TEST(Library, JudgeOnlyMineLeavesTheOwnRulesOut) {
  const Scenario scenario = *scenarios::parse_scenario(R"j({"version":1,"name":"a",
      "topics":[{"name":"orders","assignment":[[1,2,3]],"config":{"min.insync.replicas":"2"}}],
      "phases":{"run_ms":2500,"final_leaders":false},"defects":["min-isr-off"],
      "faults":[{"id":"x","action":"kill","target":"broker(2)","at_ms":200},
                {"id":"y","action":"kill","target":"broker(3)","at_ms":200}]})j");
  EXPECT_EQ(Cluster(scenario).run(1).outcome, RunOutcome::violation);
  Cluster mine(scenario);
  EXPECT_EQ(mine.judge_only_mine().run(1).outcome, RunOutcome::pass);
}

}  // namespace
}  // namespace verdict::search
