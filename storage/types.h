#pragma once

#include <cstdint>
#include <limits>

#include "runtime/strong.h"

// Numbers of the log, by Kafka's names.
namespace verdict {

// A record's place in a partition; 0-based, dense at append. -1 stands for "none" on the wire.
using Offset = Position<struct OffsetTag, std::int64_t>;
// The leadership term of a partition that a batch was first appended in; -1 is "none".
using LeaderEpoch = Strong<struct LeaderEpochTag, std::int32_t>;
using ProducerId = Strong<struct ProducerIdTag, std::int64_t>;        // -1: not idempotent
using ProducerEpoch = Strong<struct ProducerEpochTag, std::int16_t>;  // -1: not idempotent

constexpr Offset kNoOffset{-1};
constexpr LeaderEpoch kNoEpoch{-1};
constexpr ProducerId kNoProducerId{-1};
constexpr ProducerEpoch kNoProducerEpoch{-1};

}  // namespace verdict
