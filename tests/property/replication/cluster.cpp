#include "tests/property/replication/cluster.h"

#include <fmt/format.h>

#include <algorithm>

namespace verdict::replication {

namespace events = protocol::events;

namespace {
constexpr Duration kLagMax = from_ms(1000);
enum class Kind : std::uint8_t { fetch, read, fetch_answer, alter, alter_answer };
}  // namespace

struct Cluster::Message {
  Kind kind;
  NodeId from;
  NodeId to;
  std::uint64_t incarnation = 0;  // of the node that asked
  BrokerEpoch broker_epoch;
  FetchPosition position;
  FetchDecision decision;
  std::vector<std::pair<Offset, MemoryLog::Record>> records;
  ErrorCode error = ErrorCode::NONE;
  Offset leader_start;
  Offset leader_end;
  ProposalId proposal;
  LeaderEpoch leader_epoch;
  PartitionEpoch partition_epoch;
  std::vector<IsrMember> members;
  NodeIds isr;
};

class Cluster::Feed final : public protocol::Observer {
 public:
  Feed(Cluster& cluster, Node& node) : cluster_(cluster), node_(node) {}
  void observe(const protocol::Event& event) override {
    if (const auto* advance = std::get_if<events::HighWatermarkAdvanced>(&event)) cluster_.advanced(node_, *advance);
    if (const auto* answer = std::get_if<events::ProduceAcknowledged>(&event)) cluster_.acknowledged(*answer);
  }

 private:
  Cluster& cluster_;
  Node& node_;
};

struct Cluster::Node {
  Node(Cluster& cluster, NodeId node_id) : id(node_id), feed(cluster, *this) {}
  NodeId id;
  Feed feed;
  MemoryLog log;
  std::unique_ptr<Replica> replica;  // null: down
  std::uint64_t incarnation = 0;
  BrokerEpoch broker_epoch;
  std::size_t image = 0;  // applied
  Offset checkpoint{0};
  std::uint64_t next_waiter = 1;
  std::map<WaiterId, int> waiting;
  LeaderEpoch hw_epoch = kNoEpoch;
  Offset hw_seen{0};
};

Cluster::Cluster(const ClusterConfig& config) : config_(config) {
  if (config.defect) defects_.add(*config.defect);
  Image image;
  for (std::size_t i = 0; i < config.nodes; ++i) {
    const NodeId id(static_cast<std::int32_t>(i + 1));
    replicas_.push_back(id);
    nodes_.push_back(std::make_unique<Node>(*this, id));
    image.brokers.push_back({.id = id, .epoch = BrokerEpoch(next_broker_epoch_), .fenced = false});
    nodes_.back()->broker_epoch = BrokerEpoch(next_broker_epoch_++);
  }
  image.isr = replicas_;
  image.leader = replicas_.front();
  images_.push_back(image);
  for (auto& each : nodes_) {
    each->replica = std::make_unique<Replica>(ReplicaConfig{.self = each->id, .replica_lag_time_max = kLagMax},
                                              each->log, defects_, &each->feed);
    Effects effects;
    each->replica->step(LogOpened{}, now_, effects);
    apply_metadata(*each, 0);
  }
}

Cluster::~Cluster() = default;

Cluster::Node& Cluster::node(std::uint8_t choice) { return *nodes_[choice % nodes_.size()]; }

Cluster::Image& Cluster::decide() {
  images_.push_back(images_.back());
  return images_.back();
}

void Cluster::apply(const Op& op) {
  if (violation_) return;
  Node& at = node(op.a);
  const int kind = op.kind * 100 / 256;  // in percent
  if (kind < 10) {
    produce(at, static_cast<std::uint8_t>(1 + op.b % 2), op.b % 4 == 0 ? 1 : -1);
  } else if (kind < 26) {
    fetch(at);
  } else if (kind < 74) {
    const bool oldest = kind < 55;
    if (!network_.empty()) deliver(oldest ? 0 : (static_cast<std::size_t>(op.a) * 256 + op.b) % network_.size());
  } else if (kind < 76) {
    if (!network_.empty()) drop(op.b % network_.size());
  } else if (kind < 86) {
    if (at.replica != nullptr) apply_metadata(at, at.image + (op.b % 3) + 1);
  } else if (kind < 88) {
    now_ += from_ms(op.b * 3);
  } else if (kind < 90) {
    tell(at, IsrTick{});
  } else if (kind < 92) {
    move_leader(op.b);
  } else if (kind < 93) {
    if (op.b % 2 == 0) fence(at.id);
  } else if (kind < 96) {
    unfence(at.id);
  } else if (kind < 97) {
    if (op.b % 2 == 0) crash(at, op.b % 8 == 0 ? 1 + op.b / 64 : 0);
    if (op.b % 4 == 2) restart(at);  // fetches of before are still under way
  } else if (kind < 99) {
    restart(at);
  } else if (!at.waiting.empty()) {
    tell(at, WaiterExpired{at.waiting.begin()->first});
  }
  check();
}

template <class Told>
void Cluster::tell(Node& at, const Told& event) {
  if (at.replica == nullptr) return;
  Effects effects;
  at.replica->step(event, now_, effects);
  run_effects(at, effects);
}

void Cluster::apply_metadata(Node& at, std::size_t image) {
  at.image = std::min(image, images_.size() - 1);
  const Image& now = images_[at.image];
  Effects effects;
  at.replica->step(MetadataChanged{.leader = now.leader,
                                   .leader_epoch = now.leader_epoch,
                                   .partition_epoch = now.partition_epoch,
                                   .replicas = replicas_,
                                   .isr = now.isr,
                                   .brokers = now.brokers,
                                   .local_broker_epoch = at.broker_epoch,
                                   .min_insync_replicas = config_.min_isr},
                   now_, effects);
  run_effects(at, effects);
}

void Cluster::produce(Node& at, std::uint8_t count, std::int16_t acks) {
  if (at.replica == nullptr) return;
  Effects effects;
  if (at.replica->step(ProduceRequested{acks}, now_, effects) != ErrorCode::NONE) return run_effects(at, effects);
  run_effects(at, effects);
  const LeaderEpoch epoch = at.replica->leader_epoch();
  const Offset base = at.log.log_end();
  const auto first = static_cast<std::uint32_t>(next_value_);
  for (int i = 0; i < count; ++i) at.log.append({.epoch = epoch, .value = next_value_++});
  const WaiterId waiter(at.next_waiter++);
  at.waiting[waiter] = acks;
  effects.clear();
  at.replica->step(ProduceAppended{.batch = {.base = base, .last = base + (count - 1), .epoch = epoch, .crc = first},
                                   .acks = acks,
                                   .waiter = waiter},
                   now_, effects);
  run_effects(at, effects);
}

void Cluster::fetch(Node& at) {
  if (at.replica == nullptr) return;
  const auto position = at.replica->next_fetch();
  if (!position || network_.size() > 16) return;
  Message message{.kind = Kind::fetch, .from = at.id, .to = position->leader};
  message.incarnation = at.incarnation;
  message.broker_epoch = at.broker_epoch;
  message.position = *position;
  network_.push_back(std::move(message));
}

void Cluster::deliver(std::size_t index) {
  const Message message = std::move(network_[index]);
  network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(index));
  switch (message.kind) {
    case Kind::fetch:
      return deliver_fetch(message);
    case Kind::read:
      return deliver_read(message);
    case Kind::fetch_answer:
      return deliver_answer(message);
    case Kind::alter: {
      Message answer{.kind = Kind::alter_answer, .to = message.from};
      answer.incarnation = message.incarnation;
      answer.proposal = message.proposal;
      answer.error = alter(message);
      answer.leader_epoch = decided().leader_epoch;
      answer.partition_epoch = decided().partition_epoch;
      answer.isr = decided().isr;
      network_.push_back(std::move(answer));
      return;
    }
    case Kind::alter_answer:
      return deliver_alter(message);
  }
}

// A connection breaks. Who asked the controller learns that; a fetcher asks anew by itself.
void Cluster::drop(std::size_t index) {
  const Message message = std::move(network_[index]);
  network_.erase(network_.begin() + static_cast<std::ptrdiff_t>(index));
  if (message.kind != Kind::alter && message.kind != Kind::alter_answer) return;
  Message answer{.kind = Kind::alter_answer, .to = message.kind == Kind::alter ? message.from : message.to};
  answer.incarnation = message.incarnation;
  answer.proposal = message.proposal;
  answer.error = ErrorCode::NETWORK_EXCEPTION;
  deliver_alter(answer);
}

void Cluster::deliver_fetch(const Message& message) {
  Node& leader = *nodes_[index_of(message.to)];
  if (leader.replica == nullptr) return;
  Effects effects;
  Message read = message;
  read.kind = Kind::read;
  read.decision = leader.replica->step(FollowerFetch{.replica = message.from,
                                                     .broker_epoch = message.broker_epoch,
                                                     .current_leader_epoch = message.position.current_leader_epoch,
                                                     .fetch_offset = message.position.fetch_offset,
                                                     .last_fetched_epoch = message.position.last_fetched_epoch,
                                                     .log_start = message.position.log_start},
                                       now_, effects);
  run_effects(leader, effects);
  network_.push_back(std::move(read));
}

// The bytes leave later than the decision: what stands in the log by then (KAFKA-18723).
void Cluster::deliver_read(const Message& message) {
  Node& leader = *nodes_[index_of(message.to)];
  if (leader.replica == nullptr) return;
  Message answer = message;
  answer.kind = Kind::fetch_answer;
  answer.leader_start = leader.log.log_start();
  answer.leader_end = leader.log.log_end();
  if (message.decision.error == ErrorCode::NONE && !message.decision.diverging.known()) {
    const Offset end = std::min(leader.log.log_end(), message.position.fetch_offset + 3);
    for (Offset o = message.position.fetch_offset; o < end; ++o) answer.records.emplace_back(o, leader.log.at(o));
  }
  network_.push_back(std::move(answer));
}

void Cluster::deliver_answer(const Message& message) {
  Node& at = *nodes_[index_of(message.from)];
  if (at.replica == nullptr || at.incarnation != message.incarnation) return;
  std::vector<BatchSummary> batches;
  for (const auto& [offset, record] : message.records) batches.push_back({offset, offset, record.epoch});
  Effects effects;
  at.replica->step(FetchAnswered{.leader_epoch = message.position.current_leader_epoch,
                                 .fetch_offset = message.position.fetch_offset,
                                 .error = message.decision.error,
                                 .diverging = message.decision.diverging,
                                 .high_watermark = message.decision.high_watermark,
                                 .log_start = message.decision.log_start,
                                 .batches = batches},
                   now_, effects);
  run_effects(at, effects, &message);
}

void Cluster::deliver_alter(const Message& message) {
  Node& at = *nodes_[index_of(message.to)];
  if (at.replica == nullptr || at.incarnation != message.incarnation) return;
  Effects effects;
  at.replica->step(AlterPartitionAnswered{.proposal = message.proposal,
                                          .error = message.error,
                                          .leader_epoch = message.leader_epoch,
                                          .partition_epoch = message.partition_epoch,
                                          .isr = message.isr},
                   now_, effects);
  run_effects(at, effects);
}

void Cluster::run_effects(Node& at, Effects& effects, const Message* answer) {
  for (std::size_t i = 0; i < effects.size(); ++i) {
    const Effect effect = effects[i];
    if (const auto* assign = std::get_if<AssignEpochStart>(&effect)) {
      at.log.assign(assign->epoch, assign->start);
    } else if (const auto* cut = std::get_if<TruncateTo>(&effect)) {
      at.log.truncate(cut->to);
      at.replica->step(Truncated{}, now_, effects);
    } else if (const auto* anew = std::get_if<TruncateFullyAndStartAt>(&effect)) {
      at.log.restart_at(anew->offset);
      if (anew->epoch != kNoEpoch) at.log.assign(anew->epoch, anew->offset);
      at.replica->step(Truncated{}, now_, effects);
    } else if (const auto* append = std::get_if<AppendAsFollower>(&effect)) {
      for (std::size_t n = 0; n < append->batches; ++n) {
        if (answer->records[n].first != at.log.log_end()) return fail("a follower appends with a gap");
        if (!config_.defect && answer->records[n].second.epoch < at.log.last_epoch())
          return fail("a follower's epochs go back");
        at.log.append(answer->records[n].second);
      }
      at.replica->step(FollowerAppended{}, now_, effects);
    } else if (const auto* send = std::get_if<SendAlterPartition>(&effect)) {
      Message message{.kind = Kind::alter, .from = at.id};
      message.incarnation = at.incarnation;
      message.proposal = send->proposal;
      message.leader_epoch = send->leader_epoch;
      message.partition_epoch = send->partition_epoch;
      const auto members = effects.members(*send);
      message.members.assign(members.begin(), members.end());
      network_.push_back(std::move(message));
    } else if (const auto* complete = std::get_if<CompleteProduce>(&effect)) {
      if (at.waiting.erase(complete->waiter) == 0) fail("a produce request is answered twice");
    } else if (const auto* ask = std::get_if<AskLeaderOffsets>(&effect)) {
      const Node& leader = *nodes_[index_of(ask->leader)];
      const bool leads = leader.replica != nullptr && leader.replica->is_leader() &&
                         leader.replica->leader_epoch() == ask->leader_epoch;
      at.replica->step(LeaderOffsetsAnswered{.leader_epoch = ask->leader_epoch,
                                             .error = leads ? ErrorCode::NONE : ErrorCode::NOT_LEADER_OR_FOLLOWER,
                                             .log_start = leader.log.log_start(),
                                             .log_end = leader.log.log_end()},
                       now_, effects);
    }
  }
  effects.for_each_mark([&](Mark mark) { marks_.set(static_cast<std::size_t>(mark)); });
  effects.clear();
}

// ---- faults and the controller ----

void Cluster::crash(Node& at, std::int64_t lost) {
  if (at.replica == nullptr) return;
  const NodeIds& isr = decided().isr;
  if (isr.size() == 1 && isr.front() == at.id) lost = 0;  // that copy is the last one
  // The checkpoint is written now and then.
  if (at.incarnation % 2 == 0) at.checkpoint = at.replica->high_watermark();
  at.replica.reset();
  at.waiting.clear();
  ++at.incarnation;
  at.hw_epoch = kNoEpoch;
  if (lost > 0) {
    at.log.truncate(std::max(at.log.log_start(), at.log.log_end() - std::min(lost, at.log.log_end().value())));
    fence(at.id);
  }
}

void Cluster::restart(Node& at) {
  if (at.replica != nullptr) return;
  fence(at.id);  // its session ended
  Image& next = decide();
  at.broker_epoch = BrokerEpoch(next_broker_epoch_++);
  next.brokers[index_of(at.id)].epoch = at.broker_epoch;
  at.replica = std::make_unique<Replica>(ReplicaConfig{.self = at.id, .replica_lag_time_max = kLagMax}, at.log,
                                         defects_, &at.feed);
  Effects effects;
  at.replica->step(LogOpened{at.checkpoint}, now_, effects);
  apply_metadata(at, images_.size() - 1);
}

void Cluster::fence(NodeId id) {
  if (broker(id).fenced) return;
  Image& next = decide();
  next.brokers[index_of(id)].fenced = true;
  const bool in_isr = std::ranges::find(next.isr, id) != next.isr.end();
  if (in_isr && next.isr.size() > 1) std::erase(next.isr, id);
  if (in_isr) next.partition_epoch = PartitionEpoch(next.partition_epoch.value() + 1);
  if (next.leader == id) elect();
}

void Cluster::unfence(NodeId id) {
  if (!broker(id).fenced || nodes_[index_of(id)]->replica == nullptr) return;
  decide().brokers[index_of(id)].fenced = false;
  if (decided().leader == kNoNode) elect();
}

void Cluster::elect() {
  Image& now = decided();
  now.leader = kNoNode;
  for (NodeId id : now.isr) {
    if (now.brokers[index_of(id)].fenced) continue;
    now.leader = id;
    break;
  }
  now.leader_epoch = LeaderEpoch(now.leader_epoch.value() + 1);
  now.partition_epoch = PartitionEpoch(now.partition_epoch.value() + 1);
}

void Cluster::move_leader(std::uint8_t choice) {
  const NodeId to = decided().isr[choice % decided().isr.size()];
  if (broker(to).fenced) return;
  Image& next = decide();  // the same leader: an epoch bump
  next.leader = to;
  next.leader_epoch = LeaderEpoch(next.leader_epoch.value() + 1);
  next.partition_epoch = PartitionEpoch(next.partition_epoch.value() + 1);
}

ErrorCode Cluster::alter(const Message& message) {
  if (message.leader_epoch < decided().leader_epoch || message.from != decided().leader) {
    return ErrorCode::FENCED_LEADER_EPOCH;
  }
  if (message.partition_epoch < decided().partition_epoch) return ErrorCode::INVALID_UPDATE_VERSION;
  NodeIds isr;
  for (const IsrMember& member : message.members) {
    const ReplicaBroker& known = broker(member.id);
    if (known.fenced || (member.epoch != kNoBrokerEpoch && member.epoch != known.epoch)) {
      return ErrorCode::INELIGIBLE_REPLICA;
    }
    isr.push_back(member.id);
  }
  if (isr != decided().isr) {
    Image& next = decide();
    next.isr = isr;
    next.partition_epoch = PartitionEpoch(next.partition_epoch.value() + 1);
  }
  return ErrorCode::NONE;
}

void Cluster::heal() {
  for (auto& each : nodes_) {
    restart(*each);
    unfence(each->id);
  }
  for (int round = 0; round < 400 && !violation_; ++round) {
    now_ += from_ms(50);
    for (auto& each : nodes_) {
      if (each->image + 1 < images_.size()) apply_metadata(*each, images_.size() - 1);
      fetch(*each);
      if (round % 10 == 0) tell(*each, IsrTick{});
    }
    while (!network_.empty() && !violation_) deliver(0);
    check();
  }
  if (violation_) return;
  const Node& leader = *nodes_[index_of(decided().leader)];
  for (const auto& each : nodes_) {
    if (each->log.log_end() != leader.log.log_end()) fail(fmt::format("node {} did not catch up", each->id.value()));
    if (each->replica->high_watermark() != leader.log.log_end()) fail("a high watermark did not converge");
    if (!each->waiting.empty()) fail(fmt::format("a request waits for ever at node {}", each->id.value()));
  }
  if (decided().isr.size() != nodes_.size()) fail("the ISR did not become whole");
}

// ---- rules ----

void Cluster::fail(const std::string& what) {
  if (!violation_) violation_ = what;
}

void Cluster::advanced(Node& at, const events::HighWatermarkAdvanced& event) {
  if (at.hw_epoch == event.leader_epoch && event.to <= at.hw_seen) fail("a high watermark went back");
  at.hw_epoch = event.leader_epoch;
  at.hw_seen = event.to;
  if (event.role == events::Role::follower) return;
  const auto minimum = std::min(static_cast<std::size_t>(config_.min_isr), nodes_.size());
  if (at.replica->isr().size() < minimum) fail("the high watermark advanced under min ISR");
  for (Offset o = event.from; o < event.to; ++o) {
    const auto index = static_cast<std::size_t>(o.value());
    if (index == committed_.size()) committed_.push_back(at.log.at(o));
    if (index > committed_.size() || committed_[index] != at.log.at(o)) {
      return fail(fmt::format("offset {} was committed twice with different records", o.value()));
    }
  }
}

void Cluster::acknowledged(const events::ProduceAcknowledged& event) {
  if (event.acks != -1 || event.error_code != 0) return;
  ++acknowledged_;
  const auto minimum = std::min(static_cast<std::size_t>(config_.min_isr), nodes_.size());
  if (event.maximal_isr.size() < minimum) fail("acknowledged under min ISR");
  for (Offset o = event.base; o <= event.last; ++o) {
    const auto index = static_cast<std::size_t>(o.value());
    const MemoryLog::Record sent{.epoch = event.leader_epoch,
                                 .value = event.crc + static_cast<std::uint64_t>(o - event.base)};
    if (index >= committed_.size() || committed_[index] != sent) {
      return fail(fmt::format("offset {} was acknowledged but another record is committed there", o.value()));
    }
  }
}

void Cluster::check() {
  if (!violation_) check_candidates();
  if (!violation_) check_logs();
  if (!violation_) check_quorum_superset();
}

// Whoever an election could choose holds all that is committed. Fenced and stopped members too: they come back.
void Cluster::check_candidates() {
  for (NodeId id : decided().isr) {
    const MemoryLog& log = nodes_[index_of(id)]->log;
    for (std::size_t i = 0; i < committed_.size(); ++i) {
      const Offset o(static_cast<std::int64_t>(i));
      if (o >= log.log_end() || log.at(o) != committed_[i]) {
        return fail(fmt::format("node {} may be elected and lacks the committed record {}", id.value(), i));
      }
    }
  }
}

void Cluster::check_logs() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    for (std::size_t j = i + 1; j < nodes_.size(); ++j) {
      const Node& one = *nodes_[i];
      const Node& two = *nodes_[j];
      const Offset end = std::min(one.log.log_end(), two.log.log_end());
      const bool both_up = one.replica != nullptr && two.replica != nullptr;
      const Offset agreed =
          both_up ? std::min(one.replica->high_watermark(), two.replica->high_watermark()) : Offset{0};
      for (Offset o{0}; o < end; ++o) {
        const MemoryLog::Record& a = one.log.at(o);
        const MemoryLog::Record& b = two.log.at(o);
        if (a.epoch == b.epoch && a.value != b.value) return fail("one (offset, epoch) is two records");
        if (o < agreed && a != b) return fail(fmt::format("logs differ at {} below both high watermarks", o.value()));
      }
    }
  }
}

void Cluster::check_quorum_superset() {
  for (const auto& each : nodes_) {
    if (each->replica == nullptr || !each->replica->is_leader()) continue;
    const Replica& leader = *each->replica;
    if (leader.leader_epoch() != decided().leader_epoch) continue;
    if (leader.partition_epoch() != decided().partition_epoch && !leader.isr_proposal_in_flight()) continue;
    const auto maximal = leader.leading().maximal_isr();
    for (NodeId id : decided().isr) {
      if (std::ranges::find(maximal, id) == maximal.end()) return fail("the maximal ISR lacks a member of the ISR");
    }
  }
}

}  // namespace verdict::replication
