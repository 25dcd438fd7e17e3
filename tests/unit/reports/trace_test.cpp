#include "reports/trace.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "reports/trace_data.h"
#include "reports/zstd_file.h"

namespace verdict::reports {
namespace {

using namespace protocol::events;  // NOLINT
using Json = nlohmann::json;

constexpr Uuid kTopic{1, 2};
constexpr PartitionKey kPartition{kTopic, 0};

// A run told to a TraceWriter by hand.
class Feed {
 public:
  Feed() : writer({.trace = [this](std::string_view line) { lines.emplace_back(line); }, .history = {}, .log = {}}) {
    writer.on_cluster({{sim::NodeIndex(0), 100, "controller", false},
                       {sim::NodeIndex(1), 1, "broker-1", false},
                       {sim::NodeIndex(2), 2, "broker-2", false},
                       {sim::NodeIndex(3), -1, "client-1", true}});
    writer.on_topic(sim::virtual_ns(1), kTopic, "orders");
  }
  void event(std::int64_t t, std::uint16_t node, const protocol::Event& event) {
    writer.on_event(sim::virtual_ns(t), sim::NodeIndex(node), NodeId(node), 1, event);
  }
  void append(std::int64_t t, std::uint16_t node, std::int64_t base, std::int32_t epoch, std::uint32_t crc) {
    event(t, node,
          BatchAppended{.partition = kPartition,
                        .base = Offset(base),
                        .last = Offset(base),
                        .epoch = LeaderEpoch(epoch),
                        .role = node == 1 ? Role::leader : Role::follower,
                        .crc = crc,
                        .records = 1});
  }
  TraceData load(TraceLimits limits = {}) const {
    TraceLoader loader(limits);
    for (const std::string& line : lines) loader.line(std::string_view(line).substr(0, line.size() - 1));
    EXPECT_EQ(loader.unreadable(), 0U);
    return loader.take();
  }

  std::vector<std::string> lines;
  TraceWriter writer;
};

TEST(Trace, EveryLineIsOneJsonObjectThatSaysWhoAndWhat) {
  Feed feed;
  feed.append(5, 1, 41, 7, 0xdeadbeef);
  feed.writer.on_message({.from = sim::NodeIndex(2),
                          .to = sim::NodeIndex(1),
                          .connection = 9,
                          .response = false,
                          .api_key = 1,
                          .api_version = 17,
                          .correlation_id = 3,
                          .size = 120},
                         sim::virtual_ns(6), sim::virtual_ns(8));
  feed.writer.on_fault(
      sim::virtual_ns(9),
      {.id = "f1", .action = "kill", .begins = true, .nodes = {sim::NodeIndex(1)}, .text = "kill \"it\""});
  feed.writer.on_node(sim::virtual_ns(9), sim::NodeIndex(1), false, 1, "dies");
  feed.writer.on_phase(sim::virtual_ns(10), "heal");
  ASSERT_EQ(feed.lines.size(), 6U);
  for (const std::string& line : feed.lines) EXPECT_EQ(line.find('\n'), line.size() - 1);
  const Json append = Json::parse(feed.lines[1]);
  EXPECT_EQ(append["event"], "batch_appended");
  EXPECT_EQ(append["host"], "broker-1");
  EXPECT_EQ(append["partition"], "orders-0");
  EXPECT_EQ(append["base"], 41);
  EXPECT_EQ(append["crc"], 0xdeadbeefU);
  EXPECT_EQ(append["role"], "leader");
  const Json message = Json::parse(feed.lines[2]);
  EXPECT_EQ(message["message"], "Fetch");
  EXPECT_EQ(message["side"], "request");
  EXPECT_EQ(message["sent_ns"], 6);
  EXPECT_EQ(message["t_ns"], 8);
  EXPECT_EQ(Json::parse(feed.lines[3])["text"], "kill \"it\"");
  EXPECT_EQ(Json::parse(feed.lines[3])["hosts"], Json::array({"broker-1"}));
  EXPECT_EQ(Json::parse(feed.lines[4])["up"], false);
  EXPECT_EQ(Json::parse(feed.lines[5])["phase"], "heal");
}

TEST(Trace, ATopicCreatedAgainHasAnotherName) {
  Feed feed;
  constexpr Uuid again{3, 4};
  feed.writer.on_topic(sim::virtual_ns(2), again, "orders");
  feed.event(3, 1, LogClosed{.partition = {again, 1}});
  EXPECT_EQ(Json::parse(feed.lines.back())["partition"], "orders@2-1");
}

TEST(TraceData, FollowsTheReplicas) {
  Feed feed;
  const std::vector<NodeId> isr = {NodeId(1), NodeId(2)};
  feed.event(1, 0,
             PartitionDecided{.partition = kPartition,
                              .replicas = isr,
                              .isr = isr,
                              .leader = NodeId(1),
                              .leader_epoch = LeaderEpoch(4),
                              .partition_epoch = PartitionEpoch(6)});
  feed.event(2, 1, BecameLeader{.partition = kPartition, .leader_epoch = LeaderEpoch(4), .isr = isr});
  feed.event(2, 2, BecameFollower{.partition = kPartition, .leader_epoch = LeaderEpoch(4), .leader = NodeId(1)});
  for (int offset = 0; offset < 5; ++offset)
    feed.append(10 + offset, 1, offset, 4, 100U + static_cast<unsigned>(offset));
  for (int offset = 0; offset < 3; ++offset)
    feed.append(20 + offset, 2, offset, 4, 100U + static_cast<unsigned>(offset));
  feed.append(30, 2, 3, 5, 999);
  feed.event(31, 1, HighWatermarkAdvanced{.partition = kPartition, .role = Role::leader, .to = Offset(3)});
  const TraceData trace = feed.load();
  ASSERT_EQ(trace.partitions, std::vector<std::string>{"orders-0"});
  const ReplicaState& leader = trace.last.replicas().at({0, 1});
  EXPECT_EQ(leader.log_end, 5);
  EXPECT_EQ(leader.high_watermark, 3);
  EXPECT_EQ(leader.role, ReplicaRole::leader);
  EXPECT_EQ(leader.isr, (std::vector<std::int32_t>{1, 2}));
  const auto divergence = trace.last.first_divergence(0);
  ASSERT_TRUE(divergence);
  EXPECT_EQ(divergence->offset, 3);
  EXPECT_EQ(divergence->a.crc, 103U);
  EXPECT_EQ(divergence->b.crc, 999U);
  EXPECT_EQ(trace.last.decisions().at(0).leader, 1);
  ASSERT_EQ(trace.elections.size(), 1U);
  EXPECT_EQ(trace.elections[0].epoch, 4);
}

TEST(TraceData, CompactionTakesBatchesAndWritesOthersAnew) {
  Feed feed;
  for (std::uint16_t node = 1; node <= 2; ++node) {
    for (int offset = 0; offset < 5; ++offset)
      feed.append(10 + offset, node, offset, 4, 100U + static_cast<unsigned>(offset));
  }
  const std::vector<Offset> left = {Offset(0), Offset(3)};
  feed.event(20, 2,
             LogCleaned{.partition = kPartition,
                        .from = Offset(0),
                        .to = Offset(4),
                        .clean_to = Offset(4),
                        .last_stable = Offset(5),
                        .bases = left,
                        .lasts = left,
                        .positions = {},
                        .size = {},
                        .records = left});
  feed.append(30, 1, 5, 4, 105);
  feed.append(31, 2, 5, 4, 999);  // of a leader that has written it anew
  const TraceData trace = feed.load();
  const ReplicaState& cleaned = trace.last.replicas().at({0, 2});
  std::vector<std::int64_t> bases;
  for (const BatchRef& batch : cleaned.tail) bases.push_back(batch.base);
  EXPECT_EQ(bases, (std::vector<std::int64_t>{0, 3, 4, 5}));
  EXPECT_EQ(cleaned.log_end, 6);
  EXPECT_FALSE(trace.last.first_divergence(0));
}

TEST(TraceData, TruncationAndRecoveryCutTheTail) {
  Feed feed;
  for (int offset = 0; offset < 6; ++offset) feed.append(10 + offset, 1, offset, 1, 7);
  feed.event(
      20, 1,
      LogTruncated{.partition = kPartition, .from = Offset(6), .to = Offset(4), .reason = TruncateReason::divergence});
  EXPECT_EQ(feed.load().last.replicas().at({0, 1}).log_end, 4);
  EXPECT_EQ(feed.load().last.replicas().at({0, 1}).tail.size(), 4U);
  feed.writer.on_node(sim::virtual_ns(25), sim::NodeIndex(1), false, 1, "loses power");
  EXPECT_FALSE(feed.load().last.replicas().at({0, 1}).open);
  feed.event(
      30, 1,
      LogOpened{.partition = kPartition, .directory = "orders-0", .log_end = Offset(2), .last_epoch = LeaderEpoch(1)});
  const TraceData trace = feed.load();
  EXPECT_TRUE(trace.last.replicas().at({0, 1}).open);
  EXPECT_EQ(trace.last.replicas().at({0, 1}).log_end, 2);
  EXPECT_EQ(trace.last.replicas().at({0, 1}).tail.size(), 2U);
}

// However long the run, the details are bounded, and the state before them is what the dropped events made.
TEST(TraceData, KeepsTheNewestDetailsAndTheStateBeforeThem) {
  Feed feed;
  for (int offset = 0; offset < 1000; ++offset) {
    feed.append(10 + offset, 1, offset, 1, static_cast<unsigned>(offset));
    feed.writer.on_message({.from = sim::NodeIndex(3), .to = sim::NodeIndex(1), .api_key = 0}, sim::virtual_ns(offset),
                           sim::virtual_ns(10 + offset));
  }
  TraceLimits limits;
  limits.events = 50;
  limits.messages = 20;
  const TraceData trace = feed.load(limits);
  EXPECT_EQ(trace.events.size(), 50U);
  EXPECT_EQ(trace.messages.size(), 20U);
  EXPECT_EQ(trace.all_events, 1000U);
  EXPECT_EQ(trace.all_messages, 1000U);
  EXPECT_EQ(trace.base.replicas().at({0, 1}).log_end, 950);
  EXPECT_EQ(trace.last.replicas().at({0, 1}).log_end, 1000);
  EXPECT_EQ(trace.base.replicas().at({0, 1}).tail.size(), kTailBatches);
}

TEST(TraceData, TheWindowEndsALittleAfterTheViolation) {
  Feed feed;
  for (int offset = 0; offset < 1000; ++offset) feed.append(10 + offset, 1, offset, 1, 1);
  TraceLimits limits;
  limits.events = 100;
  limits.focus_ns = 500;
  const TraceData trace = feed.load(limits);
  EXPECT_EQ(trace.events.size(), 100U);
  EXPECT_EQ(trace.events.back().t_ns, 525);
  EXPECT_EQ(trace.last.replicas().at({0, 1}).log_end, 516);
}

TEST(TraceData, WhatCannotBeReadIsCounted) {
  TraceLoader loader({});
  loader.line("{\"t_ns\":5");
  loader.line("[]");
  loader.line("{\"t_ns\":5}");
  loader.line("{\"t_ns\":6,\"phase\":\"heal\"}");
  EXPECT_EQ(loader.unreadable(), 3U);
  EXPECT_EQ(loader.take().phases.size(), 1U);
}

class Folder {
 public:
  Folder() {
    std::string made = (std::filesystem::temp_directory_path() / "verdict-test-XXXXXX").string();
    path = ::mkdtemp(made.data());
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

TEST(ZstdFile, LinesComeBack) {
  const Folder folder;
  const std::string path = folder.path + "/x.zst";
  ZstdWriter writer(path);
  for (int i = 0; i < 50'000; ++i) writer.write("line " + std::to_string(i) + "\n");
  ASSERT_TRUE(writer.finish());
  int count = 0;
  ASSERT_TRUE(
      read_zstd_lines(path, [&](std::string_view line) { EXPECT_EQ(line, "line " + std::to_string(count++)); }));
  EXPECT_EQ(count, 50'000);
}

TEST(ZstdFile, ATornEndLosesOnlyTheEnd) {
  const Folder folder;
  const std::string path = folder.path + "/x.zst";
  ZstdWriter writer(path);
  for (int i = 0; i < 50'000; ++i) writer.write("line " + std::to_string(i * 7919 % 50'000) + "\n");
  ASSERT_TRUE(writer.finish());
  std::filesystem::resize_file(path, std::filesystem::file_size(path) * 3 / 4);
  int count = 0;
  ASSERT_TRUE(read_zstd_lines(
      path, [&](std::string_view line) { EXPECT_EQ(line, "line " + std::to_string(count++ * 7919 % 50'000)); }));
  EXPECT_GT(count, 20'000);
  EXPECT_LT(count, 50'000);
}

TEST(ZstdFile, SomethingElseIsAnError) {
  const Folder folder;
  EXPECT_FALSE(read_zstd_lines(folder.path + "/none", [](std::string_view) {}));
  const std::string path = folder.path + "/x.zst";
  std::ofstream(path) << "no zstd stream";
  EXPECT_FALSE(read_zstd_lines(path, [](std::string_view) {}));
}

}  // namespace
}  // namespace verdict::reports
