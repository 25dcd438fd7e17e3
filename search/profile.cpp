#include "search/profile.h"

#include <algorithm>
#include <array>

namespace verdict::search {
namespace {

template <std::size_t N>
using Values = std::array<std::string_view, N>;

// ---- configuration keys and their values: small ones, so that limits are met within seconds ----

constexpr Values<4> kSession{"400", "600", "1000", "2000"};
constexpr Values<3> kHeartbeat{"50", "100", "200"};
constexpr Values<6> kLag{"200", "350", "500", "1000", "2000", "4000"};
constexpr Values<3> kFetchMax{"300", "2000", "1048576"};
constexpr Values<3> kFetchResponse{"1000", "10000", "10485760"};
constexpr Values<3> kFetchWait{"10", "50", "200"};
constexpr Values<3> kBackoff{"10", "50", "200"};
constexpr Values<3> kHwCheckpoint{"50", "500", "2000"};
constexpr Values<4> kSocketTimeout{"500", "1000", "5000", "20000"};
constexpr Values<2> kRequestTimeout{"600", "2000"};
constexpr Values<1> kImbalance{"1"};
constexpr Values<2> kNo{"false", "true"};
constexpr Values<3> kSessions{"0", "1", "1000"};
constexpr Values<2> kMetadataIdle{"100", "500"};
constexpr Values<2> kConsumerFetchMax{"1024", "4096"};
constexpr Values<2> kRetentionCheck{"200", "1000"};

constexpr std::array kElectionKeys{
    Setting{"broker.heartbeat.interval.ms", kHeartbeat},
    Setting{"broker.session.timeout.ms", kSession},
    Setting{"replica.lag.time.max.ms", kLag},
    Setting{"replica.fetch.backoff.ms", kBackoff},
    Setting{"replica.fetch.wait.max.ms", kFetchWait},
    Setting{"replica.high.watermark.checkpoint.interval.ms", kHwCheckpoint},
    Setting{"leader.imbalance.check.interval.seconds", kImbalance},
};
constexpr std::array kAllKeys{
    Setting{"broker.heartbeat.interval.ms", kHeartbeat},
    Setting{"broker.session.timeout.ms", kSession},
    Setting{"controlled.shutdown.enable", kNo},
    Setting{"fetch.max.bytes", kConsumerFetchMax},
    Setting{"leader.imbalance.check.interval.seconds", kImbalance},
    Setting{"log.retention.check.interval.ms", kRetentionCheck},
    Setting{"max.incremental.fetch.session.cache.slots", kSessions},
    Setting{"metadata.max.idle.interval.ms", kMetadataIdle},
    Setting{"replica.fetch.backoff.ms", kBackoff},
    Setting{"replica.fetch.max.bytes", kFetchMax},
    Setting{"replica.fetch.response.max.bytes", kFetchResponse},
    Setting{"replica.fetch.wait.max.ms", kFetchWait},
    Setting{"replica.high.watermark.checkpoint.interval.ms", kHwCheckpoint},
    Setting{"replica.lag.time.max.ms", kLag},
    Setting{"replica.socket.timeout.ms", kSocketTimeout},
    Setting{"request.timeout.ms", kRequestTimeout},
};

constexpr Values<3> kSegment{"600", "1500", "5000"};
constexpr Values<2> kIndexInterval{"0", "256"};
constexpr Values<3> kFlush{"1", "7", "50"};
constexpr Values<2> kSegmentMs{"300", "1000"};
constexpr Values<1> kLogAppendTime{"LogAppendTime"};
constexpr Values<4> kCompression{"lz4", "zstd", "snappy", "gzip"};
constexpr Values<2> kDeleteDelay{"0", "200"};
constexpr Values<2> kRetentionBytes{"2000", "20000"};
constexpr Values<2> kRetentionMs{"800", "3000"};

constexpr std::array kSmallTopicKeys{
    Setting{"internal.segment.bytes", kSegment},
    Setting{"flush.messages", kFlush},
};
constexpr std::array kTopicKeys{
    Setting{"compression.type", kCompression},   Setting{"file.delete.delay.ms", kDeleteDelay},
    Setting{"flush.messages", kFlush},           Setting{"index.interval.bytes", kIndexInterval},
    Setting{"internal.segment.bytes", kSegment}, Setting{"message.timestamp.type", kLogAppendTime},
    Setting{"retention.bytes", kRetentionBytes}, Setting{"retention.ms", kRetentionMs},
    Setting{"segment.ms", kSegmentMs},
};

// ---- coordinators ----

constexpr Values<3> kCoordinators{"1", "2", "4"};
constexpr Values<3> kCopies{"1", "2", "3"};
constexpr Values<2> kLogMinIsr{"1", "2"};
constexpr Values<3> kAbortTimedOut{"50", "200", "1500"};
constexpr Values<2> kIdExpiration{"600", "2000"};
constexpr Values<2> kRemoveExpired{"100", "1000"};
constexpr Values<3> kFirstRebalance{"0", "50", "800"};
constexpr Values<2> kMinSession{"100", "300"};

constexpr std::array kCoordinatorKeys{
    Setting{"group.initial.rebalance.delay.ms", kFirstRebalance},
    Setting{"group.min.session.timeout.ms", kMinSession},
    Setting{"offsets.topic.num.partitions", kCoordinators},
    Setting{"offsets.topic.replication.factor", kCopies},
    Setting{"transaction.abort.timed.out.transaction.cleanup.interval.ms", kAbortTimedOut},
    Setting{"transaction.remove.expired.transaction.cleanup.interval.ms", kRemoveExpired},
    Setting{"transaction.state.log.min.isr", kLogMinIsr},
    Setting{"transaction.state.log.num.partitions", kCoordinators},
    Setting{"transaction.state.log.replication.factor", kCopies},
    Setting{"transactional.id.expiration.ms", kIdExpiration},
};

constexpr std::array<std::string_view, 36> kAllFields{
    "cluster.brokers",
    "cluster.clock_drift_ppm",
    "cluster.clock_offset_ms",
    "cluster.combined",
    "disk.sync_us",
    "network.bytes_per_ms",
    "network.latency_us",
    "network.tail_ms",
    "network.tail_one_in",
    "scheduling.shuffle",
    "scheduling.stall_one_in",
    "scheduling.yields_in_256",
    "topics.config.min.insync.replicas",
    "topics.config.unclean.leader.election.enable",
    "workload.consumers.group",
    "workload.consumers.isolation",
    "workload.consumers.poll_interval_ms",
    "workload.consumers.seek_one_in",
    "workload.consumers.session_timeout_ms",
    "workload.delivery_timeout_ms",
    "workload.producers.abort_one_in",
    "workload.producers.acks",
    "workload.producers.batch_bytes",
    "workload.producers.compression",
    "workload.producers.group",
    "workload.producers.idempotent",
    "workload.producers.in_flight",
    "workload.producers.linger_us",
    "workload.producers.lives",
    "workload.producers.source",
    "workload.producers.start_ms",
    "workload.producers.stop_ms",
    "workload.producers.transaction_timeout_ms",
    "workload.producers.transactional",
    "workload.producers.transactional_id",
    "workload.producers.value_bytes",
};
constexpr std::array<std::string_view, 13> kCoordinatedFields{
    "topics.config.min.insync.replicas",
    "workload.consumers.group",
    "workload.consumers.isolation",
    "workload.consumers.session_timeout_ms",
    "workload.producers.abort_one_in",
    "workload.producers.batch_bytes",
    "workload.producers.group",
    "workload.producers.idempotent",
    "workload.producers.lives",
    "workload.producers.source",
    "workload.producers.transaction_timeout_ms",
    "workload.producers.transactional",
    "workload.producers.transactional_id",
};
constexpr std::array<std::string_view, 3> kFewFields{
    "topics.config.min.insync.replicas",
    "workload.producers.acks",
    "workload.producers.in_flight",
};

// ---- faults ----

// What patterns use anyway is rarer here.
constexpr std::array kAllActions{
    Weight{"kill", 5},
    Weight{"power_loss", 4},
    Weight{"doom", 5},
    Weight{"doom_power", 4},
    Weight{"pause", 4},
    Weight{"resume", 4},
    Weight{"stop", 4},
    Weight{"start", 4},
    Weight{"wipe", 4},
    Weight{"partition", 4},
    Weight{"isolate", 4},
    Weight{"block", 4},
    Weight{"bridge", 4},
    Weight{"clog", 4},
    Weight{"slow_link", 5},
    Weight{"reset", 5},
    Weight{"message", 6},
    Weight{"release", 4},
    Weight{"disk_errors", 10},
    Weight{"disk_slow", 4},
    Weight{"full_disk", 4},
    Weight{"clock_offset", 4},
    Weight{"clock_drift", 4},
    Weight{"clock_jump", 4},
    Weight{"create_topic", 3},
    Weight{"delete_topic", 3},
    Weight{"rolling_restart", 2},
    Weight{"doom_sync", 4},
    Weight{"doom_sync_power", 4},
    Weight{"older_disk", 4},

    Weight{"random_partition", 4},
    Weight{"swizzle", 4},
    Weight{"refuse_connects", 4},
    Weight{"hang_connects", 4},
    Weight{"bit_rot", 6},
};
constexpr std::array kElectionActions{
    Weight{"kill", 10},   Weight{"pause", 8},     Weight{"stop", 10},   Weight{"partition", 8},
    Weight{"isolate", 6}, Weight{"block", 6},     Weight{"clog", 4},    Weight{"message", 12},
    Weight{"reset", 3},   Weight{"slow_link", 4}, Weight{"release", 3}, Weight{"doom", 4},
};
constexpr std::array kDiskActions{
    Weight{"power_loss", 12}, Weight{"doom", 8},        Weight{"doom_power", 10}, Weight{"kill", 4},
    Weight{"wipe", 3},        Weight{"disk_errors", 8}, Weight{"disk_slow", 6},   Weight{"full_disk", 5},
    Weight{"stop", 3},        Weight{"partition", 3},   Weight{"doom_sync", 6},   Weight{"doom_sync_power", 6},
    Weight{"older_disk", 3},  Weight{"bit_rot", 10},
};
constexpr std::array kCoordinatedActions{
    Weight{"kill", 10},   Weight{"pause", 8}, Weight{"stop", 8},       Weight{"partition", 6}, Weight{"isolate", 5},
    Weight{"block", 4},   Weight{"clog", 4},  Weight{"message", 16},   Weight{"reset", 6},     Weight{"slow_link", 3},
    Weight{"release", 3}, Weight{"doom", 4},  Weight{"power_loss", 5},
};
constexpr std::array kSmallActions{
    Weight{"kill", 8},  Weight{"power_loss", 4}, Weight{"pause", 8},   Weight{"stop", 8},
    Weight{"block", 4}, Weight{"partition", 6},  Weight{"message", 8},
};

constexpr std::array kAllPatterns{
    Weight{"single", 28},        Weight{"election-burst", 12}, Weight{"stale-metadata", 8}, Weight{"held-response", 8},
    Weight{"pending-isr", 8},    Weight{"doom-in-turn", 4},    Weight{"slow-follower", 6},  Weight{"quick-restarts", 5},
    Weight{"cut-off-leader", 6}, Weight{"blackout", 3},        Weight{"topic-change", 3},   Weight{"rolling", 1},
    Weight{"reigns", 18},        Weight{"long-answer", 4},     Weight{"earlier-life", 6},   Weight{"late-fencing", 4},
    Weight{"shrunken", 8},       Weight{"returns", 4},         Weight{"outlived", 3},       Weight{"long-away", 6},
};
constexpr std::array kNarrowPatterns{
    Weight{"reigns", 40},        Weight{"returns", 24},      Weight{"shrunken", 14},      Weight{"earlier-life", 10},
    Weight{"late-fencing", 6},   Weight{"long-answer", 10},  Weight{"stale-metadata", 4}, Weight{"held-response", 4},
    Weight{"pending-isr", 6},    Weight{"slow-follower", 2}, Weight{"doom-in-turn", 2},   Weight{"single", 14},
    Weight{"election-burst", 4}, Weight{"outlived", 11},     Weight{"long-away", 8},      Weight{"old-news", 15},
};
constexpr std::array kElectionPatterns{
    Weight{"single", 4},      Weight{"election-burst", 14}, Weight{"stale-metadata", 10}, Weight{"held-response", 9},
    Weight{"pending-isr", 9}, Weight{"slow-follower", 5},   Weight{"quick-restarts", 4},  Weight{"cut-off-leader", 7},
};
constexpr std::array kCoordinatedPatterns{
    Weight{"single", 12},        Weight{"election-burst", 8}, Weight{"stale-metadata", 3}, Weight{"held-response", 5},
    Weight{"quick-restarts", 4}, Weight{"cut-off-leader", 4}, Weight{"reigns", 4},         Weight{"pending-isr", 3},
};
constexpr std::array kDiskPatterns{
    Weight{"single", 10},        Weight{"doom-in-turn", 8},  Weight{"blackout", 6},
    Weight{"quick-restarts", 5}, Weight{"slow-follower", 3}, Weight{"election-burst", 4},
};
constexpr std::array kSmallPatterns{
    Weight{"single", 6},      Weight{"election-burst", 8}, Weight{"held-response", 4},
    Weight{"pending-isr", 4}, Weight{"slow-follower", 4},  Weight{"cut-off-leader", 4},
};

constexpr std::array kSingles{Weight{"single", 1}};

// Plain ones stay the greater part: what they find shall not take much longer.
constexpr std::array kLoads{
    Weight{"plain", 68}, Weight{"transactions", 12}, Weight{"zombies", 6}, Weight{"groups", 6}, Weight{"transforms", 8},
};
constexpr std::array kCoordinatedLoads{
    Weight{"transactions", 36},
    Weight{"zombies", 20},
    Weight{"groups", 18},
    Weight{"transforms", 26},
};
constexpr std::array kTransactionPatterns{
    Weight{"paused-producer", 10}, Weight{"coordinator-dies", 12}, Weight{"late-marker", 10},
    Weight{"late-produce", 10},    Weight{"late-end", 10},         Weight{"late-verification", 8},
    Weight{"second-instance", 8},  Weight{"lost-answers", 8},      Weight{"transaction-elections", 10},
    Weight{"given-up", 7},
};
constexpr std::array kGroupPatterns{
    Weight{"paused-member", 12},
    Weight{"dying-rebalance", 18},
    Weight{"late-commit", 10},
    Weight{"late-join", 8},
    Weight{"back-and-forth", 10},
    Weight{"taken-seat", 6},
};

constexpr Profile kDefault{.name = "default",
                           .title = "three to five brokers, every fault, operation and setting",
                           .brokers = {3, 5},
                           .narrow = 50,
                           .combined = 15,
                           .topics = {1, 2},
                           .partitions = {3, 4},
                           .run_ms = {1500, 4000},
                           .groups = {1, 5},
                           .producers = {2, 4},
                           .consumers = {1, 2},
                           .unclean = 4,
                           .stays_down = 6,
                           .actions = kAllActions,
                           .patterns = kAllPatterns,
                           .narrow_patterns = kNarrowPatterns,
                           .cluster = kAllKeys,
                           .topic = kTopicKeys,
                           .fields = kAllFields,
                           .loads = kLoads,
                           .idempotent = 25,
                           .coordinators = kCoordinatorKeys,
                           .transaction_patterns = kTransactionPatterns,
                           .group_patterns = kGroupPatterns};

constexpr Profile uniform(Profile profile) {
  profile.name = "uniform";
  profile.title = "as default, but single faults at uniform times: the base that any bias is compared with";
  profile.narrow = 0;
  profile.triggered = 0;
  profile.patterns = kSingles;
  profile.narrow_patterns = {};
  profile.transaction_patterns = {};
  profile.group_patterns = {};
  return profile;
}

constexpr std::array kProfiles{
    kDefault,
    Profile{.name = "small",
            .title = "three brokers, one topic, a second or two",
            .brokers = {3, 3},
            .topics = {1, 1},
            .partitions = {3, 3},
            .run_ms = {1000, 2000},
            .groups = {1, 3},
            .producers = {2, 2},
            .consumers = {1, 1},
            .actions = kSmallActions,
            .patterns = kSmallPatterns,
            .cluster = kElectionKeys,
            .topic = kSmallTopicKeys,
            .fields = kFewFields},
    Profile{.name = "elections",
            .title = "leaders that change again and again, with old metadata and held messages",
            .brokers = {3, 4},
            .topics = {1, 1},
            .partitions = {3, 3},
            .run_ms = {2000, 4500},
            .groups = {2, 6},
            .producers = {2, 3},
            .consumers = {1, 1},
            .enabled = 65,
            .setting = 40,
            .actions = kElectionActions,
            .patterns = kElectionPatterns,
            .cluster = kElectionKeys,
            .topic = kSmallTopicKeys,
            .fields = kFewFields},
    Profile{.name = "disks",
            .title = "power losses, deaths between two disk calls, errors, full, slow and rotten disks",
            .brokers = {3, 4},
            .combined = 10,
            .topics = {1, 1},
            .partitions = {3, 3},
            .run_ms = {1500, 4000},
            .groups = {1, 5},
            .producers = {2, 3},
            .consumers = {1, 1},
            .enabled = 65,
            .setting = 40,
            .actions = kDiskActions,
            .patterns = kDiskPatterns,
            .cluster = kElectionKeys,
            .topic = kTopicKeys,
            .fields = kFewFields},
    Profile{.name = "transactions",
            .title = "transactions, zombies, groups, and records transformed exactly once",
            .brokers = {3, 4},
            .narrow = 40,
            .topics = {1, 1},
            .partitions = {3, 3},
            .run_ms = {2000, 4500},
            .groups = {1, 4},
            .producers = {2, 3},
            .consumers = {1, 2},
            .enabled = 65,
            .actions = kCoordinatedActions,
            .patterns = kCoordinatedPatterns,
            .narrow_patterns = kCoordinatedPatterns,
            .cluster = kElectionKeys,
            .topic = kSmallTopicKeys,
            .fields = kCoordinatedFields,
            .loads = kCoordinatedLoads,
            .idempotent = 60,
            .coordinators = kCoordinatorKeys,
            .transaction_patterns = kTransactionPatterns,
            .group_patterns = kGroupPatterns},
    uniform(kDefault),
};

}  // namespace

std::span<const Profile> profiles() { return kProfiles; }

const Profile* find_profile(std::string_view name) {
  const auto found = std::ranges::find(kProfiles, name, &Profile::name);
  return found == kProfiles.end() ? nullptr : &*found;
}

std::string_view default_profile() { return kProfiles.front().name; }

}  // namespace verdict::search
