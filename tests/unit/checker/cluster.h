#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "checker/white_box.h"

// A small language for hand-written runs: each call is one event of the feed.
namespace verdict::checker {

using namespace protocol::events;  // tidy: allow using-namespace: the language's words are the events

// One record of 100 bytes at `base`, where all before it are such records; `crc` decides its content.
inline BatchAppended one_record(const PartitionKey& key, int base, int epoch, Role role, unsigned crc,
                                ProducerId id = kNoProducerId, ProducerEpoch producer_epoch = kNoProducerEpoch,
                                int sequence = -1) {
  const Offset at(base);
  const auto position = static_cast<std::uint64_t>(base) * 100;
  return {key, at, at, LeaderEpoch(epoch), role, crc, 1, id, producer_epoch, sequence, 0, Offset(0), position, 100};
}

struct Cluster {
  explicit Cluster(std::vector<int> ids = {1, 2, 3}, int min_isr = 1, WhiteBoxOptions options = {}) : box(options) {
    event(0, TopicCreated{key.topic, "orders", 1});
    event(0, MinIsrConfigured{key.topic, min_isr});
    event(0, QuorumCommitted{Offset(10), 1});
    replicas = nodes(ids);
    for (const int id : ids) {
      start(id);
      event(id, MetadataApplied{Offset(10)});
      up(id);
    }
  }

  static NodeIds nodes(const std::vector<int>& ids) {
    NodeIds out;
    for (const int id : ids) out.emplace_back(id);
    return out;
  }
  void event(int node, const protocol::Event& e) {
    time += 1ms;
    box.on_event(time, NodeId(node), incarnation[node], e);
  }
  void start(int id) { box.node_started(time, NodeId(id), ++incarnation[id]); }
  void stop(int id, StopKind kind = StopKind::kill) { box.node_stopped(time, NodeId(id), incarnation[id], kind); }
  void register_broker(int id, bool clean = true) {
    broker_epoch[id] = ++epochs;
    event(0, BrokerRegistered{NodeId(id), BrokerEpoch(epochs), Uuid{1, static_cast<std::uint64_t>(epochs)}, clean});
  }
  void fence(int id, bool fenced, bool stopping = false) {
    event(0, BrokerFencing{NodeId(id), BrokerEpoch(broker_epoch[id]), fenced, stopping});
  }
  void up(int id, bool clean = true) {
    register_broker(id, clean);
    fence(id, false);
  }

  void decide(int leader, int epoch, const std::vector<int>& isr, bool unclean = false) {
    const NodeIds set = nodes(isr);
    event(0, PartitionDecided{key, replicas, set, NodeId(leader), LeaderEpoch(epoch), PartitionEpoch(++partition_epoch),
                              unclean});
  }
  void open(int id, int end = 0, int epoch = -1, int log_start = 0) {
    event(id, LogOpened{key, "data/orders-0", Offset(log_start), Offset(end), LeaderEpoch(epoch), false, 0});
    ends[id] = end;
  }
  void lead(int id, int epoch, const std::vector<int>& isr, int hw = 0) {
    const NodeIds set = nodes(isr);
    event(id,
          BecameLeader{key, LeaderEpoch(epoch), PartitionEpoch(partition_epoch), Offset(ends[id]), Offset(hw), set});
  }
  void follow(int id, int epoch, int leader) {
    event(id, BecameFollower{key, LeaderEpoch(epoch), PartitionEpoch(partition_epoch), NodeId(leader)});
  }
  // One record at `at` (the log end by default).
  void append(int id, int epoch, unsigned crc, bool leader = true, int at = -1) {
    const int base = at < 0 ? ends[id] : at;
    event(id, one_record(key, base, epoch, leader ? Role::leader : Role::follower, crc));
    ends[id] = base + 1;
  }
  // A batch of a transaction, or its marker, as a node tells of it.
  void transactional(int id, BatchAppended batch, std::string_view marker) {
    batch.transaction = marker.empty() ? "open" : marker;
    event(id, batch);
    event(id, TransactionalAppended{batch.partition, batch.base, batch.last, batch.producer_id, batch.producer_epoch,
                                    marker});
  }
  void copy(int id, int epoch, unsigned crc) { append(id, epoch, crc, false); }
  void truncate(int id, int to, TruncateReason why = TruncateReason::divergence) {
    event(id, LogTruncated{key, Offset(ends[id]), Offset(to), why});
    ends[id] = to;
  }
  void diverge(int leader, int epoch, int follower, int diverging_epoch, int end) {
    event(leader,
          DivergenceAnswered{key, LeaderEpoch(epoch), NodeId(follower), LeaderEpoch(diverging_epoch), Offset(end)});
  }
  void fetch(int leader, int epoch, int follower, int offset, int of_broker_epoch = -1) {
    event(leader, FollowerFetched{key, LeaderEpoch(epoch), NodeId(follower),
                                  BrokerEpoch(of_broker_epoch < 0 ? broker_epoch[follower] : of_broker_epoch),
                                  Offset(offset), LeaderEpoch(epoch)});
  }
  void advance(int id, int epoch, int from, int to, const std::vector<int>& maximal, const std::vector<int>& counted) {
    const NodeIds set = nodes(maximal);
    std::vector<Offset> offsets;
    for (const int c : counted) offsets.emplace_back(c);
    event(id, HighWatermarkAdvanced{key, Role::leader, LeaderEpoch(epoch), PartitionEpoch(partition_epoch),
                                    Offset(from), Offset(to), set, offsets});
  }
  void advance_follower(int id, int epoch, int from, int to) {
    event(id, HighWatermarkAdvanced{key,
                                    Role::follower,
                                    LeaderEpoch(epoch),
                                    PartitionEpoch(partition_epoch),
                                    Offset(from),
                                    Offset(to),
                                    {},
                                    {}});
  }
  void adopt(int id, int epoch, const std::vector<int>& isr, const std::vector<int>& maximal, bool in_flight = false) {
    const NodeIds a = nodes(isr), b = nodes(maximal);
    event(id, IsrAdopted{key, LeaderEpoch(epoch), PartitionEpoch(partition_epoch), a, b, in_flight});
  }
  void propose(int id, int epoch, const std::vector<int>& isr, const std::vector<int>& proposed,
               const std::vector<int>& maximal) {
    const NodeIds a = nodes(isr), b = nodes(proposed), c = nodes(maximal);
    event(id, IsrProposed{key, LeaderEpoch(epoch), PartitionEpoch(partition_epoch), a, b, c});
  }
  void acknowledge(int id, int epoch, int offset, unsigned crc, const std::vector<int>& maximal, int acks = -1) {
    const NodeIds set = nodes(maximal);
    event(id, ProduceAcknowledged{key, LeaderEpoch(epoch), static_cast<std::int16_t>(acks), 0, Offset(offset),
                                  Offset(offset), crc, kNoProducerId, kNoProducerEpoch, -1, set});
  }
  void deliver(int id, int epoch, int offset, unsigned crc, int batch_epoch, int hw) {
    event(id, BatchDelivered{key, LeaderEpoch(epoch), Offset(offset), Offset(offset), LeaderEpoch(batch_epoch), crc,
                             Offset(hw), false});
  }
  void lose(int id, int from_offset, int to_offset, LossCause cause = LossCause::destroyed) {  // records of 100 bytes
    box.bytes_lost(time, NodeId(id), "data/orders-0/00000000000000000000.log",
                   static_cast<std::uint64_t>(from_offset) * 100, static_cast<std::uint64_t>(to_offset) * 100, cause);
  }

  // Broker 1 leads epoch 1 with all in the ISR; offsets 0..n-1 (crc 100 + offset) are committed.
  void commit(int n) {
    std::vector<int> all;
    for (const NodeId id : replicas) all.push_back(id.value());
    for (const int id : all) open(id);
    decide(1, 1, all);
    lead(1, 1, all);
    for (const int id : all)
      if (id != 1) follow(id, 1, 1);
    more(n, all);
  }
  void more(int n, const std::vector<int>& isr, int leader = 1, int epoch = 1) {
    for (int i = 0; i < n; ++i) {
      const int at = ends[leader];
      append(leader, epoch, 100u + static_cast<unsigned>(at));
      std::vector<int> counted;
      for (const int id : isr) {
        if (id != leader) copy(id, epoch, 100u + static_cast<unsigned>(at)), fetch(leader, epoch, id, at + 1);
        counted.push_back(at + 1);
      }
      advance(leader, epoch, at, at + 1, isr, counted);
      for (const int id : isr)
        if (id != leader) advance_follower(id, epoch, at, at + 1);
    }
  }
  std::string found() const { return box.violation() ? std::string(box.violation()->invariant) : "none"; }
  std::string sentence() const { return box.violation() ? box.violation()->sentence : ""; }
  std::int64_t hw() const { return box.true_high_watermark(key).value(); }

  WhiteBox box;
  PartitionKey key{Uuid{7, 7}, 0};
  NodeIds replicas;
  MonoTime time{};
  std::map<int, std::uint32_t> incarnation;
  std::map<int, int> ends, broker_epoch;
  int epochs = 0, partition_epoch = 0;
};

}  // namespace verdict::checker
