#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <sstream>

#include "tests/unit/transaction/harness.h"

// The same conversation with and without changes of coordinators in between must come to the same.
namespace verdict::transaction {
namespace {

struct Talk {
  Harness h;
  int client;  // version of EndTxn
  Producer producer{};
  std::string said{};

  void say(const Answer& answer) {
    said += fmt::format("{} {}/{}\n", to_string(answer.error), answer.producer.id, answer.producer.epoch);
  }
  void say(ErrorCode error) { said += fmt::format("{}\n", to_string(error)); }
  void init() {
    const Answer answer = *h.init("id");
    producer = answer.error == ErrorCode::NONE ? answer.producer : producer;
    say(answer);
  }
  void end(Producer by, bool commit) {
    const Answer answer = *h.end("id", by, commit, client);
    if (answer.error == ErrorCode::NONE && answer.producer.id != kNoProducerId) {
      producer = answer.producer;
    }
    say(answer);
  }
  std::string outcome() const {
    const Transaction& t = *h.find("id");
    return said + fmt::format("{} {}/{} previous {} next {} timeout {} client {} partitions {}\n", name_of(t.state),
                              t.producer_id, t.producer_epoch, t.previous_producer_id, t.next_producer_id, t.timeout_ms,
                              t.client_version, t.partitions.size());
  }
};

using Step = std::function<void(Talk&)>;

const std::vector<Step>& conversation() {
  static const std::vector<Step> steps{
      [](Talk& t) { t.init(); },
      [](Talk& t) { t.say(t.h.add("id", t.producer, {kA0, kB0})); },
      [](Talk& t) { t.say(t.h.add_offsets("id", t.producer, 3)); },
      [](Talk& t) { t.say(t.h.from_broker("id", t.producer, {kA0}, true).at(0)); },
      [](Talk& t) { t.end(t.producer, true); },
      [](Talk& t) { t.init(); },  // too early
      [](Talk& t) { t.h.mark({MarkerOutcome::done, MarkerOutcome::retry_later}); },
      [](Talk& t) { t.h.wait(1s); },
      [](Talk& t) { t.h.mark_all(); },
      [](Talk& t) { t.say(t.h.add("id", t.producer, {kA1})); },
      [](Talk& t) { t.end(t.producer, false); },
      [](Talk& t) { t.h.mark_all(); },
      [](Talk& t) { t.say(t.h.from_broker("id", t.producer, {kA0}, false, 5).at(0)); },
      [](Talk& t) { t.init(); },  // fences
      [](Talk& t) { t.end(t.producer, true); },
      [](Talk& t) { t.h.mark_all(); },
      [](Talk& t) { t.end(t.producer, true); },
      [](Talk& t) { t.init(); },
      [](Talk& t) { t.say(t.h.add("id", t.producer, {kA0})); },
      [](Talk& t) { t.h.wait(75s); },  // times out
      [](Talk& t) { t.h.mark_all(); },
      [](Talk& t) { t.say(t.h.add("id", t.producer, {kA0})); },
      [](Talk& t) { t.end(t.producer, false); },
      [](Talk& t) { t.init(); },
  };
  return steps;
}

std::string run(std::int16_t feature, const std::vector<Step>& steps, const std::function<bool(std::size_t)>& dies) {
  Talk talk{.h{feature}, .client = feature == 2 ? 5 : 4};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i](talk);
    if (dies(i)) {
      talk.h.fail_over();
    }
  }
  return talk.outcome();
}

void expect_the_same_wherever_it_dies(std::int16_t feature, const std::vector<Step>& steps) {
  const std::string undisturbed = run(feature, steps, [](std::size_t) { return false; });
  for (std::size_t point = 0; point < steps.size(); ++point) {
    EXPECT_EQ(run(feature, steps, [&](std::size_t i) { return i == point; }), undisturbed) << "dies after " << point;
  }
  EXPECT_EQ(run(feature, steps, [](std::size_t) { return true; }), undisturbed);
}

TEST(FailOver, AtAnyPointChangesNothing) {
  for (const std::int16_t feature : std::initializer_list<std::int16_t>{0, 1, 2}) {
    expect_the_same_wherever_it_dies(feature, conversation());
  }
}

TEST(FailOver, AtTheLastEpochChangesNothing) {
  std::vector<Step> steps{[](Talk& t) {
    t.h.rewrite("id", {.producer_id = 7,
                       .previous_producer_id = 7,
                       .producer_epoch = kMaxProducerEpoch - 2,
                       .timeout_ms = 60000,
                       .state = TransactionState::complete_commit,
                       .start_ms = 1,
                       .last_update_ms = to_ms(t.h.wall)});
    t.producer = {7, kMaxProducerEpoch - 2};
  }};
  for (int i = 0; i < 3; ++i) {
    steps.emplace_back([](Talk& t) { t.say(t.h.from_broker("id", t.producer, {kA0}, false).at(0)); });
    steps.emplace_back([](Talk& t) { t.end(t.producer, true); });
    steps.emplace_back([](Talk& t) { t.end({7, kMaxProducerEpoch - 1}, true); });  // a retry, the second time
    steps.emplace_back([](Talk& t) { t.h.mark_all(); });
    steps.emplace_back([](Talk& t) { t.end({7, kMaxProducerEpoch - 1}, true); });
  }
  expect_the_same_wherever_it_dies(2, steps);
}

}  // namespace
}  // namespace verdict::transaction
