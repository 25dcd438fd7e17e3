#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checker/violation.h"
#include "protocol/types.h"
#include "runtime/time.h"

// V1-V6, and T3 and T10 as far as they are about what comes in the end: after all faults are healed, a surviving core
// of nodes must come to rest in bounded time.
namespace verdict::checker {

// The configured time-outs that the bounds are formulas of, by Kafka's names.
struct LivenessTimeouts {
  Duration broker_session_timeout{};      // broker.session.timeout.ms
  Duration broker_heartbeat_interval{};   // broker.heartbeat.interval.ms
  Duration replica_fetch_wait_max{};      // replica.fetch.wait.max.ms
  Duration replica_fetch_backoff{};       // replica.fetch.backoff.ms
  Duration replica_lag_time_max{};        // replica.lag.time.max.ms
  Duration replica_socket_timeout{};      // replica.socket.timeout.ms
  Duration metadata_fetch_wait_max{};     // how long a broker's fetch of the metadata log may be parked
  Duration request_timeout{};             // request.timeout.ms, between nodes
  Duration client_delivery_timeout{};     // delivery.timeout.ms, the longest that a client waits for one operation
  Duration restart{};                     // longest start of a node, recovery included
  Duration network_round_trip{};          // longest, after the heal
  Duration transaction_timeout{};         // transaction.timeout.ms, the longest of any producer's; 0: there are none
  Duration transaction_abort_interval{};  // transaction.abort.timed.out.transaction.cleanup.interval.ms
  Duration marker_timeout{};              // of one request for markers, after which it is sent again
  Duration clock_difference{};            // longest, between two nodes' wall clocks, or one's before and after a jump
  Duration client_request_timeout{};      // request.timeout.ms of clients
  Duration group_session_timeout{};       // session.timeout.ms, the longest of any member
  Duration group_rebalance_timeout{};     // max.poll.interval.ms, likewise
  Duration group_heartbeat_interval{};    // heartbeat.interval.ms, likewise
  Duration disk_backlog{};                // longest, of what a node's disk has yet to sync before the node can stop
  Duration copy_backlog{};                // longest, of what a replica has yet to copy, a batch a fetch
};

// How long after the heal each rule may take to come true.
struct LivenessBounds {
  Duration leader_elected;         // V1
  Duration brokers_unfenced;       // V2
  Duration converged;              // V3
  Duration waiters_answered;       // V4
  Duration transactions_closed{};  // V5, T3, T10
  Duration groups_stable{};        // V6
  Duration longest() const;
};
LivenessBounds liveness_bounds(const LivenessTimeouts& timeouts);

struct OpenTransaction {
  std::string_view invariant;  // that it breaks if it is still so at the deadline: T3, T10, V5
  std::optional<PartitionKey> partition{};
  std::string partition_name{};
  std::optional<Offset> offset{};
  std::string sentence{};
};

// The cluster's state at a deadline, as the scenarios layer reads it from the simulated nodes. Client load has stopped.
struct LivenessProbe {
  struct Broker {
    NodeId node;
    bool in_core = true;  // healed and meant to stay; the others are not judged
    bool running = false;
    bool fenced = true;          // in the controller's view
    Offset metadata_applied{0};  // all records below are published
    bool stopping = false;       // in an orderly stop: it will not run for long
  };
  struct Replica {
    NodeId node;
    bool open = false;  // the node runs and holds the log
    Offset log_end{0};
    Offset high_watermark{0};
    LeaderEpoch leader_epoch = kNoEpoch;  // that it works in
    bool leads = false;
  };
  struct Partition {
    PartitionKey key;
    std::string name;         // "orders-0"
    NodeId leader = kNoNode;  // the controller's
    LeaderEpoch leader_epoch = kNoEpoch;
    NodeIds isr;
    std::int32_t min_isr = 1;
    // Of its leader's log, as it was when a fetch and its answer ago: while members commit, none is ever at its end.
    std::optional<Offset> end_before{};
    std::vector<Replica> replicas;
  };
  struct Waiter {  // a request, or a client's operation, that nobody has answered
    NodeId node = kNoNode;
    std::string what;  // "produce to orders-0 at offset 41"
    Duration age{};
  };
  struct Group {
    std::string name;
    NodeId coordinator = kNoNode;
    std::string state;                 // Kafka's name; "": its coordinator knows no such group
    std::vector<std::string> outside;  // running members that have no place in it: "client 3"
    bool served = true;                // its coordinator leads in the core, can commit, and read what was written
  };
  MonoTime now;
  Offset metadata_committed{0};
  std::vector<Broker> brokers;
  std::vector<Partition> partitions;
  std::vector<Waiter> waiters;
  std::vector<OpenTransaction> transactions;
  std::vector<Group> groups;
};

// The first rule that does not hold at probe.now, given when the faults were healed. A rule whose bound has not passed
// yet is not judged. Named excuses: "no-candidate" (no ISR member is in the core: V1, V3), "below-min-isr" (HW frozen:
// V3, V6), "rotted" (a coordinator that met rot in its log serves nobody: V6), "unwritable" (a partition has one of
// these excuses, and may be the one that a decision or a marker waits for: V5, T3, T10).
std::optional<Violation> check_liveness(const LivenessProbe& probe, MonoTime healed, const LivenessBounds& bounds);

}  // namespace verdict::checker
