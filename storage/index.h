#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <vector>

#include "storage/bytes.h"
#include "storage/types.h"

// The sparse indexes of one segment: in memory as they are in the files, one entry per index.interval.bytes of log.
namespace verdict::storage {

// `.index`, 8 bytes an entry: (last offset of a batch, relative to the segment's base; where that batch begins).
class OffsetIndex {
 public:
  struct Entry {
    std::uint32_t relative = 0;  // offset - base
    std::uint32_t position = 0;  // bytes in the .log file
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr std::size_t kEntrySize = 8;

  // What a file holds. Kafka preallocates index files: zeros after the last entry are no entries. None: entries don't
  // increase, a torn entry, or one beyond `log_size` bytes; the index must be rebuilt.
  static std::optional<OffsetIndex> parse(Bytes file, std::uint64_t log_size);

  void append(Entry entry);
  // A batch start at or before the one that holds `relative`; 0 without entries.
  std::uint32_t position_for_offset(std::uint32_t relative) const;
  // The largest batch start <= `position`.
  std::uint32_t position_at_or_below(std::uint64_t position) const;
  void truncate(std::uint64_t log_size);  // drops entries of batches that begin at or after it

  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  void encode(std::size_t first, std::vector<std::byte>& out) const;  // entries from index `first` on

 private:
  std::vector<Entry> entries_;
};

// `.timeindex`, 12 bytes an entry: (largest timestamp so far, last offset of the batch that has it, relative).
class TimeIndex {
 public:
  struct Entry {
    std::int64_t timestamp = -1;  // ms
    std::uint32_t relative = 0;
    friend bool operator==(const Entry&, const Entry&) = default;
  };
  static constexpr std::size_t kEntrySize = 12;

  static std::optional<TimeIndex> parse(Bytes file);

  // Kept only if the timestamp is larger than the last entry's, as Kafka does.
  bool maybe_append(Entry entry);
  // The last entry whose timestamp is at most `timestamp`: nothing before its offset is as late as that. None: before
  // all entries.
  std::optional<Entry> lookup(std::int64_t timestamp) const;
  std::optional<Entry> last() const;
  void truncate(std::uint32_t relative_end);  // drops entries at or after it

  std::size_t size() const { return entries_.size(); }
  const std::vector<Entry>& entries() const { return entries_; }
  void encode(std::size_t first, std::vector<std::byte>& out) const;

 private:
  std::vector<Entry> entries_;
};

}  // namespace verdict::storage
