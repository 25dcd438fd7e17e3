#include "tests/property/transaction/world.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace verdict::transaction {
namespace {

using wire::ErrorCode;
using enum TransactionState;

const std::string kId = "id";
const std::array<TopicPartition, 3> kPartitions{{{"a", 0}, {"a", 1}, {"b", 0}}};
constexpr std::size_t kEveryEffect = std::numeric_limits<std::size_t>::max();

Producer producer_of(const Transaction& t) { return {t.producer_id, t.producer_epoch}; }
bool at_rest(TransactionState state) { return state == empty || state == complete_commit || state == complete_abort; }

}  // namespace

World::World(std::int16_t feature, std::int16_t first_epoch) : feature_(feature) {
  options_.transaction_version = feature;
  if (first_epoch > 0) {
    const Transaction t{.producer_id = next_producer_id_++,
                        .producer_epoch = first_epoch,
                        .timeout_ms = 20000,
                        .last_update_ms = to_ms(wall_)};
    appended({.key = encode_key(kId), .value = encode_value(t, feature >= 1 ? 1 : 0)});
  }
  fail_over();
}

void World::expect(bool right, const std::string& what) {
  if (!right && !violation_) {
    violation_ = what;
  }
}

void World::fail_over() {
  ++options_.coordinator_epoch;
  coordinator_ = std::make_unique<TransactionCoordinator>(options_, nullptr);
  timer_.reset();
  dies_at_.reset();
  deciding_.reset();
  wants_producer_id_ = false;
  open_.clear();
  markers_.clear();
  if (in_transaction_) {
    begun_.back().unmarked = begun_.back().partitions;
  }
  for (const LogRecord& record : log_) {
    std::optional<std::span<const std::byte>> value;
    if (record.value) {
      value = *record.value;
    }
    const auto done = coordinator_->replay(record.key, value, wall_);
    expect(done.has_value(), "its own record cannot be replayed");
  }
  Effects effects;
  coordinator_->loaded(now_, wall_, effects);
  carry_out(effects, kEveryEffect);
}

template <class Event>
void World::step(const Event& event) {
  Effects effects;
  coordinator_->step(event, now_, wall_, effects);
  const auto dies = dies_at_;
  carry_out(effects, dies.value_or(kEveryEffect));
  deciding_.reset();
  if (dies) {
    ++fail_overs;
    fail_over();
  }
  compare_with_log();
}

void World::carry_out(Effects& effects, std::size_t until) {
  for (std::size_t i = 0; i < std::min(until, effects.list.size()); ++i) {
    Effect& effect = effects.list[i];
    if (auto* append = std::get_if<effects::Append>(&effect)) {
      for (LogRecord& record : append->records) {
        appended(record);
      }
    } else if (auto* respond = std::get_if<effects::Respond>(&effect)) {
      const auto found = open_.find(respond->token);
      expect(found != open_.end(), "an answer to nothing");
      if (found != open_.end()) {
        const Request request = found->second;
        open_.erase(found);
        answered(request, respond->response);
      }
    } else if (auto* send = std::get_if<effects::SendMarkers>(&effect)) {
      sent(*send);
      markers_.push_back(std::move(*send));
    } else if (std::holds_alternative<effects::AllocateProducerId>(effect)) {
      expect(!wants_producer_id_, "two producer ids at a time");
      wants_producer_id_ = true;
    } else if (auto* arm = std::get_if<effects::ArmTimer>(&effect)) {
      timer_ = arm->when;
    }
  }
}

// What replaying would give is what the machine has, but for what Kafka does not store either.
void World::compare_with_log() {
  const Transaction* held = coordinator_->find(kId);
  expect((held != nullptr) == stored_.has_value(), "an id that is in the log or in memory only");
  if (held == nullptr || !stored_) {
    return;
  }
  Transaction in_memory = *held;
  in_memory.last_producer_epoch = kNoProducerEpoch;
  if (in_memory.prepared()) {
    expect(std::ranges::includes(stored_->partitions, in_memory.partitions), "a marker for a partition never added");
    in_memory.partitions = stored_->partitions;
  }
  if (feature_ == 0) {
    in_memory.previous_producer_id = in_memory.producer_id;
    in_memory.client_version = 0;
  }
  expect(in_memory == *stored_, fmt::format("the log says {} {}/{}, the machine {} {}/{}", name_of(stored_->state),
                                            stored_->producer_id, stored_->producer_epoch, name_of(in_memory.state),
                                            in_memory.producer_id, in_memory.producer_epoch));
}

void World::appended(const LogRecord& record) {
  log_.push_back(record);
  const auto decoded = decode_value(*record.value);
  expect(decoded.has_value(), "a record that cannot be read");
  const Transaction next = *decoded;
  const Transaction old = stored_.value_or(Transaction{.producer_id = next.producer_id});
  expect(may_follow(old.state, next.state), fmt::format("{} -> {}", name_of(old.state), name_of(next.state)));
  expect(producer_of(next) >= producer_of(old), "the producer went back");
  rotations += next.producer_id != old.producer_id ? 1 : 0;
  if (at_rest(old.state) && !at_rest(next.state)) {
    begun_.push_back({.producer = producer_of(old), .commit = std::nullopt, .partitions = {}, .unmarked = {}});
    in_transaction_ = true;
  }
  if (next.state == ongoing) {
    expect(producer_of(next) == begun_.back().producer, "another producer joined");
    begun_.back().partitions = next.partitions;
  } else if (next.prepared()) {
    prepared(old, next);
  } else if (in_transaction_) {
    const Begun& now = begun_.back();
    expect(now.commit == (next.state == complete_commit), "completed otherwise than decided");
    expect(now.unmarked.empty(), "completed before each partition had its marker");
    in_transaction_ = false;
  }
  stored_ = next;
}

void World::prepared(const Transaction& old, const Transaction& next) {
  Begun& now = begun_.back();
  const bool commit = next.state == prepare_commit;
  expect(!now.commit, "decided twice");
  expect(next.partitions == now.partitions, "the decision is about other partitions");
  const bool asked = deciding_ && deciding_->kind == Kind::end;
  if (commit || asked) {  // else a fence or a time-out
    expect(asked && deciding_->commit == commit && deciding_->producer == now.producer,
           "decided otherwise than its own producer asked");
  } else {
    ++fences;
    expect(producer_of(next) > producer_of(old) || old.producer_epoch == kMaxProducerEpoch, "a fence at the old epoch");
  }
  (commit ? commits : aborts) += 1;
  now.commit = commit;
  now.unmarked = now.partitions;
}

void World::sent(const effects::SendMarkers& send) {
  expect(in_transaction_ && begun_.back().commit == send.commit, "markers otherwise than decided");
  expect(send.producer_id == begun_.back().producer.id && send.producer_epoch >= begun_.back().producer.epoch,
         "markers of another producer");
  expect(send.coordinator_epoch == options_.coordinator_epoch, "markers of another coordinator epoch");
  for (const TopicPartition& partition : send.partitions) {
    expect(begun_.back().unmarked.contains(partition), "a marker sent twice");
  }
}

void World::grant(Instance& instance, Producer producer) {
  expect(producer.epoch < kMaxProducerEpoch, "the highest epoch was given to a client");
  instance.producer = producer;
  instance.told = true;
  granted_ = std::max(granted_.value_or(producer), producer);
}

void World::answered(const Request& request, const Response& response) {
  if (const auto* init = std::get_if<wire::Message<wire::InitProducerIdResponse>>(&response)) {
    init_answered(request, init->value);
  } else if (const auto* end = std::get_if<wire::Message<wire::EndTxnResponse>>(&response)) {
    end_answered(request, end->value);
  } else {
    const auto& add = std::get<wire::Message<wire::AddPartitionsToTxnResponse>>(response).value;
    const auto topics = add.results_by_transaction.empty() ? add.results_by_topic_v3_and_below
                                                           : add.results_by_transaction[0].topic_results;
    const auto error = wire::error_from_code(topics[0].results_by_partition[0].partition_error_code);
    if (error == ErrorCode::NONE) {
      expect(in_transaction_ && begun_.back().producer == request.producer, "added to another's transaction");
      expect(request.producer >= *granted_, "a fenced producer added partitions");
    } else {
      refused += error == ErrorCode::PRODUCER_FENCED ? 1 : 0;
    }
  }
}

void World::init_answered(const Request& request, const wire::InitProducerIdResponse& answer) {
  if (answer.error_code != 0) {
    const auto error = wire::error_from_code(answer.error_code);
    refused += error == ErrorCode::PRODUCER_FENCED ? 1 : 0;
    if (error == ErrorCode::PRODUCER_FENCED) {
      instances_[request.instance].told = false;  // it begins anew
    }
    return;
  }
  const Producer given{answer.producer_id, answer.producer_epoch};
  expect(!in_transaction_, "a producer before the earlier one's transaction was over");
  if (request.producer.id == kNoProducerId) {
    expect(!granted_ || given > *granted_, "an epoch that somebody has already");
  } else {  // going on: again what it was told already at most
    expect(given >= *granted_ && given > request.producer, "a fenced producer went on");
  }
  grant(instances_[request.instance], given);
}

void World::end_answered(const Request& request, const wire::EndTxnResponse& answer) {
  if (answer.error_code != 0) {
    refused += wire::error_from_code(answer.error_code) == ErrorCode::PRODUCER_FENCED ? 1 : 0;
    return;
  }
  const auto last = std::ranges::find_if(begun_.rbegin(), begun_.rend(),
                                         [&](const Begun& each) { return each.producer == request.producer; });
  expect(last != begun_.rend() && last->commit == request.commit, "success for what was not decided so");
  if (feature_ == 2) {
    expect(last == begun_.rbegin(), "success for a transaction before the latest");
    const Producer given{answer.producer_id, answer.producer_epoch};
    expect(given > request.producer && given >= *granted_, "an end without a new epoch");
    Instance& instance = instances_[request.instance];
    if (instance.producer == request.producer) {
      grant(instance, given);
    }
  }
}

void World::init(std::size_t instance, bool goes_on) {
  const Instance& who = instances_[instance];
  const Producer had = goes_on && who.told ? who.producer : Producer{};
  open_[++token_] = {.kind = Kind::init, .instance = instance, .producer = had};
  const wire::InitProducerIdRequest request{
      .transactional_id = kId, .transaction_timeout_ms = 20000, .producer_id = had.id, .producer_epoch = had.epoch};
  deciding_ = open_[token_];
  step(events_in::InitProducerId{.token = token_, .version = 5, .request = request});
}

void World::add(std::size_t instance, std::uint32_t which) {
  const Producer producer = instances_[instance].producer;
  open_[++token_] = {.kind = Kind::add, .instance = instance, .producer = producer};
  deciding_ = open_[token_];
  TopicPartition partition = kPartitions[which % kPartitions.size()];
  std::vector<std::int32_t> numbers{partition.partition};
  std::vector<wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic> topics{
      {.name = partition.topic, .partitions = numbers}};
  if (feature_ == 2) {
    const wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTransaction transaction{
        .transactional_id = kId, .producer_id = producer.id, .producer_epoch = producer.epoch, .topics = topics};
    step(events_in::VerifyPartitions{.token = token_, .version = 5, .transaction = transaction});
    return;
  }
  const wire::AddPartitionsToTxnRequest request{.v3_and_below_transactional_id = kId,
                                                .v3_and_below_producer_id = producer.id,
                                                .v3_and_below_producer_epoch = producer.epoch,
                                                .v3_and_below_topics = topics};
  step(events_in::AddPartitionsToTxn{.token = token_, .version = 3, .request = request});
}

void World::end(const Request& asked) {
  open_[++token_] = asked;
  deciding_ = asked;
  const wire::EndTxnRequest request{.transactional_id = kId,
                                    .producer_id = asked.producer.id,
                                    .producer_epoch = asked.producer.epoch,
                                    .committed = asked.commit};
  step(events_in::EndTxn{.token = token_, .version = feature_ == 2 ? 5 : 4, .request = request});
}

void World::markers(std::uint32_t draw, bool well) {
  if (markers_.empty()) {
    return;
  }
  const effects::SendMarkers sent = std::move(markers_.front());
  markers_.pop_front();
  events_in::MarkersWritten written{.transactional_id = sent.transactional_id,
                                    .producer_id = sent.producer_id,
                                    .producer_epoch = sent.producer_epoch,
                                    .partitions = {}};
  for (const TopicPartition& partition : sent.partitions) {
    const auto outcome = well              ? MarkerOutcome::done
                         : draw % 8 < 4    ? MarkerOutcome::retry_later
                         : (draw % 8) == 4 ? MarkerOutcome::gone
                                           : MarkerOutcome::done;
    draw /= 8;
    if (outcome != MarkerOutcome::retry_later) {
      begun_.back().unmarked.erase(partition);
    }
    written.partitions.push_back({partition, outcome});
  }
  step(written);
}

void World::allocate(std::uint32_t draw, bool well) {
  if (!wants_producer_id_) {
    return;
  }
  wants_producer_id_ = false;
  // Whose request it was: the one that is open, or the coordinator's own.
  deciding_ = open_.empty() ? std::nullopt : std::optional(open_.begin()->second);
  if (!well && draw % 4 == 0) {
    step(events_in::ProducerIdAllocated{kId, std::unexpected(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)});
  } else {
    step(events_in::ProducerIdAllocated{kId, next_producer_id_++});
  }
}

void World::tick() {
  if (timer_ && *timer_ <= now_) {
    timer_.reset();
    step(events_in::Tick{});
  }
}

void World::act(std::uint32_t command) {
  if (violation_) {
    return;
  }
  const std::uint32_t draw = command >> 10;
  const std::size_t instance = (draw & 15) == 0 ? other_ : 1 - other_;  // one of them is seldom awake
  if ((command & 0x3e0) == 0) {                                         // one in thirty-two
    dies_at_ = (draw >> 1) % 4;
  }
  if ((draw & 255) == 1) {
    other_ = 1 - other_;
  }
  switch (command & 0x1f) {
    case 0:
      return init(instance, false);
    case 1:
      return init(instance, true);
    case 2:
    case 3:
    case 4:
    case 5:
    case 6:
    case 7:
    case 8:
    case 9:
      return add(instance, draw >> 4);
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
      ended_.push_back({.kind = Kind::end,
                        .instance = instance,
                        .producer = instances_[instance].producer,
                        .commit = (draw & 48) != 0});
      return end(ended_.back());
    case 15:
      if (!ended_.empty()) {
        end(Request(ended_[ended_.size() - 1 - (draw >> 1) % std::min<std::size_t>(ended_.size(), 4)]));
      }
      return;
    case 16:
    case 17:
    case 18:
    case 19:
    case 20:
    case 21:
    case 22:
      return markers(draw, false);
    case 23:
    case 24:
    case 25:
    case 26:
      return allocate(draw, false);
    default: {
      const Duration time = from_ms((draw & 3) == 0 ? 6000 : 60);
      now_ += time;
      wall_ += std::chrono::duration_cast<std::chrono::milliseconds>(time);
      tick();
    }
  }
}

void World::settle() {
  dies_at_.reset();
  for (int i = 0; i < 100 && !violation_; ++i) {
    now_ += 1s;
    wall_ += std::chrono::milliseconds(1000);
    tick();
    allocate(0, true);
    while (!markers_.empty() && !violation_) {
      markers(0, true);
    }
  }
  expect(!stored_ || at_rest(stored_->state), "a transaction stayed open");
  expect(open_.empty(), "a request without an answer");
}

}  // namespace verdict::transaction
