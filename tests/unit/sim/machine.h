#pragma once

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "runtime/io.h"
#include "runtime/scope.h"
#include "sim/sim_runtime.h"
#include "sim/world.h"

// Processes for tests of the simulated machine: a scope of coroutines over the runtime of their incarnation.
namespace verdict::sim::testing {

struct TaskProcess final : Process {
  explicit TaskProcess(Runtime& its_runtime) : runtime(its_runtime), scope(its_runtime) {}
  Runtime& runtime;
  Scope scope;
};

using Body = Task<void> (*)(Runtime* runtime, void* context);

inline NodeConfig node_of(std::string host, Body body = nullptr, void* context = nullptr) {
  return {std::move(host),
          [body, context](Runtime& runtime) -> std::unique_ptr<Process> {
            auto process = std::make_unique<TaskProcess>(runtime);
            if (body != nullptr) process->scope.spawn(body(&runtime, context));
            return process;
          },
          {}};
}

inline ConstBuffer buffer_of(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline Outcome<std::size_t> append(File& file, std::string_view text) {
  const ConstBuffer buffer = buffer_of(text);
  return file.append_now({&buffer, 1});
}

inline std::string content_of(DiskImage& disk, std::string_view path) {
  Inode* inode = disk.find(path);
  if (inode == nullptr) return "(absent)";
  std::string text(inode->content.size(), '\0');
  inode->content.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

struct Losses final : LossSink {
  struct Entry {
    std::string path;
    std::uint64_t from;
    std::uint64_t to;
    LossCause cause;
  };
  std::vector<Entry> entries;
  void lost(const Loss& loss) override { entries.push_back({std::string(loss.path), loss.from, loss.to, loss.cause}); }
};

// Frames of 4 bytes of size, then `size` bytes, as Kafka's.
struct Frame {
  std::vector<std::byte> bytes;
};

inline Frame request_frame(std::int16_t api, std::int32_t correlation, std::size_t body) {
  Frame frame;
  const auto size = static_cast<std::uint32_t>(8 + body);
  const auto put = [&](std::uint32_t value, int width) {
    for (int i = width - 1; i >= 0; --i) frame.bytes.push_back(static_cast<std::byte>(value >> (8 * i)));
  };
  put(size, 4);
  put(static_cast<std::uint16_t>(api), 2);
  put(0, 2);
  put(static_cast<std::uint32_t>(correlation), 4);
  frame.bytes.resize(4 + size, std::byte{7});
  return frame;
}

// Reads one frame into `into` (grown as needed); false at the end of the stream or on an error, which is kept.
inline Task<bool> read_frame(Stream* stream, std::vector<std::byte>* into, IoResult* last) {
  std::size_t have = 0;
  std::size_t want = 4;
  into->resize(std::max<std::size_t>(into->size(), 64));
  while (have < want) {
    *last = co_await read_some(*stream, std::span(*into).subspan(have, want - have));
    if (!last->ok() || last->bytes == 0) co_return false;
    have += last->bytes;
    if (have == 4 && want == 4) {
      for (std::size_t i = 0, size = 0; i < 4; ++i) {
        size = size << 8 | std::to_integer<std::size_t>((*into)[i]);
        want = 4 + size;
      }
      into->resize(std::max(into->size(), want));
    }
  }
  last->bytes = have;
  co_return true;
}

inline Task<void> echo(Runtime* runtime, std::unique_ptr<Stream> stream) {
  static_cast<void>(runtime);
  std::vector<std::byte> frame;
  for (;;) {
    IoResult got;
    const bool more = co_await read_frame(stream.get(), &frame, &got);
    if (!more) co_return;
    // A response: the size, then the correlation id (which the request has at byte 8).
    std::array<std::byte, 8> response{};
    response[3] = std::byte{4};
    std::memcpy(response.data() + 4, frame.data() + 8, 4);
    const ConstBuffer buffer{response.data(), response.size()};
    const IoResult sent = co_await write_all(*stream, {&buffer, 1});
    if (!sent.ok()) co_return;
  }
}

inline Task<void> echo_server(Runtime* runtime, void*) {
  Outcome<std::unique_ptr<Listener>> listener = runtime->network().listen({"", 9000}, 16);
  VERDICT_ASSERT(listener.has_value());
  Scope connections(*runtime);
  for (;;) {
    std::unique_ptr<Stream> stream;
    const IoResult accepted = co_await accept(**listener, stream);
    if (!accepted.ok()) co_return;
    connections.spawn(echo(runtime, std::move(stream)));
  }
}

// What a client saw.
struct Client {
  std::string server = "server";
  std::uint64_t answered = 0;
  std::uint64_t limit = ~std::uint64_t{0};
  Duration think{};
  std::int16_t api = 3;
  IoResult connected;
  IoResult last;
  bool done = false;
  std::vector<MonoTime> at;  // of each answer, if keep_times
  bool keep_times = false;
};

inline Task<void> echo_client(Runtime* runtime, void* context) {
  Client* client = static_cast<Client*>(context);
  std::unique_ptr<Stream> stream;
  const Endpoint to{client->server, 9000};
  client->connected = co_await connect(runtime->network(), to, stream);
  client->done = !client->connected.ok();
  if (client->done) co_return;
  std::vector<std::byte> frame;
  Frame request = request_frame(client->api, 0, 20);
  while (client->answered < client->limit) {
    for (std::size_t i = 0; i < 4; ++i) request.bytes[8 + i] = static_cast<std::byte>(client->answered >> (24 - 8 * i));
    const ConstBuffer buffer{request.bytes.data(), request.bytes.size()};
    client->last = co_await write_all(*stream, {&buffer, 1});
    if (!client->last.ok()) break;
    const bool got = co_await read_frame(stream.get(), &frame, &client->last);
    if (!got) break;
    ++client->answered;
    if (client->keep_times) client->at.push_back(runtime->now());
    if (client->think > Duration(0)) co_await sleep_until(*runtime, runtime->now() + client->think);
  }
  client->done = true;
}

}  // namespace verdict::sim::testing
