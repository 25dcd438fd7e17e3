#include <gtest/gtest.h>

#include "storage/crc32c.h"
#include "tests/unit/storage/support.h"

namespace verdict::storage {
namespace {

using testing::make_batch;

TEST(Crc32c, KnownSumsAndBothWaysAgree) {
  EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c_portable(as_bytes("123456789")), 0xe3069283U);
  std::vector<std::byte> bytes(20000);
  KeyedRandom random(7);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 9) {
    const Bytes part = Bytes(bytes).subspan(size % 5, size - std::min<std::size_t>(size, size % 5));
    EXPECT_EQ(crc32c(part), crc32c_portable(part)) << size;
    EXPECT_EQ(crc32c(part.subspan(part.size() / 3), crc32c(part.first(part.size() / 3))), crc32c(part));
  }
}

TEST(Batch, BuilderAndReaderAgree) {
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    Compressor compressor;
    BatchBuilder builder({.codec = codec,
                          .producer_id = ProducerId(5),
                          .producer_epoch = ProducerEpoch(2),
                          .base_sequence = 9,
                          .transactional = true});
    const std::array<RecordHeaderInput, 2> headers{{{"h", as_bytes("v")}, {"n", std::nullopt}}};
    builder.add(1000, std::nullopt, as_bytes("first"));
    builder.add(900, as_bytes("key"), std::nullopt, headers);
    builder.add(1100, Bytes(), Bytes());
    auto bytes = builder.finish(compressor);
    const auto crc = BatchView::parse(bytes)->header().crc;
    stamp(bytes, Offset(40), LeaderEpoch(3));
    const auto batch = BatchView::parse(bytes).value();
    EXPECT_TRUE(batch.crc_valid());
    EXPECT_EQ(batch.header().crc, crc);
    EXPECT_EQ(batch.header().last_offset(), Offset(42));
    EXPECT_EQ(batch.header().max_timestamp, 1100);
    EXPECT_TRUE(batch.header().transactional());
    Decompressor decompressor;
    auto records = open_records(batch, decompressor).value();
    RecordView record;
    ASSERT_TRUE(records.next(record).value());
    EXPECT_FALSE(record.key);
    EXPECT_EQ(as_text(*record.value), "first");
    ASSERT_TRUE(records.next(record).value());
    EXPECT_EQ(record.offset, Offset(41));
    EXPECT_EQ(record.timestamp, 900);
    EXPECT_FALSE(record.value);
    RecordHeaders view(record);
    RecordHeaderView header;
    ASSERT_TRUE(view.next(header));
    EXPECT_EQ(as_text(*header.value), "v");
    ASSERT_TRUE(view.next(header));
    EXPECT_EQ(header.key, "n");
    EXPECT_FALSE(header.value);
    EXPECT_FALSE(view.next(header));
    ASSERT_TRUE(records.next(record).value());
    EXPECT_TRUE(record.key && record.key->empty());
    EXPECT_FALSE(records.next(record).value());
  }
}

template <class T>
std::vector<std::byte> changed(std::vector<std::byte> batch, std::size_t at, T value, bool fix_crc = true) {
  store_be(batch.data() + at, value);
  if (fix_crc) store_be(batch.data() + 17, crc32c(Bytes(batch).subspan(21)));
  return batch;
}

// Two records without keys, "v" each, with these offset deltas (below 64).
std::vector<std::byte> with_deltas(std::array<std::uint8_t, 2> deltas, Codec codec) {
  std::vector<std::byte> records;
  for (const std::uint8_t delta : deltas) {
    for (const int byte : {14, 0, 0, 2 * delta, 1, 2, int{'v'}, 0}) records.push_back(static_cast<std::byte>(byte));
  }
  std::vector<std::byte> payload = records;
  if (codec != Codec::none) {
    payload.clear();
    Compressor().compress(codec, records, payload);
  }
  std::vector<std::byte> batch = make_batch({.records = 2, .codec = codec});
  batch.resize(kBatchHeaderSize);
  batch.insert(batch.end(), payload.begin(), payload.end());
  store_be(batch.data() + 8, static_cast<std::int32_t>(batch.size() - kBatchOverhead));
  store_be(batch.data() + 17, crc32c(Bytes(batch).subspan(21)));
  return batch;
}

TEST(Validation, EachRuleHasItsError) {
  Decompressor decompressor;
  const auto check = [&](Bytes bytes, ValidationRules rules = {.after_max_ms = INT64_MAX}) {
    const auto verdict = validate_batch(bytes, rules, decompressor);
    return verdict ? std::string("fine") : std::string(name_of(verdict.error()));
  };
  const auto good = make_batch({});
  const std::string fine = "fine";
  EXPECT_EQ(check(good), fine);
  EXPECT_EQ(check(Bytes()), name_of(BatchError::empty));
  EXPECT_EQ(check(Bytes(good).first(good.size() - 1)), name_of(BatchError::truncated));
  EXPECT_EQ(check(Bytes(good).first(30)), name_of(BatchError::truncated));
  EXPECT_EQ(check(changed<std::int64_t>(good, 0, 1)), name_of(BatchError::base_offset_not_zero));
  EXPECT_EQ(check(changed<std::int32_t>(good, 8, 20)), name_of(BatchError::bad_length));
  EXPECT_EQ(check(changed<std::int8_t>(good, 16, 1)), name_of(BatchError::unsupported_magic));
  EXPECT_EQ(check(changed<std::uint8_t>(good, good.size() - 4, 0x55, false)), name_of(BatchError::bad_crc));
  EXPECT_EQ(check(changed<std::int16_t>(good, 21, 0x20)), name_of(BatchError::control_batch));
  EXPECT_EQ(check(changed<std::int16_t>(good, 21, 0x05)), name_of(BatchError::unknown_codec));
  EXPECT_EQ(check(changed<std::int16_t>(good, 21, 0x03)), name_of(BatchError::bad_compression));
  // LogAppendTime from a client: Kafka refuses it only where it would set it itself.
  const auto appended = changed<std::int16_t>(good, 21, 0x08);
  EXPECT_EQ(check(appended), fine);
  EXPECT_EQ(check(appended, {.timestamp_type = TimestampType::log_append_time, .after_max_ms = INT64_MAX}),
            name_of(BatchError::bad_timestamp));
  EXPECT_EQ(check(changed<std::int32_t>(good, 23, 5)), name_of(BatchError::bad_count));
  EXPECT_EQ(check(changed<std::int32_t>(good, 57, 0)), name_of(BatchError::bad_count));
  EXPECT_EQ(check(changed<std::int32_t>(changed<std::int32_t>(good, 57, 2), 23, 1)), name_of(BatchError::bad_count));
  EXPECT_EQ(check(changed<std::int32_t>(changed<std::int32_t>(good, 57, 9), 23, 8)), name_of(BatchError::bad_count));
  EXPECT_EQ(check(changed<std::int64_t>(good, 43, 5)), name_of(BatchError::bad_sequence));
  EXPECT_EQ(check(changed<std::uint8_t>(good, 61, 0x7f)), name_of(BatchError::bad_record));
  EXPECT_EQ(check(changed<std::uint8_t>(good, 64, 2)), fine);  // Kafka believes the offsets of a plain batch
  EXPECT_EQ(check(with_deltas({0, 2}, Codec::none)), fine);
  EXPECT_EQ(check(with_deltas({1, 0}, Codec::none)), fine);
  EXPECT_EQ(check(with_deltas({0, 1}, Codec::lz4)), fine);
  EXPECT_EQ(check(with_deltas({0, 2}, Codec::lz4)), name_of(BatchError::bad_offset_delta));
  EXPECT_EQ(check(with_deltas({1, 0}, Codec::zstd)), name_of(BatchError::bad_offset_delta));
  EXPECT_EQ(check(good, {.max_message_bytes = good.size() - 1}), name_of(BatchError::too_large));
  EXPECT_EQ(check(good, {.now_ms = 1'600'000'000'000}), name_of(BatchError::bad_timestamp));
  EXPECT_EQ(check(good, {.now_ms = 1'800'000'000'000, .before_max_ms = 5}), name_of(BatchError::bad_timestamp));
  auto two = good;
  two.insert(two.end(), good.begin(), good.end());
  EXPECT_EQ(check(two), name_of(BatchError::several_batches));
  for (const Codec codec : {Codec::none, Codec::lz4, Codec::zstd}) {
    BatchBuilder builder({.codec = codec});
    builder.add(1, as_bytes("k"), as_bytes("v"));
    builder.add(1, std::nullopt, as_bytes("v"));
    Compressor compressor;
    const auto keyless = validate_batch_verbose(builder.finish(compressor), {.compacted = true}, decompressor);
    EXPECT_EQ(keyless.error().error, BatchError::keyless);
    EXPECT_EQ(keyless.error().record_index, 1);
    const auto bomb = make_batch({.records = 1, .codec = codec, .value_size = 3 << 20});
    EXPECT_EQ(check(bomb, {.max_message_bytes = 8 << 20, .after_max_ms = INT64_MAX, .max_decompressed_bytes = 1 << 20}),
              name_of(BatchError::decompressed_too_large));
  }
}

TEST(Validation, TimestampsAreStampedAndCorrected) {
  Decompressor decompressor;
  ValidationRules rules{.timestamp_type = TimestampType::log_append_time, .now_ms = 77};
  auto batch = make_batch({});
  stamp_timestamps(batch, validate_batch(batch, rules, decompressor).value(), rules);
  EXPECT_TRUE(BatchView::parse(batch)->crc_valid());
  EXPECT_TRUE(BatchView::parse(batch)->header().log_append_time());
  EXPECT_EQ(BatchView::parse(batch)->header().max_timestamp, 77);
  rules = {.now_ms = 1'700'000'000'000};
  auto lying = changed<std::int64_t>(make_batch({}), 35, 5);
  const auto summary = validate_batch(lying, rules, decompressor).value();
  EXPECT_EQ(summary.max_timestamp_delta, 2);
  stamp_timestamps(lying, summary, rules);
  EXPECT_EQ(BatchView::parse(lying)->header().max_timestamp, 1'700'000'000'002);
  EXPECT_TRUE(BatchView::parse(lying)->crc_valid());
}

// Hostile bytes of every codec: an answer, never a crash or a large allocation.
TEST(Compression, DamagedStreamsAreRefused) {
  Decompressor decompressor;
  for (int round = 0; round < 3000; ++round) {
    KeyedRandom random(static_cast<std::uint64_t>(round));
    const Codec codec = round % 2 == 0 ? Codec::lz4 : Codec::zstd;
    std::vector<std::byte> bytes;
    const std::string plain(random.below(2000), 'x');
    Compressor().compress(codec, as_bytes(plain), bytes);
    const auto whole = decompressor.decompress(codec, bytes, 4000);
    ASSERT_TRUE(whole);
    EXPECT_EQ(as_text(*whole), plain);
    EXPECT_FALSE(decompressor.decompress(codec, Bytes(bytes).first(random.below(bytes.size())), 4000));
    bytes[random.below(bytes.size())] ^= static_cast<std::byte>(1 + random.below(255));
    for (const Codec any : {Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
      if (const auto result = decompressor.decompress(any, bytes, 4000)) EXPECT_LE(result->size(), 4000U);
    }
  }
  EXPECT_FALSE(decompressor.decompress(Codec::zstd, Bytes(), 10));
}

// A context that is kept leaves no trace of what it compressed before.
TEST(Compression, WhatComesOutDependsOnTheInputAlone) {
  Compressor kept;
  KeyedRandom random(1);
  for (int round = 0; round < 300; ++round) {
    std::string plain;
    const std::uint64_t size = random.below(round % 10 == 0 ? 60'000 : 3'000);
    while (plain.size() < size) plain += "value-" + std::to_string(random.below(500));
    for (const Codec codec : {Codec::lz4, Codec::zstd}) {
      std::vector<std::byte> again;
      std::vector<std::byte> afresh;
      kept.compress(codec, as_bytes(plain), again);
      Compressor().compress(codec, as_bytes(plain), afresh);
      EXPECT_EQ(again, afresh);
    }
  }
}

TEST(EpochCache, EndOffsets) {
  EpochCache cache;
  EXPECT_FALSE(cache.end_offset_for(LeaderEpoch(0), Offset(9)));
  cache.assign(LeaderEpoch(2), Offset(10));
  cache.assign(LeaderEpoch(4), Offset(20));
  cache.assign(LeaderEpoch(5), Offset(30));
  EXPECT_FALSE(cache.assign(LeaderEpoch(5), Offset(35)));
  const Offset end{50};
  EXPECT_EQ(cache.end_offset_for(LeaderEpoch(5), end), (EpochEnd{LeaderEpoch(5), end}));
  EXPECT_EQ(cache.end_offset_for(LeaderEpoch(4), end), (EpochEnd{LeaderEpoch(4), Offset(30)}));
  EXPECT_EQ(cache.end_offset_for(LeaderEpoch(3), end), (EpochEnd{LeaderEpoch(2), Offset(20)}));
  EXPECT_EQ(cache.end_offset_for(LeaderEpoch(1), end), (EpochEnd{LeaderEpoch(1), Offset(10)}));
  EXPECT_FALSE(cache.end_offset_for(LeaderEpoch(6), end));
  EXPECT_EQ(cache.previous_epoch(LeaderEpoch(4)), LeaderEpoch(2));
  EXPECT_EQ(parse_epochs(format_epochs(cache))->entries(), cache.entries());
  EXPECT_TRUE(cache.truncate_from_start(Offset(25)));
  EXPECT_EQ(cache.entries().front(), (EpochStart{LeaderEpoch(4), Offset(25)}));
  EXPECT_TRUE(cache.truncate_from_end(Offset(30)));
  EXPECT_EQ(cache.entries().size(), 1U);
  cache.assign(LeaderEpoch(6), Offset(25));
  EXPECT_EQ(cache.entries(), (std::vector<EpochStart>{{LeaderEpoch(6), Offset(25)}}));
  for (const char* bad : {"", "1\n0\n", "0\n2\n1 0\n", "0\n2\n1 5\n2 5\n", "0\n1\nx 0\n", "0\n1\n1 -4\n"}) {
    EXPECT_FALSE(parse_epochs(bad)) << bad;
  }
}

}  // namespace
}  // namespace verdict::storage
