#include "tests/conversation/replication/conversation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "protocol/replication/replica.h"
#include "tests/unit/replication/memory_log.h"

namespace verdict::replication {
namespace {

using Words = std::map<std::string, std::string>;

std::vector<std::string> split(const std::string& text, char at) {
  std::vector<std::string> parts;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, at);) parts.push_back(part);
  return parts;
}

template <class T>
std::string show(const T& value) {
  if constexpr (requires { value.value(); }) {
    return fmt::format("{}", value.value());
  } else if constexpr (requires { value.begin(); }) {
    std::vector<std::string> parts;
    for (const auto& part : value) parts.push_back(show(part));
    return fmt::format("[{}]", fmt::join(parts, " "));
  } else if constexpr (std::is_enum_v<T>) {
    return fmt::format("{}", static_cast<int>(value));
  } else {
    return fmt::format("{}", value);
  }
}

std::string show(const EpochEnd& end) {
  return end.known() ? fmt::format("{}:{}", show(end.epoch), show(end.end)) : "none";
}

class Announcements final : public protocol::Observer {
 public:
  explicit Announcements(std::string& out) : out_(out) {}
  void observe(const protocol::Event& event) override {
    std::visit(
        [&](const auto& e) {
          out_ += fmt::format("  ! {}", e.name);
          e.fields([&](std::string_view name, const auto& value) { field(name, value); });
          out_ += "\n";
        },
        event);
  }

 private:
  void field(std::string_view, const PartitionKey&) {}
  void field(std::string_view, const Uuid&) {}
  void field(std::string_view name, std::string_view value) { out_ += fmt::format(" {}={}", name, value); }
  template <class T>
  void field(std::string_view name, const T& value) {
    // What the log's content would say, no replica decides by it.
    if (name == "crc" || name.starts_with("producer") || name == "base_sequence") return;
    if (name == "role") {
      out_ += show(value) == "0" ? " role=leader" : " role=follower";
      return;
    }
    out_ += fmt::format(" {}={}", name, show(value));
  }

  std::string& out_;
};

std::string_view reason_name(WakeReason reason) {
  constexpr std::string_view names[] = {"appended", "high_watermark", "role", "truncated"};
  return names[static_cast<std::size_t>(reason)];
}

class Conversation {
 public:
  std::string run(const std::string& text) {
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.starts_with("  ")) continue;
      out_ += line + "\n";
      if (line.empty() || line.starts_with("#")) continue;
      tell(line);
    }
    return out_;
  }

 private:
  void tell(const std::string& line) {
    words_.clear();
    const std::vector<std::string> parts = split(line, ' ');
    for (std::size_t i = 1; i < parts.size(); ++i) {
      const std::size_t at = parts[i].find('=');
      words_[parts[i].substr(0, at)] = at == std::string::npos ? "" : parts[i].substr(at + 1);
    }
    if (!prepare(parts[0]) && !lead(parts[0]) && !follow(parts[0])) throw std::runtime_error("unknown line: " + line);
    if (!words_.empty()) throw std::runtime_error("unknown word in: " + line);
    run_effects();
  }

  std::string take(const std::string& key, const std::string& otherwise = "") {
    const auto found = words_.find(key);
    if (found == words_.end()) return otherwise;
    std::string value = found->second;
    words_.erase(found);
    return value;
  }
  bool flag(const std::string& key) { return words_.erase(key) > 0; }
  template <class T>
  T number(const std::string& key, std::int64_t otherwise) {
    const std::string text = take(key);
    const std::int64_t value = text.empty() ? otherwise : std::stoll(text);
    if constexpr (requires { typename T::rep; }) {
      return T(static_cast<typename T::rep>(value));
    } else {
      return static_cast<T>(value);
    }
  }
  NodeIds nodes(const std::string& key) {
    NodeIds ids;
    for (const std::string& part : split(take(key), ',')) ids.push_back(NodeId(std::stoi(part)));
    return ids;
  }
  std::vector<ReplicaBroker> brokers(const std::string& key) {
    std::vector<ReplicaBroker> list;
    for (const std::string& part : split(take(key), ',')) {
      const std::vector<std::string> fields = split(part, ':');
      ReplicaBroker broker{
          .id = NodeId(std::stoi(fields[0])), .epoch = BrokerEpoch(std::stoll(fields.at(1))), .fenced = false};
      for (std::size_t i = 2; i < fields.size(); ++i) {
        (fields[i] == "fenced" ? broker.fenced : broker.shutting_down) = true;
      }
      list.push_back(broker);
    }
    return list;
  }
  ErrorCode error() {
    const std::string name = take("error", "NONE");
    const auto found = wire::find_error(name);
    if (!found) throw std::runtime_error("unknown error " + name);
    return *found;
  }

  bool prepare(const std::string& what) {
    if (what == "new") {
      for (const std::string& name : split(take("defects"), ',')) defects_.add(find_defect(name).value());
      const ReplicaConfig config{.self = number<NodeId>("self", 1),
                                 .replica_lag_time_max = from_ms(number<std::int64_t>("lag_ms", 30000))};
      log_ = {};
      replica_ = std::make_unique<Replica>(config, log_, defects_, &announcements_);
    } else if (what == "log") {
      log_ = {};
      if (const auto start = number<Offset>("start", 0); start > Offset{0}) log_.restart_at(start);
      const std::vector<std::string> epochs = split(take("epochs"), ',');
      const auto end = number<Offset>("end", 0);
      for (std::size_t i = 0; i < epochs.size(); ++i) {
        const std::vector<std::string> entry = split(epochs[i], ':');
        const LeaderEpoch epoch(std::stoi(entry[0]));
        const Offset until = i + 1 < epochs.size() ? Offset(std::stoll(split(epochs[i + 1], ':')[1])) : end;
        log_.assign(epoch, log_.log_end());
        while (log_.log_end() < until) log_.append({.epoch = epoch});
      }
    } else if (what == "retention") {
      log_.set_start(number<Offset>("to", 0));
    } else if (what == "at") {
      now_ = MonoTime(from_ms(number<std::int64_t>("ms", 0)));
    } else if (what == "fail_next_append") {
      fail_next_append_ = true;
    } else if (what == "state") {
      const Replica& r = *replica_;
      constexpr std::string_view roles[] = {"none", "leader", "follower"};
      out_ += fmt::format("  = {} epoch={} partition_epoch={} log=[{},{}) hw={} isr={} maximal={} waiters={}\n",
                          roles[static_cast<std::size_t>(r.role())], show(r.leader_epoch()), show(r.partition_epoch()),
                          show(log_.log_start()), show(log_.log_end()), show(r.high_watermark()), show(r.isr()),
                          r.is_leader() ? show(r.leading().maximal_isr()) : "[]", r.waiters());
    } else {
      return false;
    }
    return true;
  }

  bool lead(const std::string& what) {
    if (what == "opened") {
      replica_->step(LogOpened{number<Offset>("hw", 0)}, now_, effects_);
    } else if (what == "metadata") {
      const NodeIds replicas = nodes("replicas");
      const NodeIds isr = nodes("isr");
      const std::vector<ReplicaBroker> list = brokers("brokers");
      replica_->step(MetadataChanged{.leader = number<NodeId>("leader", -1),
                                     .leader_epoch = number<LeaderEpoch>("epoch", 0),
                                     .partition_epoch = number<PartitionEpoch>("partition_epoch", 0),
                                     .replicas = replicas,
                                     .isr = isr,
                                     .brokers = list,
                                     .local_broker_epoch = number<BrokerEpoch>("local", 10),
                                     .min_insync_replicas = number<std::int32_t>("min", 1)},
                     now_, effects_);
    } else if (what == "brokers") {
      const std::vector<ReplicaBroker> list = brokers("is");
      replica_->step(BrokersChanged{list}, now_, effects_);
    } else if (what == "min_isr") {
      replica_->step(MinIsrChanged{number<std::int32_t>("is", 1)}, now_, effects_);
    } else if (what == "removed") {
      const std::string reason = take("reason");
      replica_->step(Removed{reason == "topic_deleted"   ? RemovedReason::topic_deleted
                             : reason == "reassigned"    ? RemovedReason::reassigned
                             : reason == "shutting_down" ? RemovedReason::shutting_down
                                                         : RemovedReason::log_directory_failed},
                     now_, effects_);
    } else if (what == "produce") {
      produce();
    } else if (what == "expire") {
      replica_->step(WaiterExpired{number<WaiterId>("waiter", 0)}, now_, effects_);
    } else if (what == "fetch") {
      answer(replica_->step(FollowerFetch{.replica = number<NodeId>("replica", -1),
                                          .broker_epoch = number<BrokerEpoch>("broker_epoch", -1),
                                          .current_leader_epoch = number<LeaderEpoch>("epoch", -1),
                                          .fetch_offset = number<Offset>("offset", 0),
                                          .last_fetched_epoch = number<LeaderEpoch>("last", -1),
                                          .log_start = number<Offset>("start", -1),
                                          .progress = flag("again") ? Progress::ignore : Progress::record},
                            now_, effects_));
    } else if (what == "altered") {
      const NodeIds isr = nodes("isr");
      replica_->step(AlterPartitionAnswered{.proposal = number<ProposalId>("proposal", 0),
                                            .error = error(),
                                            .leader_epoch = number<LeaderEpoch>("epoch", -1),
                                            .partition_epoch = number<PartitionEpoch>("partition_epoch", -1),
                                            .isr = isr},
                     now_, effects_);
    } else if (what == "tick") {
      replica_->step(IsrTick{}, now_, effects_);
    } else {
      return read(what);
    }
    return true;
  }

  bool read(const std::string& what) {
    if (what == "consume") {
      answer(replica_->step(ConsumerFetch{.current_leader_epoch = number<LeaderEpoch>("epoch", -1),
                                          .fetch_offset = number<Offset>("offset", 0),
                                          .last_fetched_epoch = number<LeaderEpoch>("last", -1),
                                          .leader_only = !flag("anywhere")},
                            now_, effects_));
    } else if (what == "end_offset") {
      const auto decision =
          replica_->step(OffsetForLeaderEpoch{.current_leader_epoch = number<LeaderEpoch>("epoch", -1),
                                              .epoch = number<LeaderEpoch>("of", -1)},
                         now_, effects_);
      out_ += fmt::format("  < {} {}\n", wire::to_string(decision.error), show(decision.end));
    } else if (what == "list") {
      const auto decision = replica_->step(ListOffsets{.current_leader_epoch = number<LeaderEpoch>("epoch", -1),
                                                       .from_replica = flag("replica"),
                                                       .latest = flag("latest")},
                                           now_, effects_);
      out_ += fmt::format("  < {} epoch={} start={} latest={}{}\n", wire::to_string(decision.error),
                          show(decision.leader_epoch), show(decision.log_start), show(decision.latest),
                          decision.latest_lags ? " lags" : "");
    } else {
      return false;
    }
    return true;
  }

  bool follow(const std::string& what) {
    if (what == "next") {
      const auto position = replica_->next_fetch();
      out_ += !position ? "  < nothing\n"
                        : fmt::format("  < leader={} epoch={} offset={} last={} start={}\n", show(position->leader),
                                      show(position->current_leader_epoch), show(position->fetch_offset),
                                      show(position->last_fetched_epoch), show(position->log_start));
    } else if (what == "answer") {
      FetchAnswered event{.leader_epoch = number<LeaderEpoch>("epoch", 0), .fetch_offset = number<Offset>("offset", 0)};
      event.error = error();
      if (const auto parts = split(take("diverging"), ':'); !parts.empty()) {
        event.diverging = {LeaderEpoch(std::stoi(parts[0])), Offset(std::stoll(parts.at(1)))};
      }
      event.high_watermark = number<Offset>("hw", -1);
      event.log_start = number<Offset>("start", 0);
      batches_.clear();
      for (const std::string& part : split(take("batches"), ',')) {
        const std::size_t dash = part.find('-');
        const std::size_t epoch = part.find('@');
        batches_.push_back({Offset(std::stoll(part)), Offset(std::stoll(part.substr(dash + 1))),
                            LeaderEpoch(std::stoi(part.substr(epoch + 1)))});
      }
      event.batches = batches_;
      replica_->step(event, now_, effects_);
    } else if (what == "offsets") {
      const auto epoch = number<LeaderEpoch>("epoch", 0);
      replica_->step(LeaderOffsetsAnswered{.leader_epoch = epoch,
                                           .error = error(),
                                           .log_start = number<Offset>("start", -1),
                                           .log_end = number<Offset>("end", -1)},
                     now_, effects_);
    } else {
      return false;
    }
    return true;
  }

  void produce() {
    const auto acks = number<std::int16_t>("acks", -1);
    const auto waiter = number<WaiterId>("waiter", 0);
    const auto count = number<std::int64_t>("count", 1);
    const ErrorCode admitted = replica_->step(ProduceRequested{acks}, now_, effects_);
    out_ += fmt::format("  < {}\n", wire::to_string(admitted));
    if (admitted != ErrorCode::NONE) return;
    run_effects();
    const Offset base = log_.log_end();
    for (std::int64_t i = 0; i < count; ++i) log_.append({.epoch = replica_->leader_epoch()});
    replica_->step(
        ProduceAppended{.batch = {.base = base, .last = base + (count - 1), .epoch = replica_->leader_epoch()},
                        .acks = acks,
                        .waiter = waiter},
        now_, effects_);
  }

  void answer(const FetchDecision& decision) {
    out_ += fmt::format("  < {}", wire::to_string(decision.error));
    if (decision.error == ErrorCode::NONE) {
      out_ += fmt::format(" hw={} start={}", show(decision.high_watermark), show(decision.log_start));
      out_ += decision.diverging.known() ? fmt::format(" diverging={}", show(decision.diverging))
                                         : fmt::format(" below={}", show(decision.read_limit));
    }
    out_ += "\n";
  }

  void run_effects() {
    effects_.for_each_mark([&](Mark mark) { out_ += fmt::format("  * {}\n", name_of(mark)); });
    for (std::size_t i = 0; i < effects_.size(); ++i) {
      const Effect effect = effects_[i];
      std::visit([&](const auto& e) { carry_out(e); }, effect);
    }
    effects_.clear();
  }

  void carry_out(const AssignEpochStart& e) {
    out_ += fmt::format("  - assign_epoch_start epoch={} start={}\n", show(e.epoch), show(e.start));
    log_.assign(e.epoch, e.start);
  }
  void carry_out(const TruncateTo& e) {
    out_ += fmt::format("  - truncate_to {}\n", show(e.to));
    log_.truncate(e.to);
    replica_->step(Truncated{}, now_, effects_);
  }
  void carry_out(const TruncateFullyAndStartAt& e) {
    out_ += fmt::format("  - truncate_fully_and_start_at {}", show(e.offset));
    out_ += e.epoch == kNoEpoch ? "\n" : fmt::format(" epoch={}\n", show(e.epoch));
    log_.restart_at(e.offset);
    if (e.epoch != kNoEpoch) log_.assign(e.epoch, e.offset);
    replica_->step(Truncated{}, now_, effects_);
  }
  void carry_out(const AppendAsFollower& e) {
    out_ += fmt::format("  - append_as_follower batches={}\n", e.batches);
    if (fail_next_append_) {
      fail_next_append_ = false;
      replica_->step(AppendFailed{}, now_, effects_);
      return;
    }
    for (const BatchSummary& batch : std::span(batches_).first(e.batches)) {
      for (Offset at = batch.base; at <= batch.last; ++at) log_.append({.epoch = batch.epoch});
    }
    replica_->step(FollowerAppended{}, now_, effects_);
  }
  void carry_out(const AdvanceLogStart& e) {
    out_ += fmt::format("  - advance_log_start {}\n", show(e.to));
    log_.set_start(e.to);
  }
  void carry_out(const SendAlterPartition& e) {
    std::vector<std::string> members;
    for (const IsrMember& member : effects_.members(e)) {
      members.push_back(fmt::format("{}:{}", show(member.id), show(member.epoch)));
    }
    out_ +=
        fmt::format("  - alter_partition proposal={} epoch={} partition_epoch={} isr=[{}]{}\n", show(e.proposal),
                    show(e.leader_epoch), show(e.partition_epoch), fmt::join(members, " "), e.retry ? " retry" : "");
  }
  void carry_out(const CompleteProduce& e) {
    out_ += fmt::format("  - complete waiter={} {} base={}\n", show(e.waiter), wire::to_string(e.error), show(e.base));
  }
  void carry_out(const WakeFetchers& e) { out_ += fmt::format("  - wake {}\n", reason_name(e.reason)); }
  void carry_out(const StartFetching& e) {
    out_ += fmt::format("  - start_fetching leader={} epoch={}\n", show(e.leader), show(e.leader_epoch));
  }
  void carry_out(const StopFetching&) { out_ += "  - stop_fetching\n"; }
  void carry_out(const DelayFetch& e) { out_ += fmt::format("  - delay_fetch {}\n", wire::to_string(e.error)); }
  void carry_out(const AskLeaderOffsets& e) {
    out_ += fmt::format("  - ask_leader_offsets leader={} epoch={}\n", show(e.leader), show(e.leader_epoch));
  }

  std::string out_;
  Words words_;
  DefectSet defects_;
  MemoryLog log_;
  Announcements announcements_{out_};
  std::unique_ptr<Replica> replica_;
  Effects effects_;
  std::vector<BatchSummary> batches_;
  MonoTime now_{};
  bool fail_next_append_ = false;
};

}  // namespace

std::string replay_conversation(const std::string& text) { return Conversation().run(text); }

}  // namespace verdict::replication
