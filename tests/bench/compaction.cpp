// One cleaning pass over a log of 1 GB in files, dirty as a whole: bytes of log a second of this thread's CPU time, and
// what the map of keys holds. Arguments: where, records in millions, keys in thousands, bytes of a value, records a
// batch, codec, MiB of log.cleaner.dedupe.buffer.size.
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <string>

#include "runtime/asio/asio_runtime.h"
#include "runtime/random.h"
#include "runtime/scope.h"
#include "storage/batch_builder.h"
#include "storage/cleaner.h"
#include "storage/log.h"

namespace verdict::storage {
namespace {

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

Task<void> keep(Task<std::expected<CleaningReport, LogError>> task,
                std::optional<std::expected<CleaningReport, LogError>>* into) {
  into->emplace(co_await task);
}
Task<void> keep_log(Task<std::expected<std::unique_ptr<Log>, LogError>> task, std::unique_ptr<Log>* into) {
  auto opened = co_await task;
  *into = std::move(opened.value());
}

void fill(Log& log, std::size_t records, std::size_t keys, std::size_t value_bytes, std::size_t a_batch, Codec codec) {
  Compressor compressor;
  BatchBuilder builder;
  KeyedRandom random(1);
  std::string value(value_bytes, 'x');
  for (std::size_t i = 0; i < records;) {
    builder.reset({.codec = codec});
    for (std::size_t k = 0; k < a_batch && i < records; ++k, ++i) {
      const std::string key = "customer-" + std::to_string(random.below(keys));
      for (std::size_t c = 0; c < value.size(); c += 8) value[c] = static_cast<char>('a' + random.below(26));
      builder.add(1'700'000'000'000 + static_cast<std::int64_t>(i), as_bytes(key), as_bytes(value));
    }
    log.append_as_leader(builder.finish(compressor), LeaderEpoch(0), WallTime{}).value();
  }
}

int run(const std::string& where, std::size_t records, std::size_t keys, std::size_t value_bytes, std::size_t a_batch,
        Codec codec, std::size_t dedupe) {
  std::filesystem::remove_all(where);
  AsioRuntime runtime({.log_level = LogLevel::warn});
  FileCache files(runtime.disk());
  std::unique_ptr<Log> log;
  {
    Scope scope(runtime);
    scope.spawn(keep_log(
        Log::open(runtime, files, where, {.segment_bytes = 100 << 20, .compacted = true}, {.clean = true}), &log));
    while (scope.size() != 0) runtime.turn(std::chrono::milliseconds(10));
  }
  fill(*log, records, keys, value_bytes, a_batch, codec);
  log->roll(WallTime{}).value();
  const std::uint64_t size = log->size_bytes();
  Cleaner cleaner(runtime, {.dedupe_bytes = dedupe});
  std::optional<std::expected<CleaningReport, LogError>> done;
  std::size_t map_bytes = 0;
  const double begun = cpu_seconds();
  {
    Scope scope(runtime);
    scope.spawn(keep(log->clean(&cleaner, log->cleanable(WallTime{}, log->log_end()),
                                [&](const CleanedSegment&) { map_bytes = cleaner.map().memory_bytes(); }),
                     &done));
    while (scope.size() != 0) runtime.turn(std::chrono::milliseconds(10));
  }
  const double spent = cpu_seconds() - begun;
  const CleaningReport report = done->value();
  std::printf("%.0f MB of log, %.0f MB left, %.2f s: %.0f MB/s; map of %.1f MB; clean to offset %lld of %lld\n",
              static_cast<double>(size) / 1e6, static_cast<double>(report.bytes_left) / 1e6, spent,
              static_cast<double>(report.bytes_read) / 1e6 / spent, static_cast<double>(map_bytes) / 1e6,
              static_cast<long long>(report.clean_to.value()), static_cast<long long>(log->log_end().value()));
  log->release_files();
  log.reset();
  std::filesystem::remove_all(where);
  return 0;
}

}  // namespace
}  // namespace verdict::storage

int main(int argc, char** argv) {
  const auto number = [&](int at, std::size_t otherwise) {
    return argc > at ? static_cast<std::size_t>(std::strtoull(argv[at], nullptr, 10)) : otherwise;
  };
  const auto codec = verdict::storage::find_codec(argc > 6 ? argv[6] : "none");
  if (!codec) return 2;
  return verdict::storage::run(argc > 1 ? argv[1] : "/tmp/verdict-compaction", number(2, 4) * 1'000'000,
                               number(3, 500) * 1000, number(4, 200), number(5, 100), *codec, number(7, 128) << 20);
}
