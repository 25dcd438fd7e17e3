#include "tests/unit/client/fake_cluster.h"

#include <algorithm>

#include "protocol/wire/gen/api_versions.h"
#include "protocol/wire/gen/init_producer_id.h"
#include "protocol/wire/gen/list_offsets.h"
#include "protocol/wire/gen/metadata.h"
#include "protocol/wire/gen/offset_for_leader_epoch.h"
#include "runtime/assert.h"
#include "runtime/io.h"
#include "storage/batch.h"

namespace verdict::client::testing {

using wire::ApiKey;
using wire::ParsedHeader;
using Frame = std::vector<std::byte>;

struct FakeCluster::Node {
  std::unique_ptr<Listener> listener;
  std::vector<std::weak_ptr<Link>> links;
};

struct FakeCluster::Link {
  Link(int of, std::unique_ptr<Stream> connected)
      : node(of), stream(std::move(connected)), reader(*stream, 100 << 20) {}
  int node;
  std::unique_ptr<Stream> stream;
  protocol::FrameReader reader;
};

Offset FakePartition::end() const {
  if (log.empty()) return start;
  return storage::parse_header(log.back().bytes)->next_offset();
}

void FakePartition::append(std::span<const std::byte> batch) {
  std::vector<std::byte> bytes(batch.begin(), batch.end());
  const Offset base = end();
  storage::stamp(bytes, base, epoch);
  log.push_back({base, epoch, std::move(bytes)});
}

ErrorCode FakePartition::check_sequence(const storage::BatchHeader& batch, std::optional<Offset>& base) {
  if (batch.producer_id == kNoProducerId) return ErrorCode::NONE;
  const auto [at_producer, unknown] = producers.try_emplace(batch.producer_id.value());
  FakeProducer& known = at_producer->second;
  const std::int16_t batch_epoch = batch.producer_epoch.value();
  if (unknown) known = {.epoch = batch_epoch, .next = batch.base_sequence};  // any is the first
  if (batch_epoch < known.epoch) return ErrorCode::INVALID_PRODUCER_EPOCH;
  if (batch_epoch > known.epoch) {
    if (batch.base_sequence != 0) return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
    known = {.epoch = batch_epoch};
  }
  for (const auto& [first, count, at] : known.last) {
    if (first == batch.base_sequence && count == batch.count) {
      base = at;
      return ErrorCode::NONE;
    }
  }
  if (batch.base_sequence != known.next) return ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
  known.next += batch.count;
  known.last.emplace_back(batch.base_sequence, batch.count, end());
  if (known.last.size() > 5) known.last.erase(known.last.begin());
  return ErrorCode::NONE;
}

FakeCluster::FakeCluster(Runtime& runtime, const std::string& host, int nodes)
    : runtime_(runtime), host_(host), scope_(runtime) {
  served = {{ApiKey::InitProducerId, {0, 5}},      {ApiKey::Produce, {3, 13}},  {ApiKey::Fetch, {4, 18}},
            {ApiKey::ListOffsets, {1, 10}},        {ApiKey::Metadata, {0, 13}}, {ApiKey::ApiVersions, {0, 4}},
            {ApiKey::OffsetForLeaderEpoch, {2, 4}}};
  for (int i = 0; i < nodes; ++i) {
    nodes_.push_back(std::make_unique<Node>());
    nodes_.back()->listener = std::move(*runtime_.network().listen({host, 0}, 50));
    scope_.spawn(accept_task(i));
  }
}

FakeCluster::~FakeCluster() = default;

Task<void> FakeCluster::stop() {
  stopping_ = true;
  for (std::size_t i = 0; i < nodes_.size(); ++i) close_listener(static_cast<int>(i));
  co_await scope_.join();
}

void FakeCluster::close_listener(int index) {
  Node& node = *nodes_[static_cast<std::size_t>(index)];
  node.listener->close();
  for (const auto& weak : node.links) {
    if (const auto link = weak.lock()) link->stream->close();
  }
}

std::vector<Endpoint> FakeCluster::endpoints() const {
  std::vector<Endpoint> all;
  for (const auto& node : nodes_) all.push_back({host_, node->listener->local().port});
  return all;
}

FakeTopic& FakeCluster::add_topic(const std::string& name, std::size_t partitions) {
  FakeTopic& topic = topics[name];
  topic.id = {7, topics.size()};
  topic.partitions.resize(partitions);
  for (std::size_t i = 0; i < partitions; ++i) topic.partitions[i].leader = static_cast<int>(i % nodes_.size());
  return topic;
}

Task<void> FakeCluster::accept_task(int index) {
  for (;;) {
    std::unique_ptr<Stream> stream;
    const IoResult accepted = co_await accept(*nodes_[static_cast<std::size_t>(index)]->listener, stream);
    if (!accepted.ok()) co_return;
    auto link = std::make_shared<Link>(index, std::move(stream));
    nodes_[static_cast<std::size_t>(index)]->links.push_back(link);
    scope_.spawn(serve_task(link));
  }
}

Task<void> FakeCluster::write(std::shared_ptr<Link> link, Frame frame) {
  const std::array<ConstBuffer, 1> buffer{ConstBuffer{frame.data(), frame.size()}};
  co_await write_all(*link->stream, buffer);
}

// Produce answers may be slow while later requests are read: pipelining must be seen.
Task<void> FakeCluster::produce_task(std::shared_ptr<Link> link, Frame answer) {
  most_produces_waiting = std::max(most_produces_waiting, ++produces_waiting);
  co_await sleep_until(runtime_, runtime_.now() + answer_delay);
  --produces_waiting;
  co_await write(link, std::move(answer));
}

Task<void> FakeCluster::serve_task(std::shared_ptr<Link> link) {
  while (!stopping_) {
    auto frame = co_await link->reader.next();
    if (!frame) break;
    const auto header = wire::parse_request_header(*frame);
    VERDICT_ASSERT(header.has_value());
    requests.emplace_back(link->node, header->api);
    versions[header->api] = header->version;
    const Verdict verdict = on_request ? on_request(link->node, header->api) : Verdict::serve;
    if (verdict == Verdict::drop_before) break;
    if (verdict == Verdict::ignore) continue;
    Duration wait{};
    Answer bytes = answer(link->node, *header, *frame, wait);
    if (verdict == Verdict::drop_after) break;
    if (!bytes) continue;
    if (bytes->empty()) break;
    if (verdict == Verdict::wrong_id) (*bytes)[4] = std::byte{0x5a};
    if (verdict == Verdict::garbage) {
      for (std::size_t i = 8; i < bytes->size(); ++i) (*bytes)[i] = std::byte{0xff};
    }
    if (header->api == ApiKey::Produce && answer_delay > Duration::zero()) {
      scope_.spawn(produce_task(link, std::move(*bytes)));
      continue;
    }
    if (wait > Duration::zero()) co_await sleep_until(runtime_, runtime_.now() + wait);
    co_await write(link, std::move(*bytes));
  }
  link->stream->close();
}

template <class Request>
bool FakeCluster::decode(const ParsedHeader& header, const Frame& frame, Request& into) {
  arena_.reset();
  return wire::decode_exact(arena_, wire::Bytes(frame).subspan(header.body_offset), header.version, into).has_value();
}

FakeCluster::Answer FakeCluster::answer(int node, const ParsedHeader& header, const Frame& frame, Duration& wait) {
  switch (header.api) {
    case ApiKey::ApiVersions:
      return api_versions(header);
    case ApiKey::Metadata:
      return metadata(header, frame);
    case ApiKey::Produce:
      return produce(node, header, frame);
    case ApiKey::InitProducerId:
      return init_producer_id(node, header);
    case ApiKey::Fetch:
      return fetch(node, header, frame, wait);
    case ApiKey::ListOffsets:
      return list_offsets(node, header, frame);
    case ApiKey::OffsetForLeaderEpoch:
      return epochs(node, header, frame);
    default:
      VERDICT_ASSERT(false, "an api that the fake has not");
  }
  return std::nullopt;
}

Frame FakeCluster::api_versions(const ParsedHeader& header) {
  const bool known = header.version <= served[ApiKey::ApiVersions].highest;
  wire::Arena arena;
  const auto keys = arena.make_span<wire::ApiVersionsResponse::ApiVersion>(served.size());
  std::size_t at = 0;
  for (const auto& [api, range] : served) {
    keys[at++] = {static_cast<std::int16_t>(api), static_cast<std::int16_t>(range.lowest),
                  static_cast<std::int16_t>(range.highest)};
  }
  const wire::ApiVersionsResponse response{
      .error_code = known ? std::int16_t{0} : wire::code(ErrorCode::UNSUPPORTED_VERSION), .api_keys = keys};
  return *wire::encode_response(known ? header.version : 0, header.header.correlation_id, response);
}

Frame FakeCluster::metadata(const ParsedHeader& header, const Frame& frame) {
  wire::MetadataRequest request;
  VERDICT_ASSERT(decode(header, frame, request));
  wire::Arena arena;
  using Response = wire::MetadataResponse;
  const auto brokers = arena.make_span<Response::MetadataResponseBroker>(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    brokers[i] = {.node_id = static_cast<std::int32_t>(i), .host = host_, .port = nodes_[i]->listener->local().port};
  }
  const auto answers = arena.make_span<Response::MetadataResponseTopic>(request.topics->size());
  for (std::size_t i = 0; i < answers.size(); ++i) {
    answers[i].name = (*request.topics)[i].name;
    const auto known = topics.find(std::string(*answers[i].name));
    if (known == topics.end()) {
      answers[i].error_code = wire::code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
      continue;
    }
    if (header.version >= 10) answers[i].topic_id = known->second.id;
    answers[i].partitions = arena.make_span<Response::MetadataResponsePartition>(known->second.partitions.size());
    for (std::size_t p = 0; p < answers[i].partitions.size(); ++p) {
      const FakePartition& partition = known->second.partitions[p];
      answers[i].partitions[p] = {.partition_index = static_cast<std::int32_t>(p), .leader_id = partition.leader};
      if (header.version >= 7) answers[i].partitions[p].leader_epoch = partition.epoch.value();
    }
  }
  const Response response{.brokers = brokers, .topics = answers};
  return *wire::encode_response(header.version, header.header.correlation_id, response);
}

FakeTopic* FakeCluster::find(std::string_view name, const Uuid& id) {
  for (auto& [key, topic] : topics) {
    if (name.empty() ? topic.id == id : key == name) return &topic;
  }
  return nullptr;
}

ErrorCode FakeCluster::check(int node, const FakeTopic* topic, int index, std::int32_t epoch) const {
  if (topic == nullptr || index < 0 || static_cast<std::size_t>(index) >= topic->partitions.size())
    return ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
  const FakePartition& partition = topic->partitions[static_cast<std::size_t>(index)];
  if (partition.leader != node) return ErrorCode::NOT_LEADER_OR_FOLLOWER;
  if (epoch >= 0 && epoch < partition.epoch.value()) return ErrorCode::FENCED_LEADER_EPOCH;
  if (epoch > partition.epoch.value()) return ErrorCode::UNKNOWN_LEADER_EPOCH;
  return ErrorCode::NONE;
}

Frame FakeCluster::init_producer_id(int node, const ParsedHeader& header) {
  wire::InitProducerIdResponse response;
  response.error_code = wire::code(on_init_producer ? on_init_producer(node) : ErrorCode::NONE);
  response.producer_id = response.error_code == 0 ? next_producer_id++ : -1;
  return *wire::encode_response(header.version, header.header.correlation_id, response);
}

FakeCluster::Answer FakeCluster::produce(int node, const ParsedHeader& header, const Frame& frame) {
  wire::ProduceRequest request;
  VERDICT_ASSERT(decode(header, frame, request));
  bool refused = false;
  wire::Arena arena;
  const auto answers = arena.make_span<wire::ProduceResponse::TopicProduceResponse>(request.topic_data.size());
  for (std::size_t t = 0; t < answers.size(); ++t) {
    const auto& data = request.topic_data[t];
    answers[t].name = data.name;
    answers[t].topic_id = data.topic_id;
    answers[t].partition_responses =
        arena.make_span<wire::ProduceResponse::PartitionProduceResponse>(data.partition_data.size());
    FakeTopic* topic = find(data.name, data.topic_id);
    for (std::size_t p = 0; p < data.partition_data.size(); ++p) {
      const int index = data.partition_data[p].index;
      ErrorCode error = check(node, topic, index, -1);
      if (error == ErrorCode::NONE && on_produce) {
        for (const auto& [name, known] : topics) {
          if (&known == topic) error = on_produce(node, name, index);
        }
      }
      const auto batch = storage::BatchView::parse(data.partition_data[p].records.bytes());
      VERDICT_ASSERT(batch && batch->crc_valid() && batch->bytes().size() == data.partition_data[p].records.size);
      std::optional<Offset> before;
      if (error == ErrorCode::NONE)
        error = topic->partitions[static_cast<std::size_t>(index)].check_sequence(batch->header(), before);
      auto& part = answers[t].partition_responses[p];
      part = {.index = index, .error_code = wire::code(error), .base_offset = -1};
      refused = refused || error != ErrorCode::NONE;
      if (error != ErrorCode::NONE) continue;
      FakePartition& partition = topic->partitions[static_cast<std::size_t>(index)];
      part.base_offset = before.value_or(partition.end()).value();
      if (!before) partition.append(batch->bytes());
    }
  }
  if (request.acks == 0) return refused ? Answer(Frame()) : std::nullopt;
  return *wire::encode_response(header.version, header.header.correlation_id,
                                wire::ProduceResponse{.responses = answers});
}

void FakeCluster::remember_wishes(Session& session, const wire::FetchRequest& request) {
  const auto name_of = [this](std::string_view name, const Uuid& id) {
    for (const auto& [key, topic] : topics) {
      if (name.empty() ? topic.id == id : key == name) return key;
    }
    return std::string("?");
  };
  for (const auto& topic : request.topics) {
    for (const auto& part : topic.partitions) {
      session.partitions[{name_of(topic.topic, topic.topic_id), part.partition}] = part;
    }
  }
  for (const auto& topic : request.forgotten_topics_data) {
    for (const int part : topic.partitions) session.partitions.erase({name_of(topic.topic, topic.topic_id), part});
  }
}

// `records` keeps the bytes that the answer points to.
wire::FetchResponse::PartitionData FakeCluster::partition_data(int node, FakeTopic* topic,
                                                               const wire::FetchRequest::FetchPartition& asked,
                                                               wire::Arena& arena, std::vector<std::byte>& records) {
  wire::FetchResponse::PartitionData data{.partition_index = asked.partition};
  const ErrorCode wrong = check(node, topic, asked.partition, asked.current_leader_epoch);
  data.error_code = wire::code(wrong);
  if (wrong != ErrorCode::NONE) return data;
  const FakePartition& partition = topic->partitions[static_cast<std::size_t>(asked.partition)];
  data.high_watermark = data.last_stable_offset = partition.end().value();
  data.log_start_offset = partition.start.value();
  if (asked.fetch_offset > partition.end().value() || asked.fetch_offset < partition.start.value()) {
    data.error_code = wire::code(ErrorCode::OFFSET_OUT_OF_RANGE);
  }
  std::size_t first = 0;
  for (const FakeBatch& batch : partition.log) {
    const auto parsed = storage::parse_header(batch.bytes);
    if (parsed->next_offset().value() <= asked.fetch_offset) continue;
    records.insert(records.end(), batch.bytes.begin(), batch.bytes.end());
    if (first == 0) first = batch.bytes.size();
  }
  // Cut inside a batch, but never inside the first, as Kafka does.
  const std::size_t limit = std::max(first, static_cast<std::size_t>(asked.partition_max_bytes));
  if (records.size() > limit) records.resize(limit);
  data.records = wire::Records::of(records);
  if (!partition.aborted.empty()) {
    data.aborted_transactions = arena.copy_span<wire::FetchResponse::AbortedTransaction>(partition.aborted);
  }
  return data;
}

Frame FakeCluster::fetch(int node, const ParsedHeader& header, const Frame& frame, Duration& wait) {
  wire::FetchRequest request;
  VERDICT_ASSERT(decode(header, frame, request));
  if (saw_fetch) saw_fetch(request, header.version);
  wire::FetchResponse response;
  ErrorCode error = on_fetch ? on_fetch(node, request) : ErrorCode::NONE;
  Session* session = nullptr;
  Session once;
  const bool incremental = request.session_epoch > 0;
  if (incremental) {
    const auto known = sessions_.find(request.session_id);
    if (known == sessions_.end()) {
      error = ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
    } else if (known->second.epoch != request.session_epoch) {
      error = ErrorCode::INVALID_FETCH_SESSION_EPOCH;
    } else {
      session = &known->second;
      ++session->epoch;
      response.session_id = request.session_id;
    }
  } else if (request.session_epoch == 0 && session_support && header.version >= 7) {
    response.session_id = next_session_++;
    session = &sessions_[response.session_id];
    session->epoch = 1;
  }
  if (error != ErrorCode::NONE) {
    sessions_.erase(request.session_id);
    return *wire::encode_response(header.version, header.header.correlation_id,
                                  wire::FetchResponse{.error_code = wire::code(error)});
  }
  if (session == nullptr) session = &once;
  remember_wishes(*session, request);
  wire::Arena arena;
  std::vector<wire::FetchResponse::FetchableTopicResponse> answers;
  std::vector<std::unique_ptr<std::vector<std::byte>>> kept;
  bool found = false;
  for (const auto& [name, asked] : session->partitions) {
    FakeTopic* topic = find(name.first, {});
    kept.push_back(std::make_unique<std::vector<std::byte>>());
    const auto data = partition_data(node, topic, asked, arena, *kept.back());
    const bool news = data.error_code != 0 || data.records.size != 0;
    found = found || news;
    if (incremental && !news) continue;
    answers.push_back({.topic = name.first, .partitions = arena.make_span<wire::FetchResponse::PartitionData>(1)});
    if (header.version >= 13) {
      answers.back().topic = {};
      answers.back().topic_id = topic == nullptr ? Uuid{} : topic->id;
    }
    answers.back().partitions[0] = data;
  }
  if (!found) wait = std::min<Duration>(from_ms(request.max_wait_ms), 20ms);
  response.responses = answers;
  return *wire::encode_response(header.version, header.header.correlation_id, response);
}

Frame FakeCluster::list_offsets(int node, const ParsedHeader& header, const Frame& frame) {
  wire::ListOffsetsRequest request;
  VERDICT_ASSERT(decode(header, frame, request));
  wire::Arena arena;
  const auto answers = arena.make_span<wire::ListOffsetsResponse::ListOffsetsTopicResponse>(request.topics.size());
  for (std::size_t t = 0; t < answers.size(); ++t) {
    answers[t].name = request.topics[t].name;
    FakeTopic* topic = find(answers[t].name, {});
    answers[t].partitions =
        arena.make_span<wire::ListOffsetsResponse::ListOffsetsPartitionResponse>(request.topics[t].partitions.size());
    for (std::size_t p = 0; p < answers[t].partitions.size(); ++p) {
      const auto& asked = request.topics[t].partitions[p];
      auto& part = answers[t].partitions[p];
      const ErrorCode error = check(node, topic, asked.partition_index, asked.current_leader_epoch);
      part = {.partition_index = asked.partition_index, .error_code = wire::code(error)};
      if (error != ErrorCode::NONE) continue;
      const FakePartition& partition = topic->partitions[static_cast<std::size_t>(asked.partition_index)];
      part.offset = asked.timestamp == -1 ? partition.end().value() : partition.start.value();
      if (header.version >= 4) part.leader_epoch = partition.epoch.value();
    }
  }
  return *wire::encode_response(header.version, header.header.correlation_id,
                                wire::ListOffsetsResponse{.topics = answers});
}

Frame FakeCluster::epochs(int node, const ParsedHeader& header, const Frame& frame) {
  wire::OffsetForLeaderEpochRequest request;
  VERDICT_ASSERT(decode(header, frame, request));
  VERDICT_ASSERT(request.replica_id == -1);
  wire::Arena arena;
  const auto answers =
      arena.make_span<wire::OffsetForLeaderEpochResponse::OffsetForLeaderTopicResult>(request.topics.size());
  for (std::size_t t = 0; t < answers.size(); ++t) {
    answers[t].topic = request.topics[t].topic;
    FakeTopic* topic = find(answers[t].topic, {});
    answers[t].partitions =
        arena.make_span<wire::OffsetForLeaderEpochResponse::EpochEndOffset>(request.topics[t].partitions.size());
    for (std::size_t p = 0; p < answers[t].partitions.size(); ++p) {
      const auto& asked = request.topics[t].partitions[p];
      auto& part = answers[t].partitions[p];
      const ErrorCode error = check(node, topic, asked.partition, asked.current_leader_epoch);
      part = {.error_code = wire::code(error), .partition = asked.partition};
      if (error != ErrorCode::NONE) continue;
      for (const FakeBatch& batch : topic->partitions[static_cast<std::size_t>(asked.partition)].log) {
        if (batch.epoch.value() > asked.leader_epoch) break;
        part.leader_epoch = batch.epoch.value();
        part.end_offset = storage::parse_header(batch.bytes)->next_offset().value();
      }
    }
  }
  return *wire::encode_response(header.version, header.header.correlation_id,
                                wire::OffsetForLeaderEpochResponse{.topics = answers});
}

}  // namespace verdict::client::testing
