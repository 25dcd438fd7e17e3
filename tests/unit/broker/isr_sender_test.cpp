#include "protocol/broker/isr_sender.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "protocol/broker/exchange.h"
#include "protocol/broker/server.h"
#include "protocol/wire/gen/alter_partition.h"
#include "runtime/asio/asio_runtime.h"

// Proposals and their answers, against a controller whose answers come when the test says so.
namespace verdict::broker {
namespace {

using replication::ProposalId;
using wire::ErrorCode;

const PartitionKey kPartition{.topic = {.high = 1, .low = 2}, .index = 0};

class IsrSenderTest : public ::testing::Test {
 protected:
  IsrSenderTest()
      : server(runtime, "TEST", {}, [this](ExchangePtr exchange) { requests.push_back(std::move(exchange)); }) {
    EXPECT_TRUE(server.listen({"127.0.0.1", 0}).has_value());
    server.serve();
    channel = std::make_unique<client::RpcChannel>(runtime, server.local(), client::RpcOptions{.client_id = "test"});
    sender = std::make_unique<IsrSender>(
        runtime, *channel, NodeId(1), [] { return BrokerEpoch(7); },
        [this](PartitionKey key, ProposalId id, const IsrResult& result) {
          EXPECT_EQ(key, kPartition);
          results.emplace_back(id.value(), result ? result->isr.size() : 0);
          errors.push_back(result ? ErrorCode::NONE : result.error());
        });
    sender->start();
  }
  ~IsrSenderTest() override {
    requests.clear();
    run(end());
  }
  Task<void> end() {
    co_await channel->close();
    co_await sender->stop();
    co_await server.stop();
  }
  void run(Task<void> task) {
    Scope scope(runtime);
    scope.spawn(std::move(task));
    ASSERT_TRUE(until([&] { return scope.size() == 0; }));
  }
  template <class Done>
  bool until(Done done) {
    const MonoTime limit = runtime.now() + 20s;
    while (!done() && runtime.now() < limit) runtime.turn(1ms);
    return done();
  }

  void propose(std::uint64_t id, std::initializer_list<int> members) {
    IsrProposal proposal{
        .id = ProposalId(id), .leader_epoch = LeaderEpoch(3), .partition_epoch = PartitionEpoch(4), .isr = {}};
    for (const int member : members) proposal.isr.emplace_back(NodeId(member), BrokerEpoch(7));
    sender->propose(kPartition, std::move(proposal));
  }
  // The members that the n-th request proposes; the controller takes them as they are.
  std::size_t accept(std::size_t n) {
    wire::AlterPartitionRequest request;
    EXPECT_TRUE(requests[n]->decode(request));
    EXPECT_EQ(request.topics.size(), 1U);
    const auto& asked = request.topics[0].partitions[0];
    std::vector<std::int32_t> isr;
    for (const auto& member : asked.new_isr_with_epochs) isr.push_back(member.broker_id);
    wire::AlterPartitionResponse response;
    wire::AlterPartitionResponse::TopicData topic{.topic_id = request.topics[0].topic_id};
    wire::AlterPartitionResponse::PartitionData data{.partition_index = asked.partition_index,
                                                     .leader_id = 1,
                                                     .leader_epoch = asked.leader_epoch,
                                                     .isr = isr,
                                                     .partition_epoch = asked.partition_epoch + 1};
    topic.partitions = {&data, 1};
    response.topics = {&topic, 1};
    requests[n]->respond(response);
    return isr.size();
  }

  AsioRuntime runtime{AsioOptions{.log_level = LogLevel::error, .seed = 1}};
  Server server;
  std::vector<ExchangePtr> requests;
  std::unique_ptr<client::RpcChannel> channel;
  std::unique_ptr<IsrSender> sender;
  std::vector<std::pair<std::uint64_t, std::size_t>> results;  // proposal, members
  std::vector<ErrorCode> errors;
};

// Metadata may end a proposal whose answer is still under way, and the replica proposes anew. What comes back then is
// the older one's: taken for the newer one's, it would end that one before the controller has decided it (C9).
TEST_F(IsrSenderTest, ALateAnswerNamesTheProposalThatItAnswers) {
  propose(1, {1, 3});
  ASSERT_TRUE(until([&] { return requests.size() == 1; }));
  propose(2, {1, 2, 3});
  EXPECT_EQ(accept(0), 2U);
  ASSERT_TRUE(until([&] { return requests.size() == 2; }));
  EXPECT_EQ(results, (std::vector<std::pair<std::uint64_t, std::size_t>>{{1, 2}}));
  EXPECT_EQ(accept(1), 3U);
  ASSERT_TRUE(until([&] { return results.size() == 2; }));
  EXPECT_EQ(results.back(), (std::pair<std::uint64_t, std::size_t>{2, 3}));
}

// The same for an outcome that nobody knows.
TEST_F(IsrSenderTest, ALostAnswerNamesItsProposal) {
  propose(1, {1, 3});
  ASSERT_TRUE(until([&] { return requests.size() == 1; }));
  propose(2, {1, 2, 3});
  requests[0]->close("lost");
  ASSERT_TRUE(until([&] { return requests.size() == 2; }));
  EXPECT_EQ(results, (std::vector<std::pair<std::uint64_t, std::size_t>>{{1, 0}}));
  EXPECT_EQ(errors, std::vector{ErrorCode::NETWORK_EXCEPTION});
  accept(1);
  ASSERT_TRUE(until([&] { return results.size() == 2; }));
  EXPECT_EQ(results.back(), (std::pair<std::uint64_t, std::size_t>{2, 3}));
}

}  // namespace
}  // namespace verdict::broker
