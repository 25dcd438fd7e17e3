// Why a run failed: the chain on traces made by hand, and on runs with a planted bug.
#include "reports/cause.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "reports/bundle.h"
#include "reports/text.h"
#include "reports/trace.h"
#include "reports/trace_data.h"
#include "scenarios/catalogue.h"
#include "scenarios/runner.h"

namespace verdict::reports {
namespace {

using namespace protocol::events;  // NOLINT
using scenarios::RunOutcome;
using scenarios::RunResult;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::int64_t kMs = 1'000'000;
constexpr PartitionKey kOrders{Uuid{1, 2}, 0};
constexpr PartitionKey kOther{Uuid{1, 2}, 1};

// A controller and brokers 1 to 3, on lanes of their numbers.
class Story {
 public:
  Story() : writer_({.trace = [this](std::string_view line) { lines_.emplace_back(line); }, .history = {}, .log = {}}) {
    std::vector<scenarios::NodeInfo> nodes{{sim::NodeIndex(0), 100, "controller", false}};
    for (std::uint16_t id = 1; id <= 3; ++id)
      nodes.push_back({sim::NodeIndex(id), id, "broker-" + std::to_string(id), false});
    writer_.on_cluster(nodes);
    writer_.on_topic(sim::virtual_ns(0), kOrders.topic, "orders");
  }
  void event(std::int64_t ms, std::uint16_t lane, const protocol::Event& event) {
    writer_.on_event(at(ms), sim::NodeIndex(lane), NodeId(lane == 0 ? 100 : lane), 1, event);
  }
  void decide(std::int64_t ms, std::int32_t leader, std::int32_t epoch, std::int32_t partition_epoch, NodeIds isr,
              PartitionKey partition = kOrders) {
    const NodeIds replicas{NodeId(1), NodeId(2), NodeId(3)};
    event(ms, 0,
          PartitionDecided{.partition = partition,
                           .replicas = replicas,
                           .isr = isr,
                           .leader = NodeId(leader),
                           .leader_epoch = LeaderEpoch(epoch),
                           .partition_epoch = PartitionEpoch(partition_epoch),
                           .unclean = false});
  }
  void lead(std::int64_t ms, std::uint16_t lane, std::int32_t epoch, std::int32_t partition_epoch) {
    event(ms, lane,
          BecameLeader{.partition = kOrders,
                       .leader_epoch = LeaderEpoch(epoch),
                       .partition_epoch = PartitionEpoch(partition_epoch),
                       .epoch_start = Offset(10),
                       .high_watermark = Offset(9),
                       .isr = {}});
  }
  void follow(std::int64_t ms, std::uint16_t lane, std::int32_t leader, std::int32_t epoch,
              std::int32_t partition_epoch) {
    event(ms, lane,
          BecameFollower{.partition = kOrders,
                         .leader_epoch = LeaderEpoch(epoch),
                         .partition_epoch = PartitionEpoch(partition_epoch),
                         .leader = NodeId(leader)});
  }
  void append(std::int64_t ms, std::uint16_t lane, std::int64_t base, std::int32_t epoch, Role role,
              std::uint32_t crc) {
    event(ms, lane,
          BatchAppended{.partition = kOrders,
                        .base = Offset(base),
                        .last = Offset(base),
                        .epoch = LeaderEpoch(epoch),
                        .role = role,
                        .crc = crc,
                        .records = 1});
  }
  void fence(std::int64_t ms, std::int32_t broker, bool fenced) {
    event(ms, 0,
          BrokerFencing{.broker = NodeId(broker), .epoch = BrokerEpoch(1), .fenced = fenced, .shutting_down = false});
  }
  void fault(std::int64_t ms, const std::string& id, const std::string& action, std::vector<std::uint16_t> lanes,
             bool begins = true) {
    scenarios::FaultNote note{.id = id, .action = action, .begins = begins, .nodes = {}, .text = action};
    for (const std::uint16_t lane : lanes) note.nodes.emplace_back(lane);
    writer_.on_fault(at(ms), note);
    if (begins && action == "kill") writer_.on_node(at(ms), sim::NodeIndex(lanes.front()), false, 1, "dies");
  }
  void message(std::int64_t sent_ms, std::int64_t delivered_ms, std::uint16_t from, std::uint16_t to, bool response) {
    writer_.on_message({.from = sim::NodeIndex(from),
                        .to = sim::NodeIndex(to),
                        .connection = 1,
                        .response = response,
                        .api_key = 1,
                        .api_version = 17,
                        .correlation_id = 1,
                        .size = 100},
                       at(sent_ms), at(delivered_ms));
  }
  void truncate(std::int64_t ms, std::uint16_t lane, std::int64_t from, std::int64_t to,
                TruncateReason reason = TruncateReason::divergence) {
    event(ms, lane, LogTruncated{.partition = kOrders, .from = Offset(from), .to = Offset(to), .reason = reason});
  }
  TraceData load() const {
    TraceLoader loader({});
    for (const std::string& line : lines_) loader.line(std::string_view(line).substr(0, line.size() - 1));
    EXPECT_EQ(loader.unreadable(), 0U);
    return loader.take();
  }
  static RunResult violation(std::int64_t ms, std::int32_t node, std::int64_t offset) {
    RunResult result;
    result.outcome = RunOutcome::violation;
    result.invariant = "C5";
    result.sentence = "it is lost";
    result.partition = "orders-0";
    result.offset = offset;
    result.violation_ns = ms * kMs;
    result.workload_ns = 50 * kMs;
    result.witnesses.push_back({.time_ns = ms * kMs, .node = node, .incarnation = 1, .text = "the last one"});
    return result;
  }

 private:
  static sim::VirtualTime at(std::int64_t ms) { return sim::virtual_ns(ms * kMs); }
  std::vector<std::string> lines_;
  TraceWriter writer_;
};

std::vector<std::string> kinds(const std::vector<CauseLink>& chain) {
  std::vector<std::string> out;
  for (const CauseLink& link : chain) out.push_back(link.kind);
  return out;
}

// Fault, election, truncation, loss; and much else that happened.
Story lost() {
  Story story;
  story.decide(10, 1, 0, 0, {NodeId(1), NodeId(2), NodeId(3)});
  story.lead(11, 1, 0, 0);
  story.follow(11, 2, 1, 0, 0);
  story.follow(11, 3, 1, 0, 0);
  for (std::int64_t offset = 0; offset < 10; ++offset) {  // noise: other offsets
    story.append(100 + offset, 1, offset, 0, Role::leader, static_cast<std::uint32_t>(offset));
    story.append(101 + offset, 3, offset, 0, Role::follower, static_cast<std::uint32_t>(offset));
  }
  story.decide(150, 2, 1, 1, {NodeId(2), NodeId(3)}, kOther);  // noise: another partition
  story.fault(160, "elsewhere", "pause", {0});
  story.fault(161, "elsewhere", "pause", {0}, false);
  story.event(170, 1,
              HighWatermarkAdvanced{.partition = kOrders,
                                    .role = Role::leader,
                                    .leader_epoch = LeaderEpoch(0),
                                    .partition_epoch = PartitionEpoch(0),
                                    .from = Offset(9),
                                    .to = Offset(10),
                                    .maximal_isr = {},
                                    .counted = {}});
  story.event(171, 1,
              ProduceAcknowledged{.partition = kOrders,
                                  .leader_epoch = LeaderEpoch(0),
                                  .acks = -1,
                                  .error_code = 0,
                                  .base = Offset(9),
                                  .last = Offset(9)});
  story.fault(200, "crash", "kill", {1});
  story.decide(900, 2, 1, 1, {NodeId(2), NodeId(3)});
  story.fence(900, 1, true);
  story.lead(902, 2, 1, 1);
  story.message(900, 930, 0, 3, true);
  story.follow(930, 3, 2, 1, 1);
  story.event(931, 2,
              DivergenceAnswered{.partition = kOrders,
                                 .leader_epoch = LeaderEpoch(1),
                                 .follower = NodeId(3),
                                 .diverging_epoch = LeaderEpoch(0),
                                 .end = Offset(9)});
  story.message(931, 932, 2, 3, true);
  story.truncate(932, 3, 10, 9);
  return story;
}

TEST(Cause, SaysHowALogIsTruncated) {
  Story story = lost();
  story.truncate(933, 3, 9, 5, TruncateReason::full);
  const std::vector<CauseLink> chain = cause_of(Story::violation(933, 3, 7), story.load());
  ASSERT_GE(chain.size(), 2U);
  EXPECT_EQ(chain[chain.size() - 2].text, "starts orders-0, which ended at 9, anew at 5");
}

TEST(Cause, IsALogThatBeginsBehindTheOffset) {
  Story story = lost();
  story.truncate(933, 3, 9, 12, TruncateReason::full);
  const std::vector<CauseLink> chain = cause_of(Story::violation(940, 2, 9), story.load());
  EXPECT_THAT(chain, Contains(testing::Field(&CauseLink::text, "starts orders-0, which ended at 9, anew at 12")));
}

TEST(Cause, IsFaultElectionTruncationLoss) {
  const std::vector<CauseLink> chain = cause_of(Story::violation(932, 3, 9), lost().load());
  EXPECT_THAT(kinds(chain), ElementsAre("batch_appended", "high_watermark_advanced", "produce_acknowledged", "fault",
                                        "broker_fencing", "partition_decided", "became_leader", "became_follower",
                                        "divergence_answered", "log_truncated", "violation"));
  EXPECT_EQ(chain[3].text, "fault crash: kill");
  EXPECT_EQ(chain[3].host, "broker-1");
  EXPECT_THAT(chain[3].because, IsEmpty());
  EXPECT_EQ(chain[4].text, "fences broker 1");
  EXPECT_THAT(chain[4].because, ElementsAre(3));
  EXPECT_EQ(chain[5].text, "makes broker 2 leader of orders-0 in epoch 1, after broker 1, ISR [2 3]");
  EXPECT_THAT(chain[5].because, ElementsAre(4));
  EXPECT_THAT(chain[6].because, ElementsAre(5));
  EXPECT_EQ(chain[7].heard, "by controller's Fetch answer of 0.900000 s, 30 ms under way");
  EXPECT_EQ(chain[8].text, "answers broker 3 that epoch 0 of orders-0 ends at offset 9");
  EXPECT_EQ(chain[9].text, "truncates orders-0 from 10 to 9");
  EXPECT_EQ(chain[9].heard, "by broker-2's Fetch answer of 0.931000 s");
  EXPECT_THAT(chain[9].because, ElementsAre(7, 8));
  EXPECT_THAT(chain[10].because, ElementsAre(2, 9)) << "what these two depend on is not said again";
  EXPECT_EQ(chain[10].text, "it is lost");
}

TEST(Cause, EveryCauseIsEarlierAndLeadsToTheViolation) {
  const std::vector<CauseLink> chain = cause_of(Story::violation(932, 3, 9), lost().load());
  std::vector<bool> needed(chain.size());
  needed.back() = true;
  for (std::size_t i = chain.size(); i-- > 0;) {
    EXPECT_TRUE(needed[i]) << chain[i].text;
    for (const std::size_t cause : chain[i].because) {
      EXPECT_LT(cause, i);
      EXPECT_LE(chain[cause].t_ns, chain[i].t_ns);
      needed[cause] = true;
    }
  }
}

TEST(Cause, AMessageOnItsWayForLongBringsInWhatHeldIt) {
  Story story = lost();
  const auto faults = [](const std::vector<CauseLink>& chain) {
    return std::ranges::count(chain, std::string("fault"), &CauseLink::kind);
  };
  EXPECT_EQ(faults(cause_of(Story::violation(932, 3, 9), story.load())), 1);
  Story held;
  held.fault(100, "hold", "message", {});
  held.fault(150, "cut", "block", {3});
  held.fault(160, "cut", "block", {3}, false);  // over before
  held.fault(170, "slow", "slow_link", {0, 3});
  held.fault(170, "apart", "slow_link", {1, 2});  // others'
  held.decide(200, 2, 1, 1, {NodeId(2), NodeId(3)});
  held.message(200, 400, 0, 3, true);
  held.follow(400, 3, 2, 1, 1);
  held.truncate(400, 3, 10, 9);
  const std::vector<CauseLink> chain = cause_of(Story::violation(400, 3, 9), held.load());
  EXPECT_THAT(kinds(chain),
              ElementsAre("fault", "fault", "partition_decided", "became_follower", "log_truncated", "violation"));
  EXPECT_EQ(chain[0].text, "fault hold: message");
  EXPECT_EQ(chain[1].text, "fault slow: slow_link");
}

TEST(Cause, AnElectionFromOutsideTheIsrComesFromWhatTookTheLeaderOut) {
  Story story;
  story.decide(10, 1, 0, 0, {NodeId(1), NodeId(2)});
  story.fault(100, "still", "pause", {2});
  story.event(500, 1,
              IsrProposed{.partition = kOrders,
                          .leader_epoch = LeaderEpoch(0),
                          .partition_epoch = PartitionEpoch(0),
                          .isr = std::vector<NodeId>{NodeId(1), NodeId(2)},
                          .proposed = std::vector<NodeId>{NodeId(1)},
                          .maximal_isr = {}});
  story.decide(501, 1, 0, 1, {NodeId(1)});
  story.fault(600, "crash", "kill", {1});
  story.fence(700, 1, true);
  story.decide(700, 2, 1, 2, {NodeId(2)});
  const std::vector<CauseLink> chain = cause_of(Story::violation(700, 100, -1), story.load());
  EXPECT_THAT(kinds(chain), ElementsAre("fault", "isr_proposed", "partition_decided", "fault", "broker_fencing",
                                        "partition_decided", "violation"));
  EXPECT_EQ(chain[0].text, "fault still: pause");
  EXPECT_THAT(chain[1].text, HasSubstr("change the ISR from [1 2] to [1]"));
  EXPECT_THAT(chain[5].because, ElementsAre(2, 4));
}

TEST(Cause, ABatchIsCopiedFromTheLeaderOfThatTime) {
  Story story;
  story.append(100, 1, 7, 0, Role::leader, 77);
  story.append(101, 2, 7, 0, Role::follower, 77);
  story.decide(200, 2, 1, 1, {NodeId(2)});
  story.lead(201, 2, 1, 1);
  story.follow(202, 3, 2, 1, 1);
  story.message(203, 204, 2, 3, true);
  story.message(204, 205, 1, 3, false);  // says nothing of it
  story.append(206, 3, 7, 0, Role::follower, 77);
  const std::vector<CauseLink> chain = cause_of(Story::violation(206, 3, -1), story.load());
  EXPECT_THAT(kinds(chain),
              ElementsAre("batch_appended", "batch_appended", "partition_decided", "batch_appended", "violation"));
  EXPECT_EQ(chain[3].host, "broker-3");
  EXPECT_EQ(chain[3].heard, "by broker-2's Fetch answer of 0.203000 s");
  EXPECT_THAT(chain[3].because, ElementsAre(1, 2));
}

TEST(Cause, IsOfViolationsOnly) {
  RunResult result = Story::violation(932, 3, 9);
  result.outcome = RunOutcome::inconclusive;
  EXPECT_THAT(cause_of(result, lost().load()), IsEmpty());
  EXPECT_EQ(cause_markdown({}), "");
  EXPECT_EQ(cause_section({}), "");
  EXPECT_THAT(read_why("/no/such/folder"), IsEmpty());
}

TEST(Cause, OfAViolationThatNamesNothingIsWhatWasDoneLast) {
  RunResult result = Story::violation(932, -1, -1);
  result.witnesses.clear();
  result.violation_ns = -1;
  result.partition.clear();
  const std::vector<CauseLink> chain = cause_of(result, lost().load());
  ASSERT_FALSE(chain.empty());
  EXPECT_EQ(chain.back().kind, "violation");
  EXPECT_THAT(kinds(chain), Contains("broker_fencing"));
}

// ---- runs with a planted bug ----

class Planted : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = (std::filesystem::temp_directory_path() / "verdict-cause-XXXXXX").string();
    ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::vector<CauseLink> chain_of(const char* scenario_name, const char* defect) {
    scenarios::Scenario scenario = *scenarios::library_scenario(scenario_name);
    scenario.defects = {defect};
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
      RunRecord record;
      record.result = scenarios::run(scenario, seed);
      if (record.result.outcome != RunOutcome::violation) continue;
      EXPECT_TRUE(record_run(scenario, seed, false, folder_).has_value());
      EXPECT_TRUE(write_run_json(record, folder_).has_value());
      EXPECT_TRUE(write_reports(folder_).has_value());
      TraceLimits limits;
      limits.focus_ns = record.result.violation_ns;
      sentence_ = record.result.sentence;
      return cause_of(record.result, *load_trace(folder_ + "/events.jsonl.zst", limits));
    }
    return {};
  }

  std::string folder_;
  std::string sentence_;
};

// Is there a way from a link of `from` to one of `to`, each next one because of the one before?
bool leads(const std::vector<CauseLink>& chain, const std::vector<std::string>& way) {
  const std::function<bool(std::size_t, std::size_t)> back = [&](std::size_t at, std::size_t left) {
    if (chain[at].kind == way[left] && left-- == 0) return true;
    return std::ranges::any_of(chain[at].because, [&](std::size_t cause) { return back(cause, left); });
  };
  return !chain.empty() && back(chain.size() - 1, way.size() - 1);
}

TEST_F(Planted, Kip101CutsAtTheHighWatermarkAfterAnElection) {
  const std::vector<CauseLink> chain = chain_of("leader-crash-acks-all", "kip-101");
  EXPECT_TRUE(leads(chain, {"fault", "broker_fencing", "partition_decided", "log_truncated", "violation"}))
      << testing::PrintToString(cause_lines(chain));
  EXPECT_LE(chain.size(), 15U);
  EXPECT_EQ(chain.back().text, sentence_);
  for (const char* file : {"summary.md", "report.html"}) {
    const std::string text = *read_file(folder_ + "/" + file);
    for (const CauseLink& link : chain) EXPECT_THAT(text, HasSubstr(link.text)) << file;
  }
  EXPECT_EQ(read_why(folder_), cause_lines(chain));
  RunRecord record;
  record.why = read_why(folder_);
  EXPECT_THAT(failure_text(record), HasSubstr("fault crash: kill of broker-1"));
}

TEST_F(Planted, Kip279NeedsTwoElectionsAndAnAnswerOfTooLateAnEpoch) {
  const std::vector<CauseLink> chain = chain_of("leader-without-the-followers-epoch", "kip-279");
  EXPECT_TRUE(leads(chain, {"fault", "broker_fencing", "partition_decided", "became_leader", "divergence_answered",
                            "log_truncated", "violation"}))
      << testing::PrintToString(cause_lines(chain));
  std::vector<std::string> elections;
  for (const CauseLink& link : chain) {
    if (link.kind == "partition_decided") elections.push_back(link.text);
  }
  EXPECT_THAT(elections, Contains(HasSubstr("in epoch 1")));
  EXPECT_THAT(elections, Contains(HasSubstr("in epoch 2")));
  EXPECT_LE(chain.size(), 30U) << testing::PrintToString(cause_lines(chain));
}

}  // namespace
}  // namespace verdict::reports
