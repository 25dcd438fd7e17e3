#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/transaction/transaction.h"

// Records of __transaction_state, byte for byte Kafka's but for two fields: Kafka 4.1 reads the previous and the next
// producer id of version 1 and never writes them, so a change of coordinator at the last epoch loses what the client
// was told. They are written here, only while they differ from what is there anyway.
namespace verdict::transaction {

struct LogRecord {
  std::vector<std::byte> key;
  std::optional<std::vector<std::byte>> value;  // none: tombstone
};

std::vector<std::byte> encode_key(std::string_view transactional_id);
// `version` 0 or 1 of TransactionLogValue: 1 from transaction.version 1 on. 0 keeps neither ids nor the client's
// version.
std::vector<std::byte> encode_value(const Transaction&, int version);

// Errors are sentences without the place in the log, which the caller knows.
std::expected<std::string, std::string> decode_key(std::span<const std::byte> key);
std::expected<Transaction, std::string> decode_value(std::span<const std::byte> value);

}  // namespace verdict::transaction
