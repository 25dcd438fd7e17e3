#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "protocol/replication/types.h"

namespace verdict::replication {

// A log of records without bytes: offsets, epochs and a value each. One record a batch.
class MemoryLog final : public LogView {
 public:
  struct Record {
    LeaderEpoch epoch;
    std::uint64_t value = 0;
    friend bool operator==(const Record&, const Record&) = default;
  };
  struct EpochStart {
    LeaderEpoch epoch;
    Offset start;
  };

  Offset log_start() const override { return start_; }
  Offset log_end() const override { return first_ + static_cast<std::int64_t>(records_.size()); }
  LeaderEpoch last_epoch() const override { return epochs_.empty() ? kNoEpoch : epochs_.back().epoch; }
  EpochEnd end_offset_for(LeaderEpoch epoch) const override {
    if (epoch == kNoEpoch || epochs_.empty() || epoch > epochs_.back().epoch) return {};
    if (epoch == epochs_.back().epoch) return {epoch, log_end()};
    std::size_t higher = 0;
    while (epochs_[higher].epoch <= epoch) ++higher;
    return {higher == 0 ? epoch : epochs_[higher - 1].epoch, epochs_[higher].start};
  }
  LeaderEpoch epoch_at(Offset offset) const override {
    return offset < start_ || offset >= log_end() ? kNoEpoch : at(offset).epoch;
  }

  const Record& at(Offset offset) const { return records_[static_cast<std::size_t>(offset - first_)]; }
  void append(Record record) {
    if (record.epoch != last_epoch()) assign(record.epoch, log_end());
    records_.push_back(record);
  }
  void assign(LeaderEpoch epoch, Offset start) {
    std::erase_if(epochs_, [&](const EpochStart& entry) { return entry.epoch >= epoch || entry.start >= start; });
    epochs_.push_back({epoch, start});
  }
  void truncate(Offset to) {
    if (to < log_end()) records_.resize(static_cast<std::size_t>(to - first_));
    std::erase_if(epochs_, [&](const EpochStart& entry) { return entry.start >= to; });
  }
  void restart_at(Offset offset) {
    records_.clear();
    epochs_.clear();
    first_ = start_ = offset;
  }
  void set_start(Offset start) {
    start_ = std::max(start_, start);
    // Of the epochs that began below the start the last is kept, from the start on.
    while (epochs_.size() > 1 && epochs_[1].start <= start_) epochs_.erase(epochs_.begin());
    if (!epochs_.empty()) epochs_.front().start = std::max(epochs_.front().start, start_);
  }

 private:
  Offset first_{0};  // of records_
  Offset start_{0};
  std::vector<Record> records_;
  std::vector<EpochStart> epochs_;
};

}  // namespace verdict::replication
