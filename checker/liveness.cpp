#include "checker/liveness.h"

#include <algorithm>
#include <utility>

namespace verdict::checker {
namespace {

using Probe = LivenessProbe;

const Probe::Broker* find_broker(const Probe& probe, NodeId id) {
  const auto found = std::ranges::find(probe.brokers, id, &Probe::Broker::node);
  return found == probe.brokers.end() ? nullptr : &*found;
}

bool in_core(const Probe& probe, NodeId id) {
  const Probe::Broker* b = find_broker(probe, id);
  return b != nullptr && b->in_core;
}

const Probe::Replica* find_replica(const Probe::Partition& p, NodeId id) {
  const auto found = std::ranges::find(p.replicas, id, &Probe::Replica::node);
  return found == p.replicas.end() ? nullptr : &*found;
}

Violation broken(const Probe& probe, std::string_view id, NodeId node, std::string sentence, std::string what) {
  Violation v;
  v.invariant = id;
  v.sentence = std::move(sentence);
  v.time = probe.now;
  v.node = node;
  v.witnesses.push_back(Witness{probe.now, node, 0, std::move(what)});
  return v;
}

Violation broken(const Probe& probe, std::string_view id, const Probe::Partition& p, NodeId node, std::string sentence,
                 std::string what) {
  Violation v = broken(probe, id, node, std::move(sentence), std::move(what));
  v.partition = p.key;
  v.partition_name = p.name;
  return v;
}

// Excuse "no-candidate": with the ELR off only an ISR member may lead.
bool has_candidate(const Probe& probe, const Probe::Partition& p) {
  return std::ranges::any_of(p.isr, [&](NodeId id) { return in_core(probe, id); });
}

std::optional<Violation> check_leader(const Probe& probe, const Probe::Partition& p) {
  if (!has_candidate(probe, p)) return std::nullopt;
  const Probe::Replica* leader = find_replica(p, p.leader);
  if (p.leader != kNoNode && leader != nullptr && leader->leads && leader->leader_epoch == p.leader_epoch)
    return std::nullopt;
  return broken(probe, "V1", p, p.leader, p.name + " has no working leader after the faults were healed",
                p.leader == kNoNode
                    ? "the controller has elected nobody"
                    : broker(p.leader) + " does not lead in epoch " + std::to_string(p.leader_epoch.value()));
}

std::optional<Violation> check_metadata(const Probe& probe) {
  for (const Probe::Broker& b : probe.brokers) {
    if (!b.in_core || b.metadata_applied >= probe.metadata_committed) continue;
    return broken(probe, "V3", b.node,
                  broker(b.node) +
                      " has not caught up with the metadata log: " + std::to_string(b.metadata_applied.value()) +
                      " of " + std::to_string(probe.metadata_committed.value()),
                  "metadata applied up to " + std::to_string(b.metadata_applied.value()));
  }
  return std::nullopt;
}

bool below_min_isr(const Probe::Partition& p) {
  return p.isr.size() < std::min(static_cast<std::size_t>(std::max(p.min_isr, 1)), p.replicas.size());
}

std::optional<Violation> check_transactions(const Probe& probe) {
  if (probe.transactions.empty()) return std::nullopt;
  const bool unwritable = std::ranges::any_of(
      probe.partitions, [&](const Probe::Partition& p) { return !has_candidate(probe, p) || below_min_isr(p); });
  if (unwritable) return std::nullopt;
  const OpenTransaction& open = probe.transactions.front();
  Violation v = broken(probe, open.invariant, kNoNode, open.sentence, "it is still open");
  v.partition = open.partition;
  v.partition_name = open.partition_name;
  v.offset = open.offset;
  return v;
}

std::optional<Violation> check_converged(const Probe& probe, const Probe::Partition& p) {
  const Probe::Replica* leader = find_replica(p, p.leader);
  if (leader == nullptr || !leader->open || !in_core(probe, p.leader)) return std::nullopt;  // V1's concern
  if (below_min_isr(p)) return std::nullopt;                                                 // excuse "below-min-isr"
  for (const Probe::Replica& r : p.replicas) {
    if (!in_core(probe, r.node)) continue;
    const bool same = r.open && r.log_end == leader->log_end && r.high_watermark == leader->log_end;
    const bool grows = p.end_before && *p.end_before < leader->log_end;
    if (same || (grows && r.open && std::min(r.log_end, r.high_watermark) >= *p.end_before)) continue;
    return broken(probe, "V3", p, r.node,
                  p.name + " has not converged: " + broker(r.node) + " has high watermark " +
                      std::to_string(r.high_watermark.value()) + " and log end " + std::to_string(r.log_end.value()) +
                      ", its leader's log ends at " + std::to_string(leader->log_end.value()),
                  r.open ? "replica lags" : "replica is not open");
  }
  return std::nullopt;
}

std::optional<Violation> check_group(const Probe& probe, const Probe::Group& g) {
  if (!g.served) return std::nullopt;  // V1's concern, or the excuses "no-candidate", "below-min-isr", "rotted"
  const bool still = g.state.empty() || g.state == "Empty" || g.state == "Stable";
  if (still && g.outside.empty()) return std::nullopt;
  const std::string what = still ? g.outside.front() + " is no settled member of it" : "it is in state " + g.state;
  return broken(probe, "V6", g.coordinator, "group " + g.name + " does not become stable: " + what,
                "the group's state is " + (g.state.empty() ? std::string("unknown") : g.state));
}

}  // namespace

Duration LivenessBounds::longest() const {
  return std::max({leader_elected, brokers_unfenced, converged, waiters_answered, transactions_closed, groups_stable});
}

LivenessBounds liveness_bounds(const LivenessTimeouts& t) {
  LivenessBounds b;
  // An orderly stop of before the heal syncs all that rolled. A node starts; its old session ends; it registers,
  // catches up with the metadata up to its own registration and says so in a heartbeat. Every exchange may first run
  // into one request time-out of before the heal.
  const Duration exchange = t.request_timeout + 2 * t.network_round_trip;
  b.brokers_unfenced = t.disk_backlog + t.restart + t.broker_session_timeout + 2 * exchange +
                       t.metadata_fetch_wait_max + 2 * t.broker_heartbeat_interval;
  // A dead leader is fenced when its session ends; a candidate may have to return first; then metadata reaches it.
  b.leader_elected = b.brokers_unfenced + t.broker_session_timeout + t.metadata_fetch_wait_max + exchange;
  // Followers notice the leader, truncate, fetch to the end, and laggards leave the ISR; the high watermark follows in
  // the fetch after. A fetch of before the heal whose answer was lost is waited for until the socket's time-out.
  b.converged = b.leader_elected + t.copy_backlog + t.replica_lag_time_max + t.replica_socket_timeout + 2 * exchange +
                4 * (t.replica_fetch_wait_max + t.replica_fetch_backoff + t.network_round_trip);
  // Clients give up by themselves; what brokers hold for them is answered when the leader works, or at its time-out.
  b.waiters_answered = std::max(b.converged, t.client_delivery_timeout) + exchange;
  // What its client left open is aborted at the first look after its time-out, by whatever clock; a request for markers
  // from before that may have to run into its time-out first.
  b.transactions_closed = b.waiters_answered;
  if (t.transaction_timeout > Duration::zero()) {
    b.transactions_closed +=
        t.transaction_timeout + 2 * t.transaction_abort_interval + t.clock_difference + t.marker_timeout + 4 * exchange;
  }
  // Once the coordinator serves, a member may still wait for the answer to a join of before the heal (a rebalance and a
  // request) until it looks for the coordinator again. Who died is missed when its session ends, at the next heartbeat
  // the others join again, and whoever they wait for in vain is dropped after a rebalance time-out: in the join, and
  // again in the sync. What was dropped comes back, which is a second round, and a cooperative move a third.
  const Duration round = 2 * t.group_rebalance_timeout + t.group_heartbeat_interval + 2 * t.client_request_timeout;
  b.groups_stable = b.converged + t.group_rebalance_timeout + t.client_request_timeout + t.group_session_timeout +
                    3 * round + 2 * t.network_round_trip;
  return b;
}

std::optional<Violation> check_liveness(const LivenessProbe& probe, MonoTime healed, const LivenessBounds& bounds) {
  const Duration passed = probe.now - healed;
  if (passed >= bounds.leader_elected) {
    for (const Probe::Partition& p : probe.partitions) {
      if (auto v = check_leader(probe, p)) return v;
    }
  }
  if (passed >= bounds.brokers_unfenced) {
    for (const Probe::Broker& b : probe.brokers) {
      if (!b.in_core || (b.running && !b.fenced && !b.stopping)) continue;
      if (b.running && b.stopping) {
        return broken(probe, "V2", b.node, broker(b.node) + " is still stopping after the faults were healed",
                      "its orderly stop does not come to its end");
      }
      return broken(probe, "V2", b.node, broker(b.node) + " is still fenced after the faults were healed",
                    b.running ? "runs, but is fenced" : "does not run");
    }
  }
  if (passed >= bounds.converged) {
    if (auto v = check_metadata(probe)) return v;
    for (const Probe::Partition& p : probe.partitions) {
      if (auto v = check_converged(probe, p)) return v;
    }
  }
  if (passed >= bounds.waiters_answered) {
    for (const Probe::Waiter& w : probe.waiters) {
      if (w.age < bounds.waiters_answered) continue;
      return broken(probe, "V4", w.node, w.what + " was never answered",
                    "waits for " + std::to_string(to_ms(w.age)) + " ms");
    }
  }
  if (passed >= bounds.transactions_closed) {
    if (auto v = check_transactions(probe)) return v;
  }
  if (passed >= bounds.groups_stable) {
    for (const Probe::Group& g : probe.groups) {
      if (auto v = check_group(probe, g)) return v;
    }
  }
  return std::nullopt;
}

}  // namespace verdict::checker
