#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/task.h"
#include "storage/checkpoint.h"
#include "storage/file_cache.h"
#include "storage/log.h"
#include "storage/meta_properties.h"

namespace verdict::storage {

struct DirectoryError {
  std::error_code cause;
  std::string message;  // one line: file, what is wrong, what is expected
};

// One entry of log.dirs: its lock, meta.properties, checkpoints, clean-shutdown file and partition folders.
class LogDirectory {
 public:
  struct Partition {
    PartitionName name;
    std::string path;
    std::optional<Uuid> topic_id;  // none: no partition.metadata (a folder made but not finished)
  };

  // Makes the directory if it is absent; refuses one that is locked, or holds something that is not Kafka's. Reads and
  // then durably removes the clean-shutdown file; removes folders that a deletion left (`-delete`).
  // `runtime` outlives the directory.
  static std::expected<std::unique_ptr<LogDirectory>, DirectoryError> open(Runtime& runtime, std::string path);
  ~LogDirectory();

  const std::string& path() const { return path_; }
  const std::optional<MetaProperties>& meta() const { return meta_; }  // none: a new directory
  std::expected<void, DirectoryError> write_meta(const MetaProperties& properties);

  bool clean() const { return previous_broker_epoch_.has_value(); }  // the last stop was an orderly one
  // The broker epoch of the last orderly stop, for BrokerRegistration; -1 after any other.
  std::int64_t previous_broker_epoch() const { return previous_broker_epoch_.value_or(-1); }
  const std::vector<Partition>& partitions() const { return partitions_; }  // found at start, by name
  const std::vector<std::string>& strays() const { return strays_; }  // names that were skipped: stray, future, unknown

  // As read at start; empty where the file was absent. A damaged file is an error of open, but after an unclean stop,
  // when it counts as absent.
  const OffsetCheckpoint& recovery_points() const { return recovery_points_; }
  const OffsetCheckpoint& log_starts() const { return log_starts_; }
  const OffsetCheckpoint& high_watermarks() const { return high_watermarks_; }
  // What Log::open wants for a partition, and the high watermark checkpointed for it (0 if none was).
  Log::OpenInput open_input(const PartitionName& name) const;
  Offset high_watermark(const PartitionName& name) const;

  std::string partition_path(const PartitionName& name) const;
  // A new partition's folder with its partition.metadata, durable when this returns.
  std::expected<void, DirectoryError> create_partition(const PartitionName& name, const Uuid& topic_id);
  // Renames the folder to "topic-N.<id>-delete": from then on it is gone, also after a crash. Returns its new path.
  std::expected<std::string, DirectoryError> mark_deleted(const PartitionName& name, const Uuid& unique);
  // Removes a folder with its files.
  std::expected<void, DirectoryError> remove_folder(const std::string& folder);

  // Replace a whole checkpoint file. Each is called by one task at a time.
  Task<std::expected<void, DirectoryError>> write_recovery_points(OffsetCheckpoint offsets);
  Task<std::expected<void, DirectoryError>> write_log_starts(OffsetCheckpoint offsets);
  Task<std::expected<void, DirectoryError>> write_high_watermarks(OffsetCheckpoint offsets);
  // The log ends, or was cut, below the high watermark that is written down: the file says so when this returns, before
  // other records take the place of those that are gone. Returns whether it had to.
  std::expected<bool, DirectoryError> lower_high_watermark_now(const PartitionName& name, Offset to);
  Task<std::expected<void, DirectoryError>> write_cleaned(OffsetCheckpoint offsets);
  // The same of cleaner-offset-checkpoint: a tombstone that is written anew above a cut must not count as cleaned, or
  // it goes before what it deletes.
  std::expected<bool, DirectoryError> lower_cleaned_now(const PartitionName& name, Offset to);
  // The last act of an orderly stop, after all logs are closed and all checkpoints written.
  std::expected<void, DirectoryError> write_clean_shutdown(std::int64_t broker_epoch);

  Outcome<std::uint64_t> free_space() const;  // bytes

 private:
  LogDirectory(Runtime& runtime, std::string path);
  std::expected<void, DirectoryError> load();
  std::expected<void, DirectoryError> load_folders();
  std::expected<OffsetCheckpoint, DirectoryError> load_checkpoint(std::string_view file);
  Task<std::expected<void, DirectoryError>> write_checkpoint(std::string file, OffsetCheckpoint offsets);
  // A checkpoint that must not vouch for what is cut. As the file has it, or will once the write under way is done.
  struct Lowered {
    OffsetCheckpoint written;
    std::uint64_t times = 0;
  };
  Task<std::expected<void, DirectoryError>> write_lowered(std::string file, Lowered* state, OffsetCheckpoint offsets);
  std::expected<bool, DirectoryError> lower_now(std::string_view file, Lowered& state, const PartitionName& name,
                                                Offset to);
  std::expected<void, DirectoryError> write_now(std::string_view file, const Lowered& state);

  Runtime& runtime_;
  std::string path_;
  std::unique_ptr<FileLock> lock_;
  std::optional<MetaProperties> meta_;
  std::optional<std::int64_t> previous_broker_epoch_;
  std::vector<Partition> partitions_;
  std::vector<std::string> strays_;
  OffsetCheckpoint recovery_points_;
  OffsetCheckpoint log_starts_;
  OffsetCheckpoint high_watermarks_;
  OffsetCheckpoint cleaned_;
  Lowered written_high_watermarks_;
  Lowered written_cleaned_;
};

// "topic-3" -> {topic, 3}; none for other names.
std::optional<PartitionName> parse_partition_folder(std::string_view name);

}  // namespace verdict::storage
