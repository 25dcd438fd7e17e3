#include <algorithm>

#include "checker/white_box_state.h"

// T3 (which records a marker ends), T9 (offsets of transactions) and what is left open (T3, T10, V5 at the deadline).
namespace verdict::checker {
namespace {

std::string number(const Begin& begin) { return std::to_string(begin.txn & 0xffffffff); }

}  // namespace

// The begin in which the batch was sent first; what is appended after that one was decided is late.
void WhiteBoxState::bind(PartitionTruth& p, const Replica& r, Produced& batch) {
  const BeginPlace* begin =
      transactions.begin_of_batch.find(batch_key(p, batch.producer, batch.epoch, batch.base_sequence));
  if (begin == nullptr || batch.base_sequence < 0) return;
  batch.begin = *begin;
  batch.late = transactions.begins[*begin - 1].decided;
  if (batch.late) judge_late(p, r, batch);
}

// T3: what comes after its own transaction's marker in the same log belongs to none. Below version two it may belong to
// the next, once that has begun.
void WhiteBoxState::judge_late(PartitionTruth& p, const Replica& r, const Produced& batch) {
  if (p.lost_records()) return;
  bool blind = false;
  const BatchIndex older = newest_of(batch.producer, tree[r.head].parent, r.log_start, &blind);
  if (older == kNoBatch || produced(older)->marker == Produced::Marker::none || produced(older)->begin != batch.begin)
    return;
  const Begin& begin = transactions.begins[batch.begin - 1];
  if (!begin.version_two) {
    if (*transactions.begin_of.find(TransactionTruth::key(batch.producer, batch.epoch)) != batch.begin) return;
    const std::uint32_t* known = transactions.id_of_producer.find(static_cast<std::uint64_t>(batch.producer));
    const std::string& state = known == nullptr ? std::string() : transactions.ids[*known - 1].state;
    if (state.empty() || state == "Ongoing") return;
  }
  violate("T3", &p, tree.base(r.head),
          broker(now.node) + " appends offset " + std::to_string(tree.base(r.head)) + " of " + name(p) +
              ", of transaction " + number(begin) + " of producer " + std::to_string(batch.producer) +
              ", behind that transaction's marker at offset " + std::to_string(tree.base(older)),
          "appends offset " + std::to_string(tree.base(r.head)));
}

// T3: in version two a marker ends the records of one transaction, that which was decided. Where a cut took a marker
// away (C1's excuse), the next one ends what it left open.
void WhiteBoxState::judge_bound(PartitionTruth& p, const Replica& r, const Decision& decision,
                                const protocol::events::TransactionalAppended& e) {
  // Excuse: a marker that was under way since before may come to a leader that is deposed, and has not heard.
  if (decision.version < 2 || decision.begin == 0 || p.lost_records() || p.deposed(r)) return;
  const Begin& ended = transactions.begins[decision.begin - 1];
  if (!ended.version_two) return;
  bool blind = false;
  const auto older = [&](BatchIndex i) { return newest_of(ended.producer, tree[i].parent, r.log_start, &blind); };
  for (BatchIndex i = older(r.head); i != kNoBatch; i = older(i)) {
    const Produced* batch = produced(i);
    if (batch->marker != Produced::Marker::none) return;
    if (!batch->transactional) continue;
    const bool other = batch->begin != 0 ? batch->begin != decision.begin : batch->epoch != decision.ended_epoch;
    if (!other) continue;
    violate("T3", &p, tree.base(i),
            "offset " + std::to_string(tree.base(i)) + " of " + name(p) + ", of " +
                (batch->begin != 0 ? "transaction " + number(transactions.begins[batch->begin - 1])
                                   : "epoch " + std::to_string(batch->epoch)) +
                " of producer " + std::to_string(batch->producer) + ", is ended by the marker (" +
                std::string(e.marker) + ") of its transaction " + number(ended),
            "appends a marker at offset " + std::to_string(e.base.value()));
    return;
  }
}

// ---- offsets of transactions ----

void WhiteBoxState::on(const protocol::events::OffsetsEnded& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr) return;
  const Replica& r = p->replicas[slot(*p, now.node)];
  // The newest of a transaction, below the true high watermark.
  bool blind = false;
  BatchIndex newest = newest_of(e.producer_id.value(), ancestor(r.head, p->true_hw), r.log_start, &blind);
  while (newest != kNoBatch && !produced(newest)->transactional)
    newest = newest_of(e.producer_id.value(), tree[newest].parent, r.log_start, &blind);
  const auto active = transactions.active.find({now.node, index_of(*p)});
  if (blind) {
    if (active != transactions.active.end()) active->second.applied[e.producer_id.value()] = log_end(r);
    return;
  }
  const Produced::Marker marker = newest == kNoBatch ? Produced::Marker::none : produced(newest)->marker;
  const bool commits = e.marker == "commit";
  if (marker != (commits ? Produced::Marker::commit : Produced::Marker::abort)) {
    violate("T9", p, newest == kNoBatch ? std::nullopt : std::optional(tree.base(newest)),
            broker(now.node) + (commits ? " makes visible" : " drops") + " what producer " +
                std::to_string(e.producer_id.value()) + "'s transaction committed of offsets in " + name(*p) +
                (marker == Produced::Marker::none     ? " before its marker is committed there"
                 : marker == Produced::Marker::commit ? " though its marker there is a commit"
                                                      : " though its marker there is an abort"),
            "ends offsets (" + std::string(e.marker) + ") of producer " + std::to_string(e.producer_id.value()));
    return;
  }
  if (active != transactions.active.end()) active->second.applied[e.producer_id.value()] = tree.base(newest);
}

void WhiteBoxState::on(const protocol::events::MarkerAnswered& e) {
  PartitionTruth* p = find(e.partition);
  if (p == nullptr || e.error_code != 0) return;
  const auto active = transactions.active.find({now.node, index_of(*p)});
  if (active == transactions.active.end() || topics[p->topic].name != kOffsetsLog) return;
  const std::int64_t offset = e.offset.value(), id = e.producer_id.value();
  if (offset < active->second.from) return;  // it was in the log that the coordinator loaded
  const auto applied = active->second.applied.find(id);
  if (applied != active->second.applied.end() && applied->second >= offset) return;
  violate("T9", p, offset,
          broker(now.node) + " acknowledges the marker (" + std::string(e.marker) + ") at offset " +
              std::to_string(offset) + " of " + name(*p) + " before producer " + std::to_string(id) +
              "'s offsets there are " + (e.marker == "commit" ? "visible" : "dropped"),
          "acknowledges a marker at offset " + std::to_string(offset));
}

// ---- what is left open ----

// From where the scan had come to, or anew if the log was cut since.
void WhiteBoxState::scan_open(const PartitionTruth& p, OpenScan& scan) {
  std::size_t from = 1;
  if (scan.head != kNoBatch && on_main(p, scan.head)) {
    from = tree[scan.head].depth + std::size_t{1};
  } else {
    scan.open.clear();
  }
  for (std::size_t depth = from; depth < p.main.size(); ++depth) {
    const BatchIndex i = p.main[depth];
    if (tree[i].unknown) scan.open.clear();  // there may be markers in it
    const Produced* batch = produced(i);
    if (batch == nullptr) continue;
    if (batch->marker != Produced::Marker::none) {
      scan.open.erase(batch->producer);
    } else if (batch->transactional) {
      scan.open.try_emplace(batch->producer,
                            OpenScan::Open{.first = tree.base(i), .begin = batch->begin, .late = batch->late});
    }
  }
  scan.head = p.main.back();
}

void WhiteBoxState::open_in(const PartitionTruth& p, std::vector<OpenTransaction>& found) {
  if (deleted(p) || p.lost_records()) return;
  OpenScan& scan = transactions.scans[index_of(p)];
  scan_open(p, scan);
  for (const auto& [producer, open] : scan.open) {
    const std::uint32_t* place = transactions.id_of_producer.find(static_cast<std::uint64_t>(producer));
    if (place == nullptr) continue;  // nobody told of a coordinator
    const TransactionalId& id = transactions.ids[*place - 1];
    if (id.open() && id.producer == producer) continue;  // V5's concern
    const bool touched = open.begin != 0 && !open.late && transactions.begins[open.begin - 1].decided;
    const std::string of = "transaction of producer " + std::to_string(producer) + " (" + id.name + ")";
    found.push_back({.invariant = touched ? "T3" : "T10",
                     .partition = p.key,
                     .partition_name = name(p),
                     .offset = Offset(open.first),
                     .sentence = touched ? name(p) + " has no marker of a " + of +
                                               " that is decided, open there since offset " + std::to_string(open.first)
                                         : "a " + of + " is open in " + name(p) + " since offset " +
                                               std::to_string(open.first) + ", and no coordinator will end it"});
  }
}

std::vector<OpenTransaction> WhiteBoxState::open_transactions() {
  std::vector<OpenTransaction> found;
  if (transactions.ids.empty() || lost_decisions()) return found;
  for (const PartitionTruth& p : partitions) open_in(p, found);
  for (const TransactionalId& id : transactions.ids) {
    if (!id.open()) continue;
    found.push_back({.invariant = "V5",
                     .sentence = "the transaction of " + id.name + " (producer " + std::to_string(id.producer) +
                                 ") is not closed: it is " + id.state});
  }
  return found;
}

}  // namespace verdict::checker
