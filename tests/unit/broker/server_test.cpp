#include "protocol/broker/server.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <filesystem>

#include "protocol/broker/api_versions.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/api_versions.h"
#include "protocol/wire/gen/fetch.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/random_message.h"
#include "runtime/asio/asio_runtime.h"
#include "runtime/io.h"
#include "runtime/random.h"

namespace verdict::broker {
namespace {

using Bytes = std::vector<std::byte>;

Bytes request(std::int32_t correlation) {
  return *wire::encode_request(3, correlation, "test",
                               wire::ApiVersionsRequest{.client_software_name = "a", .client_software_version = "1"});
}

Bytes frame_of(std::int32_t size, std::initializer_list<int> body) {
  Bytes bytes(4);
  wire::write_size_prefix(std::span(bytes).first<4>(), size);
  for (const int byte : body) bytes.push_back(static_cast<std::byte>(byte));
  return bytes;
}

class ServerTest : public ::testing::Test {
 protected:
  void begin(ServerLimits limits = {}) {
    server = std::make_unique<Server>(runtime, "TEST", limits,
                                      [this](ExchangePtr exchange) { dispatch(std::move(exchange)); });
    ASSERT_TRUE(server->listen({"127.0.0.1", 0}).has_value());
    server->serve();
  }
  void TearDown() override {
    held.clear();
    if (server != nullptr) run(server->stop());
    server.reset();
    clients.clear();
  }
  // ApiVersions is answered with its correlation id, unless held.
  void dispatch(ExchangePtr exchange) {
    ++dispatched;
    if (on_exchange) {
      on_exchange(exchange);
    } else if (hold) {
      held.push_back(std::move(exchange));
    } else {
      serve_one(*exchange);
    }
  }
  static void serve_one(Exchange& exchange) {
    wire::ApiVersionsRequest decoded;
    if (exchange.api() != wire::ApiKey::ApiVersions || exchange.version() > 4) {
      exchange.close("not served here");
    } else if (exchange.decode(decoded)) {
      exchange.respond(wire::ApiVersionsResponse{.throttle_time_ms = exchange.correlation_id()});
    }
  }

  void run(Task<void> task) {
    Scope scope(runtime);
    scope.spawn(std::move(task));
    const MonoTime end = runtime.now() + 60s;
    while (scope.size() != 0) {
      runtime.turn(1ms);
      VERDICT_ASSERT(runtime.now() < end, "the test hangs");
    }
  }
  template <class Done>
  bool run_until(Done done, Duration limit = 10s) {
    const MonoTime end = runtime.now() + limit;
    while (!done() && runtime.now() < end) runtime.turn(1ms);
    return done();
  }

  std::size_t open() {
    const auto task = [](ServerTest* test, std::unique_ptr<Stream>* into) -> Task<void> {
      const Endpoint to = test->server->local();
      const IoResult connected = co_await connect(test->runtime.network(), to, *into);
      VERDICT_ASSERT(connected.ok());
    };
    clients.emplace_back();
    run(task(this, &clients.back()));
    return clients.size() - 1;
  }
  // Errors are fine: the server may have closed the connection.
  void send(std::size_t client, Bytes bytes) {
    const auto task = [](Stream* stream, Bytes what) -> Task<void> {
      const std::array<ConstBuffer, 1> buffer{ConstBuffer{what.data(), what.size()}};
      co_await write_all(*stream, buffer);
    };
    if (!bytes.empty()) run(task(clients[client].get(), std::move(bytes)));
  }
  // The next frame without its size; empty if the connection ended.
  Bytes receive(std::size_t client) {
    Bytes frame;
    const auto task = [](Stream* stream, Bytes* into) -> Task<void> {
      protocol::FrameReader reader(*stream, 100 << 20);
      auto next = co_await reader.next();
      if (next) *into = std::move(*next);
    };
    run(task(clients[client].get(), &frame));
    return frame;
  }
  static std::int32_t answered(const Bytes& frame) {
    if (frame.size() < 4) return -1;
    return wire::read_size_prefix(std::span<const std::byte, 4>(frame.data(), 4));
  }
  void expect_served(std::size_t client, std::int32_t correlation) {
    send(client, request(correlation));
    EXPECT_EQ(answered(receive(client)), correlation);
  }

  AsioRuntime runtime{AsioOptions{.log_level = LogLevel::error}};
  std::unique_ptr<Server> server;
  std::vector<std::unique_ptr<Stream>> clients;
  std::vector<ExchangePtr> held;
  std::function<void(const ExchangePtr&)> on_exchange;
  std::size_t dispatched = 0;
  bool hold = false;
};

TEST_F(ServerTest, AnswersLeaveInTheOrderOfTheRequests) {
  begin();
  hold = true;
  const std::size_t client = open();
  for (int i = 1; i <= 5; ++i) send(client, request(i));
  ASSERT_TRUE(run_until([&] { return held.size() == 5; }));
  for (const std::size_t i : {4U, 2U, 0U, 3U, 1U}) serve_one(*held[i]);
  // One read may bring all: a reader of its own for each frame would lose what it buffered.
  const auto task = [](Stream* stream) -> Task<void> {
    protocol::FrameReader reader(*stream, 1 << 20);
    for (int i = 1; i <= 5; ++i) {
      auto next = co_await reader.next();
      EXPECT_TRUE(next.has_value());
      if (next) {
        EXPECT_EQ(answered(*next), i);
      }
    }
  };
  run(task(clients[client].get()));
}

TEST_F(ServerTest, AHostileFrameEndsItsOwnConnectionOnly) {
  begin({.max_request_bytes = 1000});
  const std::size_t good = open();
  expect_served(good, 1);
  Bytes unknown_version = request(2);
  unknown_version[6] = std::byte{0x7f};
  unknown_version[4] = std::byte{0};
  unknown_version[5] = std::byte{3};  // Metadata, version 0x7f03
  const std::vector<Bytes> hostile = {
      frame_of(-1, {}),
      frame_of(std::numeric_limits<std::int32_t>::min(), {1, 2, 3}),
      frame_of(1001, {}),
      frame_of(std::numeric_limits<std::int32_t>::max(), {0, 18}),
      frame_of(0, {}),
      frame_of(2, {0, 18}),
      frame_of(4, {0x7f, 0x7f, 0, 0}),
      frame_of(8, {0xff, 0xff, 0, 0, 0, 0, 0, 1}),
      frame_of(10, {0, 18, 0, 3, 0, 0, 0, 1, 0x7f, 0xff}),
      unknown_version,
  };
  for (const Bytes& bytes : hostile) {
    const std::size_t bad = open();
    send(bad, bytes);
    EXPECT_TRUE(receive(bad).empty());
    expect_served(good, 5);
  }
  EXPECT_TRUE(run_until([&] { return server->connections() == 1; }));
}

// As Kafka has it; librdkafka 2.16 sends a byte behind Metadata v13.
TEST_F(ServerTest, BytesBehindARequestAreIgnored) {
  begin();
  const std::size_t client = open();
  Bytes trailing = request(3);
  trailing.push_back(std::byte{1});
  wire::write_size_prefix(std::span(trailing).first<4>(), static_cast<std::int32_t>(trailing.size() - 4));
  send(client, trailing);
  EXPECT_FALSE(receive(client).empty());
  expect_served(client, 4);
}

// KIP-511, KIP-35: in an unknown version the answer is in version 0, and names ApiVersions alone.
TEST_F(ServerTest, ListsApisToThoseWhoAskProperly) {
  begin();
  constexpr std::array kApis{ApiRange{wire::ApiKey::ApiVersions, 0, 4}, ApiRange{wire::ApiKey::Fetch, 4, 18}};
  on_exchange = [&](const ExchangePtr& exchange) {
    wire::ApiVersionsResponse response;
    if (list_apis(*exchange, kApis, response)) exchange->respond(response);
  };
  const std::size_t client = open();
  const auto ask = [&](int answer_version, const Bytes& frame) {
    send(client, frame);
    const Bytes body = receive(client);
    wire::Arena arena;
    wire::ApiVersionsResponse response;
    const auto bytes = std::span(body).subspan(4);
    EXPECT_TRUE(wire::decode_exact(arena, bytes, answer_version, response).has_value());
    return std::pair(response.error_code, response.api_keys.size());
  };
  const auto in_version = [](int version, std::string_view name) {
    return *wire::encode_request(
        version, 1, "test", wire::ApiVersionsRequest{.client_software_name = name, .client_software_version = "1"});
  };
  EXPECT_EQ(ask(3, in_version(3, "a.b-c")), std::pair(std::int16_t{0}, std::size_t{2}));
  EXPECT_EQ(ask(0, in_version(0, "")), std::pair(std::int16_t{0}, std::size_t{2}));
  for (const std::string_view name : {"", "-a", "a b"}) {
    EXPECT_EQ(ask(3, in_version(3, name)),
              std::pair(static_cast<std::int16_t>(wire::ErrorCode::INVALID_REQUEST), std::size_t{0}));
  }
  for (const int version : {0x7fff, 0xffff}) {
    Bytes frame = in_version(3, "a");
    frame[6] = static_cast<std::byte>(version >> 8);
    frame[7] = static_cast<std::byte>(version & 0xff);
    EXPECT_EQ(ask(0, frame),
              std::pair(static_cast<std::int16_t>(wire::ErrorCode::UNSUPPORTED_VERSION), std::size_t{1}));
  }
}

TEST_F(ServerTest, AnEndWithinAFrameIsAnEnd) {
  begin();
  const std::size_t client = open();
  Bytes part = request(1);
  part.resize(part.size() - 3);
  send(client, part);
  clients[client]->shutdown_write();
  EXPECT_TRUE(receive(client).empty());
  EXPECT_EQ(dispatched, 0U);
}

// Valid frames with bytes changed, cut, repeated and split anywhere: the server lives, and serves the next client.
TEST_F(ServerTest, SurvivesMutatedTraffic) {
  begin({.max_request_bytes = 1 << 16, .max_in_flight = 4});
  const std::size_t good = open();
  KeyedRandom random(20261122);
  on_exchange = [](const ExchangePtr& exchange) {
    if (exchange->api() == wire::ApiKey::Metadata && exchange->version() <= 13) {
      wire::MetadataRequest decoded;
      if (exchange->decode(decoded)) exchange->respond(wire::MetadataResponse{});
    } else if (exchange->api() == wire::ApiKey::Fetch) {
      wire::FetchRequest decoded;
      if (exchange->decode(decoded)) exchange->respond(wire::FetchResponse{});
    } else {
      serve_one(*exchange);
    }
  };
  for (int round = 0; round < 400; ++round) {
    const std::size_t bad = open();
    Bytes traffic;
    const std::uint64_t frames = 1 + random.below(3);
    for (std::uint64_t i = 0; i < frames; ++i) {
      wire::MetadataRequest metadata{.topics = std::nullopt};
      wire::FetchRequest fetch;
      const std::uint64_t which = random.below(3);
      const Bytes one = which == 0 ? request(round)
                        : which == 1
                            ? *wire::encode_request(static_cast<int>(1 + random.below(13)), round, "x", metadata)
                            : *wire::encode_request(static_cast<int>(7 + random.below(11)), round, std::nullopt, fetch);
      traffic.insert(traffic.end(), one.begin(), one.end());
    }
    const std::uint64_t changes = random.below(6);
    for (std::uint64_t i = 0; i < changes; ++i) {
      const std::uint64_t at = random.below(traffic.size());
      traffic[at] = static_cast<std::byte>(random.below(256));
    }
    if (random.one_in(4)) {
      const std::uint64_t keep = random.below(traffic.size());
      traffic.resize(keep);
    }
    while (!traffic.empty()) {
      const std::uint64_t size = 1 + random.below(traffic.size());
      const auto middle = traffic.begin() + static_cast<std::ptrdiff_t>(size);
      send(bad, Bytes(traffic.begin(), middle));
      traffic.erase(traffic.begin(), middle);
    }
    clients[bad]->close();
    if (round % 20 == 0) expect_served(good, round);
  }
  expect_served(good, 7);
  EXPECT_TRUE(run_until([&] { return server->connections() == 1; }));
}

TEST_F(ServerTest, RequestsWithoutAnswersAreBounded) {
  begin({.max_in_flight = 4});
  hold = true;
  const std::size_t client = open();
  for (int i = 0; i < 20; ++i) send(client, request(i));
  ASSERT_TRUE(run_until([&] { return held.size() == 4; }));
  EXPECT_FALSE(run_until([&] { return held.size() > 4; }, 50ms));
  for (std::size_t done = 0; done < 20; ++done) {
    ASSERT_TRUE(run_until([&] { return held.size() > done; }));
    EXPECT_LE(held.size(), done + 4);
    serve_one(*held[done]);
  }
  EXPECT_EQ(dispatched, 20U);
}

TEST_F(ServerTest, TooManyConnectionsAreRefused) {
  begin({.max_connections = 2});
  const std::size_t first = open();
  const std::size_t second = open();
  expect_served(first, 1);
  expect_served(second, 2);
  const std::size_t third = open();
  EXPECT_TRUE(receive(third).empty());
  clients[first]->close();
  ASSERT_TRUE(run_until([&] { return server->connections() == 1; }));
  expect_served(open(), 3);
}

TEST_F(ServerTest, SilentAndClosingExchanges) {
  begin();
  int seen = 0;
  on_exchange = [&](const ExchangePtr& exchange) {
    ++seen;
    if (seen == 1) {
      exchange->finish_silently();
    } else if (seen == 3) {
      exchange->close("enough");
    } else {
      serve_one(*exchange);
    }
  };
  const std::size_t client = open();
  for (int i = 1; i <= 4; ++i) send(client, request(i));
  EXPECT_EQ(answered(receive(client)), 2);
  EXPECT_TRUE(receive(client).empty());
}

TEST_F(ServerTest, AnAnswerToAClosedConnectionGoesNowhere) {
  begin();
  hold = true;
  const std::size_t client = open();
  send(client, request(1));
  ASSERT_TRUE(run_until([&] { return held.size() == 1; }));
  clients[client]->close();
  ASSERT_TRUE(run_until([&] { return server->connections() == 0; }));
  EXPECT_FALSE(held[0]->connection_alive());
  serve_one(*held[0]);
  hold = false;
  expect_served(open(), 2);
}

TEST_F(ServerTest, StopWaitsForNobody) {
  begin();
  hold = true;
  const std::size_t client = open();
  send(client, request(1));
  ASSERT_TRUE(run_until([&] { return held.size() == 1; }));
  run(server->stop());
  EXPECT_EQ(server->connections(), 0U);
  EXPECT_TRUE(receive(client).empty());
  serve_one(*held[0]);  // late, and harmless
}

TEST_F(ServerTest, FilePartsStandWhereTheirRecordsBelong) {
  std::string pattern = (std::filesystem::temp_directory_path() / "verdict-server-XXXXXX").string();
  ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
  {
    auto opened = runtime.disk().open(pattern + "/log", OpenMode::create);
    ASSERT_TRUE(opened.has_value());
    const std::shared_ptr<File> file = std::move(*opened);
    Bytes content(300'000);
    for (std::size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 31 >> 3);
    const std::array<ConstBuffer, 1> buffer{ConstBuffer{content.data(), content.size()}};
    ASSERT_TRUE(file->append_now(buffer).has_value());
    begin();
    on_exchange = [&](const ExchangePtr& exchange) {
      std::array<wire::FetchResponse::PartitionData, 3> parts;
      parts[0].records = wire::Records::spliced(0, 1000);
      parts[1].records = wire::Records::of(std::span(content).first(10));
      parts[2].records = wire::Records::spliced(1, 250'000);
      std::array<wire::FetchResponse::FetchableTopicResponse, 1> topics{{{.topic = "t", .partitions = parts}}};
      exchange->respond_with(wire::FetchResponse{.responses = topics}, {{file, 7, 1000}, {file, 50'000, 250'000}});
    };
    const std::size_t client = open();
    send(client, *wire::encode_request(12, 9, "x", wire::FetchRequest{}));
    const auto answer = wire::decode_response<wire::FetchResponse>(12, receive(client));
    ASSERT_TRUE(answer.has_value());
    const auto parts = (*answer)->responses[0].partitions;
    const auto equal = [&](wire::Bytes got, std::size_t from, std::size_t size) {
      return std::ranges::equal(got, std::span(content).subspan(from, size));
    };
    EXPECT_TRUE(equal(parts[0].records.bytes(), 7, 1000));
    EXPECT_TRUE(equal(parts[1].records.bytes(), 0, 10));
    EXPECT_TRUE(equal(parts[2].records.bytes(), 50'000, 250'000));
    // A file that lost its end cannot fill its part: the connection ends and the frame stays incomplete.
    ASSERT_TRUE(file->truncate_now(100'000).has_value());
    send(client, *wire::encode_request(12, 10, "x", wire::FetchRequest{}));
    EXPECT_TRUE(receive(client).empty());
    on_exchange = nullptr;
  }
  std::filesystem::remove_all(pattern);
}

TEST_F(ServerTest, LargeFramesArriveWhole) {
  begin({.max_request_bytes = 5 << 20});
  const std::string name(30'000, 'n');
  std::vector<wire::MetadataRequest::MetadataRequestTopic> topics(100);
  for (auto& topic : topics) topic.name = name;
  std::size_t names = 0;
  on_exchange = [&](const ExchangePtr& exchange) {
    wire::MetadataRequest decoded;
    if (!exchange->decode(decoded)) return;
    for (const auto& topic : *decoded.topics) names += topic.name == name ? 1 : 0;
    exchange->respond(wire::MetadataResponse{});
  };
  const std::size_t client = open();
  send(client, *wire::encode_request(5, 1, "x", wire::MetadataRequest{.topics = topics}));
  EXPECT_EQ(answered(receive(client)), 1);
  EXPECT_EQ(names, 100U);
}

}  // namespace
}  // namespace verdict::broker
