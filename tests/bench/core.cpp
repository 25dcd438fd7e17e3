// What the broker spends on one batch, without sockets and disks.
#include <benchmark/benchmark.h>

#include "protocol/replication/replica.h"
#include "protocol/wire/framing.h"
#include "protocol/wire/gen/metadata.h"
#include "storage/validate.h"
#include "tests/unit/storage/producing.h"

namespace verdict {
namespace {

void validate(benchmark::State& state) {
  const auto batch = storage::testing::make_batch({.records = static_cast<int>(state.range(0)), .value_size = 100});
  storage::Decompressor decompressor;
  for (auto _ : state)
    benchmark::DoNotOptimize(storage::validate_batch(batch, {.now_ms = 1'700'000'000'000}, decompressor));
  state.SetItemsProcessed(state.iterations() * state.range(0));
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(batch.size()));
}
BENCHMARK(validate)->Arg(1)->Arg(100)->Arg(1000);

// On a disk in memory: what storage itself costs.
void append(benchmark::State& state) {
  storage::testing::LogHarness log({.segment_bytes = 1 << 20});
  log.open();
  auto batch = storage::testing::make_batch({.records = static_cast<int>(state.range(0)), .value_size = 100});
  for (auto _ : state)
    benchmark::DoNotOptimize(log.log->append_as_leader(batch, LeaderEpoch(1), log.runtime.wall_now()));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(append)->Arg(1)->Arg(100)->Iterations(20000);

// The same of producers with ids: each batch the next one of one of `range` producers.
void append_idempotent(benchmark::State& state) {
  storage::testing::ProducingHarness log({.segment_bytes = 1 << 20});
  log.open();
  const std::int64_t producers = state.range(0);
  std::vector<std::vector<std::byte>> batches;
  for (std::int64_t i = 0; i < producers; ++i)
    batches.push_back(storage::testing::make_producer_batch({.producer = i, .records = 1}));
  std::int32_t sequence = 0;
  std::size_t next = 0;
  for (auto _ : state) {
    storage::store_be(batches[next].data() + 53, sequence);
    const auto done = log.log->append_as_leader(batches[next], LeaderEpoch(1), log.runtime.wall_now());
    if (!done || done->duplicate) state.SkipWithError("not appended");
    if (++next < batches.size()) continue;
    next = 0;
    ++sequence;
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(append_idempotent)->Arg(1)->Arg(1000)->Iterations(20000);

void load_snapshot(benchmark::State& state) {
  storage::ProducerState known;
  storage::BatchHeader header;
  for (std::int64_t id = 0; id < state.range(0); ++id) {
    header.producer_id = ProducerId(id);
    header.producer_epoch = ProducerEpoch(0);
    header.base_sequence = 0;
    known.append(header, std::nullopt);
  }
  const auto file = known.encode();
  for (auto _ : state) {
    storage::ProducerState loaded;
    benchmark::DoNotOptimize(loaded.decode(file));
  }
}
BENCHMARK(load_snapshot)->Arg(100000)->Unit(benchmark::kMillisecond);

// A partition with so many producers whose process was killed: every batch is checked, and the producers' state is told
// by the log, in segments of so many bytes with a snapshot at each.
void recover_producers(benchmark::State& state) {
  storage::testing::ProducingHarness log({.segment_bytes = static_cast<std::uint32_t>(state.range(1))});
  log.open();
  for (std::int64_t id = 0; id < state.range(0); ++id) {
    log.must_produce({.producer = id, .sequence = 0, .records = 1});
    log.must_produce({.producer = id, .sequence = 1, .records = 1});
  }
  const std::size_t segments = log.log->segment_count();
  for (auto _ : state) {
    log.open({.clean = false});
    if (log.log->producers().producers().size() != static_cast<std::size_t>(state.range(0)))
      state.SkipWithError("not all are known");
  }
  state.counters["segments"] = static_cast<double>(segments);
}
BENCHMARK(recover_producers)->ArgsProduct({{100'000}, {1 << 20, 16 << 20, 1 << 30}})->Unit(benchmark::kMillisecond);

void metadata_request(benchmark::State& state) {
  wire::MetadataRequest request;
  std::array<wire::MetadataRequest::MetadataRequestTopic, 10> topics{};
  for (auto& topic : topics) topic.name = "a-topic-of-ordinary-length";
  request.topics = topics;
  for (auto _ : state) {
    auto frame = wire::encode_request(12, 1, "bench", request);
    const std::span<const std::byte> body = std::span(*frame).subspan(4);
    const auto header = wire::parse_request_header(body);
    wire::Arena arena;
    wire::MetadataRequest back;
    benchmark::DoNotOptimize(wire::decode(arena, body.subspan(header->body_offset), 12, back));
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(metadata_request);

class NumberLog final : public replication::LogView {
 public:
  Offset log_start() const override { return Offset{0}; }
  Offset log_end() const override { return end; }
  LeaderEpoch last_epoch() const override { return LeaderEpoch{1}; }
  replication::EpochEnd end_offset_for(LeaderEpoch epoch) const override {
    return epoch == LeaderEpoch{1} ? replication::EpochEnd{epoch, end} : replication::EpochEnd{};
  }
  LeaderEpoch epoch_at(Offset) const override { return LeaderEpoch{1}; }
  Offset end{0};
};

// A leader of three: one batch with acks=all, both followers' fetches, the answer.
void replicate(benchmark::State& state) {
  using namespace replication;
  const std::array replicas{NodeId{1}, NodeId{2}, NodeId{3}};
  const std::array brokers{ReplicaBroker{NodeId{2}, BrokerEpoch{20}, false, false},
                           ReplicaBroker{NodeId{3}, BrokerEpoch{30}, false, false}};
  NumberLog log;
  const DefectSet defects{};
  Replica replica({.partition = {}, .self = NodeId{1}}, log, defects, nullptr);
  Effects effects;
  const MonoTime now{};
  replica.step(LogOpened{}, now, effects);
  replica.step(MetadataChanged{.leader = NodeId{1},
                               .leader_epoch = LeaderEpoch{1},
                               .partition_epoch = PartitionEpoch{1},
                               .replicas = replicas,
                               .isr = replicas,
                               .brokers = brokers,
                               .local_broker_epoch = BrokerEpoch{10},
                               .min_insync_replicas = 2},
               now, effects);
  std::uint64_t waiter = 0;
  for (auto _ : state) {
    effects.clear();
    benchmark::DoNotOptimize(replica.step(ProduceRequested{-1}, now, effects));
    const Offset base = log.end;
    log.end = base + 1;
    const ProducedBatch batch{.base = base, .last = base, .epoch = LeaderEpoch{1}};
    replica.step(ProduceAppended{.batch = batch, .acks = -1, .waiter = WaiterId{++waiter}}, now, effects);
    for (const std::int32_t id : {2, 3}) {
      benchmark::DoNotOptimize(replica.step(FollowerFetch{.replica = NodeId{id},
                                                          .broker_epoch = BrokerEpoch{id * 10},
                                                          .current_leader_epoch = LeaderEpoch{1},
                                                          .fetch_offset = log.end,
                                                          .last_fetched_epoch = LeaderEpoch{1}},
                                            now, effects));
    }
  }
  state.SetItemsProcessed(state.iterations());
}
BENCHMARK(replicate);

}  // namespace
}  // namespace verdict
