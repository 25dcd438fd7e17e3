#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/signal.h"
#include "runtime/task.h"
#include "storage/batch_filter.h"
#include "storage/offset_map.h"

namespace verdict::storage {

// What one of log.cleaner.threads has.
struct CleanerOptions {
  std::size_t dedupe_bytes = std::size_t{128} << 20;  // log.cleaner.dedupe.buffer.size / threads
  unsigned load_percent = 90;                         // log.cleaner.io.buffer.load.factor
  std::size_t io_bytes = 512 << 10;                   // log.cleaner.io.buffer.size / threads: of one read
  std::int64_t bytes_per_second = std::numeric_limits<std::int64_t>::max();  // log.cleaner.io.max.bytes.per.second
  bool tell_records = false;                                                 // CleanedSegment::records is wanted
};

// The part of a log that compaction would look at now (LogCleanerManager.cleanableOffsets).
struct CleaningRange {
  Offset first_dirty;        // below it no later value of a key is missed
  Offset first_uncleanable;  // base of the segment that holds the bound: last stable offset, active segment, or lag
  Offset last_stable;
  std::uint64_t clean_bytes = 0;
  std::uint64_t dirty_bytes = 0;  // that may be cleaned
  bool overdue = false;           // max.compaction.lag.ms has passed for one of the dirty segments

  bool empty() const { return dirty_bytes == 0; }
  // min.cleanable.dirty.ratio, in millionths.
  std::uint64_t dirty_millionths() const {
    return empty() ? 0
                   : static_cast<std::uint64_t>(1e6 * static_cast<double>(dirty_bytes) /
                                                static_cast<double>(clean_bytes + dirty_bytes));
  }
};

// One segment that took the place of all in [from, to).
struct CleanedSegment {
  struct Batch {
    Offset base;
    Offset last;
    std::uint64_t position;
  };
  Offset from;
  Offset to;
  Offset clean_to;  // of the pass: what the map knows is below it
  std::uint64_t size = 0;
  std::vector<Batch> batches;   // these two if asked for
  std::vector<Offset> records;  // that are left
};

struct CleaningReport {
  bool interrupted = false;      // a truncation, retention or the log's end came in between; what was swapped stays
  Offset clean_to;               // where the next pass begins
  std::uint64_t bytes_read = 0;  // of the second walk
  std::uint64_t bytes_left = 0;
  std::uint32_t segments_before = 0;
  std::uint32_t segments_after = 0;
};

// The memory and the pace of passes over logs, one at a time.
class Cleaner {
 public:
  Cleaner(Runtime& runtime, const CleanerOptions& options);

  const CleanerOptions& options() const { return options_; }
  OffsetMap& map() { return map_; }
  BatchFilter& filter() { return filter_; }
  Decompressor& decompressor() { return decompressor_; }

  // `bytes` were read or written: returns at once, or after other work of the loop has had its turn, or as late as the
  // byte rate wants it.
  Task<void> pace(std::size_t bytes);
  // Passes under way end as interrupted, at their next pace().
  void stop() {
    stopping_ = true;
    wake_.notify();
  }
  bool stopping() const { return stopping_; }

 private:
  Runtime& runtime_;
  CleanerOptions options_;
  OffsetMap map_;
  BatchFilter filter_;
  Decompressor decompressor_;
  std::size_t since_yield_ = 0;
  std::int64_t window_bytes_ = 0;
  MonoTime window_start_{};
  bool stopping_ = false;
  Signal wake_;
};

}  // namespace verdict::storage
