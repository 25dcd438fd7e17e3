#include "protocol/client/producer.h"

#include <algorithm>

#include "protocol/client/producer_parts.h"
#include "runtime/assert.h"

namespace verdict::client {
namespace {

constexpr std::size_t kRecordOverhead = 16;  // a record's varints, roughly
constexpr std::size_t kSpareBatches = 64;

std::size_t size_of(const storage::NullableBytes& bytes) { return bytes ? bytes->size() : 0; }

}  // namespace

Producer::Producer(Runtime& runtime, const ClientOptions& client, ProducerOptions options, DeliverySink& sink)
    : runtime_(&runtime),
      client_(client),
      options_(options),
      sink_(&sink),
      connections_(runtime, client_, [this] { connection_lost(); }),
      metadata_(runtime, connections_, client_),
      wake_(runtime),
      progress_(runtime),
      scope_(runtime) {
  VERDICT_ASSERT(options_.max_in_flight >= 1 && options_.acks >= -1 && options_.acks <= 1);
  VERDICT_ASSERT(!options_.transactional || options_.idempotent);
  VERDICT_ASSERT(!options_.idempotent || (options_.acks == -1 && options_.retries > 0 && options_.max_in_flight <= 5));
  scope_.spawn(run());
}

Producer::~Producer() = default;

void Producer::wake() {
  woken_ = true;
  wake_.notify();
}

Task<std::int32_t> Producer::partitions(std::string topic, MonoTime deadline) {
  metadata_.want(topic);
  for (;;) {
    const TopicInfo* known = metadata_.topic(topic);
    if (known != nullptr && !known->partitions.empty()) co_return static_cast<std::int32_t>(known->partitions.size());
    if (closed_ || runtime_->now() >= deadline) co_return 0;
    co_await metadata_.refresh(deadline);
  }
}

Producer::Partition& Producer::partition_of(std::string_view topic, std::int32_t index) {
  auto known = topics_.find(topic);
  if (known == topics_.end()) {
    known = topics_.emplace(topic, std::vector<std::unique_ptr<Partition>>()).first;
    metadata_.want(topic);
  }
  std::vector<std::unique_ptr<Partition>>& partitions = known->second;
  const auto at = static_cast<std::size_t>(index);
  if (at >= partitions.size()) partitions.resize(at + 1);
  if (partitions[at] == nullptr) {
    partitions[at] = std::make_unique<Partition>();
    partitions[at]->topic = topic;
    partitions[at]->index = index;
  }
  return *partitions[at];
}

std::int32_t Producer::choose_partition(std::string_view topic) {
  const TopicInfo* known = metadata_.topic(topic);
  if (known == nullptr || known->partitions.empty()) {
    metadata_.want(topic);
    return kAnyPartition;
  }
  auto turn = round_robin_.find(topic);
  if (turn == round_robin_.end()) turn = round_robin_.emplace(topic, 0).first;
  return static_cast<std::int32_t>(turn->second++ % known->partitions.size());
}

Producer::BatchPtr Producer::new_batch(Partition& partition) {
  BatchPtr batch;
  if (spare_.empty()) {
    batch = std::make_unique<Batch>();
  } else {
    batch = std::move(spare_.back());
    spare_.pop_back();
  }
  batch->id = next_batch_++;
  batch->partition = &partition;
  batch->tokens.clear();
  batch->charged = 0;
  batch->created = runtime_->now();
  batch->not_before = batch->created;
  batch->attempts = 0;
  batch->base_sequence = -1;
  batch->maybe_appended = false;
  batch->last_error = ErrorCode::NONE;
  return batch;
}

void Producer::activate(Partition& partition) {
  if (partition.active) return;
  partition.active = true;
  active_.push_back(&partition);
}

void Producer::seal(Partition& partition) {
  BatchPtr batch = std::move(partition.open);
  const std::span<const std::byte> bytes = partition.builder.finish(compressor_);
  batch->bytes.assign(bytes.begin(), bytes.end());
  const auto header = storage::parse_header(bytes);
  VERDICT_ASSERT(header.has_value());
  batch->crc = header->crc;
  partition.sealed.push_back(std::move(batch));
}

bool Producer::send(std::string_view topic, std::int32_t index, const ProducerRecord& record, std::uint64_t token) {
  if (closed_) return false;
  VERDICT_ASSERT(!options_.transactional || identity_.id != kNoProducerId);
  if (index == kAnyPartition) index = choose_partition(topic);
  if (index < 0) return false;
  const std::size_t size = size_of(record.key) + size_of(record.value) + kRecordOverhead;
  if (buffered_ != 0 && buffered_ + size > options_.buffer_bytes) return false;
  Partition& partition = partition_of(topic, index);
  bool news = !partition.active;
  if (partition.open != nullptr && partition.builder.plain_size() + size > options_.batch_bytes) {
    seal(partition);
    news = true;
  }
  if (partition.open == nullptr) {
    partition.open = new_batch(partition);
    partition.builder.reset({.codec = options_.codec, .transactional = options_.transactional});
    news = news || options_.linger <= Duration::zero();
  }
  const std::int64_t timestamp =
      record.timestamp_ms == storage::kNoTimestamp ? to_ms(runtime_->wall_now()) : record.timestamp_ms;
  partition.builder.add(timestamp, record.key, record.value, record.headers);
  partition.open->tokens.push_back(token);
  partition.open->charged += size;
  buffered_ += size;
  ++pending_records_;
  if (runtime_->maybe(Site::TinyBatch)) {
    seal(partition);
    news = true;
  }
  activate(partition);
  if (news) wake();
  return true;
}

Task<void> Producer::room(MonoTime deadline) {
  while (!closed_ && buffered_ >= options_.buffer_bytes / 2) {
    const bool notified = co_await progress_.wait_until(deadline);
    if (!notified) co_return;
  }
}

void Producer::flush_now() {
  flush_below_ = next_batch_;
  wake();
}

Task<bool> Producer::flush(MonoTime deadline) {
  flush_now();
  while (pending_records_ != 0) {
    const bool notified = co_await progress_.wait_until(deadline);
    if (!notified && pending_records_ != 0) co_return false;
  }
  co_return true;
}

Task<void> Producer::close() {
  closed_ = true;
  wake();
  metadata_.close();
  for (Partition* partition : std::exchange(active_, {})) {
    partition->active = false;
    if (partition->open != nullptr) seal(*partition);
    for (BatchPtr& batch : std::exchange(partition->sealed, {}))
      give_up(std::move(batch), ErrorCode::OPERATION_NOT_ATTEMPTED);
  }
  co_await connections_.close();
  co_await scope_.join();
  VERDICT_ASSERT(pending_records_ == 0);
}

// ---- outcomes ----

void Producer::finish(BatchPtr batch, Delivery delivery, ErrorCode error, Offset base) {
  const std::uint64_t records = batch->tokens.size();
  (delivery == Delivery::acknowledged ? stats_.acknowledged
   : delivery == Delivery::failed     ? stats_.failed
                                      : stats_.unknown) += records;
  DeliveryReport report{.delivery = delivery, .error = error, .offset = kNoOffset};
  for (std::size_t i = 0; i < batch->tokens.size(); ++i) {
    if (base != kNoOffset) report.offset = base + static_cast<std::int64_t>(i);
    --pending_records_;
    sink_->delivered(batch->tokens[i], report);
  }
  sink_->batch_finished(batch->id);
  VERDICT_ASSERT(buffered_ >= batch->charged);
  buffered_ -= batch->charged;
  if (spare_.size() < kSpareBatches) spare_.push_back(std::move(batch));
  if (progress_.has_waiters()) progress_.notify();
}

void Producer::give_up(BatchPtr batch, ErrorCode error) {
  const Delivery delivery = batch->maybe_appended ? Delivery::unknown : Delivery::failed;
  if (batch->last_error != ErrorCode::NONE) error = batch->last_error;
  if (batch->base_sequence >= 0) batch->partition->gap = true;
  finish(std::move(batch), delivery, error, kNoOffset);
}

void Producer::attempt_failed(BatchPtr batch, ErrorCode error, bool maybe, bool retriable) {
  batch->maybe_appended = batch->maybe_appended || maybe;
  batch->last_error = error;
  if (metadata_may_cure(error)) metadata_.make_stale();
  const MonoTime now = runtime_->now();
  const bool late = now - batch->created >= options_.delivery_timeout;
  if (closed_ || late || batch->attempts > options_.retries || !retriable) {
    give_up(std::move(batch), error);
    return;
  }
  const std::uint64_t draw = runtime_->random(Purpose::Backoff, client_.entity);
  batch->not_before = now + backoff(client_.retry_backoff, client_.retry_backoff_max, batch->attempts - 1, draw);
  Partition& partition = *batch->partition;
  if (metadata_may_cure(error)) partition.wants_generation = metadata_.generation() + 1;
  const auto at =
      std::ranges::upper_bound(partition.sealed, batch->id, {}, [](const BatchPtr& queued) { return queued->id; });
  partition.sealed.insert(at, std::move(batch));
  activate(partition);
}

}  // namespace verdict::client
