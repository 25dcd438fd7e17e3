#include "examples/ledger.h"

#include <charconv>
#include <utility>
#include <variant>
#include <vector>

#include "protocol/client/consumer.h"
#include "protocol/client/producer.h"
#include "runtime/io.h"
#include "runtime/scope.h"
#include "runtime/signal.h"

namespace ledger {
namespace {

namespace client = verdict::client;
namespace scenarios = verdict::scenarios;
using namespace std::chrono_literals;
using verdict::Duration;
using verdict::MonoTime;
using verdict::Purpose;
using verdict::Runtime;
using verdict::Scope;
using verdict::Signal;
using verdict::Task;

constexpr Duration kBetweenBookings = 30ms;  // of an account, on average
constexpr Duration kBetweenPasses = 200ms;

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string_view text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class Writer final : public scenarios::Workload, private client::DeliverySink {
 public:
  explicit Writer(const scenarios::Seat& seat)
      : runtime_(seat.runtime),
        wake_(seat.runtime),
        producer_(seat.runtime, seat.client, options(), *this),
        scope_(seat.runtime) {
    for (std::size_t account = 0; account < kAccounts; ++account) scope_.spawn(book(account));
  }

  void stop() override {
    stopping_ = true;
    wake_.notify();
  }
  bool finished() const override { return scope_.size() == 0; }

 private:
  struct Account {
    std::int64_t number = 0;
    std::optional<client::Delivery> outcome;  // of the last attempt
  };

  static client::ProducerOptions options() {
    client::ProducerOptions options;
    options.acks = -1;
    options.ack_timeout = 1s;
    options.delivery_timeout = 4s;
    return options;
  }

  Task<void> book(std::size_t account) {
    while (!stopping_) {
      ++accounts_[account].number;
      do {  // whatever became of the last attempt, the booking must be in the log before the next one
        send(account);
        while (!accounts_[account].outcome) co_await wake_.wait();
      } while (accounts_[account].outcome != client::Delivery::acknowledged);
      const std::uint64_t pause =
          runtime_.random(Purpose::Workload, account) % static_cast<std::uint64_t>(2 * kBetweenBookings.count());
      const MonoTime next = runtime_.now() + Duration(static_cast<std::int64_t>(pause));
      while (!stopping_ && runtime_.now() < next) co_await wake_.wait_until(next);
    }
  }

  void send(std::size_t account) {
    accounts_[account].outcome.reset();
    const std::string key = "account-" + std::to_string(account);
    const std::string value = std::to_string(accounts_[account].number);
    client::ProducerRecord record;
    record.key = bytes_of(key);
    record.value = bytes_of(value);
    if (!producer_.send(kTopic, 0, record, account)) accounts_[account].outcome = client::Delivery::failed;
  }

  void delivered(std::uint64_t token, const client::DeliveryReport& report) override {
    accounts_[token].outcome = report.delivery;
    wake_.notify();
  }

  Runtime& runtime_;
  Account accounts_[kAccounts];
  bool stopping_ = false;
  Signal wake_;
  client::Producer producer_;
  Scope scope_;
};

class Reader final : public scenarios::Workload {
 public:
  explicit Reader(const scenarios::Seat& seat)
      : runtime_(seat.runtime),
        tell_(seat.tell),
        wake_(seat.runtime),
        consumer_(seat.runtime, seat.client, options()),
        scope_(seat.runtime) {
    scope_.spawn(read());
  }

  void stop() override {
    stopping_ = true;
    wake_.notify();
  }
  bool finished() const override { return scope_.size() == 0; }

 private:
  static client::ConsumerOptions options() {
    client::ConsumerOptions options;
    options.max_wait = 100ms;
    return options;
  }

  Task<void> read() {
    const client::TopicPartition ledger{.topic = std::string(kTopic), .partition = 0};
    for (std::int64_t pass = 1;; ++pass) {
      const bool last = stopping_;
      tell_("pass", "", pass);
      consumer_.assign(ledger, client::StartAt::at(verdict::Offset(0)));
      at_end_ = false;
      while (!at_end_) {
        const client::Polled polled = co_await consumer_.poll(MonoTime::max());
        for (const client::PolledPartition& part : polled.partitions) take(part);
      }
      if (last) co_return;
      const MonoTime next = runtime_.now() + kBetweenPasses;
      while (!stopping_ && runtime_.now() < next) co_await wake_.wait_until(next);
    }
  }

  void take(const client::PolledPartition& part) {
    for (const verdict::storage::RecordView& record : part.records) {
      std::int64_t number = 0;
      const std::string_view text = text_of(*record.value);
      std::from_chars(text.data(), text.data() + text.size(), number);
      tell_("read", text_of(*record.key), number);
    }
    using Event = client::PolledPartition::Event;
    at_end_ =
        part.event == Event::records && part.high_watermark >= verdict::Offset(0) && part.next >= part.high_watermark;
  }

  Runtime& runtime_;
  decltype(scenarios::Seat::tell) tell_;
  bool stopping_ = false;
  bool at_end_ = false;
  Signal wake_;
  client::Consumer consumer_;
  Scope scope_;
};

}  // namespace

scenarios::Scenario with_ledger(scenarios::Scenario scenario) {
  scenarios::TopicSpec topic;
  topic.name = kTopic;
  topic.assignment = {{1, 2, 3}};
  topic.config["min.insync.replicas"] = std::to_string(kMinIsr);
  scenario.topics.push_back(topic);
  return scenario;
}

std::unique_ptr<scenarios::Workload> make_writer(const scenarios::Seat& seat) { return std::make_unique<Writer>(seat); }
std::unique_ptr<scenarios::Workload> make_reader(const scenarios::Seat& seat) { return std::make_unique<Reader>(seat); }

std::optional<scenarios::Broken> NoBookingIsMissing::on_told(const scenarios::Moment&, const scenarios::Told& told) {
  if (told.what == "pass") {
    seen_.clear();
    pass_ = told.value;
  }
  if (told.what != "read") return std::nullopt;
  std::int64_t& newest = seen_[std::string(told.key)];
  if (told.value > newest + 1) {
    const std::string key(told.key);
    return scenarios::Broken{.sentence = "booking " + std::to_string(newest + 1) + " of " + key +
                                         " is missing before " + std::to_string(told.value),
                             .partition = std::string(kTopic) + "-0",
                             .witnesses = {"the reader's pass " + std::to_string(pass_) + " met " + key + "'s number " +
                                           std::to_string(newest) + " last"}};
  }
  newest = std::max(newest, told.value);
  return std::nullopt;
}

std::optional<scenarios::Broken> NoLonelyAcknowledgement::on_event(const scenarios::Moment& at,
                                                                   const verdict::protocol::Event& event) {
  const auto* told = std::get_if<verdict::protocol::events::ProduceAcknowledged>(&event);
  if (told == nullptr || told->acks != -1 || told->error_code != 0 || told->maximal_isr.size() >= kMinIsr)
    return std::nullopt;
  const std::string partition = at.cluster.name_of(told->partition);
  if (!partition.starts_with(kTopic)) return std::nullopt;
  return scenarios::Broken{.sentence = "offset " + std::to_string(told->last.value()) + " of " + partition +
                                       " is acknowledged with one replica in sync",
                           .partition = partition,
                           .offset = told->last.value(),
                           .witnesses = {"the leader answers acks=all without an error"}};
}

verdict::search::Cluster cluster(const scenarios::Scenario& scenario) {
  verdict::search::Cluster made(with_ledger(scenario));
  made.add_workload("ledger-writer", make_writer);
  made.add_workload("ledger-reader", make_reader);
  made.add_invariant("no-booking-is-missing", [] { return std::make_unique<NoBookingIsMissing>(); });
  made.add_invariant("no-lonely-acknowledgement", [] { return std::make_unique<NoLonelyAcknowledgement>(); });
  return made;
}

}  // namespace ledger
