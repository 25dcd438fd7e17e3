#include "scenarios/catalogue.h"

#include <algorithm>

namespace verdict::scenarios {

extern const std::size_t kLibrarySize;  // embed.py
extern const LibraryEntry kLibrary[];

std::span<const LibraryEntry> library() { return {kLibrary, kLibrarySize}; }

const LibraryEntry* find_library(std::string_view name) {
  const auto entries = library();
  const auto found = std::ranges::find(entries, name, &LibraryEntry::name);
  return found == entries.end() ? nullptr : &*found;
}

std::expected<Scenario, ScenarioError> library_scenario(std::string_view name) {
  const LibraryEntry* entry = find_library(name);
  if (entry == nullptr)
    return std::unexpected(
        ScenarioError{"scenario", std::string(name), "a name that `verdict list scenarios` prints, or a file"});
  return parse_scenario(entry->json);
}

namespace {

// Accepted invariants as DEFECTS.md lists them; C2 stands for C1 and C3 as well, since it is the same loss seen
// earlier.
std::vector<DefectEntry> isr_defects() {
  return {
      {Defect::UncleanElection,
       "unclean-election",
       "the controller elects a leader from outside the ISR although unclean election is off",
       "follower out of the ISR, crash of the leader",
       {"C1", "C2", "C8"}},
      {Defect::MajorityHw,
       "majority-hw",
       "the high watermark needs a majority of the replicas instead of the whole ISR",
       "a slow follower in the ISR, crash of the leader",
       {"C2", "C4"}},
      {Defect::NoTruncation,
       "no-truncation",
       "a follower keeps what diverges from its leader instead of truncating it",
       "an uncommitted tail, two elections",
       {"C2", "C3"}},
      {Defect::LocalShrink,
       "local-shrink",
       "the leader shrinks its ISR without the controller's word",
       "a slow follower, crash of the leader",
       {"C4", "C9", "C2"}},
      {Defect::Kip101,
       "kip-101",
       "a restarted follower truncates to its own high watermark instead of asking by leader epoch",
       "one commit, follower restart, election",
       {"C1", "C2", "C3", "C5"}},
      {Defect::MinIsrOff,
       "min-isr-off",
       "acks=all and the high watermark ignore min.insync.replicas",
       "ISR below the minimum, a write",
       {"C4", "M1"}},
      {Defect::AckByOffset,
       "ack-by-offset",
       "a leader that lost its epoch answers a waiting write by offset alone",
       "leader cut off, election, a write at the same offset",
       {"C7"}},
  };
}

std::vector<DefectEntry> epoch_defects() {
  return {
      {Defect::Kip279,
       "kip-279",
       "a leader that lacks the follower's epoch tells where it ends, but not which epoch it found",
       "two fast elections, uncommitted tails",
       {"C1", "C2", "C3"}},
      {Defect::Kip320Hw,
       "kip-320-hw",
       "a leader counts fetches of another epoch toward its high watermark",
       "metadata delayed, two or three elections",
       {"C1", "C2", "C3", "C4"}},
      {Defect::Kip320Fetch,
       "kip-320-fetch",
       "a leader serves a follower that fetches in another epoch",
       "metadata delayed, three records, three elections",
       {"C1", "C2", "C3"}},
      {Defect::Kip320Truncate,
       "kip-320-truncate",
       "a follower truncates by the word of a leader that is in another epoch",
       "metadata delayed, two elections",
       {"C1", "C2", "C3", "C5"}},
      {Defect::Kip320Expand,
       "kip-320-expand",
       "a fetch of another epoch brings its follower into the ISR",
       "metadata delayed, two or three elections",
       {"C1", "C2", "C3"}},
      {Defect::Kafka7128,
       "kafka-7128",
       "a new leader whose high watermark lags admits a follower below its epoch's start",
       "ISR shrinks, election, ISR expands, election",
       {"C1", "C2", "C3"}},
  };
}

std::vector<DefectEntry> late_word_defects() {
  return {
      {Defect::Kip497,
       "kip-497",
       "the high watermark counts the committed ISR alone while an ISR change is under way",
       "delay of an AlterPartition's answer, election",
       {"C4", "C9"}},
      {Defect::Kip903,
       "kip-903",
       "a fetch of before a restart justifies the ISR place of a replica that was wiped since",
       "a fetch, power loss, delay of the AlterPartition, election",
       {"M2", "C2", "C1", "C3"}},
      {Defect::Kafka18723,
       "kafka-18723",
       "a follower appends batches of a newer epoch than that of its fetch",
       "an election while the answer is built",
       {"C3", "C2", "C1"}},
      {Defect::StaleMetadataDropsProposal,
       "stale-metadata-drops-proposal",
       "metadata that is no newer than the leader drops its ISR change under way",
       "delay of metadata against the answer to an AlterPartition",
       {"C9", "C4"}},
      {Defect::Kafka18991,
       "kafka-18991",
       "a follower cuts its log by the answer to a fetch of an older epoch",
       "delay of one answer, two elections",
       {"C5", "C2", "C1", "C3"}},
      {Defect::Kafka7415,
       "kafka-7415",
       "an epoch's start is recorded at its first append, not at the election",
       "two elections, one after the other",
       {"C3", "C2", "V3", "C1"}},
      {Defect::Kafka15221,
       "kafka-15221",
       "a late fetch of before a restart lends its log end to the broker's new epoch",
       "power loss, two interleaved fetches",
       {"M2", "C2", "C1", "C3"}},
      {Defect::Kafka18106,
       "kafka-18106",
       "a broker that comes back after an unclean stop keeps its ISR places, leaderships and epochs",
       "power loss, a restart after the session ended and before fencing",
       {"C2", "C1", "C3"}},
      {Defect::KeptBelowLogStart,
       "kept-below-log-start",
       "a follower keeps what lies below its leader's log start, where nothing can be compared",
       "an election, uncommitted tail, retention behind the election",
       {"C2", "C3", "C1"}},
      {Defect::CrcIgnored,
       "crc-ignored",
       "a log takes batches whose CRC is wrong, from its leader and in recovery",
       "power loss with a torn write",
       {"L3", "L4", "C3"}},
  };
}

std::vector<DefectEntry> transaction_defects() {
  return {
      {Defect::Kip890,
       "kip-890",
       "the end of a transaction brings no new epoch, so that a batch which comes after it joins the next one",
       "delay of a Produce, an abort",
       {"T3", "T10"}},
      {Defect::EndtxnRetry,
       "endtxn-retry",
       "an EndTxn that comes again ends the next transaction",
       "delay of an EndTxn, its retry",
       {"T11"}},
      {Defect::Kafka14884,
       "kafka-14884",
       "a batch is appended on the word that its transaction goes on, though its marker came since",
       "delay of the coordinator's word, an abort",
       {"T10", "T3", "T7"}},
      {Defect::Kafka9600,
       "kafka-9600",
       "a coordinator takes an EndTxn of an older epoch",
       "a producer that was fenced comes back",
       {"T11", "T7"}},
      {Defect::Kafka17507,
       "kafka-17507",
       "a marker is acknowledged before the offsets of its transaction are visible",
       "none",
       {"T9"}},
  };
}

std::vector<DefectEntry> producer_defects() {
  return {
      {Defect::ResendNewEpoch,
       "resend-new-epoch",
       "a new leader doesn't know its producers' batches of earlier leader epochs again, and takes a resend anew",
       "crash of the leader after an append",
       {"T8", "T12"}},
      {Defect::InitNoFence,
       "init-no-fence",
       "InitProducerId raises the epoch, but the coordinator goes on to add partitions for the older one",
       "a paused producer, another instance of it",
       {"T7"}},
      {Defect::LsoBeforeReplay,
       "lso-before-replay",
       "after a restart or an election the last stable offset is served before the producers' state is rebuilt",
       "an election or a restart, a transaction open",
       {"T2", "T4", "T5"}},
      {Defect::SequenceGap,
       "sequence-gap",
       "a batch is taken although the one before it failed",
       "an error on one batch of several in flight",
       {"T8"}},
  };
}

std::vector<DefectEntry> group_defects() {
  return {
      {Defect::NoGenerationFence,
       "no-generation-fence",
       "a commit by a member of an older generation, or that is none any more, is taken",
       "pause of a member, rebalance",
       {"G3"}},
      {Defect::Kafka8500,
       "kafka-8500",
       "a static member that starts anew during a rebalance gets its older self's member id, so both run",
       "return of a static member during a rebalance",
       {"G1"}},
      {Defect::Kafka10284,
       "kafka-10284",
       "the replacement of a static member is not written, so a later coordinator knows its older self",
       "return of a static member, election of the offsets' leader",
       {"G1"}},
      {Defect::Kafka16147,
       "kafka-16147",
       "a partition that its member is to give up is handed back to it, and then counts as nobody's (KIP-848)",
       "two rebalances, the answer of the first one delayed",
       {"G1"}},
  };
}

std::vector<DefectEntry> compaction_defects() {
  return {
      // L2 as well: it sees the marker go, before anybody misses it.
      {Defect::Kafka14055,
       "kafka-14055",
       "compaction drops a transaction's marker because a later record's key equals the marker's",
       "compaction of a transaction, a record with a key of four bytes",
       {"T10", "T3", "L2"}},
      {Defect::CleanPastLso,
       "clean-past-lso",
       "compaction goes beyond the last stable offset, and lets undecided records count as later values",
       "compaction in the middle of a transaction that is aborted",
       {"T1", "L2"}},
  };
}

}  // namespace

std::vector<DefectEntry> defects() {
  std::vector<DefectEntry> all = isr_defects();
  for (const auto& more : {epoch_defects(), late_word_defects(), transaction_defects(), producer_defects(),
                           group_defects(), compaction_defects()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::optional<DefectEntry> find_defect_entry(std::string_view id) {
  std::vector<DefectEntry> all = defects();
  for (DefectEntry& entry : all) {
    if (entry.id == id) return std::move(entry);
  }
  return std::nullopt;
}

}  // namespace verdict::scenarios
