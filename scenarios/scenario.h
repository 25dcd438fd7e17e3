#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// A trial as data: what cluster, what load, what goes wrong when, and what must have been seen for it to count. One
// table of fields (fields.h) gives the parser, the writer and the published JSON Schema.
namespace verdict::scenarios {

constexpr std::int32_t kFormatVersion = 1;

// Seeds first..last, both included.
struct SeedRange {
  std::uint64_t first = 1;
  std::uint64_t last = 1;
  friend bool operator==(const SeedRange&, const SeedRange&) = default;
};

using Properties = std::map<std::string, std::string>;

struct ClusterSpec {
  std::int32_t brokers = 3;  // node ids 1..brokers; 1-9
  bool combined = false;     // broker 1 is the controller too; else the controller is a machine of its own, node 100
  Properties config;         // server.properties of every node, over the simulation's defaults
  Properties features;       // levels below a new cluster's; set before the topics are made
  std::int32_t clock_offset_ms = 0;  // each node's wall clock is off by up to this, drawn
  std::int32_t clock_drift_ppm = 0;  // each node's clock drifts by up to this, drawn
  friend bool operator==(const ClusterSpec&, const ClusterSpec&) = default;
};

struct TopicSpec {
  std::string name = "orders";
  std::int32_t partitions = 3;
  std::int32_t replication_factor = 3;
  std::vector<std::vector<std::int32_t>> assignment;  // brokers by partition, the preferred leader first; empty: placed
  Properties config;                                  // topic configuration
  friend bool operator==(const TopicSpec&, const TopicSpec&) = default;
};

struct NetworkSpec {
  std::int64_t latency_us = 100;        // median of a segment's
  std::int64_t tail_one_in = 1000;      // 0: no tail
  std::int64_t tail_ms = 1;             // the tail's unit: doubled up to 2^8 times
  std::int64_t bytes_per_ms = 125'000;  // of a link; 0: no limit
  std::int64_t short_read_one_in = 16;  // reads that give less than there is; 0: none
  std::int64_t split_one_in = 0;        // frames that leave in two pieces; 0: none
  friend bool operator==(const NetworkSpec&, const NetworkSpec&) = default;
};

struct DiskSpec {
  std::int64_t sync_us = 400;  // median of a sync's
  std::int64_t capacity_bytes = std::int64_t{1} << 40;
  friend bool operator==(const DiskSpec&, const DiskSpec&) = default;
};

// In which order, and how smoothly, what is ready runs. Draws are keyed by node.
struct SchedulingSpec {
  bool shuffle = true;              // events of one instant in random order; else in that of their scheduling
  std::int32_t yields_in_256 = 64;  // of so many starts that could finish at once one suspends
  std::int32_t stall_one_in = 0;    // turns; the process then waits for a processor, with a heavy tail; 0: never
  std::int64_t stall_us = 1000;     // median of such a wait
  bool sites = false;               // each site is active in a quarter of the runs, and fires there one time in four
  friend bool operator==(const SchedulingSpec&, const SchedulingSpec&) = default;
};

// A client's number keys its draws, and where its machine stands: one that says it is not disturbed by the deletion of
// another.
struct ProducerSpec {
  std::string topic = "orders";
  std::vector<std::int32_t> partitions;  // empty: all
  std::string acks = "all";              // "all", "1", "0"
  std::int32_t burst = 2;                // records sent at once
  std::int64_t interval_us = 25'000;     // mean time between bursts
  std::int32_t in_flight = 5;            // max.in.flight.requests.per.connection
  std::int64_t linger_us = 0;
  std::int32_t batch_bytes = 16384;
  std::int32_t value_bytes = 32;
  std::int32_t retries = 1'000'000;
  std::string compression = "none";  // none, lz4, zstd
  std::int64_t records = 0;          // stop after as many; 0: no limit
  std::int64_t start_ms = 0;         // since the workload began
  std::int64_t stop_ms = 0;          // 0: at its end
  std::int32_t client = 0;           // its number; 0: its place among the producers, then the consumers
  bool idempotent = false;           // enable.idempotence; acks=all, retries, at most 5 in flight
  // Each burst is a transaction, one at a time.
  bool transactional = false;
  std::string transactional_id;                  // empty: one of its own
  std::int32_t abort_one_in = 0;                 // transactions that are aborted, drawn; 0: none
  std::int64_t transaction_timeout_ms = 10'000;  // transaction.timeout.ms
  // The highest transaction.version that the client speaks: 1 is one of before KIP-890. What the cluster has finalized
  // may be lower.
  std::int32_t transaction_version = 2;
  std::int32_t lives = 0;  // a producer that is fenced or in doubt begins anew; 0: no limit
  // Distinct keys, of which each record has one, drawn; 0: no keys. What a compacted topic needs.
  std::int32_t keys = 0;
  std::string key_form = "text";      // text; number: 4 bytes, as the keys of control records are
  std::int32_t tombstone_one_in = 0;  // records without a value, drawn; 0: none
  // Consume, transform, produce: what the group reads of this topic becomes the records of the transactions.
  std::string source;
  std::string group;
  std::string protocol = "classic";  // of that group, as ConsumerSpec has it
  friend bool operator==(const ProducerSpec&, const ProducerSpec&) = default;
};

struct ConsumerSpec {
  std::string topic = "orders";
  std::vector<std::int32_t> partitions;  // empty: all
  std::int32_t seek_one_in = 0;          // polls after which a partition goes back; 0: never
  std::int64_t poll_interval_ms = 0;
  std::int64_t start_ms = 0;
  std::int32_t client = 0;
  std::string isolation = "read_uncommitted";  // isolation.level
  std::string group;                           // a member of it, in place of `partitions`; it commits as it reads
  std::string protocol = "classic";            // group.protocol: classic, consumer (KIP-848); one for all of a group
  std::int64_t session_timeout_ms = 2000;      // of a classic member
  std::string instance;                        // group.instance.id: a static member
  std::string assignor = "range";  // of classic ones: range, roundrobin, cooperative-sticky; one for all of a group
  std::string remote_assignor = "default";  // group.remote.assignor of members of protocol consumer: uniform, range
  std::int32_t stall_one_in = 0;            // polls followed by long work, then a commit as who it was; 0: none
  std::int64_t stall_ms = 0;
  std::int64_t stay_ms = 0;  // leaves in order after about so long, and comes back; 0: it stays
  std::int64_t away_ms = 0;
  friend bool operator==(const ConsumerSpec&, const ConsumerSpec&) = default;
};

struct WorkloadSpec {
  std::vector<ProducerSpec> producers;  // empty (and none asked for): the default load, see default_workload()
  std::vector<ConsumerSpec> consumers;
  std::int64_t request_timeout_ms = 2000;
  std::int64_t delivery_timeout_ms = 8000;
  friend bool operator==(const WorkloadSpec&, const WorkloadSpec&) = default;
};

// One condition on a field of a protocol event: "node" is who announced it; the others by the events' field names
// (protocol/events.h). Partitions are written "orders-0". JSON: 5, true, "text", {"min":1,"max":2}, {"size":2},
// {"contains":1}; a string that is a target ("leader(orders-0)") stands for that broker's id.
struct Condition {
  enum class Kind : std::uint8_t { number, text, range, size, contains };
  std::string field;
  Kind kind = Kind::number;
  std::int64_t min = 0;  // number, size, contains: the value
  std::int64_t max = 0;  // range
  std::string text;
  friend bool operator==(const Condition&, const Condition&) = default;
};

struct Trigger {
  std::string event;               // an event's name; "" for a Trigger that isn't there
  std::vector<Condition> match;    // all hold
  std::int32_t nth = 1;            // fires at the nth that matches
  std::int64_t not_before_ms = 0;  // since the workload began: earlier events don't count
  std::int64_t deadline_ms = 0;    // fires then in any case; 0: never
  std::int64_t after_us = 0;       // delay; 0: inside the event's own turn, before its effects leave the node
  friend bool operator==(const Trigger&, const Trigger&) = default;
};

// What a fault does (kActions in scenarios/fields.h says which fields each takes):
//   process: kill, power_loss, doom, doom_power (at a disk call), doom_sync, doom_sync_power (while a sync is under
//   way),
//     pause, resume, stop (orderly), start, wipe, older_disk (power loss, then the image of image_ms), rolling_restart
//   network: partition (a | b), random_partition (of a, drawn), isolate, block (a -> b), bridge, clog (a -> b), swizzle
//     (the nodes of a one after the other, then released in another order), slow_link (a -> b), reset (a, b),
//     refuse_connects, hang_connects (a -> b)
//   messages: message (a rule for frames), release (what a message rule of the name `of` holds)
//   disk: disk_errors, disk_slow, full_disk, bit_rot, misdirected_write
//   clock: clock_offset, clock_drift, clock_jump
//   cluster: create_topic, delete_topic (administrator's operations that go on under faults)
// Targets: "broker(2)", "controller", "leader(orders-0)", "follower(orders-0,1)" (the n-th replica that doesn't lead),
// "isr(orders-0,1)" (the n-th ISR member that doesn't lead), "node" (who announced the triggering event), "of(ID)"
// (what the fault ID hit), "client(3)" (its number), "brokers" and "clients" (all; in groups only).
// "coordinator(readers)" is the broker that coordinates the group, "transaction_coordinator(txn-1)" that of a
// transactional id: the leaders of partitions of internal topics, which "leader(__consumer_offsets-0)" and the like
// name as well.
struct FaultSpec {
  std::string id;  // unique; keys its draws, so that deleting other faults doesn't disturb this one
  std::string action;
  std::optional<std::int64_t> at_ms;  // since the workload began
  std::optional<Trigger> when;        // exactly one of the two
  std::string target;
  std::vector<std::string> a;  // groups of the network faults
  std::vector<std::string> b;
  std::int64_t for_ms = 0;       // undone after it; 0: when the faults are healed
  std::int64_t restart_ms = -1;  // kill, power_loss, doom, stop: starts again so long after; -1: not before the heal
  bool stays_down = false;       // not even the heal brings it back
  std::string policy = "everything";  // power loss: everything, data_only, all_unsynced_lost, nothing_lost
  std::int64_t nth_call = 1;          // doom: the disk call (doom_sync: the sync) at which it dies
  std::int64_t image_ms = 0;          // older_disk: when its image was taken, since the workload began
  // swizzle: places in the list of `a`'s machines; empty: drawn by the fault's id
  std::vector<std::int32_t> order;
  std::vector<std::int32_t> release_order;
  // message
  std::string api;           // Kafka's name: "Fetch"; "" any
  std::string side = "any";  // request, response, any
  std::string from;          // targets; "": any
  std::string to;
  std::string effect = "hold";  // hold, delay, reset
  std::int32_t nth = 1;         // the nth frame that fits, counted since the rule is in force
  std::int32_t count = 1;       // and so many from it on
  std::string of;               // release
  std::int64_t delay_ms = 0;    // message delay; slow_link: extra latency; swizzle: a step
  // disk
  std::string path_part;
  std::int32_t fail_reads = 0;
  std::int32_t fail_writes = 0;
  std::int32_t fail_syncs = 0;
  std::int64_t bytes = 0;       // full_disk: capacity left; slow_link: bytes per ms
  std::int64_t latency_us = 0;  // disk_slow: each read and sync
  std::int64_t stall_us = 0;    // disk_slow: each append
  // clock
  std::int64_t by_ms = 0;          // clock_offset, clock_jump
  std::int64_t ppm = 0;            // clock_drift
  std::optional<TopicSpec> topic;  // create_topic, delete_topic (the name alone counts)
  bool optional = false;           // the scenario counts although this fault didn't fire
  friend bool operator==(const FaultSpec&, const FaultSpec&) = default;
};

struct EventExpectation {
  std::string event;
  std::vector<Condition> match;
  std::int64_t min = 1;
  std::int64_t max = -1;  // -1: no limit
  friend bool operator==(const EventExpectation&, const EventExpectation&) = default;
};

// What a run must have seen before the final read to count: unmet is inconclusive, never a pass.
struct Expectations {
  std::int64_t acknowledged = 1;  // records that clients were told are written
  std::int64_t delivered = 1;     // records that consumers got, before the final read
  std::int64_t ambiguous = 0;     // sends whose outcome nobody told
  std::vector<EventExpectation> events;
  std::vector<std::string> marks;
  std::vector<std::string> faults;  // counters of changed outcomes above 0
  friend bool operator==(const Expectations&, const Expectations&) = default;
};

struct PhaseSpec {
  std::int64_t run_ms = 3000;  // workload under faults
  std::int64_t settle_ms = 0;  // after the heal; 0: the liveness bounds
  bool final_leaders = true;   // read again with each ISR member as leader
  std::int64_t event_budget = 20'000'000;
  friend bool operator==(const PhaseSpec&, const PhaseSpec&) = default;
};

struct Scenario {
  std::int32_t version = kFormatVersion;
  std::string name;               // a file's stem: [a-z0-9-]
  std::string title;              // one line
  std::string description;        // which rule it tries, and how
  std::vector<std::string> tags;  // areas
  ClusterSpec cluster;
  std::vector<TopicSpec> topics;  // empty: one of the default
  NetworkSpec network;
  DiskSpec disk;
  SchedulingSpec scheduling;
  WorkloadSpec workload;
  std::vector<FaultSpec> faults;
  Expectations expect;
  std::vector<std::string> defects;  // planted
  SeedRange seeds;
  PhaseSpec phases;
  friend bool operator==(const Scenario&, const Scenario&) = default;
};

// A bad scenario: where ("$.faults[2].when.event"), what stands there, what is allowed.
struct ScenarioError {
  std::string path;
  std::string value;
  std::string allowed;
  std::string text() const;  // one line
};

// Unknown fields, wrong types and values out of range are errors. Parsing fills in no defaults of the whole (see
// resolve).
std::expected<Scenario, ScenarioError> parse_scenario(std::string_view json);
std::string to_json(const Scenario& scenario,
                    int indent = 2);  // fields that differ from their defaults; parses back equal
// --set PATH=VALUE: "phases.run_ms=500", "faults[0].at_ms=10", "cluster.config.min.insync.replicas" is written
// "cluster.config[min.insync.replicas]=2". VALUE is JSON, or else a string.
std::expected<Scenario, ScenarioError> with_setting(const Scenario& scenario, std::string_view assignment);
std::string scenario_schema();  // JSON Schema, draft 2020-12

// The default topic and load where none is given, ids for faults that have none.
Scenario resolve(Scenario scenario);
// The numbers of the clients, producers before consumers: what each says, or its place.
std::vector<std::int32_t> client_numbers(const WorkloadSpec& workload);
std::int32_t partitions_of(const TopicSpec& topic);                                  // how many it is made with
std::string transactional_id_of(const ProducerSpec& producer, std::int64_t number);  // its own, where it says none
WorkloadSpec default_workload(const std::string& topic);

}  // namespace verdict::scenarios
