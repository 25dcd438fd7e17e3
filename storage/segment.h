#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/task.h"
#include "storage/batch.h"
#include "storage/file_cache.h"
#include "storage/index.h"
#include "storage/log_types.h"
#include "storage/txn_index.h"

namespace verdict::storage {

enum class SegmentFile : std::uint8_t { log, offset_index, time_index, txn_index };
constexpr std::array<SegmentFile, 4> kSegmentFiles{SegmentFile::log, SegmentFile::offset_index, SegmentFile::time_index,
                                                   SegmentFile::txn_index};
std::string_view suffix_of(SegmentFile);  // ".log"

// One .log file and its indexes. Only the newest segment of a log grows; of the others the indexes are in memory only
// while they are in use.
struct Segment {
  Segment(Offset first, WallTime now) : base(first), created(now) {}

  // Counts a batch that stands at `position`, the end so far. The same for an append and for recovery: so indexes built
  // either way are equal.
  void note(const BatchHeader& header, std::uint64_t position, std::uint32_t index_interval_bytes);
  // The last entry of a segment that takes no more batches, as Kafka writes it.
  void finish_times();
  void unload();
  // Empties the indexes and what is known of the batches: note() of all of them follows.
  void forget_batches();

  std::uint32_t relative(Offset offset) const;
  // By the index, at or before the first batch that ends at or after `offset`, which may be anything.
  std::uint32_t position_for(Offset offset) const;
  // Neither index may outgrow segment.index.bytes.
  bool index_full(std::uint32_t index_bytes) const;
  std::optional<std::int64_t> largest_timestamp() const;  // none: not known, or no batch has one

  Offset base;
  WallTime created;
  std::array<FileCache::Slot, kSegmentFiles.size()> files;  // by SegmentFile
  std::uint64_t size = 0;                                   // bytes of the .log file

  bool loaded = false;  // the indexes are in memory
  OffsetIndex offsets;
  TimeIndex times;
  std::size_t offsets_written = 0;  // entries that are in the file
  std::size_t times_written = 0;
  std::uint64_t bytes_since_entry = 0;

  TxnIndex txns;  // in memory for every segment: most have none
  std::size_t txns_written = 0;
  bool txns_filed = false;  // its file is there; most segments have none

  bool times_known = false;  // max_timestamp is that of all batches
  std::int64_t max_timestamp = kNoTimestamp;
  Offset max_timestamp_offset{0};               // last offset of the first batch that has it
  std::optional<std::int64_t> first_timestamp;  // largest of the first batch: segment.ms counts from it

  bool log_dirty = false;       // written since the last sync
  bool index_dirty = false;     // the files don't have all entries, or more
  bool index_unsynced = false;  // the files were written since their last sync
  bool index_created = false;   // their directory entries are durable
  bool removed = false;
};

// Reads a file forward, a chunk at a time, for walks over its batches.
class ScanWindow {
 public:
  ScanWindow(std::shared_ptr<File> file, std::uint64_t end, std::size_t chunk)
      : file_(std::move(file)), end_(end), chunk_(chunk) {}

  // What is in memory from `position` on.
  Bytes view(std::uint64_t position) const;
  bool has(std::uint64_t position, std::size_t need) const { return view(position).size() >= need; }
  // Reads `need` bytes at `position` and, if the chunk is larger, some more. Fewer are in view afterwards only if the
  // file ends there.
  Task<std::error_code> load(std::uint64_t position, std::size_t need);
  std::error_code load_now(std::uint64_t position, std::size_t need);
  std::uint64_t end() const { return end_; }

 private:
  std::span<std::byte> prepare(std::uint64_t position, std::size_t need);

  std::shared_ptr<File> file_;
  std::uint64_t end_;
  std::size_t chunk_;
  std::uint64_t start_ = 0;
  std::size_t filled_ = 0;
  std::vector<std::byte> buffer_;
};

constexpr std::size_t kLookupChunk = 8 * 1024;
constexpr std::size_t kRecoveryChunk = 256 * 1024;

// The CRC of the batch at `position`, whose header says it has `size` bytes. True: it is the header's.
Task<std::expected<bool, std::error_code>> check_crc(ScanWindow* window, std::uint64_t position, BatchHeader header);

// All bytes of a file; for index files.
Task<std::expected<std::vector<std::byte>, std::error_code>> read_whole(std::shared_ptr<File> file);
std::expected<std::vector<std::byte>, std::error_code> read_whole_now(File& file);

}  // namespace verdict::storage
