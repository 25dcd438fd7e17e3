#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/types.h"

namespace verdict::storage {

struct EpochStart {
  LeaderEpoch epoch;
  Offset start;
  friend bool operator==(const EpochStart&, const EpochStart&) = default;
};

struct EpochEnd {
  LeaderEpoch epoch;  // the largest own epoch <= the one asked
  Offset end;         // exclusive
  friend bool operator==(const EpochEnd&, const EpochEnd&) = default;
};

// Which leader epoch began at which offset: strictly increasing in both. In memory; Log writes it to the file
// leader-epoch-checkpoint.
class EpochCache {
 public:
  // False if nothing changed. Entries that a later start contradicts (epoch or start not below the new one's) go.
  bool assign(LeaderEpoch epoch, Offset start);
  bool truncate_from_end(Offset end);      // drops epochs that start at or after `end`; true if any
  bool truncate_from_start(Offset start);  // the epoch that holds `start` begins there, older ones go; true if changed
  void clear();

  std::optional<EpochStart> latest() const;
  // KIP-101 and KIP-279. None: the epoch asked is newer than all known ones, or none is known. An epoch older than all:
  // that epoch itself, and the start of the first known.
  std::optional<EpochEnd> end_offset_for(LeaderEpoch asked, Offset log_end) const;
  // The epoch of the batch that holds `offset`; none below the first start.
  std::optional<LeaderEpoch> epoch_of(Offset offset) const;
  // The largest epoch below `epoch`.
  std::optional<LeaderEpoch> previous_epoch(LeaderEpoch epoch) const;

  const std::vector<EpochStart>& entries() const { return entries_; }

 private:
  std::vector<EpochStart> entries_;
};

// The file's text, and back; none if the text is not one (the line that is wrong is lost: the cache is then rebuilt).
std::string format_epochs(const EpochCache& cache);
std::optional<EpochCache> parse_epochs(std::string_view text);

}  // namespace verdict::storage
