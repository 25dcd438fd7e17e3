// Each network fault: its effect is seen by a client and a server, and its counter counts changed outcomes only.
#include "tests/unit/sim/machine.h"

namespace verdict::sim::testing {
namespace {

struct Pair : ::testing::Test {
  void set_up(WorldConfig config = {}) {
    world = std::make_unique<World>(config);
    server = world->add_node(node_of("server", echo_server));
    client = world->add_node(node_of("client", echo_client, &saw));
    third = world->add_node(node_of("third"));
    saw.think = 1ms;
  }
  void start() {
    world->start(server);
    world->start(client);
  }
  void warm_up() {
    start();
    world->run_for(1s);
    ASSERT_GT(saw.answered, 100U);
    for (const FaultKind kind : {FaultKind::partition_pair, FaultKind::clog, FaultKind::reset, FaultKind::slow_link}) {
      ASSERT_EQ(count(kind), 0U);
    }
  }
  std::uint64_t count(FaultKind kind) const { return world->counters().of(kind); }
  std::uint64_t answers_in(Duration time) {
    const std::uint64_t before = saw.answered;
    world->run_for(time);
    return saw.answered - before;
  }

  Client saw;
  std::unique_ptr<World> world;
  NodeIndex server, client, third;
};

TEST_F(Pair, MessagesAreCounted) {
  set_up();
  saw.limit = 500;
  start();
  world->run_until([&] { return saw.done; });
  EXPECT_EQ(saw.answered, 500U);
  EXPECT_EQ(world->messages(), 1000U);
}

TEST_F(Pair, LatencyHasATailThatIsCounted) {
  WorldConfig config;
  config.network.latency.tail_one_in = 50;
  set_up(config);
  warm_up();
  EXPECT_GT(count(FaultKind::latency_tail), 0U);
  WorldConfig calm;
  calm.network.latency.tail_one_in = 0;
  set_up(calm);
  saw = {};
  warm_up();
  EXPECT_EQ(count(FaultKind::latency_tail), 0U);
}

TEST_F(Pair, ABlockHoldsAndItsEndLetsGoWithoutLoss) {
  set_up();
  warm_up();
  world->partition_pair(client, server, true);
  answers_in(100ms);
  EXPECT_EQ(answers_in(5s), 0U);
  EXPECT_GT(count(FaultKind::partition_pair), 0U);
  world->partition_pair(client, server, false);
  EXPECT_GT(answers_in(10s), 100U);
  EXPECT_FALSE(saw.done);
  EXPECT_EQ(count(FaultKind::stream_timeout), 0U);
}

TEST_F(Pair, ABlockOfOthersChangesNothing) {
  set_up();
  warm_up();
  world->partition_pair(third, server, true);
  world->clog(third, client);
  EXPECT_GT(answers_in(5s), 100U);
  EXPECT_EQ(count(FaultKind::partition_pair), 0U);
  EXPECT_EQ(count(FaultKind::clog), 0U);
}

TEST_F(Pair, ALongBlockEndsInATimeOutOfTheSender) {
  set_up();
  warm_up();
  world->block(server, client);  // the answer, and the acknowledgement of the request
  EXPECT_EQ(world->run_until([&] { return saw.done; }, world->now() + 60s), RunEnd::stopped);
  EXPECT_EQ(saw.last.error, std::errc::timed_out);
  EXPECT_GT(count(FaultKind::partition_one_way), 0U);
  EXPECT_GT(count(FaultKind::stream_timeout), 0U);
}

TEST_F(Pair, EveryKindOfPartition) {
  set_up();
  warm_up();
  const std::array left{client};
  const std::array right{server, third};
  const auto holds = [&](FaultKind kind, auto&& set) {
    set(true);
    EXPECT_FALSE(world->link_open(client, server) && world->link_open(server, client));
    answers_in(100ms);
    EXPECT_EQ(answers_in(1s), 0U) << name_of(kind);
    EXPECT_GT(count(kind), 0U) << name_of(kind);
    set(false);
    EXPECT_TRUE(world->link_open(client, server));
    EXPECT_GT(answers_in(5s), 0U) << name_of(kind);
  };
  holds(FaultKind::partition_pair, [&](bool on) { world->partition_pair(client, server, on); });
  holds(FaultKind::partition_split, [&](bool on) { world->partition_split(left, right, on); });
  holds(FaultKind::partition_isolate, [&](bool on) { world->isolate(server, on); });
  holds(FaultKind::partition_bridge, [&](bool on) { world->partition_bridge(left, right, third, on); });
  holds(FaultKind::partition_one_way,
        [&](bool on) { on ? world->block(client, server) : world->unblock(client, server); });
  world->partition_bridge(left, right, third, true);
  EXPECT_TRUE(world->link_open(client, third));
  world->isolate(client, true);
  world->heal_network();
  EXPECT_GT(answers_in(5s), 0U);
}

TEST_F(Pair, AClogHoldsUntilItIsReleased) {
  set_up();
  warm_up();
  world->clog(client, server);
  answers_in(100ms);
  EXPECT_EQ(answers_in(1s), 0U);
  EXPECT_EQ(count(FaultKind::clog), 1U);
  world->release(client, server);
  EXPECT_GT(answers_in(100ms), 0U);
}

TEST_F(Pair, ASlowLinkIsSlow) {
  set_up();
  warm_up();
  world->slow_link(client, server, 50ms, 0);
  const std::uint64_t slow = answers_in(5s);
  EXPECT_GT(slow, 50U);
  EXPECT_LT(slow, 110U);
  EXPECT_GE(count(FaultKind::slow_link), slow);
}

TEST_F(Pair, BandwidthDelaysWhatIsLarge) {
  set_up();
  warm_up();
  world->slow_link(client, server, Duration(0), 1);  // a byte a ms: 32 ms a request
  const std::uint64_t slow = answers_in(3200ms);
  EXPECT_GT(slow, 60U);
  EXPECT_LT(slow, 105U);
}

TEST_F(Pair, ARandomPartitionAndASwizzleHoldUntilTheyEnd) {
  set_up();
  warm_up();
  const std::array left{client};
  const std::array right{server, third};
  world->partition_random(left, right, true);
  answers_in(100ms);
  EXPECT_EQ(answers_in(1s), 0U);
  EXPECT_EQ(count(FaultKind::partition_random), 1U);
  world->partition_random(left, right, false);
  EXPECT_GT(answers_in(5s), 0U);
  world->swizzle(server, true);
  world->swizzle(client, true);
  answers_in(100ms);
  world->swizzle(client, false);
  EXPECT_EQ(answers_in(1s), 0U);
  EXPECT_EQ(count(FaultKind::swizzle), 1U);
  EXPECT_EQ(count(FaultKind::clog), 0U);
  world->swizzle(server, false);
  EXPECT_GT(answers_in(100ms), 0U);
}

TEST_F(Pair, ConnectsAreRefusedWhereConnectionsThatStandGoOn) {
  set_up();
  warm_up();
  world->refuse_connects(client, server, true);
  EXPECT_GT(answers_in(1s), 0U);
  EXPECT_EQ(count(FaultKind::refused_connect), 0U);
  world->kill(client);
  saw = {};
  world->start(client);
  world->run_for(1s);
  EXPECT_EQ(saw.connected.error, std::errc::connection_refused);
  EXPECT_EQ(count(FaultKind::refused_connect), 1U);
  world->refuse_connects(client, server, false);
  world->kill(client);
  saw = {};
  world->start(client);
  EXPECT_GT(answers_in(1s), 0U);
}

TEST_F(Pair, ConnectsHangUntilSomebodyAnswers) {
  set_up();
  world->start(server);
  world->hang_connects(client, server, true);
  world->start(client);
  EXPECT_EQ(answers_in(2500ms), 0U);
  EXPECT_FALSE(saw.done);
  EXPECT_EQ(count(FaultKind::hanging_connect), 2U);
  world->hang_connects(client, server, false);
  EXPECT_GT(answers_in(5s), 0U);
}

TEST_F(Pair, AResetIsSeen) {
  set_up();
  warm_up();
  EXPECT_EQ(world->reset_connections(client, third), 0U);
  EXPECT_EQ(count(FaultKind::reset), 0U);
  EXPECT_EQ(world->reset_connections(client, server), 1U);
  EXPECT_EQ(count(FaultKind::reset), 1U);
  world->run_for(1s);
  EXPECT_TRUE(saw.done);
  EXPECT_EQ(saw.last.error, std::errc::connection_reset);
  EXPECT_EQ(world->network().open_connections(), 0U);
}

TEST_F(Pair, NobodyListens) {
  set_up();
  world->start(client);
  world->start(third);
  world->run_for(1s);
  EXPECT_TRUE(saw.done);
  EXPECT_EQ(saw.connected.error, std::errc::connection_refused);
}

TEST_F(Pair, ADarkMachineLeavesAConnectHanging) {
  set_up();
  world->start(server);
  world->power_loss(server, PowerLossPolicy::everything());
  world->start(client);
  world->run_for(2s);
  EXPECT_FALSE(saw.done);
  world->run_for(120s);
  EXPECT_TRUE(saw.done);
  EXPECT_TRUE(saw.connected.error == std::errc::timed_out || saw.connected.error == std::errc::host_unreachable);
}

TEST_F(Pair, AConnectGetsThroughOnceThePartitionEnds) {
  set_up();
  world->start(server);
  world->isolate(server, true);
  world->start(client);
  world->run_for(5s);
  EXPECT_FALSE(saw.connected.ok() && saw.answered != 0);
  EXPECT_GT(count(FaultKind::partition_isolate), 0U);
  world->isolate(server, false);
  EXPECT_GT(answers_in(10s), 0U);
}

TEST_F(Pair, TheKernelOfAKilledProcessClosesItsSockets) {
  set_up();
  warm_up();
  world->kill(server);
  world->run_for(1s);
  EXPECT_TRUE(saw.done);
  EXPECT_TRUE(saw.last.error == std::errc::connection_reset || (saw.last.ok() && saw.last.bytes == 0));
}

TEST_F(Pair, AMachineWithoutPowerSaysNothingUntilItIsBack) {
  set_up();
  warm_up();
  world->power_loss(server, PowerLossPolicy::everything());
  world->run_for(5s);
  EXPECT_FALSE(saw.done);
  EXPECT_EQ(count(FaultKind::half_open), 1U);
  world->start(server);
  world->run_for(5s);
  EXPECT_TRUE(saw.done);
  EXPECT_EQ(saw.last.error, std::errc::connection_reset);
}

struct Rule final : MessageTap {
  FrameDecision decision;
  std::uint64_t nth = 0;
  bool responses = false;
  std::uint64_t seen = 0;
  std::uint64_t delivered = 0;
  std::function<void()> also;
  FrameDecision on_frame(const FrameHead& frame) override {
    if (frame.response != responses || frame.api_key != 3 || ++seen != nth) return {};
    if (also) also();
    return decision;
  }
  void on_delivered(const FrameHead& frame, VirtualTime) override {
    EXPECT_EQ(frame.size, frame.response ? 4U : 28U);
    ++delivered;
  }
};

TEST_F(Pair, MessageRulesHoldDelayAndReset) {
  for (const bool responses : {false, true}) {
    set_up();
    saw = {};
    saw.keep_times = true;
    Rule rule;
    rule.responses = responses;
    rule.nth = 5;
    rule.decision = {FrameAction::hold, {}, 7};
    world->set_tap(&rule);
    start();
    world->run_for(1s);
    EXPECT_EQ(saw.answered, 4U);
    EXPECT_EQ(count(FaultKind::message_hold), 1U);
    rule.nth = 10;
    rule.decision = {FrameAction::delay, 2s, 0};
    world->release_messages(7);
    EXPECT_EQ(answers_in(1900ms), 5U);
    EXPECT_EQ(count(FaultKind::message_delay), 1U);
    rule.nth = rule.seen + 50;
    rule.decision = {FrameAction::reset, {}, 0};
    world->run_for(5s);
    EXPECT_TRUE(saw.done);
    EXPECT_EQ(saw.last.error, std::errc::connection_reset);
    EXPECT_EQ(count(FaultKind::message_reset), 1U);
    EXPECT_EQ(rule.delivered, world->messages());
  }
}

TEST_F(Pair, AKillFromInsideATapIsClean) {
  for (const bool responses : {false, true}) {
    for (const bool other : {false, true}) {
      set_up();
      saw = {};
      Rule rule;
      rule.responses = responses;
      rule.nth = 5;
      rule.also = [&] { world->kill(responses == other ? client : server); };
      world->set_tap(&rule);
      start();
      world->run_for(30s);
      EXPECT_EQ(saw.answered, 4U);
      EXPECT_EQ(count(FaultKind::kill), 1U);
    }
  }
}

// ---- back-pressure, order, completeness under every kind of trouble ----

struct Bulk {
  std::size_t total = 3'000'000;
  std::size_t received = 0;
  std::size_t largest_lead = 0;
  std::size_t sent = 0;
  bool wrong = false;
};

std::byte byte_at(std::size_t i) { return static_cast<std::byte>(mix64(i / 8) >> (i % 8 * 8)); }

Task<void> bulk_sender(Runtime* runtime, void* context) {
  Bulk* bulk = static_cast<Bulk*>(context);
  std::unique_ptr<Stream> stream;
  const Endpoint to{"server", 9000};
  const IoResult connected = co_await connect(runtime->network(), to, stream);
  VERDICT_ASSERT(connected.ok());
  std::vector<std::byte> block(100'000);
  while (bulk->sent < bulk->total) {
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = byte_at(bulk->sent + i);
    const std::array parts{ConstBuffer{block.data(), 1000}, ConstBuffer{block.data() + 1000, block.size() - 1000}};
    const IoResult wrote = co_await write_all(*stream, parts);
    VERDICT_ASSERT(wrote.ok() && wrote.bytes == block.size());
    bulk->sent += wrote.bytes;
    bulk->largest_lead = std::max(bulk->largest_lead, bulk->sent - bulk->received);
  }
  stream->shutdown_write();
  std::byte end{};
  const IoResult last = co_await read_some(*stream, {&end, 1});
  VERDICT_ASSERT(last.ok() && last.bytes == 0);
}

Task<void> bulk_receiver(Runtime* runtime, void* context) {
  Bulk* bulk = static_cast<Bulk*>(context);
  Outcome<std::unique_ptr<Listener>> listener = runtime->network().listen({"", 9000}, 1);
  std::unique_ptr<Stream> stream;
  const IoResult accepted = co_await accept(**listener, stream);
  VERDICT_ASSERT(accepted.ok());
  std::vector<std::byte> into(5000);
  for (;;) {
    const IoResult got = co_await read_some(*stream, into);
    if (!got.ok() || got.bytes == 0) co_return;
    for (std::size_t i = 0; i < got.bytes; ++i) bulk->wrong |= into[i] != byte_at(bulk->received + i);
    bulk->received += got.bytes;
    co_await sleep_until(*runtime, runtime->now() + 50us);
  }
}

TEST(Bulk, AStreamLosesAndRepeatsNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    Bulk bulk;
    World world({.seed = seed});
    const NodeIndex server = world.add_node(node_of("server", bulk_receiver, &bulk));
    const NodeIndex client = world.add_node(node_of("client", bulk_sender, &bulk));
    world.start(server);
    world.start(client);
    for (int i = 1; i < 20; ++i) {
      world.after(Duration(5ms) * i, [&world, client, server, i] {
        if (i % 3 == 0) world.partition_pair(client, server, i % 2 == 0);
        if (i % 3 == 1) i % 2 == 0 ? world.clog(client, server) : world.release(client, server);
        if (i % 3 == 2) i % 2 == 0 ? world.pause(server) : world.resume(server);
      });
    }
    world.after(200ms, [&world, server] { world.heal_network(), world.resume(server); });
    world.run_for(60s);
    EXPECT_EQ(bulk.received, bulk.total);
    EXPECT_FALSE(bulk.wrong);
    EXPECT_LT(bulk.largest_lead, 700'000U);
    EXPECT_EQ(world.network().open_connections(), 0U);
  }
}

}  // namespace
}  // namespace verdict::sim::testing
