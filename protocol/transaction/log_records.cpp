#include "protocol/transaction/log_records.h"

#include <utility>

#include "protocol/wire/codec.h"
#include "protocol/wire/gen/transaction_records.h"
#include "runtime/assert.h"

namespace verdict::transaction {
namespace {

using Value = wire::TransactionLogValue;

template <class Message>
std::vector<std::byte> with_version(const Message& message, int version) {
  std::vector<std::byte> out{static_cast<std::byte>(version >> 8), static_cast<std::byte>(version & 0xff)};
  const auto done = wire::append(out, message, version);
  VERDICT_ASSERT(done.has_value(), "a record of ours that the schema refuses");
  return out;
}

std::expected<int, std::string> take_version(std::span<const std::byte>& bytes) {
  if (bytes.size() < 2) {
    return std::unexpected(std::string("too short for a version"));
  }
  const auto version =
      static_cast<std::int16_t>((std::to_integer<unsigned>(bytes[0]) << 8) | std::to_integer<unsigned>(bytes[1]));
  bytes = bytes.subspan(2);
  return version;
}

template <class Message>
std::expected<void, std::string> decode(wire::Arena& arena, std::span<const std::byte> bytes, Message& out) {
  const auto version = take_version(bytes);
  if (!version) {
    return std::unexpected(std::string(Message::message_name) + ": " + version.error());
  }
  if (*version < Message::lowest_version || *version > Message::highest_version) {
    return std::unexpected(std::string(Message::message_name) + " version " + std::to_string(*version) +
                           " is not known");
  }
  if (auto done = wire::decode_exact(arena, bytes, *version, out); !done) {
    return std::unexpected(std::string(Message::message_name) + ": " + done.error().to_string());
  }
  return {};
}

std::span<Value::PartitionsSchema> topics_of(const std::set<TopicPartition>& partitions, wire::Arena& arena) {
  const auto topics = by_topic(partitions);
  const auto out = arena.make_span<Value::PartitionsSchema>(topics.size());
  std::size_t n = 0;
  for (const auto& [topic, ids] : topics) {
    out[n].topic = topic;
    out[n++].partition_ids = arena.copy_span<std::int32_t>(ids);
  }
  return out;
}

}  // namespace

std::vector<std::byte> encode_key(std::string_view transactional_id) {
  return with_version(wire::TransactionLogKey{.transactional_id = transactional_id}, 0);
}

std::vector<std::byte> encode_value(const Transaction& t, int version) {
  VERDICT_ASSERT(t.state <= TransactionState::complete_abort, "a state that is never stored");
  VERDICT_ASSERT(t.state != TransactionState::empty || t.partitions.empty());
  wire::Arena arena;
  Value value{.producer_id = t.producer_id,
              .producer_epoch = t.producer_epoch,
              .transaction_timeout_ms = t.timeout_ms,
              .transaction_status = static_cast<std::int8_t>(t.state),
              .transaction_last_update_timestamp_ms = t.last_update_ms,
              .transaction_start_timestamp_ms = t.start_ms};
  if (t.state == TransactionState::empty) {
    value.transaction_partitions = std::nullopt;
  } else {
    value.transaction_partitions = topics_of(t.partitions, arena);
  }
  if (version >= 1) {
    value.previous_producer_id = t.previous_producer_id == t.producer_id ? kNoProducerId : t.previous_producer_id;
    value.next_producer_id = t.next_producer_id;
    value.client_transaction_version = t.client_version;
  }
  return with_version(value, version);
}

std::expected<std::string, std::string> decode_key(std::span<const std::byte> key) {
  wire::Arena arena;
  wire::TransactionLogKey out;
  if (auto done = decode(arena, key, out); !done) {
    return std::unexpected(done.error());
  }
  return std::string(out.transactional_id);
}

std::expected<Transaction, std::string> decode_value(std::span<const std::byte> bytes) {
  wire::Arena arena;
  Value value;
  if (auto done = decode(arena, bytes, value); !done) {
    return std::unexpected(done.error());
  }
  if (value.transaction_status < 0 ||
      value.transaction_status > static_cast<std::int8_t>(TransactionState::complete_abort)) {
    return std::unexpected("TransactionLogValue: a transaction of status " + std::to_string(value.transaction_status) +
                           " is never stored");
  }
  Transaction out{.producer_id = value.producer_id,
                  .previous_producer_id =
                      value.previous_producer_id == kNoProducerId ? value.producer_id : value.previous_producer_id,
                  .next_producer_id = value.next_producer_id,
                  .producer_epoch = value.producer_epoch,
                  .timeout_ms = value.transaction_timeout_ms,
                  .state = static_cast<TransactionState>(value.transaction_status),
                  .start_ms = value.transaction_start_timestamp_ms,
                  .last_update_ms = value.transaction_last_update_timestamp_ms,
                  .client_version = value.client_transaction_version};
  if (out.producer_id < 0 || out.producer_epoch < 0) {
    return std::unexpected(std::string("TransactionLogValue: a transaction without a producer id and epoch"));
  }
  if (out.state != TransactionState::empty && value.transaction_partitions) {
    for (const auto& topic : *value.transaction_partitions) {
      for (const std::int32_t partition : topic.partition_ids) {
        out.partitions.insert({std::string(topic.topic), partition});
      }
    }
  }
  return out;
}

}  // namespace verdict::transaction
