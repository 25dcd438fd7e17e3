// What only the real machine has: signals, log lines, cold pages, full disks, threads, other processes.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>
#include <vector>

#include "runtime/asio/asio_runtime.h"
#include "runtime/io.h"
#include "runtime/scope.h"

namespace verdict {
namespace {

class AsioTest : public ::testing::Test {
 protected:
  AsioTest() {
    std::string name = (std::filesystem::temp_directory_path() / "verdict-asio-XXXXXX").string();
    VERDICT_ASSERT(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  ~AsioTest() override { std::filesystem::remove_all(root_); }

  std::string path(const std::string& name) { return root_ + "/" + name; }
  void run(Scope& scope, AsioRuntime& runtime) {
    const MonoTime limit = runtime.now() + 20s;
    while (scope.size() != 0 && runtime.now() < limit) runtime.turn(10ms);
    VERDICT_ASSERT(scope.size() == 0, "the test's tasks hang");
  }
  std::string root_;
};

std::string pattern(std::size_t size) {
  std::string text(size, '\0');
  unsigned state = 1;
  for (char& c : text) {
    state = state * 1664525U + 1013904223U;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

ConstBuffer buffer_of(const std::string& text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

// An operation started by hand.
struct Flag : Op {
  bool fired = false;
  Flag() {
    complete = [](Op* op) { static_cast<Flag*>(op)->fired = true; };
  }
  void await(AsioRuntime& runtime) {
    const MonoTime limit = runtime.now() + 20s;
    while (!fired && runtime.now() < limit) runtime.turn(10ms);
    VERDICT_ASSERT(fired, "the operation hangs");
  }
};

// What write_log put into a pipe.
struct LogPipe {
  int ends[2] = {-1, -1};
  LogPipe() { VERDICT_ASSERT(::pipe(ends) == 0); }
  ~LogPipe() {
    ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string take() {
    char text[4096];
    const ssize_t n = ::read(ends[0], text, sizeof text);
    return {text, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
  }
};

TEST_F(AsioTest, LogsTextLinesAsKafkaDoes) {
  LogPipe pipe;
  AsioRuntime runtime({.log_level = LogLevel::debug, .log_descriptor = pipe.ends[1]});
  EXPECT_FALSE(runtime.logs(LogLevel::trace));
  runtime.log(LogLevel::trace, "kafka", "unseen");
  runtime.log(LogLevel::warn, "kafka.server", "a\nb \x1b[31mred");
  EXPECT_THAT(pipe.take(),
              ::testing::MatchesRegex(
                  "\\[20[0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9],[0-9][0-9][0-9]\\] WARN "
                  "a\\\\x0ab \\\\x1b\\[31mred \\(kafka.server\\)\n"));
}

TEST_F(AsioTest, LogsJsonLinesWhateverTheText) {
  LogPipe pipe;
  AsioRuntime runtime({.log_format = LogFormat::json, .log_descriptor = pipe.ends[1]});
  for (const std::string& message : {std::string("plain"), std::string("q\"uote \\ tab\t\n\0nul", 18),
                                     std::string("grün €"), std::string("\xff\xfe broken \xc3"), std::string()}) {
    runtime.log(LogLevel::error, "log\"ger", message);
    const std::string line = pipe.take();
    ASSERT_TRUE(line.ends_with("}\n"));
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << line;
    EXPECT_EQ(json["level"], "ERROR");
    EXPECT_EQ(json["logger"], "log\"ger");
    EXPECT_EQ(json["time"].get<std::string>().size(), 24u);
    if (!message.starts_with('\xff')) EXPECT_EQ(json["message"], message);
  }
}

TEST_F(AsioTest, HaltEndsTheProcessOrCallsBack) {
  EXPECT_EXIT(
      {
        AsioRuntime runtime;
        runtime.halt("the only log directory failed");
      },
      ::testing::ExitedWithCode(1), "ERROR the only log directory failed \\(runtime\\)");
  std::string reason;
  AsioRuntime runtime({.log_descriptor = -1, .on_halt = [&](std::string_view why) { reason = why; }});
  runtime.halt("why");
  EXPECT_EQ(reason, "why");
}

TEST_F(AsioTest, SignalsComeFromTheLoop) {
  AsioRuntime runtime;
  std::vector<int> seen;
  runtime.on_signal([&](int number) {
    seen.push_back(number);
    if (seen.size() == 2) runtime.stop();
  });
  std::raise(SIGTERM);
  EXPECT_TRUE(seen.empty());
  while (seen.empty()) runtime.turn(10ms);
  std::raise(SIGINT);
  runtime.run();
  EXPECT_EQ(seen, (std::vector<int>{SIGTERM, SIGINT}));
}

TEST_F(AsioTest, StopsFromAnotherThreadAndRunsAgain) {
  AsioRuntime runtime;
  for (int round = 0; round < 3; ++round) {
    std::jthread stopper([&] { runtime.stop(); });
    runtime.run();
  }
  runtime.stop();  // before run: returns at once
  runtime.run();
}

TEST_F(AsioTest, SeededRandomNumbersRepeat) {
  AsioRuntime a({.seed = 5});
  AsioRuntime b({.seed = 5});
  AsioRuntime other({.seed = 6});
  AsioRuntime free;
  for (int i = 0; i < 100; ++i) {
    const std::uint64_t draw = a.random(Purpose::TopicId, 1);
    EXPECT_EQ(draw, b.random(Purpose::TopicId, 1));
    EXPECT_NE(draw, other.random(Purpose::TopicId, 1));
    EXPECT_NE(draw, free.random(Purpose::TopicId, 1));
    // Another purpose disturbs nothing.
    if (i % 3 == 0) a.random(Purpose::Backoff, 1);
  }
  EXPECT_FALSE(free.maybe(Site::ShortRead));
  EXPECT_TRUE(free.defects().empty());
}

void evict(const std::string& name) {
  const int descriptor = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  VERDICT_ASSERT(::fdatasync(descriptor) == 0);
  VERDICT_ASSERT(::posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED) == 0);
  ::close(descriptor);
}

Task<void> read_and_compare(File* file, const std::string* data, std::uint64_t offset, std::size_t size, int* good) {
  std::vector<std::byte> into(size);
  const IoResult got = co_await read_at(*file, into, offset);
  if (got.ok() && got.bytes == size && std::memcmp(into.data(), data->data() + offset, size) == 0) ++*good;
}

TEST_F(AsioTest, ColdPagesAreReadByWorkers) {
  AsioRuntime runtime;
  auto file = *runtime.disk().open(path("cold"), OpenMode::create);
  const std::string data = pattern(8'000'000);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ(file->append_now({&buffer, 1}), data.size());
  evict(path("cold"));
  Scope scope(runtime);
  int good = 0;
  for (std::size_t i = 0; i < 50; ++i) scope.spawn(read_and_compare(file.get(), &data, i * 150'000, 100'000, &good));
  EXPECT_GT(scope.size(), 0u) << "no page was cold";
  run(scope, runtime);
  EXPECT_EQ(good, 50);
}

TEST_F(AsioTest, FilesOfATmpfsAreReadInline) {
  if (!std::filesystem::is_directory("/dev/shm")) GTEST_SKIP();
  AsioRuntime runtime;
  const std::string name = "/dev/shm/verdict-" + std::to_string(::getpid());
  auto file = runtime.disk().open(name, OpenMode::create);
  if (!file) GTEST_SKIP() << "no place in /dev/shm";
  const std::string data = pattern(100'000);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ((*file)->append_now({&buffer, 1}), data.size());
  Scope scope(runtime);
  int good = 0;
  scope.spawn(read_and_compare(file->get(), &data, 10, 90'000, &good));
  EXPECT_EQ(good, 1);
  ASSERT_TRUE(runtime.disk().remove(name).has_value());
}

struct Ends {
  std::unique_ptr<Stream> server;
  std::unique_ptr<Stream> client;
};

Task<void> accept_one(Listener* listener, std::unique_ptr<Stream>* into) {
  const IoResult result = co_await accept(*listener, *into);
  VERDICT_ASSERT(result.ok());
}

Task<void> connect_one(Runtime* runtime, Endpoint to, std::unique_ptr<Stream>* into, IoResult* result) {
  *result = co_await connect(runtime->network(), to, *into);
}

Task<void> read_all(Stream* stream, std::string* text, std::size_t size) {
  std::vector<std::byte> into(64 * 1024);
  while (text->size() < size) {
    const IoResult got = co_await read_some(*stream, into);
    if (!got.ok() || got.bytes == 0) co_return;
    text->append(reinterpret_cast<const char*>(into.data()), got.bytes);
  }
}

Task<void> send_range(Stream* stream, File* file, std::size_t size, IoResult* result) {
  *result = co_await send_file(*stream, *file, 0, size);
}

TEST_F(AsioTest, ColdFilesAreSentAndCanceled) {
  AsioRuntime runtime;
  auto file = *runtime.disk().open(path("cold"), OpenMode::create);
  const std::string data = pattern(5'000'000);
  const ConstBuffer buffer = buffer_of(data);
  ASSERT_EQ(file->append_now({&buffer, 1}), data.size());
  auto listener = *runtime.network().listen({"127.0.0.1", 0}, 16);
  Scope scope(runtime);
  Ends ends;
  IoResult connected;
  scope.spawn(accept_one(listener.get(), &ends.server));
  scope.spawn(connect_one(&runtime, listener->local(), &ends.client, &connected));
  run(scope, runtime);
  evict(path("cold"));
  std::string got;
  IoResult sent;
  scope.spawn(send_range(ends.client.get(), file.get(), data.size(), &sent));
  scope.spawn(read_all(ends.server.get(), &got, data.size()));
  run(scope, runtime);
  EXPECT_TRUE(sent.ok());
  EXPECT_TRUE(got == data);
  // While a worker reads: the operation ends when the worker is through, be it canceled or closed.
  for (const bool close : {false, true}) {
    evict(path("cold"));
    Flag op;
    ASSERT_FALSE(ends.client->send_file(op, *file, 0, data.size()));
    close ? ends.client->close() : ends.client->cancel(op);
    EXPECT_FALSE(op.fired);
    EXPECT_NE(op.owner, nullptr);
    op.await(runtime);
    EXPECT_EQ(op.error, canceled_error());
    EXPECT_LT(op.bytes, data.size());
  }
}

TEST_F(AsioTest, NamesAreLookedUp) {
  AsioRuntime runtime;
  auto listener = *runtime.network().listen({"localhost", 0}, 16);
  Scope scope(runtime);
  Ends ends;
  IoResult result;
  scope.spawn(accept_one(listener.get(), &ends.server));
  scope.spawn(connect_one(&runtime, {"localhost", listener->local().port}, &ends.client, &result));
  run(scope, runtime);
  EXPECT_TRUE(result.ok()) << result.error.message();
  std::unique_ptr<Stream> none;
  scope.spawn(connect_one(&runtime, {"no-such-host.invalid", 9092}, &none, &result));
  run(scope, runtime);
  EXPECT_FALSE(result.ok());
  EXPECT_FALSE(result.error.message().empty());
  EXPECT_EQ(none, nullptr);
  EXPECT_FALSE(runtime.network().listen({"no-such-host.invalid", 0}, 16).has_value());
  EXPECT_EQ(runtime.network().listen({"203.0.113.1", 0}, 16).error(), std::errc::address_not_available);
  // A look-up under way may be canceled; the runtime's end waits for the name server's answer.
  Flag op;
  ASSERT_FALSE(runtime.network().connect(op, {"no-such-host.invalid", 9092}, none));
  runtime.cancel(op);
  op.await(runtime);
  EXPECT_EQ(op.error, canceled_error());
}

TEST_F(AsioTest, EveryInterfaceIsListenedAt) {
  AsioRuntime runtime;
  auto listener = *runtime.network().listen({"", 0}, 16);
  Scope scope(runtime);
  Ends ends;
  IoResult result;
  scope.spawn(accept_one(listener.get(), &ends.server));
  scope.spawn(connect_one(&runtime, {"127.0.0.1", listener->local().port}, &ends.client, &result));
  run(scope, runtime);
  EXPECT_TRUE(result.ok());
}

TEST_F(AsioTest, AFullDiskIsAnError) {
  AsioRuntime runtime;
  auto full = runtime.disk().open("/dev/full", OpenMode::read_write);
  ASSERT_TRUE(full.has_value());
  const std::string text = "text";
  const ConstBuffer buffer = buffer_of(text);
  EXPECT_EQ((*full)->append_now({&buffer, 1}).error(), std::errc::no_space_on_device);
  EXPECT_EQ((*full)->write_at_now(std::as_bytes(std::span(text)), 0).error(), std::errc::no_space_on_device);
}

TEST_F(AsioTest, AnAppendThatStopsHalfwayTellsHowFarItCame) {
  AsioRuntime runtime;
  auto file = *runtime.disk().open(path("limited"), OpenMode::create);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit limit{.rlim_cur = 1000, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  const std::string text = pattern(700);
  const ConstBuffer buffers[] = {buffer_of(text), buffer_of(text)};
  const auto partial = file->append_now(buffers);
  const auto none = file->append_now(buffers);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_EQ(partial, 1000u);
  EXPECT_EQ(none.error(), std::errc::file_too_large);
  EXPECT_EQ(file->size(), 1000u);
  ASSERT_TRUE(file->truncate_now(0).has_value());
  EXPECT_EQ(file->append_now(buffers), 1400u);
}

TEST_F(AsioTest, ALockHoldsAgainstOtherProcessesAndJavasKind) {
  AsioRuntime runtime;
  auto held = runtime.disk().lock(path(".lock"));
  ASSERT_TRUE(held.has_value());
  const auto try_in_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      // What FileChannel.tryLock does.
      const int descriptor = ::open(path(".lock").c_str(), O_RDWR | O_CLOEXEC);
      struct flock range{};
      range.l_type = F_WRLCK;
      range.l_whence = SEEK_SET;
      ::_exit(::fcntl(descriptor, F_SETLK, &range) == 0 ? 0 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  EXPECT_EQ(try_in_child(), 1);
  held->reset();
  EXPECT_EQ(try_in_child(), 0);
}

// Two loops on two threads, each with disk work: for the thread sanitizer above all.
TEST_F(AsioTest, LoopsOnThreadsOfTheirOwnTalk) {
  AsioRuntime server;
  AsioRuntime client;
  auto listener = *server.network().listen({"127.0.0.1", 0}, 16);
  const Endpoint to = listener->local();
  constexpr int kRounds = 200;
  const auto serve = [](AsioRuntime* runtime, Listener* from, std::string name) -> Task<void> {
    std::unique_ptr<Stream> stream;
    co_await accept(*from, stream);
    auto file = *runtime->disk().open(name, OpenMode::create);
    std::array<std::byte, 100> into{};
    for (;;) {
      const IoResult got = co_await read_some(*stream, into);
      if (!got.ok() || got.bytes == 0) break;
      const ConstBuffer buffer{into.data(), got.bytes};
      VERDICT_ASSERT(file->append_now({&buffer, 1}) == got.bytes);
      co_await sync(*file);
      co_await write_all(*stream, {&buffer, 1});
    }
    runtime->stop();
  };
  const auto ask = [](AsioRuntime* runtime, Endpoint at, int* answered) -> Task<void> {
    std::unique_ptr<Stream> stream;
    co_await connect(runtime->network(), at, stream);
    std::array<std::byte, 10> bytes{};
    const ConstBuffer buffer{bytes.data(), bytes.size()};
    for (int i = 0; i < kRounds; ++i) {
      co_await write_all(*stream, {&buffer, 1});
      std::size_t got = 0;
      while (got < bytes.size()) {
        const IoResult more = co_await read_some(*stream, std::span(bytes).subspan(got));
        VERDICT_ASSERT(more.ok() && more.bytes > 0);
        got += more.bytes;
      }
      ++*answered;
    }
    stream.reset();
    runtime->stop();
  };
  Scope server_scope(server);
  Scope client_scope(client);
  int answered = 0;
  server_scope.spawn(serve(&server, listener.get(), path("log")));
  std::jthread other([&] {
    client_scope.spawn(ask(&client, to, &answered));
    client.run();
  });
  server.run();
  other.join();
  EXPECT_EQ(answered, kRounds);
  EXPECT_EQ(std::filesystem::file_size(path("log")), kRounds * 10u);
}

using AsioDeathTest = AsioTest;

TEST_F(AsioDeathTest, ARuntimeMustOutliveWhatUsesIt) {
  EXPECT_DEATH(
      {
        auto runtime = std::make_unique<AsioRuntime>();
        auto listener = *runtime->network().listen({"127.0.0.1", 0}, 16);
        runtime.reset();
      },
      "outlives its runtime");
  EXPECT_DEATH(
      {
        auto runtime = std::make_unique<AsioRuntime>();
        Op op;
        op.complete = [](Op*) {};
        runtime->sleep_until(op, runtime->now() + 10s);
        runtime.reset();
      },
      "operations in flight");
}

}  // namespace
}  // namespace verdict
