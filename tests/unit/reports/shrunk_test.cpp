#include "reports/shrunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/html.h"

namespace verdict::reports {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kBefore = R"j({"version":1,"name":"bloated","seeds":"1..9",
  "cluster":{"brokers":5,"config":{"min.insync.replicas":"2"}},
  "workload":{"producers":[{"acks":"all","burst":4},{"acks":"1"}],"consumers":[{"seek_one_in":20},{}]},
  "faults":[{"id":"cut","action":"isolate","at_ms":100,"target":"broker(2)"},
            {"id":"slow <b>","action":"slow_link","at_ms":700}],
  "phases":{"run_ms":4000}})j";
constexpr std::string_view kAfter = R"j({"version":1,"name":"bloated-shrunk","seeds":3,
  "cluster":{"brokers":3},
  "workload":{"producers":[{"client":2,"acks":"1","records":6}],"consumers":[{"client":4}]},
  "faults":[{"id":"cut","action":"isolate","at_ms":100,"target":"broker(2)"}],
  "phases":{"run_ms":800}})j";

ShrunkFrom example() {
  return {.bundle = "out/bloated/x-3",
          .build = "abc",
          .original_json = std::string(kBefore),
          .sizes = {{"faults", 2, 1}, {"operations", 640, 7}, {"nodes", 6, 4}, {"partitions", 3, 3}},
          .runs = 412,
          .steps = 31,
          .finished = false,
          .others = {{"M1: high watermark of P <moves>", "otherwise-1.json"}}};
}

TEST(ShrunkScenario, DifferenceNamesElementsByWhatTheyAreCalled) {
  EXPECT_THAT(scenario_difference(kBefore, kAfter),
              ElementsAre("cluster.brokers: 5 -> 3", "cluster.config.min.insync.replicas: \"2\" -> default",
                          "workload.producers: client-1 left out", "workload.producers[client-2].records: default -> 6",
                          "workload.consumers: client-3 left out", "faults: slow <b> (slow_link) left out",
                          "phases.run_ms: 4000 -> 800"));
  EXPECT_THAT(scenario_difference(kBefore, kBefore), ElementsAre());
}

// An object that is gone, whose first member is an object: no list of such.
TEST(ShrunkScenario, DifferenceOfATriggerThatBecameATime) {
  EXPECT_THAT(scenario_difference(R"({"faults":[{"id":"a","when":{"match":{"leader":1},"event":"became_leader"}}]})",
                                  R"({"faults":[{"id":"a","at_ms":50}]})"),
              ElementsAre("faults[a].when.match.leader: 1 -> default",
                          "faults[a].when.event: \"became_leader\" -> default", "faults[a].at_ms: default -> 50"));
}

TEST(ShrunkScenario, ReadsBackWhatItWrote) {
  const auto back = parse_shrunk(to_json(example()));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->bundle, "out/bloated/x-3");
  EXPECT_EQ(back->sizes.size(), 4U);
  EXPECT_EQ(back->sizes[1].before, 640);
  EXPECT_EQ(back->others[0].file, "otherwise-1.json");
  EXPECT_FALSE(back->finished);
  EXPECT_THAT(scenario_difference(kBefore, back->original_json), ElementsAre());
  EXPECT_EQ(to_json(*back), to_json(example()));
  EXPECT_FALSE(parse_shrunk("[]"));
  EXPECT_FALSE(parse_shrunk(R"({"bundle":3})"));
}

TEST(ShrunkScenario, SectionIsEscapedAndStandsAfterTheReplay) {
  const std::string section = shrunk_section(example(), kAfter);
  EXPECT_THAT(section, HasSubstr("412 runs and 31 steps; it was stopped before its end: faults 2 -&gt; 1, operations "
                                 "640 -&gt; 7, nodes 6 -&gt; 4."));
  EXPECT_THAT(section, HasSubstr("<li>faults: slow &lt;b&gt; (slow_link) left out</li>"));
  EXPECT_THAT(section, HasSubstr("P &lt;moves&gt; (<code>otherwise-1.json</code>)"));
  EXPECT_THAT(section, Not(HasSubstr("<b>")));
  const std::string page = html_report({}, kAfter, {}, {}, section);
  EXPECT_LT(page.find("<h2>Replay</h2>"), page.find("id=\"shrunk\""));
  EXPECT_LT(page.find("id=\"shrunk\""), page.find("<h2>Scenario</h2>"));
  EXPECT_THAT(html_report({}, kAfter, {}, {}), Not(HasSubstr("id=\"shrunk\"")));
}

}  // namespace
}  // namespace verdict::reports
