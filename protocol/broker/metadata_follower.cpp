#include "protocol/broker/metadata_follower.h"

#include <fmt/format.h>

#include "protocol/metadata_records.h"
#include "protocol/wire/errors.h"
#include "protocol/wire/gen/fetch.h"

namespace verdict::broker {
namespace {

constexpr std::string_view kLogger = "MetadataFollower";
constexpr int kVersion = 17;
constexpr Duration kMaxWait = 500ms;  // controller.quorum.fetch.timeout bounds it from above
constexpr Duration kTimeout = 2s;     // controller.quorum.fetch.timeout.ms
constexpr Duration kBackoff = 20ms;   // controller.quorum.retry.backoff.ms
constexpr Duration kLate = 100ms;     // Site::LateMetadata
constexpr std::int32_t kMaxBytes = 8 << 20;

}  // namespace

MetadataFollower::MetadataFollower(Runtime& runtime, Endpoint controller, NodeId self,
                                   std::function<BrokerEpoch()> broker_epoch, Publish publish,
                                   protocol::Observer* observer)
    : runtime_(&runtime),
      self_(self),
      broker_epoch_(std::move(broker_epoch)),
      publish_(std::move(publish)),
      observer_(observer),
      channel_(runtime, std::move(controller),
               {.client_id = fmt::format("broker-{}-metadata", self.value()), .connect_timeout = kTimeout}),
      changed_(runtime),
      wake_(runtime),
      scope_(runtime) {}

Task<void> MetadataFollower::stop() {
  stopping_ = true;
  wake_.notify();
  co_await channel_.close();
  co_await scope_.join();
}

Task<void> MetadataFollower::run() {
  while (!stopping_) {
    const bool good = co_await fetch_once();
    if (stopping_) break;
    if (!good) {
      co_await wake_.wait_until(runtime_->now() + kBackoff);
      continue;
    }
    if (!ready_to_publish()) continue;
    if (runtime_->maybe(Site::LateMetadata)) {
      co_await wake_.wait_until(runtime_->now() + kLate);
      if (stopping_) break;
    }
    const Offset end = next_;
    co_await publish_(&delta_);
    delta_.clear();
    published_end_ = end;
    if (observer_ != nullptr) observer_->observe(protocol::events::MetadataApplied{.to = end});
    changed_.notify();
  }
}

bool MetadataFollower::ready_to_publish() {
  if (next_ == published_end_ || (catching_up_ && next_ < high_watermark_)) return false;
  catching_up_ = false;
  return true;
}

Task<bool> MetadataFollower::fetch_once() {
  using Request = wire::FetchRequest;
  wire::Arena arena;
  Request request;
  request.replica_state = {.replica_id = self_.value(), .replica_epoch = broker_epoch_().value()};
  request.max_wait_ms = static_cast<std::int32_t>(to_ms(kMaxWait));
  request.max_bytes = kMaxBytes;
  request.topics = arena.make_span<Request::FetchTopic>(1);
  request.topics[0].topic_id = kMetadataTopicId;
  request.topics[0].partitions = arena.make_span<Request::FetchPartition>(1);
  request.topics[0].partitions[0].fetch_offset = next_.value();
  request.topics[0].partitions[0].last_fetched_epoch = last_epoch_.value();
  request.topics[0].partitions[0].partition_max_bytes = kMaxBytes;
  auto answer = co_await channel_.call<wire::FetchResponse>(kVersion, request, runtime_->now() + kTimeout);
  if (!answer || (*answer)->error_code != 0 || (*answer)->responses.empty() ||
      (*answer)->responses[0].partitions.empty()) {
    co_return false;
  }
  const wire::FetchResponse::PartitionData& data = (*answer)->responses[0].partitions[0];
  if (data.diverging_epoch.epoch >= 0 ||
      data.error_code == static_cast<std::int16_t>(wire::ErrorCode::OFFSET_OUT_OF_RANGE)) {
    // What this node acts on was never decided, or was lost by the controllers: nothing can be mended from here.
    runtime_->halt(
        fmt::format("the controllers' log does not hold what this broker applied up to offset {}", next_.value()));
    co_return false;
  }
  if (data.error_code != 0) co_return false;
  high_watermark_ = Offset(data.high_watermark);
  co_return apply(data.records.bytes(), high_watermark_);
}

bool MetadataFollower::apply(storage::Bytes records, Offset high_watermark) {
  storage::Bytes rest = records;
  for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
    const storage::BatchHeader& header = batch->header();
    if (header.next_offset() > high_watermark) break;
    if (header.base_offset < next_) continue;
    if (!batch->crc_valid() || !apply_batch(*batch)) {
      runtime_->halt(fmt::format("the metadata batch at offset {} can't be applied", header.base_offset.value()));
      return false;
    }
    next_ = header.next_offset();
    last_epoch_ = header.leader_epoch;
  }
  return true;
}

bool MetadataFollower::apply_batch(const storage::BatchView& batch) {
  if (batch.header().control()) return true;
  auto reader = storage::open_records(batch, decompressor_);
  if (!reader) return false;
  storage::RecordView record;
  for (;;) {
    const auto more = reader->next(record);
    if (!more) return false;
    if (!*more) return true;
    const auto decoded = protocol::decode_record(record.value.value_or(storage::Bytes{}));
    const auto applied = decoded ? image_.apply(*decoded, record.offset, &delta_) : std::unexpected(decoded.error());
    if (!applied) {
      runtime_->log(LogLevel::error, kLogger,
                    fmt::format("record at offset {}: {}", record.offset.value(), applied.error()));
      return false;
    }
  }
}

}  // namespace verdict::broker
