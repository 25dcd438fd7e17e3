#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "scenarios/catalogue.h"
#include "scenarios/scenario.h"

namespace verdict::scenarios {
namespace {

// Cut anywhere, or with one byte changed, a scenario is read or refused with a path; it never does anything else.
TEST(Parser, TakesOrRefusesWhateverItIsGiven) {
  const bool held = rc::check([] {
    const auto entries = library();
    const LibraryEntry& entry = entries[*rc::gen::inRange<std::size_t>(0, entries.size())];
    std::string text(entry.json);
    if (*rc::gen::arbitrary<bool>()) {
      text.resize(*rc::gen::inRange<std::size_t>(0, text.size()));
    } else {
      text[*rc::gen::inRange<std::size_t>(0, text.size())] = static_cast<char>(*rc::gen::inRange(0, 256));
    }
    const auto parsed = parse_scenario(text);
    if (!parsed) {
      RC_ASSERT(parsed.error().path.starts_with("$"));
      RC_ASSERT(!parsed.error().allowed.empty());
      return;
    }
    const auto again = parse_scenario(to_json(*parsed));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == *parsed);
  });
  EXPECT_TRUE(held);
}

TEST(Writer, RoundTripsDrawnScenarios) {
  const bool held = rc::check([] {
    Scenario scenario;
    scenario.name = "drawn";
    scenario.cluster.brokers = *rc::gen::inRange(1, 10);
    scenario.cluster.config["a"] = *rc::gen::container<std::string>(
        rc::gen::map(rc::gen::inRange(1, 128), [](int c) { return static_cast<char>(c); }));
    scenario.seeds.first = *rc::gen::inRange<std::uint64_t>(0, 1000);
    scenario.seeds.last = scenario.seeds.first + *rc::gen::inRange<std::uint64_t>(0, 1000);
    FaultSpec fault;
    fault.action = "kill";
    fault.target = "node";
    Trigger& when = fault.when.emplace();
    when.event = "batch_appended";
    when.nth = *rc::gen::inRange(1, 1000);
    Condition condition;
    condition.field = "base";
    condition.kind = Condition::Kind::range;
    condition.min = *rc::gen::arbitrary<std::int32_t>();
    condition.max = *rc::gen::arbitrary<std::int32_t>();
    when.match.push_back(condition);
    scenario.faults.push_back(fault);
    const auto again = parse_scenario(to_json(scenario));
    RC_ASSERT(again.has_value());
    RC_ASSERT(*again == scenario);
  });
  EXPECT_TRUE(held);
}

}  // namespace
}  // namespace verdict::scenarios
