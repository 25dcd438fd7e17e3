#include "tests/unit/group/harness.h"
#include "tests/unit/storage/kafka_log.h"

// Records: Kafka's bytes, and what a coordinator that loads them knows.
namespace verdict::group {
namespace {

// A log that Apache Kafka 4.1 wrote: one consumer of librdkafka that joined, committed and left.
std::vector<LogRecord> golden() {
  return storage::testing::records_of<LogRecord>(
      std::string(VERDICT_SOURCE_DIR) + "/tests/data/golden-logs/clean/__consumer_offsets-0/00000000000000000000.log");
}

TEST(GroupRecords, AreByteForByteWhatKafkaWrites) {
  const auto records = golden();
  ASSERT_EQ(records.size(), 5U);
  for (const LogRecord& record : records) {
    const auto read = read_record(record.key, *record.value);
    ASSERT_TRUE(read.has_value());
    if (const auto* offset = std::get_if<OffsetRecord>(&*read)) {
      EXPECT_EQ(offset_record(offset->group, offset->topic, offset->partition, *offset->value), record);
    } else {
      EXPECT_EQ(group_record(*std::get<GroupRecord>(*read).value), record);
    }
  }
}

TEST(GroupRecords, OfKafkasLogAreUnderstood) {
  std::vector<Logged> log;
  for (LogRecord& record : golden()) {
    log.push_back({.record = std::move(record)});
  }
  Harness all({}, log);
  EXPECT_EQ(all.list(), (std::vector<std::string>{"golden-group:consumer:Empty:classic"}));
  EXPECT_EQ(all.fetch_all(false, "golden-group"), (std::map<std::string, std::int64_t>{{"txn-0", 35}, {"txn-1", 30}}));
  log.pop_back();
  Harness before({}, log);
  const auto& group = before.describe("golden-group");
  EXPECT_EQ(group.group_state, "Stable");
  EXPECT_EQ(group.protocol_data, "range");
  ASSERT_EQ(group.members.size(), 1U);
  const std::string id(group.members[0].member_id);
  EXPECT_EQ(id, "rdkafka-3cdc5851-4540-45f7-9312-9542e54eecb7");
  EXPECT_EQ(group.members[0].client_host, "/127.0.0.1");
  EXPECT_EQ(before.delete_offset("txn", 0, "golden-group").second, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
  EXPECT_EQ(before.delete_offset("other", 0, "golden-group").second, ErrorCode::NONE);
  EXPECT_EQ(before.heartbeat(id, 1, std::nullopt, "golden-group"), ErrorCode::NONE);
}

TEST(GroupLoad, SessionsBeginAnew) {
  Harness first;
  const auto ids = first.stable(2);
  Harness second({}, first.log);
  EXPECT_EQ(second.state(), "Stable");
  second.wait(9'999);
  EXPECT_EQ(second.heartbeat(ids[0]), ErrorCode::NONE);
  second.wait(1);
  EXPECT_EQ(second.state(), "PreparingRebalance");  // ids[1] was silent
  EXPECT_EQ(text_of(second.synced(second.sync({.member = ids[0]})).assignment), "");
}

TEST(GroupLoad, AGroupBeyondItsLimitRebalances) {
  Harness first;
  const auto ids = first.stable(3, {.instance = ""});
  GroupCoordinator::Options options;
  options.group_max_size = 2;
  Harness second(options, first.log);
  EXPECT_EQ(second.state(), "PreparingRebalance");
  second.join({.member = ids[0], .instance = "i0"});
  second.join({.member = ids[1], .instance = "i1"});
  EXPECT_EQ(second.joined(second.join({.member = ids[2], .instance = "i2"})).error_code,
            code(ErrorCode::GROUP_MAX_SIZE_REACHED));
  EXPECT_EQ(second.state(), "CompletingRebalance");
}

TEST(GroupLoad, PendingOffsetsWaitForTheirMarker) {
  Harness first;
  first.txn_commit(7, "t", 0, 5);
  first.txn_commit(8, "t", 1, 6);
  Harness second({}, first.log);
  EXPECT_EQ(second.fetch("t", 0, true).error, code(ErrorCode::UNSTABLE_OFFSET_COMMIT));
  second.marker(7, true);
  EXPECT_EQ(second.fetch("t", 0, true).offset, 5);

  GroupCoordinator third({}, nullptr);
  for (const Logged& one : first.log) {
    ASSERT_TRUE(third.replay(one.record.key, *one.record.value, 0, one.transactional));
  }
  third.replay_marker({.id = 7, .epoch = 3}, true);
  third.replay_marker({.id = 8, .epoch = 3}, false);
  Effects out;
  third.loaded(first.now, first.wall, out);
  std::int32_t partitions[] = {0, 1};
  wire::OffsetFetchRequest::OffsetFetchRequestTopics in{.name = "t", .partition_indexes = partitions};
  const wire::OffsetFetchRequest::OffsetFetchRequestGroup of{.group_id = "g", .topics = std::span(&in, 1)};
  third.step(events_in::OffsetFetch{.token = 1, .require_stable = true, .group = of}, first.now, first.wall, out);
  const auto& answer =
      std::get<wire::Message<wire::OffsetFetchResponse>>(std::get<effects::Respond>(out.list.back()).response)
          .value.groups[0]
          .topics[0];
  EXPECT_EQ(answer.partitions[0].committed_offset, 5);
  EXPECT_EQ(answer.partitions[1].committed_offset, -1);
}

TEST(GroupLoad, TheLaterRecordWinsAsItDidBefore) {
  for (const bool transaction_last : {true, false}) {
    Harness first;
    if (!transaction_last) {
      first.txn_commit(7, "t", 0, 5);
    }
    first.commit("t", 0, 8);
    if (transaction_last) {
      first.txn_commit(7, "t", 0, 5);
    }
    Harness second({}, first.log);
    second.marker(7, true);
    EXPECT_EQ(second.fetch("t", 0).offset, transaction_last ? 5 : 8);
  }
}

TEST(GroupLoad, OlderRecordsOfKafkaAreRead) {
  const auto read = [](std::string_view key, std::string_view value) {
    const auto k = bytes_of(key);
    const auto v = bytes_of(value);
    return std::get<OffsetRecord>(read_record(k, v).value());
  };
  using namespace std::string_view_literals;
  const auto legacy = read("\0\0\0\1g\0\1t\0\0\0\2"sv, "\0\0\0\0\0\0\0\0\0\7\0\1m\0\0\0\0\0\0\0\5"sv);
  EXPECT_EQ(legacy.group, "g");
  EXPECT_EQ(legacy.partition, 2);
  EXPECT_EQ(legacy.value->offset, 7);
  EXPECT_EQ(legacy.value->metadata, "m");
  EXPECT_EQ(legacy.value->commit_timestamp_ms, 5);
  EXPECT_EQ(legacy.value->leader_epoch, -1);
  const auto expiring = read("\0\1\0\1g\0\1t\0\0\0\2"sv, "\0\1\0\0\0\0\0\0\0\7\0\0\0\0\0\0\0\0\0\5\0\0\0\0\0\0\0\11"sv);
  EXPECT_EQ(expiring.value->expire_timestamp_ms, 9);
}

TEST(GroupLoad, DamagedRecordsAreErrorsAndForeignOnesAreSkipped) {
  using namespace std::string_view_literals;
  GroupCoordinator machine({}, nullptr);
  const auto replay = [&](std::string_view key, std::optional<std::string_view> value) -> std::string {
    const auto k = bytes_of(key);
    const auto v = bytes_of(value.value_or(""));
    const auto done = machine.replay(k, value ? std::optional<std::span<const std::byte>>(v) : std::nullopt, 0, {});
    return done ? "" : done.error();
  };
  EXPECT_EQ(replay("\0"sv, ""), "a key of 1 bytes has no type");
  EXPECT_EQ(replay("\0\1\0\1g\0\1t\0\0\0"sv, "x"), "OffsetCommitKey: a malformed key");
  EXPECT_EQ(replay("\0\1\0\1g\0\1t\0\0\0\0"sv, "x"), "OffsetCommitValue: a value of 1 bytes has no version");
  EXPECT_EQ(replay("\0\1\0\1g\0\1t\0\0\0\0"sv, "\0\5"sv), "OffsetCommitValue: version 5 is unknown");
  EXPECT_EQ(replay("\0\1\0\1g\0\1t\0\0\0\0"sv, "\0\3xyz"sv), "OffsetCommitValue: a malformed value of version 3");
  EXPECT_EQ(replay("\0\2\0\1"sv, std::nullopt), "GroupMetadataKey: a malformed key");
  EXPECT_EQ(replay("\0\2\0\1g"sv, "\0\11"sv), "GroupMetadataValue: version 9 is unknown");
  EXPECT_EQ(replay("\0\2\0\1g"sv, std::nullopt), "");
  EXPECT_EQ(replay("\0\3\0\1g"sv, "\0\0anything"sv), "ConsumerGroupMetadataValue: a malformed value of version 0");
  EXPECT_EQ(replay("\0\13\0\1g"sv, "\0\0anything"sv), "");  // a share group's (KIP-932)
  EXPECT_EQ(replay("\0\x63whatever"sv, std::nullopt), "");  // of a later Kafka
  Harness h;
  const auto ids = h.stable(1);
  LogRecord twice = h.log.back().record;
  // The same member twice: count 2, and the member's bytes again.
  std::string value = text_of(*twice.value);
  const std::size_t at = value.find(std::string("\0\0\0\1", 4), 2 + 2 + 8 + 4);
  ASSERT_NE(at, std::string::npos);
  value[at + 3] = 2;
  value += value.substr(at + 4);
  EXPECT_EQ(replay(text_of(twice.key), value), "GroupMetadataValue: two members with one id");
}

TEST(GroupLoad, ARemovedGroupIsGone) {
  Harness first;
  first.commit("t", 0, 1);
  first.stable(1);
  first.wait(100'000);
  first.delete_group();
  Harness second({}, first.log);
  EXPECT_TRUE(second.list().empty());
  EXPECT_TRUE(second.fetch_all().empty());
}

}  // namespace
}  // namespace verdict::group
