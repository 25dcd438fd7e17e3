#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "checker/invariants.h"
#include "reports/assets.h"
#include "reports/campaign.h"
#include "reports/chrome_trace.h"
#include "reports/html.h"
#include "reports/json_text.h"
#include "reports/load_stats.h"
#include "reports/run_record.h"
#include "reports/text.h"

namespace verdict::reports {
namespace {

using nlohmann::ordered_json;
using scenarios::RunOutcome;
using scenarios::RunResult;
using testing::HasSubstr;
using testing::Not;

RunRecord broken() {
  RunRecord record;
  RunResult& result = record.result;
  result.scenario = "leader-crash";
  result.seed = 7;
  result.outcome = RunOutcome::violation;
  result.invariant = "C1";
  result.sentence = "acknowledged offset 41 of orders-0 lost when epoch 5 became 6 <&\"'>";
  result.partition = "orders-0";
  result.offset = 41;
  result.violation_ns = 1'234'567'890;
  result.witnesses = {{.time_ns = 1'000'000'000, .node = 1, .incarnation = 2, .text = "appended offset 41 in epoch 5"},
                      {.time_ns = 1'234'567'890, .node = 2, .incarnation = 1, .text = "became leader with log end 41"}};
  result.black_box = {"lost-write: value 9 </script> is never read"};
  result.acknowledged = 100;
  result.faults = {{"kill", 2}};
  result.marks = {{"isr-shrink-proposed", 3}};
  result.fired = {"f1"};
  result.wall_ms = 12;
  result.hash = 0xfedcba9876543210U;
  record.build = "abc";
  record.replay = "./verdict replay out/leader-crash/x-7";
  return record;
}

TEST(RunRecord, ComesBackFromItsJson) {
  RunRecord record = broken();
  record.stderr_tail = {"a", "b"};
  record.check_determinism = true;
  const auto back = parse_run_record(to_json(record));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(to_json(*back), to_json(record));
  EXPECT_EQ(back->result.hash, record.result.hash);
  EXPECT_EQ(back->result.witnesses[0].text, record.result.witnesses[0].text);
  EXPECT_EQ(back->stderr_tail, record.stderr_tail);
}

TEST(RunRecord, ABadOneIsAnError) {
  EXPECT_FALSE(parse_run_record("{"));
  EXPECT_FALSE(parse_run_record("[]"));
  EXPECT_FALSE(parse_run_record("{\"outcome\":\"sad\"}"));
  EXPECT_FALSE(parse_run_record("{\"outcome\":\"pass\",\"seed\":\"x\"}"));
  EXPECT_FALSE(parse_run_record("{\"outcome\":\"pass\",\"hash\":\"12z\"}"));
  EXPECT_TRUE(parse_run_record("{\"outcome\":\"pass\",\"later\":1}"));
}

TEST(RunObject, HasExactlyTheFieldsThatAreAskedFor) {
  const auto json = ordered_json::parse(run_object(broken().result, "out/x"));
  std::vector<std::string> names;
  for (const auto& [name, value] : json.items()) names.push_back(name);
  EXPECT_THAT(names,
              testing::ElementsAre("scenario", "seed", "outcome", "invariant", "sentence", "acknowledged", "delivered",
                                   "faults", "events", "messages", "simulated_ms", "wall_ms", "hash", "dir"));
  EXPECT_EQ(json["faults"]["kill"], 2);
  EXPECT_EQ(json["hash"], "fedcba9876543210");
  EXPECT_EQ(json["outcome"], "violation");
  // The published schema says the same.
  const auto schema = ordered_json::parse(asset("result.schema.json"));
  std::vector<std::string> published;
  for (const auto& [name, value] : schema["$defs"]["run"]["properties"].items()) published.push_back(name);
  EXPECT_EQ(published, names);
}

TEST(ExitCode, TheGravestCounts) {
  constexpr int kOrder[] = {0, 2, 1, 3, 70};
  for (int a = 0; a < 5; ++a) {
    for (int b = 0; b < 5; ++b) EXPECT_EQ(gravest(kOrder[a], kOrder[b]), kOrder[std::max(a, b)]);
  }
  EXPECT_EQ(exit_code(RunOutcome::pass), 0);
  EXPECT_EQ(exit_code(RunOutcome::violation), 1);
  EXPECT_EQ(exit_code(RunOutcome::overrun), 1);
  EXPECT_EQ(exit_code(RunOutcome::inconclusive), 2);
  EXPECT_EQ(exit_code(RunOutcome::nondeterministic), 3);
  EXPECT_EQ(exit_code(RunOutcome::crash), 70);
}

TEST(Tally, EndsWithItsCounts) {
  Tally tally;
  tally.add(RunOutcome::pass);
  EXPECT_EQ(tally.last_line(), "1 passed, 0 failed");
  tally.add(RunOutcome::inconclusive);
  EXPECT_EQ(tally.last_line(), "1 passed, 0 failed, 1 inconclusive");
  EXPECT_EQ(tally.code, 2);
  tally.add(RunOutcome::violation);
  tally.add(RunOutcome::overrun);
  EXPECT_EQ(tally.last_line(), "1 passed, 2 failed, 1 inconclusive");
  EXPECT_EQ(tally.code, 1);
  tally.add(RunOutcome::crash);
  tally.add(RunOutcome::pass);
  EXPECT_EQ(tally.code, 70);
}

TEST(Seeds, OneOrARange) {
  EXPECT_EQ(parse_seeds("7")->last, 7U);
  EXPECT_EQ(parse_seeds("1..2000")->first, 1U);
  EXPECT_EQ(parse_seeds("1..2000")->last, 2000U);
  EXPECT_EQ(parse_seeds("18446744073709551615")->first, 18446744073709551615U);
  for (const char* bad : {"", "x", "-1", "1..", "..3", "3..2", "1...2", "1..2..3", "1 ..2", "18446744073709551616",
                          "0..18446744073709551615"}) {
    EXPECT_FALSE(parse_seeds(bad)) << bad;
  }
}

TEST(Durations, HaveUnits) {
  EXPECT_EQ(parse_duration_ms("1500"), 1500);
  EXPECT_EQ(parse_duration_ms("1500ms"), 1500);
  EXPECT_EQ(parse_duration_ms("1.5s"), 1500);
  EXPECT_EQ(parse_duration_ms("2m"), 120'000);
  for (const char* bad : {"", "s", "-1s", "1h", "1 s", "nan", "1e300s"}) EXPECT_FALSE(parse_duration_ms(bad)) << bad;
}

TEST(Share, IsKeyedByTheSeedAndAboutAsLargeAsAskedFor) {
  int chosen = 0;
  for (std::uint64_t seed = 1; seed <= 10'000; ++seed) {
    chosen += in_share(0.1, "leader-crash", seed) ? 1 : 0;
    EXPECT_TRUE(in_share(1, "leader-crash", seed));
    EXPECT_FALSE(in_share(0, "leader-crash", seed));
    if (in_share(0.05, "x", seed)) EXPECT_TRUE(in_share(0.1, "x", seed));
  }
  EXPECT_NEAR(chosen, 1000, 120);
}

TEST(JsonText, EscapesAndRepairs) {
  std::string out;
  append_json_string(out, "a\"\\\n\x01\xc3\xa9\xff\xed\xa0\x80");
  EXPECT_EQ(out, "\"a\\\"\\\\\\n\\u0001\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  EXPECT_TRUE(nlohmann::json::accept(out));
}

TEST(Markup, EscapesWhatXmlCannotHold) {
  EXPECT_EQ(escape_markup("<a href='x'>\"&\"\n\t"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;\n\t");
  EXPECT_EQ(escape_markup(std::string("\0\x1b", 2)), "\xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(escape_markup("\xff"), "\xef\xbf\xbd");
  EXPECT_EQ(escape_markup("\xef\xbf\xbf"), "\xef\xbf\xbd");
}

TEST(Seconds, AreMicrosecondsExactly) {
  EXPECT_EQ(seconds_text(1'234'567'890), "1.234567 s");
  EXPECT_EQ(seconds_text(0), "0.000000 s");
  EXPECT_EQ(seconds_text(-1'500'000), "-0.001500 s");
}

TEST(FailureText, HasTheSentenceTheWitnessesAndTheCommand) {
  const std::string text = failure_text(broken());
  EXPECT_THAT(text,
              HasSubstr("leader-crash seed 7: C1: acknowledged offset 41 of orders-0 lost when epoch 5 became 6"));
  EXPECT_THAT(text, HasSubstr("1.000000 s  broker 1 (life 2)  appended offset 41 in epoch 5"));
  EXPECT_THAT(text, HasSubstr("clients saw: lost-write"));
  EXPECT_THAT(text, testing::EndsWith("    ./verdict replay out/leader-crash/x-7\n"));
}

TEST(Condensed, OfASeriesTheFirstAndTheLastAreShown) {
  std::vector<scenarios::WitnessLine> lines;
  for (int i = 9; i < 14; ++i) {
    lines.push_back(
        {.time_ns = i, .node = 1, .incarnation = 1, .text = "advances to " + std::to_string(i) + " in epoch 2"});
  }
  lines.push_back({.time_ns = 20, .node = 2, .incarnation = 1, .text = "advances to 20 in epoch 2"});
  lines.push_back({.time_ns = 21, .node = 2, .incarnation = 1, .text = "advances to 21 in epoch 2."});
  const auto shown = condensed(lines);
  ASSERT_EQ(shown.size(), 4U);
  EXPECT_EQ(shown[0].number, 1U);
  EXPECT_EQ(shown[1].number, 5U);
  EXPECT_EQ(shown[1].skipped, 3U);
  EXPECT_EQ(shown[2].number, 6U);
  EXPECT_EQ(shown[3].number, 7U);
  EXPECT_EQ(shown[3].skipped, 0U);
}

TEST(FailureText, OfAnInconclusiveRunSaysWhatWasNotSeen) {
  RunRecord record;
  record.result.scenario = "x";
  record.result.outcome = RunOutcome::inconclusive;
  record.result.unmet = {"event log_truncated: 0 of at least 1"};
  EXPECT_THAT(failure_text(record), HasSubstr("not seen: event log_truncated: 0 of at least 1"));
}

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string_view::npos; at += part.size()) ++n;
  return n;
}

TEST(Junit, ATestcaseIsScenarioTimesInvariant) {
  const std::size_t known = checker::invariants().size() + checker::anomalies().size();
  const std::string bad = junit_xml(broken());
  EXPECT_EQ(count(bad, "<testcase "), known);
  EXPECT_EQ(count(bad, "<failure "), 1U);
  EXPECT_THAT(
      bad,
      HasSubstr(
          "name=\"C1 NoCommittedRecordLost\"><failure type=\"violation\" message=\"acknowledged offset 41 of orders-0 "
          "lost when epoch 5 became 6 &lt;&amp;&quot;&#39;&gt;\">"));
  EXPECT_THAT(bad, HasSubstr("failures=\"1\""));
  RunRecord good = broken();
  good.result.outcome = RunOutcome::pass;
  EXPECT_EQ(count(junit_xml(good), "<failure "), 0U);
  RunRecord open = good;
  open.result.outcome = RunOutcome::inconclusive;
  EXPECT_EQ(count(junit_xml(open), "<skipped "), known);
  RunRecord dead = good;
  dead.result.outcome = RunOutcome::crash;
  dead.result.invariant.clear();
  EXPECT_EQ(count(junit_xml(dead), "<testcase "), known + 1);
  EXPECT_THAT(junit_xml(dead), HasSubstr("name=\"crash\"><failure"));
}

TEST(LoadStats, CountsAcknowledgementsAndTheirLatency) {
  LoadStats stats;
  checker::HistoryEntry entry;
  entry.call = checker::HistoryCall::send;
  for (int i = 0; i < 100; ++i) {
    entry.op = i;
    entry.type = checker::HistoryType::invoke;
    entry.time_ns = i * 100'000;
    stats.add(entry);
    entry.type = i == 99 ? checker::HistoryType::info : checker::HistoryType::ok;
    entry.time_ns += i == 50 ? 8'000'000 : 1'000'000;
    stats.add(entry);
  }
  std::uint64_t acknowledged = 0, failed_sends = 0;
  std::int64_t longest = 0;
  for (const LoadStats::Bucket& bucket : stats.buckets()) {
    acknowledged += bucket.acknowledged;
    failed_sends += bucket.failed;
    longest = std::max(longest, bucket.max_us);
    if (bucket.p50_us >= 0) EXPECT_NEAR(static_cast<double>(bucket.p50_us), 1000, 125);
  }
  EXPECT_EQ(acknowledged, 99U);
  EXPECT_EQ(failed_sends, 1U);
  EXPECT_EQ(longest, 8000);
}

TEST(LoadStats, ALongRunHasWiderBucketsNotMore) {
  LoadStats stats;
  checker::HistoryEntry entry;
  entry.call = checker::HistoryCall::send;
  for (int i = 0; i < 3600; ++i) {
    entry.op = i;
    entry.type = checker::HistoryType::ok;
    entry.time_ns = i * 1'000'000'000LL;
    stats.add(entry);
  }
  EXPECT_LE(stats.buckets().size(), 240U);
  EXPECT_GE(stats.bucket_ms() * 240, 3'599'000);
  std::uint64_t acknowledged = 0;
  for (const LoadStats::Bucket& bucket : stats.buckets()) acknowledged += bucket.acknowledged;
  EXPECT_EQ(acknowledged, 3600U);
}

TraceData small_trace() {
  TraceLoader loader({});
  loader.line(R"({"nodes":[{"host":"broker-1","id":1,"client":false},{"host":"client-1","id":-1,"client":true}]})");
  loader.line(R"({"t_ns":1000,"event":"batch_appended","host":"broker-1",)"
              R"("incarnation":1,"partition":"orders-0","base":0,"last":0,"crc":5})");
  loader.line(R"({"t_ns":3000,"message":"Produce","side":"request","from":"client-1",)"
              R"("to":"broker-1","sent_ns":2000,"correlation":1,"bytes":9})");
  loader.line(R"({"t_ns":4000,"fault":"f1","action":"kill","begins":true,)"
              R"("hosts":["broker-1"],"text":"kill </script> of broker-1"})");
  return loader.take();
}

TEST(ChromeTrace, HasAProcessForEachNodeAndAFlowForEachMessage) {
  const auto json = nlohmann::json::parse(chrome_trace(small_trace()));
  int processes = 0, starts = 0, ends = 0;
  for (const auto& event : json["traceEvents"]) {
    processes += event["ph"] == "M" && event["name"] == "process_name" ? 1 : 0;
    starts += event["ph"] == "s" ? 1 : 0;
    ends += event["ph"] == "f" ? 1 : 0;
    if (event["ph"] == "s") EXPECT_EQ(event["pid"], 2);
    if (event["ph"] == "f") EXPECT_EQ(event["pid"], 1);
    if (event["ph"] == "f") EXPECT_DOUBLE_EQ(event["ts"], 3.0);
  }
  EXPECT_EQ(processes, 2);
  EXPECT_EQ(starts, 1);
  EXPECT_EQ(ends, 1);
}

TEST(Html, IsOneFileThatNothingInTheDataCanEnd) {
  const std::string page = html_report(broken(), "{\"title\":\"</title><script>\"}", small_trace(), LoadStats());
  EXPECT_EQ(count(page, "</script>"), 2U);
  EXPECT_EQ(count(page, "http://") - count(page, "http://www.w3.org/2000/svg"), 0U);
  EXPECT_EQ(count(page, "https://"), 0U);
  EXPECT_THAT(page, Not(HasSubstr("{{")));
  EXPECT_THAT(
      page,
      HasSubstr("<h1>acknowledged offset 41 of orders-0 lost when epoch 5 became 6 &lt;&amp;&quot;&#39;&gt;</h1>"));
  const std::size_t begin = page.find("id=\"data\">") + 10;
  const auto data = nlohmann::json::parse(page.substr(begin, page.find("</script>", begin) - begin));
  EXPECT_EQ(data["events"].size(), 1U);
  EXPECT_EQ(data["messages"][0], nlohmann::json::array({2000, 3000, 1, 0, 0, 0, 1, 9}));
  EXPECT_EQ(data["violation_ns"], 1'234'567'890);
}

TEST(Summary, NamesTheOutcomeAndTheReplay) {
  const std::string text = summary_markdown(broken(), small_trace());
  EXPECT_THAT(text, HasSubstr("# acknowledged offset 41"));
  EXPECT_THAT(text, HasSubstr("| 1.000000 s | broker-1 | appended offset 41 in epoch 5 |"));
  EXPECT_THAT(text, HasSubstr("- replay: `./verdict replay out/leader-crash/x-7`"));
}

}  // namespace
}  // namespace verdict::reports
