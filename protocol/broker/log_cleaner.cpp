#include "protocol/broker/log_cleaner.h"

#include <fmt/format.h>

#include <algorithm>

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "LogCleaner";

}  // namespace

CleanerSettings cleaner_settings(const protocol::ConfigView& view) {
  CleanerSettings settings;
  settings.threads = static_cast<std::size_t>(view.broker_integer("log.cleaner.threads"));
  settings.backoff = from_ms(std::min<std::int64_t>(view.broker_integer("log.cleaner.backoff.ms"), 1'000'000'000));
  const std::size_t shares = std::max<std::size_t>(settings.threads, 1);
  const auto share = [&](std::string_view key) {
    return static_cast<std::size_t>(std::max<std::int64_t>(view.broker_integer(key), 0)) / shares;
  };
  settings.options.dedupe_bytes = share("log.cleaner.dedupe.buffer.size");
  settings.options.io_bytes = share("log.cleaner.io.buffer.size");
  settings.options.load_percent =
      static_cast<unsigned>(std::clamp(view.broker_real("log.cleaner.io.buffer.load.factor"), 0.01, 1.0) * 100);
  const double rate = view.broker_real("log.cleaner.io.max.bytes.per.second");
  if (rate < 1e18) settings.options.bytes_per_second = std::max<std::int64_t>(static_cast<std::int64_t>(rate), 1);
  return settings;
}

LogCleaner::LogCleaner(Runtime& runtime, storage::LogDirectory& directory, const Partitions& partitions,
                       std::function<std::optional<CleanerSettings>()> settings,
                       std::function<void(Partition&, const storage::LogError&)> offline, bool observed)
    : runtime_(runtime),
      directory_(directory),
      partitions_(partitions),
      settings_(std::move(settings)),
      offline_(std::move(offline)),
      observed_(observed),
      stop_(runtime) {}

void LogCleaner::start(Scope& scope) {
  scope_ = &scope;
  threads_.insert(0);
  scope.spawn(work(0));
}

void LogCleaner::stop() {
  stopping_ = true;
  for (const auto& [thread, tools] : passes_) tools->stop();
  stop_.notify();
}

// Kafka's grabFilthiestCompactedLog.
std::optional<LogCleaner::Choice> LogCleaner::choose() const {
  std::optional<Choice> best;
  for (const auto& [key, partition] : partitions_) {
    const bool candidate = partition->opened() && !partition->removed() && partition->config().cleanup_compact &&
                           !under_way_.contains(key) && !damaged_.contains(key);
    if (!candidate || partition->log().segment_count() < 2) continue;
    const storage::CleaningRange range =
        partition->log().cleanable(runtime_.wall_now(), partition->replica().high_watermark());
    if (range.empty()) continue;
    const auto share = static_cast<double>(range.dirty_millionths()) / 1e6;
    if (!range.overdue && share <= partition->config().min_cleanable_dirty_ratio) continue;
    if (!best || range.dirty_millionths() > best->range.dirty_millionths()) best = Choice{partition, range};
  }
  return best;
}

// The first one sees to it that there are as many as are wanted.
Task<void> LogCleaner::work(std::size_t thread) {
  while (!stopping_) {
    const auto settings = settings_();
    const std::size_t wanted = settings ? settings->threads : 0;
    for (std::size_t other = 1; thread == 0 && other < wanted; ++other) {
      if (threads_.insert(other).second) scope_->spawn(work(other));
    }
    if (thread != 0 && thread >= wanted) break;
    auto choice = thread < wanted ? choose() : std::nullopt;
    if (choice) {
      storage::CleanerOptions options = settings->options;
      options.tell_records = observed_;
      storage::Cleaner tools(runtime_, options);
      passes_[thread] = &tools;
      under_way_.insert(choice->partition->key());
      const PartitionKey key = choice->partition->key();
      co_await clean(&tools, std::move(*choice));
      under_way_.erase(key);
      passes_.erase(thread);
    } else {
      const Duration pause = settings ? settings->backoff : Duration(1s);
      const MonoTime next =
          runtime_.now() + std::max<Duration>(runtime_.maybe(Site::EarlyTick) ? pause / 8 : pause, 1ms);
      co_await stop_.wait_until(next);
    }
  }
  threads_.erase(thread);
}

Task<void> LogCleaner::clean(storage::Cleaner* tools, Choice choice) {
  const PartitionPtr partition = choice.partition;
  const auto done = co_await partition->clean(tools, choice.range);
  if (partition->removed() || stopping_) co_return;
  if (!done) {
    failed(*partition, done.error());
    co_await stop_.wait_until(runtime_.now() + 1s);
    co_return;
  }
  if (done->segments_before != 0) {
    runtime_.log(LogLevel::info, kLogger,
                 fmt::format("{}: cleaned to offset {}: {} segments of {} bytes became {} of {} bytes{}",
                             partition->name(), done->clean_to.value(), done->segments_before, done->bytes_read,
                             done->segments_after, done->bytes_left, done->interrupted ? ", then broken off" : ""));
  }
  if (!done->interrupted) co_await checkpoint();
}

void LogCleaner::failed(Partition& partition, const storage::LogError& error) {
  if (error.kind == storage::LogErrorKind::offline) return offline_(partition, error);
  const bool again = error.kind == storage::LogErrorKind::append_failed;
  runtime_.log(again ? LogLevel::warn : LogLevel::error, kLogger,
               fmt::format("{} can't be compacted{}: {}", partition.name(), again ? " now" : "", error.to_string()));
  if (!again) damaged_.insert(partition.key());
}

// One write at a time, and one more for what was cleaned meanwhile.
Task<void> LogCleaner::checkpoint() {
  write_again_ = true;
  if (writing_) co_return;
  writing_ = true;
  while (write_again_) {
    write_again_ = false;
    storage::OffsetCheckpoint offsets;
    for (const auto& [key, partition] : partitions_) {
      if (partition->opened() && partition->config().cleanup_compact && partition->log().cleaned_to() > Offset(0))
        offsets[{.topic = partition->topic(), .partition = key.index}] = partition->log().cleaned_to();
    }
    const auto written = co_await directory_.write_cleaned(std::move(offsets));
    if (!written && !stopping_) runtime_.halt(written.error().message);
  }
  writing_ = false;
}

}  // namespace verdict::broker
