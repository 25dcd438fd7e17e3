#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>

#include "tests/unit/storage/support.h"

// The log against a list of batches: any sequence of appends, truncations, rolls, flushes, retention, restarts and
// kills.
namespace verdict::storage {
namespace {

using testing::LogHarness;
using testing::make_batch;

struct ModelBatch {
  Offset base;
  Offset last;
  LeaderEpoch epoch;
  std::int64_t timestamp;
  std::uint32_t crc;
};

struct Model {
  std::vector<ModelBatch> batches;
  Offset end{0};
  Offset start{0};
  Offset recovery_point{0};
  int epoch = 0;
};

struct Run {
  LogHarness h;
  Model model;
  Decompressor decompressor;

  explicit Run(LogConfig config, bool deferred) : h(config) {
    h.runtime.deferred = deferred;
    h.open();
  }

  void append(int records, int codec, std::size_t value_size, std::int64_t timestamp) {
    static constexpr std::array kCodecs{Codec::none, Codec::lz4, Codec::zstd};
    const Appended done = h.append(model.epoch, {.records = records,
                                                 .timestamp = timestamp,
                                                 .codec = kCodecs[static_cast<std::size_t>(codec)],
                                                 .value_size = value_size});
    RC_ASSERT(done.base == model.end);
    model.batches.push_back({done.base, done.last, done.epoch, timestamp, done.crc});
    model.end = done.last + 1;
  }
  void truncate(Offset to) {
    RC_ASSERT(h.log->truncate_to(to).has_value());
    while (!model.batches.empty() && model.batches.back().last >= to) {
      model.end = model.batches.back().base;
      model.batches.pop_back();
    }
    if (to < model.start || h.log->log_end() < model.start) model.start = std::min(model.start, h.log->log_end());
    model.end = h.log->log_end();
    model.recovery_point = std::min(model.recovery_point, model.end);
  }
  void reopen(bool clean) {
    if (clean) RC_ASSERT(h.runtime.run(h.log->close_cleanly()).has_value());
    h.open({.clean = clean, .recovery_point = clean ? model.end : model.recovery_point, .log_start = model.start});
    RC_ASSERT(h.log->recovery().bytes_cut == 0U);
  }
  void retain() {
    const auto removed = h.log->enforce_retention(h.runtime.wall_now(), model.end);
    RC_ASSERT(removed.has_value());
    if (!removed->empty()) model.start = std::max(model.start, removed->back().next);
    std::erase_if(model.batches, [&](const ModelBatch& batch) { return batch.last < model.start; });
  }
  void compare(std::uint64_t draw) {
    RC_ASSERT(h.log->log_end() == model.end);
    RC_ASSERT(h.log->log_start() == model.start);
    std::size_t at = 0;
    while (at < model.batches.size() && model.batches[at].last < model.start) ++at;
    const auto all = h.all();
    RC_ASSERT(all.size() == model.batches.size() - at);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const ModelBatch& batch = model.batches[at + i];
      RC_ASSERT(all[i].base_offset == batch.base);
      RC_ASSERT(all[i].crc == batch.crc);
      RC_ASSERT(all[i].leader_epoch == batch.epoch);
      RC_ASSERT(h.log->epochs().epoch_of(std::max(batch.base, model.start)) == batch.epoch);
    }
    if (model.end <= model.start) return;
    const Offset from =
        model.start + static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(model.end - model.start));
    compare_read(from, draw >> 16 & 1023, model.start + static_cast<std::int64_t>(draw >> 32 & 63));
    compare_time(static_cast<std::int64_t>(draw >> 40 & 255));
  }
  // The slice is the longest run of batches that the bounds allow, within one segment, and ends inside a batch only
  // where the byte limit is.
  void compare_read(Offset from, std::size_t max_bytes, Offset upper) {
    const auto slice = h.runtime.run(h.log->read(from, max_bytes, upper, true));
    RC_ASSERT(slice.has_value());
    const auto holder =
        std::ranges::find_if(model.batches, [&](const ModelBatch& batch) { return batch.last >= from; });
    RC_ASSERT(holder != model.batches.end());
    RC_ASSERT(slice->empty() == (holder->last >= upper || from >= upper));
    if (slice->empty()) return;
    RC_ASSERT(slice->first == holder->base);
    std::vector<std::byte> bytes(slice->size);
    RC_ASSERT(slice->file->read_now(bytes, slice->position).value() == bytes.size());
    Bytes rest(bytes);
    std::size_t count = 0;
    while (!rest.empty()) {
      const auto batch = take_batch(rest);
      if (!batch) {
        RC_ASSERT(batch.error() == BatchError::truncated);
        break;
      }
      RC_ASSERT(batch->header().crc == (holder + static_cast<std::ptrdiff_t>(count))->crc);
      RC_ASSERT(batch->header().last_offset() < upper);
      ++count;
    }
    RC_ASSERT(count == 1 || slice->size <= max_bytes);
    const auto after = holder + static_cast<std::ptrdiff_t>(count);
    RC_ASSERT(slice->next == std::prev(after)->last + 1);
    if (rest.empty()) return;
    RC_ASSERT(slice->size == max_bytes);
    RC_ASSERT(after != model.batches.end());
    RC_ASSERT(after->last < upper);
    if (rest.size() >= sizeof(std::int64_t)) RC_ASSERT(load_be<std::int64_t>(rest.data()) == after->base.value());
  }
  void compare_time(std::int64_t target) {
    const auto found = h.runtime.run(h.log->offset_for_time(target, decompressor));
    RC_ASSERT(found.has_value());
    for (const ModelBatch& batch : model.batches) {
      for (Offset at = batch.base; at <= batch.last; ++at) {
        if (batch.timestamp + (at - batch.base) < target || at < model.start) continue;
        RC_ASSERT(found->has_value());
        RC_ASSERT((*found)->offset == at);
        return;
      }
    }
    RC_ASSERT(!found->has_value());
  }
};

RC_GTEST_PROP(LogModel, AnySequenceOfOperations, ()) {
  LogConfig config{.segment_bytes = *rc::gen::inRange(400U, 1500U),
                   .index_interval_bytes = *rc::gen::inRange(1U, 400U),
                   .index_bytes = *rc::gen::element(60U, 100000U),
                   .retention_bytes = 800,
                   .retention_ms = -1,
                   .tail_batches = *rc::gen::element<std::size_t>(1, 4, 128)};
  Run run(config, *rc::gen::arbitrary<bool>());
  const int steps = *rc::gen::inRange(1, 60);
  for (int step = 0; step < steps; ++step) {
    const int kind = *rc::gen::inRange(0, 16);
    const auto draw = *rc::gen::arbitrary<std::uint64_t>();
    if (kind < 8) {
      run.append(1 + static_cast<int>(draw % 4), static_cast<int>(draw >> 8 & 3) % 3, draw >> 16 & 63,
                 static_cast<std::int64_t>(draw >> 24 & 255));
    } else if (kind == 8) {
      ++run.model.epoch;
    } else if (kind == 9 && run.model.end > run.model.start) {
      run.truncate(run.model.start +
                   static_cast<std::int64_t>(draw % static_cast<std::uint64_t>(run.model.end - run.model.start + 1)));
    } else if (kind == 10) {
      RC_ASSERT(run.h.log->roll(run.h.runtime.wall_now()).has_value());
    } else if (kind == 11) {
      run.model.recovery_point = run.h.runtime.run(run.h.log->flush()).value();
    } else if (kind == 12) {
      run.retain();
    } else if (kind == 13) {
      run.reopen(true);
    } else if (kind == 14) {
      run.reopen(false);
    }
    run.compare(draw);
  }
}

// Whatever is done to a log's file, opening it gives whole, valid batches that were there before.
RC_GTEST_PROP(LogModel, AnyDamageLeavesAPrefix, ()) {
  Run run({.segment_bytes = 900, .index_interval_bytes = 150}, false);
  const int batches = *rc::gen::inRange(1, 25);
  for (int i = 0; i < batches; ++i) run.append(2, i % 3, static_cast<std::size_t>(i * 7 % 50), i);
  std::vector<std::string> logs;
  for (const auto& [path, content] : run.h.runtime.disk().copy().files) {
    if (path.ends_with(".log")) logs.push_back(path);
  }
  auto& content = run.h.runtime.disk().file(logs[*rc::gen::inRange<std::size_t>(0, logs.size())]);
  const std::size_t at = *rc::gen::inRange<std::size_t>(0, content.size());
  const std::size_t sectors = *rc::gen::inRange<std::size_t>(0, 64);
  if (sectors == 0) content.resize(at);
  // Not the first 21 bytes of a batch: the CRC doesn't cover them, and a log can't know better.
  for (std::size_t i = at; i < std::min(content.size(), at + sectors * 8); ++i) content[i] = std::byte{0};
  const auto before = run.model.batches;
  run.h.open({.clean = false});
  const auto all = run.h.all();
  RC_ASSERT(all.size() <= before.size());
  for (std::size_t i = 0; i < all.size(); ++i) RC_ASSERT(all[i].crc == before[i].crc);
}

}  // namespace
}  // namespace verdict::storage
