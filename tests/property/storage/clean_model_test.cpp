#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>

#include "tests/unit/storage/cleaning.h"

// Compaction against a log that is never compacted: any sequence of keyed records, tombstones, transactions, rolls,
// passes, kills and passing time. A reader of committed records ends with the same last values, meets no record that
// was never written, and producers go on as if nothing had happened.
namespace verdict::storage {
namespace {

using testing::CleaningHarness;
using testing::KeyedBatch;

struct Producer {
  std::int32_t sequence = 0;
  bool open = false;
};

struct Run {
  CleaningHarness h;
  std::array<Producer, 3> producers{};
  Offset cleaned_to{0};

  explicit Run(const LogConfig& config) : h(config) { h.open(); }

  void put(int producer, const std::vector<std::pair<int, int>>& records, int codec) {
    static constexpr std::array kCodecs{Codec::none, Codec::lz4, Codec::zstd, Codec::gzip, Codec::snappy};
    KeyedBatch batch{.codec = kCodecs[static_cast<std::size_t>(codec)], .timestamp = h.runtime.wall_ms};
    for (const auto& [key, value] : records) {
      // One of the keys is that of a commit marker.
      const std::string name = key == 0 ? std::string("\0\0\0\1", 4) : "k" + std::to_string(key);
      batch.records.push_back({name, value == 0 ? std::nullopt : std::optional(std::to_string(value))});
    }
    if (producer >= 0) {
      Producer& who = producers[static_cast<std::size_t>(producer)];
      batch.producer = 7 + producer;
      batch.sequence = who.sequence;
      batch.transactional = producer != 0;
      who.sequence += static_cast<std::int32_t>(records.size());
      who.open = producer != 0;
    }
    h.put(batch);
  }
  void end(int producer, bool commit) {
    Producer& who = producers[static_cast<std::size_t>(producer)];
    if (!who.open) return;
    h.end(7 + producer, 0, commit);
    who.open = false;
  }
  void clean() {
    h.clean();
    cleaned_to = h.log->cleaned_to();
  }
  void reopen() {
    RC_ASSERT(h.runtime.run(h.log->flush()).has_value());
    const Offset end = h.log->log_end();
    h.open({.clean = false, .recovery_point = Offset(0), .high_watermark = end, .cleaned_to = cleaned_to});
    RC_ASSERT(h.log->log_end() == end);
    RC_ASSERT(h.log->recovery().bytes_cut == 0U);
  }
};

RC_GTEST_PROP(CleanModel, ReadersSeeTheSameLastValues, ()) {
  LogConfig config{.segment_bytes = *rc::gen::element<std::uint32_t>(400, 1500, 6000),
                   .index_interval_bytes = 100,
                   .compacted = true};
  config.delete_retention_ms = *rc::gen::element<std::int64_t>(0, 50, 100'000);
  Run compacted(config);
  Run plain(config);
  const std::array both{&compacted, &plain};
  if (*rc::gen::inRange(0, 3) == 0) compacted.h.options.dedupe_bytes = 12 * OffsetMap::kSlotBytes;
  const int steps = *rc::gen::inRange(5, 80);
  for (int step = 0; step < steps; ++step) {
    const int what = *rc::gen::inRange(0, 20);
    if (what < 9) {
      const int producer = *rc::gen::inRange(-1, 3);
      const auto records = *rc::gen::resize(4, rc::gen::nonEmpty(rc::gen::container<std::vector<std::pair<int, int>>>(
                                                   rc::gen::pair(rc::gen::inRange(0, 6), rc::gen::inRange(0, 50)))));
      const int codec = *rc::gen::inRange(0, 5);
      for (Run* run : both) run->put(producer, records, codec);
    } else if (what < 12) {
      const int producer = *rc::gen::inRange(1, 3);
      const bool commit = *rc::gen::inRange(0, 2) == 0;
      for (Run* run : both) run->end(producer, commit);
    } else if (what < 14) {
      for (Run* run : both) run->h.roll();
    } else if (what < 17) {
      compacted.clean();
    } else if (what < 18) {
      compacted.reopen();
    } else {
      const int pass = *rc::gen::inRange(1, 80);
      for (Run* run : both) run->h.runtime.wall_ms += pass;
    }
    RC_ASSERT(compacted.h.view() == plain.h.view());
  }
  for (Run* run : both) run->h.roll();
  compacted.clean();
  compacted.reopen();
  RC_ASSERT(compacted.h.view() == plain.h.view());
  const auto all = plain.h.records();
  for (const auto& [offset, record] : compacted.h.records()) {
    RC_ASSERT(all.contains(offset));
    RC_ASSERT(all.at(offset) == record);
  }
  for (int producer = 0; producer < 3; ++producer) {
    const ProducerEntry* known = plain.h.log->producers().find(ProducerId(7 + producer));
    const ProducerEntry* kept = compacted.h.log->producers().find(ProducerId(7 + producer));
    if (known == nullptr || known->last_sequence() < 0) continue;
    RC_ASSERT(kept != nullptr);
    RC_ASSERT(kept->last_sequence() == known->last_sequence());
  }
}

}  // namespace
}  // namespace verdict::storage
