#pragma once

#include "tests/unit/storage/support.h"

// Batches of producers, for the tests of their state.
namespace verdict::storage::testing {

struct ProducerBatch {
  std::int64_t producer = 7;
  int epoch = 0;
  std::int32_t sequence = 0;
  int records = 3;
  bool transactional = false;
  std::int64_t timestamp = 1'700'000'000'000;
};

inline std::vector<std::byte> make_producer_batch(const ProducerBatch& spec) {
  BatchBuilder builder({.producer_id = ProducerId(spec.producer),
                        .producer_epoch = ProducerEpoch(static_cast<std::int16_t>(spec.epoch)),
                        .base_sequence = spec.sequence,
                        .transactional = spec.transactional});
  for (int i = 0; i < spec.records; ++i) builder.add(spec.timestamp, as_bytes("key"), as_bytes("value"));
  Compressor compressor;
  const auto bytes = builder.finish(compressor);
  return {bytes.begin(), bytes.end()};
}

inline TxnMarker marker_of(std::int64_t producer, int epoch, bool commit, std::int32_t coordinator_epoch = 0) {
  return {.producer_id = ProducerId(producer),
          .producer_epoch = ProducerEpoch(static_cast<std::int16_t>(epoch)),
          .coordinator_epoch = coordinator_epoch,
          .commit = commit};
}

struct ProducingHarness : LogHarness {
  using LogHarness::LogHarness;

  std::expected<Appended, LogError> produce(const ProducerBatch& spec, AppendOrigin origin = AppendOrigin::client) {
    auto batch = make_producer_batch(spec);
    return log->append_as_leader(batch, LeaderEpoch(0), runtime.wall_now(), origin);
  }
  Appended must_produce(const ProducerBatch& spec) {
    const auto done = produce(spec);
    if (!done) throw std::runtime_error(done.error().to_string());
    return *done;
  }
  std::expected<Appended, LogError> try_end(std::int64_t producer, int epoch, bool commit, int coordinator_epoch = 0) {
    return log->append_marker(marker_of(producer, epoch, commit, coordinator_epoch), LeaderEpoch(0),
                              runtime.wall_now());
  }
  Appended end(std::int64_t producer, int epoch, bool commit) {
    const auto done = try_end(producer, epoch, commit);
    if (!done) throw std::runtime_error(done.error().to_string());
    return *done;
  }
  LogErrorKind refusal(const ProducerBatch& spec) {
    const auto done = produce(spec);
    if (done) throw std::runtime_error("appended");
    return done.error().kind;
  }
  std::vector<Offset> snapshots() {
    std::vector<Offset> found;
    const auto names = runtime.disk().list(log->directory()).value();
    for (const std::string& name : names) {
      if (const auto offset = parse_segment_file_name(name, ".snapshot")) found.push_back(*offset);
    }
    return found;
  }
  std::string path(std::int64_t offset, std::string_view suffix) {
    return "d/t-0/" + segment_file_name(Offset(offset), suffix);
  }
};

// All that a leader's answers depend on, as text.
inline std::string describe(const ProducerState& state) {
  std::string text;
  const auto number = [](auto value) { return std::to_string(value) + " "; };
  for (const auto& [id, entry] : state.producers()) {
    text += "producer " + number(id.value()) + number(entry.epoch.value()) + number(entry.coordinator_epoch) +
            number(entry.last_timestamp) + number(entry.txn_first.value()) + ":";
    for (std::size_t i = 0; i < entry.batch_count(); ++i) {
      const SequencedBatch& batch = entry.batch(i);
      text += " " + number(batch.last_sequence) + number(batch.offset_delta) + number(batch.last.value());
    }
    text += "\n";
  }
  for (const auto& [first, last] : state.unreplicated())
    text += "ended " + number(first.value()) + number(last.value()) + "\n";
  if (const auto open = state.first_open()) text += "open " + number(open->value()) + "\n";
  return text;
}

}  // namespace verdict::storage::testing
