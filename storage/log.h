#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/signal.h"
#include "runtime/task.h"
#include "storage/batch.h"
#include "storage/epoch_cache.h"
#include "storage/file_cache.h"
#include "storage/log_types.h"
#include "storage/producer_state.h"
#include "storage/txn_index.h"
#include "storage/validate.h"

namespace verdict::storage {

class Cleaner;
class ScanWindow;
struct CleanedSegment;
struct CleaningRange;
struct CleaningReport;
struct Segment;
enum class SegmentFile : std::uint8_t;

// One partition's directory: segments with their indexes, the leader epochs, and the producers with their transactions.
//
// Changes are synchronous and finish in the caller's turn; reads, lookups and flush are tasks. A task re-checks the log
// after each suspension: truncation, retention and roll may happen meanwhile. The log outlives its tasks.
//
// What survives: appended bytes survive the process at once and the machine after flush() has returned an offset beyond
// them. A truncation is durable before the next append, so that what was cut never mixes with what is written over it.
// A crash between any two disk calls leaves a directory that open() brings back to a prefix of the log.
//
// After an error of kind offline every call fails with it; the log's directory must go offline.
class Log {
 public:
  struct OpenInput {
    bool clean = false;        // the directory's clean-shutdown file was there: nothing is checked
    Offset recovery_point{0};  // recovery-point-offset-checkpoint; 0 if it is not there
    Offset log_start{0};       // log-start-offset-checkpoint; 0 if it is not there
    // replication-offset-checkpoint; 0 if it is not there. What ended above it is not decided for read_committed.
    Offset high_watermark{0};
    Offset cleaned_to{0};  // cleaner-offset-checkpoint; 0 if it is not there
  };
  // Makes the directory if it is absent. `runtime` and `files` outlive the log.
  static Task<std::expected<std::unique_ptr<Log>, LogError>> open(Runtime& runtime, FileCache& files,
                                                                  std::string directory, LogConfig config,
                                                                  OpenInput input);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  const std::string& directory() const { return directory_; }
  const RecoveryReport& recovery() const { return recovery_; }
  const LogConfig& config() const { return config_; }
  void set_config(const LogConfig& config) { config_ = config; }

  Offset log_start() const { return log_start_; }
  Offset log_end() const { return log_end_; }                // the offset of the next record
  Offset recovery_point() const { return recovery_point_; }  // everything below survives the machine
  LeaderEpoch last_epoch() const;                            // of the newest known epoch start; kNoEpoch if none
  const EpochCache& epochs() const { return epochs_; }
  std::uint64_t size_bytes() const { return size_bytes_; }  // of all .log files
  std::size_t segment_count() const { return segments_.size(); }
  Offset active_segment_base() const;
  std::optional<LogError> offline() const { return offline_; }

  // A batch that validate_batch passed; stamps base offset and epoch into it. epoch >= last_epoch(). A batch with a
  // producer id must be its producer's next one, or a retry of one of its last five: Appended::duplicate.
  std::expected<Appended, LogError> append_as_leader(std::span<std::byte> batch, LeaderEpoch epoch, WallTime now,
                                                     AppendOrigin origin = AppendOrigin::client);
  // Ends the producer's transaction here, if one is open.
  std::expected<Appended, LogError> append_marker(const TxnMarker& marker, LeaderEpoch epoch, WallTime now);

  enum class Holes : bool { refused, allowed };  // between batches: a compacted log has them
  // Whole batches as a leader sent them; CRC, offsets (from log_end() on) and epochs are checked, all before the first
  // is written. `appended` gets one entry a batch, also for those that went in before an error.
  // A batch of more than segment.bytes gets a segment of its own: the setting may have been another when it was
  // produced, and compaction makes a tombstone's batch larger. Whoever refused it could copy nothing any more. (Kafka
  // refuses it: there such a follower is stuck.)
  std::expected<void, LogError> append_as_follower(Bytes batches, Holes holes, WallTime now,
                                                   std::vector<Appended>& appended);

  // Cuts the batch that holds `offset` and all after it. Does nothing at or above log_end().
  std::expected<Truncated, LogError> truncate_to(Offset offset);
  // Drops everything; the log then is empty and goes on at `offset`.
  std::expected<Truncated, LogError> truncate_fully_and_start_at(Offset offset);
  // A new leader's first act. Reaches the disk with the next flush.
  bool assign_epoch_start(LeaderEpoch epoch, Offset start);
  // Records below are no longer served (DeleteRecords, or the leader's log start). At most log_end(). False: no change.
  bool advance_log_start(Offset offset);

  // Begins a new segment unless the active one is empty. Returns whether it did.
  std::expected<bool, LogError> roll(WallTime now);
  std::expected<bool, LogError> roll_if_due(WallTime now);  // segment.ms, without waiting for the next append

  // Removes whole oldest segments by time, size and log start, none that reaches above the high watermark. `starts_at`
  // hears of a new log start before the first file goes.
  std::expected<std::vector<RemovedSegment>, LogError> enforce_retention(
      WallTime now, Offset high_watermark, const std::function<void(Offset)>& starts_at = {});

  // What compaction would look at now. None of it is at or above the high watermark.
  CleaningRange cleanable(WallTime now, Offset high_watermark);
  // One pass over that range; `told` of each swap, in its turn. One at a time; `cleaner` outlives it. An error but
  // offline leaves the log as it was, or with what was swapped in before.
  using OnCleaned = std::function<void(const CleanedSegment&)>;
  Task<std::expected<CleaningReport, LogError>> clean(Cleaner* cleaner, CleaningRange range, OnCleaned told);
  Offset cleaned_to() const { return cleaned_to_; }  // for the cleaner's checkpoint: below it nothing is dirty

  // Batches from the one that holds `from` (or the next after a hole) while they end below `upper_bound` (high
  // watermark or last stable offset; exclusive), cut at `max_bytes` even inside a batch, as Kafka's are; the first is
  // whole or not there. at_least_one: the first may exceed max_bytes. Never spans segments. `from` outside
  // [log_start, log_end]: out_of_range.
  Task<std::expected<ReadSlice, LogError>> read(Offset from, std::size_t max_bytes, Offset upper_bound,
                                                bool at_least_one);
  // The same where no I/O is needed (the newest batches); none: use read().
  std::optional<std::expected<ReadSlice, LogError>> try_read(Offset from, std::size_t max_bytes, Offset upper_bound,
                                                             bool at_least_one);
  // The same, copied.
  Task<std::expected<std::vector<std::byte>, LogError>> read_bytes(Offset from, std::size_t max_bytes,
                                                                   Offset upper_bound, bool at_least_one);

  // ListOffsets by time: the first record with a timestamp >= `timestamp_ms` in the first segment that has one. None:
  // no such record. `decompressor` outlives the task.
  Task<std::expected<std::optional<TimedOffset>, LogError>> offset_for_time(std::int64_t timestamp_ms,
                                                                            Decompressor& decompressor);
  // ListOffsets MAX_TIMESTAMP (KIP-734): the first record with the largest timestamp.
  Task<std::expected<std::optional<TimedOffset>, LogError>> offset_of_max_timestamp(Decompressor& decompressor);

  std::optional<EpochEnd> end_offset_for(LeaderEpoch asked) const { return epochs_.end_offset_for(asked, log_end_); }

  const ProducerState& producers() const { return producers_; }
  void expire_producers(WallTime now);  // producer.id.expiration.ms
  // Whom it has forgotten by that rule since it was asked last, at its opening too, and does not know again.
  std::vector<ProducerId> take_forgotten();
  // Forgets the transactions whose ends it has passed.
  void note_high_watermark(Offset high_watermark) { producers_.on_high_watermark(high_watermark); }
  // First record of the oldest transaction whose end is not known to be below the high watermark, which goes back only
  // with a truncation; the high watermark if that is lower, or there is none. Never below the log start.
  Offset last_stable_offset(Offset high_watermark);
  // Those with records in [from, upper_bound), by their markers.
  std::vector<AbortedTxn> aborted_transactions(Offset from, Offset upper_bound) const;

  // Makes everything durable that was appended before the call, with indexes, epochs and directory; the new recovery
  // point. The broker writes it to the checkpoint of the log directory.
  Task<std::expected<Offset, LogError>> flush();
  // The last call: trims and flushes. No other task of the log may be running.
  Task<std::expected<void, LogError>> close_cleanly();
  // Forgets open files (the directory is about to be renamed or removed).
  void release_files();

 private:
  struct Tail {  // where one of the newest batches is
    Offset base;
    Offset last;
    Offset segment_base;
    std::uint64_t position = 0;
    std::uint32_t size = 0;
  };
  struct Loader;
  struct Cleaning;
  using Done = std::expected<void, LogError>;

  Log(Runtime& runtime, FileCache& files, std::string directory, LogConfig config);

  std::string path_of(Offset base, SegmentFile file) const;
  Outcome<std::shared_ptr<File>> open_file(Segment& segment, SegmentFile file, bool create = false);
  Segment& segment_of(Offset base);
  Segment& active() const { return *segments_.back(); }
  std::size_t segment_index_for(Offset offset) const;
  Offset end_of_segment(std::size_t index) const;
  std::uint64_t segment_limit() const;
  // Sees to it that `need` bytes of the segment's .log file are in view at `position`, unless it ends there.
  Done bring_now(ScanWindow& window, const Segment& segment, std::uint64_t position, std::size_t need) const;
  LogError fail(LogErrorKind kind, std::error_code cause, std::string detail) const;
  LogError go_offline(std::error_code cause, std::string detail);

  // log.cpp: appends and rolls
  Done make_room(std::size_t bytes, const BatchHeader& first, WallTime now, bool& rolled);
  bool roll_due(std::size_t bytes, const BatchHeader& first, WallTime now) const;
  Done write_bytes(Bytes bytes);
  Appended note_appended(const BatchHeader& header, bool rolled);
  Done check_follower_batches(Bytes batches, Holes holes) const;
  Done add_segment(Offset base, WallTime now);
  Done start_segment(Offset base, WallTime now);
  void push_tail(const Tail& tail);
  const Tail& tail_at(std::size_t index) const { return tail_[(tail_first_ + index) % tail_.size()]; }

  // log_producers.cpp: producers, their snapshots, aborted transactions
  bool tracks_producers() const { return !producers_.empty() || !snapshots_.empty(); }
  std::expected<std::optional<Appended>, LogError> admit(const BatchHeader& header, Bytes batch, AppendOrigin origin);
  LogError refusal(ProducerFault fault, const BatchHeader& header) const;
  std::expected<Appended, LogError> duplicate_of(const SequencedBatch& first);
  void note_producer(const BatchHeader& header, Bytes batch, Segment& segment);
  std::string snapshot_path(Offset offset) const;
  Done write_snapshot(Offset offset);  // of the state as it is now, unless there is one
  Done write_snapshot_of(const ProducerState& state, Offset offset);
  Done drop_snapshot(Offset offset);
  Done drop_snapshots_above(Offset offset);
  bool load_snapshot(Offset offset, ProducerState& state);
  // Headers of the batches in [from, to), from a batch's base on; of control batches all bytes.
  using See = std::function<bool(const BatchHeader&, Bytes)>;  // false: enough
  Done walk(Offset from, Offset to, const See& see);
  Done replay(ProducerState& state, Offset from, Offset to);
  Done load_producers(ProducerState& state, Offset end, Offset at_most);
  Done reload_producers();
  Done write_txns(Segment& segment);
  Done rebuild_txns(Segment& segment);
  Task<Done> flush_snapshots();

  // log_truncate.cpp: truncation and retention
  std::expected<std::uint64_t, LogError> position_now(Segment& segment, Offset offset);
  std::expected<Offset, LogError> make_active(Segment& segment, std::uint64_t size);
  Done remove_files(Segment& segment);
  Done settle(Segment& segment);
  std::expected<std::size_t, LogError> count_expired(WallTime now, Offset high_watermark);
  Done learn_timestamps(Segment& segment);
  Done load_now(Segment& segment);
  Done rebuild_now(Segment& segment);

  // log_clean.cpp
  std::optional<std::int64_t> first_timestamp_of(Segment& segment);
  Offset too_young_from(std::size_t first, std::int64_t now_ms);
  bool waited_too_long(std::size_t first, std::int64_t now_ms);
  Done swap_in(std::size_t index, std::size_t count, std::shared_ptr<Segment> fresh);
  void forget_tail_below(Offset end);

  // log_flush.cpp
  Done write_indexes(Segment& segment);
  Done write_index(Segment& segment, SegmentFile index, std::size_t written_bytes, Bytes pending);
  Done write_epochs_now();
  Task<Done> flush_files();
  Task<Done> flush_segment(std::shared_ptr<Segment> segment);
  Task<Done> flush_epochs();

  // log_read.cpp
  std::optional<std::size_t> find_tail(Offset from) const;
  ReadSlice slice_of_tail(std::size_t index, std::size_t max_bytes, Offset upper_bound, bool at_least_one) const;
  struct Place {  // of one batch
    std::shared_ptr<Segment> segment;
    std::uint64_t position = 0;
    BatchHeader header;
    bool found = false;  // false: the segment has no batch that ends at or after the offset
  };
  Task<std::expected<Place, LogError>> find_batch(std::shared_ptr<Segment> segment, Offset from);
  Task<std::expected<ReadSlice, LogError>> cut_slice(Place place, std::size_t max_bytes, Offset upper_bound,
                                                     bool at_least_one);
  Task<Done> load_indexes(std::shared_ptr<Segment> segment);
  Task<Done> rebuild_indexes(std::shared_ptr<Segment> segment);
  static bool adopt_indexes(Segment& segment, Bytes offsets, Bytes times);
  void note_loaded(Segment& segment);
  Task<std::expected<std::optional<TimedOffset>, LogError>> search_segment(std::shared_ptr<Segment> segment,
                                                                           std::int64_t timestamp_ms,
                                                                           Decompressor& decompressor);

  Runtime& runtime_;
  FileCache& files_;
  std::string directory_;
  LogConfig config_;
  RecoveryReport recovery_;
  std::vector<std::shared_ptr<Segment>> segments_;  // by base offset; never empty once open
  EpochCache epochs_;
  std::uint64_t epochs_version_ = 1;  // counts changes of epochs_
  std::uint64_t epochs_written_ = 0;  // the version that is in the file
  ProducerState producers_;           // as of log_end_
  std::vector<ProducerId> forgotten_;
  bool replayed_ = false;  // of a planted defect alone: since the log was opened, or an epoch began, it was appended to
  // Offsets of the .snapshot files. A log that never saw a producer id has none; else each segment but the first has
  // one at its base from the roll that finds a producer on, and an orderly stop leaves one at the log end.
  std::set<Offset> snapshots_;
  std::vector<std::shared_ptr<File>> unsynced_snapshots_;
  std::vector<Tail> tail_;  // a ring
  std::size_t tail_first_ = 0;
  Offset log_start_{0};
  Offset log_end_{0};
  Offset recovery_point_{0};
  Offset cleaned_to_{0};      // what compaction has seen; may be outside the log where a checkpoint was wrong
  Offset promised_point_{0};  // the largest recovery point ever handed out: the checkpoint on disk may say so
  std::uint64_t size_bytes_ = 0;
  std::uint64_t generation_ = 0;  // counts truncations and removals; a task that slept compares
  std::vector<Offset> loaded_;    // inactive segments whose indexes are in memory, the longest unused first
  bool directory_dirty_ = false;  // files were made or removed since its last sync
  bool flushing_ = false;
  bool cleaning_ = false;
  Signal flushed_;
  std::optional<LogError> offline_;
};

}  // namespace verdict::storage
