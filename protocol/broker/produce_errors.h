#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "protocol/wire/errors.h"
#include "storage/validate.h"

namespace verdict::broker {

// What a Produce answer says of a batch that was not appended, as Kafka words it.
struct BatchRefusal {
  wire::ErrorCode error = wire::ErrorCode::NONE;
  bool names_log_start = false;  // the fault was found after the log had been looked up
  std::optional<std::string> message;
  std::vector<std::pair<std::int32_t, std::string>> records;  // index in the batch, sentence
};

// `partition` is "topic-0"; `rules` are those that the batch failed.
BatchRefusal refusal_of(storage::BatchError fault, storage::Bytes batch, const std::string& partition,
                        const storage::ValidationRules& rules, storage::Decompressor& decompressor);

}  // namespace verdict::broker
