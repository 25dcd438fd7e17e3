// What every Network and Stream does.
#include <array>
#include <string>
#include <vector>

#include "runtime/io.h"
#include "tests/unit/runtime/world.h"

namespace verdict::conformance {
namespace {

std::string pattern(std::size_t size, unsigned seed) {
  std::string text(size, '\0');
  unsigned state = seed * 2654435761U + 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

ConstBuffer buffer_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

constexpr std::size_t kAll = ~std::size_t{0};

Task<void> do_accept(Listener* listener, std::unique_ptr<Stream>* into, IoResult* result) {
  *result = co_await accept(*listener, *into);
}

Task<void> do_connect(Runtime* runtime, Endpoint to, std::unique_ptr<Stream>* into, IoResult* result) {
  *result = co_await connect(runtime->network(), to, *into);
}

Task<void> send(Stream* stream, std::string text, IoResult* result) {
  const ConstBuffer buffer = buffer_of(text);
  *result = co_await write_all(*stream, {&buffer, 1});
}

// Reads until the end, an error or `limit` bytes; `step` bytes at most a read, with a pause after each.
Task<void> receive(Runtime* runtime, Stream* stream, std::size_t step, Duration pause, std::size_t limit,
                   Received* out) {
  std::vector<std::byte> into(step);
  while (out->text.size() < limit) {
    const IoResult got = co_await read_some(*stream, std::span(into).first(std::min(step, limit - out->text.size())));
    out->last = got;
    if (!got.ok() || got.bytes == 0) co_return;
    VERDICT_ASSERT(got.bytes <= step);
    ++out->reads;
    out->text.append(reinterpret_cast<const char*>(into.data()), got.bytes);
    if (pause > Duration::zero()) co_await sleep_until(*runtime, runtime->now() + pause);
  }
}

// An operation started by hand, as the drivers of the seam see it.
struct Manual : Op {
  int fired = 0;
  Manual() {
    complete = [](Op* op) { ++static_cast<Manual*>(op)->fired; };
  }
};

}  // namespace

std::unique_ptr<Listener> StreamConformance::listen() {
  auto listener = node(0).network().listen({world_->host(0), 0}, 16);
  VERDICT_ASSERT(listener.has_value());
  return std::move(*listener);
}

StreamPair StreamConformance::connected() {
  StreamPair pair;
  pair.listener = listen();
  Scope servers(node(0));
  Scope clients(node(1));
  IoResult accepted;
  IoResult made;
  servers.spawn(do_accept(pair.listener.get(), &pair.server, &accepted));
  clients.spawn(do_connect(&node(1), address(*pair.listener), &pair.client, &made));
  run(servers);
  run(clients);
  VERDICT_ASSERT(accepted.ok() && made.ok() && pair.server != nullptr && pair.client != nullptr);
  return pair;
}

IoResult StreamConformance::send_now(int at, Stream& stream, const std::string& text) {
  Scope scope(node(at));
  IoResult result;
  scope.spawn(send(&stream, text, &result));
  run(scope);
  return result;
}

Received StreamConformance::receive_now(int at, Stream& stream, std::size_t limit) {
  Scope scope(node(at));
  Received out;
  scope.spawn(receive(&node(at), &stream, 64 * 1024, Duration::zero(), limit, &out));
  run(scope);
  return out;
}

TEST_P(StreamConformance, ListensOnAPortOfItsOwnChoice) {
  auto listener = listen();
  EXPECT_NE(listener->local().port, 0);
  const auto same = node(0).network().listen({world_->host(0), listener->local().port}, 16);
  ASSERT_FALSE(same.has_value());
  EXPECT_EQ(same.error(), std::errc::address_in_use);
  const Endpoint at = listener->local();
  listener.reset();
  EXPECT_TRUE(node(0).network().listen({world_->host(0), at.port}, 16).has_value());
}

TEST_P(StreamConformance, CarriesBytesBothWaysAndEndsInOrder) {
  StreamPair pair = connected();
  EXPECT_FALSE(pair.client->peer().empty());
  EXPECT_NE(pair.client->peer().find(':'), std::string::npos);
  EXPECT_EQ(send_now(1, *pair.client, "ping").bytes, 4u);
  EXPECT_EQ(receive_now(0, *pair.server, 4).text, "ping");
  EXPECT_TRUE(send_now(0, *pair.server, "pong!").ok());
  EXPECT_TRUE(send_now(0, *pair.server, "").ok());
  pair.server->close();
  const Received got = receive_now(1, *pair.client);
  EXPECT_EQ(got.text, "pong!");
  EXPECT_TRUE(got.last.ok());
  EXPECT_EQ(got.last.bytes, 0u);
  // The end is reported again and again.
  EXPECT_EQ(receive_now(1, *pair.client).last.bytes, 0u);
}

TEST_P(StreamConformance, GathersBuffersInTheirOrder) {
  StreamPair pair = connected();
  std::vector<std::string> parts;
  std::string expected;
  for (unsigned i = 0; i < 64; ++i) {
    parts.push_back(pattern(i % 5 == 0 ? 0 : i * 37, i));
    expected += parts.back();
  }
  const auto gather = [](Stream* stream, const std::vector<std::string>* texts, IoResult* result) -> Task<void> {
    std::vector<ConstBuffer> buffers;
    for (const std::string& text : *texts) buffers.push_back(buffer_of(text));
    *result = co_await write_all(*stream, buffers);
  };
  Scope scope(node(1));
  IoResult result;
  scope.spawn(gather(pair.client.get(), &parts, &result));
  run(scope);
  EXPECT_TRUE(result.ok());
  EXPECT_EQ(result.bytes, expected.size());
  EXPECT_TRUE(receive_now(0, *pair.server, expected.size()).text == expected);
}

TEST_P(StreamConformance, ASlowReaderHoldsTheWriterBack) {
  StreamPair pair = connected();
  const std::string data = pattern(24'000'000, 3);
  Scope writer(node(1));
  IoResult written;
  writer.spawn(send(pair.client.get(), data, &written));
  // Nobody reads: the write can't end, whatever the buffers of a socket hold.
  pass(30ms);
  ASSERT_EQ(writer.size(), 1u);
  Scope reader(node(0));
  Received got;
  reader.spawn(receive(&node(0), pair.server.get(), 300'000, 50us, data.size(), &got));
  run(reader, 60s);
  run(writer);
  EXPECT_TRUE(written.ok());
  EXPECT_EQ(written.bytes, data.size());
  EXPECT_TRUE(got.text == data);
  EXPECT_GE(got.reads, data.size() / 300'000);
}

TEST_P(StreamConformance, ManyGatheredBuffersSurviveBackPressure) {
  StreamPair pair = connected();
  std::vector<std::string> parts;
  std::string expected;
  for (unsigned i = 0; i < 64; ++i) {
    parts.push_back(pattern(150'000 + i * 1001, i));
    expected += parts.back();
  }
  const auto gather = [](Stream* stream, const std::vector<std::string>* texts, IoResult* result) -> Task<void> {
    std::vector<ConstBuffer> buffers;
    for (const std::string& text : *texts) buffers.push_back(buffer_of(text));
    *result = co_await write_all(*stream, buffers);
  };
  Scope writer(node(1));
  IoResult result;
  writer.spawn(gather(pair.client.get(), &parts, &result));
  pass(10ms);
  EXPECT_EQ(writer.size(), 1u);
  Scope reader(node(0));
  Received got;
  reader.spawn(receive(&node(0), pair.server.get(), 77'777, Duration::zero(), expected.size(), &got));
  run(reader, 60s);
  run(writer);
  EXPECT_EQ(result.bytes, expected.size());
  EXPECT_TRUE(got.text == expected);
}

TEST_P(StreamConformance, BothDirectionsFlowAtOnce) {
  StreamPair pair = connected();
  const std::string up = pattern(5'000'000, 4);
  const std::string down = pattern(5'000'000, 5);
  Scope server(node(0));
  Scope client(node(1));
  IoResult up_result;
  IoResult down_result;
  Received at_server;
  Received at_client;
  client.spawn(send(pair.client.get(), up, &up_result));
  server.spawn(send(pair.server.get(), down, &down_result));
  server.spawn(receive(&node(0), pair.server.get(), 65'536, Duration::zero(), up.size(), &at_server));
  client.spawn(receive(&node(1), pair.client.get(), 10'000, Duration::zero(), down.size(), &at_client));
  run(server, 60s);
  run(client, 60s);
  EXPECT_TRUE(at_server.text == up);
  EXPECT_TRUE(at_client.text == down);
}

TEST_P(StreamConformance, HalfCloseLeavesTheOtherDirectionOpen) {
  StreamPair pair = connected();
  ASSERT_TRUE(send_now(1, *pair.client, "request").ok());
  pair.client->shutdown_write();
  const Received request = receive_now(0, *pair.server);
  EXPECT_EQ(request.text, "request");
  EXPECT_TRUE(request.last.ok());
  EXPECT_FALSE(send_now(1, *pair.client, "more").ok());
  ASSERT_TRUE(send_now(0, *pair.server, "answer").ok());
  EXPECT_EQ(receive_now(1, *pair.client, 6).text, "answer");
  pair.server->close();
  const Received end = receive_now(1, *pair.client);
  EXPECT_TRUE(end.last.ok());
  EXPECT_EQ(end.last.bytes, 0u);
}

TEST_P(StreamConformance, ABlockedReadWakesAtTheEnd) {
  StreamPair pair = connected();
  Scope scope(node(0));
  Received got;
  scope.spawn(receive(&node(0), pair.server.get(), 100, Duration::zero(), kAll, &got));
  pass(5ms);
  EXPECT_EQ(scope.size(), 1u);
  pair.client->close();
  run(scope);
  EXPECT_TRUE(got.last.ok());
  EXPECT_EQ(got.last.bytes, 0u);
}

TEST_P(StreamConformance, ClosingWithUnreadBytesBreaksThePeer) {
  StreamPair pair = connected();
  ASSERT_TRUE(send_now(0, *pair.server, "unread by the client").ok());
  Manual readable;
  if (!pair.client->wait_readable(readable)) ASSERT_TRUE(world_->run_until([&] { return readable.fired > 0; }, 20s));
  pair.client->close();
  // The peer's writes fail sooner or later, its reads end at once or with an error.
  bool failed = false;
  for (int i = 0; i < 200 && !failed; ++i) {
    failed = !send_now(0, *pair.server, pattern(1000, 1)).ok();
    pass(1ms);
  }
  EXPECT_TRUE(failed);
  const Received got = receive_now(0, *pair.server);
  EXPECT_EQ(got.text, "");
}

TEST_P(StreamConformance, ABlockedWriteFailsWhenThePeerGoes) {
  StreamPair pair = connected();
  Scope scope(node(1));
  IoResult result;
  scope.spawn(send(pair.client.get(), pattern(24'000'000, 6), &result));
  pass(10ms);
  ASSERT_EQ(scope.size(), 1u);
  pair.server->close();
  run(scope);
  EXPECT_FALSE(result.ok());
  EXPECT_LT(result.bytes, 24'000'000u);
}

TEST_P(StreamConformance, WaitReadableConsumesNothing) {
  StreamPair pair = connected();
  Manual op;
  ASSERT_FALSE(pair.server->wait_readable(op));
  pass(5ms);
  EXPECT_EQ(op.fired, 0);
  ASSERT_TRUE(send_now(1, *pair.client, "x").ok());
  ASSERT_TRUE(world_->run_until([&] { return op.fired > 0; }, 20s));
  EXPECT_FALSE(op.error);
  EXPECT_EQ(receive_now(0, *pair.server, 1).text, "x");
  // The end is readable too.
  Manual at_end;
  if (!pair.server->wait_readable(at_end)) {
    pair.client->close();
    ASSERT_TRUE(world_->run_until([&] { return at_end.fired > 0; }, 20s));
  }
  EXPECT_EQ(receive_now(0, *pair.server).last.bytes, 0u);
}

TEST_P(StreamConformance, CancelsAReadAndReadsOn) {
  StreamPair pair = connected();
  for (const bool wait : {false, true}) {
    Manual op;
    std::array<std::byte, 10> into{};
    ASSERT_FALSE(wait ? pair.server->wait_readable(op) : pair.server->read_some(op, into));
    pair.server->cancel(op);
    EXPECT_EQ(op.fired, 0);
    ASSERT_TRUE(world_->run_until([&] { return op.fired > 0; }, 20s));
    EXPECT_EQ(op.error, canceled_error());
    EXPECT_EQ(op.owner, nullptr);
    pair.server->cancel(op);  // detached: nothing
    ASSERT_TRUE(send_now(1, *pair.client, "after").ok());
    EXPECT_EQ(receive_now(0, *pair.server, 5).text, "after");
    EXPECT_EQ(op.fired, 1);
  }
}

TEST_P(StreamConformance, CancelsAWrite) {
  StreamPair pair = connected();
  const std::string data = pattern(24'000'000, 7);
  const ConstBuffer buffer = buffer_of(data);
  Manual op;
  ASSERT_FALSE(pair.client->write(op, {&buffer, 1}));
  pass(5ms);
  ASSERT_EQ(op.fired, 0);
  pair.client->cancel(op);
  EXPECT_EQ(op.fired, 0);
  ASSERT_TRUE(world_->run_until([&] { return op.fired > 0; }, 20s));
  EXPECT_EQ(op.error, canceled_error());
  pair.client->close();
  // What arrived is a prefix.
  const Received got = receive_now(0, *pair.server);
  EXPECT_LT(got.text.size(), data.size());
  EXPECT_TRUE(data.starts_with(got.text));
}

TEST_P(StreamConformance, CloseCancelsWhatIsInFlight) {
  StreamPair pair = connected();
  const std::string data = pattern(24'000'000, 8);
  const ConstBuffer buffer = buffer_of(data);
  std::array<std::byte, 10> into{};
  Manual reading;
  Manual writing;
  ASSERT_FALSE(pair.client->read_some(reading, into));
  ASSERT_FALSE(pair.client->write(writing, {&buffer, 1}));
  pair.client->close();
  EXPECT_EQ(reading.fired + writing.fired, 0);
  ASSERT_TRUE(world_->run_until([&] { return reading.fired > 0 && writing.fired > 0; }, 20s));
  EXPECT_EQ(reading.error, canceled_error());
  EXPECT_EQ(writing.error, canceled_error());
  pair.client->close();  // again: nothing
  EXPECT_FALSE(receive_now(1, *pair.client).last.ok());
  EXPECT_FALSE(send_now(1, *pair.client, "x").ok());
}

TEST_P(StreamConformance, ConnectIsRefusedWhereNobodyListens) {
  Endpoint nobody;
  {
    auto listener = listen();
    nobody = address(*listener);
  }
  Scope scope(node(1));
  std::unique_ptr<Stream> stream;
  IoResult result;
  scope.spawn(do_connect(&node(1), nobody, &stream, &result));
  run(scope);
  EXPECT_EQ(result.error, std::errc::connection_refused);
  EXPECT_EQ(stream, nullptr);
}

TEST_P(StreamConformance, CancelsAnAcceptAndAConnect) {
  auto listener = listen();
  std::unique_ptr<Stream> server;
  Manual accepting;
  ASSERT_FALSE(listener->accept(accepting, server));
  listener->close();
  EXPECT_EQ(accepting.fired, 0);
  ASSERT_TRUE(world_->run_until([&] { return accepting.fired > 0; }, 20s));
  EXPECT_EQ(accepting.error, canceled_error());
  EXPECT_EQ(server, nullptr);
  Manual after;
  if (!listener->accept(after, server)) ASSERT_TRUE(world_->run_until([&] { return after.fired > 0; }, 20s));
  EXPECT_TRUE(after.error);

  auto other = listen();
  std::unique_ptr<Stream> client;
  Manual connecting;
  if (!node(1).network().connect(connecting, address(*other), client)) {
    node(1).cancel(connecting);
    ASSERT_TRUE(world_->run_until([&] { return connecting.fired > 0; }, 20s));
    // It may have been connected already.
    if (connecting.error) {
      EXPECT_EQ(connecting.error, canceled_error());
      EXPECT_EQ(client, nullptr);
    }
  }
}

TEST_P(StreamConformance, AcceptsWhoCameBeforeItAsked) {
  auto listener = listen();
  Scope clients(node(1));
  std::array<std::unique_ptr<Stream>, 5> made;
  std::array<IoResult, 5> results;
  for (std::size_t i = 0; i < made.size(); ++i) {
    clients.spawn(do_connect(&node(1), address(*listener), &made[i], &results[i]));
  }
  pass(20ms);
  Scope servers(node(0));
  std::array<std::unique_ptr<Stream>, 5> accepted;
  std::array<IoResult, 5> outcomes;
  const auto accept_all = [](Listener* from, std::array<std::unique_ptr<Stream>, 5>* into,
                             IoResult* out) -> Task<void> {
    for (std::unique_ptr<Stream>& stream : *into) *out++ = co_await accept(*from, stream);
  };
  servers.spawn(accept_all(listener.get(), &accepted, outcomes.data()));
  run(servers);
  run(clients);
  for (std::size_t i = 0; i < made.size(); ++i) {
    EXPECT_TRUE(results[i].ok() && outcomes[i].ok());
    ASSERT_TRUE(made[i] && accepted[i]);
    ASSERT_TRUE(send_now(1, *made[i], std::to_string(i)).ok());
  }
  std::string seen;
  for (auto& stream : accepted) seen += receive_now(0, *stream, 1).text;
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, "01234");
  // Connected streams outlive their listener.
  listener.reset();
  EXPECT_TRUE(send_now(0, *accepted[0], "still").ok());
}

TEST_P(StreamConformance, ABusyStreamDoesNotStarveOthers) {
  StreamPair busy = connected();
  StreamPair quiet = connected();
  bool stop = false;
  // Both ends answer at once for ever; the third party must still get through.
  const auto bounce = [](Stream* stream, bool first, bool* end) -> Task<void> {
    std::array<std::byte, 1> byte{};
    const ConstBuffer buffer{byte.data(), 1};
    for (bool sends = first;; sends = !sends) {
      const IoResult got = sends ? co_await write_all(*stream, {&buffer, 1}) : co_await read_some(*stream, byte);
      if (*end || !got.ok() || got.bytes == 0) break;
    }
    stream->close();
  };
  Scope server(node(0));
  Scope client(node(1));
  server.spawn(bounce(busy.server.get(), false, &stop));
  client.spawn(bounce(busy.client.get(), true, &stop));
  EXPECT_TRUE(send_now(1, *quiet.client, "through").ok());
  EXPECT_EQ(receive_now(0, *quiet.server, 7).text, "through");
  stop = true;
  run(server);
  run(client);
}

Task<void> send_range(Stream* stream, File* file, std::uint64_t offset, std::size_t size, IoResult* result) {
  *result = co_await send_file(*stream, *file, offset, size);
}

TEST_P(StreamConformance, SendsRangesOfAFileBetweenWrites) {
  StreamPair pair = connected();
  if (!pair.client->can_send_file()) GTEST_SKIP() << "this stream sends no files";
  auto file = *node(1).disk().open(path("data", 1), OpenMode::create);
  const std::string data = pattern(9'000'000, 9);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ(file->append_now({&buffer, 1}), data.size());
  const auto all = [](Stream* stream, File* from, std::size_t size, std::array<IoResult, 5>* out) -> Task<void> {
    const std::string head = "head";
    const ConstBuffer text = buffer_of(head);
    (*out)[0] = co_await write_all(*stream, {&text, 1});
    (*out)[1] = co_await send_file(*stream, *from, 1'000'001, 10);
    (*out)[2] = co_await send_file(*stream, *from, 0, size);
    (*out)[3] = co_await send_file(*stream, *from, 5, 0);
    (*out)[4] = co_await write_all(*stream, {&text, 1});
  };
  Scope writer(node(1));
  std::array<IoResult, 5> results;
  writer.spawn(all(pair.client.get(), file.get(), data.size(), &results));
  pass(10ms);
  EXPECT_EQ(writer.size(), 1u) << "9 MB should not fit into the buffers of a socket";
  const std::string expected = "head" + data.substr(1'000'001, 10) + data + "head";
  Scope reader(node(0));
  Received got;
  reader.spawn(receive(&node(0), pair.server.get(), 100'000, Duration::zero(), expected.size(), &got));
  run(reader, 60s);
  run(writer);
  for (const IoResult& result : results) EXPECT_TRUE(result.ok()) << result.error.message();
  EXPECT_EQ(results[2].bytes, data.size());
  EXPECT_TRUE(got.text == expected);
}

TEST_P(StreamConformance, AFileThatEndsBeforeTheRangeIsAnError) {
  StreamPair pair = connected();
  if (!pair.client->can_send_file()) GTEST_SKIP() << "this stream sends no files";
  auto file = *node(1).disk().open(path("data", 1), OpenMode::create);
  const std::string data = pattern(1000, 10);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ(file->append_now({&buffer, 1}), data.size());
  Scope writer(node(1));
  IoResult result;
  writer.spawn(send_range(pair.client.get(), file.get(), 500, 1000, &result));
  run(writer);
  EXPECT_FALSE(result.ok());
  EXPECT_LE(result.bytes, 500u);
}

TEST_P(StreamConformance, CancelsASendFile) {
  StreamPair pair = connected();
  if (!pair.client->can_send_file()) GTEST_SKIP() << "this stream sends no files";
  auto file = *node(1).disk().open(path("data", 1), OpenMode::create);
  const std::string data = pattern(24'000'000, 11);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ(file->append_now({&buffer, 1}), data.size());
  Manual op;
  ASSERT_FALSE(pair.client->send_file(op, *file, 0, data.size()));
  pass(10ms);
  ASSERT_EQ(op.fired, 0);
  pair.client->cancel(op);
  ASSERT_TRUE(world_->run_until([&] { return op.fired > 0; }, 20s));
  EXPECT_EQ(op.error, canceled_error());
  pair.client->close();
  const Received got = receive_now(0, *pair.server);
  EXPECT_TRUE(data.starts_with(got.text));
  EXPECT_LT(got.text.size(), data.size());
}

}  // namespace verdict::conformance
