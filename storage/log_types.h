#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/runtime.h"
#include "storage/types.h"

namespace verdict::storage {

// Kafka's topic configurations (their names in the comments). Durations in ms, sizes in bytes; -1 is "no limit" where
// Kafka has it so.
struct LogConfig {
  std::uint32_t segment_bytes = 1U << 30;                          // segment.bytes
  std::int64_t segment_ms = std::int64_t{7} * 24 * 3600 * 1000;    // segment.ms
  std::uint32_t index_interval_bytes = 4096;                       // index.interval.bytes
  std::uint32_t index_bytes = 10U << 20;                           // segment.index.bytes
  std::int64_t retention_bytes = -1;                               // retention.bytes
  std::int64_t retention_ms = std::int64_t{7} * 24 * 3600 * 1000;  // retention.ms
  bool delete_old = true;                                          // cleanup.policy has delete
  bool compacted = false;                                          // cleanup.policy has compact: offsets may have holes
  std::int64_t producer_id_expiration_ms = std::int64_t{24} * 3600 * 1000;  // producer.id.expiration.ms
  std::int64_t delete_retention_ms = std::int64_t{24} * 3600 * 1000;        // delete.retention.ms
  std::int64_t min_compaction_lag_ms = 0;                                   // min.compaction.lag.ms
  std::int64_t max_compaction_lag_ms = INT64_MAX;                           // max.compaction.lag.ms
  std::size_t tail_batches = 128;  // newest batches whose places are kept in memory
};

enum class LogErrorKind : std::uint8_t {
  out_of_range,   // the offset is below the log start or above the log end
  invalid_batch,  // a follower's bytes are damaged or don't continue the log
  too_large,      // a produced batch of more than segment.bytes
  append_failed,  // the disk refused; the log is what it was before
  read_failed,    // the disk refused a read
  damaged,        // what is in the files is not a log; recovery has not seen this place
  offline,        // a sync or a cut failed: nothing more can be trusted; the log directory must go offline
  unsupported,    // files of a kind that this version doesn't know
  // What a producer's batch or marker is refused for (ProducerFault):
  out_of_order_sequence,
  invalid_producer_epoch,
  invalid_txn_state,
  coordinator_fenced,
};
std::string_view name_of(LogErrorKind kind);

struct LogError {
  LogErrorKind kind;
  std::error_code cause;  // of the disk; empty if it was none
  std::string detail;     // file and what was wrong; may be empty
  std::string to_string() const;
};

// One batch as it went into the log.
struct Appended {
  Offset base;
  Offset last;
  LeaderEpoch epoch;
  Offset segment_base;         // its file: segment_file_name(segment_base, ".log")
  std::uint64_t position = 0;  // bytes, in that file
  std::uint32_t size = 0;      // bytes
  std::uint32_t crc = 0;       // as in the batch
  std::int64_t max_timestamp = -1;
  bool rolled = false;  // a new segment was begun for it
  // A retry: nothing was appended. Base, last, max_timestamp, crc and epoch are those of the batch that came first; of
  // one that retention took, crc may be 0 and epoch is kNoEpoch. The rest means nothing.
  bool duplicate = false;
};

struct Truncated {
  Offset old_end;
  Offset new_end;
  bool changed() const { return old_end != new_end; }
};

// A range in one segment file, ready for send_file: whole batches, and the part of one more that the byte limit left.
// Empty: nothing below the bound yet.
// The file stays readable after truncation, retention and deletion; what is beyond a truncation is then other bytes.
struct ReadSlice {
  std::shared_ptr<File> file;
  Offset segment_base;
  std::uint64_t position = 0;  // bytes
  std::size_t size = 0;        // bytes
  Offset first;                // base offset of the first batch; may be below the offset asked, or above it (a hole)
  Offset next;                 // one after the last whole batch's last offset; where empty: the offset asked
  bool empty() const { return size == 0; }
};

struct TimedOffset {
  Offset offset;
  std::int64_t timestamp = -1;  // ms
  LeaderEpoch epoch;
};

struct RemovedSegment {
  Offset base;
  Offset next;  // the base of the segment after it
  std::uint64_t bytes = 0;
};

struct RecoveryReport {
  bool checked = false;         // false after a clean stop
  std::uint64_t batches = 0;    // read and found valid
  std::uint64_t bytes_cut = 0;  // from the segment that held the first bad batch, and all segments after it
  std::uint32_t segments_removed = 0;
  std::uint32_t indexes_rebuilt = 0;
  std::uint32_t snapshots_skipped = 0;  // producer snapshots that could not be read
  bool holes = false;                   // offsets that are in no batch, between checked batches
  bool epochs_rebuilt = false;          // leader-epoch-checkpoint was missing or said otherwise than the batches
  std::string why_cut;                  // empty if nothing was
};

// "00000000000000000042.log"; suffix with its dot.
std::string segment_file_name(Offset base, std::string_view suffix);
void append_segment_file_name(std::string& to, Offset base, std::string_view suffix);
// The base offset in such a name, if it is one with that suffix.
std::optional<Offset> parse_segment_file_name(std::string_view name, std::string_view suffix);

}  // namespace verdict::storage
