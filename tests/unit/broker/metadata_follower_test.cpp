#include "protocol/broker/metadata_follower.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "protocol/broker/exchange.h"
#include "protocol/broker/server.h"
#include "protocol/metadata_records.h"
#include "protocol/wire/gen/fetch.h"
#include "runtime/asio/asio_runtime.h"
#include "storage/batch_builder.h"

// What is published when, against a controller whose answers hold what the test says.
namespace verdict::broker {
namespace {

namespace records = protocol::records;

const Uuid kTopic{.high = 1, .low = 2};
const PartitionKey kPartition{.topic = kTopic, .index = 0};

// A topic whose leader shrinks the ISR to itself, takes the others in again, and is deposed: each batch one record.
std::vector<std::byte> batch_at(std::int64_t offset) {
  const std::vector<protocol::MetadataRecord> log = {
      records::Topic{.name = "orders", .id = kTopic},
      records::Partition{.key = kPartition,
                         .replicas = {NodeId(1), NodeId(2)},
                         .isr = {NodeId(1), NodeId(2)},
                         .leader = NodeId(1),
                         .leader_epoch = LeaderEpoch(0),
                         .partition_epoch = PartitionEpoch(0),
                         .directories = {Uuid{.high = 3, .low = 1}, Uuid{.high = 3, .low = 2}}},
      records::PartitionChange{.key = kPartition, .isr = NodeIds{NodeId(1)}},
      records::PartitionChange{.key = kPartition, .isr = NodeIds{NodeId(1), NodeId(2)}},
      records::PartitionChange{.key = kPartition, .isr = NodeIds{NodeId(2)}, .leader = NodeId(2)},
  };
  storage::BatchBuilder builder({.base_offset = Offset(offset), .leader_epoch = LeaderEpoch(1)});
  const std::vector<std::byte> value = protocol::encode_record(log.at(static_cast<std::size_t>(offset)));
  builder.add(0, std::nullopt, storage::Bytes(value));
  storage::Compressor compressor;
  const auto batch = builder.finish(compressor);
  return {batch.begin(), batch.end()};
}

class MetadataFollowerTest : public ::testing::Test {
 protected:
  MetadataFollowerTest()
      : server(runtime, "TEST", {}, [this](ExchangePtr exchange) { requests.push_back(std::move(exchange)); }) {
    EXPECT_TRUE(server.listen({"127.0.0.1", 0}).has_value());
    server.serve();
    follower = std::make_unique<MetadataFollower>(
        runtime, server.local(), NodeId(1), [] { return BrokerEpoch(7); },
        [this](const protocol::MetadataDelta* delta) { return publish(delta); }, nullptr);
    follower->start();
  }
  ~MetadataFollowerTest() override {
    requests.clear();
    Scope scope(runtime);
    scope.spawn(end());
    EXPECT_TRUE(until([&] { return scope.size() == 0; }));
  }
  Task<void> end() {
    co_await follower->stop();
    co_await server.stop();
  }
  // As the node would see it: who leads, and the ISR.
  Task<void> publish(const protocol::MetadataDelta* delta) {
    EXPECT_FALSE(delta->empty());
    const protocol::PartitionRegistration* partition = follower->image().partition(kPartition);
    published.push_back(
        partition == nullptr ? "nothing" : fmt::format("{} of {}", partition->leader.value(), partition->isr.size()));
    co_return;
  }
  template <class Done>
  bool until(Done done) {
    const MonoTime limit = runtime.now() + 20s;
    while (!done() && runtime.now() < limit) runtime.turn(1ms);
    return done();
  }
  // Answers the next fetch with the batches [from, to).
  void answer(std::int64_t from, std::int64_t to, std::int64_t high_watermark) {
    const std::size_t n = answered++;
    ASSERT_TRUE(until([&] { return requests.size() > n; }));
    wire::FetchRequest request;
    ASSERT_TRUE(requests[n]->decode(request));
    ASSERT_EQ(request.topics[0].partitions[0].fetch_offset, from);
    std::vector<std::byte> bytes;
    for (std::int64_t at = from; at < to; ++at) {
      const std::vector<std::byte> batch = batch_at(at);
      bytes.insert(bytes.end(), batch.begin(), batch.end());
    }
    wire::FetchResponse response;
    wire::FetchResponse::PartitionData data{.high_watermark = high_watermark, .log_start_offset = 0};
    data.records = wire::Records::of(bytes);
    wire::FetchResponse::FetchableTopicResponse topic{.topic_id = kMetadataTopicId, .partitions = {&data, 1}};
    response.responses = {&topic, 1};
    requests[n]->respond(response);
    ASSERT_TRUE(until([&] { return requests.size() > answered; }));  // it has been applied: the next fetch is there
  }

  AsioRuntime runtime{AsioOptions{.log_level = LogLevel::error, .seed = 1}};
  Server server;
  std::vector<ExchangePtr> requests;
  std::size_t answered = 0;
  std::unique_ptr<MetadataFollower> follower;
  std::vector<std::string> published;
};

// The past that a starting broker reads is not to be acted on: in it, this one leads, and alone.
TEST_F(MetadataFollowerTest, AStartPublishesNothingBeforeItHasAllThatIsCommitted) {
  answer(0, 2, 5);
  answer(2, 3, 5);
  EXPECT_TRUE(published.empty()) << published.front();
  EXPECT_EQ(follower->published_end(), Offset(0));
  answer(3, 5, 5);
  EXPECT_EQ(published, std::vector<std::string>{"2 of 1"});
  EXPECT_EQ(follower->published_end(), Offset(5));
}

// How far it goes is what the newest answer says.
TEST_F(MetadataFollowerTest, WhatIsCommittedDuringTheStartCounts) {
  answer(0, 2, 3);
  answer(2, 3, 4);
  EXPECT_TRUE(published.empty()) << published.front();
  answer(3, 4, 4);
  EXPECT_EQ(published, std::vector<std::string>{"1 of 2"});
}

TEST_F(MetadataFollowerTest, AnEmptyLogIsNoStart) {
  answer(0, 0, 0);
  EXPECT_TRUE(published.empty());
  answer(0, 2, 3);
  EXPECT_TRUE(published.empty()) << published.front();
  answer(2, 3, 3);
  EXPECT_EQ(published, std::vector<std::string>{"1 of 1"});
}

// Once it is there, each answer is news, however much more there is.
TEST_F(MetadataFollowerTest, LaterItPublishesWhatItGets) {
  answer(0, 2, 2);
  answer(2, 3, 5);
  answer(3, 4, 5);
  answer(4, 5, 5);
  EXPECT_EQ(published, (std::vector<std::string>{"1 of 2", "1 of 1", "1 of 2", "2 of 1"}));
}

}  // namespace
}  // namespace verdict::broker
