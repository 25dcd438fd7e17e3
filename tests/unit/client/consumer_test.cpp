#include "tests/unit/client/harness.h"

namespace verdict::client::testing {
namespace {

using Event = PolledPartition::Event;
const TopicPartition kPartition{"t", 0};

class ConsumerTest : public ClientTest {
 protected:
  void begin(ConsumerOptions how, int nodes = 1, std::size_t partitions = 1) {
    start(nodes);
    cluster->add_topic("t", partitions);
    how.max_wait = 20ms;
    consumer = std::make_unique<Consumer>(runtime, options(), how);
  }
  void TearDown() override {
    if (consumer != nullptr) run(consumer->close());
    consumer.reset();
    ClientTest::TearDown();
  }
  void fill(std::int64_t records, storage::Codec codec = storage::Codec::none, std::size_t index = 0) {
    for (std::int64_t i = 0; i < records; ++i) {
      const std::string value = "v" + std::to_string(cluster->partition("t", index).end().value());
      cluster->partition("t", index).append(batch_of({value, value + "b"}, {.codec = codec}));
    }
  }
  // Polls until `enough` records or events, or the time is over.
  void poll(std::size_t enough, Duration time = 3s) {
    const auto task = [](ConsumerTest* test, std::size_t goal, MonoTime deadline) -> Task<void> {
      std::size_t got = 0;
      while (got < goal && test->runtime.now() < deadline) {
        const Polled polled = co_await test->consumer->poll(deadline);
        for (const PolledPartition& part : polled.partitions) {
          if (part.event != Event::records) {
            test->events.push_back({part.event, part.error, part.from, part.next});
            ++got;
          }
          for (const storage::RecordView& record : part.records) {
            test->read.emplace_back(record.offset.value(), text(record.value));
            ++got;
          }
        }
      }
    };
    run(task(this, enough, in(time)));
  }
  Task<void> poll_until_idle() {
    for (;;) {
      const Polled polled = co_await consumer->poll(in(200ms));
      if (polled.partitions.empty()) co_return;
      for (const PolledPartition& part : polled.partitions) {
        for (const storage::RecordView& record : part.records)
          read.emplace_back(record.offset.value(), text(record.value));
      }
    }
  }
  struct Seen {
    Event event;
    ErrorCode error;
    Offset from, next;
  };
  std::vector<Seen> events;
  std::vector<std::pair<std::int64_t, std::string>> read;
  std::unique_ptr<Consumer> consumer;
};

TEST_F(ConsumerTest, ReadsEveryRecordOnceInOrder) {
  begin({});
  fill(50);
  fill(50, storage::Codec::lz4);
  fill(50, storage::Codec::zstd);
  consumer->assign(kPartition, StartAt::earliest());
  poll(301);
  ASSERT_EQ(read.size(), 300U);
  for (std::size_t i = 0; i < read.size(); ++i) {
    EXPECT_EQ(read[i].first, static_cast<std::int64_t>(i));
    EXPECT_EQ(read[i].second, "v" + std::to_string(i / 2 * 2) + (i % 2 == 0 ? "" : "b"));
  }
  EXPECT_EQ(consumer->position(kPartition), Offset(300));
}

// Its fetch waits for the connection when it is taken away, and given back: the old one's answer is nobody's.
TEST_F(ConsumerTest, WhatIsUnassignedIsNotDelivered) {
  begin({});
  fill(10);
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  int connections = 0;
  cluster->on_request = [&](int, wire::ApiKey api) {
    if (api == wire::ApiKey::ApiVersions && ++connections == 2) {  // of the fetch
      consumer->unassign(kPartition);
      consumer->assign(kPartition, StartAt::at(Offset(0)));
    }
    return Verdict::serve;
  };
  Scope polling(runtime);
  polling.spawn(poll_until_idle());
  ASSERT_TRUE(run_until([&] { return polling.size() == 0; }));
  EXPECT_EQ(connections, 2);
  ASSERT_EQ(read.size(), 20U);
  for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i].first, static_cast<std::int64_t>(i));
}

TEST_F(ConsumerTest, AnAnswerMayEndInsideABatch) {
  for (const std::int32_t limit : {1, 90, 200, 1000}) {
    begin({.max_partition_bytes = limit});
    fill(20);
    fill(20, storage::Codec::zstd);
    consumer->assign(kPartition, StartAt::earliest());
    poll(81);
    ASSERT_EQ(read.size(), 80U) << limit;
    for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read[i].first, static_cast<std::int64_t>(i));
    ASSERT_EQ(events.size(), 1U) << "found its place, and no error";
    EXPECT_EQ(events[0].event, Event::located);
    read.clear();
    events.clear();
    TearDown();
  }
}

TEST_F(ConsumerTest, StartsWhereItIsTold) {
  begin({});
  fill(5);
  consumer->assign(kPartition, StartAt::at(Offset(7)));  // within a batch
  poll(3);
  ASSERT_EQ(read.size(), 3U);
  EXPECT_EQ(read[0].first, 7);
  EXPECT_TRUE(events.empty());
  read.clear();
  EXPECT_TRUE(consumer->seek(kPartition, StartAt::at(Offset(2))));
  poll(8);
  EXPECT_EQ(read.front().first, 2);
  read.clear();
  consumer->seek(kPartition, StartAt::latest());
  poll(1);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].event, Event::located);
  EXPECT_EQ(events[0].next, Offset(10));
  fill(1);
  poll(2);
  EXPECT_EQ(read.front().first, 10);
  EXPECT_FALSE(consumer->seek({"other", 0}, StartAt::earliest()));
}

TEST_F(ConsumerTest, OutOfRangeFollowsThePolicy) {
  begin({.reset = OffsetReset::earliest});
  cluster->partition("t").start = Offset(40);
  fill(2);
  consumer->assign(kPartition, StartAt::at(Offset(3)));
  poll(5);
  ASSERT_EQ(read.size(), 4U);
  EXPECT_EQ(read[0].first, 40);
  TearDown();
  events.clear();
  begin({.reset = OffsetReset::none});
  fill(2);
  consumer->assign(kPartition, StartAt::at(Offset(300)));
  poll(1);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].error, ErrorCode::OFFSET_OUT_OF_RANGE);
  const std::size_t before = cluster->requests.size();
  poll(1, 100ms);
  EXPECT_EQ(cluster->requests.size(), before) << "left alone until a seek";
  read.clear();
  consumer->seek(kPartition, StartAt::earliest());
  poll(5);
  EXPECT_EQ(read.size(), 4U);
}

TEST_F(ConsumerTest, SessionsAskOnlyForWhatChanged) {
  begin({}, 1, 3);
  std::vector<std::tuple<int, int, std::size_t>> asked;
  cluster->saw_fetch = [&](const wire::FetchRequest& request, int) {
    std::size_t parts = 0;
    for (const auto& topic : request.topics) parts += topic.partitions.size();
    asked.emplace_back(request.session_id, request.session_epoch, parts);
  };
  for (int p = 0; p < 3; ++p) consumer->assign({"t", p}, StartAt::at(Offset(0)));
  poll(1, 200ms);
  ASSERT_GE(asked.size(), 3U);
  EXPECT_EQ(asked[0], (std::tuple<int, int, std::size_t>{0, 0, 3}));
  EXPECT_EQ(asked[1], (std::tuple<int, int, std::size_t>{1, 1, 0}));
  EXPECT_EQ(asked[2], (std::tuple<int, int, std::size_t>{1, 2, 0}));
  fill(1, storage::Codec::none, 1);
  poll(2);
  asked.clear();
  poll(1, 100ms);
  ASSERT_GE(asked.size(), 1U);
  std::size_t parts = 0;
  for (const auto& [id, epoch, n] : asked) parts += n;
  EXPECT_LE(parts, 1U) << "the one whose offset moved, unless asked for already";
  // The broker forgets the session: a full fetch makes another one and nothing is lost.
  int refusals = 0;
  cluster->on_fetch = [&](int, const wire::FetchRequest& request) {
    return request.session_epoch > 0 && refusals++ == 0 ? ErrorCode::FETCH_SESSION_ID_NOT_FOUND : ErrorCode::NONE;
  };
  fill(2, storage::Codec::none, 2);
  poll(4);
  EXPECT_EQ(read.size(), 6U);
  EXPECT_EQ(consumer->stats().session_errors, 1U);
}

TEST_F(ConsumerTest, WithoutSessions) {
  begin({.sessions = false});
  fill(3);
  bool all = true;
  cluster->saw_fetch = [&](const wire::FetchRequest& request, int) {
    all = all && request.session_epoch == -1 && request.session_id == 0;
  };
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(6);
  EXPECT_EQ(read.size(), 6U);
  EXPECT_TRUE(all);
}

TEST_F(ConsumerTest, ABrokerWithoutSessionsIsFine) {
  begin({});
  cluster->session_support = false;
  fill(3);
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(6);
  fill(1);
  poll(2);
  EXPECT_EQ(read.size(), 8U);
}

TEST_F(ConsumerTest, OldVersionsByName) {
  using wire::ApiKey;
  begin({});
  cluster->served[ApiKey::Fetch] = {0, 5};
  cluster->served[ApiKey::Metadata] = {0, 5};
  cluster->served[ApiKey::ListOffsets] = {0, 1};
  fill(3);
  consumer->assign(kPartition, StartAt::earliest());
  poll(7);
  EXPECT_EQ(read.size(), 6U);
  EXPECT_EQ(cluster->versions[ApiKey::Fetch], 5);
}

TEST_F(ConsumerTest, DetectsTruncationAtALeaderChange) {
  begin({}, 2);
  fill(5);  // offsets 0..9 in epoch 1
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(10);
  FakePartition& partition = cluster->partition("t");
  partition.log.resize(3);  // the new leader has 0..5 of epoch 1
  partition.leader = 1;
  partition.epoch = LeaderEpoch(4);
  fill(1);
  read.clear();
  poll(3);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].event, Event::truncated);
  EXPECT_EQ(events[0].from, Offset(10));
  EXPECT_EQ(events[0].next, Offset(6));
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].first, 6);
  EXPECT_EQ(consumer->stats().truncations, 1U);
}

// Somebody has read and committed what this leader, deposed without knowing it, never had.
TEST_F(ConsumerTest, ACommittedPositionIsNotAskedOfAnOlderLeader) {
  begin({});
  fill(5);  // offsets 0..9 in epoch 1
  consumer->assign(kPartition, StartAt::at(Offset(12), LeaderEpoch(3)));
  poll(1, 500ms);
  EXPECT_TRUE(events.empty());
  EXPECT_TRUE(read.empty());
  EXPECT_EQ(consumer->stats().resets, 0U);
  cluster->partition("t").epoch = LeaderEpoch(3);
  fill(2);  // 10..13
  poll(2);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].first, 12);
}

TEST_F(ConsumerTest, ACommittedPositionIsCheckedWithANewerLeader) {
  begin({});
  fill(3);  // offsets 0..5 in epoch 1
  cluster->partition("t").epoch = LeaderEpoch(4);
  fill(3);  // 6..11
  consumer->assign(kPartition, StartAt::at(Offset(10), LeaderEpoch(1)));
  poll(7);
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].event, Event::truncated);
  EXPECT_EQ(events[0].next, Offset(6));
  ASSERT_EQ(read.size(), 6U);
  EXPECT_EQ(read[0].first, 6);
}

TEST_F(ConsumerTest, ALeaderChangeWithoutTruncationIsQuiet) {
  begin({}, 2);
  fill(5);
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(10);
  cluster->partition("t").leader = 1;
  cluster->partition("t").epoch = LeaderEpoch(4);
  fill(1);
  poll(2);
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(read.size(), 12U);
}

TEST_F(ConsumerTest, SkipsControlBatchesAndAbortedRecords) {
  const auto fill_transactions = [this] {
    FakePartition& partition = cluster->partition("t");
    const storage::BatchOptions aborted{
        .producer_id = ProducerId(7), .producer_epoch = ProducerEpoch(0), .base_sequence = 0, .transactional = true};
    storage::BatchOptions committed = aborted;
    committed.producer_id = ProducerId(8);
    storage::Compressor compressor;
    partition.append(batch_of({"a0"}, aborted));
    partition.append(batch_of({"c1"}, committed));
    for (const auto& [producer, type] :
         {std::pair{8, storage::ControlType::commit}, std::pair{7, storage::ControlType::abort}}) {
      storage::BatchBuilder marker({.producer_id = ProducerId(producer),
                                    .producer_epoch = ProducerEpoch(0),
                                    .transactional = true,
                                    .control = true});
      constexpr std::array<std::byte, 6> kMarker{};
      marker.add_control(1, type, kMarker);
      partition.append(marker.finish(compressor));
    }
    storage::BatchOptions again = aborted;
    again.base_sequence = 1;
    partition.append(batch_of({"a4"}, again));  // of the producer's next transaction
    partition.aborted = {{.producer_id = 7, .first_offset = 0}};
  };
  begin({.read_committed = true});
  fill_transactions();
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(2);
  EXPECT_EQ(read, (std::vector<std::pair<std::int64_t, std::string>>{{1, "c1"}, {4, "a4"}}));
  TearDown();
  read.clear();
  begin({});
  fill_transactions();
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(3);
  EXPECT_EQ(read, (std::vector<std::pair<std::int64_t, std::string>>{{0, "a0"}, {1, "c1"}, {4, "a4"}}));
}

TEST_F(ConsumerTest, ReportsCorruptBatches) {
  begin({});
  fill(2);
  cluster->partition("t").log[1].bytes.back() ^= std::byte{1};
  consumer->assign(kPartition, StartAt::at(Offset(0)));
  poll(3);
  EXPECT_EQ(read.size(), 2U);
  ASSERT_GE(events.size(), 1U);
  EXPECT_EQ(events[0].error, ErrorCode::CORRUPT_MESSAGE);
  EXPECT_EQ(consumer->position(kPartition), Offset(2));
}

TEST_F(ConsumerTest, SurvivesBadAnswersAndLostNodes) {
  begin({}, 3);
  fill(20);
  int turn = 0;
  cluster->on_request = [&turn](int, wire::ApiKey api) {
    if (api == wire::ApiKey::ApiVersions) return Verdict::serve;
    constexpr std::array kAll{Verdict::drop_before, Verdict::garbage,  Verdict::serve,
                              Verdict::drop_after,  Verdict::wrong_id, Verdict::serve};
    return kAll[static_cast<std::size_t>(turn++) % kAll.size()];
  };
  consumer->assign(kPartition, StartAt::earliest());
  poll(41, 10s);
  EXPECT_EQ(read.size(), 40U);
  cluster->on_request = nullptr;
  cluster->partition("t").leader = 2;
  cluster->partition("t").epoch = LeaderEpoch(2);
  cluster->close_listener(0);
  fill(3);
  poll(6, 10s);
  EXPECT_EQ(read.size(), 46U);
}

TEST_F(ConsumerTest, AnswersFromBeforeASeekAreDropped) {
  begin({});
  fill(4);
  consumer->assign(kPartition, StartAt::at(Offset(8)));
  poll(1, 5ms);
  consumer->seek(kPartition, StartAt::at(Offset(4)));
  poll(4);
  ASSERT_EQ(read.size(), 4U);
  EXPECT_EQ(read[0].first, 4);
}

}  // namespace
}  // namespace verdict::client::testing
