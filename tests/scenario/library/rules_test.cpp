// What each scenario is about, taken away: a planted defect that its invariants convict, or a setting without which its
// rule doesn't hold any more. Its faults stay. A scenario that nothing here makes fail proves nothing.
#include <gtest/gtest.h>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "scenarios/catalogue.h"
#include "scenarios/runner.h"

namespace verdict::scenarios {
namespace {

struct Rule {
  std::string_view scenario;
  std::string_view why;                    // what is removed
  std::string_view defect;                 // planted; "": the settings do it
  std::vector<std::string_view> settings;  // as --set takes them
  // The invariants of which one must break; none: the run doesn't count, for this reason.
  std::vector<std::string_view> invariants;
  std::string_view unmet;
};

Rule planted(std::string_view scenario, std::string_view defect, std::vector<std::string_view> invariants,
             std::string_view why) {
  return {.scenario = scenario, .why = why, .defect = defect, .invariants = std::move(invariants)};
}

Rule without(std::string_view scenario, std::vector<std::string_view> settings, std::string_view unmet,
             std::string_view why) {
  return {.scenario = scenario, .why = why, .settings = std::move(settings), .unmet = unmet};
}

Rule broken(std::string_view scenario, std::vector<std::string_view> settings, std::vector<std::string_view> invariants,
            std::string_view why) {
  return {.scenario = scenario, .why = why, .settings = std::move(settings), .invariants = std::move(invariants)};
}

std::vector<Rule> replication_rules() {
  return {
      planted("alter-partition-answer-held", "local-shrink", {"C9"}, "an ISR is smaller once the controller says so"),
      planted("alter-partition-answer-outlived", "kip-497", {"C4", "C9"},
              "whom the controller counts, the leader counts, whatever it has heard"),
      planted("alter-partition-request-delayed", "local-shrink", {"C9"}, "the controller decides, not the leader"),
      planted("back-to-back-elections", "no-truncation", {"C2", "C3"}, "what only an old leader has is cut"),
      planted("crash-between-append-and-answer", "no-truncation", {"C2", "C3"}, "the outcome is the same for everyone"),
      planted("crash-between-hw-and-answer", "kip-101", {"C1", "C2", "C3", "C5"}, "what is committed is never cut"),
      planted("crash-inside-a-turn", "kip-101", {"C1", "C2", "C3", "C5"}, "a return costs nothing that is committed"),
      planted("crash-loop", "kip-101", {"C1", "C2", "C3", "C5"}, "a return costs nothing that is committed"),
      planted("follower-with-old-metadata", "local-shrink", {"C9"},
              "who is fenced stays in the ISR until the controller says otherwise"),
      planted("follower-two-epochs-behind", "kip-320-hw", {"C1", "C2", "C3", "C4"},
              "what is said in another epoch counts for nothing"),
      planted("isr-proposal-taken-after-its-refusal", "kip-497", {"C4", "C9"},
              "whom the controller may yet admit, the leader counts"),
      planted("isr-shrinks-and-expands", "local-shrink", {"C9"}, "the leader proposes, the controller decides"),
      planted("last-isr-member-waits", "unclean-election", {"C1", "C2", "C8"}, "nobody outside the ISR is elected"),
      planted("leader-crash-acks-all", "kip-101", {"C1", "C2", "C3", "C5"}, "what is acknowledged is never cut"),
      planted("leader-dies-as-the-isr-shrinks", "kafka-7128", {"C1", "C2", "C3"},
              "who joins the ISR has what the leader of its epoch began with"),
      planted("leader-hears-of-two-elections-late", "kip-320-truncate", {"C1", "C2", "C3", "C5"},
              "where logs part is told in one epoch"),
      planted("leader-power-loss", "kip-101", {"C1", "C2", "C3", "C5"}, "a return costs nothing that is committed"),
      planted("leader-with-old-metadata", "kip-101", {"C1", "C2", "C3", "C5"},
              "a follower cuts what the leader of its epoch says"),
      planted("leader-without-the-followers-epoch", "kip-279", {"C1", "C2", "C3"}, "an end is told with its epoch"),
      planted("long-pause-and-fencing", "ack-by-offset", {"C7"}, "a deposed leader acknowledges nothing"),
      planted("min-isr-freezes-high-watermark", "min-isr-off", {"C4", "M1"}, "no commit below the minimum"),
      planted("min-isr-refuses-writes", "min-isr-off", {"C4", "M1"}, "no acks=all below the minimum"),
      planted("older-disk-of-the-leader", "kip-101", {"C1", "C2", "C3", "C5"},
              "what is acknowledged lives on in the others"),
      planted("one-way-partition", "local-shrink", {"C9"}, "who isn't heard leaves the ISR through the controller"),
      planted("retention-hides-a-divergence", "kept-below-log-start", {"C1", "C2", "C3"},
              "what cannot be compared with the leader's log counts for nothing"),
      planted("rolling-restart", "kip-101", {"C1", "C2", "C3", "C5"}, "an orderly restart truncates nothing"),
      planted("slow-disk", "majority-hw", {"C2", "C4"}, "the others wait for a slow member of the ISR"),
      planted("slow-follower", "majority-hw", {"C2", "C4"}, "the high watermark waits for the slowest member"),
      planted("stale-follower-with-a-long-tail", "kip-320-expand", {"C1", "C2", "C3"},
              "an offset of another epoch makes nobody in sync"),
      planted("stale-leader-in-partition", "ack-by-offset", {"C7"}, "a leader without its epoch acknowledges nothing"),
      planted("swizzled-links", "majority-hw", {"C2", "C4"}, "a majority in some order is not the ISR"),
      planted("uncommitted-tail-cut", "no-truncation", {"C2", "C3", "V3"}, "what only the old leader has is cut"),
      without("bridged-partition", {"cluster.config[replica.lag.time.max.ms]=60000"}, "isr-shrink-proposed",
              "leaders drop whom they don't hear"),
      without("fetch-answer-held-across-election", {"cluster.config[replica.socket.timeout.ms]=1000"},
              "stale-fetch-answer-dropped", "who asked in the old epoch still waits for the answer"),
      without("five-brokers", {"topics[0].replication_factor=1"},
              "event partition_decided leader: ", "every partition has a survivor"),
      without("power-loss-all-but-one", {"topics[0].config[min.insync.replicas]=2"},
              "event produce_acknowledged acks error_code maximal_isr partition: 0", "one alone may go on"),
      without("single-replica", {"topics[0].assignment=[[1,2],[2,3],[3,1]]"},
              "event partition_decided leader partition: 0", "there is nobody to elect"),
      without("unclean-election-allowed", {"topics[0].config[unclean.leader.election.enable]=false"},
              "event partition_decided partition unclean: 0", "the topic allows it"),
  };
}

std::vector<Rule> late_word_rules() {
  return {
      planted("answer-built-across-elections", "kafka-18723", {"C1", "C2", "C3"},
              "batches newer than the epoch of the fetch are not appended"),
      planted("diverging-answer-outlived", "kafka-18991", {"C1", "C2", "C3", "C5"},
              "what is said of an older epoch cuts nothing"),
      planted("fetch-of-an-earlier-life", "kafka-15221", {"M2", "C1", "C2", "C3"},
              "a log end counts for the life that told it"),
      planted("leader-of-a-silent-epoch", "kafka-7415", {"V3", "C1", "C2", "C3"},
              "an epoch's start is recorded at the election"),
      planted("metadata-behind-its-answer", "stale-metadata-drops-proposal", {"C4", "C9"},
              "what isn't newer ends no proposal"),
      planted("return-before-fencing", "kafka-18106", {"C1", "C2", "C3"},
              "an unclean return ends memberships and leaderships, fenced or not"),
      planted("wiped-while-proposed", "kip-903", {"M2", "C1", "C2", "C3"},
              "a member is taken for the life that was proposed"),
      without("return-through-old-metadata", {"faults[0].for_ms=1", "faults[1].for_ms=1"},
              "event partition_decided isr partition: 0", "there was a time when it led alone"),
      without("empty-follower-of-a-wiped-leader", {"faults[1].for_ms=1"},
              "mark never reached: restarted-at-leader-start", "its log is empty when the next leader begins"),
      without("empty-follower-meets-another-history", {"faults[1].for_ms=1"},
              "mark never reached: restarted-at-leader-start", "its log is empty when the next leader begins"),
  };
}

std::vector<Rule> controller_rules() {
  return {
      without("combined-controller", {"cluster.combined=false"}, "event broker_registered broker clean: 0",
              "the broker dies with its controller"),
      broken("controller-crash", {"faults[0].action=wipe"}, {"V1", "V2", "V3"},
             "the log holds all that the controller decided"),
      without("controller-cut-off", {"cluster.config[broker.session.timeout.ms]=60000"}, "broker-fenced",
              "a broker that isn't heard is fenced"),
      broken("controller-power-loss",
             {R"(faults[1]={"id":"dark","action":"wipe","when":{"event":"partition_decided",)"
              R"("match":{"isr":{"size":2}}},"target":"controller","restart_ms":700})"},
             {"V1", "V2", "V3"}, "what is decided is on the disk"),
      without("controller-dies-as-it-fences", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event produce_acknowledged error_code node partition: 0", "a broker that isn't heard is fenced"),
      without("isolated-follower-returns", {"cluster.config[broker.session.timeout.ms]=60000"}, "broker-fenced",
              "a broker that isn't heard is fenced"),
      without("drawn-partitions", {"cluster.config[broker.session.timeout.ms]=60000"}, "broker-fenced",
              "a broker that isn't heard is fenced"),
      without("swizzled-brokers", {"cluster.config[broker.session.timeout.ms]=60000"}, "broker-fenced",
              "a broker that isn't heard is fenced"),
      without("connects-refused-and-unanswered", {"cluster.config[broker.session.timeout.ms]=60000"}, "broker-fenced",
              "a broker that isn't heard is fenced"),
      broken("older-disk-of-a-follower", {"cluster.config[broker.session.timeout.ms]=60000", "phases.settle_ms=3000"},
             {"V1", "V2"}, "another incarnation takes the place of one that is gone"),
      without("registration-of-an-earlier-life", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event broker_registered broker clean: ", "who isn't heard may lose its place to another life"),
      without("topic-created-under-faults", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event produce_acknowledged error_code node partition: 0", "those who live lead"),
      without("topic-deleted-in-mid-write", {"cluster.config[delete.topic.enable]=false"}, "event topic_deleted: 0",
              "topics may be deleted"),
      broken("wiped-follower", {"cluster.config[broker.session.timeout.ms]=60000", "phases.settle_ms=3000"},
             {"V1", "V2"}, "another incarnation takes the place of one that is gone"),
      without("clock-drift", {"cluster.config[broker.session.timeout.ms]=220"},
              "event broker_fencing fenced:", "a session bears drift"),
  };
}

std::vector<Rule> storage_rules() {
  return {
      without("failed-sync", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event produce_acknowledged error_code leader_epoch partition: 0",
              "others take the place of who can't trust its disk"),
      without("full-disk", {"cluster.config[replica.lag.time.max.ms]=60000"}, "isr-shrink-proposed",
              "the others carry on"),
      without("full-disk-of-the-leader",
              {R"set(faults=[{"id":"full","action":"full_disk","at_ms":1000,"target":"broker(1)","bytes":4000,)set"
               R"set("for_ms":3000},{"id":"uncut","action":"disk_errors","at_ms":1010,"target":"broker(1)",)set"
               R"set("path_part":"orders-0","fail_writes":2}])set"},
              "event broker_fencing fenced: ", "a half-written batch is cut back"),
      without("power-loss-of-all", {"topics[0].config[internal.segment.bytes]=1000000"}, "event log_flushed: 0",
              "a segment that is complete is synced"),
      without("crash-while-a-sync-is-under-way", {"topics[0].config[internal.segment.bytes]=1000000"}, "segment-rolled",
              "a segment that is complete is synced"),
      without("rot-in-a-follower", {"topics[0].config[internal.segment.bytes]=1000000"}, "event log_flushed: 0",
              "only what is on the disk can rot there"),
      without("segments-roll-and-retire", {"topics[0].config[retention.bytes]=-1"}, "retention-removed-segment",
              "old segments go"),
      without("torn-write", {"topics[0].config[internal.segment.bytes]=1000000"}, "segment-rolled",
              "recovery goes over several segments"),
      without("write-error", {"faults[0].fail_writes=2"},
              "event broker_fencing fenced: ", "a failed append is cut back"),
  };
}

std::vector<Rule> client_rules() {
  return {
      without("client-cut-off", {"workload.request_timeout_ms=20000", "workload.delivery_timeout_ms=40000"},
              "ambiguous sends", "requests end before the cut does"),
      without("compressed-batches",
              {"workload.producers[0].burst=1", "workload.producers[0].linger_us=0", "workload.producers[1].burst=1",
               "workload.producers[1].linger_us=0"},
              "event batch_appended records role: ", "batches of many records"),
      without("connection-resets", {"cluster.config[broker.session.timeout.ms]=150"},
              "event broker_fencing fenced: ", "a session outlasts what a reset costs"),
      without("one-in-flight-keeps-order", {"workload.producers[0].retries=1000", "workload.producers[1].retries=1000"},
              "ambiguous sends", "no retry"),
      without("rare-but-legal", {"scheduling.stall_one_in=0"}, "scheduling-stall", "processors are shared"),
      without("waiters-time-out", {"workload.request_timeout_ms=6000", "workload.delivery_timeout_ms=12000"},
              "waiter-timed-out", "the followers are away for longer than a producer's patience"),
  };
}

std::vector<Rule> compaction_rules() {
  constexpr std::string_view kNeverCleaned = "cluster.config[log.cleaner.enable]=false";
  return {
      planted("compaction-across-an-open-transaction", "clean-past-lso", {"L2"}, "the last stable offset bounds it"),
      without("crashes-in-a-swap", {kNeverCleaned}, "fault never fired: first", "the cleaner is at work"),
      without("compaction-while-a-follower-lags", {kNeverCleaned}, "follower-copied-hole", "the leader compacts"),
      without("rot-before-compaction", {kNeverCleaned}, "segments-cleaned", "the cleaner reads what has rotted"),
      without("tombstones-and-their-horizon", {"topics[0].config[delete.retention.ms]=100000"}, "tombstone-expired",
              "their time passes"),
      without("tombstones-larger-than-a-segment", {kNeverCleaned}, "event batch_appended length role",
              "a horizon makes batches larger"),
      without("coordinators-load-compacted-logs", {kNeverCleaned}, "segments-cleaned", "their logs are compacted"),
  };
}

std::vector<Rule> transaction_rules() {
  return {
      planted("batch-comes-after-the-abort", "kip-890", {"T3", "T10"},
              "what is sent in one transaction is never part of another"),
      planted("confirmed-aborted-appended", "kafka-14884", {"T3", "T7", "T10"},
              "a batch follows no marker that its coordinator's word didn't know"),
      planted("end-comes-again-in-the-next-transaction", "endtxn-retry", {"T11"}, "an end is of one transaction"),
      planted("zombie-after-a-time-out", "kafka-9600", {"T11", "T7"}, "who is fenced ends nothing"),
      without("coordinator-dies-at-every-step",
              {"cluster.config[transaction.state.log.replication.factor]=1",
               "cluster.config[transaction.state.log.min.isr]=1", "faults[0].restart_ms=-1"},
              "fault never fired: ", "the coordinator's log is on other disks too"),
      without("marker-waits-for-a-leader", {"topics[1].assignment=[[1,3],[3,1]]"},
              "event partition_decided leader partition: 0", "nobody else can lead"),
      without("marker-outlives-its-leader", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event became_leader leader_epoch node partition: 0", "another leader takes the marker"),
      without("aborted-transactions-and-power-loss",
              {"workload.producers[0].abort_one_in=0", "workload.producers[1].abort_one_in=0"},
              "event committed_read aborted partition: 0", "there is something to hide"),
      without("consume-transform-produce",
              {"cluster.config[offsets.topic.replication.factor]=1", "faults[0].restart_ms=-1"},
              "event transaction_moved coordinator_epoch state: 0", "the group's offsets are on other disks too"),
      without("coordinator-dies-between-prepare-and-markers",
              {"cluster.config[transaction.state.log.replication.factor]=1",
               "cluster.config[transaction.state.log.min.isr]=1", "faults[0].restart_ms=-1"},
              "fault never fired: decided", "the decision is on other disks too"),
      without("fenced-producer-begins-another-transaction", {"workload.producers[1].transactional_id=its-own"},
              "event transaction_moved producer_epoch state transactional_id: 0", "one id has one producer"),
      without("group-member-killed",
              {"workload.consumers[0].session_timeout_ms=60000", "workload.consumers[1].session_timeout_ms=60000",
               "workload.consumers[2].session_timeout_ms=60000"},
              "records delivered", "who isn't heard loses its partitions to the others"),
      without("last-stable-offset-from-the-first-answer", {"workload.producers[2].transactional=false"},
              "fault never fired: left-open", "a transaction is left open"),
      without("lost-answers-repeat-nothing", {"workload.producers[0].transactional=false"},
              "event transaction_moved state: 0", "there is a coordinator to ask again"),
      without("marker-to-a-leader-without-power", {"cluster.config[request.timeout.ms]=60000"}, "records acknowledged",
              "what nobody answers is sent anew"),
      without("one-of-several-in-flight-fails",
              {"workload.producers[0].in_flight=1", "workload.producers[1].in_flight=1"}, "sequence-refused",
              "several batches are on their way"),
      without("producer-forgotten-in-its-sleep", {"cluster.config[producer.id.expiration.ms]=60000"},
              "event producers_forgotten", "brokers forget who is silent"),
      without("resend-reaches-the-next-leader",
              {"workload.producers[0].idempotent=false", "workload.producers[1].idempotent=false",
               "workload.producers[2].transactional=false"},
              "resend-recognised", "sequences tell what was there before"),
      without("snapshots-lost-with-the-power", {"topics[0].config[internal.segment.bytes]=1000000"}, "segment-rolled",
              "snapshots are taken as segments roll"),
      without("transaction-over-a-change-of-leader", {"cluster.config[broker.session.timeout.ms]=60000"},
              "event became_leader leader_epoch partition: 0", "others lead on"),
      without("zombie-producer-fenced", {"workload.producers[1].transactional_id=its-own"},
              "event transaction_moved producer_epoch state transactional_id: 0", "one id has one producer"),
  };
}

std::vector<Rule> group_rules() {
  return {
      planted("commit-from-a-zombie", "no-generation-fence", {"G3"}, "who is no member commits nothing"),
      without("commit-waits-as-its-coordinator-is-deposed", {"cluster.config[offsets.topic.replication.factor]=1"},
              "event log_truncated partition reason: 0", "another one leads meanwhile, and has other records"),
      without("cooperative-move-under-a-pause",
              {"workload.consumers[0].assignor=range", "workload.consumers[1].assignor=range",
               "workload.consumers[2].assignor=range", "workload.consumers[3].assignor=range"},
              "event group_synced client: 1", "what moves is given in a round of its own"),
      planted("consume-transform-produce-kip-848", "no-generation-fence", {"G3"},
              "a transaction commits no offsets of an older member epoch"),
      planted("consumer-protocol-member-paused", "no-generation-fence", {"G3"}, "who is no member commits nothing"),
      without("consumer-protocol-members-come-and-go",
              {"workload.consumers[3].stay_ms=0", "workload.consumers[4].stay_ms=0", "workload.consumers[5].stay_ms=0"},
              "event group_member_moved change group: 6", "members come and go"),
      without("consumer-protocol-static-members-restart",
              {"workload.consumers[0].instance=", "workload.consumers[1].instance=", "workload.consumers[2].instance="},
              "event group_member_moved change group: 0", "an instance id keeps a member's place"),
      without("coordinator-killed-in-a-rebalance", {"workload.consumers[2].start_ms=60000"},
              "fault never fired: coordinator", "somebody joins, and the others join again"),
      without(
          "many-members-come-and-go",
          {"workload.consumers[6].stay_ms=0", "workload.consumers[7].stay_ms=0", "workload.consumers[8].stay_ms=0",
           "workload.consumers[9].stay_ms=0", "workload.consumers[10].stay_ms=0", "workload.consumers[11].stay_ms=0"},
          "event group_moved group state: 1", "members come and go"),
      planted("offsets-after-power-loss", "majority-hw", {"C1", "C2", "C4"},
              "a commit is acknowledged when every replica in sync has it"),
      planted("partition-returns-before-it-is-given-up", "kafka-16147", {"G1"},
              "a partition is its owner's until that has given it up"),
      planted("rebalance-storm", "no-generation-fence", {"G3"}, "a commit is of the present generation"),
      without("static-member-leaves-as-it-gives-up", {"workload.consumers[0].instance="},
              "event group_member_moved change generation group instance: 0", "its place is kept for it"),
      planted("static-member-replaced", "kafka-10284", {"G1"}, "the new member id is in the log"),
      planted("static-member-returns-in-a-rebalance", "kafka-8500", {"G1"}, "a member id is one process's"),
      without("static-members-restart",
              {"workload.consumers[0].instance=", "workload.consumers[1].instance=", "workload.consumers[2].instance="},
              "of at most 3", "an instance id keeps a member's place"),
  };
}

const std::vector<Rule>& rules() {
  static const std::vector<Rule> all = [] {
    std::vector<Rule> rows = replication_rules();
    for (const auto& more : {late_word_rules(), controller_rules(), storage_rules(), client_rules(),
                             transaction_rules(), group_rules(), compaction_rules()})
      rows.insert(rows.end(), more.begin(), more.end());
    return rows;
  }();
  return all;
}

class RuleRemoved : public testing::TestWithParam<std::string> {};

Scenario changed(const Rule& rule) {
  Scenario scenario = *library_scenario(rule.scenario);
  for (const std::string_view setting : rule.settings) {
    auto set = with_setting(scenario, setting);
    EXPECT_TRUE(set.has_value()) << setting << ": " << set.error().text();
    if (set) scenario = std::move(*set);
  }
  const auto valid = validate(scenario);
  EXPECT_TRUE(valid.has_value()) << valid.error().text();
  return scenario;
}

bool fails_as_it_must(const Rule& rule, const RunResult& result) {
  if (!rule.defect.empty() && !result.marks.contains("defect-" + std::string(rule.defect))) return false;
  if (!rule.invariants.empty())
    return result.outcome == RunOutcome::violation &&
           std::ranges::find(rule.invariants, result.invariant) != rule.invariants.end();
  return result.outcome == RunOutcome::inconclusive && std::ranges::any_of(result.unmet, [&](const std::string& line) {
           return line.find(rule.unmet) != std::string::npos;
         });
}

TEST_P(RuleRemoved, TheScenarioFails) {
  const auto rule = std::ranges::find(rules(), GetParam(), &Rule::scenario);
  ASSERT_NE(rule, rules().end()) << "no row says what " << GetParam() << " is about";
  RunOptions options;
  if (!rule->defect.empty()) options.defects.emplace_back(rule->defect);
  const Scenario scenario = changed(*rule);
  std::string seen;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    const RunResult result = run(scenario, seed, options);
    if (fails_as_it_must(*rule, result)) return;
    seen += "\n  seed " + std::to_string(seed) + ": " + std::string(name_of(result.outcome)) + " " + result.invariant +
            " " + result.sentence;
    for (const std::string& line : result.unmet) seen += "; " + line;
  }
  FAIL() << GetParam() << " bears it that this is gone: " << rule->why << seen;
}

std::vector<std::string> scenarios() {
  std::vector<std::string> all;
  for (const LibraryEntry& entry : library()) all.emplace_back(entry.name);
  return all;
}

INSTANTIATE_TEST_SUITE_P(All, RuleRemoved, testing::ValuesIn(scenarios()), [](const auto& param) {
  std::string name = param.param;
  std::ranges::replace(name, '-', '_');
  return name;
});

TEST(Rules, EachScenarioHasOneRowAndEachRowAScenario) {
  EXPECT_EQ(rules().size(), library().size());
  for (const Rule& rule : rules()) EXPECT_NE(find_library(rule.scenario), nullptr) << rule.scenario;
}

}  // namespace
}  // namespace verdict::scenarios
