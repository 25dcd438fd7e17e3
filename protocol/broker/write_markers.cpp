#include "protocol/broker/write_markers.h"

#include <vector>

#include "protocol/wire/gen/write_txn_markers.h"
#include "runtime/io.h"

namespace verdict::broker {
namespace {

using Request = wire::WriteTxnMarkersRequest;
using Response = wire::WriteTxnMarkersResponse;
using PartitionResult = Response::WritableTxnMarkerPartitionResult;
constexpr Duration kLate = 20ms;  // of the planted kafka-17507

// One marker in one partition, while it is not committed.
struct Written {
  PartitionResult* result;
  storage::TxnMarker marker;

  CoordinatorProducer producer() const {
    return {.id = marker.producer_id.value(), .epoch = marker.producer_epoch.value()};
  }
};

struct Job {
  BrokerContext& context;
  ProduceWait wait;
  std::vector<Written> written;  // beside wait.parts

  explicit Job(BrokerContext& of) : context(of), wait(of.runtime) {}
  void write(const Request::WritableTxnMarker& marker, std::string_view topic, PartitionResult& result);
  void settle(CoordinatorSet& groups);
  void complete_offsets(CoordinatorSet& groups, std::size_t index);
  void announce(std::size_t index);

  std::vector<std::size_t> late;  // planted (kafka-17507): parts whose offsets wait until the answer is out
};

void Job::write(const Request::WritableTxnMarker& marker, std::string_view topic, PartitionResult& result) {
  const auto found = locate(context, topic, {}, result.partition_index, false);
  if (!found) {
    result.error_code = static_cast<std::int16_t>(found.error());
    return;
  }
  if (marker.producer_id < 0 || marker.producer_epoch < 0) {  // no coordinator sends it, and no batch can say it
    result.error_code = static_cast<std::int16_t>(ErrorCode::UNKNOWN_SERVER_ERROR);
    return;
  }
  ProduceWait::Part& part = context.replicas.begin_wait(wait, *found);
  const storage::TxnMarker asked{.producer_id = ProducerId(marker.producer_id),
                                 .producer_epoch = ProducerEpoch(marker.producer_epoch),
                                 .coordinator_epoch = marker.coordinator_epoch,
                                 .commit = marker.transaction_result};
  written.push_back({.result = &result, .marker = asked});
  const ProduceOutcome outcome = (*found)->write_marker(asked, part.waiter);
  if (!outcome.waits) wait.refuse(part, outcome.error);
}

void Job::settle(CoordinatorSet& groups) {
  for (std::size_t i = 0; i < wait.parts.size(); ++i) {
    const ProduceWait::Part& part = wait.parts[i];
    context.replicas.end_wait(part.waiter);
    written[i].result->error_code = static_cast<std::int16_t>(part.error);
    if (part.error != ErrorCode::NONE || part.partition->topic() != groups.topic()) continue;
    if (context.runtime.defects().has(Defect::Kafka17507)) [[unlikely]] {
      context.runtime.mark(Mark::DefectKafka17507);
      late.push_back(i);
      continue;
    }
    complete_offsets(groups, i);
  }
  for (std::size_t i = 0; i < wait.parts.size(); ++i) announce(i);
}

// In the group's coordinator, if this broker has it: one that loads finds the marker in the log.
void Job::complete_offsets(CoordinatorSet& groups, std::size_t index) {
  const auto at = groups.all().find(wait.parts[index].partition->key().index);
  if (at == groups.all().end()) return;
  const CoordinatorSet::Ptr group = at->second;
  group->marker_appended(written[index].producer(), written[index].marker.commit);
}

void Job::announce(std::size_t index) {
  const ProduceWait::Part& part = wait.parts[index];
  const storage::TxnMarker& marker = written[index].marker;
  part.partition->announce(protocol::events::MarkerAnswered{.partition = part.partition->key(),
                                                            .offset = part.base,
                                                            .producer_id = marker.producer_id,
                                                            .producer_epoch = marker.producer_epoch,
                                                            .coordinator_epoch = marker.coordinator_epoch,
                                                            .marker = marker.commit ? "commit" : "abort",
                                                            .error_code = code(part.error)});
}

}  // namespace

Task<void> handle_write_txn_markers(BrokerContext* context, CoordinatorSet* groups, ExchangePtr exchange) {
  Request request;
  if (!exchange->decode(request)) co_return;
  Job job(*context);
  wire::Arena& arena = exchange->arena();
  Response response;
  response.markers = arena.make_span<Response::WritableTxnMarkerResult>(request.markers.size());
  std::size_t parts = 0;
  for (const Request::WritableTxnMarker& marker : request.markers) {
    for (const Request::WritableTxnMarkerTopic& topic : marker.topics) parts += topic.partition_indexes.size();
  }
  job.wait.parts.reserve(parts);
  job.written.reserve(parts);
  for (std::size_t m = 0; m < request.markers.size(); ++m) {
    const Request::WritableTxnMarker& marker = request.markers[m];
    response.markers[m].producer_id = marker.producer_id;
    response.markers[m].topics = arena.make_span<Response::WritableTxnMarkerTopicResult>(marker.topics.size());
    for (std::size_t t = 0; t < marker.topics.size(); ++t) {
      Response::WritableTxnMarkerTopicResult& out = response.markers[m].topics[t];
      out.name = marker.topics[t].name;
      out.partitions = arena.make_span<PartitionResult>(marker.topics[t].partition_indexes.size());
      for (std::size_t p = 0; p < out.partitions.size(); ++p) {
        out.partitions[p].partition_index = marker.topics[t].partition_indexes[p];
        job.write(marker, out.name, out.partitions[p]);
      }
    }
  }
  while (job.wait.unfinished != 0) co_await job.wait.done.wait();
  job.settle(*groups);
  exchange->respond(response);
  if (job.late.empty()) co_return;
  co_await sleep_until(context->runtime, context->runtime.now() + kLate);
  for (const std::size_t part : job.late) job.complete_offsets(*groups, part);
}

}  // namespace verdict::broker
