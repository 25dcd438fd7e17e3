#include <gtest/gtest.h>

#include <vector>

#include "protocol/client/admin.h"
#include "protocol/client/producer.h"
#include "protocol/client/rpc.h"
#include "protocol/wire/gen/fetch.h"
#include "runtime/scope.h"
#include "sim/cluster.h"

// Incremental fetch sessions (KIP-227) against a whole broker: what an answer leaves out must have arrived before.
namespace verdict::broker {
namespace {

constexpr int kVersion = 17;
constexpr std::int64_t kRecords = 3;

// The session's one partition, as a request names it.
struct Position {
  std::int64_t offset;
  std::int32_t last_epoch;
};

struct Answered {
  bool named = false;  // the answer has the partition
  std::int64_t high_watermark = -1;
  bool diverges = false;
};

// Writes three records, then fetches: each position in a request of one session; none: the request names nothing.
struct Fetcher final : sim::Process {
  Fetcher(Runtime& runtime, std::vector<std::optional<Position>> what)
      : runtime(runtime),
        asked(std::move(what)),
        admin(runtime, options()),
        producer(runtime, options(), {}, sink),
        channel(runtime, {.host = "broker-1", .port = sim::kBrokerPort}, {.client_id = "test"}),
        scope(runtime) {
    scope.spawn(run());
  }
  static client::ClientOptions options() {
    client::ClientOptions client;
    client.bootstrap = {{.host = "broker-1", .port = sim::kBrokerPort}};
    return client;
  }
  struct Sink final : client::DeliverySink {
    void delivered(std::uint64_t, const client::DeliveryReport&) override {}
  };

  Task<void> run() {
    client::NewTopic wanted{.name = "t"};
    wanted.assignment[0] = {NodeId(1)};
    const auto made = co_await admin.create_topic(std::move(wanted), runtime.now() + 20s);
    EXPECT_TRUE(made.has_value());
    for (std::int64_t i = 0; i < kRecords; ++i) EXPECT_TRUE(producer.send("t", 0, {}, static_cast<std::uint64_t>(i)));
    const bool flushed = co_await producer.flush(runtime.now() + 30s);
    EXPECT_TRUE(flushed);
    for (const std::optional<Position>& position : asked) {
      Answered answered;
      co_await fetch(position, &answered);
      answers.push_back(answered);
    }
    done = true;
  }

  Task<void> fetch(std::optional<Position> position, Answered* answered) {
    wire::FetchRequest::FetchPartition partition{};
    wire::FetchRequest::FetchTopic of_topic{};
    wire::FetchRequest request;
    if (position) {
      partition.partition = 0;
      partition.current_leader_epoch = -1;
      partition.fetch_offset = position->offset;
      partition.last_fetched_epoch = position->last_epoch;
      partition.log_start_offset = -1;
      partition.partition_max_bytes = 1 << 20;
      of_topic.topic_id = topic();
      of_topic.partitions = std::span(&partition, 1);
      request.topics = std::span(&of_topic, 1);
    }
    request.max_wait_ms = 10;
    request.min_bytes = 1;
    request.max_bytes = 1 << 20;
    request.session_id = session;
    request.session_epoch = epoch;
    auto answer = co_await channel.call<wire::FetchResponse>(kVersion, request, runtime.now() + 5s);
    EXPECT_TRUE(answer.has_value());
    if (!answer) co_return;
    EXPECT_EQ(answer->value.error_code, 0);
    session = answer->value.session_id;
    ++epoch;
    for (const auto& part : answer->value.responses) {
      for (const auto& data : part.partitions) {
        EXPECT_EQ(data.error_code, 0);
        *answered = {.named = true,
                     .high_watermark = data.high_watermark,
                     .diverges = data.diverging_epoch.epoch >= 0};
      }
    }
  }

  Runtime& runtime;
  std::vector<std::optional<Position>> asked;
  std::function<Uuid()> topic;
  std::vector<Answered> answers;
  bool done = false;
  std::int32_t session = 0, epoch = 0;
  Sink sink;
  client::Admin admin;
  client::Producer producer;
  client::RpcChannel channel;
  Scope scope;
};

std::vector<Answered> answers_to(std::vector<std::optional<Position>> asked) {
  sim::World world({.seed = 3});
  sim::Cluster cluster(world, {.brokers = 1}, nullptr);
  Fetcher* fetcher = nullptr;
  const auto client =
      world.add_node({"client",
                      [&](Runtime& runtime) -> std::unique_ptr<sim::Process> {
                        auto process = std::make_unique<Fetcher>(runtime, asked);
                        process->topic = [&cluster] { return cluster.view().partitions.begin()->first.topic; };
                        fetcher = process.get();
                        return process;
                      },
                      {}});
  cluster.start_all();
  world.start(client);
  EXPECT_EQ(world.run_until([&] { return fetcher->done; }, world.now() + 60s), sim::RunEnd::stopped);
  return fetcher->answers;
}

TEST(FetchSession, WhatIsKnownIsLeftOut) {
  const auto answers = answers_to({Position{0, -1}, Position{kRecords, 0}, std::nullopt});
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].high_watermark, kRecords);
  EXPECT_FALSE(answers[1].named);
  EXPECT_FALSE(answers[2].named);
}

// A follower whose leader epoch changed while the answer was under way drops it, and asks again from where it was.
TEST(FetchSession, WhoAsksAgainFromNoFurtherOnHearsTheHighWatermarkAgain) {
  const auto answers = answers_to({Position{kRecords, 0}, std::nullopt, Position{kRecords, 0}, std::nullopt});
  ASSERT_EQ(answers.size(), 4U);
  EXPECT_EQ(answers[0].high_watermark, kRecords);
  EXPECT_FALSE(answers[1].named);
  EXPECT_EQ(answers[2].high_watermark, kRecords);
  EXPECT_FALSE(answers[3].named);
}

// Who is told to truncate takes nothing else from the answer.
TEST(FetchSession, ADivergingAnswerHasNotToldTheHighWatermark) {
  const auto answers = answers_to({Position{kRecords + 2, 0}, Position{kRecords, 0}, std::nullopt});
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_TRUE(answers[0].diverges);
  EXPECT_FALSE(answers[1].diverges);
  EXPECT_EQ(answers[1].high_watermark, kRecords);
  EXPECT_FALSE(answers[2].named);
}

}  // namespace
}  // namespace verdict::broker
