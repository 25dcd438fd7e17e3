#pragma once

#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "scenarios/scenario.h"

// The one declaration of the scenario format: each struct's JSON fields with their limits and meaning, in order. The
// parser, the writer and the published schema are visitors of these functions; only scenarios' own sources include it.
namespace verdict::scenarios {

struct Field {
  std::string_view meaning;
  std::int64_t min = 0;  // of a number
  std::int64_t max = std::numeric_limits<std::int64_t>::max();
  std::string_view choices = {};  // "a|b": of a string
  bool required = false;
};

constexpr std::int64_t kHourMs = 3'600'000;
constexpr std::int64_t kMostClients = 1000;
constexpr std::int64_t kNoMax = std::numeric_limits<std::int64_t>::max();

// fields(visit, s, d) calls visit("name", s.member, d.member, Field) for each; d: a default-made one.
template <class Visit, class S>
void fields(Visit&& visit, S& s, const ClusterSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, ClusterSpec>
{
  visit("brokers", s.brokers, d.brokers, Field{"brokers, with node ids from 1", 1, 9});
  visit("combined", s.combined, d.combined,
        Field{"broker 1 is the controller too; else that is node 100, a machine of its own"});
  visit("config", s.config, d.config, Field{"server.properties of every node, over the simulation's defaults"});
  visit("features", s.features, d.features, Field{"levels of features, by name, below those of a new cluster"});
  visit("clock_offset_ms", s.clock_offset_ms, d.clock_offset_ms,
        Field{"each wall clock is off by up to this, drawn", 0, kHourMs});
  visit("clock_drift_ppm", s.clock_drift_ppm, d.clock_drift_ppm,
        Field{"each clock drifts by up to this, drawn", 0, 500'000});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const TopicSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, TopicSpec>
{
  visit("name", s.name, d.name, Field{.meaning = "topic name"});
  visit("partitions", s.partitions, d.partitions, Field{"number of partitions", 1, 1000});
  visit("replication_factor", s.replication_factor, d.replication_factor, Field{"replicas of each", 1, 9});
  visit("assignment", s.assignment, d.assignment,
        Field{"brokers by partition, the preferred leader first; in place of the two numbers", 1, 9});
  visit("config", s.config, d.config, Field{"topic configuration"});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const NetworkSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, NetworkSpec>
{
  visit("latency_us", s.latency_us, d.latency_us, Field{"median delay of a segment", 1, 10'000'000});
  visit("tail_one_in", s.tail_one_in, d.tail_one_in,
        Field{"one segment in so many draws the heavy tail; 0: none", 0, 1'000'000'000});
  visit("tail_ms", s.tail_ms, d.tail_ms, Field{"unit of the tail, doubled at random", 1, 60'000});
  visit("bytes_per_ms", s.bytes_per_ms, d.bytes_per_ms,
        Field{"bandwidth of a link; 0: no limit", 0, 1'000'000'000'000});
  visit("short_read_one_in", s.short_read_one_in, d.short_read_one_in,
        Field{"one read in so many gives less than there is; 0: none", 0, 1'000'000'000});
  visit("split_one_in", s.split_one_in, d.split_one_in,
        Field{"one frame in so many leaves in two pieces; 0: none", 0, 1'000'000'000});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const DiskSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, DiskSpec>
{
  visit("sync_us", s.sync_us, d.sync_us, Field{"median duration of a sync", 1, 60'000'000});
  visit("capacity_bytes", s.capacity_bytes, d.capacity_bytes, Field{"of each machine", 1 << 20, kNoMax});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const SchedulingSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, SchedulingSpec>
{
  visit("shuffle", s.shuffle, d.shuffle, Field{"ready events of one instant in random order"});
  visit("yields_in_256", s.yields_in_256, d.yields_in_256,
        Field{"of 256 starts that could finish at once so many suspend", 0, 256});
  visit("stall_one_in", s.stall_one_in, d.stall_one_in,
        Field{"one turn in so many waits for a processor; 0: none", 0, 1'000'000'000});
  visit("stall_us", s.stall_us, d.stall_us,
        Field{"median of such a wait; its tail is 160 times as long", 1, 10'000'000});
  visit("sites", s.sites, d.sites, Field{"legal but rare behaviour at the core's sites (verdict list sites)"});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const ProducerSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, ProducerSpec>
{
  visit("topic", s.topic, d.topic, Field{"topic name"});
  visit("partitions", s.partitions, d.partitions, Field{"drawn from at random; empty: all", 0, 999});
  visit("acks", s.acks, d.acks, Field{.meaning = "acks", .choices = "all|1|0"});
  visit("burst", s.burst, d.burst, Field{"records sent at once", 1, 10'000});
  visit("interval_us", s.interval_us, d.interval_us, Field{"mean time between bursts", 1, kHourMs * 1000});
  visit("in_flight", s.in_flight, d.in_flight, Field{"max.in.flight.requests.per.connection", 1, 1000});
  visit("linger_us", s.linger_us, d.linger_us, Field{"linger.ms, in microseconds", 0, kHourMs * 1000});
  visit("batch_bytes", s.batch_bytes, d.batch_bytes, Field{"batch.size", 1, 1 << 20});
  visit("value_bytes", s.value_bytes, d.value_bytes, Field{"of each record", 16, 1 << 20});
  visit("retries", s.retries, d.retries,
        Field{"0: each batch is sent at most once", 0, std::numeric_limits<std::int32_t>::max()});
  visit("compression", s.compression, d.compression,
        Field{.meaning = "codec of the batches", .choices = "none|lz4|zstd"});
  visit("records", s.records, d.records, Field{"stops after as many; 0: no limit"});
  visit("start_ms", s.start_ms, d.start_ms, Field{"since the workload began", 0, kHourMs});
  visit("stop_ms", s.stop_ms, d.stop_ms, Field{"0: at the workload's end", 0, kHourMs});
  visit("client", s.client, d.client, Field{"its number, which keys its draws; 0: its place", 0, kMostClients});
  visit("idempotent", s.idempotent, d.idempotent, Field{"enable.idempotence: needs acks all, retries, in_flight <= 5"});
  visit("transactional", s.transactional, d.transactional, Field{"each burst is a transaction; idempotent too"});
  visit("transactional_id", s.transactional_id, d.transactional_id, Field{"of a transactional one; empty: its own"});
  visit("abort_one_in", s.abort_one_in, d.abort_one_in,
        Field{"one transaction in so many is aborted; 0: none", 0, 1'000'000});
  visit("transaction_timeout_ms", s.transaction_timeout_ms, d.transaction_timeout_ms,
        Field{"transaction.timeout.ms", 1, kHourMs});
  visit("transaction_version", s.transaction_version, d.transaction_version,
        Field{"highest transaction.version that the client speaks; the cluster's may be lower", 1, 2});
  visit("lives", s.lives, d.lives,
        Field{"a transactional one that is fenced begins anew, so many lives in all; 0: no limit", 0, 1'000'000});
  visit("keys", s.keys, d.keys, Field{"distinct keys that records are given, drawn; 0: none", 0, 1'000'000});
  visit("key_form", s.key_form, d.key_form,
        Field{.meaning = "of keys; number: 4 bytes, as the keys of control records are", .choices = "text|number"});
  visit("tombstone_one_in", s.tombstone_one_in, d.tombstone_one_in,
        Field{"one record in so many has a key but no value; 0: none", 0, 1'000'000});
  visit("source", s.source, d.source, Field{"topic whose records it transforms, in transactions, as a group's member"});
  visit("group", s.group, d.group, Field{"of which it is a member to read its source"});
  visit("protocol", s.protocol, d.protocol,
        Field{.meaning = "group.protocol of that group, see consumers", .choices = "classic|consumer"});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const ConsumerSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, ConsumerSpec>
{
  visit("topic", s.topic, d.topic, Field{"topic name"});
  visit("partitions", s.partitions, d.partitions, Field{"assigned; empty: all", 0, 999});
  visit("seek_one_in", s.seek_one_in, d.seek_one_in,
        Field{"polls after which a partition goes back; 0: never", 0, 1'000'000});
  visit("poll_interval_ms", s.poll_interval_ms, d.poll_interval_ms, Field{"pause between polls", 0, kHourMs});
  visit("start_ms", s.start_ms, d.start_ms, Field{"since the workload began", 0, kHourMs});
  visit("client", s.client, d.client, Field{"its number, which keys its draws; 0: its place", 0, kMostClients});
  visit("isolation", s.isolation, d.isolation,
        Field{.meaning = "isolation.level", .choices = "read_uncommitted|read_committed"});
  visit("group", s.group, d.group, Field{"of which it is a member, reads what it is assigned, and commits"});
  visit(
      "protocol", s.protocol, d.protocol,
      Field{.meaning = "group.protocol of a member, the same in all of its group; consumer: KIP-848, whose session is "
                       "the cluster's group.consumer.session.timeout.ms",
            .choices = "classic|consumer"});
  visit("session_timeout_ms", s.session_timeout_ms, d.session_timeout_ms, Field{"of a classic member", 100, kHourMs});
  visit("instance", s.instance, d.instance, Field{"group.instance.id of a member; empty: a dynamic one"});
  visit("assignor", s.assignor, d.assignor,
        Field{.meaning = "partition.assignment.strategy of a classic member, the same in all of its group",
              .choices = "range|roundrobin|cooperative-sticky"});
  visit("remote_assignor", s.remote_assignor, d.remote_assignor,
        Field{.meaning = "group.remote.assignor of a member of protocol consumer; default: the coordinator's",
              .choices = "default|uniform|range"});
  visit("stall_one_in", s.stall_one_in, d.stall_one_in,
        Field{"one poll of a member in so many takes stall_ms of work, before a commit as who it was; 0: none", 0,
              1'000'000});
  visit("stall_ms", s.stall_ms, d.stall_ms, Field{"that work", 0, kHourMs});
  visit("stay_ms", s.stay_ms, d.stay_ms,
        Field{"a member leaves in order after about so long; 0: it stays", 0, kHourMs});
  visit("away_ms", s.away_ms, d.away_ms, Field{"and comes back after so long", 0, kHourMs});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const WorkloadSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, WorkloadSpec>
{
  visit("producers", s.producers, d.producers, Field{"one client each; none: the default load"});
  visit("consumers", s.consumers, d.consumers, Field{"one client each"});
  visit("request_timeout_ms", s.request_timeout_ms, d.request_timeout_ms,
        Field{"request.timeout.ms of clients", 1, kHourMs});
  visit("delivery_timeout_ms", s.delivery_timeout_ms, d.delivery_timeout_ms, Field{"delivery.timeout.ms", 1, kHourMs});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const Trigger& d)
  requires std::is_same_v<std::remove_const_t<S>, Trigger>
{
  visit("event", s.event, d.event, Field{.meaning = "a protocol event's name", .required = true});
  visit("match", s.match, d.match, Field{"conditions on its fields; all hold"});
  visit("nth", s.nth, d.nth, Field{"fires at the nth that matches", 1, 1'000'000'000});
  visit("not_before_ms", s.not_before_ms, d.not_before_ms, Field{"earlier events don't count", 0, kHourMs});
  visit("deadline_ms", s.deadline_ms, d.deadline_ms, Field{"fires then in any case; 0: never", 0, kHourMs});
  visit("after_us", s.after_us, d.after_us,
        Field{"delay; 0: before the event's effects leave its node", 0, kHourMs * 1000});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const FaultSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, FaultSpec>
{
  constexpr std::int64_t kInt32 = std::numeric_limits<std::int32_t>::max();
  visit("id", s.id, d.id, Field{"unique; what of(ID) and release name"});
  visit(
      "action", s.action, d.action,
      Field{.meaning = "what it does",
            .choices = "kill|power_loss|doom|doom_power|doom_sync|doom_sync_power|pause|resume|stop|start|wipe|"
                       "older_disk|rolling_restart|partition|random_partition|isolate|block|bridge|clog|swizzle|"
                       "slow_link|reset|refuse_connects|hang_connects|message|release|"
                       "disk_errors|disk_slow|full_disk|bit_rot|misdirected_write|clock_offset|clock_drift|clock_jump|"
                       "create_topic|delete_topic",
            .required = true});
  visit("at_ms", s.at_ms, d.at_ms, Field{"since the workload began; this or `when`", 0, kHourMs});
  visit("when", s.when, d.when, Field{"a trigger over the protocol feed"});
  visit("target", s.target, d.target, Field{"a node: leader(orders-0), coordinator(readers), broker(1), ..."});
  visit("a", s.a, d.a, Field{"targets: one group (of a directed fault, the senders)"});
  visit("b", s.b, d.b, Field{"targets: the other group"});
  visit("for_ms", s.for_ms, d.for_ms, Field{"undone after it; 0: at the heal", 0, kHourMs});
  visit("restart_ms", s.restart_ms, d.restart_ms,
        Field{"starts again so long after; -1: not before the heal", -1, kHourMs});
  visit("stays_down", s.stays_down, d.stays_down, Field{"not even the heal brings it back"});
  visit("policy", s.policy, d.policy,
        Field{.meaning = "what a power loss may do to unsynced pages",
              .choices = "everything|data_only|all_unsynced_lost|nothing_lost"});
  visit("nth_call", s.nth_call, d.nth_call, Field{"doom: the disk call or sync at which it dies", 1, 1'000'000});
  visit("image_ms", s.image_ms, d.image_ms, Field{"older_disk: when its image was taken", 0, kHourMs});
  visit("order", s.order, d.order, Field{"swizzle: places in a's machines, from 0; empty: drawn", 0, 99});
  visit("release_order", s.release_order, d.release_order, Field{"swizzle: likewise", 0, 99});
  visit("api", s.api, d.api, Field{"Kafka's name of the request; empty: any"});
  visit("side", s.side, d.side, Field{.meaning = "of the frame", .choices = "request|response|any"});
  visit("from", s.from, d.from, Field{"target that sends; empty: any"});
  visit("to", s.to, d.to, Field{"target that receives; empty: any"});
  visit("effect", s.effect, d.effect, Field{.meaning = "what becomes of the frame", .choices = "hold|delay|reset"});
  visit("nth", s.nth, d.nth, Field{"first frame that fits, counted since the rule is in force", 1, kInt32});
  visit("count", s.count, d.count, Field{"so many frames from the nth on", 1, kInt32});
  visit("of", s.of, d.of, Field{"id of the message rule to release"});
  visit("delay_ms", s.delay_ms, d.delay_ms, Field{"of a message, a slow link, or between two steps", 0, kHourMs});
  visit("path_part", s.path_part, d.path_part, Field{"files whose path contains it; empty: all"});
  visit("fail_reads", s.fail_reads, d.fail_reads, Field{"the next n reads fail", 0, kInt32});
  visit("fail_writes", s.fail_writes, d.fail_writes, Field{"the next n writes fail", 0, kInt32});
  visit("fail_syncs", s.fail_syncs, d.fail_syncs, Field{"the next n syncs fail", 0, kInt32});
  visit("bytes", s.bytes, d.bytes, Field{"full_disk: capacity beyond what is used; slow_link: bytes per ms"});
  visit("latency_us", s.latency_us, d.latency_us, Field{"disk_slow: added to each read and sync", 0, kHourMs * 1000});
  visit("stall_us", s.stall_us, d.stall_us,
        Field{"disk_slow: each append blocks the process so long", 0, kHourMs * 1000});
  visit("by_ms", s.by_ms, d.by_ms, Field{"clock_offset, clock_jump", -kHourMs, kHourMs});
  visit("ppm", s.ppm, d.ppm, Field{"clock_drift: parts per million faster than true", -900'000, 1'000'000});
  visit("topic", s.topic, d.topic, Field{"create_topic, delete_topic"});
  visit("optional", s.optional, d.optional, Field{"a run counts although this fault didn't fire"});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const EventExpectation& d)
  requires std::is_same_v<std::remove_const_t<S>, EventExpectation>
{
  visit("event", s.event, d.event, Field{.meaning = "a protocol event's name", .required = true});
  visit("match", s.match, d.match, Field{"conditions on its fields; all hold"});
  visit("min", s.min, d.min, Field{"at least so many"});
  visit("max", s.max, d.max, Field{"at most so many; -1: no limit", -1});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const Expectations& d)
  requires std::is_same_v<std::remove_const_t<S>, Expectations>
{
  visit("acknowledged", s.acknowledged, d.acknowledged, Field{"records that clients were told are written, at least"});
  visit("delivered", s.delivered, d.delivered, Field{"records that consumers got before the final read, at least"});
  visit("ambiguous", s.ambiguous, d.ambiguous, Field{"sends whose outcome nobody told, at least"});
  visit("events", s.events, d.events, Field{"protocol events that must be seen"});
  visit("marks", s.marks, d.marks, Field{"rare branches that must be reached"});
  visit("faults", s.faults, d.faults, Field{"counters of changed outcomes that must be above 0"});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const PhaseSpec& d)
  requires std::is_same_v<std::remove_const_t<S>, PhaseSpec>
{
  visit("run_ms", s.run_ms, d.run_ms, Field{"workload under faults, virtual time", 1, kHourMs * 24});
  visit("settle_ms", s.settle_ms, d.settle_ms, Field{"after the heal; 0: the liveness bounds", 0, kHourMs});
  visit("final_leaders", s.final_leaders, d.final_leaders,
        Field{"read everything again with each ISR member as leader"});
  visit("event_budget", s.event_budget, d.event_budget, Field{"of the simulated machine", 1000});
}

template <class Visit, class S>
void fields(Visit&& visit, S& s, const Scenario& d)
  requires std::is_same_v<std::remove_const_t<S>, Scenario>
{
  visit("version", s.version, d.version,
        Field{.meaning = "of this format", .min = kFormatVersion, .max = kFormatVersion, .required = true});
  visit("name", s.name, d.name, Field{.meaning = "lower-case letters, digits and dashes", .required = true});
  visit("title", s.title, d.title, Field{"one line"});
  visit("description", s.description, d.description, Field{"which rule it tries, and how"});
  visit("tags", s.tags, d.tags, Field{"areas"});
  visit("cluster", s.cluster, d.cluster, Field{"the nodes"});
  visit("topics", s.topics, d.topics, Field{"made before the workload; none: orders, 3 partitions of 3 replicas"});
  visit("network", s.network, d.network, Field{"between all machines"});
  visit("disk", s.disk, d.disk, Field{"of all machines"});
  visit("scheduling", s.scheduling, d.scheduling, Field{"of events and processes"});
  visit("workload", s.workload, d.workload, Field{"clients"});
  visit("faults", s.faults, d.faults, Field{"what goes wrong, and what the administrator does meanwhile"});
  visit("expect", s.expect, d.expect, Field{"what a run must have seen to count"});
  visit("defects", s.defects, d.defects, Field{"planted in every node"});
  visit("seeds", s.seeds, d.seeds, Field{"\"1..20\" or a number"});
  visit("phases", s.phases, d.phases, Field{"durations"});
}

// Which fields a fault's action takes, beside id, action, at_ms, when, optional.
struct ActionFields {
  std::string_view action;
  std::string_view required;  // "target,b"
  std::string_view allowed;
};
constexpr ActionFields kActions[] = {
    {"kill", "target", "restart_ms,stays_down"},
    {"power_loss", "target", "policy,restart_ms,stays_down"},
    {"doom", "target", "nth_call,restart_ms,stays_down"},
    {"doom_power", "target", "nth_call,policy,restart_ms,stays_down"},
    {"doom_sync", "target", "nth_call,restart_ms,stays_down"},
    {"doom_sync_power", "target", "nth_call,policy,restart_ms,stays_down"},
    {"pause", "target", "for_ms"},
    {"resume", "target", ""},
    {"stop", "target", "restart_ms,stays_down"},
    {"start", "target", ""},
    {"wipe", "target", "restart_ms,stays_down"},
    {"older_disk", "target", "image_ms,restart_ms,stays_down"},
    {"rolling_restart", "", "delay_ms"},
    {"partition", "a,b", "for_ms"},
    {"random_partition", "a", "for_ms"},
    {"isolate", "target", "for_ms"},
    {"block", "a,b", "for_ms"},
    {"bridge", "a,b,target", "for_ms"},
    {"clog", "a,b", "for_ms"},
    {"swizzle", "a,delay_ms", "order,release_order"},
    {"slow_link", "a,b", "delay_ms,bytes,for_ms"},
    {"reset", "a,b", ""},
    {"refuse_connects", "a,b", "for_ms"},
    {"hang_connects", "a,b", "for_ms"},
    {"message", "", "api,side,from,to,effect,nth,count,delay_ms,for_ms"},
    {"release", "of", ""},
    {"disk_errors", "target", "path_part,fail_reads,fail_writes,fail_syncs,for_ms"},
    {"disk_slow", "target", "path_part,latency_us,stall_us,for_ms"},
    {"full_disk", "target", "bytes,for_ms"},
    {"bit_rot", "target,path_part", ""},
    {"misdirected_write", "target,path_part", ""},
    {"clock_offset", "target,by_ms", "for_ms"},
    {"clock_drift", "target,ppm", "for_ms"},
    {"clock_jump", "target,by_ms", ""},
    {"create_topic", "topic", ""},
    {"delete_topic", "topic", ""},
};

}  // namespace verdict::scenarios
