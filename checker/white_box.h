#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checker/liveness.h"
#include "checker/violation.h"
#include "protocol/events.h"
#include "protocol/types.h"
#include "runtime/time.h"

// The checker with full knowledge: fed with every protocol event of a run in total order, it stops at the first that
// breaks a rule of CHECKS.md (C1-C9, M1, M2, L1-L4, T1-T12, G1-G5; V1-V6 at a deadline).
namespace verdict::checker {

enum class StopKind : std::uint8_t {
  kill,        // the page cache survives
  power_loss,  // what was not synced may be lost: bytes_lost says what was
  orderly
};

enum class LossCause : std::uint8_t {
  destroyed,  // for ever
  undone,     // with a file's name; they may be back under an older one, or those of an older file under this
  rotten      // until faults_healed: rot is lifted then
};

struct WhiteBoxOptions {
  // unclean.leader.election.enable: an election outside the ISR may then cut committed records, but only while no ISR
  // member is active. Without it every such cut is C1 (but for an empty ISR).
  bool unclean_election_allowed = false;
  bool abstract_states = false;  // see abstract_states()
};

// A transaction as its client begins it.
struct ClientTransaction {
  std::int64_t process = 0;
  std::int64_t txn = 0;  // unique in the run
  std::string_view transactional_id;
  std::int64_t producer_id = -1;
  std::int16_t producer_epoch = -1;
  bool version_two = false;  // KIP-890
};

// A request of a transactional client goes out; `settled`: it is known to do nothing any more, since it was answered.
// Ends are of what the client began last.
struct ClientAsk {
  enum class Call : std::uint8_t { init, commit, abort };
  std::int64_t process = 0;
  std::string_view transactional_id;
  Call call = Call::init;
  bool settled = false;
};

struct Metrics {
  std::uint64_t events = 0;
  std::uint64_t acknowledged = 0;      // records answered with success (acks 1 and all)
  std::uint64_t acknowledged_all = 0;  // of these, with acks=all
  std::uint64_t delivered = 0;         // records given to consumers
  std::uint64_t committed_batches = 0;
  std::uint64_t truncations = 0;     // that removed records
  std::uint64_t elections = 0;       // changes of leader or leader epoch that left a leader
  std::uint64_t excused_losses = 0;  // committed or acknowledged records cut with C1's excuse
  // Batches that are in a log twice since their producer took another epoch by itself and sent them again.
  std::uint64_t own_duplicates = 0;
  // Batches of idempotent producers that a leader took again, or out of their order, as it had forgotten the producer.
  std::uint64_t forgotten_sends = 0;
  // Commits that a coordinator took in its generation of members who know another one's of that number: it was not
  // written down, and the next coordinator counted on from before it.
  std::uint64_t misplaced_commits = 0;
};

struct GroupStatus {  // as the broker that leads its partition of __consumer_offsets has announced it
  std::string group;
  PartitionKey partition;
  NodeId coordinator = kNoNode;
  std::string state;
  std::int32_t generation = -1;
  std::size_t members = 0;
};

class WhiteBoxState;

// Order of calls: node_started before the first event of an incarnation; node_stopped (again, where a machine that is
// down loses its power), then the disk's bytes_lost, before the next node_started. After a violation was found, nothing
// is judged any more.
class WhiteBox {
 public:
  explicit WhiteBox(WhiteBoxOptions options = {});
  ~WhiteBox();
  WhiteBox(WhiteBox&&) noexcept;
  WhiteBox& operator=(WhiteBox&&) noexcept;

  // Amortised O(replication factor), but for fencing and registration: O(partitions of the broker).
  void on_event(MonoTime virtual_now, NodeId node, std::uint32_t incarnation, const protocol::Event& event);

  void node_started(MonoTime now, NodeId node, std::uint32_t incarnation);
  void node_stopped(MonoTime now, NodeId node, std::uint32_t incarnation, StopKind kind);

  // The loss ledger: bytes [from, to) of a file of `node` no longer are what was written (dropped, torn, rotten, wiped,
  // an older disk). Report a file that vanished whole as [0, size). Path as the node opened it; a relative path is
  // matched by its tail. Files other than segments' .log are ignored.
  void bytes_lost(MonoTime now, NodeId node, std::string_view path, std::uint64_t from, std::uint64_t to,
                  LossCause cause = LossCause::destroyed);

  // An older disk. `image` is what the medium of `node` held for sure at the first call; at the second, in a stop that
  // counts as a power loss, it takes the place of what was there. bytes_lost then says what the image lacks of the
  // files as they were when it was taken.
  void disk_imaged(MonoTime now, NodeId node, std::uint64_t image);
  void disk_restored(MonoTime now, NodeId node, std::uint64_t image);

  // A client is about to send a batch for the first time (not on a resend): C7's floor.
  void produce_sent(MonoTime now, std::uint64_t client, std::uint64_t operation, const PartitionKey& partition,
                    std::uint32_t crc);
  // An idempotent producer took another epoch by itself, and sends again in it what it sent before (T12).
  void produce_renumbered(std::uint64_t client, std::uint64_t operation, const PartitionKey& partition,
                          std::uint32_t crc);
  // The client has its final result and will not resend: the floor is forgotten.
  void produce_finished(std::uint64_t client, std::uint64_t operation);

  // The ghosts of transactions: what their clients begin, and ask to end or to fence. A batch (of this base sequence)
  // that is sent for the first time belongs to what its client began last.
  void transaction_begun(MonoTime now, const ClientTransaction& transaction);
  void transaction_asked(MonoTime now, const ClientAsk& ask);
  void transactional_sent(std::int64_t process, const PartitionKey& partition, std::int64_t producer_id,
                          std::int16_t producer_epoch, std::int32_t base_sequence);
  // For a LivenessProbe: what no marker has ended (T3, T10) and no coordinator has closed (V5) so far.
  std::vector<OpenTransaction> open_transactions() const;

  // A member of a group is about to ask for its committed offsets; and it goes on reading a partition at `position`
  // (-1: nothing was committed). G5.
  void offsets_asked(MonoTime now, std::uint64_t client);
  void consumption_resumed(MonoTime now, std::uint64_t client, std::string_view group, std::string_view topic,
                           std::int32_t partition, std::int64_t position);

  // V1-V6's bounds start here. What rotted and was not overwritten since reads as it was written again.
  void faults_healed(MonoTime now);
  std::optional<MonoTime> healed() const;
  // Judges V1-V6 (see liveness.h); a violation found is also the run's.
  void judge_liveness(const LivenessProbe& probe, const LivenessBounds& bounds);

  const std::optional<Violation>& violation() const;  // the first
  // What rot may do that no CRC tells (a batch's base offset and epoch have none): clients of the partition may have
  // been given a batch elsewhere or not at all; a replica that recovered over it may end within a batch, and copies
  // nothing.
  bool rotted(std::string_view topic, std::int32_t partition) const;
  bool misled(const PartitionKey& partition) const;  // a replica of it was

  std::vector<GroupStatus> group_status() const;  // for V6's probe
  const Metrics& metrics() const;
  // The truth, for scenarios' expectations and tests. kNoOffset: unknown partition.
  Offset true_high_watermark(const PartitionKey& partition) const;
  Offset log_end(const PartitionKey& partition, NodeId node) const;
  // How far a reader of this replica gets below `bound`: behind the last batch that compaction left there.
  Offset readable_end(const PartitionKey& partition, NodeId node, Offset bound) const;
  std::size_t memory_bytes() const;  // held by the truth
  // The abstract states that partitions were in (abstract_state.h), each once, in the order of first sight; empty
  // unless asked for.
  const std::vector<std::uint64_t>& abstract_states() const;

 private:
  std::unique_ptr<WhiteBoxState> state_;
};

}  // namespace verdict::checker
