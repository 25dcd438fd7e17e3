#include "protocol/broker/producer_ids.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "protocol/broker/server.h"
#include "protocol/wire/gen/allocate_producer_ids.h"
#include "runtime/asio/asio_runtime.h"

// Ids out of blocks, against a controller whose answers come when the test says so.
namespace verdict::broker {
namespace {

using wire::ErrorCode;

class ProducerIdsTest : public ::testing::Test {
 protected:
  ProducerIdsTest()
      : server(runtime, "TEST", {}, [this](ExchangePtr exchange) { requests.push_back(std::move(exchange)); }) {
    EXPECT_TRUE(server.listen({"127.0.0.1", 0}).has_value());
    server.serve();
    channel = std::make_unique<client::RpcChannel>(runtime, server.local(), client::RpcOptions{.client_id = "test"});
    ids = std::make_unique<ProducerIds>(runtime, *channel, NodeId(3), [] { return BrokerEpoch(7); }, 20s);
  }
  ~ProducerIdsTest() override {
    requests.clear();
    Scope scope(runtime);
    scope.spawn(end());
    EXPECT_TRUE(until([&] { return scope.size() == 0; }));
  }
  Task<void> end() {
    co_await channel->close();
    co_await ids->stop();
    co_await server.stop();
  }
  template <class Done>
  bool until(Done done) {
    const MonoTime limit = runtime.now() + 20s;
    bool is_done = done();
    while (!is_done && runtime.now() < limit) {
      runtime.turn(1ms);
      is_done = done();
    }
    return is_done;
  }
  bool asked(std::size_t times) {
    return until([&] { return requests.size() == times; });
  }
  void answer(const wire::AllocateProducerIdsResponse& response) {
    wire::AllocateProducerIdsRequest request;
    ASSERT_TRUE(requests.back()->decode(request));
    EXPECT_EQ(request.broker_id, 3);
    EXPECT_EQ(request.broker_epoch, 7);
    requests.back()->respond(response);
  }
  // None: to be asked again.
  std::optional<std::int64_t> next() {
    const auto id = ids->next();
    if (id) return *id;
    EXPECT_EQ(id.error(), ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    return std::nullopt;
  }
  bool next_is(std::int64_t wanted) {
    std::optional<std::int64_t> id;
    return until([&] { return (id = next()).has_value(); }) && *id == wanted;
  }
  void settle() {
    const MonoTime end_of_wait = runtime.now() + 20ms;
    while (runtime.now() < end_of_wait) runtime.turn(1ms);
  }

  AsioRuntime runtime{AsioOptions{.log_level = LogLevel::error, .seed = 1}};
  Server server;
  std::vector<ExchangePtr> requests;
  std::unique_ptr<client::RpcChannel> channel;
  std::unique_ptr<ProducerIds> ids;
};

TEST_F(ProducerIdsTest, TheFirstWhoAsksIsToComeBack) {
  EXPECT_EQ(next(), std::nullopt);
  EXPECT_EQ(next(), std::nullopt);
  ASSERT_TRUE(asked(1));
  settle();
  EXPECT_EQ(requests.size(), 1U) << "one request at a time";
  answer({.producer_id_start = 5000, .producer_id_len = 1000});
  EXPECT_TRUE(next_is(5000));
  EXPECT_EQ(next(), 5001);
}

TEST_F(ProducerIdsTest, TheNextBlockIsAskedForWhenATenthIsLeft) {
  EXPECT_EQ(next(), std::nullopt);
  ASSERT_TRUE(asked(1));
  answer({.producer_id_start = 0, .producer_id_len = 20});
  ASSERT_TRUE(next_is(0));
  for (std::int64_t id = 1; id < 17; ++id) EXPECT_EQ(next(), id);
  settle();
  EXPECT_EQ(requests.size(), 1U);
  EXPECT_EQ(next(), 17);
  ASSERT_TRUE(asked(2));
  answer({.producer_id_start = 60, .producer_id_len = 20});
  settle();
  EXPECT_EQ(next(), 18);
  EXPECT_EQ(next(), 19);
  EXPECT_EQ(next(), 60) << "no pause between blocks";
  settle();
  EXPECT_EQ(requests.size(), 2U);
}

TEST_F(ProducerIdsTest, ARefusalIsFollowedByAnotherRequestAfterAPause) {
  EXPECT_EQ(next(), std::nullopt);
  ASSERT_TRUE(asked(1));
  answer({.error_code = static_cast<std::int16_t>(ErrorCode::STALE_BROKER_EPOCH)});
  settle();
  EXPECT_EQ(next(), std::nullopt);
  settle();
  EXPECT_EQ(requests.size(), 1U) << "within 50 ms";
  ASSERT_TRUE(until([&] {
    EXPECT_EQ(next(), std::nullopt);
    return requests.size() == 2;
  }));
  answer({.producer_id_start = 0, .producer_id_len = 10});
  EXPECT_TRUE(next_is(0));
}

TEST_F(ProducerIdsTest, NoIdComesTwice) {
  EXPECT_EQ(next(), std::nullopt);
  ASSERT_TRUE(asked(1));
  answer({.producer_id_start = 100, .producer_id_len = 1});
  ASSERT_TRUE(next_is(100));
  const wire::AllocateProducerIdsResponse bad[] = {{.producer_id_start = 100, .producer_id_len = 10},
                                                   {.producer_id_start = 0, .producer_id_len = 1000},
                                                   {.producer_id_start = -5, .producer_id_len = 1000},
                                                   {.producer_id_start = 200, .producer_id_len = 0},
                                                   {.producer_id_start = INT64_MAX, .producer_id_len = 2}};
  std::size_t times = 1;
  for (const auto& block : bad) {
    ++times;
    ASSERT_TRUE(until([&] {
      EXPECT_EQ(next(), std::nullopt);
      return requests.size() == times;
    }));
    answer(block);
    settle();
    EXPECT_EQ(next(), std::nullopt) << block.producer_id_start;
  }
}

}  // namespace
}  // namespace verdict::broker
