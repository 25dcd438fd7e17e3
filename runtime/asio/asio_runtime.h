#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "runtime/runtime.h"

namespace verdict {

enum class LogFormat : std::uint8_t { text, json };

struct AsioOptions {
  LogLevel log_level = LogLevel::info;
  LogFormat log_format = LogFormat::text;
  int log_descriptor = 2;             // not owned; one write(2) a line
  std::optional<std::uint64_t> seed;  // of random(); absent: the kernel's generator
  unsigned disk_workers = 4;          // threads for what blocks (fdatasync, cold reads, names); started when needed
  // What halt() does after its log line. Absent: _exit(1).
  std::function<void(std::string_view reason)> on_halt;
};

// The real machine: sockets, files, clocks. One object is one event loop; several may live in one process, each on a
// thread of its own. Ignores SIGPIPE and SIGXFSZ for the whole process, because sendfile and full disks raise them.
//
// To shut down: cancel what is in flight, let the loop finish it (Scope::join), then stop(). Destroying a runtime with
// an operation in flight, or with a stream, listener or file still open, is a bug that stops the process.
//
// Text log lines are `[2026-11-22 21:00:00,123] INFO message (logger)` in local time, as Kafka's.
class AsioRuntime final : public Runtime {
 public:
  explicit AsioRuntime(AsioOptions options = {});
  ~AsioRuntime() override;
  AsioRuntime(const AsioRuntime&) = delete;
  AsioRuntime& operator=(const AsioRuntime&) = delete;

  void run();                    // until stop()
  void stop();                   // from any thread, or before run(): run() returns after the turn under way
  bool turn(Duration max_wait);  // one turn of the loop; true if something completed
  void on_signal(std::function<void(int signal)> callback);  // SIGTERM and SIGINT, from the loop

  MonoTime now() const override;
  WallTime wall_now() const override;
  bool sleep_until(Op&, MonoTime when) override;
  void post(Op&) override;
  void cancel(Op&) override;
  Network& network() override;
  Disk& disk() override;
  std::uint64_t random(Purpose purpose, std::uint64_t entity) override;
  bool maybe(Site) override { return false; }
  void mark(Mark) override {}
  const DefectSet& defects() const override;
  bool logs(LogLevel level) const override;
  void log(LogLevel level, std::string_view logger, std::string_view message) override;
  void halt(std::string_view reason) override;

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace verdict
