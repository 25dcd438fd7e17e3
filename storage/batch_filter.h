#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <vector>

#include "storage/batch.h"

namespace verdict::storage {

// What is to become of one batch, as Kafka's RecordFilter has it.
struct BatchRetention {
  bool discard_records = false;  // all of them, whatever keep() would say
  bool keep_empty = false;       // the batch stays when no record does: for its last offset, or its producer's sequence
  bool marker_of_nothing = false;    // a control batch whose transaction is gone: gets a delete horizon
  std::int64_t new_horizon_ms = -1;  // for tombstones and such markers that have none yet (KIP-534)
};

enum class Filtered : std::uint8_t { gone, unchanged, rewritten, emptied };

// Writes batches anew without some of their records. What is left of one keeps its base and last offset, producer,
// sequence and epoch; records keep offset and timestamp. Buffers and codec contexts are kept between calls.
class BatchFilter {
 public:
  using Keep = std::function<bool(const RecordView&)>;

  // Appends what is left to `out`. `kept` gets the offsets of the records that are, unless it is null.
  std::expected<Filtered, BatchError> filter(const BatchView& batch, const BatchRetention& retention, const Keep& keep,
                                             std::vector<std::byte>& out, std::vector<Offset>* kept);

 private:
  void rewrite(const BatchHeader& header, std::int64_t horizon_ms, std::vector<std::byte>& out);
  void move_record(Bytes record, std::int64_t shift_ms);
  static void write_empty(const BatchHeader& header, std::vector<std::byte>& out);

  Decompressor decompressor_;
  Compressor compressor_;
  std::vector<Bytes> left_;                      // the records that are kept, encoded
  std::vector<std::byte> records_;               // of the batch that is made
  std::int64_t first_timestamp_ = kNoTimestamp;  // of the records that are kept
  std::int64_t max_timestamp_ = kNoTimestamp;
  bool tombstones_ = false;
};

}  // namespace verdict::storage
