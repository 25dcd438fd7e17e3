#pragma once

#include <string>
#include <vector>

#include "runtime/random.h"
#include "storage/batch_builder.h"
#include "storage/log.h"
#include "tests/unit/storage/memory_disk.h"

namespace verdict::storage::testing {

struct BatchSpec {
  int records = 3;
  std::int64_t timestamp = 1'700'000'000'000;
  Codec codec = Codec::none;
  std::size_t value_size = 20;
  Offset base{0};
  LeaderEpoch epoch = kNoEpoch;
};

inline std::vector<std::byte> make_batch(const BatchSpec& spec) {
  BatchBuilder builder({.codec = spec.codec, .base_offset = spec.base, .leader_epoch = spec.epoch});
  for (int i = 0; i < spec.records; ++i) {
    const std::string value(spec.value_size, static_cast<char>('a' + i % 26));
    builder.add(spec.timestamp + i, as_bytes("k" + std::to_string(i)), as_bytes(value));
  }
  Compressor compressor;
  const auto bytes = builder.finish(compressor);
  return {bytes.begin(), bytes.end()};
}

// A log on a disk in memory, with shorthands that insist on success.
struct LogHarness {
  MemoryRuntime runtime;
  FileCache files{runtime.disk(), 64};
  LogConfig config;
  std::unique_ptr<Log> log;

  explicit LogHarness(LogConfig settings = {.segment_bytes = 600, .index_interval_bytes = 200}) : config(settings) {}

  std::expected<void, LogError> try_open(Log::OpenInput input, const std::string& directory = "d/t-0") {
    log.reset();
    auto opened = runtime.run(Log::open(runtime, files, directory, config, input));
    if (!opened) return std::unexpected(opened.error());
    log = std::move(*opened);
    return {};
  }
  void open(Log::OpenInput input = {.clean = true}, const std::string& directory = "d/t-0") {
    const auto opened = try_open(input, directory);
    if (!opened) throw std::runtime_error(opened.error().to_string());
  }
  Appended append(int epoch, const BatchSpec& spec = {}) {
    auto batch = make_batch(spec);
    return log->append_as_leader(batch, LeaderEpoch(epoch), runtime.wall_now()).value();
  }
  std::vector<BatchHeader> all() {
    std::vector<BatchHeader> headers;
    for (Offset at = log->log_start(); at < log->log_end();) {
      const auto bytes = runtime.run(log->read_bytes(at, 1 << 20, log->log_end(), true)).value();
      Bytes rest(bytes);
      if (rest.empty()) break;
      while (!rest.empty()) {
        const auto batch = take_batch(rest).value();
        if (!batch.crc_valid()) throw std::runtime_error("bad CRC");
        headers.push_back(batch.header());
      }
      at = headers.back().next_offset();
    }
    return headers;
  }
};

}  // namespace verdict::storage::testing
