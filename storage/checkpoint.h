#pragma once

#include <compare>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/task.h"
#include "storage/bytes.h"
#include "storage/types.h"

// Kafka's small text files. Each is replaced as a whole: written aside (".tmp"), synced, renamed, directory synced.
// After a crash at any point the old or the new file is there.
namespace verdict::storage {

// The directory part of a path; "." without one.
std::string parent_of(std::string_view path);

// A small file's bytes. An absent file is errc::no_such_file_or_directory; over `limit` bytes: errc::file_too_large.
Outcome<std::string> read_small_file(Disk& disk, const std::string& path, std::size_t limit = std::size_t{64} << 20);

// At the end of an open file, in this turn. What does not fit is errc::no_space_on_device.
Outcome<void> append_whole_now(File& file, Bytes bytes);
// The whole content of an open file, in this turn; not synced. What does not fit is errc::no_space_on_device.
Outcome<void> rewrite_now(File& file, Bytes bytes);

// In this turn, blocking: for start-up, shut-down and rare changes.
Outcome<void> replace_file_now(Disk& disk, const std::string& path, std::string_view text);
// Without blocking the loop. The caller sees to it that no two run for one path.
Task<Outcome<void>> replace_file(Runtime& runtime, std::string path, std::string text);

struct PartitionName {
  std::string topic;
  std::int32_t partition = 0;
  friend auto operator<=>(const PartitionName&, const PartitionName&) = default;
};

// recovery-point-offset-checkpoint, replication-offset-checkpoint, log-start-offset-checkpoint,
// cleaner-offset-checkpoint: "0", the number of lines, and lines "topic partition offset".
using OffsetCheckpoint = std::map<PartitionName, Offset>;
std::string format_offsets(const OffsetCheckpoint& offsets);
// The error says which line is wrong and why.
std::expected<OffsetCheckpoint, std::string> parse_offsets(std::string_view text);

// Lines after the two head lines of a checkpoint file, which must say version 0 and their number.
std::expected<std::vector<std::string_view>, std::string> checkpoint_lines(std::string_view text);

}  // namespace verdict::storage
