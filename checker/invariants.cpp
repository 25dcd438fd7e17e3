#include "checker/invariants.h"

#include <array>

namespace verdict::checker {
namespace {

constexpr std::array kInvariants = {
    Invariant{"C1", "NoCommittedRecordLost",
              "A committed record disappears only if faults destroyed every copy that an allowed election could use.",
              false},
    Invariant{"C2", "LeaderCandidateCompleteness",
              "Each replica that an election could choose now holds every committed record.", true},
    Invariant{"C3", "LogMatching",
              "Two replicas agree below both their high watermarks, and same offset and epoch means same batch.",
              false},
    Invariant{"C4", "HighWatermark",
              "The high watermark never goes back within an epoch and never passes what all of the ISR holds.", true},
    Invariant{"C5", "TruncationSafety", "A replica in the ISR never truncates below what is committed.", true},
    Invariant{"C6", "ConsistentRead", "An offset, once delivered to a reader, never changes its content.", false},
    Invariant{"C7", "AcknowledgedMeansCommitted",
              "At an acks=all success the committed log holds this very batch at that offset.", true},
    Invariant{"C8", "OneLeaderPerEpoch",
              "An epoch has one leader, which is in the ISR, and the ISR is among the replicas.", false},
    Invariant{"C9", "ReplicationQuorumSuperset",
              "The maximal ISR that a leader works with contains the controller's ISR.", true},
    Invariant{"M1", "MinIsrRespected", "No high watermark advance and no acks=all success below min.insync.replicas.",
              false},
    Invariant{"M2", "AdmissionToIsr", "A fenced, stopping or restarted broker is never admitted to an ISR.", true},
    Invariant{"T1", "NoAbortedRead", "A read_committed answer lists each aborted transaction whose records it has.",
              false},
    Invariant{"T2", "NoUndecidedRead", "No record of an undecided transaction is delivered to read_committed.", false},
    Invariant{"T3", "OneOutcome",
              "All markers of a transaction say the same, each partition that it touched gets its own, and none ends "
              "another transaction's records.",
              true},
    Invariant{"T4", "CommittedVisible", "A read_committed answer lists no transaction as aborted that is committed.",
              false},
    Invariant{"T5", "LastStableOffset", "The last stable offset as served never goes back within an epoch.", true},
    Invariant{"T6", "MarkerAsDecided", "A marker says what its coordinator has durably decided.", true},
    Invariant{
        "T7", "NoZombieAppend",
        "No append has an epoch below its producer's highest in the log, nor begins a transaction after the fence.",
        false},
    Invariant{"T8", "SequencesContiguous",
              "A producer's sequences in a partition are contiguous within an epoch, and begin with 0.", false},
    Invariant{
        "T9", "OffsetsWithTheirMarker",
        "A transaction's offsets become visible at their own partition's commit marker, not before, and never after "
        "an abort.",
        true},
    Invariant{"T10", "NoHangingTransaction",
              "After the heal no transaction is open in a partition that no coordinator will end.", true},
    Invariant{
        "T11", "EndedAsAsked",
        "A transaction is committed only if its producer asked for it, and aborted on its request, by time-out or "
        "by fencing.",
        true},
    Invariant{"T12", "OneSendOneRecord",
              "What an idempotent producer sends in an epoch is in a log at most once, whatever was sent again.", true},
    Invariant{"G1", "OneOwner", "In each generation of a group a partition has one valid owner.", true},
    Invariant{"G2", "LatestCommitWins", "A group's committed offset is that of the valid record latest in the log.",
              true},
    Invariant{"G3", "StaleMembersFenced",
              "A commit by a member of an older generation, or that is none any more, is refused.", true},
    Invariant{"G4", "AcknowledgedCommitKept", "An offset commit that was acknowledged is never lost.", true},
    Invariant{"G5", "ResumesAtCommitted", "A group's member goes on where a coordinator says that the group stands.",
              true},
    Invariant{"L1", "DenseOffsets", "Offsets of an uncompacted log are dense.", false},
    Invariant{"L2", "CompactionKeepsLastValues",
              "Compaction keeps each key's last value that is not aborted, markers while it keeps records of their "
              "transactions, order and offsets.",
              true},
    Invariant{"L3", "ReadsWhatWasWritten", "What is read equals what was written.", false},
    Invariant{"L4", "RecoveryKeepsPrefix",
              "Recovery keeps the longest valid prefix of what survived and loses nothing that was synced.", false},
    Invariant{"V1", "LeaderElected", "After the heal a leader is elected.", true},
    Invariant{"V2", "BrokersReturn", "After the heal fenced brokers return.", true},
    Invariant{"V3", "Convergence", "After the heal high watermarks and metadata converge.", true},
    Invariant{"V4", "EveryWaiterAnswered", "After the heal every waiter is answered.", true},
    Invariant{"V5", "TransactionsClose", "After the heal every transaction is closed.", true},
    Invariant{"V6", "GroupsStable", "After the heal groups become stable, with all of their members.", true},
};

constexpr std::array kAnomalies = {
    Invariant{"lost-write", "lost-write",
              "A write acknowledged with acks=all was passed over by a reader and never read.", false},
    Invariant{"duplicate", "duplicate", "One send of an idempotent or one-at-a-time producer was read at two offsets.",
              false},
    Invariant{"inconsistent-offsets", "inconsistent-offsets", "One offset had two values.", false},
    Invariant{"nonmonotonic-poll", "nonmonotonic-poll", "A reader's next poll went back without a seek.", false},
    Invariant{"int-nonmonotonic-poll", "int-nonmonotonic-poll", "Offsets went back within one poll.", false},
    Invariant{"poll-skip", "poll-skip", "A reader's next poll passed over an offset that exists.", false},
    Invariant{"int-poll-skip", "int-poll-skip", "One poll passed over an offset that exists.", false},
    Invariant{"nonmonotonic-send", "nonmonotonic-send",
              "A send that began after another was acknowledged got a lower offset; below acks=all both were read.",
              false},
    Invariant{"int-nonmonotonic-send", "int-nonmonotonic-send",
              "Of two pipelined sends the later got the lower offset.", false},
    Invariant{"G1a", "aborted-read", "A reader of committed records was given one of a transaction that is aborted.",
              false},
    Invariant{"G1b", "partly-visible",
              "Of one transaction a reader of committed records was given a part, and passed over the rest.", false},
    Invariant{"precommitted-read", "precommitted-read",
              "A reader of committed records was given one before its transaction was to be committed.", false},
    Invariant{"input-twice", "input-twice",
              "Two committed transactions were made of one input, whose offset each of them committed.", false},
    Invariant{"unseen", "unseen",
              "A write acknowledged with acks=all was never read, and lies beyond where the partition was said to end.",
              false},
    Invariant{"dirty-update", "dirty-update", "A committed transaction was made of a record that is aborted.", false},
    Invariant{"lost-update", "lost-update",
              "A group goes on behind an offset that it had committed, or a member that lost a partition commits over "
              "its successor.",
              false},
    Invariant{"committed-too-far", "committed-too-far",
              "A group goes on at an offset beyond all that its members may have committed.", false},
    Invariant{"G1c", "circular-information-flow",
              "Committed transactions were made of each other's records (allowed where the order of writes is part of "
              "the cycle).",
              false},
    Invariant{"G0", "write-cycle", "Transactions' records lie in each other's midst (allowed).", false},
    Invariant{"int-send-skip", "int-send-skip", "Others' records lie between two pipelined sends (allowed).", false},
};

}  // namespace

std::span<const Invariant> invariants() { return kInvariants; }
std::span<const Invariant> anomalies() { return kAnomalies; }

const Invariant* find_invariant(std::string_view id) {
  for (const Invariant& i : kInvariants) {
    if (i.id == id) return &i;
  }
  for (const Invariant& i : kAnomalies) {
    if (i.id == id) return &i;
  }
  return nullptr;
}

}  // namespace verdict::checker
