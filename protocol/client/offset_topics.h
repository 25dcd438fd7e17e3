#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/client/group.h"
#include "protocol/wire/arena.h"

namespace verdict::client {

// Offsets as OffsetCommit and TxnOffsetCommit list them, of whose messages Topic and Partition are. The result points
// into `offsets`.
template <class Topic, class Partition>
std::span<Topic> topics_of(wire::Arena& arena, const OffsetsToCommit& offsets) {
  std::map<std::string_view, std::vector<const OffsetsToCommit::value_type*>> topics;
  for (const auto& entry : offsets) topics[entry.first.topic].push_back(&entry);
  const auto out = arena.make_span<Topic>(topics.size());
  std::size_t t = 0;
  for (const auto& [name, entries] : topics) {
    out[t].name = name;
    out[t].partitions = arena.make_span<Partition>(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      out[t].partitions[i] = {.partition_index = entries[i]->first.partition,
                              .committed_offset = entries[i]->second.offset.value(),
                              .committed_leader_epoch = entries[i]->second.leader_epoch.value(),
                              .committed_metadata = entries[i]->second.metadata};
    }
    ++t;
  }
  return out;
}

}  // namespace verdict::client
