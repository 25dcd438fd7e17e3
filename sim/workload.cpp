#include "sim/workload.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "protocol/wire/errors.h"
#include "runtime/assert.h"
#include "runtime/io.h"
#include "runtime/random.h"

namespace verdict::sim {
namespace {

constexpr std::int64_t kMostProcesses = std::int64_t{1} << 21;
constexpr Duration kMetadataTime = 60s;

std::optional<std::int64_t> value_of(const storage::NullableBytes& bytes) {
  return bytes ? parse_value(storage::as_text(*bytes)) : std::nullopt;
}

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

void format_value(std::int64_t value, std::span<char> into) {
  VERDICT_ASSERT(into.size() >= kValueDigits && value >= 0);
  for (std::size_t i = kValueDigits; i-- > 0; value /= 10) into[i] = static_cast<char>('0' + value % 10);
  VERDICT_ASSERT(value == 0, "a value of more digits");
}

std::optional<std::int64_t> parse_value(std::string_view text) {
  if (text.size() < kValueDigits) return std::nullopt;
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + kValueDigits, value);
  if (error != std::errc() || end != text.data() + kValueDigits || value < 0) return std::nullopt;
  return value;
}

MonoTime end_of(MonoTime start, Duration time) {
  return time >= MonoTime::max() - start ? MonoTime::max() : start + time;
}

OpType type_of(client::Delivery delivery) {
  using client::Delivery;
  return delivery == Delivery::acknowledged ? OpType::ok : delivery == Delivery::failed ? OpType::fail : OpType::info;
}

void LoadStats::count(client::Delivery delivery) {
  using client::Delivery;
  (delivery == Delivery::acknowledged ? acknowledged : delivery == Delivery::failed ? failed : unknown) += 1;
}

// ---- keys ----

RecordKey KeyWriter::draw(Runtime& runtime, std::int64_t process) const {
  if (space_.keys == 0) return {};
  const auto entity = static_cast<std::uint64_t>(process);
  RecordKey key{.number = static_cast<std::uint32_t>(scale_to(runtime.random(Purpose::Workload, entity), space_.keys))};
  key.tombstone =
      space_.tombstone_one_in != 0 && scale_to(runtime.random(Purpose::Workload, entity), space_.tombstone_one_in) == 0;
  return key;
}

void KeyWriter::fill(client::ProducerRecord& record, RecordKey key, std::span<const char> value) {
  record.value = std::as_bytes(value);
  if (space_.keys == 0) return;
  if (space_.numbers) {
    bytes_.resize(4);
    for (std::size_t i = 0; i < 4; ++i) bytes_[i] = static_cast<char>(key.number >> (24 - 8 * i));
  } else {
    bytes_ = name(key.number);
  }
  record.key = bytes_of(bytes_);
  if (!key.tombstone) return;
  header_ = {.key = kValueHeader, .value = record.value};
  record.value.reset();
  record.headers = {&header_, 1};
}

void KeyWriter::describe(RecordKey key, ClientOp& op) {
  if (space_.keys == 0) return;
  op.key = name(key.number);
  op.compacted = space_.compacted;
  op.tombstone = key.tombstone;
}

std::string_view KeyWriter::name(std::uint32_t number) {
  name_ = "key-";
  name_ += std::to_string(number);
  return name_;
}

// ---- ProducerProcess ----

ProducerProcess::ProducerProcess(Runtime& runtime, ProducerLoad load, HistorySink* sink)
    : runtime_(&runtime),
      load_(std::move(load)),
      sink_(sink),
      value_(std::max<std::size_t>(load_.value_bytes, kValueDigits), '.'),
      key_(load_.keys),
      in_flight_(std::max<std::uint32_t>(load_.max_pending, 1)),
      ordered_(load_.producer.max_in_flight == 1 && load_.producer.retries == 0),
      wake_(runtime),
      producer_(runtime, load_.client, load_.producer, *this),
      scope_(runtime) {
  VERDICT_ASSERT(load_.process >= 0 && load_.process < kMostProcesses && !load_.partitions.empty() && load_.burst > 0);
  scope_.spawn(run());
}

ProducerProcess::~ProducerProcess() = default;

// Room in the window and the buffer for one more.
bool ProducerProcess::may_send() const {
  constexpr std::size_t kMostOverhead = 64;  // key and framing
  const std::size_t buffered = producer_.buffered_bytes();
  const bool room = buffered == 0 || buffered + value_.size() + kMostOverhead <= load_.producer.buffer_bytes;
  return room && stats_.sent < load_.records && !in_flight_[stats_.sent % in_flight_.size()].used;
}

void ProducerProcess::send_one() {
  const std::uint64_t entity = static_cast<std::uint64_t>(load_.process);
  const auto sequence = static_cast<std::uint32_t>(stats_.sent);
  const std::uint64_t where = load_.partitions.size() == 1 ? 0 : runtime_->random(Purpose::Workload, entity);
  const auto place = static_cast<std::uint32_t>(scale_to(where, load_.partitions.size()));
  const client::TopicPartition& target = load_.partitions[place];
  client::ProducerRecord record;
  InFlight& slot = in_flight_[sequence % in_flight_.size()];
  slot = {.used = true, .place = place, .key = {}, .partition = target.partition};
  if (target.partition == client::kAnyPartition) slot.partition = next_partition(target.topic);
  const std::int64_t value = make_value(load_.process, sequence);
  format_value(value, value_);
  slot.key = key_.draw(*runtime_, load_.process);
  key_.fill(record, slot.key, value_);
  ++stats_.sent;
  if (sink_ != nullptr) {
    ClientOp op = describe(sequence, slot);
    op.ordered = ordered_;
    op.idempotent = load_.producer.idempotent;
    sink_->report(op);
  }
  if (!producer_.send(target.topic, slot.partition, record, sequence)) {
    delivered(sequence, {.delivery = client::Delivery::failed,
                         .error = client::ErrorCode::OPERATION_NOT_ATTEMPTED,
                         .offset = kNoOffset});
  }
}

std::int32_t ProducerProcess::next_partition(const std::string& topic) {
  const client::TopicInfo* known = producer_.metadata().topic(topic);
  VERDICT_ASSERT(known != nullptr && !known->partitions.empty());
  return static_cast<std::int32_t>(turn_++ % known->partitions.size());
}

ClientOp ProducerProcess::describe(std::uint64_t sequence, const InFlight& slot) {
  ClientOp op{.op = load_.process << 32 | static_cast<std::int64_t>(sequence),
              .process = load_.process,
              .acks = load_.producer.acks,
              .partition = slot.partition,
              .value = make_value(load_.process, static_cast<std::uint32_t>(sequence)),
              .time_ns = to_ns(runtime_->now()),
              .topic = load_.partitions[slot.place].topic};
  key_.describe(slot.key, op);
  return op;
}

void ProducerProcess::delivered(std::uint64_t token, const client::DeliveryReport& report) {
  InFlight& slot = in_flight_[token % in_flight_.size()];
  VERDICT_ASSERT(slot.used);
  slot.used = false;
  stats_.count(report.delivery);
  if (sink_ != nullptr) {
    ClientOp op = describe(token, slot);
    op.type = type_of(report.delivery);
    op.offset = report.offset.value();
    op.renewed = producer_.stats().epoch_bumps != 0;
    if (report.error != client::ErrorCode::NONE) op.error = wire::to_string(report.error);
    sink_->report(op);
  }
  if (waiting_) wake_.notify();
}

void ProducerProcess::batch_sending(const client::BatchSent& batch) {
  if (sink_ == nullptr) return;
  if (batch.renumbered) sink_->produce_renumbered(load_.process, batch.id, batch.topic_id, batch.partition, batch.crc);
  if (batch.attempt != 0) return;
  sink_->produce_sent(load_.process, batch.id, batch.topic, batch.topic_id, batch.partition, batch.crc);
}

void ProducerProcess::batch_finished(std::uint64_t id) {
  if (sink_ != nullptr) sink_->produce_finished(load_.process, id);
}

// The partitions of the topics that records go round are learned first.
Task<void> ProducerProcess::learn_partitions() {
  for (std::size_t i = 0; i < load_.partitions.size() && !stopping_; ++i) {
    std::int32_t count = load_.partitions[i].partition;
    while (count <= 0 && load_.partitions[i].partition == client::kAnyPartition && !stopping_) {
      count = co_await producer_.partitions(load_.partitions[i].topic, runtime_->now() + kMetadataTime);
    }
  }
}

Task<void> ProducerProcess::run() {
  const MonoTime end = end_of(runtime_->now(), load_.time);
  co_await learn_partitions();
  while (!stopping_ && stats_.sent < load_.records && runtime_->now() < end) {
    for (std::uint32_t i = 0; i < load_.burst && may_send(); ++i) send_one();
    waiting_ = true;
    if (load_.interval > Duration::zero()) {
      std::uint64_t pause = static_cast<std::uint64_t>(load_.interval.count());
      if (load_.jitter)
        pause = scale_to(runtime_->random(Purpose::Workload, static_cast<std::uint64_t>(load_.process)), 2 * pause);
      const MonoTime next = std::min(end, runtime_->now() + Duration(static_cast<std::int64_t>(pause)));
      waiting_ = false;  // outcomes don't hasten a burst
      while (!stopping_ && runtime_->now() < next) co_await wake_.wait_until(next);
      waiting_ = true;
    }
    while (!stopping_ && stats_.sent < load_.records && runtime_->now() < end && !may_send())
      co_await wake_.wait_until(end);
    waiting_ = false;
  }
  producer_.flush_now();
  waiting_ = true;
  while (producer_.pending() != 0) co_await wake_.wait();
  finished_ = true;
}

Task<void> ProducerProcess::close() {
  stop();
  co_await producer_.close();
  wake_.notify();
  co_await scope_.join();
}

// ---- ReaderLog ----

ClientOp ReaderLog::describe(OpCall call, const client::TopicPartition& partition) {
  return describe_again(process_ << 32 | static_cast<std::int64_t>(operations_++), call, partition);
}

ClientOp ReaderLog::describe_again(std::int64_t op, OpCall call, const client::TopicPartition& partition) const {
  return {.op = op,
          .process = process_,
          .type = OpType::ok,
          .call = call,
          .partition = partition.partition,
          .time_ns = to_ns(runtime_->now()),
          .read_committed = call == OpCall::poll && read_committed_,
          .topic = partition.topic};
}

void ReaderLog::report_position(OpCall call, const client::TopicPartition& partition, std::int64_t offset) {
  if (sink_ == nullptr) return;
  ClientOp op = describe(call, partition);
  op.offset = offset;
  sink_->report(op);
}

std::int64_t ReaderLog::ask_position(const client::TopicPartition& partition, std::string_view group) {
  ClientOp op = describe(OpCall::assign, partition);
  op.type = OpType::invoke;
  op.group = group;
  if (sink_ != nullptr) sink_->report(op);
  return op.op;
}

void ReaderLog::told_position(std::int64_t op, const client::TopicPartition& partition, std::string_view group,
                              std::int64_t offset) {
  if (sink_ == nullptr) return;
  ClientOp told = describe_again(op, OpCall::assign, partition);
  told.offset = offset;
  told.group = group;
  sink_->report(told);
}

void ReaderLog::take(const client::Polled& polled, LoadStats& stats, std::vector<std::int64_t>* values) {
  using Event = client::PolledPartition::Event;
  for (const client::PolledPartition& part : polled.partitions) {
    switch (part.event) {
      case Event::located:
        report_position(OpCall::seek, part.partition, part.next.value());
        continue;
      case Event::truncated:
        ++stats.truncations;
        report_position(OpCall::seek, part.partition, part.next.value());
        continue;
      case Event::error:
        ++stats.errors;
        continue;
      case Event::records:
        break;
    }
    records_.clear();
    for (const storage::RecordView& record : part.records) {
      std::optional<std::int64_t> value = value_of(record.value);
      storage::RecordHeaders headers(record);
      storage::RecordHeaderView header;
      while (!record.value && !value && headers.next(header)) {
        if (header.key == kValueHeader) value = value_of(header.value);
      }
      if (value) {
        records_.push_back({record.offset.value(), *value});
        if (values != nullptr) values->push_back(*value);
      } else {
        ++stats.foreign;
      }
    }
    stats.delivered += records_.size();
    if (sink_ == nullptr || records_.empty()) continue;
    ClientOp op = describe(OpCall::poll, part.partition);
    op.records = records_;
    sink_->report(op);
  }
}

// ---- ConsumerProcess ----

ConsumerProcess::ConsumerProcess(Runtime& runtime, ConsumerLoad load, HistorySink* sink)
    : runtime_(&runtime),
      load_(std::move(load)),
      log_(runtime, load_.process, load_.consumer.read_committed, sink),
      wake_(runtime),
      consumer_(runtime, load_.client, load_.consumer),
      scope_(runtime) {
  VERDICT_ASSERT(load_.process >= 0 && load_.process < kMostProcesses && !load_.partitions.empty());
  scope_.spawn(run());
}

ConsumerProcess::~ConsumerProcess() = default;

// Reading again what was read: some offset between the start and here.
void ConsumerProcess::maybe_seek() {
  if (load_.seek_one_in == 0) return;
  const auto entity = static_cast<std::uint64_t>(load_.process);
  if (scale_to(runtime_->random(Purpose::Workload, entity), load_.seek_one_in) != 0) return;
  const std::uint64_t which = runtime_->random(Purpose::Workload, entity);
  const client::TopicPartition& partition = load_.partitions[scale_to(which, load_.partitions.size())];
  const Offset here = consumer_.position(partition);
  if (here <= Offset{}) return;
  const std::uint64_t where = runtime_->random(Purpose::Workload, entity);
  const auto to = static_cast<std::int64_t>(scale_to(where, static_cast<std::uint64_t>(here.value())));
  consumer_.seek(partition, client::StartAt::at(Offset(to)));
  log_.report_position(OpCall::seek, partition, to);
}

Task<void> ConsumerProcess::run() {
  const MonoTime end = end_of(runtime_->now(), load_.time);
  for (std::size_t i = 0; i < load_.partitions.size(); ++i) {
    const client::StartAt start = load_.starts.empty() ? load_.start : load_.starts[i];
    consumer_.assign(load_.partitions[i], start);
    const bool known = start.kind == client::StartAt::Kind::offset;
    log_.report_position(OpCall::assign, load_.partitions[i], known ? start.offset.value() : -1);
  }
  while (!stopping_ && stats_.delivered < load_.records && runtime_->now() < end) {
    const client::Polled polled = co_await consumer_.poll(end);
    ++stats_.polls;
    log_.take(polled, stats_);
    maybe_seek();
    if (load_.poll_interval > Duration::zero() && !stopping_) {
      co_await wake_.wait_until(std::min(end, runtime_->now() + load_.poll_interval));
    }
  }
  finished_ = true;
}

void ConsumerProcess::stop() {
  stopping_ = true;
  consumer_.interrupt();
  wake_.notify();
}

Task<void> ConsumerProcess::close() {
  stop();
  co_await consumer_.close();
  co_await scope_.join();
}

}  // namespace verdict::sim
