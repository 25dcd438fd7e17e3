#include <algorithm>

#include "checker/white_box_state.h"

// T6 and T11: what coordinators decide, against what clients asked for, and markers against what was decided.
namespace verdict::checker {
namespace {

std::string producer(std::int64_t id, std::int16_t epoch) {
  return "producer " + std::to_string(id) + " in epoch " + std::to_string(epoch);
}

Move::Stand stand_of(std::string_view state) {
  if (state == "Ongoing") return Move::Stand::ongoing;
  return state == "PrepareCommit" || state == "PrepareAbort" ? Move::Stand::prepared : Move::Stand::over;
}

}  // namespace

// ---- what clients say ----

void WhiteBoxState::transaction_begun(const ClientTransaction& t) {
  TransactionTruth& truth = transactions;
  BeginPlace& latest = truth.begin_of[TransactionTruth::key(t.producer_id, t.producer_epoch)];
  truth.begins.push_back(
      {.txn = t.txn, .producer = t.producer_id, .version_two = t.version_two, .begun = now.time, .before = latest});
  latest = static_cast<BeginPlace>(truth.begins.size());
  truth.current[static_cast<std::uint64_t>(t.process)] = latest;
}

void WhiteBoxState::transaction_asked(const ClientAsk& ask) {
  TransactionTruth& truth = transactions;
  const std::int32_t more = ask.settled ? -1 : 1;
  if (ask.call == ClientAsk::Call::init) {
    TransactionalId& id = truth.id(ask.transactional_id);
    id.inits_open += more;
    if (ask.settled) return;
    id.init_asked = true;
    id.last_init = now.time;
    return;
  }
  const BeginPlace* place = truth.current.find(static_cast<std::uint64_t>(ask.process));
  if (place == nullptr) return;
  Begin& begin = truth.begins[*place - 1];
  const bool commit = ask.call == ClientAsk::Call::commit;
  (commit ? begin.commits_open : begin.aborts_open) += more;
  (commit ? begin.commit_asked : begin.abort_asked) = true;
}

void WhiteBoxState::transactional_sent(std::int64_t process, const PartitionKey& key, std::int64_t id,
                                       std::int16_t epoch, std::int32_t sequence) {
  const BeginPlace* place = transactions.current.find(static_cast<std::uint64_t>(process));
  if (place == nullptr) return;
  const BeginPlace begin = *place;
  transactions.begin_of_batch[batch_key(partition(key), id, epoch, sequence)] = begin;
}

std::uint64_t WhiteBoxState::batch_key(const PartitionTruth& p, std::int64_t id, std::int16_t epoch,
                                       std::int32_t sequence) const {
  return mix64(batch_identity(id, epoch, sequence) + index_of(p)) >> 1;
}

// ---- what coordinators say ----

// The latest that the coordinator's own log, or what it is about to append, says of the id; nullptr: nothing.
const Move* WhiteBoxState::latest_move(const TransactionalId& id, const PartitionTruth& p, const Replica& r) const {
  const auto coming = transactions.moving.find({r.node, index_of(p)});
  const auto appended = [&](BatchIndex record) { return r.head != kNoBatch && on_path(p, r.head, record); };
  const auto announced = [&](MovePlace place) {
    return coming != transactions.moving.end() && std::ranges::find(coming->second, place) != coming->second.end();
  };
  for (MovePlace i = id.moves; i != 0; i = transactions.moves[i - 1].before) {
    const Move& move = transactions.moves[i - 1];
    if (move.record == kNoBatch ? announced(i) : appended(move.record)) return &move;
  }
  return nullptr;
}

// Returns the ghost of which it is.
std::uint32_t WhiteBoxState::add_move(TransactionalId& id, const Move* before, Move::Stand stand, BatchIndex record) {
  const Move::Stand from = before == nullptr ? Move::Stand::over : before->stand;
  // A begin: an abort of what never got a partition is one too, and its end.
  const bool begins =
      stand == Move::Stand::ongoing ? from != stand : stand == Move::Stand::prepared && from == Move::Stand::over;
  const std::uint32_t ghost = begins || before == nullptr ? ++transactions.ghosts : before->ghost;
  transactions.moves.push_back({.record = record, .stand = stand, .ghost = ghost, .before = id.moves});
  id.moves = static_cast<MovePlace>(transactions.moves.size());
  return ghost;
}

// A coordinator appends one record for each move that it has announced, in that order.
void WhiteBoxState::place_moves(const PartitionTruth& p, BatchIndex record, std::int32_t records) {
  if (transactions.moving.empty()) return;
  const auto coming = transactions.moving.find({now.node, index_of(p)});
  if (coming == transactions.moving.end()) return;
  std::vector<MovePlace>& places = coming->second;
  const auto end = places.begin() + std::min<std::ptrdiff_t>(records, std::ssize(places));
  for (auto i = places.begin(); i != end; ++i) transactions.moves[*i - 1].record = record;
  places.erase(places.begin(), end);
  if (places.empty()) transactions.moving.erase(coming);
}

void WhiteBoxState::on(const protocol::events::TransactionMoved& e) {
  see_fence(e);
  PartitionTruth& p = partition(e.coordinator);
  const std::uint32_t place = index_of(p);
  TransactionalId& id = transactions.id(e.transactional_id);
  add_move(id, latest_move(id, p, p.replicas[slot(p, now.node)]), stand_of(e.state), kNoBatch);
  transactions.moving[{now.node, place}].push_back(id.moves);
  std::int32_t& newest = transactions.coordinator_epochs[place];
  if (e.coordinator_epoch < newest) return;  // of one that is deposed, and does not know
  newest = e.coordinator_epoch;
  moved(id, place, e.producer_id, e.state == "Dead" ? "" : e.state);
}

void WhiteBoxState::moved(TransactionalId& id, std::uint32_t coordinator, std::int64_t producer_id,
                          std::string_view state) {
  id.partition = coordinator;
  id.state = state;
  id.producer = producer_id;
  transactions.id_of_producer[static_cast<std::uint64_t>(producer_id)] =
      static_cast<std::uint32_t>(&id - transactions.ids.data()) + 1;
}

void WhiteBoxState::on(const protocol::events::CoordinatorChanged& e) {
  const PartitionTruth& p = partition(e.partition);
  const std::uint32_t place = index_of(p);
  transactions.moving.erase({now.node, place});
  transactions.active.erase({now.node, place});
  if (!e.active) return;
  std::int32_t& newest = transactions.coordinator_epochs[place];
  if (e.leader_epoch.value() < newest) return;
  newest = e.leader_epoch.value();
  transactions.active[{now.node, place}] = {.from = e.end.value(), .applied = {}};
  // What an earlier coordinator moved ahead of its commit may be lost; transaction_found says what is there.
  for (TransactionalId& id : transactions.ids) {
    if (id.partition == place && id.producer >= 0) id.state.clear();
  }
}

void WhiteBoxState::on(const protocol::events::TransactionFound& e) {
  PartitionTruth& p = partition(e.coordinator);
  const std::uint32_t place = index_of(p);
  // Of one that was deposed before it had loaded, and does not know.
  if (!transactions.active.contains({now.node, place})) return;
  const Replica& r = p.replicas[slot(p, now.node)];
  TransactionalId& id = transactions.id(e.transactional_id);
  const Move* latest = latest_move(id, p, r);
  const bool known = latest != nullptr && latest->stand == stand_of(e.state);
  const std::uint32_t ghost = known ? latest->ghost : add_move(id, latest, stand_of(e.state), r.head);
  moved(id, place, e.producer_id, e.state);
  if (!id.prepared()) return;
  const bool commit = id.state == "PrepareCommit";
  if (decision_for(e.producer_id, e.producer_epoch, commit) != nullptr) return;
  // Whoever decided it died before he could tell.
  keep_decision({.commit = commit, .partition = place, .ghost = ghost}, e.producer_id, e.producer_epoch);
}

void WhiteBoxState::keep_decision(Decision decision, std::int64_t producer_id, std::int16_t epoch) {
  DecisionPlace& latest = transactions.decision_of[TransactionTruth::key(producer_id, epoch)];
  decision.before = latest;
  transactions.decisions.push_back(decision);
  latest = static_cast<DecisionPlace>(transactions.decisions.size());
}

void WhiteBoxState::on(const protocol::events::TransactionDecided& e) {
  PartitionTruth& p = partition(e.coordinator);
  const Replica& r = p.replicas[slot(p, now.node)];
  const TransactionalId& id = transactions.id(e.transactional_id);
  const BeginPlace* begun = transactions.begin_of.find(TransactionTruth::key(e.producer_id, e.ended_epoch));
  const BeginPlace begin = begun == nullptr ? 0 : *begun;
  const BatchIndex at = batch_at(p, r, e.offset.value());
  const Move* move = latest_move(id, p, r);
  const Begin* of = begin == 0 ? nullptr : &transactions.begins[begin - 1];
  const bool asked = of != nullptr && (e.cause != "end" || of->asked_to(e.commit));
  if (begin != 0) transactions.begins[begin - 1].decided = true;
  keep_decision({.commit = e.commit,
                 .ended_epoch = e.ended_epoch,
                 .version = e.version,
                 .partition = index_of(p),
                 .record = at,
                 .ghost = move == nullptr ? ++transactions.ghosts : move->ghost,
                 .begin = begin,
                 .asked = asked},
                e.producer_id, e.producer_epoch);
  judge_decision(p, id, begin, e);
}

// T11. Of who is no client of ours nothing is known.
void WhiteBoxState::judge_decision(const PartitionTruth& p, const TransactionalId& id, BeginPlace place,
                                   const protocol::events::TransactionDecided& e) {
  if (!id.init_asked) return;
  const auto breaks = [&](const std::string& why) {
    violate("T11", &p, e.offset.value(),
            broker(now.node) + (e.commit ? " commits" : " aborts") + " the transaction of " + id.name + " (" +
                producer(e.producer_id, e.ended_epoch) + ")" + why,
            "decides to " + std::string(e.commit ? "commit" : "abort") + " " + id.name);
  };
  const Begin* begin = place == 0 ? nullptr : &transactions.begins[place - 1];
  if (e.cause == "timeout") {
    if (e.open_ms <= e.timeout_ms)
      breaks(" as timed out after " + std::to_string(e.open_ms) + " ms of " + std::to_string(e.timeout_ms));
    return;
  }
  if (e.cause == "fence") {
    const bool asked = id.inits_open > 0 || begin == nullptr || id.last_init >= begin->begun;
    if (!asked) breaks(" though nobody asked for its id");
    return;
  }
  if (begin != nullptr && begin->asked_to(e.commit)) return;
  // Excuse: before version two an end that was asked for an earlier transaction of the same epoch may be late.
  for (BeginPlace i = place; i != 0; i = transactions.begins[i - 1].before) {
    const Begin& earlier = transactions.begins[i - 1];
    if (!earlier.version_two && (e.commit ? earlier.commits_open : earlier.aborts_open) > 0) return;
  }
  breaks(begin == nullptr
             ? ", which its producer never began"
             : ", which its producer has not asked for in transaction " + std::to_string(begin->txn & 0xffffffff));
}

bool WhiteBoxState::durable(const Decision& decision) const {
  if (decision.record == kNoBatch) return true;
  const PartitionTruth& p = partitions[decision.partition];
  return end(decision.record) <= p.true_hw && on_main(p, decision.record);
}

// The latest durable one, or the latest to commit or to abort, that a marker of this producer id and epoch may carry
// out; nullptr: none.
const Decision* WhiteBoxState::decision_for(std::int64_t producer_id, std::int16_t epoch, std::optional<bool> commit) {
  const DecisionPlace* latest = transactions.decision_of.find(TransactionTruth::key(producer_id, epoch));
  for (DecisionPlace i = latest == nullptr ? 0 : *latest; i != 0; i = transactions.decisions[i - 1].before) {
    const Decision& decision = transactions.decisions[i - 1];
    if (decision.commit == commit.value_or(decision.commit) && durable(decision)) return &decision;
  }
  return nullptr;
}

// A leader's append of a marker: T6, T3. An operator's own marker (WriteTxnMarkers) has no decision; simulated ones
// write none.
void WhiteBoxState::judge_marker(PartitionTruth& p, const Replica& r,
                                 const protocol::events::TransactionalAppended& e) {
  const std::int64_t id = e.producer_id.value();
  const std::uint32_t* known = transactions.id_of_producer.find(static_cast<std::uint64_t>(id));
  if (known == nullptr || lost_decisions()) return;
  const std::int16_t epoch = e.producer_epoch.value();
  const Outcome outcome = e.marker == "commit" ? Outcome::commit : Outcome::abort;
  const auto breaks = [&](std::string_view rule, const std::string& why) {
    violate(rule, &p, e.base.value(),
            broker(now.node) + " appends a marker (" + std::string(e.marker) + ") of " + producer(id, epoch) + " to " +
                name(p) + why,
            "appends a marker at offset " + std::to_string(e.base.value()));
  };
  // Excuse: where a leader is deposed, and has not heard, a coordinator as late as itself may still end an earlier
  // transaction of the same epoch. What is to be ended later never was in that log.
  const Decision* decision = p.deposed(r) ? decision_for(id, epoch, outcome == Outcome::commit) : nullptr;
  if (decision == nullptr) decision = decision_for(id, epoch);
  if (decision == nullptr) {
    breaks("T6", ", which no coordinator has durably decided");
    return;
  }
  Outcome& marked = transactions.marked[decision->ghost];
  if (marked != Outcome::none && marked != outcome) {
    breaks("T3", ", but other markers of that transaction say otherwise");
    return;
  }
  if (decision->commit != (outcome == Outcome::commit)) {
    breaks("T6", std::string(", whose coordinator has decided to ") + (decision->commit ? "commit" : "abort"));
    return;
  }
  marked = outcome;
  if (decision->asked) produced_[r.head].begin = decision->begin;
  judge_bound(p, r, *decision, e);
}

// With C1's excuse a coordinator's log lost what was committed: from then on nobody knows what was decided.
bool WhiteBoxState::lost_decisions() const {
  return std::ranges::any_of(partitions, [this](const PartitionTruth& p) {
    return p.lost_records() && topics[p.topic].name == kTransactionLog;
  });
}

}  // namespace verdict::checker
