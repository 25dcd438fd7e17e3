#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "protocol/transaction/log_records.h"
#include "tests/unit/storage/kafka_log.h"
#include "tests/unit/transaction/harness.h"

namespace verdict::transaction {
namespace {

std::vector<LogRecord> records_of_kafka(const std::string& name) {
  return storage::testing::records_of<LogRecord>(std::string(VERDICT_SOURCE_DIR) + "/tests/data/" + name);
}

TEST(TransactionLog, ReadsAndWritesWhatKafkaWrote) {
  std::set<TransactionState> states;
  std::size_t records = 0;
  for (const char* name :
       {"golden-logs/clean/__transaction_state-0/00000000000000000000.log", "transaction/kafka-4.1-version-2.log",
        "transaction/kafka-4.1-conversation-version-0.log", "transaction/kafka-4.1-conversation-version-2.log"}) {
    for (const LogRecord& record : records_of_kafka(name)) {
      const auto id = decode_key(record.key);
      ASSERT_TRUE(id) << id.error();
      EXPECT_EQ(encode_key(*id), record.key);
      ASSERT_TRUE(record.value);
      const auto value = decode_value(*record.value);
      ASSERT_TRUE(value) << value.error();
      EXPECT_EQ(encode_value(*value, std::to_integer<int>(record.value->at(1))), *record.value)
          << *id << " " << name_of(value->state);
      states.insert(value->state);
      ++records;
    }
  }
  EXPECT_EQ(records, 21U + 13U + 20U + 23U);
  EXPECT_EQ(states.size(), 6U) << "each state is there";
}

// Kafka's own transactions, asked of this machine: its log has the bytes of Kafka's.
TEST(TransactionLog, TheSameRequestsGiveTheSameRecords) {
  const auto kafka = records_of_kafka("transaction/kafka-4.1-version-2.log");
  Harness h(2);
  h.next_producer_id = 0;
  const auto at = [&](std::size_t i) {  // the time of Kafka's i-th record
    h.wall = WallTime(std::chrono::milliseconds(decode_value(*kafka.at(i).value)->last_update_ms));
  };
  at(0);
  Producer producer = h.init("perf-v2")->producer;
  for (std::size_t i = 1; i + 2 < kafka.size(); i += 3) {
    at(i);
    h.from_broker("perf-v2", producer, {{"t2", 0}}, false);
    at(i + 1);
    producer = h.end("perf-v2", producer, true, 5)->producer;
    at(i + 2);
    h.mark();
  }
  ASSERT_EQ(h.log.size(), kafka.size());
  for (std::size_t i = 0; i < kafka.size(); ++i) {
    EXPECT_EQ(h.log[i].key, kafka[i].key) << i;
    EXPECT_EQ(h.log[i].value, kafka[i].value) << i;
  }
}

Transaction sample() {
  return {.producer_id = 7,
          .previous_producer_id = 6,
          .next_producer_id = 8,
          .producer_epoch = 3,
          .timeout_ms = 1000,
          .state = TransactionState::prepare_commit,
          .partitions = {kA0, kA1, kB0},
          .start_ms = 11,
          .last_update_ms = 12,
          .client_version = 2};
}

TEST(TransactionLog, Version1KeepsAll) {
  const auto back = decode_value(encode_value(sample(), 1));
  ASSERT_TRUE(back) << back.error();
  EXPECT_EQ(*back, sample());
}

TEST(TransactionLog, Version0HasNeitherOtherIdsNorTheClientsVersion) {
  const auto bytes = encode_value(sample(), 0);
  EXPECT_EQ(bytes[1], std::byte{0});
  const auto back = decode_value(bytes);
  ASSERT_TRUE(back) << back.error();
  Transaction expected = sample();
  expected.previous_producer_id = expected.producer_id;
  expected.next_producer_id = kNoProducerId;
  expected.client_version = 0;
  EXPECT_EQ(*back, expected);
}

TEST(TransactionLog, TheFeatureDecidesTheVersion) {
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{0, 1, 2}) {
    Harness h(feature);
    h.init("id");
    EXPECT_EQ(h.log.at(0).value->at(1), std::byte(feature == 0 ? 0 : 1)) << feature;
  }
  Harness h(0);
  h.feature(1);
  h.init("id");
  EXPECT_EQ(h.log.at(0).value->at(1), std::byte{1});
}

TEST(TransactionLog, WhatCannotBeReadIsAnErrorSentence) {
  TransactionCoordinator coordinator({}, nullptr);
  const auto replay = [&](std::vector<std::byte> key, std::optional<std::vector<std::byte>> value) -> std::string {
    std::optional<std::span<const std::byte>> bytes;
    if (value) {
      bytes = *value;
    }
    const auto done = coordinator.replay(key, bytes, WallTime{});
    return done ? "" : done.error();
  };
  EXPECT_EQ(replay({}, std::nullopt), "TransactionLogKey: too short for a version");
  EXPECT_EQ(replay({std::byte{0}, std::byte{1}}, std::nullopt), "TransactionLogKey version 1 is not known");
  EXPECT_THAT(replay({std::byte{0}, std::byte{0}, std::byte{0}, std::byte{9}}, std::nullopt),
              testing::StartsWith("TransactionLogKey: "));
  const auto key = encode_key("id");
  EXPECT_EQ(replay(key, std::vector<std::byte>{std::byte{0xff}, std::byte{0xff}}),
            "transactional id id: TransactionLogValue version -1 is not known");
  auto cut = encode_value(sample(), 1);
  cut.pop_back();
  EXPECT_THAT(replay(key, cut), testing::StartsWith("transactional id id: TransactionLogValue: "));
  auto dead = encode_value(sample(), 1);
  dead[16] = std::byte{6};
  EXPECT_EQ(replay(key, dead), "transactional id id: TransactionLogValue: a transaction of status 6 is never stored");
  Transaction nobody = sample();
  nobody.producer_epoch = -1;
  EXPECT_EQ(replay(key, encode_value(nobody, 1)),
            "transactional id id: TransactionLogValue: a transaction without a producer id and epoch");
  EXPECT_EQ(coordinator.find("id"), nullptr);
  EXPECT_EQ(replay(key, encode_value(sample(), 1)), "");
  EXPECT_NE(coordinator.find("id"), nullptr);
  EXPECT_EQ(replay(key, std::nullopt), "");
  EXPECT_EQ(coordinator.find("id"), nullptr);
}

}  // namespace
}  // namespace verdict::transaction
