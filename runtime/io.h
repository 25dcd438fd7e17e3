#pragma once

#include <coroutine>
#include <utility>

#include "runtime/op.h"
#include "runtime/runtime.h"

// co_await on the starts of the seam: each returns an IoResult. The awaiter lives in the caller's frame.
namespace verdict {

template <class Start>
class [[nodiscard]] Awaited : Op {
 public:
  explicit Awaited(Start start) : start_(std::move(start)) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    complete = [](Op* op) { static_cast<Awaited*>(op)->waiter_.resume(); };
    return !start_(static_cast<Op&>(*this));
  }
  IoResult await_resume() const noexcept { return {bytes, error}; }

 private:
  Start start_;
  std::coroutine_handle<> waiter_;
};

inline auto read_some(Stream& stream, std::span<std::byte> into) {
  return Awaited([&stream, into](Op& op) { return stream.read_some(op, into); });
}
inline auto wait_readable(Stream& stream) {
  return Awaited([&stream](Op& op) { return stream.wait_readable(op); });
}
inline auto write_all(Stream& stream, std::span<const ConstBuffer> buffers) {
  return Awaited([&stream, buffers](Op& op) { return stream.write(op, buffers); });
}
inline auto send_file(Stream& stream, File& file, std::uint64_t offset, std::size_t size) {
  return Awaited([&stream, &file, offset, size](Op& op) { return stream.send_file(op, file, offset, size); });
}
inline auto accept(Listener& listener, std::unique_ptr<Stream>& into) {
  return Awaited([&listener, &into](Op& op) { return listener.accept(op, into); });
}
inline auto connect(Network& network, const Endpoint& to, std::unique_ptr<Stream>& into) {
  return Awaited([&network, &to, &into](Op& op) { return network.connect(op, to, into); });
}
inline auto read_at(File& file, std::span<std::byte> into, std::uint64_t offset) {
  return Awaited([&file, into, offset](Op& op) { return file.read_at(op, into, offset); });
}
inline auto sync(File& file) {
  return Awaited([&file](Op& op) { return file.sync(op); });
}
inline auto sync_directory(Disk& disk, const std::string& path) {
  return Awaited([&disk, &path](Op& op) { return disk.sync_directory(op, path); });
}
inline auto sleep_until(Runtime& runtime, MonoTime when) {
  return Awaited([&runtime, when](Op& op) { return runtime.sleep_until(op, when); });
}

}  // namespace verdict
