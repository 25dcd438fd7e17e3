#include "scenarios/clients.h"

#include <algorithm>

#include "runtime/io.h"

namespace verdict::scenarios {
namespace {

std::vector<client::TopicPartition> partitions_of(const std::string& topic, const std::vector<std::int32_t>& given,
                                                  std::int32_t all) {
  std::vector<client::TopicPartition> partitions;
  for (const std::int32_t index : given) partitions.push_back({.topic = topic, .partition = index});
  for (std::int32_t index = 0; given.empty() && index < all; ++index)
    partitions.push_back({.topic = topic, .partition = index});
  return partitions;
}

}  // namespace

template <class Ask>
Task<void> AdminMachine::insist(Ask ask, client::ErrorCode done_before) {
  ++unfinished_;
  for (;;) {
    const MonoTime deadline = runtime_->now() + 5s;
    const auto done = co_await ask(deadline);
    if (done || done.error().error == done_before) break;
    refusal_ = done.error().message;
    const MonoTime again = runtime_->now() + 100ms;
    co_await sleep_until(*runtime_, again);
  }
  --unfinished_;
}

void AdminMachine::create(const TopicSpec& topic) {
  client::NewTopic wanted;
  wanted.name = topic.name;
  if (topic.assignment.empty()) {
    wanted.partitions = topic.partitions;
    wanted.replication_factor = static_cast<std::int16_t>(topic.replication_factor);
  }
  for (std::size_t i = 0; i < topic.assignment.size(); ++i) {
    NodeIds& replicas = wanted.assignment[static_cast<std::int32_t>(i)];
    for (const std::int32_t id : topic.assignment[i]) replicas.push_back(NodeId(id));
  }
  for (const auto& [key, value] : topic.config) wanted.configs[key] = value;
  const auto ask = [this, wanted](MonoTime deadline) { return admin_.create_topic(wanted, deadline); };
  scope_.spawn(insist(ask, client::ErrorCode::TOPIC_ALREADY_EXISTS));
}

void AdminMachine::remove(const std::string& topic) {
  const auto ask = [this, topic](MonoTime deadline) { return admin_.delete_topic(topic, deadline); };
  scope_.spawn(insist(ask, client::ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
}

void AdminMachine::lower_feature(const std::string& name, std::int16_t level) {
  const auto ask = [this, name, level](MonoTime deadline) { return admin_.lower_feature(name, level, deadline); };
  scope_.spawn(insist(ask, client::ErrorCode::NONE));
}

std::set<std::string, std::less<>> compacted_topics(const std::vector<TopicSpec>& topics) {
  std::set<std::string, std::less<>> found;
  for (const TopicSpec& topic : topics) {
    const auto policy = topic.config.find("cleanup.policy");
    if (policy != topic.config.end() && policy->second.contains("compact")) found.insert(topic.name);
  }
  return found;
}

client::ClientOptions client_options(const ClientSettings& settings, std::int64_t process) {
  client::ClientOptions options;
  options.bootstrap = settings.bootstrap;
  options.client_id = "client-" + std::to_string(process);
  options.request_timeout = from_ms(settings.request_timeout_ms);
  options.connect_timeout = from_ms(settings.request_timeout_ms);
  options.reconnect_backoff = 20ms;
  options.reconnect_backoff_max = 200ms;
  options.retry_backoff = 20ms;
  options.retry_backoff_max = 200ms;
  options.entity = static_cast<std::uint64_t>(process);
  return options;
}

sim::ProducerLoad producer_load(const ProducerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions) {
  sim::ProducerLoad load;
  load.process = process;
  load.client = client_options(settings, process);
  load.producer.acks = spec.acks == "all" ? std::int16_t{-1} : spec.acks == "1" ? std::int16_t{1} : std::int16_t{0};
  load.producer.linger = std::chrono::microseconds(spec.linger_us);
  load.producer.batch_bytes = static_cast<std::size_t>(spec.batch_bytes);
  load.producer.max_in_flight = spec.in_flight;
  load.producer.retries = spec.retries;
  load.producer.idempotent = spec.idempotent || spec.transactional;
  load.producer.ack_timeout = from_ms(settings.request_timeout_ms * 3 / 4);
  load.producer.delivery_timeout = from_ms(settings.delivery_timeout_ms);
  load.producer.codec = spec.compression == "lz4"    ? storage::Codec::lz4
                        : spec.compression == "zstd" ? storage::Codec::zstd
                                                     : storage::Codec::none;
  load.partitions = partitions_of(spec.topic, spec.partitions, partitions);
  load.burst = static_cast<std::uint32_t>(spec.burst);
  load.interval = std::chrono::microseconds(spec.interval_us);
  load.value_bytes = static_cast<std::uint32_t>(spec.value_bytes);
  load.keys = {.keys = static_cast<std::uint32_t>(spec.keys),
               .numbers = spec.key_form == "number",
               .tombstone_one_in = static_cast<std::uint32_t>(spec.tombstone_one_in),
               .compacted = settings.compacted.contains(spec.topic)};
  if (spec.records > 0) load.records = static_cast<std::uint64_t>(spec.records);
  if (spec.stop_ms > 0) load.time = from_ms(std::max<std::int64_t>(spec.stop_ms - spec.start_ms, 1));
  return load;
}

sim::TransactionalLoad transactional_load(const ProducerSpec& spec, const ClientSettings& settings,
                                          std::int64_t process, std::int32_t partitions) {
  sim::ProducerLoad plain = producer_load(spec, settings, process, partitions);
  sim::TransactionalLoad load;
  load.process = process;
  load.client = plain.client;
  load.producer = plain.producer;
  load.transaction.id = transactional_id_of(spec, process);
  load.transaction.timeout = from_ms(spec.transaction_timeout_ms);
  load.transaction.highest_version = static_cast<std::int16_t>(spec.transaction_version);
  load.partitions = std::move(plain.partitions);
  load.burst = plain.burst;
  load.interval = plain.interval;
  load.abort_one_in = static_cast<std::uint32_t>(spec.abort_one_in);
  load.lives = static_cast<std::uint32_t>(spec.lives);
  load.value_bytes = plain.value_bytes;
  load.keys = plain.keys;
  load.records = plain.records;
  load.time = plain.time;
  if (spec.source.empty()) return load;
  ConsumerSpec reader;
  reader.topic = spec.source;
  reader.group = spec.group;
  reader.protocol = spec.protocol;
  reader.isolation = "read_committed";
  sim::GroupLoad member = group_load(reader, settings, process);
  load.group = std::move(member.group);
  load.consumer = member.consumer;
  return load;
}

sim::GroupLoad group_load(const ConsumerSpec& spec, const ClientSettings& settings, std::int64_t process) {
  const sim::ConsumerLoad plain = consumer_load(spec, settings, process, 0);
  sim::GroupLoad load;
  load.process = process;
  load.client = plain.client;
  load.consumer = plain.consumer;
  load.poll_interval = plain.poll_interval;
  load.group.group = spec.group;
  load.group.topics = {spec.topic};
  load.group.protocol = spec.protocol == "consumer" ? client::GroupProtocol::consumer : client::GroupProtocol::classic;
  load.group.session_timeout = from_ms(spec.session_timeout_ms);
  load.group.rebalance_timeout = from_ms(settings.request_timeout_ms);
  // As Kafka's: whoever asks again when an answer was lost is still waited for.
  if (load.group.protocol == client::GroupProtocol::consumer) load.group.rebalance_timeout *= 2;
  load.group.heartbeat_interval = from_ms(std::max<std::int64_t>(spec.session_timeout_ms / 5, 20));
  load.group.instance = spec.instance;
  load.group.leave_on_close = spec.instance.empty();  // a static member that restarts is to find its place
  if (spec.remote_assignor != ConsumerSpec().remote_assignor) load.group.remote_assignor = spec.remote_assignor;
  load.group.assignor = spec.assignor == "roundrobin"           ? client::Assignor::round_robin
                        : spec.assignor == "cooperative-sticky" ? client::Assignor::cooperative_sticky
                                                                : client::Assignor::range;
  load.stall_one_in = static_cast<std::uint32_t>(spec.stall_one_in);
  load.stall = from_ms(spec.stall_ms);
  load.stay = from_ms(spec.stay_ms);
  load.away = from_ms(spec.away_ms);
  return load;
}

sim::ConsumerLoad consumer_load(const ConsumerSpec& spec, const ClientSettings& settings, std::int64_t process,
                                std::int32_t partitions) {
  sim::ConsumerLoad load;
  load.process = process;
  load.client = client_options(settings, process);
  load.consumer.max_wait = 200ms;
  load.consumer.read_committed = spec.isolation == "read_committed";
  if (settings.bytes_per_ms > 0) {
    // An answer that takes longer than a request may last is asked for again and again.
    const std::int64_t most = settings.bytes_per_ms * settings.request_timeout_ms / 4;
    const auto limit = [most](std::int32_t bytes) {
      return static_cast<std::int32_t>(std::clamp<std::int64_t>(most, 1, bytes));
    };
    load.consumer.max_bytes = limit(load.consumer.max_bytes);
    load.consumer.max_partition_bytes = limit(load.consumer.max_partition_bytes);
  }
  load.partitions = partitions_of(spec.topic, spec.partitions, partitions);
  load.poll_interval = from_ms(spec.poll_interval_ms);
  load.seek_one_in = static_cast<std::uint32_t>(spec.seek_one_in);
  return load;
}

}  // namespace verdict::scenarios
