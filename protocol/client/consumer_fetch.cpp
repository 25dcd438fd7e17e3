#include <algorithm>
#include <limits>

#include "protocol/client/consumer.h"
#include "protocol/client/consumer_parts.h"
#include "runtime/assert.h"

namespace verdict::client {
namespace {

using wire::FetchRequest;
using wire::FetchResponse;

constexpr int kFirstVersionWithTopicIds = 13;
constexpr int kFirstVersionWithSessions = 7;
constexpr std::int32_t kNoSession = -1;  // the epoch that says so

bool is_session_error(ErrorCode error) {
  return error == ErrorCode::FETCH_SESSION_ID_NOT_FOUND || error == ErrorCode::INVALID_FETCH_SESSION_EPOCH ||
         error == ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR;
}

}  // namespace

Task<void> Consumer::fetch_task(NodeId leader, Group group) {
  ++stats_.fetches;
  std::unique_ptr<Answer> answer = co_await fetch(leader, &group);
  if (answer != nullptr) {
    answers_.push_back(std::move(answer));
  } else {
    Node& node = *nodes_[leader];
    node.busy = false;
    node.forget_session(/*keep_id=*/false);
    for (const StatePtr& state : group) retry_later(*state, ErrorCode::NETWORK_EXCEPTION);
  }
  wake();
}

Task<std::unique_ptr<Consumer::Answer>> Consumer::fetch(NodeId leader, const Group* group) {
  const std::shared_ptr<RpcChannel> channel = connections_.node(leader);
  const MonoTime deadline = runtime_->now() + client_.request_timeout + options_.max_wait;
  const bool ready = channel != nullptr && co_await channel->ready(deadline);
  if (!ready) co_return nullptr;
  bool by_id = true;
  for (const StatePtr& state : *group) by_id = by_id && !state->topic_id.is_zero();
  const std::optional<int> version = channel->version_of<FetchRequest>(
      FetchRequest::lowest_version, by_id ? FetchRequest::highest_version : kFirstVersionWithTopicIds - 1);
  if (!version) co_return nullptr;
  auto answer = std::make_unique<Answer>();
  answer->node = leader;
  answer->by_id = *version >= kFirstVersionWithTopicIds;
  answer->asked.reserve(group->size());
  for (const StatePtr& state : *group) answer->asked.push_back({state, state->seeks, state->position});
  wire::Arena arena;
  FetchRequest request{.max_wait_ms = static_cast<std::int32_t>(to_ms(options_.max_wait)),
                       .min_bytes = options_.min_bytes,
                       .max_bytes = options_.max_bytes,
                       .isolation_level = static_cast<std::int8_t>(options_.read_committed ? 1 : 0)};
  Node& node = *nodes_[leader];
  if (*version < kFirstVersionWithSessions || !options_.sessions) node.session_epoch = kNoSession;
  build_fetch(node, *group, answer->by_id, arena, request);
  RpcResult<FetchResponse> response = co_await channel->call<FetchResponse>(*version, request, deadline);
  if (!response) co_return nullptr;
  answer->response = std::move(*response);
  co_return answer;
}

namespace {

// Collects partitions into topics; partitions of a topic come one after the other.
template <class Topic, class Part>
struct TopicLists {
  std::vector<Topic> topics;
  std::vector<std::size_t> first;  // of each topic, in parts
  std::vector<Part> parts;

  std::span<Topic> copy(wire::Arena& arena) {
    const std::span<Part> all = arena.copy_span<Part>(parts);
    first.push_back(parts.size());
    for (std::size_t i = 0; i < topics.size(); ++i)
      topics[i].partitions = all.subspan(first[i], first[i + 1] - first[i]);
    return arena.copy_span<Topic>(topics);
  }
};

}  // namespace

void Consumer::build_fetch(Node& node, const Group& group, bool by_id, wire::Arena& arena, FetchRequest& request) {
  const bool incremental = node.session_epoch > 0;
  TopicLists<FetchRequest::FetchTopic, FetchRequest::FetchPartition> asked;
  TopicLists<FetchRequest::ForgottenTopic, std::int32_t> forgotten;
  std::vector<Node::InSession> session;
  session.reserve(group.size());
  auto before = node.session.cbegin();  // both are in the order of names
  std::string_view last_topic;
  for (const StatePtr& state : group) {
    const Node::InSession& now = session.emplace_back(Node::InSession{
        .name = state->name, .topic_id = state->topic_id, .offset = state->position, .epoch = state->leader_epoch});
    while (before != node.session.cend() && before->name < now.name) ++before;
    if (incremental && before != node.session.cend() && *before == now) continue;
    if (asked.topics.empty() || last_topic != state->name.topic) {
      last_topic = state->name.topic;
      asked.topics.push_back(by_id ? FetchRequest::FetchTopic{.topic_id = state->topic_id}
                                   : FetchRequest::FetchTopic{.topic = last_topic});
      asked.first.push_back(asked.parts.size());
    }
    asked.parts.push_back({.partition = state->name.partition,
                           .current_leader_epoch = state->leader_epoch.value(),
                           .fetch_offset = state->position.value(),
                           .partition_max_bytes = options_.max_partition_bytes});
  }
  if (incremental) {
    last_topic = {};
    for (auto now = session.cbegin(); const Node::InSession& known : node.session) {
      while (now != session.cend() && now->name < known.name) ++now;
      if (now != session.cend() && now->name == known.name && now->topic_id == known.topic_id) continue;
      if (forgotten.topics.empty() || last_topic != known.name.topic) {
        last_topic = known.name.topic;
        forgotten.topics.push_back(by_id ? FetchRequest::ForgottenTopic{.topic_id = known.topic_id}
                                         : FetchRequest::ForgottenTopic{.topic = arena.copy(known.name.topic)});
        forgotten.first.push_back(forgotten.parts.size());
      }
      forgotten.parts.push_back(known.name.partition);
    }
  }
  request.session_id = node.session_epoch == kNoSession ? 0 : node.session_id;
  request.session_epoch = node.session_epoch;
  request.topics = asked.copy(arena);
  request.forgotten_topics_data = forgotten.copy(arena);
  if (node.session_epoch == kNoSession) session.clear();
  node.session = std::move(session);
}

// False: the answer has no partitions to look at.
bool Consumer::take_session(Node& node, const FetchResponse& response) {
  const ErrorCode error = wire::error_from_code(response.error_code);
  if (error != ErrorCode::NONE) {
    ++stats_.session_errors;
    node.forget_session(/*keep_id=*/false);
    if (metadata_may_cure(error)) metadata_.make_stale();
    return false;
  }
  if (node.session_epoch == kNoSession) {
    node.session_epoch = 0;
  } else if (response.session_id == 0) {
    node.forget_session(/*keep_id=*/false);  // the node keeps none for us
  } else {
    node.session_id = response.session_id;
    node.session_epoch = node.session_epoch == std::numeric_limits<std::int32_t>::max() ? 1 : node.session_epoch + 1;
  }
  return true;
}

void Consumer::take(Answer& answer, Polled& out) {
  const FetchResponse& response = answer.response.value;
  if (!take_session(*nodes_[answer.node], response)) {
    const ErrorCode error = wire::error_from_code(response.error_code);
    if (is_session_error(error)) return;  // a full fetch follows
    for (const Asked& asked : answer.asked) {
      if (!asked.state->gone && asked.state->seeks == asked.seeks) report_error(*asked.state, error, out.partitions);
    }
    return;
  }
  const std::size_t count = answer.asked.size();
  std::size_t cursor = 0;
  for (const auto& topic : response.responses) {
    for (const auto& part : topic.partitions) {
      const Asked* asked = nullptr;
      for (std::size_t tried = 0; tried < count && asked == nullptr; ++tried, cursor = (cursor + 1) % count) {
        const Asked& candidate = answer.asked[cursor];
        if (candidate.state->name.partition != part.partition_index) continue;
        const bool same =
            answer.by_id ? candidate.state->topic_id == topic.topic_id : candidate.state->name.topic == topic.topic;
        if (same) asked = &candidate;
      }
      if (asked == nullptr || asked->state->gone || asked->state->seeks != asked->seeks ||
          asked->state->position != asked->offset)
        continue;
      // Asked for before its leader changed, whose log is to be checked first: what the check says is of that position.
      if (asked->state->phase != State::Phase::fetch) continue;
      State& state = *asked->state;
      if (part.current_leader.leader_id >= 0) {
        metadata_.hint(state.name.topic, state.name.partition,
                       {NodeId(part.current_leader.leader_id), LeaderEpoch(part.current_leader.leader_epoch)});
      }
      const ErrorCode error = wire::error_from_code(part.error_code);
      if (error == ErrorCode::OFFSET_OUT_OF_RANGE) {
        out_of_range(state, asked->offset, out.partitions);
      } else if (error != ErrorCode::NONE) {
        report_error(state, error, out.partitions);
      } else {
        state.failures = 0;
        PolledPartition polled{.partition = state.name};
        polled.from = asked->offset;
        polled.high_watermark = Offset(part.high_watermark);
        polled.last_stable = Offset(part.last_stable_offset);
        polled.log_start = Offset(part.log_start_offset);
        read_partition(state, part, out, polled);
        polled.next = state.position;
        polled.next_epoch = state.read_epoch;
        if (polled.next != polled.from) out.partitions.push_back(std::move(polled));
      }
    }
  }
  out.frame = std::move(answer.response.frame);
  out.arena = std::move(answer.response.arena);
}

namespace {

// Which producers' records are of aborted transactions, at a place in the log (KIP-98): a transaction is aborted from
// its first offset in the answer's list to its abort marker.
class AbortedFilter {
 public:
  explicit AbortedFilter(const FetchResponse::PartitionData& data) {
    if (data.aborted_transactions) ahead_.assign(data.aborted_transactions->begin(), data.aborted_transactions->end());
    std::ranges::sort(ahead_, {}, &FetchResponse::AbortedTransaction::first_offset);
  }
  bool skips(const storage::BatchHeader& batch) {
    for (; next_ < ahead_.size() && ahead_[next_].first_offset <= batch.last_offset().value(); ++next_) {
      open_.push_back(ahead_[next_].producer_id);
    }
    return batch.transactional() && std::ranges::find(open_, batch.producer_id.value()) != open_.end();
  }
  void ended(ProducerId producer) { std::erase(open_, producer.value()); }

 private:
  std::vector<FetchResponse::AbortedTransaction> ahead_;
  std::size_t next_ = 0;
  std::vector<std::int64_t> open_;
};

bool is_abort(const storage::BatchView& batch) {
  storage::RecordReader reader(batch.header(), batch.payload());
  storage::RecordView record;
  const auto more = reader.next(record);
  return more && *more && record.key && storage::parse_control_key(*record.key) == storage::ControlType::abort;
}

}  // namespace

void Consumer::read_partition(State& state, const FetchResponse::PartitionData& data, Polled& out,
                              PolledPartition& into) {
  AbortedFilter aborted(data);
  wire::Bytes rest = data.records.bytes();
  stats_.bytes += rest.size();
  ErrorCode error = ErrorCode::NONE;
  while (error == ErrorCode::NONE && !rest.empty()) {
    const auto batch = storage::take_batch(rest);
    if (!batch) {  // an answer may end within a batch
      if (batch.error() != storage::BatchError::truncated) error = ErrorCode::CORRUPT_MESSAGE;
      break;
    }
    const storage::BatchHeader& header = batch->header();
    if (header.next_offset() <= state.position) continue;
    if (options_.check_crcs && !batch->crc_valid()) {
      error = ErrorCode::CORRUPT_MESSAGE;
      break;
    }
    const bool skip = options_.read_committed && aborted.skips(header);
    if (header.control()) {
      if (is_abort(*batch)) aborted.ended(header.producer_id);
    } else if (!skip) {
      wire::Bytes plain = batch->payload();
      const std::optional<storage::Codec> codec = header.codec();
      if (codec != storage::Codec::none) {
        const auto decompressed = codec ? decompressor_.decompress(*codec, plain, options_.max_batch_bytes)
                                        : std::expected<storage::Bytes, storage::CompressionError>(
                                              std::unexpected(storage::CompressionError::unknown_codec));
        if (!decompressed) {
          error = ErrorCode::CORRUPT_MESSAGE;
          break;
        }
        out.plain.emplace_back(decompressed->begin(), decompressed->end());
        plain = out.plain.back();
      }
      const std::size_t before = into.records.size();
      const auto said = static_cast<std::size_t>(std::max(header.count, 0));
      constexpr std::size_t kSmallestRecord = 7;  // bytes
      if (before == 0) into.records.reserve(std::min(said, plain.size() / kSmallestRecord));
      storage::RecordReader reader(header, plain);
      storage::RecordView record;
      for (;;) {
        const auto more = reader.next(record);
        if (!more) error = ErrorCode::CORRUPT_MESSAGE;
        if (!more || !*more) break;
        if (record.offset >= state.position) into.records.push_back(record);
      }
      if (error != ErrorCode::NONE) {
        into.records.resize(before);
        break;
      }
    }
    state.position = header.next_offset();
    state.read_epoch = header.leader_epoch;
  }
  stats_.records += into.records.size();
  if (error != ErrorCode::NONE) report_error(state, error, out.partitions);
}

}  // namespace verdict::client
