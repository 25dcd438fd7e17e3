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
    Invariant{"T4", "CommittedVisible", "A read_committed answer lists no transaction as aborted that is committed.",
              false},
    Invariant{"T5", "LastStableOffset", "The last stable offset as served never goes back within an epoch.", true},
    Invariant{"T7", "NoZombieAppend", "No append has an epoch below the highest of its producer in the log.", false},
    Invariant{"T8", "SequencesContiguous",
              "A producer's sequences in a partition are contiguous within an epoch, and begin with 0.", false},
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
