#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tests/unit/storage/producing.h"

// A log's producers against a list of what was appended: any sequence of batches, retries, markers, truncations, rolls,
// stops, kills and damage to what can be built anew.
namespace verdict::storage {
namespace {

using testing::ProducerBatch;
using testing::ProducingHarness;

constexpr int kProducers = 4;

struct Entry {
  Offset base, last;
  ProducerBatch batch;
  std::optional<TxnMarker> marker;
};

// What follows from a list, counted from its beginning each time.
struct Known {
  int epoch = -1;
  std::int32_t last_sequence = -1;
  std::int32_t coordinator_epoch = -1;
  Offset txn_first = kNoOffset;
  friend bool operator==(const Known&, const Known&) = default;
};
struct Truth {
  std::map<std::int64_t, Known> producers;
  std::set<std::pair<Offset, Offset>> ended;  // transactions: first and marker
  std::vector<std::pair<Offset, Offset>> aborted;

  explicit Truth(const std::vector<Entry>& log) {
    for (const Entry& entry : log) {
      const std::int64_t id = entry.marker ? entry.marker->producer_id.value() : entry.batch.producer;
      Known& known = producers[id];
      const int epoch = entry.marker ? entry.marker->producer_epoch.value() : entry.batch.epoch;
      if (epoch != known.epoch) known.last_sequence = -1;
      known.epoch = epoch;
      if (!entry.marker) {
        known.last_sequence = advance_sequence(entry.batch.sequence, entry.batch.records - 1);
        if (entry.batch.transactional && known.txn_first == kNoOffset) known.txn_first = entry.base;
        continue;
      }
      known.coordinator_epoch = entry.marker->coordinator_epoch;
      if (known.txn_first == kNoOffset) continue;
      ended.emplace(known.txn_first, entry.base);
      if (!entry.marker->commit) aborted.emplace_back(known.txn_first, entry.base);
      known.txn_first = kNoOffset;
    }
  }
  Offset stable(Offset high_watermark, Offset log_start) const {
    Offset least = high_watermark;
    for (const auto& [id, known] : producers) {
      if (known.txn_first != kNoOffset) least = std::min(least, std::max(known.txn_first, log_start));
    }
    for (const auto& [first, marker] : ended) {
      if (marker >= high_watermark) least = std::min(least, std::max(first, log_start));
    }
    return least;
  }
};

struct Run {
  ProducingHarness h;
  std::vector<Entry> log;
  Offset high_watermark{0};
  Offset recovery_point{0};
  bool damaged = false;  // a snapshot, which nobody may have looked at since

  explicit Run(LogConfig config) : h(config) { h.open(); }

  Offset end() const { return log.empty() ? Offset(0) : log.back().last + 1; }
  Known known(std::int64_t producer) const {
    const Truth truth(log);
    const auto found = truth.producers.find(producer);
    return found == truth.producers.end() ? Known{} : found->second;
  }
  ProducerBatch next_batch(std::int64_t producer, std::uint64_t draw) const {
    const Known now = known(producer);
    ProducerBatch batch{.producer = producer, .epoch = std::max(now.epoch, 0)};
    batch.records = 1 + static_cast<int>(draw % 3);
    batch.transactional = now.txn_first != kNoOffset || (draw >> 4) % 2 == 0;
    // Near the end of the numbers, so that they wrap.
    batch.sequence = now.epoch < 0           ? INT32_MAX - static_cast<std::int32_t>(draw >> 8 & 7)
                     : now.last_sequence < 0 ? 0
                                             : advance_sequence(now.last_sequence, 1);
    if (now.epoch >= 0 && (draw >> 16) % 8 == 0) {
      ++batch.epoch;
      batch.sequence = 0;
    }
    return batch;
  }
  void append(std::int64_t producer, std::uint64_t draw) {
    const ProducerBatch batch = next_batch(producer, draw);
    const auto done = h.produce(batch);
    RC_ASSERT(done.has_value());
    RC_ASSERT(!done->duplicate);
    RC_ASSERT(done->base == end());
    log.push_back({done->base, done->last, batch, std::nullopt});
  }
  // The newest batch of a producer is a retry whatever was between; any other sequence is refused.
  void retry(std::int64_t producer, std::uint64_t draw) {
    const Known now = known(producer);
    if (now.epoch < 0 || now.last_sequence < 0) return;
    const auto newest = std::ranges::find_if(log.rbegin(), log.rend(), [&](const Entry& entry) {
      return !entry.marker && entry.batch.producer == producer;
    });
    const auto done = h.produce(newest->batch);
    RC_ASSERT(done.has_value());
    RC_ASSERT(done->duplicate);
    RC_ASSERT(done->base == newest->base);
    RC_ASSERT(done->last == newest->last);
    ProducerBatch wrong = newest->batch;
    wrong.sequence = advance_sequence(now.last_sequence, 2 + static_cast<std::int32_t>(draw % 5));
    RC_ASSERT(h.refusal(wrong) == LogErrorKind::out_of_order_sequence);
    if (now.epoch == 0) return;
    --wrong.epoch;
    RC_ASSERT(h.refusal(wrong) == LogErrorKind::invalid_producer_epoch);
  }
  void end_transaction(std::int64_t producer, std::uint64_t draw) {
    const Known now = known(producer);
    if (now.epoch < 0) return;
    const TxnMarker marker = testing::marker_of(producer, now.epoch + static_cast<int>(draw % 4 == 0), draw % 3 != 0,
                                                std::max(now.coordinator_epoch, 0) + static_cast<int>(draw >> 8 & 1));
    const auto done = h.log->append_marker(marker, LeaderEpoch(0), h.runtime.wall_now());
    RC_ASSERT(done.has_value());
    log.push_back({done->base, done->last, {}, marker});
  }
  void truncate(std::uint64_t draw) {
    const Offset start = h.log->log_start();
    const Offset to = start + static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(end() - start + 1));
    RC_ASSERT(h.log->truncate_to(to).has_value());
    while (!log.empty() && log.back().last >= to) log.pop_back();
    high_watermark = std::min(high_watermark, end());
    recovery_point = std::min(recovery_point, end());
  }
  void retain() {
    if (damaged) return;
    RC_ASSERT(h.log->enforce_retention(h.runtime.wall_now(), high_watermark).has_value());
    recovery_point = std::max(recovery_point, h.log->log_start());
  }
  // Where retention removed batches, nothing but a snapshot knows of their producers: there, none is damaged.
  void damage(std::uint64_t draw, bool whole) {
    std::vector<std::string> files;
    for (const auto& [path, content] : h.runtime.disk().copy().files) {
      if (content->empty()) continue;
      if (path.ends_with(".txnindex") || (whole && path.ends_with(".snapshot"))) files.push_back(path);
    }
    if (files.empty()) return;
    const std::string& path = files[draw % files.size()];
    damaged = damaged || path.ends_with(".snapshot");
    auto& content = h.runtime.disk().file(path);
    if ((draw >> 32) % 2 == 0) {
      content.resize(content.size() - 1);
    } else {
      content[0] ^= std::byte{0x40};
    }
  }
  void reopen(bool clean, std::uint64_t draw) {
    const Offset start = h.log->log_start();
    if (clean) {
      RC_ASSERT(h.runtime.run(h.log->close_cleanly()).has_value());
      recovery_point = end();
    }
    if (draw % 3 == 0) damage(draw >> 8, start == Offset(0));
    h.open({.clean = clean, .recovery_point = recovery_point, .log_start = start, .high_watermark = high_watermark});
  }
  void compare() {
    RC_ASSERT(h.log->log_end() == end());
    const Truth truth(log);
    std::map<std::int64_t, Known> found;
    for (const auto& [id, entry] : h.log->producers().producers()) {
      found[id.value()] = {.epoch = entry.epoch.value(),
                           .last_sequence = entry.last_sequence(),
                           .coordinator_epoch = entry.coordinator_epoch,
                           .txn_first = entry.txn_first};
    }
    RC_ASSERT(found == truth.producers);
    const Offset start = h.log->log_start();
    std::vector<std::pair<Offset, Offset>> aborted;
    for (const AbortedTxn& txn : h.log->aborted_transactions(start, end())) aborted.emplace_back(txn.first, txn.last);
    auto expected = truth.aborted;
    std::erase_if(expected, [&](const auto& txn) { return txn.second < start; });
    RC_ASSERT(aborted == expected);
    RC_ASSERT(h.log->last_stable_offset(high_watermark) == truth.stable(high_watermark, start));
  }
};

RC_GTEST_PROP(ProducersModel, AnySequenceOfOperations, ()) {
  Run run({.segment_bytes = *rc::gen::inRange(300U, 900U),
           .index_interval_bytes = 200,
           .retention_bytes = 1500,
           .retention_ms = -1,
           .producer_id_expiration_ms = INT64_MAX});
  const int steps = *rc::gen::inRange(1, 80);
  for (int step = 0; step < steps; ++step) {
    const int kind = *rc::gen::inRange(0, 20);
    const auto draw = *rc::gen::noShrink(rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<std::uint64_t>()));
    const std::int64_t producer = 1 + static_cast<std::int64_t>(draw >> 48) % kProducers;
    if (kind < 8) {
      run.append(producer, draw);
    } else if (kind < 11) {
      run.retry(producer, draw);
    } else if (kind < 14) {
      run.end_transaction(producer, draw);
    } else if (kind == 14) {
      run.truncate(draw);
    } else if (kind == 15) {
      const auto above = static_cast<std::uint64_t>(run.end() - run.high_watermark + 1);
      run.high_watermark = run.high_watermark + static_cast<std::int64_t>(draw % above);
    } else if (kind == 16) {
      run.recovery_point = run.h.runtime.run(run.h.log->flush()).value();
    } else if (kind == 17) {
      run.retain();
    } else {
      run.reopen(kind == 18, draw);
    }
    run.compare();
  }
}

}  // namespace
}  // namespace verdict::storage
