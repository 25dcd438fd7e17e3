#include "tests/unit/group/harness.h"

// Committed offsets, those of transactions, and their end.
namespace verdict::group {
namespace {

using Fetched = verdict::group::Fetched;
constexpr std::int64_t kWeekMs = 604'800'000;
constexpr std::int64_t kCheckMs = 600'000;

TEST(Offsets, CommittedIsFetched) {
  Harness h;
  EXPECT_EQ(h.fetch("t", 0), (Fetched{.offset = -1}));
  EXPECT_TRUE(h.fetch_all().empty());
  EXPECT_EQ(h.commit("t", 0, 42, {.metadata = "m", .leader_epoch = 5}), ErrorCode::NONE);
  EXPECT_EQ(h.logged_before[h.last], 1U);
  EXPECT_EQ(h.fetch("t", 0), (Fetched{.offset = 42, .leader_epoch = 5, .metadata = "m"}));
  EXPECT_EQ(h.fetch("t", 1), (Fetched{.offset = -1}));
  h.commit("t", 0, 41);
  h.commit("u", 3, 9);
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"t-0", 41}, {"u-3", 9}}));
  EXPECT_TRUE(h.fetch_all(false, "other").empty());
}

TEST(Offsets, WithoutAGenerationOnlyAnEmptyGroupTakesThem) {
  Harness h;
  EXPECT_EQ(h.commit("t", 0, 1), ErrorCode::NONE);
  EXPECT_EQ(h.commit("t", 0, 1, {.member = "m"}), ErrorCode::NONE);
  const auto ids = h.stable(1);
  EXPECT_EQ(h.commit("t", 0, 2), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  h.leave({{ids[0]}});
  EXPECT_EQ(h.commit("t", 0, 3), ErrorCode::NONE);
}

TEST(Offsets, MemberDataMustBeOfTheCurrentGeneration) {
  Harness h;
  EXPECT_EQ(h.commit("t", 0, 1, {.generation = 1, .version = 9}), ErrorCode::GROUP_ID_NOT_FOUND);
  EXPECT_EQ(h.commit("t", 0, 1, {.generation = 1, .version = 8}), ErrorCode::ILLEGAL_GENERATION);
  const auto ids = h.stable(1);
  EXPECT_EQ(h.commit("t", 0, 1, {.member = ids[0], .generation = 1}), ErrorCode::NONE);
  EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[0], .generation = 0}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[0], .generation = 2}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.commit("t", 0, 2, {.member = "nobody", .generation = 1}), ErrorCode::UNKNOWN_MEMBER_ID);
  EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[0], .generation = -1}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
}

TEST(Offsets, DuringARebalanceMembersMayCommitUntilTheyJoined) {
  Harness h;
  const auto ids = h.stable(2);
  h.join({.member = ids[0]});
  EXPECT_EQ(h.state(), "PreparingRebalance");
  EXPECT_EQ(h.commit("t", 0, 1, {.member = ids[1], .generation = 1}), ErrorCode::NONE);
  h.join({.member = ids[1]});
  EXPECT_EQ(h.state(), "CompletingRebalance");
  EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[1], .generation = 1}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.commit("t", 0, 2, {.member = ids[1], .generation = 2}), ErrorCode::REBALANCE_IN_PROGRESS);
}

TEST(Offsets, ACommitIsAsGoodAsAHeartbeat) {
  Harness h;
  const auto ids = h.stable(1);
  for (int i = 0; i < 5; ++i) {
    h.wait(9'000);
    EXPECT_EQ(h.commit("t", 0, i, {.member = ids[0], .generation = 1}), ErrorCode::NONE);
  }
  EXPECT_EQ(h.state(), "Stable");
}

TEST(Offsets, MetadataIsLimitedByCharacters) {
  GroupCoordinator::Options options;
  options.offset_metadata_max_bytes = 4;
  Harness h(options);
  EXPECT_EQ(h.commit("t", 0, 1, {.metadata = "12345"}), ErrorCode::OFFSET_METADATA_TOO_LARGE);
  EXPECT_TRUE(h.log.empty());
  EXPECT_EQ(h.state(), "Dead");
  EXPECT_EQ(h.commit("t", 0, 1, {.metadata = "äöüß"}), ErrorCode::NONE);
  EXPECT_EQ(h.commit("t", 0, 1, {.metadata = "\U0001F600\U0001F600\U0001F600"}), ErrorCode::OFFSET_METADATA_TOO_LARGE);
}

TEST(Offsets, ACommitTooLargeForABatchIsRefusedWhole) {
  GroupCoordinator::Options options;
  options.max_batch_bytes = 1'000;
  Harness h(options);
  EXPECT_EQ(h.commit("t", 0, 1, {.metadata = std::string(1'000, 'x')}), ErrorCode::UNKNOWN_SERVER_ERROR);
  EXPECT_TRUE(h.log.empty());
  EXPECT_EQ(h.fetch("t", 0).offset, -1);
}

TEST(OffsetDelete, RefusesWhatTheGroupSubscribesTo) {
  Harness h;
  const auto none = ErrorCode::NONE;
  EXPECT_EQ(h.delete_offset("t", 0, "").first, ErrorCode::INVALID_GROUP_ID);
  EXPECT_EQ(h.delete_offset("t", 0).first, ErrorCode::GROUP_ID_NOT_FOUND);
  h.commit("t", 0, 1);
  h.commit("u", 0, 1);
  h.stable(1, {.protocols = {{"range", subscription({"t"})}}});
  EXPECT_EQ(h.delete_offset("t", 0), std::pair(none, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC));
  const std::size_t before = h.log.size();
  EXPECT_EQ(h.delete_offset("u", 0), std::pair(none, none));
  EXPECT_EQ(h.delete_offset("u", 1), std::pair(none, none));  // nothing was there
  EXPECT_EQ(h.log.size(), before + 1);
  EXPECT_EQ(h.log.back().record, offset_tombstone("g", "u", 0));
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"t-0", 1}}));
}

TEST(OffsetDelete, UnreadableSubscriptionsCountAsAllTopics) {
  Harness h;
  h.commit("t", 0, 1);
  h.stable(1);  // metadata "meta" is none
  EXPECT_EQ(h.delete_offset("t", 0).second, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC);
}

TEST(OffsetDelete, GroupsOfOtherTypesMustBeEmpty) {
  Harness h;
  h.commit("t", 0, 1);
  const auto ids = h.stable(1, {.type = "connect"});
  EXPECT_EQ(h.delete_offset("t", 0).first, ErrorCode::NON_EMPTY_GROUP);
  h.leave({{ids[0]}});
  EXPECT_EQ(h.delete_offset("t", 0).first, ErrorCode::NONE);
  EXPECT_TRUE(h.fetch_all().empty());
}

TEST(TxnOffsets, AreSeenAtTheCommitMarker) {
  Harness h;
  h.commit("t", 0, 1);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 5), ErrorCode::NONE);
  ASSERT_TRUE(h.log.back().transactional.has_value());
  EXPECT_EQ(h.log.back().transactional->id, 7);
  EXPECT_EQ(h.log.back().transactional->epoch, 3);
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  EXPECT_EQ(h.fetch("t", 0, true), (Fetched{.offset = -1, .error = code(ErrorCode::UNSTABLE_OFFSET_COMMIT)}));
  EXPECT_EQ(h.fetch_all(true)["t-0"], -code(ErrorCode::UNSTABLE_OFFSET_COMMIT));
  h.txn_commit(8, "u", 0, 6);
  h.marker(7, true);
  EXPECT_EQ(h.fetch("t", 0, true).offset, 5);
  EXPECT_EQ(h.fetch("u", 0).offset, -1);
  EXPECT_EQ(h.fetch("u", 0, true).error, code(ErrorCode::UNSTABLE_OFFSET_COMMIT));
  h.marker(8, false);
  EXPECT_EQ(h.fetch("u", 0, true), (Fetched{.offset = -1}));
}

TEST(TxnOffsets, TheLaterRecordWinsWhateverTheOrderOfTheMarkers) {
  Harness h;
  h.txn_commit(7, "t", 0, 5);
  h.txn_commit(8, "t", 0, 6);
  h.marker(8, true);
  h.marker(7, true);
  EXPECT_EQ(h.fetch("t", 0).offset, 6);
  h.txn_commit(7, "t", 0, 7);
  h.commit("t", 0, 8);
  h.marker(7, true);
  EXPECT_EQ(h.fetch("t", 0).offset, 8);
}

TEST(TxnOffsets, MayComeWithoutMemberDataInAnyState) {
  Harness h;
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.group = ""}), ErrorCode::INVALID_GROUP_ID);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.generation = 1}), ErrorCode::ILLEGAL_GENERATION);
  const auto ids = h.stable(2);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1), ErrorCode::NONE);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.member = ids[0], .generation = 1}), ErrorCode::NONE);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.member = ids[0], .generation = 0}), ErrorCode::ILLEGAL_GENERATION);
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.member = "nobody", .generation = 1}), ErrorCode::UNKNOWN_MEMBER_ID);
  h.join({.member = ids[0]});
  h.join({.member = ids[1]});
  EXPECT_EQ(h.state(), "CompletingRebalance");
  EXPECT_EQ(h.txn_commit(7, "t", 0, 1, {.member = ids[0], .generation = 2}), ErrorCode::NONE);
}

TEST(TxnOffsets, GoWithTheGroupOrTheTopic) {
  Harness h;
  h.txn_commit(7, "t", 0, 5);
  h.txn_commit(7, "u", 0, 6);
  const std::vector<std::string> names{"t"};
  h.step(events_in::TopicsDeleted{.names = names});
  EXPECT_EQ(h.log.back().record, offset_tombstone("g", "t", 0));
  EXPECT_FALSE(h.log.back().transactional.has_value());
  EXPECT_EQ(h.delete_group(), ErrorCode::NONE);
  h.marker(7, true);
  EXPECT_TRUE(h.fetch_all().empty());
}

TEST(TopicDeletion, RemovesTheOffsetsOfAllGroups) {
  Harness h;
  for (const char* group : {"a", "b"}) {
    h.commit("t", 0, 1, {.group = group});
    h.commit("t", 1, 1, {.group = group});
    h.commit("u", 0, 1, {.group = group});
  }
  const std::size_t before = h.log.size();
  const std::vector<std::string> names{"t", "other"};
  h.step(events_in::TopicsDeleted{.names = names});
  EXPECT_EQ(h.log.size(), before + 4);
  EXPECT_EQ(h.fetch_all(false, "a"), (std::map<std::string, std::int64_t>{{"u-0", 1}}));
}

TEST(TopicDeletion, ManyTombstonesAreSeveralBatches) {
  GroupCoordinator::Options options;
  options.max_batch_bytes = 500;
  Harness h(options);
  for (int i = 0; i < 50; ++i) {
    h.commit("t", i, 1);
  }
  h.batches.clear();
  const std::vector<std::string> names{"t"};
  h.step(events_in::TopicsDeleted{.names = names});
  EXPECT_GT(h.batches.size(), 5U);
  EXPECT_EQ(h.log.size(), 100U);
  std::vector<LogRecord> first;
  for (std::size_t i = 50; i < 50 + h.batches[0]; ++i) {
    first.push_back(h.log[i].record);
  }
  EXPECT_LE(batch_bytes(first), 500U);
  EXPECT_TRUE(h.fetch_all().empty());
}

TEST(Expiry, OffsetsOfNoGroupGoAWeekAfterTheCommit) {
  Harness h;
  h.commit("t", 0, 1);
  h.wait(kCheckMs);
  h.commit("u", 0, 1);
  h.wait(kWeekMs - kCheckMs - 1);
  EXPECT_EQ(h.fetch_all().size(), 2U);
  h.wait(1);
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"u-0", 1}}));
  EXPECT_EQ(h.log.back().record, offset_tombstone("g", "t", 0));
  h.wait(kCheckMs);
  EXPECT_EQ(h.state(), "Dead");
  EXPECT_EQ(h.log[h.log.size() - 2].record, offset_tombstone("g", "u", 0));
  EXPECT_EQ(h.log.back().record, group_tombstone("g"));
}

TEST(Expiry, OffsetsOfAGroupGoAWeekAfterItBecameEmpty) {
  Harness h;
  const auto ids = h.stable(1, {.protocols = {{"range", subscription({"t"})}}, .session_ms = 1'800'000});
  h.commit("t", 0, 1, {.member = ids[0], .generation = 1});
  for (int i = 0; i < 800; ++i) {  // eight days
    h.wait(900'000);
    ASSERT_EQ(h.heartbeat(ids[0]), ErrorCode::NONE);
  }
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  h.leave({{ids[0]}});
  h.wait(kWeekMs - kCheckMs);
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
  h.wait(2 * kCheckMs);
  EXPECT_EQ(h.state(), "Dead");
}

TEST(Expiry, AStableGroupLosesTheTopicsThatItGaveUp) {
  Harness h;
  const auto ids = h.stable(1, {.protocols = {{"range", subscription({"t"})}}, .session_ms = 1'800'000});
  h.commit("t", 0, 1, {.member = ids[0], .generation = 1});
  h.commit("u", 0, 1, {.member = ids[0], .generation = 1});
  for (int i = 0; i < 700; ++i) {
    h.wait(900'000);
    h.heartbeat(ids[0]);
  }
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"t-0", 1}}));
}

TEST(Expiry, AGroupWhoseSubscriptionsAreNotKnownKeepsAll) {
  Harness h;
  const auto ids = h.stable(1, {.session_ms = 1'800'000, .type = "connect"});
  h.commit("t", 0, 1, {.member = ids[0], .generation = 1});
  for (int i = 0; i < 700; ++i) {
    h.wait(900'000);
    h.heartbeat(ids[0]);
  }
  EXPECT_EQ(h.fetch("t", 0).offset, 1);
}

TEST(Expiry, ARetentionTimeOfTheClientsCounts) {
  Harness h;
  h.commit("t", 0, 1, {.version = 4, .retention_ms = 1'000});
  EXPECT_EQ(text_of(*h.log.back().record.value).substr(0, 2), std::string("\0\1", 2));
  h.commit("u", 0, 1, {.version = 4, .retention_ms = std::numeric_limits<std::int64_t>::max()});
  h.wait(kCheckMs);
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"u-0", 1}}));
  h.wait(2 * kWeekMs);
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"u-0", 1}}));
}

TEST(Expiry, APendingOffsetHoldsItsPartitionAndItsGroupBack) {
  Harness h;
  h.commit("t", 0, 1);
  h.commit("u", 0, 1);
  h.txn_commit(7, "t", 0, 2);
  h.txn_commit(9, "t", 0, 2, {.group = "only pending"});
  h.wait(kWeekMs + kCheckMs);
  EXPECT_EQ(h.fetch_all(), (std::map<std::string, std::int64_t>{{"t-0", 1}}));
  EXPECT_EQ(h.state("only pending"), "Empty");
  h.marker(7, false);
  h.marker(9, false);
  h.wait(kCheckMs);
  EXPECT_EQ(h.state(), "Dead");
  EXPECT_EQ(h.state("only pending"), "Dead");
}

TEST(Expiry, AnOpenTransactionOrAPendingMemberHoldsAGroupWithoutOffsets) {
  Harness h;
  h.txn_commit(7, "t", 0, 2);
  h.delete_offset("t", 0);
  const Token given = h.join({.session_ms = 1'800'000, .group = "joining"});
  h.wait(kCheckMs);
  EXPECT_EQ(h.state(), "Empty");
  EXPECT_EQ(h.state("joining"), "Empty");
  const std::string id(h.answer<wire::JoinGroupResponse>(given).member_id);
  const Token joined = h.join({.member = id, .session_ms = 1'800'000, .group = "joining"});
  h.wait(3'000);
  EXPECT_EQ(h.joined(joined).error_code, 0);
  h.marker(7, true);
  h.wait(kCheckMs);
  EXPECT_EQ(h.state(), "Dead");
}

TEST(Expiry, AnEmptyGroupWithoutOffsetsGoesAtTheNextCheck) {
  Harness h;
  const auto ids = h.stable(1);
  h.leave({{ids[0]}});
  EXPECT_EQ(h.state(), "Empty");
  h.wait(kCheckMs);
  EXPECT_EQ(h.state(), "Dead");
  EXPECT_EQ(h.log.back().record, group_tombstone("g"));
}

}  // namespace
}  // namespace verdict::group
