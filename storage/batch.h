#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "storage/bytes.h"
#include "storage/compression.h"
#include "storage/types.h"

// Record batches of magic 2 (KIP-98), the unit of everything: what a producer sends, what the log holds, what a fetch
// answers. Bytes 0-20 (base offset, length, leader epoch, magic, CRC) are not covered by the CRC.
namespace verdict::storage {

constexpr std::size_t kBatchHeaderSize = 61;
constexpr std::size_t kBatchOverhead = 12;  // base offset and length, which the length field doesn't count
constexpr std::int32_t kMinBatchLength = static_cast<std::int32_t>(kBatchHeaderSize - kBatchOverhead);
constexpr std::int8_t kMagic = 2;
constexpr std::int64_t kNoTimestamp = -1;

// What can be wrong with bytes that should be a batch. The broker maps these to Kafka's codes.
enum class BatchError : std::uint8_t {
  truncated,          // fewer bytes than the header or its length field says
  bad_length,         // a length below the header's size
  unsupported_magic,  // 0 and 1 are formats that Kafka 4 refuses; others are garbage
  bad_crc,
  unknown_codec,
  bad_compression,  // the compressed records can't be read
  decompressed_too_large,
  bad_record,            // a record, or what stands after the last one, is malformed
  bad_count,             // count, last offset delta and the records don't agree
  bad_offset_delta,      // a compressed record's offset delta is not its index
  base_offset_not_zero,  // from a client
  control_batch,         // from a client
  bad_sequence,          // a producer id without an epoch or a first sequence
  keyless,               // a record without a key for a compacted topic
  too_large,             // over max.message.bytes
  bad_timestamp,         // outside message.timestamp.before.max.ms / after.max.ms
  empty,                 // no batch at all
  several_batches,       // a produce request of version 3 or later holds exactly one
};
std::string_view name_of(BatchError error);

struct BatchHeader {
  Offset base_offset;
  std::int32_t length = 0;  // bytes after this field
  LeaderEpoch leader_epoch = kNoEpoch;
  std::int8_t magic = kMagic;
  std::uint32_t crc = 0;
  std::int16_t attributes = 0;
  std::int32_t last_offset_delta = 0;
  std::int64_t base_timestamp = kNoTimestamp;  // ms; the delete horizon where bit 6 is set
  std::int64_t max_timestamp = kNoTimestamp;   // ms
  ProducerId producer_id = kNoProducerId;
  ProducerEpoch producer_epoch = kNoProducerEpoch;
  std::int32_t base_sequence = -1;
  std::int32_t count = 0;

  std::size_t size() const { return static_cast<std::size_t>(length) + kBatchOverhead; }  // bytes of the whole batch
  Offset last_offset() const { return base_offset + last_offset_delta; }
  Offset next_offset() const { return last_offset() + 1; }
  std::optional<Codec> codec() const;  // none for 5-7, which nobody has defined
  bool log_append_time() const { return (attributes & 0x08) != 0; }
  bool transactional() const { return (attributes & 0x10) != 0; }
  bool control() const { return (attributes & 0x20) != 0; }
  bool delete_horizon() const { return (attributes & 0x40) != 0; }
};

// Needs kBatchHeaderSize bytes; checks length, magic and that no number makes offsets go backwards, not the CRC.
std::expected<BatchHeader, BatchError> parse_header(Bytes bytes);

// The other way, at the front of a whole batch: the length and the CRC are those of its bytes.
void write_header(std::span<std::byte> batch, const BatchHeader& header);

// One whole batch in memory. Does not own its bytes.
class BatchView {
 public:
  BatchView() = default;
  // The batch at the start of `bytes`; more may follow it. CRC not checked.
  static std::expected<BatchView, BatchError> parse(Bytes bytes);

  const BatchHeader& header() const { return header_; }
  Bytes bytes() const { return bytes_; }
  Bytes payload() const { return bytes_.subspan(kBatchHeaderSize); }  // the records, compressed or not
  bool crc_valid() const;

 private:
  BatchHeader header_;
  Bytes bytes_;
};

// Takes the next whole batch off the front of `rest`. At the end and at a partial tail: error truncated, rest unchanged
// (a fetch answer may end in part of a batch).
std::expected<BatchView, BatchError> take_batch(Bytes& rest);

using NullableBytes = std::optional<Bytes>;

struct RecordHeaderView {
  std::string_view key;
  NullableBytes value;
};

struct RecordView {
  Offset offset;
  std::int64_t timestamp = kNoTimestamp;  // ms
  NullableBytes key;
  NullableBytes value;
  std::int32_t header_count = 0;
  Bytes headers;         // encoded, already checked: see RecordHeaders
  std::size_t size = 0;  // encoded bytes, its length field included

  Bytes encoded() const { return {headers.data() + headers.size() - size, size}; }  // the headers are its end
};

class RecordHeaders {
 public:
  explicit RecordHeaders(const RecordView& record) : reader_(record.headers), left_(record.header_count) {}
  bool next(RecordHeaderView& header);

 private:
  ByteReader reader_;
  std::int32_t left_;
};

// The records of one batch in their order, each checked before it is handed out.
class RecordReader {
 public:
  // `records`: plain bytes that outlive the reader.
  RecordReader(const BatchHeader& header, Bytes records);
  // True: `record` is the next one. False: the end, and exactly `count` records were there. Offsets are what the batch
  // says: a compacted one has gaps, and in a plain one from a client they may be anything (see ValidationRules).
  std::expected<bool, BatchError> next(RecordView& record);

 private:
  ByteReader reader_;
  Offset base_offset_;
  std::int64_t base_timestamp_;
  std::int64_t max_timestamp_;
  std::int32_t left_;
  bool log_append_time_;
};

// A bound on what one batch may decompress to: against bombs; no honest producer reaches it.
constexpr std::size_t kDefaultDecompressedLimit = std::size_t{64} << 20;

// The reader lives as long as the batch's bytes and until the next use of `decompressor`.
std::expected<RecordReader, BatchError> open_records(const BatchView& batch, Decompressor& decompressor,
                                                     std::size_t limit = kDefaultDecompressedLimit);

// What a leader writes into a batch at append. The CRC stays right.
void stamp(std::span<std::byte> batch, Offset base_offset, LeaderEpoch epoch);

// Sets the LogAppendTime attribute and the maximum timestamp (ms), and computes the CRC anew.
void set_timestamps(std::span<std::byte> batch, bool log_append_time, std::int64_t max_timestamp);

// Types of control records (the second i16 of their key).
enum class ControlType : std::int16_t {
  abort = 0,
  commit = 1,
  leader_change = 2,
  snapshot_header = 3,
  snapshot_footer = 4,
  kraft_version = 5,
  kraft_voters = 6,
};
// None: not a control key of version 0.
std::optional<ControlType> parse_control_key(Bytes key);

}  // namespace verdict::storage
