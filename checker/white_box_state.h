#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checker/abstract_state.h"
#include "checker/group_truth.h"
#include "checker/id_map.h"
#include "checker/transaction_truth.h"
#include "checker/truth.h"
#include "checker/white_box.h"

namespace verdict::checker {

// The event (or call) that is being judged.
struct Now {
  MonoTime time;
  NodeId node = kNoNode;
  std::uint32_t incarnation = 0;
};

// Invariants by file: white_box_log.cpp L1 C3 C5, white_box_recovery.cpp L4, white_box_leader.cpp C4 C9 M1 C8,
// white_box_client.cpp C6 C7 L3 M1, white_box_controller.cpp C1 C2 C8 M2, white_box_transactions.cpp T1 T2 T4 T5 T7 T8,
// white_box_producers.cpp T7 T12, white_box_coordinator.cpp T6 T11, white_box_ghost.cpp T3 T9 T10,
// white_box_groups.cpp G1-G5 (white_box_consumer_groups.cpp: G1 of the consumer protocol), white_box_compaction.cpp L2.
// Of a batch that has a producer id.
struct Produced {
  enum class Marker : std::uint8_t { none, commit, abort };
  std::int64_t producer = -1;
  std::int32_t base_sequence = -1;
  std::int16_t epoch = -1;
  bool transactional = false;
  Marker marker = Marker::none;
  BeginPlace begin = 0;  // the transaction in which its client sent it first, or which the marker ends
  bool late = false;     // that one was decided when it was appended
};

constexpr std::size_t kFences = 8;  // of a producer, the newest

constexpr std::uint64_t operation_key(std::uint64_t client, std::uint64_t operation) {
  return ((client & 0x7fffff) << 40) | (operation & 0xffffffffff);
}

// One record of a batch in a compacted partition, by hashes of its key (0: none) and of all that it holds (negative: a
// tombstone).
struct RecordTruth {
  std::int64_t offset;
  std::int64_t key;
  std::int64_t content;
  friend bool operator==(const RecordTruth&, const RecordTruth&) = default;
};

class WhiteBoxState {
 public:
  explicit WhiteBoxState(WhiteBoxOptions o) : options(o) {}

  WhiteBoxOptions options;
  Metrics metrics;
  std::optional<Violation> violation;
  std::optional<MonoTime> healed;
  Now now;
  BatchTree tree;
  std::vector<PartitionTruth> partitions;
  AbstractStates states;

  // ---- look-ups (truth.cpp) ----
  NodeTruth& node(NodeId id);
  PartitionTruth* find(const PartitionKey& key);       // nullptr: unknown or its topic is deleted
  PartitionTruth& partition(const PartitionKey& key);  // creates
  std::uint32_t index_of(const PartitionTruth& p) const { return static_cast<std::uint32_t>(&p - partitions.data()); }
  bool deleted(const PartitionTruth& p) const { return topics[p.topic].deleted; }
  std::uint32_t topic(const Uuid& id);
  Slot slot(PartitionTruth& p, NodeId id);  // gives one
  SlotMask mask(PartitionTruth& p, protocol::events::NodeSpan ids);
  Slot find_slot(const PartitionTruth& p, NodeId id) const;
  std::string name(const PartitionTruth& p) const;  // "orders-0"
  std::size_t memory_bytes() const;

  // ---- logs as paths (truth.cpp) ----
  std::int64_t end(BatchIndex i) const { return tree[i].end; }
  std::int64_t log_end(const Replica& r) const { return r.head == kNoBatch ? 0 : tree[r.head].end; }
  std::int64_t matched_end(const Replica& r) const { return r.matched == kNoBatch ? 0 : tree[r.matched].end; }
  bool on_main(const PartitionTruth& p, BatchIndex i) const {
    const std::uint32_t depth = tree[i].depth;
    return depth < p.main.size() && p.main[depth] == i;
  }
  BatchIndex meet(const PartitionTruth& p, BatchIndex i) const;  // deepest ancestor (or itself) on main
  BatchIndex main_at(PartitionTruth& p, std::int64_t offset);    // the batch of main that holds offset, or kNoBatch
  BatchIndex batch_at(PartitionTruth& p, const Replica& r, std::int64_t offset);  // the same on the replica's path
  BatchIndex ancestor(BatchIndex i, std::int64_t to) const;                       // deepest with end <= to
  BatchIndex place(PartitionTruth& p, std::int64_t to, std::int32_t epoch);  // where a log that ends at `to` may stand
  BatchIndex child(const PartitionTruth& p, BatchIndex parent, const BatchContent& content) const;
  BatchIndex unknown_child(const PartitionTruth& p, BatchIndex parent) const;
  BatchIndex grow(PartitionTruth& p, BatchIndex parent, const BatchContent& content);
  BatchIndex common(BatchIndex a, BatchIndex b) const;  // deepest common ancestor
  void set_main(PartitionTruth& p, BatchIndex head);    // keeps the ghost; head's path must hold it
  void trim_main(PartitionTruth& p);                    // after the main replica's path got shorter
  void set_head(PartitionTruth& p, Slot s, BatchIndex head);
  void hold(BatchIndex i, Slot s) {
    if (s < 16) tree[i].held = static_cast<std::uint16_t>(tree[i].held | (1U << s));
  }

  // ---- the true high watermark (truth.cpp) ----
  std::int32_t effective_min(const PartitionTruth& p, const NodeTruth& reader) const;
  void raise_true_hw(PartitionTruth& p);
  void set_true_hw(PartitionTruth& p, std::int64_t to);  // if that is higher
  void lower_true_hw(PartitionTruth& p, std::int64_t to);
  bool cut_away(const PartitionTruth& p, std::int32_t epoch, std::int64_t end_offset) const {
    return epoch < p.cut_epoch && end_offset > p.cut_offset;
  }
  void check_candidates(PartitionTruth& p);  // C2

  // ---- abstract states (abstract_state.cpp) ----
  std::uint64_t abstract_state(const PartitionTruth& p) const;
  void see(PartitionTruth& p);
  void see_partitions_of(NodeId id);

  // ---- results (white_box.cpp) ----
  void note(PartitionTruth& p, Note::Kind kind, NodeId who, std::int64_t a = 0, std::int64_t b = 0,
            std::int32_t epoch = -1);
  void violate(std::string_view id, const PartitionTruth* p, std::optional<std::int64_t> offset, std::string sentence,
               std::string what);

  // ---- events ----
  void on(const protocol::events::LogOpened& e);
  void on(const protocol::events::LogClosed& e);
  void on(const protocol::events::BatchAppended& e);
  void on(const protocol::events::LogTruncated& e);
  void on(const protocol::events::LogStartMoved& e);
  void on(const protocol::events::LogFlushed& e);
  void on(const protocol::events::BecameLeader& e);
  void on(const protocol::events::BecameFollower& e);
  void on(const protocol::events::FollowerFetched& e);
  void on(const protocol::events::HighWatermarkAdvanced& e);
  void on(const protocol::events::IsrProposed& e);
  void on(const protocol::events::IsrAdopted& e);
  void on(const protocol::events::DivergenceAnswered& e);
  void on(const protocol::events::ProduceAcknowledged& e);
  void on(const protocol::events::BatchDelivered& e);
  void on(const protocol::events::TopicCreated& e);
  void on(const protocol::events::TopicDeleted& e);
  void on(const protocol::events::MinIsrConfigured& e);
  void on(const protocol::events::PartitionDecided& e);
  void on(const protocol::events::BrokerRegistered& e);
  void on(const protocol::events::BrokerFencing& e);
  void on(const protocol::events::QuorumCommitted& e);
  void on(const protocol::events::MetadataApplied& e);
  void on(const protocol::events::TransactionalAppended& e);
  void on(const protocol::events::ProducersForgotten& e);
  void on(const protocol::events::LastStableServed& e);
  void on(const protocol::events::CommittedRead& e);
  void on(const protocol::events::TransactionMoved& e);
  void on(const protocol::events::TransactionDecided& e);
  void on(const protocol::events::TransactionFound& e);
  void on(const protocol::events::CoordinatorChanged& e);
  void on(const protocol::events::MarkerAnswered& e);
  void on(const protocol::events::OffsetsEnded& e);
  void on(const protocol::events::GroupsLoaded& e);
  void on(const protocol::events::GroupMoved& e);
  void on(const protocol::events::GroupMemberMoved& e);
  void on(const protocol::events::GroupCommitDecided& e);
  void on(const protocol::events::GroupRecordAppended& e);
  void on(const protocol::events::OffsetFetched& e);
  void on(const protocol::events::GroupJoined& e);
  void on(const protocol::events::GroupSynced& e);
  void on(const protocol::events::ConsumerHeartbeatDecided& e);
  void on(const protocol::events::ConsumerHeartbeatAnswered& e);
  void on(const protocol::events::OffsetCommitted& e);
  void on(const protocol::events::BatchRecords& e);
  void on(const protocol::events::LogCleaned& e);
  template <class Other>
  void on(const Other&) {}  // not the white box's concern

  enum class Settle : std::uint8_t { excused, all };
  void settle_elections(Settle which);  // C1 of elections outside the ISR whose batch may not be told yet

  void started(NodeId id, std::uint32_t incarnation);
  void stopped(NodeId id, StopKind kind);
  void bytes_lost(NodeId id, std::string_view path, std::int64_t from, std::int64_t to, LossCause cause);
  void heal_rot();
  static void meet_rot(Replica& r);
  void imaged(NodeId id, std::uint64_t image);
  void restored(NodeId id, std::uint64_t image);
  void produce_sent(std::uint64_t client, std::uint64_t operation, const PartitionKey& key, std::uint32_t crc);
  void produce_renumbered(std::uint64_t client, std::uint64_t operation, const PartitionKey& key, std::uint32_t crc);
  void produce_finished(std::uint64_t client, std::uint64_t operation);
  void transaction_begun(const ClientTransaction& t);
  void transaction_asked(const ClientAsk& ask);
  void transactional_sent(std::int64_t process, const PartitionKey& key, std::int64_t id, std::int16_t epoch,
                          std::int32_t sequence);
  std::vector<OpenTransaction> open_transactions();
  void offsets_asked(std::uint64_t client);
  void consumption_resumed(std::uint64_t client, std::string_view group, std::string_view topic, std::int32_t index,
                           std::int64_t position);
  std::vector<GroupStatus> group_status() const;

 private:
  struct Floor {
    std::int64_t offset = 0;
    std::uint32_t reductions = 0;
    std::uint32_t senders = 0;
  };
  struct ReplicaImage {  // of one replica when its disk's image was taken
    std::uint32_t partition;
    BatchIndex head;
    std::int64_t log_start;
    std::int64_t flushed;
    std::vector<Extent> extents;
    std::vector<Damage> damaged;
    std::vector<BatchIndex> undone;
    std::vector<Place> places;
    OffsetSet removed;
    std::vector<CutTail> cut_tails;
  };
  struct DiskImage {
    bool in_order = false;  // the node had stopped so
    std::vector<ReplicaImage> replicas;
  };
  using Records = std::vector<RecordTruth>;
  struct Told {  // what the next announcement of the node about this batch is of
    bool taken = true;
    PartitionKey partition;
    NodeId node = kNoNode;
    std::int64_t base = -1;
    std::int64_t last = -1;
    Records records;
  };
  struct Folder {
    std::uint32_t partition;
    Slot slot;
  };

  void append(PartitionTruth& p, Slot s, BatchIndex i, const protocol::events::BatchAppended& e);
  BatchIndex append_apart(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e,
                          const BatchContent& content);
  void resolve(PartitionTruth& p, BatchIndex unknown, const BatchContent& content);
  void deepen(PartitionTruth& p, BatchIndex from);
  void check_agreement(PartitionTruth& p, Slot s);  // C3

  // Compaction (white_box_compaction.cpp)
  Records* take_told(const PartitionKey& key, std::int64_t base, std::int64_t last);
  void compact(PartitionTruth& p);                                   // it is known to be compacted from now on
  const Records* records(BatchIndex i) { return records_.find(i); }  // nullptr: not known
  void attach_records(PartitionTruth& p, BatchIndex i, Records told);
  bool same_records(BatchIndex i, const Records& told);  // each of them is the batch's
  BatchIndex copied_compacted(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e, const Records* told);
  BatchIndex source_of(PartitionTruth& p, const Replica& r, const protocol::events::BatchAppended& e, Slot* from);
  Produced::Marker outcome(PartitionTruth& p, const Replica& r, BatchIndex i);
  std::string kept_for(PartitionTruth& p, const Replica& r, BatchIndex i, const RecordTruth& record);
  std::string marker_kept_for(const Replica& r, BatchIndex marker);
  bool knows_all(PartitionTruth& p, const Replica& r, std::int64_t from);
  std::string wrongly_gone(PartitionTruth& p, const Replica& r, BatchIndex i, const RecordTruth& record);
  void take_away(PartitionTruth& p, Slot s, BatchIndex i, const std::vector<std::int64_t>& kept);
  bool has_place(const Replica& r, BatchIndex i) const;
  BatchIndex left_below(const Replica& r, std::int64_t offset) const;
  std::int64_t left_before(const PartitionTruth& p, const Replica& r, std::int64_t damage) const;
  void damage_places(const Replica& r, std::int64_t segment, std::int64_t from, std::int64_t to,
                     std::vector<Damage>& damaged) const;
  bool may_go(const PartitionTruth& p, const Replica& r, std::int64_t to) const;
  void drop_after(Replica& r, std::int64_t to);  // extents and damage
  void damage(const Replica& r, std::int64_t segment, std::int64_t from, std::int64_t to,
              std::vector<Damage>& damaged) const;
  void take_older(std::uint32_t partition, Replica& r);
  void resolve_images(const PartitionTruth& p, BatchIndex unknown, BatchIndex rest);
  BatchIndex head_ending(PartitionTruth& p, const Replica& r, std::int64_t to);
  BatchIndex recovered(PartitionTruth& p, Slot s, const protocol::events::LogOpened& e);
  BatchIndex misled(PartitionTruth& p, Replica& r, std::int64_t least, const protocol::events::LogOpened& e);
  bool forgets_epoch(const Replica& r, BatchIndex head, const protocol::events::LogOpened& e) const;
  BatchIndex copied_rot(PartitionTruth& p, Slot s, const protocol::events::BatchAppended& e);
  bool rotten(const Replica& r, std::int64_t from, std::int64_t to) const;
  bool delivers_rot(PartitionTruth& p, const Replica& r, std::uint32_t crc);
  BatchIndex recovered_more(PartitionTruth& p, Slot s, BatchIndex from, const protocol::events::LogOpened& e);
  BatchIndex resurrected(PartitionTruth& p, const Replica& r, BatchIndex from, std::int64_t to);
  bool may_have_truncated(const PartitionTruth& p, const Replica& r, std::int64_t to) const;
  bool may_have_begun_anew(const PartitionTruth& p, const Replica& r, std::int64_t at) const;
  void advance_leader(PartitionTruth& p, Slot s, const protocol::events::HighWatermarkAdvanced& e);
  bool check_counted(PartitionTruth& p, Slot s, const protocol::events::HighWatermarkAdvanced& e);
  void check_superset(const PartitionTruth& p, const Replica& r);          // C9
  bool claim_epoch(PartitionTruth& p, std::int32_t epoch, NodeId leader);  // C8
  void check_ahead(PartitionTruth& p);
  bool check_admitted(PartitionTruth& p, SlotMask admitted, const protocol::events::PartitionDecided& e);  // M2
  void elect(PartitionTruth& p, SlotMask old_isr);
  void judge_election(PartitionTruth& p, SlotMask old_isr);
  void conclude_election(PartitionTruth& p, bool inside);
  void adopt_decision(PartitionTruth& p, SlotMask old_isr);
  bool unsettled(const PartitionTruth& p) const;
  bool any_active(const PartitionTruth& p, SlotMask members);
  void cut(PartitionTruth& p, std::int64_t to);
  std::int64_t floor_of(const PartitionTruth& p, std::uint32_t crc);
  std::uint64_t send_key(const PartitionTruth& p, std::uint32_t crc) const {
    return std::uint64_t{index_of(p)} << 32 | crc;
  }

  const Produced* produced(BatchIndex i) { return produced_.find(i); }  // nullptr: no producer's
  BatchIndex newest_of(std::int64_t producer, BatchIndex from, std::int64_t floor, bool* blind = nullptr);
  BatchIndex marker_after(PartitionTruth& p, const Replica& r, BatchIndex batch, std::int64_t limit,
                          bool* blind = nullptr);
  void appended_of_producer(const PartitionTruth& p, const Replica& r, BatchIndex made,
                            const protocol::events::BatchAppended& e);
  void judge_sequence(const PartitionTruth& p, const Replica& r, BatchIndex made,
                      const protocol::events::BatchAppended& e);  // T7, T8
  bool forgotten(const PartitionTruth& p, const Replica& r, std::int64_t producer, BatchIndex batch) const;
  bool on_path(const PartitionTruth& p, BatchIndex head, BatchIndex batch) const;
  void judge_send(const PartitionTruth& p, const Replica& r, BatchIndex made,
                  const protocol::events::BatchAppended& e);  // T12
  void see_fence(const protocol::events::TransactionMoved& e);
  void note_fences(const PartitionTruth& p, BatchIndex record);
  void judge_fence(const PartitionTruth& p, const Replica& r, BatchIndex made);  // T7
  bool listed_as_aborted(const Replica& r, BatchIndex batch);
  void judge_read_committed(PartitionTruth& p, const Replica& r, BatchIndex own,
                            std::int64_t high_watermark);  // T1, T2, T4

  // ---- transactions (white_box_coordinator.cpp, white_box_ghost.cpp) ----
  std::uint64_t batch_key(const PartitionTruth& p, std::int64_t id, std::int16_t epoch, std::int32_t sequence) const;
  const Move* latest_move(const TransactionalId& id, const PartitionTruth& p, const Replica& r) const;
  std::uint32_t add_move(TransactionalId& id, const Move* before, Move::Stand stand, BatchIndex record);
  void place_moves(const PartitionTruth& p, BatchIndex record, std::int32_t records);
  void moved(TransactionalId& id, std::uint32_t coordinator, std::int64_t producer_id, std::string_view state);
  void keep_decision(Decision decision, std::int64_t producer_id, std::int16_t epoch);
  void judge_decision(const PartitionTruth& p, const TransactionalId& id, BeginPlace place,
                      const protocol::events::TransactionDecided& e);  // T11
  bool durable(const Decision& decision) const;
  const Decision* decision_for(std::int64_t producer_id, std::int16_t epoch, std::optional<bool> commit = {});
  bool lost_decisions() const;
  void bind(PartitionTruth& p, const Replica& r, Produced& batch);
  void judge_late(PartitionTruth& p, const Replica& r, const Produced& batch);                               // T3
  void judge_marker(PartitionTruth& p, const Replica& r, const protocol::events::TransactionalAppended& e);  // T6 T3
  void judge_bound(PartitionTruth& p, const Replica& r, const Decision& decision,
                   const protocol::events::TransactionalAppended& e);  // T3
  void scan_open(const PartitionTruth& p, OpenScan& scan);
  void open_in(const PartitionTruth& p, std::vector<OpenTransaction>& found);

  // A producer epoch that a coordinator put in the place of all below it, with nothing open any more; it holds once
  // its record is committed.
  struct Fence {
    std::int64_t producer;
    std::int16_t epoch;
    std::uint32_t partition;  // of the record: its coordinator's
    BatchIndex record = kNoBatch;
  };

  // ---- groups (white_box_groups.cpp) ----
  GroupsTruth* groups_of(const PartitionTruth& p);
  CoordinatorTruth* coordinator(const PartitionTruth& p);
  GroupsTruth* coordinated(const PartitionTruth& p);
  void forgive_groups(const PartitionTruth& p);
  void fold_offsets(const Replica& r, OffsetFold& fold);
  void judge_loaded(const PartitionTruth& p, const protocol::events::GroupMemberMoved& e);  // G1
  static bool took_the_place_of(const GroupsTruth& groups, std::string_view member, std::string_view older);
  HoldersTruth* holders_of(const PartitionTruth& p, std::string_view group);
  void member_moved(const PartitionTruth& p, const protocol::events::GroupMemberMoved& e);  // of a consumer group
  HolderTruth* holder_of_deposed(const PartitionTruth& p, std::string_view group, std::string_view member);
  void judge_loaded_member(const PartitionTruth& p, HoldersTruth& holders, HolderTruth& holder,
                           const protocol::events::GroupMemberMoved& e);  // G1
  OwnersTruth* owners_told(const PartitionTruth& p, std::string_view group, std::int32_t generation);

  struct Unsettled {
    std::uint32_t partition;
    SlotMask old_isr;
    Now when;
  };

  friend class WhiteBox;
  std::vector<TopicTruth> topics;
  std::vector<NodeTruth> nodes_;
  std::vector<std::uint32_t> node_index_;                     // by id, for ids that are small
  std::vector<std::uint32_t> table_;                          // open addressing: partition number + 1
  std::uint32_t last_ = 0;                                    // partition looked up last
  std::map<std::pair<NodeId, std::string>, Folder> folders_;  // by path of the partition's folder
  std::vector<Unsettled> unsettled_;
  std::map<std::pair<NodeId, std::uint64_t>, DiskImage> images_;
  std::map<std::pair<std::uint32_t, NodeId>, ReplicaImage> older_;  // restored; by partition; until the log is opened
  BatchTable<Produced> produced_;
  TransactionTruth transactions;
  std::map<std::uint32_t, GroupsTruth> groups_;  // by partition
  BatchTable<std::vector<GroupRecordTruth>> group_records_;
  std::map<std::string, AnswersTruth, std::less<>> answers_;  // by offset's key
  std::map<std::uint64_t, MonoTime> asked_;                   // by client
  Told told_;
  BatchTable<Records> records_;
  std::int64_t quorum_committed_ = 0;
  IdMap<Floor> floors_;           // by send_key
  IdMap<std::uint64_t> pending_;  // client and operation -> key of floors_
  IdMap<std::uint64_t> sends_;    // key of floors_ -> client and operation
  IdMap<std::uint32_t> landed_;   // client and operation -> the batch that it was appended as last, + 1
  std::vector<Fence> fencing_;    // announced, their record not appended yet
  Now fencing_when_;
  std::map<std::int64_t, std::vector<Fence>> fences_;                      // by producer
  protocol::events::Role appended_as_ = protocol::events::Role::follower;  // the latest batch
};

}  // namespace verdict::checker
