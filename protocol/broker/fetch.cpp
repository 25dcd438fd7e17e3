#include "protocol/broker/fetch.h"

#include <algorithm>

#include "protocol/broker/leader_endpoints.h"
#include "protocol/wire/gen/fetch.h"
#include "runtime/io.h"

namespace verdict::broker {
namespace {

using Request = wire::FetchRequest;
using Response = wire::FetchResponse;

constexpr int kIdsFrom = 13;
constexpr int kReplicaStateFrom = 15;
constexpr int kEndpointsFrom = 16;
constexpr std::int8_t kReadCommitted = 1;

// What was found for one wish of the request.
struct Finding {
  PartitionPtr partition;  // null: an error only
  replication::FetchDecision decision;
  Offset last_stable = kNoOffset;
  storage::ReadSlice slice;
  std::vector<storage::AbortedTxn> aborted;  // read_committed: with records in the slice

  // This broker has never heard of it; what others host it knows.
  bool unknown() const { return partition == nullptr && decision.error != ErrorCode::NOT_LEADER_OR_FOLLOWER; }
};

// One request on its way; lives in the handler's frame.
struct Job {
  BrokerContext& context;
  Exchange& exchange;
  Request request;
  FetchContext fetch;
  NodeId replica = kNoNode;  // the follower; kNoNode: a consumer
  BrokerEpoch replica_epoch = kNoBrokerEpoch;
  bool recorded = false;          // progress of the follower was counted
  std::vector<Finding> findings;  // beside the session's wishes
  std::size_t bytes = 0;
  bool suspended = false;    // a read had to wait for the disk
  bool must_answer = false;  // an error or a divergence: there is no use in waiting

  bool follower() const { return replica != kNoNode; }
  bool committed_only() const { return !follower() && request.isolation_level == kReadCommitted; }
  bool by_id() const { return exchange.version() >= kIdsFrom; }
  Finding decide(const FetchWish& wish);
  bool is_news(const FetchWish& wish, const Finding& finding) const;
};

Finding Job::decide(const FetchWish& wish) {
  Finding finding;
  const auto found = locate(context, wish.topic_name, wish.key.topic, wish.key.index, by_id());
  if (!found) {
    finding.decision.error = found.error();
    return finding;
  }
  finding.partition = *found;
  if (follower()) {
    finding.decision = finding.partition->fetch(replication::FollowerFetch{
        .replica = replica,
        .broker_epoch = replica_epoch,
        .current_leader_epoch = wish.current_leader_epoch,
        .fetch_offset = wish.fetch_offset,
        .last_fetched_epoch = wish.last_fetched_epoch,
        .log_start = wish.log_start,
        .progress = recorded ? replication::Progress::ignore : replication::Progress::record});
  } else {
    finding.decision =
        finding.partition->fetch(replication::ConsumerFetch{.current_leader_epoch = wish.current_leader_epoch,
                                                            .fetch_offset = wish.fetch_offset,
                                                            .last_fetched_epoch = wish.last_fetched_epoch});
  }
  if (finding.decision.error == ErrorCode::NONE) {
    finding.last_stable = finding.partition->last_stable_offset();
    if (committed_only()) finding.decision.read_limit = std::min(finding.decision.read_limit, finding.last_stable);
  }
  return finding;
}

// KIP-227: an incremental answer leaves out what has nothing new.
bool Job::is_news(const FetchWish& wish, const Finding& finding) const {
  const replication::FetchDecision& decision = finding.decision;
  return decision.error != ErrorCode::NONE || decision.diverging.known() || !finding.slice.empty() ||
         decision.high_watermark != wish.told_high_watermark || decision.log_start != wish.told_log_start ||
         (committed_only() && finding.last_stable != wish.told_last_stable);
}

Task<std::expected<storage::ReadSlice, storage::LogError>> read_cold(PartitionPtr partition, Offset from,
                                                                     std::size_t max_bytes, Offset limit,
                                                                     bool at_least_one) {
  auto slice = co_await partition->log().read(from, max_bytes, limit, at_least_one);
  co_return slice;
}

// Looks at every wish once, in the session's order, until the answer is full.
Task<void> look(Job* job) {
  const std::shared_ptr<FetchSession> session = job->fetch.session;
  const std::size_t count = session->wishes.size();
  job->findings.assign(count, {});
  job->bytes = 0;
  job->must_answer = false;
  auto max_bytes = static_cast<std::size_t>(std::max(job->request.max_bytes, 0));
  // The first batch is answered whole, whatever its size.
  if (job->context.runtime.maybe(Site::TinyFetch)) max_bytes = std::min<std::size_t>(max_bytes, 1);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t index = (session->first + i) % count;
    const FetchWish wish = session->wishes[index];
    Finding finding = job->decide(wish);
    const replication::FetchDecision decision = finding.decision;
    if (job->committed_only() && decision.error == ErrorCode::NONE) {
      finding.partition->announce(
          protocol::events::LastStableServed{.partition = finding.partition->key(),
                                             .leader_epoch = finding.partition->replica().leader_epoch(),
                                             .last_stable = finding.last_stable});
    }
    if (decision.error != ErrorCode::NONE || decision.diverging.known()) {
      job->must_answer = true;
    } else if (wish.fetch_offset < decision.read_limit && job->bytes < max_bytes + (job->bytes == 0 ? 1 : 0)) {
      const std::size_t room = std::min(static_cast<std::size_t>(std::max(wish.max_bytes, 0)), max_bytes - job->bytes);
      auto slice = finding.partition->log().try_read(wish.fetch_offset, room, decision.read_limit, job->bytes == 0);
      if (!slice) {
        job->suspended = true;
        slice = co_await read_cold(finding.partition, wish.fetch_offset, room, decision.read_limit, job->bytes == 0);
      }
      if (*slice) finding.slice = std::move(**slice);
      job->bytes += finding.slice.size;
      if (job->committed_only() && !finding.slice.empty())
        finding.aborted = finding.partition->log().aborted_transactions(wish.fetch_offset, finding.slice.next);
    }
    job->findings[index] = std::move(finding);
  }
  job->recorded = true;
}

void announce_aborted(const Finding& found) {
  std::vector<ProducerId> aborted;
  std::vector<Offset> from;
  for (const storage::AbortedTxn& one : found.aborted) {
    aborted.push_back(one.producer_id);
    from.push_back(one.first);
  }
  found.partition->announce(protocol::events::CommittedRead{.partition = found.partition->key(),
                                                            .leader_epoch = found.partition->replica().leader_epoch(),
                                                            .last_stable = found.last_stable,
                                                            .aborted = aborted,
                                                            .aborted_from = from});
}

// Consumers' data is announced batch by batch; only an observed node pays for reading it.
Task<void> announce_delivery(Job* job) {
  for (const Finding& found : job->findings) {
    if (found.partition == nullptr || !found.partition->observed() || found.slice.empty()) continue;
    const PartitionPtr partition = found.partition;
    const Offset high_watermark = found.decision.high_watermark;
    const auto bytes = std::make_unique_for_overwrite<std::byte[]>(found.slice.size);
    const std::shared_ptr<File> file = found.slice.file;
    const IoResult read = co_await read_at(*file, {bytes.get(), found.slice.size}, found.slice.position);
    if (!read.ok()) continue;
    if (job->committed_only()) announce_aborted(found);
    storage::Bytes rest(bytes.get(), read.bytes);
    for (auto batch = storage::take_batch(rest); batch; batch = storage::take_batch(rest)) {
      const storage::BatchHeader& header = batch->header();
      if (is_rewritten(header)) partition->announce_records(*batch);
      partition->announce(
          protocol::events::BatchDelivered{.partition = partition->key(),
                                           .leader_epoch = partition->replica().leader_epoch(),
                                           .base = header.base_offset,
                                           .last = header.last_offset(),
                                           .epoch = header.leader_epoch,
                                           .crc = header.crc,
                                           .high_watermark = high_watermark,
                                           .read_committed = job->request.isolation_level == kReadCommitted});
    }
  }
}

struct AnswerWriter {
  Job& job;
  std::vector<FilePart> parts;
  std::vector<NodeId> leaders_named;
  std::vector<Response::FetchableTopicResponse> topics;  // each with a part of `partitions`, which never moves
  std::vector<Response::PartitionData> partitions;

  std::span<Response::AbortedTransaction> aborted_of(const Finding& finding);
  Response::PartitionData part(const FetchWish& wish, Finding& finding);
  void add(std::size_t index);
  Response whole();
};

std::span<Response::AbortedTransaction> AnswerWriter::aborted_of(const Finding& finding) {
  const auto list = job.exchange.arena().make_span<Response::AbortedTransaction>(finding.aborted.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    list[i].producer_id = finding.aborted[i].producer_id.value();
    list[i].first_offset = finding.aborted[i].first.value();
  }
  return list;
}

Response::PartitionData AnswerWriter::part(const FetchWish& wish, Finding& finding) {
  const replication::FetchDecision& decision = finding.decision;
  Response::PartitionData data;
  data.partition_index = wish.key.index;
  data.error_code = static_cast<std::int16_t>(decision.error);
  data.records = wire::Records{};
  // Kafka's answers for partitions that it doesn't know carry an empty list, all others none.
  if (!finding.unknown()) data.aborted_transactions = std::nullopt;
  if (decision.error != ErrorCode::NONE) {
    data.high_watermark = data.last_stable_offset = data.log_start_offset = -1;
    const bool moved =
        decision.error == ErrorCode::NOT_LEADER_OR_FOLLOWER || decision.error == ErrorCode::FENCED_LEADER_EPOCH;
    if (moved && job.exchange.version() >= kEndpointsFrom) {
      const auto* known = job.context.image.partition(wish.key);
      if (known != nullptr) {
        data.current_leader = {.leader_id = known->leader.value(), .leader_epoch = known->leader_epoch.value()};
        leaders_named.push_back(known->leader);
      }
    }
    return data;
  }
  data.high_watermark = decision.high_watermark.value();
  data.last_stable_offset = finding.last_stable.value();
  data.log_start_offset = decision.log_start.value();
  if (job.committed_only()) data.aborted_transactions = aborted_of(finding);
  if (decision.diverging.known()) {
    data.diverging_epoch = {.epoch = decision.diverging.epoch.value(), .end_offset = decision.diverging.end.value()};
  }
  if (!finding.slice.empty()) {
    data.records =
        wire::Records::spliced(static_cast<std::int32_t>(parts.size()), static_cast<std::uint32_t>(finding.slice.size));
    parts.push_back({.file = finding.slice.file, .offset = finding.slice.position, .size = finding.slice.size});
  }
  return data;
}

// The wish of that index in the session, unless an incremental answer leaves it out.
void AnswerWriter::add(std::size_t index) {
  FetchSession& session = *job.fetch.session;
  FetchWish& wish = session.wishes[index];
  Finding& finding = job.findings[index];
  if (job.fetch.incremental && !job.is_news(wish, finding)) return;
  if (finding.decision.error == ErrorCode::NONE) {
    wish.told_high_watermark = finding.decision.high_watermark;
    wish.told_last_stable = finding.last_stable;
    wish.told_log_start = finding.decision.log_start;
  } else {
    wish.told_high_watermark = wish.told_last_stable = wish.told_log_start = kNoOffset;
  }
  if (!finding.slice.empty()) session.first = (index + 1) % session.wishes.size();
  if (topics.empty() || topics.back().topic_id != wish.key.topic || topics.back().topic != wish.topic_name) {
    topics.push_back(
        {.topic = wish.topic_name, .topic_id = wish.key.topic, .partitions = std::span(partitions).last(0)});
  }
  partitions.push_back(part(wish, finding));
  auto& own = topics.back().partitions;
  own = {own.data(), own.size() + 1};
}

Response AnswerWriter::whole() {
  const FetchSession& session = *job.fetch.session;
  Response response;
  response.session_id = session.id;
  const std::size_t count = session.wishes.size();
  const std::size_t begin = session.first;
  partitions.reserve(count);
  // A whole answer ends with what is not known here.
  const auto comes_last = [this](std::size_t index) { return !job.fetch.incremental && job.findings[index].unknown(); };
  for (const bool last : {false, true}) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t index = (begin + i) % count;
      if (comes_last(index) == last) add(index);
    }
  }
  response.responses = topics;
  return response;
}

void answer(Job& job) {
  AnswerWriter writer{.job = job, .parts = {}, .leaders_named = {}, .topics = {}, .partitions = {}};
  Response response = writer.whole();
  auto endpoints = leader_endpoints<Response::NodeEndpoint>(std::move(writer.leaders_named), job.context.image,
                                                            job.exchange.connection().listener());
  response.node_endpoints = endpoints;
  job.exchange.respond_with(response, std::move(writer.parts));
}

// Takes the watcher off again on every way out, a crash included.
class Watching {
 public:
  Watching(const Job& job, FetchWatcher& watcher) : watcher_(&watcher) {
    watched_.reserve(job.findings.size());
    for (const Finding& finding : job.findings) {
      if (finding.partition == nullptr) continue;
      watched_.push_back(finding.partition);
      finding.partition->watch(watcher);
    }
  }
  Watching(const Watching&) = delete;
  Watching& operator=(const Watching&) = delete;
  ~Watching() {
    for (const PartitionPtr& partition : watched_) partition->unwatch(*watcher_);
  }

 private:
  FetchWatcher* watcher_;
  std::vector<PartitionPtr> watched_;
};

// True: what is here is enough, or the time is up.
bool satisfied(const Job& job, MonoTime deadline) {
  return job.must_answer || job.bytes >= static_cast<std::size_t>(std::max(job.request.min_bytes, 0)) ||
         job.context.runtime.now() >= deadline || job.fetch.session->wishes.empty() || !job.exchange.connection_alive();
}

}  // namespace

Task<void> handle_fetch(BrokerContext* context, ExchangePtr exchange) {
  Job job{.context = *context, .exchange = *exchange, .request = {}, .fetch = {}, .findings = {}};
  if (!exchange->decode(job.request)) co_return;
  const bool state = exchange->version() >= kReplicaStateFrom;
  const std::int32_t replica = state ? job.request.replica_state.replica_id : job.request.replica_id;
  if (replica >= 0) {
    job.replica = NodeId(replica);
    job.replica_epoch = state ? BrokerEpoch(job.request.replica_state.replica_epoch) : kNoBrokerEpoch;
  }
  auto fetch = context->sessions.begin(job.request, exchange->version(), job.follower());
  if (!fetch) {
    Response refusal;
    refusal.error_code = static_cast<std::int16_t>(fetch.error());
    exchange->respond(refusal);
    co_return;
  }
  job.fetch = *fetch;
  MonoTime deadline = context->runtime.now();
  if (!context->runtime.maybe(Site::EarlyTimeout)) deadline += from_ms(std::max(job.request.max_wait_ms, 0));
  co_await look(&job);
  if (!satisfied(job, deadline)) {
    FetchWatcher watcher(context->runtime);
    const Watching watching(job, watcher);
    // What changed while a cold read was under way was not watched.
    watcher.woken = job.suspended;
    do {
      if (!watcher.woken) co_await watcher.wake.wait_until(deadline);
      watcher.woken = false;
      co_await look(&job);
    } while (!satisfied(job, deadline));
  }
  if (!job.follower()) co_await announce_delivery(&job);
  answer(job);
}

}  // namespace verdict::broker
