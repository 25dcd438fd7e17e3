#include <algorithm>

#include "tests/unit/client/harness.h"

namespace verdict::client::testing {
namespace {

class ProducerTest : public ProducingTest {
 protected:
  // One record with a hook in force; its outcome.
  DeliveryReport one(ProducerOptions how, ErrorCode error) {
    begin(how);
    cluster->on_produce = [error](int, const std::string&, int) { return error; };
    EXPECT_TRUE(send(*producer, "t", 0, "v", 1));
    EXPECT_TRUE(settled(1));
    return outcomes.reports[1];
  }
};

const ProducerOptions kOnce{.retries = 0};

TEST_F(ProducerTest, OffsetsAreThoseOfTheRecords) {
  for (const storage::Codec codec : {storage::Codec::none, storage::Codec::lz4, storage::Codec::zstd}) {
    outcomes.reports.clear();
    outcomes.finished.clear();
    begin({.linger = 2ms, .codec = codec}, 2, 3);
    std::vector<std::vector<std::string>> sent(3);
    for (std::uint64_t i = 0; i < 3000; ++i) {
      sent[i % 3].push_back("value-" + std::to_string(i));
      ASSERT_TRUE(send(*producer, "t", static_cast<std::int32_t>(i % 3), sent[i % 3].back(), i));
    }
    ASSERT_TRUE(settled(3000));
    for (std::size_t p = 0; p < 3; ++p) EXPECT_EQ(values(p), sent[p]);
    for (const auto& [token, report] : outcomes.reports) {
      EXPECT_EQ(report.delivery, Delivery::acknowledged);
      EXPECT_EQ(report.offset, Offset(static_cast<std::int64_t>(token / 3)));
    }
    EXPECT_LT(producer->stats().requests, 100U) << "records go in batches";
    EXPECT_EQ(producer->buffered_bytes(), 0U);
    TearDown();
  }
}

TEST_F(ProducerTest, RoundRobinNeedsThePartitionsFirst) {
  begin({}, 1, 4);
  EXPECT_FALSE(send(*producer, "t", kAnyPartition, "early", 0));
  const auto learn = [](Producer* producer, MonoTime deadline) -> Task<void> {
    const std::int32_t count = co_await producer->partitions("t", deadline);
    EXPECT_EQ(count, 4);
  };
  run(learn(producer.get(), in(5s)));
  for (std::uint64_t i = 0; i < 8; ++i) ASSERT_TRUE(send(*producer, "t", kAnyPartition, "v", i));
  ASSERT_TRUE(settled(8));
  for (std::size_t p = 0; p < 4; ++p) EXPECT_EQ(cluster->partition("t", p).end(), Offset(2));
}

TEST_F(ProducerTest, RefusedBeforeTheAppendIsFailed) {
  const DeliveryReport report = one(kOnce, ErrorCode::NOT_ENOUGH_REPLICAS);
  EXPECT_EQ(report.delivery, Delivery::failed);
  EXPECT_EQ(report.error, ErrorCode::NOT_ENOUGH_REPLICAS);
  EXPECT_EQ(report.offset, kNoOffset);
}
TEST_F(ProducerTest, TooLargeIsFailedWithoutRetry) {
  EXPECT_EQ(one({}, ErrorCode::MESSAGE_TOO_LARGE).delivery, Delivery::failed);
  EXPECT_EQ(outcomes.attempts[1].size(), 1U);
}
TEST_F(ProducerTest, TimedOutIsUnknown) {
  EXPECT_EQ(one(kOnce, ErrorCode::REQUEST_TIMED_OUT).delivery, Delivery::unknown);
}
TEST_F(ProducerTest, AfterAppendIsUnknown) {
  EXPECT_EQ(one(kOnce, ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND).delivery, Delivery::unknown);
}
TEST_F(ProducerTest, NotLeaderIsUnknown) {
  EXPECT_EQ(one(kOnce, ErrorCode::NOT_LEADER_OR_FOLLOWER).delivery, Delivery::unknown);
}
TEST_F(ProducerTest, StorageErrorIsUnknown) {
  EXPECT_EQ(one(kOnce, ErrorCode::KAFKA_STORAGE_ERROR).delivery, Delivery::unknown);
}
TEST_F(ProducerTest, ServerErrorIsUnknownAndFinal) {
  EXPECT_EQ(one({}, ErrorCode::UNKNOWN_SERVER_ERROR).delivery, Delivery::unknown);
  EXPECT_EQ(outcomes.attempts[1].size(), 1U);
}

TEST_F(ProducerTest, FaultsAfterTheSendAreUnknown) {
  for (const Verdict verdict :
       {Verdict::drop_before, Verdict::drop_after, Verdict::ignore, Verdict::garbage, Verdict::wrong_id}) {
    outcomes = {};
    begin(kOnce);
    cluster->on_request = [verdict](int, wire::ApiKey api) {
      return api == wire::ApiKey::Produce ? verdict : Verdict::serve;
    };
    ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
    ASSERT_TRUE(settled(1));
    EXPECT_EQ(outcomes.reports[1].delivery, Delivery::unknown) << static_cast<int>(verdict);
    EXPECT_EQ(cluster->partition("t").log.size(),
              verdict == Verdict::drop_before || verdict == Verdict::ignore ? 0U : 1U);
    TearDown();
  }
}

TEST_F(ProducerTest, NobodyThereIsFailed) {
  begin({.retries = 0, .delivery_timeout = 300ms});
  cluster->close_listener(0);
  ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
  ASSERT_TRUE(settled(1));
  EXPECT_EQ(outcomes.reports[1].delivery, Delivery::failed);
  EXPECT_TRUE(outcomes.attempts.empty());
}

TEST_F(ProducerTest, FailedOnlyIfEveryAttemptWas) {
  begin({.delivery_timeout = 200ms});
  cluster->on_produce = [](int, const std::string&, int) { return ErrorCode::NOT_ENOUGH_REPLICAS; };
  ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
  ASSERT_TRUE(settled(1));
  EXPECT_EQ(outcomes.reports[1].delivery, Delivery::failed);
  EXPECT_GT(outcomes.attempts[1].size(), 2U);
  int asked = 0;
  cluster->on_request = [&asked](int, wire::ApiKey api) {
    return api == wire::ApiKey::Produce && asked++ == 0 ? Verdict::drop_before : Verdict::serve;
  };
  ASSERT_TRUE(send(*producer, "t", 0, "v", 2));
  ASSERT_TRUE(settled(2));
  EXPECT_EQ(outcomes.reports[2].delivery, Delivery::unknown);
  EXPECT_EQ(outcomes.reports[2].error, ErrorCode::NOT_ENOUGH_REPLICAS);
  EXPECT_GT(outcomes.attempts[2].size(), 2U);
}

TEST_F(ProducerTest, FollowsTheLeader) {
  begin({}, 3);
  ASSERT_TRUE(send(*producer, "t", 0, "a", 1));
  ASSERT_TRUE(settled(1));
  cluster->partition("t").leader = 2;
  cluster->partition("t").epoch = LeaderEpoch(2);
  ASSERT_TRUE(send(*producer, "t", 0, "b", 2));
  ASSERT_TRUE(settled(2));
  EXPECT_EQ(outcomes.reports[2].delivery, Delivery::acknowledged);
  EXPECT_EQ(outcomes.reports[2].offset, Offset(1));
  EXPECT_EQ(outcomes.attempts[2], (std::vector<int>{0, 1}));
}

TEST_F(ProducerTest, InFlightIsBounded) {
  for (const int limit : {1, 3, 5}) {
    outcomes = {};
    begin({.batch_bytes = 100, .max_in_flight = limit});
    cluster->answer_delay = 3ms;
    for (std::uint64_t i = 0; i < 60; ++i)
      ASSERT_TRUE(send(*producer, "t", 0, std::string(80, 'x') + std::to_string(i), i));
    ASSERT_TRUE(settled(60));
    EXPECT_EQ(cluster->most_produces_waiting, limit);
    for (std::uint64_t i = 0; i < 60; ++i) EXPECT_EQ(outcomes.reports[i].offset, Offset(static_cast<std::int64_t>(i)));
    TearDown();
  }
}

TEST_F(ProducerTest, OneInFlightKeepsOrderThroughRetries) {
  begin({.batch_bytes = 100, .max_in_flight = 1}, 2);
  int asked = 0;
  cluster->on_produce = [&](int, const std::string&, int) {
    if (++asked % 3 == 0) return ErrorCode::NOT_ENOUGH_REPLICAS;
    if (asked == 10) {
      cluster->partition("t").leader = 1;
      cluster->partition("t").epoch = LeaderEpoch(2);
      return ErrorCode::NOT_LEADER_OR_FOLLOWER;
    }
    return ErrorCode::NONE;
  };
  for (std::uint64_t i = 0; i < 30; ++i)
    ASSERT_TRUE(send(*producer, "t", 0, std::string(80, 'x') + std::to_string(i), i));
  ASSERT_TRUE(settled(30));
  for (std::uint64_t i = 0; i < 30; ++i) EXPECT_EQ(outcomes.reports[i].offset, Offset(static_cast<std::int64_t>(i)));
}

TEST_F(ProducerTest, AcksZeroHasNoOffset) {
  begin({.acks = 0});
  for (std::uint64_t i = 0; i < 10; ++i) ASSERT_TRUE(send(*producer, "t", 0, "v", i));
  ASSERT_TRUE(settled(10));
  EXPECT_EQ(outcomes.reports[3].delivery, Delivery::acknowledged);
  EXPECT_EQ(outcomes.reports[3].offset, kNoOffset);
  EXPECT_TRUE(run_until([&] { return cluster->partition("t").end() == Offset(10); }));
}

// A refusal is a closed connection: the leader is looked for before anything else is sent.
TEST_F(ProducerTest, AcksZeroFindsTheNewLeader) {
  begin({.acks = 0}, 2);
  FakePartition& partition = cluster->partition("t");
  ASSERT_TRUE(send(*producer, "t", 0, "before", 1));
  ASSERT_TRUE(run_until([&] { return partition.end() == Offset(1); }));
  partition.leader = 1;
  partition.epoch = LeaderEpoch(2);
  ASSERT_TRUE(send(*producer, "t", 0, "lost", 2));
  const std::uint64_t known = producer->metadata().generation();
  ASSERT_TRUE(run_until([&] { return producer->metadata().generation() != known; })) << "without another record";
  for (std::uint64_t i = 3; i < 8; ++i) {
    ASSERT_TRUE(send(*producer, "t", 0, "after", i));
    ASSERT_TRUE(settled(i));
  }
  EXPECT_TRUE(run_until([&] { return partition.end() == Offset(6); }));
  const auto to_old = std::ranges::count(cluster->requests, std::pair(0, wire::ApiKey::Produce));
  EXPECT_EQ(to_old, 2) << "before and lost";
}

TEST_F(ProducerTest, TheBufferIsBounded) {
  begin({.linger = 10s, .buffer_bytes = 1000});
  std::uint64_t taken = 0;
  while (send(*producer, "t", 0, std::string(84, 'x'), taken)) ++taken;
  EXPECT_EQ(taken, 10U);
  producer->flush_now();
  ASSERT_TRUE(settled(10));
  EXPECT_TRUE(send(*producer, "t", 0, "v", taken));
  run(producer->close());
  EXPECT_EQ(outcomes.reports[taken].delivery, Delivery::failed) << "never sent";
  EXPECT_FALSE(send(*producer, "t", 0, "v", 99));
}

TEST_F(ProducerTest, CloseReportsWhatIsInFlightAsUnknown) {
  begin({});
  cluster->on_request = [](int, wire::ApiKey api) {
    return api == wire::ApiKey::Produce ? Verdict::ignore : Verdict::serve;
  };
  ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
  ASSERT_TRUE(run_until([&] { return cluster->versions.contains(wire::ApiKey::Produce); }));
  run(producer->close());
  EXPECT_EQ(outcomes.reports[1].delivery, Delivery::unknown);
}

TEST_F(ProducerTest, SpeaksWithOldBrokers) {
  using wire::ApiKey;
  begin({});
  cluster->served[ApiKey::ApiVersions] = {0, 2};  // asked in 4: answers 35 in v0
  cluster->served[ApiKey::Produce] = {0, 7};
  cluster->served[ApiKey::Metadata] = {0, 4};
  ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
  ASSERT_TRUE(settled(1));
  EXPECT_EQ(outcomes.reports[1].delivery, Delivery::acknowledged);
  EXPECT_EQ(cluster->versions[ApiKey::ApiVersions], 2);
  EXPECT_EQ(cluster->versions[ApiKey::Produce], 7);
  EXPECT_EQ(cluster->versions[ApiKey::Metadata], 4);
}

TEST_F(ProducerTest, NoCommonVersionIsFailed) {
  begin({});
  cluster->served[wire::ApiKey::Produce] = {14, 20};
  ASSERT_TRUE(send(*producer, "t", 0, "v", 1));
  ASSERT_TRUE(settled(1));
  EXPECT_EQ(outcomes.reports[1].delivery, Delivery::failed);
  EXPECT_EQ(outcomes.reports[1].error, ErrorCode::UNSUPPORTED_VERSION);
}

TEST_F(ProducerTest, AReportMaySendAgain) {
  struct Chain final : DeliverySink {
    void delivered(std::uint64_t token, const DeliveryReport&) override {
      last = token;
      if (token < 50) producer->send("t", 0, {}, token + 1);
    }
    Producer* producer = nullptr;
    std::uint64_t last = 0;
  } chain;
  start();
  cluster->add_topic("t", 1);
  Producer looping(runtime, options(), {}, chain);
  chain.producer = &looping;
  ASSERT_TRUE(looping.send("t", 0, {}, 1));
  EXPECT_TRUE(run_until([&] { return chain.last == 50; }));
  run(looping.close());
}

}  // namespace
}  // namespace verdict::client::testing
