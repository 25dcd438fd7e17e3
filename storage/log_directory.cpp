#include "storage/log_directory.h"

#include <fmt/format.h>

#include <algorithm>

#include "storage/partition_metadata.h"
#include "storage/text.h"

namespace verdict::storage {
namespace {

constexpr std::string_view kRecoveryPoints = "recovery-point-offset-checkpoint";
constexpr std::string_view kLogStarts = "log-start-offset-checkpoint";
constexpr std::string_view kHighWatermarks = "replication-offset-checkpoint";
constexpr std::string_view kCleaned = "cleaner-offset-checkpoint";
constexpr std::string_view kLock = ".lock";
constexpr std::size_t kTopicNameLimit = 249;

using Done = std::expected<void, DirectoryError>;

std::unexpected<DirectoryError> fail(std::error_code cause, const std::string& path, std::string_view what) {
  std::string message = fmt::format("{}: {}", path, what);
  if (cause) message += fmt::format(": {}", cause.message());
  return std::unexpected(DirectoryError{cause, std::move(message)});
}

bool absent(std::error_code error) { return error == std::errc::no_such_file_or_directory; }

bool topic_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

// Partition folders that are no partitions of this broker any more, or not yet.
bool is_set_aside(std::string_view name) {
  return name.ends_with("-stray") || name.ends_with("-future") || name == "lost+found" || name.starts_with('.');
}

}  // namespace

std::optional<PartitionName> parse_partition_folder(std::string_view name) {
  const std::size_t dash = name.rfind('-');
  if (dash == std::string_view::npos || dash == 0 || dash > kTopicNameLimit) return std::nullopt;
  const std::string_view topic = name.substr(0, dash);
  const std::string_view number = name.substr(dash + 1);
  const auto partition = parse_number<std::int32_t>(number);
  if (!partition || *partition < 0 || (number.size() > 1 && number.front() == '0')) return std::nullopt;
  if (!std::ranges::all_of(topic, topic_character) || topic == "." || topic == "..") return std::nullopt;
  return PartitionName{std::string(topic), *partition};
}

LogDirectory::LogDirectory(Runtime& runtime, std::string path) : runtime_(runtime), path_(std::move(path)) {}

LogDirectory::~LogDirectory() = default;

std::expected<std::unique_ptr<LogDirectory>, DirectoryError> LogDirectory::open(Runtime& runtime, std::string path) {
  std::unique_ptr<LogDirectory> directory(new LogDirectory(runtime, std::move(path)));
  if (auto loaded = directory->load(); !loaded) return std::unexpected(loaded.error());
  return directory;
}

Done LogDirectory::load() {
  Disk& disk = runtime_.disk();
  if (const auto status = disk.status(path_); !status) {
    if (!absent(status.error())) return fail(status.error(), path_, "log directory");
    if (auto made = disk.make_directory(path_); !made) return fail(made.error(), path_, "can't make the log directory");
    if (auto synced = disk.sync_directory_now(parent_of(path_)); !synced) return fail(synced.error(), path_, "sync");
  } else if (!status->directory) {
    return fail({}, path_, "is a file; a log directory is wanted");
  }
  auto lock = disk.lock(path_ + "/" + std::string(kLock));
  if (!lock) return fail(lock.error(), path_, "is locked: another broker uses this log directory");
  lock_ = std::move(*lock);

  const std::string meta_path = path_ + "/" + std::string(kMetaPropertiesFile);
  const auto meta = read_small_file(disk, meta_path);
  if (!meta && !absent(meta.error())) return fail(meta.error(), meta_path, "can't be read");
  if (meta) {
    auto parsed = parse_meta_properties(*meta);
    if (!parsed) return fail({}, meta_path, parsed.error());
    meta_ = std::move(*parsed);
  }
  const std::string clean_path = path_ + "/" + std::string(kCleanShutdownFile);
  if (const auto clean = read_small_file(disk, clean_path)) {
    previous_broker_epoch_ = parse_clean_shutdown(*clean).value_or(-1);
    // Gone, durably, before anything is written: a crash from here on is an unclean stop.
    if (auto removed = disk.remove(clean_path); !removed) return fail(removed.error(), clean_path, "can't be removed");
    if (auto synced = disk.sync_directory_now(path_); !synced) return fail(synced.error(), path_, "sync");
  }
  if (auto folders = load_folders(); !folders) return folders;
  for (const auto& [file, into] : {std::pair{kRecoveryPoints, &recovery_points_}, std::pair{kLogStarts, &log_starts_},
                                   std::pair{kHighWatermarks, &high_watermarks_}, std::pair{kCleaned, &cleaned_}}) {
    auto offsets = load_checkpoint(file);
    if (!offsets) return std::unexpected(offsets.error());
    *into = std::move(*offsets);
  }
  written_high_watermarks_.written = high_watermarks_;
  written_cleaned_.written = cleaned_;
  return {};
}

Done LogDirectory::load_folders() {
  Disk& disk = runtime_.disk();
  const auto names = disk.list(path_);
  if (!names) return fail(names.error(), path_, "can't be listed");
  for (const std::string& name : *names) {
    const std::string folder = path_ + "/" + name;
    const auto status = disk.status(folder);
    if (!status || !status->directory) continue;
    if (name.ends_with("-delete")) {
      if (auto removed = remove_folder(folder); !removed) return removed;
      continue;
    }
    if (is_set_aside(name)) {
      strays_.push_back(name);
      continue;
    }
    auto parsed = parse_partition_folder(name);
    if (!parsed) {
      return fail({}, folder, "is no partition's folder (\"topic-N\"): a log directory holds nothing but Kafka's data");
    }
    Partition partition{std::move(*parsed), folder, std::nullopt};
    const std::string metadata_path = folder + "/" + std::string(kPartitionMetadataFile);
    const auto text = read_small_file(disk, metadata_path);
    if (!text && !absent(text.error())) return fail(text.error(), metadata_path, "can't be read");
    if (text) {
      const auto id = parse_partition_metadata(*text);
      if (!id) return fail({}, metadata_path, id.error());
      partition.topic_id = *id;
    }
    partitions_.push_back(std::move(partition));
  }
  std::ranges::sort(partitions_, {}, &Partition::name);
  return {};
}

std::expected<OffsetCheckpoint, DirectoryError> LogDirectory::load_checkpoint(std::string_view file) {
  const std::string path = path_ + "/" + std::string(file);
  const auto text = read_small_file(runtime_.disk(), path);
  if (!text && absent(text.error())) return OffsetCheckpoint{};
  if (!text) return fail(text.error(), path, "can't be read");
  auto parsed = parse_offsets(*text);
  if (parsed) return std::move(*parsed);
  if (clean()) return fail({}, path, parsed.error());
  runtime_.log(LogLevel::warn, "log-directory",
               fmt::format("{}: ignored after an unclean stop: {}", path, parsed.error()));
  return OffsetCheckpoint{};
}

Done LogDirectory::write_meta(const MetaProperties& properties) {
  const std::string path = path_ + "/" + std::string(kMetaPropertiesFile);
  if (auto done = replace_file_now(runtime_.disk(), path, format_meta_properties(properties)); !done) {
    return fail(done.error(), path, "can't be written");
  }
  meta_ = properties;
  return {};
}

Log::OpenInput LogDirectory::open_input(const PartitionName& name) const {
  Log::OpenInput input;
  input.clean = clean();
  if (const auto at = recovery_points_.find(name); at != recovery_points_.end()) input.recovery_point = at->second;
  if (const auto at = log_starts_.find(name); at != log_starts_.end()) input.log_start = at->second;
  input.high_watermark = high_watermark(name);
  if (const auto at = cleaned_.find(name); at != cleaned_.end()) input.cleaned_to = at->second;
  return input;
}

Offset LogDirectory::high_watermark(const PartitionName& name) const {
  const auto at = high_watermarks_.find(name);
  return at == high_watermarks_.end() ? Offset(0) : at->second;
}

std::string LogDirectory::partition_path(const PartitionName& name) const {
  return fmt::format("{}/{}-{}", path_, name.topic, name.partition);
}

Done LogDirectory::create_partition(const PartitionName& name, const Uuid& topic_id) {
  Disk& disk = runtime_.disk();
  const std::string folder = partition_path(name);
  if (auto made = disk.make_directory(folder); !made) return fail(made.error(), folder, "can't be made");
  if (auto synced = disk.sync_directory_now(path_); !synced) return fail(synced.error(), path_, "sync");
  const std::string path = folder + "/" + std::string(kPartitionMetadataFile);
  if (auto done = replace_file_now(disk, path, format_partition_metadata(topic_id)); !done) {
    return fail(done.error(), path, "can't be written");
  }
  return {};
}

std::expected<std::string, DirectoryError> LogDirectory::mark_deleted(const PartitionName& name, const Uuid& unique) {
  const std::string folder = partition_path(name);
  std::string gone = fmt::format("{}/{}-{}.{}-delete", path_, name.topic, name.partition, unique.to_string());
  if (auto renamed = runtime_.disk().rename(folder, gone); !renamed)
    return fail(renamed.error(), folder, "can't be renamed");
  if (auto synced = runtime_.disk().sync_directory_now(path_); !synced) return fail(synced.error(), path_, "sync");
  return gone;
}

Done LogDirectory::remove_folder(const std::string& folder) {
  Disk& disk = runtime_.disk();
  const auto names = disk.list(folder);
  if (!names) return fail(names.error(), folder, "can't be listed");
  for (const std::string& name : *names) {
    if (auto removed = disk.remove(folder + "/" + name); !removed)
      return fail(removed.error(), folder + "/" + name, "remove");
  }
  if (auto removed = disk.remove(folder); !removed) return fail(removed.error(), folder, "remove");
  return {};
}

Task<Done> LogDirectory::write_checkpoint(std::string file, OffsetCheckpoint offsets) {
  const std::string path = path_ + "/" + file;
  const Outcome<void> done = co_await replace_file(runtime_, path, format_offsets(offsets));
  if (!done) co_return fail(done.error(), path, "can't be written");
  co_return Done();
}

Task<Done> LogDirectory::write_recovery_points(OffsetCheckpoint offsets) {
  return write_checkpoint(std::string(kRecoveryPoints), std::move(offsets));
}
Task<Done> LogDirectory::write_log_starts(OffsetCheckpoint offsets) {
  return write_checkpoint(std::string(kLogStarts), std::move(offsets));
}
Task<Done> LogDirectory::write_high_watermarks(OffsetCheckpoint offsets) {
  return write_lowered(std::string(kHighWatermarks), &written_high_watermarks_, std::move(offsets));
}
Task<Done> LogDirectory::write_cleaned(OffsetCheckpoint offsets) {
  return write_lowered(std::string(kCleaned), &written_cleaned_, std::move(offsets));
}
std::expected<bool, DirectoryError> LogDirectory::lower_high_watermark_now(const PartitionName& name, Offset to) {
  return lower_now(kHighWatermarks, written_high_watermarks_, name, to);
}
std::expected<bool, DirectoryError> LogDirectory::lower_cleaned_now(const PartitionName& name, Offset to) {
  return lower_now(kCleaned, written_cleaned_, name, to);
}

Task<Done> LogDirectory::write_lowered(std::string file, Lowered* state, OffsetCheckpoint offsets) {
  state->written = offsets;
  const std::uint64_t times = state->times;
  Done written = co_await write_checkpoint(file, std::move(offsets));
  // Meanwhile lowered: this write has put the higher one back, or failed as its file was taken away.
  if (state->times != times) written = write_now(file, *state);
  co_return written;
}
Done LogDirectory::write_now(std::string_view file, const Lowered& state) {
  const std::string path = path_ + "/" + std::string(file);
  const Outcome<void> done = replace_file_now(runtime_.disk(), path, format_offsets(state.written));
  if (!done) return fail(done.error(), path, "can't be written");
  return {};
}
std::expected<bool, DirectoryError> LogDirectory::lower_now(std::string_view file, Lowered& state,
                                                            const PartitionName& name, Offset to) {
  const auto at = state.written.find(name);
  if (at == state.written.end() || at->second <= to) return false;
  at->second = to;
  ++state.times;
  if (const Done written = write_now(file, state); !written) return std::unexpected(written.error());
  return true;
}

Done LogDirectory::write_clean_shutdown(std::int64_t broker_epoch) {
  const std::string path = path_ + "/" + std::string(kCleanShutdownFile);
  if (auto done = replace_file_now(runtime_.disk(), path, format_clean_shutdown(broker_epoch)); !done) {
    return fail(done.error(), path, "can't be written");
  }
  return {};
}

Outcome<std::uint64_t> LogDirectory::free_space() const { return runtime_.disk().free_space(path_); }

}  // namespace verdict::storage
