#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "protocol/broker/partition.h"
#include "protocol/config_values.h"
#include "runtime/scope.h"
#include "storage/cleaner.h"
#include "storage/log_directory.h"

namespace verdict::broker {

// What log.cleaner.* says now.
struct CleanerSettings {
  std::size_t threads = 1;
  Duration backoff{};
  storage::CleanerOptions options;
};
CleanerSettings cleaner_settings(const protocol::ConfigView& view);

// Compacts the logs of one node: again and again the one with the largest dirty share of those that are due, by
// min.cleanable.dirty.ratio or max.compaction.lag.ms, as many at a time as log.cleaner.threads says. Where each log is
// clean goes to cleaner-offset-checkpoint. A log in which a pass finds damage is left alone from then on.
class LogCleaner {
 public:
  using Partitions = std::map<PartitionKey, PartitionPtr>;
  // `settings`: none while the metadata is not known. All outlive the cleaner.
  LogCleaner(Runtime& runtime, storage::LogDirectory& directory, const Partitions& partitions,
             std::function<std::optional<CleanerSettings>()> settings,
             std::function<void(Partition&, const storage::LogError&)> offline, bool observed);

  void start(Scope& scope);
  void stop();  // passes under way end; then the scope may be joined

 private:
  struct Choice {
    PartitionPtr partition;
    storage::CleaningRange range;
  };
  std::optional<Choice> choose() const;
  Task<void> work(std::size_t thread);
  Task<void> clean(storage::Cleaner* tools, Choice choice);
  Task<void> checkpoint();
  void failed(Partition& partition, const storage::LogError& error);

  Runtime& runtime_;
  storage::LogDirectory& directory_;
  const Partitions& partitions_;
  std::function<std::optional<CleanerSettings>()> settings_;
  std::function<void(Partition&, const storage::LogError&)> offline_;
  bool observed_;
  Scope* scope_ = nullptr;
  std::set<std::size_t> threads_;                    // at work
  std::map<std::size_t, storage::Cleaner*> passes_;  // by thread
  std::set<PartitionKey> under_way_;
  std::set<PartitionKey> damaged_;
  bool writing_ = false;
  bool write_again_ = false;
  bool stopping_ = false;
  Signal stop_;
};

}  // namespace verdict::broker
