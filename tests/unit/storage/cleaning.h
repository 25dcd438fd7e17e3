#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/cleaner.h"
#include "tests/unit/storage/producing.h"

// Keyed records, and passes of the cleaner, for the tests of compaction.
namespace verdict::storage::testing {

struct KeyedRecord {
  std::string key;
  std::optional<std::string> value;
};

struct KeyedBatch {
  std::vector<KeyedRecord> records;
  std::int64_t producer = -1;
  int epoch = 0;
  std::int32_t sequence = 0;
  bool transactional = false;
  Codec codec = Codec::none;
  std::int64_t timestamp = 1'700'000'000'000;
};

inline std::vector<std::byte> make_keyed(const KeyedBatch& spec) {
  BatchOptions options{.codec = spec.codec, .transactional = spec.transactional};
  if (spec.producer >= 0) {
    options.producer_id = ProducerId(spec.producer);
    options.producer_epoch = ProducerEpoch(static_cast<std::int16_t>(spec.epoch));
    options.base_sequence = spec.sequence;
  }
  BatchBuilder builder(options);
  for (std::size_t i = 0; i < spec.records.size(); ++i) {
    const KeyedRecord& record = spec.records[i];
    builder.add(spec.timestamp + static_cast<std::int64_t>(i), as_bytes(record.key),
                record.value ? NullableBytes(as_bytes(*record.value)) : NullableBytes());
  }
  Compressor compressor;
  const auto bytes = builder.finish(compressor);
  return {bytes.begin(), bytes.end()};
}

struct FoundRecord {
  std::string key;
  std::optional<std::string> value;
  std::int64_t timestamp = 0;
  bool control = false;
  friend bool operator==(const FoundRecord&, const FoundRecord&) = default;
};

struct CleaningHarness : ProducingHarness {
  using ProducingHarness::ProducingHarness;

  std::vector<CleanedSegment> swaps;
  CleanerOptions options{.tell_records = true};

  Appended put(KeyedBatch spec) {
    auto batch = make_keyed(spec);
    const auto done =
        log->append_as_leader(batch, LeaderEpoch(std::max(0, log->last_epoch().value())), runtime.wall_now());
    if (!done) throw std::runtime_error(done.error().to_string());
    return *done;
  }
  Appended put(const std::string& key, std::optional<std::string> value) {
    return put(KeyedBatch{.records = {{key, std::move(value)}}});
  }
  void roll() { static_cast<void>(log->roll(runtime.wall_now()).value()); }

  CleaningRange cleanable() { return log->cleanable(runtime.wall_now(), log->log_end()); }
  std::expected<CleaningReport, LogError> try_clean() {
    Cleaner cleaner(runtime, options);
    const CleaningRange range = cleanable();
    return runtime.run(log->clean(&cleaner, range, [this](const CleanedSegment& swap) { swaps.push_back(swap); }));
  }
  CleaningReport clean() {
    const auto done = try_clean();
    if (!done) throw std::runtime_error(done.error().to_string());
    return *done;
  }
  // What a reader of everything gets, by offset.
  std::map<std::int64_t, FoundRecord> records() {
    std::map<std::int64_t, FoundRecord> found;
    Decompressor decompressor;
    each_batch([&](const BatchView& batch) {
      auto reader = open_records(batch, decompressor).value();
      RecordView record;
      while (reader.next(record).value()) {
        found[record.offset.value()] = {
            .key = record.key ? std::string(as_text(*record.key)) : "",
            .value = record.value ? std::optional(std::string(as_text(*record.value))) : std::nullopt,
            .timestamp = record.timestamp,
            .control = batch.header().control()};
      }
    });
    return found;
  }
  std::vector<std::int64_t> offsets() {
    std::vector<std::int64_t> found;
    for (const auto& [offset, record] : records()) found.push_back(offset);
    return found;
  }
  // The last values of all keys, as a reader of committed records sees them up to the last stable offset; those of
  // deleted keys are not there.
  std::map<std::string, std::string> view() {
    const Offset stable = log->last_stable_offset(log->log_end());
    const std::vector<AbortedTxn> aborted = log->aborted_transactions(log->log_start(), stable);
    std::map<std::string, std::string> last;
    Decompressor decompressor;
    each_batch([&](const BatchView& batch) {
      const BatchHeader& header = batch.header();
      if (header.control() || header.last_offset() >= stable) return;
      const bool skipped = header.transactional() && std::ranges::any_of(aborted, [&](const AbortedTxn& txn) {
                             return txn.producer_id == header.producer_id && txn.first <= header.base_offset &&
                                    header.base_offset < txn.last;
                           });
      if (skipped) return;
      auto reader = open_records(batch, decompressor).value();
      RecordView record;
      while (reader.next(record).value()) {
        const std::string key(as_text(*record.key));
        if (record.value) {
          last[key] = std::string(as_text(*record.value));
        } else {
          last.erase(key);
        }
      }
    });
    return last;
  }
  // Of the log's files those whose names end so.
  std::vector<std::string> files_ending(const std::vector<std::string_view>& suffixes) {
    std::vector<std::string> found = runtime.disk().list(log->directory()).value();
    std::erase_if(found, [&](const std::string& name) {
      return std::ranges::none_of(suffixes, [&](std::string_view suffix) { return name.ends_with(suffix); });
    });
    return found;
  }

 private:
  template <class See>
  void each_batch(const See& see) {
    for (Offset at = log->log_start(); at < log->log_end();) {
      const auto bytes = runtime.run(log->read_bytes(at, 1 << 20, log->log_end(), true)).value();
      Bytes rest(bytes);
      if (rest.empty()) throw std::runtime_error("a reader gets no further than " + std::to_string(at.value()));
      while (!rest.empty()) {
        const BatchView batch = take_batch(rest).value();
        if (!batch.crc_valid()) throw std::runtime_error("bad CRC");
        if (batch.header().next_offset() <= at) throw std::runtime_error("offsets go back");
        see(batch);
        at = batch.header().next_offset();
      }
    }
  }
};

}  // namespace verdict::storage::testing
