#include "checker/white_box.h"

#include <algorithm>
#include <array>
#include <concepts>
#include <type_traits>
#include <utility>

#include "checker/white_box_state.h"

namespace verdict::checker {
namespace {

template <class Event>
constexpr bool is_decision =
    std::same_as<Event, protocol::events::PartitionDecided> || std::same_as<Event, protocol::events::BrokerFencing> ||
    std::same_as<Event, protocol::events::BrokerRegistered> || std::same_as<Event, protocol::events::TopicCreated> ||
    std::same_as<Event, protocol::events::TopicDeleted> || std::same_as<Event, protocol::events::MinIsrConfigured>;

// holds_alternative looks through the list of alternatives at every call, now that there are more than 32.
template <std::size_t... I>
constexpr std::array<bool, sizeof...(I)> decisions(std::index_sequence<I...>) {
  return {is_decision<std::variant_alternative_t<I, protocol::Event>>...};
}
constexpr auto kDecisions = decisions(std::make_index_sequence<std::variant_size_v<protocol::Event>>());

bool tells_a_decision(const protocol::Event& event) { return kDecisions[event.index()]; }

// Of the events of a partition, those that can change its abstract state.
template <class Event>
constexpr bool moves_abstract_state =
    std::same_as<Event, protocol::events::LogOpened> || std::same_as<Event, protocol::events::BatchAppended> ||
    std::same_as<Event, protocol::events::LogTruncated> || std::same_as<Event, protocol::events::BecameLeader> ||
    std::same_as<Event, protocol::events::BecameFollower> ||
    std::same_as<Event, protocol::events::HighWatermarkAdvanced> ||
    std::same_as<Event, protocol::events::IsrProposed> || std::same_as<Event, protocol::events::IsrAdopted> ||
    std::same_as<Event, protocol::events::PartitionDecided>;

std::string say(const Note& n) {
  const std::string a = std::to_string(n.a), b = std::to_string(n.b), epoch = std::to_string(n.epoch);
  switch (n.kind) {
    case Note::Kind::decided:
      return (n.a < 0 ? "the controller leaves it without a leader" : "the controller makes broker " + a + " leader") +
             " in epoch " + epoch + " (partition epoch " + b + ")";
    case Note::Kind::became_leader:
      return "leads in epoch " + epoch + " from offset " + a + " with high watermark " + b;
    case Note::Kind::truncated:
      return (n.b > n.a ? "starts its log anew, from " : "truncates its log from ") + a + " to " + b;
    case Note::Kind::opened:
      return "opens its log, which ends at " + a + " (epoch " + epoch + ")";
    case Note::Kind::lost:
      return "loses its copy from offset " + a + " to a disk fault";
    case Note::Kind::stopped:
      return n.a == 0 ? "is killed" : n.a == 1 ? "loses power" : "stops";
    case Note::Kind::started:
      return "starts";
    case Note::Kind::registered:
      return std::string("is registered after ") + (n.b != 0 ? "a clean" : "an unclean") + " stop (broker epoch " + a +
             ")";
    case Note::Kind::fencing:
      return n.a != 0 ? "is fenced" : n.b != 0 ? "is shutting down" : "is unfenced";
    case Note::Kind::high_watermark:
      return "advances its high watermark to " + a + " in epoch " + epoch;
    case Note::Kind::cut:
      return "committed records from offset " + a + " are lost to faults in epoch " + epoch;
    case Note::Kind::cleaned:
      return "compacts its log from offset " + a + " to " + b;
    case Note::Kind::lowered:
      return n.b != 0 ? "cuts offsets from " + a + " on, which nobody was told of, on a deposed leader's word"
                      : "joins the ISR with log end " + a + ", below offsets that nobody was told of";
  }
  return {};
}

}  // namespace

void WhiteBoxState::note(PartitionTruth& p, Note::Kind kind, NodeId who, std::int64_t a, std::int64_t b,
                         std::int32_t epoch) {
  const Note made{kind, now.time, who, node(who).incarnation, a, b, epoch};
  if (p.notes.size() < kNotes) {
    p.notes.push_back(made);
  } else {
    p.notes[p.next_note] = made;
    p.next_note = (p.next_note + 1) % kNotes;
  }
}

void WhiteBoxState::violate(std::string_view id, const PartitionTruth* p, std::optional<std::int64_t> offset,
                            std::string sentence, std::string what) {
  if (violation) return;
  Violation& v = violation.emplace();
  v.invariant = id;
  v.sentence = std::move(sentence);
  v.time = now.time;
  v.node = now.node;
  if (offset) v.offset = Offset(*offset);
  if (p != nullptr) {
    v.partition = p->key;
    v.partition_name = name(*p);
    for (std::size_t i = 0; i < p->notes.size(); ++i) {
      const Note& n = p->notes[(p->next_note + i) % p->notes.size()];
      v.witnesses.push_back(Witness{n.time, n.node, n.incarnation, say(n)});
    }
  }
  v.witnesses.push_back(Witness{now.time, now.node, now.incarnation, std::move(what)});
}

WhiteBox::WhiteBox(WhiteBoxOptions options) : state_(std::make_unique<WhiteBoxState>(options)) {}
WhiteBox::~WhiteBox() = default;
WhiteBox::WhiteBox(WhiteBox&&) noexcept = default;
WhiteBox& WhiteBox::operator=(WhiteBox&&) noexcept = default;

void WhiteBox::on_event(MonoTime virtual_now, NodeId node, std::uint32_t incarnation, const protocol::Event& event) {
  ++state_->metrics.events;
  if (!state_->violation && !tells_a_decision(event)) state_->settle_elections(WhiteBoxState::Settle::all);
  if (state_->violation) return;
  state_->now = Now{virtual_now, node, incarnation};
  std::visit(
      [this](const auto& e) {
        state_->on(e);
        if constexpr (moves_abstract_state<std::remove_cvref_t<decltype(e)>>) {
          if (!state_->options.abstract_states) return;
          if (PartitionTruth* p = state_->find(e.partition)) state_->see(*p);
        }
      },
      event);
}

void WhiteBox::node_started(MonoTime now, NodeId node, std::uint32_t incarnation) {
  state_->settle_elections(WhiteBoxState::Settle::all);
  state_->now = Now{now, node, incarnation};
  state_->started(node, incarnation);
  state_->see_partitions_of(node);
}

void WhiteBox::node_stopped(MonoTime now, NodeId node, std::uint32_t incarnation, StopKind kind) {
  state_->settle_elections(WhiteBoxState::Settle::all);
  state_->now = Now{now, node, incarnation};
  state_->stopped(node, kind);
  state_->see_partitions_of(node);
}

void WhiteBox::bytes_lost(MonoTime now, NodeId node, std::string_view path, std::uint64_t from, std::uint64_t to,
                          LossCause cause) {
  state_->now = Now{now, node, state_->node(node).incarnation};
  const auto most = static_cast<std::uint64_t>(kNever);
  state_->bytes_lost(node, path, static_cast<std::int64_t>(std::min(from, most)),
                     static_cast<std::int64_t>(std::min(to, most)), cause);
}

void WhiteBox::disk_imaged(MonoTime now, NodeId node, std::uint64_t image) {
  state_->now = Now{now, node, state_->node(node).incarnation};
  state_->imaged(node, image);
}

void WhiteBox::disk_restored(MonoTime now, NodeId node, std::uint64_t image) {
  state_->now = Now{now, node, state_->node(node).incarnation};
  state_->restored(node, image);
}

void WhiteBox::produce_sent(MonoTime now, std::uint64_t client, std::uint64_t operation, const PartitionKey& partition,
                            std::uint32_t crc) {
  state_->now = Now{now, kNoNode, 0};
  state_->produce_sent(client, operation, partition, crc);
}

void WhiteBox::produce_renumbered(std::uint64_t client, std::uint64_t operation, const PartitionKey& partition,
                                  std::uint32_t crc) {
  state_->produce_renumbered(client, operation, partition, crc);
}

void WhiteBox::produce_finished(std::uint64_t client, std::uint64_t operation) {
  state_->produce_finished(client, operation);
}

void WhiteBox::transaction_begun(MonoTime now, const ClientTransaction& transaction) {
  state_->now = Now{now, kNoNode, 0};
  state_->transaction_begun(transaction);
}

void WhiteBox::transaction_asked(MonoTime now, const ClientAsk& ask) {
  state_->now = Now{now, kNoNode, 0};
  state_->transaction_asked(ask);
}

void WhiteBox::transactional_sent(std::int64_t process, const PartitionKey& partition, std::int64_t producer_id,
                                  std::int16_t producer_epoch, std::int32_t base_sequence) {
  state_->transactional_sent(process, partition, producer_id, producer_epoch, base_sequence);
}

std::vector<OpenTransaction> WhiteBox::open_transactions() const { return state_->open_transactions(); }

void WhiteBox::offsets_asked(MonoTime now, std::uint64_t client) {
  state_->now = Now{now, kNoNode, 0};
  state_->offsets_asked(client);
}

void WhiteBox::consumption_resumed(MonoTime now, std::uint64_t client, std::string_view group, std::string_view topic,
                                   std::int32_t partition, std::int64_t position) {
  state_->now = Now{now, kNoNode, 0};
  state_->consumption_resumed(client, group, topic, partition, position);
}

void WhiteBox::faults_healed(MonoTime now) {
  state_->healed = now;
  state_->heal_rot();
}
std::optional<MonoTime> WhiteBox::healed() const { return state_->healed; }

void WhiteBox::judge_liveness(const LivenessProbe& probe, const LivenessBounds& bounds) {
  state_->settle_elections(WhiteBoxState::Settle::all);
  if (state_->violation || !state_->healed) return;
  auto found = check_liveness(probe, *state_->healed, bounds);
  if (!found) return;
  if (found->partition) {
    if (PartitionTruth* p = state_->find(*found->partition)) {
      std::vector<Witness> own = std::move(found->witnesses);
      state_->now = Now{probe.now, found->node, 0};
      state_->violate(found->invariant, p, std::nullopt, found->sentence, "");
      state_->violation->witnesses.pop_back();
      std::ranges::move(own, std::back_inserter(state_->violation->witnesses));
      return;
    }
  }
  state_->violation = std::move(found);
}

const std::optional<Violation>& WhiteBox::violation() const { return state_->violation; }
std::vector<GroupStatus> WhiteBox::group_status() const { return state_->group_status(); }
const Metrics& WhiteBox::metrics() const { return state_->metrics; }
std::size_t WhiteBox::memory_bytes() const { return state_->memory_bytes(); }
const std::vector<std::uint64_t>& WhiteBox::abstract_states() const { return state_->states.all(); }

bool WhiteBox::rotted(std::string_view topic, std::int32_t partition) const {
  return std::ranges::any_of(state_->partitions, [&](const PartitionTruth& p) {
    return p.rotted && p.key.index == partition && state_->topics[p.topic].name == topic;
  });
}

bool WhiteBox::misled(const PartitionKey& partition) const {
  const PartitionTruth* p = state_->find(partition);
  return p != nullptr && std::ranges::any_of(p->replicas, &Replica::misled);
}

Offset WhiteBox::true_high_watermark(const PartitionKey& partition) const {
  const PartitionTruth* p = state_->find(partition);
  return p == nullptr ? kNoOffset : Offset(p->true_hw);
}

Offset WhiteBox::log_end(const PartitionKey& partition, NodeId node) const {
  const PartitionTruth* p = state_->find(partition);
  const Slot s = p == nullptr ? kNoSlot : state_->find_slot(*p, node);
  return s == kNoSlot ? kNoOffset : Offset(state_->log_end(p->replicas[s]));
}

Offset WhiteBox::readable_end(const PartitionKey& partition, NodeId node, Offset bound) const {
  const PartitionTruth* p = state_->find(partition);
  const Slot s = p == nullptr ? kNoSlot : state_->find_slot(*p, node);
  if (s == kNoSlot || !p->compacted) return bound;
  const Replica& r = p->replicas[s];
  if (r.head == kNoBatch) return Offset(r.log_start);
  return Offset(std::max(r.log_start, state_->tree[state_->left_below(r, bound.value())].end));
}

}  // namespace verdict::checker
