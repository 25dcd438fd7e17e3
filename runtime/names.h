#pragma once

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

// The closed lists that every part of the project names: defects, marks, sites, purposes. Add a line to a list and its
// name, count and look-up follow.
namespace verdict {

// A documented bug that can be planted (DEFECTS.md). Only a simulated cluster's configuration fills a DefectSet.
#define VERDICT_DEFECTS(X)                                       \
  X(UncleanElection, "unclean-election")                         \
  X(MajorityHw, "majority-hw")                                   \
  X(NoTruncation, "no-truncation")                               \
  X(LocalShrink, "local-shrink")                                 \
  X(Kip101, "kip-101")                                           \
  X(MinIsrOff, "min-isr-off")                                    \
  X(AckByOffset, "ack-by-offset")                                \
  X(Kip279, "kip-279")                                           \
  X(Kip320Hw, "kip-320-hw")                                      \
  X(Kip320Fetch, "kip-320-fetch")                                \
  X(Kip320Truncate, "kip-320-truncate")                          \
  X(Kip320Expand, "kip-320-expand")                              \
  X(Kafka7128, "kafka-7128")                                     \
  X(Kip497, "kip-497")                                           \
  X(Kip903, "kip-903")                                           \
  X(Kafka18991, "kafka-18991")                                   \
  X(Kafka7415, "kafka-7415")                                     \
  X(Kafka15221, "kafka-15221")                                   \
  X(Kafka18106, "kafka-18106")                                   \
  X(Kafka18723, "kafka-18723")                                   \
  X(StaleMetadataDropsProposal, "stale-metadata-drops-proposal") \
  X(NoGenerationFence, "no-generation-fence")                    \
  X(Kafka8500, "kafka-8500")                                     \
  X(Kafka10284, "kafka-10284")                                   \
  X(Kafka16147, "kafka-16147")                                   \
  X(CrcIgnored, "crc-ignored")                                   \
  X(KeptBelowLogStart, "kept-below-log-start")                   \
  X(Kip890, "kip-890")                                           \
  X(EndtxnRetry, "endtxn-retry")                                 \
  X(Kafka14884, "kafka-14884")                                   \
  X(Kafka9600, "kafka-9600")                                     \
  X(Kafka17507, "kafka-17507")                                   \
  X(ResendNewEpoch, "resend-new-epoch")                          \
  X(InitNoFence, "init-no-fence")                                \
  X(LsoBeforeReplay, "lso-before-replay")                        \
  X(SequenceGap, "sequence-gap")                                 \
  X(Kafka14055, "kafka-14055")                                   \
  X(CleanPastLso, "clean-past-lso")

// A rare branch worth knowing about ("sometimes"): a campaign lists those never reached. One for the diverging side of
// each defect (named defect-ID), others where PROTOCOL.md section 3 has a rare case.
#define VERDICT_MARKS(X)                                                      \
  X(DefectUncleanElection, "defect-unclean-election")                         \
  X(DefectMajorityHw, "defect-majority-hw")                                   \
  X(DefectNoTruncation, "defect-no-truncation")                               \
  X(DefectLocalShrink, "defect-local-shrink")                                 \
  X(DefectKip101, "defect-kip-101")                                           \
  X(DefectMinIsrOff, "defect-min-isr-off")                                    \
  X(DefectAckByOffset, "defect-ack-by-offset")                                \
  X(DefectKip279, "defect-kip-279")                                           \
  X(DefectKip320Hw, "defect-kip-320-hw")                                      \
  X(DefectKip320Fetch, "defect-kip-320-fetch")                                \
  X(DefectKip320Truncate, "defect-kip-320-truncate")                          \
  X(DefectKip320Expand, "defect-kip-320-expand")                              \
  X(DefectKafka7128, "defect-kafka-7128")                                     \
  X(DefectKip497, "defect-kip-497")                                           \
  X(DefectKip903, "defect-kip-903")                                           \
  X(DefectKafka18991, "defect-kafka-18991")                                   \
  X(DefectKafka7415, "defect-kafka-7415")                                     \
  X(DefectKafka15221, "defect-kafka-15221")                                   \
  X(DefectKafka18106, "defect-kafka-18106")                                   \
  X(DefectKafka18723, "defect-kafka-18723")                                   \
  X(DefectStaleMetadataDropsProposal, "defect-stale-metadata-drops-proposal") \
  X(DefectNoGenerationFence, "defect-no-generation-fence")                    \
  X(DefectKafka8500, "defect-kafka-8500")                                     \
  X(DefectKafka10284, "defect-kafka-10284")                                   \
  X(DefectKafka16147, "defect-kafka-16147")                                   \
  X(DefectCrcIgnored, "defect-crc-ignored")                                   \
  X(DefectKeptBelowLogStart, "defect-kept-below-log-start")                   \
  X(DefectKip890, "defect-kip-890")                                           \
  X(DefectEndtxnRetry, "defect-endtxn-retry")                                 \
  X(DefectKafka14884, "defect-kafka-14884")                                   \
  X(DefectKafka9600, "defect-kafka-9600")                                     \
  X(DefectKafka17507, "defect-kafka-17507")                                   \
  X(DefectResendNewEpoch, "defect-resend-new-epoch")                          \
  X(DefectInitNoFence, "defect-init-no-fence")                                \
  X(DefectLsoBeforeReplay, "defect-lso-before-replay")                        \
  X(DefectSequenceGap, "defect-sequence-gap")                                 \
  X(DefectKafka14055, "defect-kafka-14055")                                   \
  X(DefectCleanPastLso, "defect-clean-past-lso")                              \
  X(DivergenceAnswered, "divergence-answered")                                \
  X(TruncatedByEpoch, "truncated-by-epoch")                                   \
  X(TruncatedAgain, "truncated-again")                                        \
  X(StaleFetchAnswerDropped, "stale-fetch-answer-dropped")                    \
  X(NewerEpochBatchSkipped, "newer-epoch-batch-skipped")                      \
  X(RestartedAtLeaderStart, "restarted-at-leader-start")                      \
  X(FetchFencedOldEpoch, "fetch-fenced-old-epoch")                            \
  X(FetchFencedNewEpoch, "fetch-fenced-new-epoch")                            \
  X(HwFrozenUnderMinIsr, "hw-frozen-under-min-isr")                           \
  X(HwCheckpointLowered, "hw-checkpoint-lowered")                             \
  X(HwWaitsForCaughtUp, "hw-waits-for-caught-up")                             \
  X(IsrShrinkProposed, "isr-shrink-proposed")                                 \
  X(IsrExpandProposed, "isr-expand-proposed")                                 \
  X(AlterPartitionRefused, "alter-partition-refused")                         \
  X(AlterPartitionStale, "alter-partition-stale")                             \
  X(LeaderChangedWithIsrPending, "leader-changed-isr-pending")                \
  X(NotEnoughReplicas, "not-enough-replicas")                                 \
  X(NotEnoughAfterAppend, "not-enough-replicas-after-append")                 \
  X(WaiterTimedOut, "waiter-timed-out")                                       \
  X(WaiterLostLeadership, "waiter-lost-leadership")                           \
  X(WaiterSurvivedEpochBump, "waiter-survived-epoch-bump")                    \
  X(RecoveryCutBatch, "recovery-cut-batch")                                   \
  X(RecoveryRebuiltIndex, "recovery-rebuilt-index")                           \
  X(RecoveryFoundHole, "recovery-found-hole")                                 \
  X(SegmentRolled, "segment-rolled")                                          \
  X(RetentionRemovedSegment, "retention-removed-segment")                     \
  X(AppendFailedCutBack, "append-failed-cut-back")                            \
  X(LogDirectoryOffline, "log-directory-offline")                             \
  X(UncleanReregistration, "unclean-reregistration")                          \
  X(RegistrationRefused, "registration-refused")                              \
  X(FencedJoinRefused, "fenced-join-refused")                                 \
  X(StaleBrokerEpochRefused, "stale-broker-epoch-refused")                    \
  X(BrokerFenced, "broker-fenced")                                            \
  X(BrokerUnfenced, "broker-unfenced")                                        \
  X(StaleMemberRefused, "stale-member-refused")                               \
  X(StaticMemberReplaced, "static-member-replaced")                           \
  X(GroupMemberExpired, "group-member-expired")                               \
  X(PartitionOffline, "partition-offline")                                    \
  X(OffsetNotAvailable, "offset-not-available")                               \
  X(VerificationOutlived, "verification-outlived")                            \
  X(EndTxnRepeated, "end-txn-repeated")                                       \
  X(EndTxnFenced, "end-txn-fenced")                                           \
  X(LateTransactionalBatch, "late-transactional-batch")                       \
  X(ResendRecognised, "resend-recognised")                                    \
  X(SequenceRefused, "sequence-refused")                                      \
  X(ProducerFenced, "producer-fenced")                                        \
  X(SnapshotSkipped, "snapshot-skipped")                                      \
  X(SegmentsCleaned, "segments-cleaned")                                      \
  X(CleaningInterrupted, "cleaning-interrupted")                              \
  X(CleaningHeldByTransaction, "cleaning-held-by-transaction")                \
  X(CleaningMapFull, "cleaning-map-full")                                     \
  X(TombstoneExpired, "tombstone-expired")                                    \
  X(MarkerExpired, "marker-expired")                                          \
  X(EmptyBatchKept, "empty-batch-kept")                                       \
  X(SwapCompleted, "swap-completed")                                          \
  X(SwapDropped, "swap-dropped")                                              \
  X(CleanerCheckpointLowered, "cleaner-checkpoint-lowered")                   \
  X(FollowerCopiedHole, "follower-copied-hole")

// A point where the simulation may choose legal but rare behaviour (SIMULATION.md, scheduling). The first four are the
// simulated machine's own, the others the core's.
#define VERDICT_SITES(X)                                                                                    \
  X(ShortRead, "short-read")                      /* a stream gives one byte */                             \
  X(SplitWrite, "split-write")                    /* a frame leaves in two segments */                      \
  X(DeferInline, "defer-inline")                  /* a start that could finish at once does not */          \
  X(ColdRead, "cold-read")                        /* the page was evicted */                                \
  X(TinyFetch, "tiny-fetch")                      /* a fetch answer holds one batch */                      \
  X(TinyMetadata, "tiny-metadata")                /* the same of the metadata log */                        \
  X(EarlyTimeout, "early-timeout")                /* a long poll ends at once */                            \
  X(LateFetch, "late-fetch")                      /* a fetcher rests before its next round */               \
  X(FetchSessionRefused, "fetch-session-refused") /* no room for a session */                               \
  X(FetchSessionEvicted, "fetch-session-evicted") /* it is gone when it is used next */                     \
  X(TinyBatch, "tiny-batch")                      /* a producer's batch takes no second record */           \
  X(EarlyRoll, "early-roll")                      /* a segment ends long before it is full */               \
  X(EarlyTick, "early-tick")                      /* ISR check, checkpoints, retention before their time */ \
  X(EarlyHeartbeat, "early-heartbeat")            /* broker */                                              \
  X(SplitProposal, "split-proposal")              /* AlterPartition for one partition of those that wait */ \
  X(LateProposal, "late-proposal")                /* an ISR stays pending for longer */                     \
  X(LateMetadata, "late-metadata")                /* what was fetched of the metadata is applied later */

// What a random number is for: draws of different purposes never disturb each other.
#define VERDICT_PURPOSES(X)        \
  X(TopicId, "topic-id")           \
  X(Incarnation, "incarnation")    \
  X(ClusterId, "cluster-id")       \
  X(DirectoryId, "directory-id")   \
  X(Backoff, "backoff")            \
  X(Placement, "placement")        \
  X(Workload, "workload")          \
  X(FetchSession, "fetch-session") \
  X(MemberId, "member-id")         \
  X(CleanerHash, "cleaner-hash")

#define VERDICT_ENUMERATOR(id, text) id,
enum class Defect : std::uint8_t { VERDICT_DEFECTS(VERDICT_ENUMERATOR) };
enum class Mark : std::uint8_t { VERDICT_MARKS(VERDICT_ENUMERATOR) };
enum class Site : std::uint8_t { VERDICT_SITES(VERDICT_ENUMERATOR) };
enum class Purpose : std::uint8_t { VERDICT_PURPOSES(VERDICT_ENUMERATOR) };
#undef VERDICT_ENUMERATOR

#define VERDICT_COUNT(id, text) +1
constexpr std::size_t kDefectCount = 0 VERDICT_DEFECTS(VERDICT_COUNT);
constexpr std::size_t kMarkCount = 0 VERDICT_MARKS(VERDICT_COUNT);
constexpr std::size_t kSiteCount = 0 VERDICT_SITES(VERDICT_COUNT);
constexpr std::size_t kMachineSiteCount = 4;
constexpr std::size_t kPurposeCount = 0 VERDICT_PURPOSES(VERDICT_COUNT);
#undef VERDICT_COUNT

std::string_view name_of(Defect);
std::string_view name_of(Mark);
std::string_view name_of(Site);
std::string_view name_of(Purpose);
std::optional<Defect> find_defect(std::string_view name);
std::optional<Mark> find_mark(std::string_view name);
std::optional<Site> find_site(std::string_view name);

class DefectSet {
 public:
  bool has(Defect defect) const { return bits_[static_cast<std::size_t>(defect)]; }
  void add(Defect defect) { bits_.set(static_cast<std::size_t>(defect)); }
  bool empty() const { return bits_.none(); }

 private:
  std::bitset<kDefectCount> bits_;
};

}  // namespace verdict
