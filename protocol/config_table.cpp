#include <algorithm>
#include <array>
#include <limits>

#include "protocol/config_keys.h"

// The tables: keys, types, defaults and limits as Apache Kafka 4.1 documents them.
namespace verdict::protocol {
namespace {

constexpr auto kInt32Max = std::numeric_limits<std::int32_t>::max();
constexpr auto kInt64Max = std::numeric_limits<std::int64_t>::max();
constexpr auto kNone = std::nullopt;
using enum ConfigType;
using enum ConfigUpdate;

constexpr std::string_view kCompressions = "uncompressed|zstd|lz4|snappy|gzip|producer";
constexpr std::string_view kPolicies = "compact|delete";
constexpr std::string_view kGroupProtocols = "classic|consumer|streams|share";
constexpr std::string_view kMigrationPolicies = "bidirectional|upgrade|downgrade|disabled";
constexpr std::string_view kTimestampTypes = "CreateTime|LogAppendTime";

// name, type, default, update, min, max, allowed; by name.
constexpr auto kBrokerKeys = std::to_array<ConfigKey>({
    {"advertised.listeners", string, kNone},
    {"auto.create.topics.enable", boolean, "true"},
    {"auto.leader.rebalance.enable", boolean, "true"},
    {"broker.heartbeat.interval.ms", int32, "2000", read_only, 1, kInt32Max},
    {"broker.rack", string, kNone},
    {"broker.session.timeout.ms", int32, "9000", read_only, 1, kInt32Max},
    {"compression.type", string, "producer", cluster_wide, kNone, kNone, kCompressions},
    {"connections.max.idle.ms", int64, "600000"},
    {"controlled.shutdown.enable", boolean, "true"},
    {"controller.listener.names", string, kNone},
    {"controller.quorum.voters", list, ""},
    {"default.replication.factor", int32, "1", read_only, 1, 32767},
    {"delete.topic.enable", boolean, "true"},
    {"fetch.max.bytes", int32, "57671680", read_only, 1024, kInt32Max},
    {"group.consumer.assignors", list, "uniform,range"},
    {"group.consumer.heartbeat.interval.ms", int32, "5000", read_only, 1, kInt32Max},
    {"group.consumer.max.heartbeat.interval.ms", int32, "15000", read_only, 1, kInt32Max},
    {"group.consumer.max.session.timeout.ms", int32, "60000", read_only, 1, kInt32Max},
    {"group.consumer.max.size", int32, "2147483647", read_only, 1, kInt32Max},
    {"group.consumer.migration.policy", string, "bidirectional", read_only, kNone, kNone, kMigrationPolicies},
    {"group.consumer.min.heartbeat.interval.ms", int32, "5000", read_only, 1, kInt32Max},
    {"group.consumer.min.session.timeout.ms", int32, "45000", read_only, 1, kInt32Max},
    {"group.consumer.session.timeout.ms", int32, "45000", read_only, 1, kInt32Max},
    {"group.coordinator.rebalance.protocols", list, "classic,consumer,streams", read_only, kNone, kNone,
     kGroupProtocols},
    {"group.initial.rebalance.delay.ms", int32, "3000"},
    {"group.max.session.timeout.ms", int32, "1800000"},
    {"group.max.size", int32, "2147483647", read_only, 1, kInt32Max},
    {"group.min.session.timeout.ms", int32, "6000"},
    {"inter.broker.listener.name", string, kNone},
    {"leader.imbalance.check.interval.seconds", int64, "300", read_only, 1, kInt64Max / 1'000'000'000},
    {"listener.security.protocol.map", string,
     "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT", per_broker},
    {"listeners", string, "PLAINTEXT://:9092", per_broker},
    {"log.cleaner.backoff.ms", int64, "15000", cluster_wide, 0, kInt64Max},
    {"log.cleaner.dedupe.buffer.size", int64, "134217728", cluster_wide},
    {"log.cleaner.delete.retention.ms", int64, "86400000", cluster_wide, 0, kInt64Max},
    {"log.cleaner.enable", boolean, "true"},
    {"log.cleaner.io.buffer.load.factor", float64, "0.9", cluster_wide},
    {"log.cleaner.io.buffer.size", int32, "524288", cluster_wide, 0, kInt32Max},
    {"log.cleaner.io.max.bytes.per.second", float64, "1.7976931348623157E308", cluster_wide},
    {"log.cleaner.max.compaction.lag.ms", int64, "9223372036854775807", cluster_wide, 1, kInt64Max},
    {"log.cleaner.min.cleanable.ratio", float64, "0.5", cluster_wide, 0, 1},
    {"log.cleaner.min.compaction.lag.ms", int64, "0", cluster_wide, 0, kInt64Max},
    {"log.cleaner.threads", int32, "1", cluster_wide, 0, kInt32Max},
    {"log.cleanup.policy", list, "delete", cluster_wide, kNone, kNone, kPolicies},
    {"log.dir", string, "/tmp/kafka-logs"},
    {"log.dirs", string, kNone},
    {"log.flush.interval.messages", int64, "9223372036854775807", cluster_wide, 1, kInt64Max},
    {"log.flush.interval.ms", int64, kNone, cluster_wide, 0, kInt64Max},
    {"log.flush.offset.checkpoint.interval.ms", int32, "60000", read_only, 0, kInt32Max},
    {"log.flush.scheduler.interval.ms", int64, "9223372036854775807"},
    {"log.index.interval.bytes", int32, "4096", cluster_wide, 0, kInt32Max},
    {"log.index.size.max.bytes", int32, "10485760", cluster_wide, 4, kInt32Max},
    {"log.message.timestamp.after.max.ms", int64, "3600000", cluster_wide, 0, kInt64Max},
    {"log.message.timestamp.before.max.ms", int64, "9223372036854775807", cluster_wide, 0, kInt64Max},
    {"log.message.timestamp.type", string, "CreateTime", cluster_wide, kNone, kNone, kTimestampTypes},
    {"log.preallocate", boolean, "false", cluster_wide},
    {"log.retention.bytes", int64, "-1", cluster_wide, -1, kInt64Max},
    {"log.retention.check.interval.ms", int64, "300000", read_only, 1, kInt64Max},
    {"log.retention.hours", int32, "168"},
    {"log.retention.minutes", int32, kNone},
    {"log.retention.ms", int64, kNone, cluster_wide},
    {"log.roll.hours", int32, "168", read_only, 1, kInt32Max},
    {"log.roll.jitter.hours", int32, "0", read_only, 0, kInt32Max},
    {"log.roll.jitter.ms", int64, kNone, cluster_wide},
    {"log.roll.ms", int64, kNone, cluster_wide},
    {"log.segment.bytes", int32, "1073741824", cluster_wide, 1048576, kInt32Max},
    {"log.segment.delete.delay.ms", int64, "60000", cluster_wide, 0, kInt64Max},
    {"max.connections", int32, "2147483647", cluster_wide, 0, kInt32Max},
    {"max.incremental.fetch.session.cache.slots", int32, "1000", read_only, 0, kInt32Max},
    {"message.max.bytes", int32, "1048588", cluster_wide, 0, kInt32Max},
    {"metadata.log.dir", string, kNone},
    {"metadata.max.idle.interval.ms", int32, "500", read_only, 0, kInt32Max},
    {"min.insync.replicas", int32, "1", cluster_wide, 1, kInt32Max},
    {"node.id", int32, kNone, read_only, 0, kInt32Max},
    {"num.partitions", int32, "1", read_only, 1, kInt32Max},
    {"num.recovery.threads.per.data.dir", int32, "2", cluster_wide, 1, kInt32Max},
    {"offset.metadata.max.bytes", int32, "4096"},
    {"offsets.commit.timeout.ms", int32, "5000", read_only, 1, kInt32Max},
    {"offsets.retention.check.interval.ms", int64, "600000", read_only, 1, kInt64Max},
    {"offsets.retention.minutes", int32, "10080", read_only, 1, kInt32Max},
    {"offsets.topic.compression.codec", int32, "0", read_only, 0, 4},
    {"offsets.topic.num.partitions", int32, "50", read_only, 1, kInt32Max},
    {"offsets.topic.replication.factor", int16, "3", read_only, 1, 32767},
    {"offsets.topic.segment.bytes", int32, "104857600", read_only, 1, kInt32Max},
    {"process.roles", list, kNone, read_only, kNone, kNone, "broker|controller"},
    {"producer.id.expiration.ms", int32, "86400000", cluster_wide, 1, kInt32Max},
    {"queued.max.requests", int32, "500", read_only, 1, kInt32Max},
    {"replica.fetch.backoff.ms", int32, "1000", read_only, 0, kInt32Max},
    {"replica.fetch.max.bytes", int32, "1048576", read_only, 0, kInt32Max},
    {"replica.fetch.min.bytes", int32, "1"},
    {"replica.fetch.response.max.bytes", int32, "10485760", read_only, 0, kInt32Max},
    {"replica.fetch.wait.max.ms", int32, "500"},
    {"replica.high.watermark.checkpoint.interval.ms", int64, "5000"},
    {"replica.lag.time.max.ms", int64, "30000"},
    {"replica.socket.timeout.ms", int32, "30000"},
    {"request.timeout.ms", int32, "30000"},
    {"socket.listen.backlog.size", int32, "50", read_only, 1, kInt32Max},
    {"socket.request.max.bytes", int32, "104857600", read_only, 1, kInt32Max},
    {"transaction.abort.timed.out.transaction.cleanup.interval.ms", int32, "10000", read_only, 1, kInt32Max},
    {"transaction.max.timeout.ms", int32, "900000", read_only, 1, kInt32Max},
    {"transaction.partition.verification.enable", boolean, "true", cluster_wide},
    {"transaction.remove.expired.transaction.cleanup.interval.ms", int32, "3600000", read_only, 1, kInt32Max},
    {"transaction.state.log.min.isr", int32, "2", read_only, 1, kInt32Max},
    {"transaction.state.log.num.partitions", int32, "50", read_only, 1, kInt32Max},
    {"transaction.state.log.replication.factor", int16, "3", read_only, 1, 32767},
    {"transaction.state.log.segment.bytes", int32, "104857600", read_only, 1, kInt32Max},
    {"transactional.id.expiration.ms", int32, "604800000", read_only, 1, kInt32Max},
    {"unclean.leader.election.enable", boolean, "false", cluster_wide},
    {"unclean.leader.election.interval.ms", int64, "300000", read_only, 1, kInt64Max},
});

constexpr auto kTopicKeys = std::to_array<ConfigKey>({
    {"cleanup.policy", list, "delete", cluster_wide, kNone, kNone, kPolicies},
    {"compression.type", string, "producer", cluster_wide, kNone, kNone, kCompressions},
    {"delete.retention.ms", int64, "86400000", cluster_wide, 0, kInt64Max},
    {"file.delete.delay.ms", int64, "60000", cluster_wide, 0, kInt64Max},
    {"flush.messages", int64, "9223372036854775807", cluster_wide, 1, kInt64Max},
    {"flush.ms", int64, "9223372036854775807", cluster_wide, 0, kInt64Max},
    {"index.interval.bytes", int32, "4096", cluster_wide, 0, kInt32Max},
    // Kafka's too (internal, absent from DescribeConfigs): a segment size below segment.bytes' minimum, for tests.
    {"internal.segment.bytes", int32, kNone, cluster_wide, 14, kInt32Max},
    {"max.compaction.lag.ms", int64, "9223372036854775807", cluster_wide, 1, kInt64Max},
    {"max.message.bytes", int32, "1048588", cluster_wide, 0, kInt32Max},
    {"message.timestamp.after.max.ms", int64, "3600000", cluster_wide, 0, kInt64Max},
    {"message.timestamp.before.max.ms", int64, "9223372036854775807", cluster_wide, 0, kInt64Max},
    {"message.timestamp.type", string, "CreateTime", cluster_wide, kNone, kNone, kTimestampTypes},
    {"min.cleanable.dirty.ratio", float64, "0.5", cluster_wide, 0, 1},
    {"min.compaction.lag.ms", int64, "0", cluster_wide, 0, kInt64Max},
    {"min.insync.replicas", int32, "1", cluster_wide, 1, kInt32Max},
    {"preallocate", boolean, "false", cluster_wide},
    {"retention.bytes", int64, "-1", cluster_wide},
    {"retention.ms", int64, "604800000", cluster_wide, -1, kInt64Max},
    {"segment.bytes", int32, "1073741824", cluster_wide, 1048576, kInt32Max},
    {"segment.index.bytes", int32, "10485760", cluster_wide, 4, kInt32Max},
    {"segment.jitter.ms", int64, "0", cluster_wide, 0, kInt64Max},
    {"segment.ms", int64, "604800000", cluster_wide, 1, kInt64Max},
    {"unclean.leader.election.enable", boolean, "false", cluster_wide},
});

// Kafka's, and not ours yet: a file that names one is still a good file.
constexpr auto kForeignBrokerKeys = std::to_array<std::string_view>({
    "add.partitions.to.txn.retry.backoff.max.ms",
    "add.partitions.to.txn.retry.backoff.ms",
    "allow.everyone.if.no.acl.found",
    "alter.config.policy.class.name",
    "alter.log.dirs.replication.quota.window.num",
    "alter.log.dirs.replication.quota.window.size.seconds",
    "authorizer.class.name",
    "auto.include.jmx.reporter",
    "background.threads",
    "broker.id",
    "client.quota.callback.class",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "connection.failed.authentication.delay.ms",
    "connections.max.reauth.ms",
    "controller.performance.always.log.threshold.ms",
    "controller.performance.sample.period.ms",
    "controller.quorum.append.linger.ms",
    "controller.quorum.auto.join.enable",
    "controller.quorum.bootstrap.servers",
    "controller.quorum.election.backoff.max.ms",
    "controller.quorum.election.timeout.ms",
    "controller.quorum.fetch.timeout.ms",
    "controller.quorum.request.timeout.ms",
    "controller.quorum.retry.backoff.ms",
    "controller.quota.window.num",
    "controller.quota.window.size.seconds",
    "controller.socket.timeout.ms",
    "create.topic.policy.class.name",
    "delegation.token.expiry.check.interval.ms",
    "delegation.token.expiry.time.ms",
    "delegation.token.max.lifetime.ms",
    "delegation.token.secret.key",
    "delete.records.purgatory.purge.interval.requests",
    "early.start.listeners",
    "fetch.purgatory.purge.interval.requests",
    "group.coordinator.append.linger.ms",
    "group.coordinator.threads",
    "initial.broker.registration.timeout.ms",
    "kafka.metrics.polling.interval.secs",
    "kafka.metrics.reporters",
    "leader.imbalance.per.broker.percentage",
    "log.dir.failure.timeout.ms",
    "log.flush.start.offset.checkpoint.interval.ms",
    "log.initial.task.delay.ms",
    "log.local.retention.bytes",
    "log.local.retention.ms",
    "max.connection.creation.rate",
    "max.connections.per.ip",
    "max.connections.per.ip.overrides",
    "max.request.partition.size.limit",
    "metadata.log.max.record.bytes.between.snapshots",
    "metadata.log.max.snapshot.interval.ms",
    "metadata.log.segment.bytes",
    "metadata.log.segment.ms",
    "metadata.max.retention.bytes",
    "metadata.max.retention.ms",
    "metric.reporters",
    "metrics.num.samples",
    "metrics.recording.level",
    "metrics.sample.window.ms",
    "num.io.threads",
    "num.network.threads",
    "num.replica.alter.log.dirs.threads",
    "num.replica.fetchers",
    "offsets.load.buffer.size",
    "principal.builder.class",
    "producer.id.expiration.check.interval.ms",
    "producer.purgatory.purge.interval.requests",
    "quota.window.num",
    "quota.window.size.seconds",
    "remote.log.storage.system.enable",
    "replica.selector.class",
    "replica.socket.receive.buffer.bytes",
    "replication.quota.window.num",
    "replication.quota.window.size.seconds",
    "sasl.client.callback.handler.class",
    "sasl.enabled.mechanisms",
    "sasl.jaas.config",
    "sasl.kerberos.service.name",
    "sasl.mechanism.controller.protocol",
    "sasl.mechanism.inter.broker.protocol",
    "security.inter.broker.protocol",
    "security.providers",
    "share.coordinator.state.topic.min.isr",
    "share.coordinator.state.topic.num.partitions",
    "share.coordinator.state.topic.replication.factor",
    "socket.connection.setup.timeout.max.ms",
    "socket.connection.setup.timeout.ms",
    "socket.receive.buffer.bytes",
    "socket.send.buffer.bytes",
    "ssl.client.auth",
    "ssl.enabled.protocols",
    "ssl.endpoint.identification.algorithm",
    "ssl.key.password",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.protocol",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
    "super.users",
    "telemetry.max.bytes",
    "transaction.state.log.load.buffer.size",
    "transaction.two.phase.commit.enable",
});

constexpr auto kForeignTopicKeys = std::to_array<std::string_view>({
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.zstd.level",
    "follower.replication.throttled.replicas",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
});

struct TopicSynonyms {
  std::string_view topic_key;
  std::array<ConfigSynonym, 3> broker_keys;
};

constexpr std::int64_t kMsPerMinute = 60'000;
constexpr std::int64_t kMsPerHour = 3'600'000;
constexpr auto kSynonyms = std::to_array<TopicSynonyms>({
    {"cleanup.policy", {{{"log.cleanup.policy"}}}},
    {"compression.type", {{{"compression.type"}}}},
    {"delete.retention.ms", {{{"log.cleaner.delete.retention.ms"}}}},
    {"file.delete.delay.ms", {{{"log.segment.delete.delay.ms"}}}},
    {"flush.messages", {{{"log.flush.interval.messages"}}}},
    {"flush.ms", {{{"log.flush.interval.ms"}, {"log.flush.scheduler.interval.ms"}}}},
    {"index.interval.bytes", {{{"log.index.interval.bytes"}}}},
    {"max.compaction.lag.ms", {{{"log.cleaner.max.compaction.lag.ms"}}}},
    {"max.message.bytes", {{{"message.max.bytes"}}}},
    {"message.timestamp.after.max.ms", {{{"log.message.timestamp.after.max.ms"}}}},
    {"message.timestamp.before.max.ms", {{{"log.message.timestamp.before.max.ms"}}}},
    {"message.timestamp.type", {{{"log.message.timestamp.type"}}}},
    {"min.cleanable.dirty.ratio", {{{"log.cleaner.min.cleanable.ratio"}}}},
    {"min.compaction.lag.ms", {{{"log.cleaner.min.compaction.lag.ms"}}}},
    {"min.insync.replicas", {{{"min.insync.replicas"}}}},
    {"preallocate", {{{"log.preallocate"}}}},
    {"retention.bytes", {{{"log.retention.bytes"}}}},
    {"retention.ms",
     {{{"log.retention.ms"}, {"log.retention.minutes", kMsPerMinute}, {"log.retention.hours", kMsPerHour}}}},
    {"segment.bytes", {{{"log.segment.bytes"}}}},
    {"segment.index.bytes", {{{"log.index.size.max.bytes"}}}},
    {"segment.jitter.ms", {{{"log.roll.jitter.ms"}, {"log.roll.jitter.hours", kMsPerHour}}}},
    {"segment.ms", {{{"log.roll.ms"}, {"log.roll.hours", kMsPerHour}}}},
    {"unclean.leader.election.enable", {{{"unclean.leader.election.enable"}}}},
});

static_assert(std::ranges::is_sorted(kBrokerKeys, {}, &ConfigKey::name));
static_assert(std::ranges::is_sorted(kTopicKeys, {}, &ConfigKey::name));
static_assert(std::ranges::is_sorted(kForeignBrokerKeys));
static_assert(std::ranges::is_sorted(kForeignTopicKeys));
static_assert(std::ranges::is_sorted(kSynonyms, {}, &TopicSynonyms::topic_key));

const ConfigKey* find_in(std::span<const ConfigKey> keys, std::string_view name) {
  const auto found = std::ranges::lower_bound(keys, name, {}, &ConfigKey::name);
  return found == keys.end() || found->name != name ? nullptr : &*found;
}

}  // namespace

std::span<const ConfigKey> broker_keys() { return kBrokerKeys; }
std::span<const ConfigKey> topic_keys() { return kTopicKeys; }
const ConfigKey* find_broker_key(std::string_view name) { return find_in(kBrokerKeys, name); }
const ConfigKey* find_topic_key(std::string_view name) { return find_in(kTopicKeys, name); }

bool is_known_broker_key(std::string_view name) {
  // Per-listener and per-plug-in settings are Kafka's whatever follows.
  constexpr auto prefixes =
      std::to_array<std::string_view>({"listener.name.", "remote.log.", "sasl.", "ssl.", "group.share.",
                                       "group.streams.", "share.coordinator.", "confluent."});
  return find_broker_key(name) != nullptr || std::ranges::binary_search(kForeignBrokerKeys, name) ||
         std::ranges::any_of(prefixes, [&](std::string_view p) { return name.starts_with(p); });
}

bool is_known_topic_key(std::string_view name) {
  return find_topic_key(name) != nullptr || std::ranges::binary_search(kForeignTopicKeys, name);
}

std::span<const ConfigSynonym> synonyms_of_topic_key(std::string_view topic_key) {
  const auto found = std::ranges::lower_bound(kSynonyms, topic_key, {}, &TopicSynonyms::topic_key);
  if (found == kSynonyms.end() || found->topic_key != topic_key) {
    return {};
  }
  const auto end = std::ranges::find_if(found->broker_keys, [](const ConfigSynonym& s) { return s.name.empty(); });
  return {found->broker_keys.begin(), end};
}

}  // namespace verdict::protocol
