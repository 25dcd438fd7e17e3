#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "protocol/config_text.h"
#include "protocol/transaction/coordinator.h"
#include "tests/unit/storage/kafka_log.h"

// Conversations with a transaction coordinator of Apache Kafka 4.1, one request a line and behind the arrow what it
// answered (and its log has the same records): an error code, then for InitProducerId and EndTxn from version 5 on the
// producer id and epoch. Partitions are those of one topic; of "add" all have one error. They were recorded with one
// broker whose producer ids begin at 0.
//
//   feature N                             transaction.version, at the beginning
//   init "ID" PRODUCER_ID EPOCH TIMEOUT_MS vN
//   add "ID" PRODUCER_ID EPOCH P,P vN     AddPartitionsToTxn of a client; "broker": of a broker; "verify": verify only
//   end "ID" PRODUCER_ID EPOCH commit|abort vN
//   bump "ID" EPOCH                       InitProducerId until its answer has that epoch
//   markers                               all that are to be written are written
namespace verdict::transaction {
namespace {

using protocol::parse_integer;
using protocol::split_trimmed;

class Player {
 public:
  // The answer to the request before the arrow.
  std::string tell(const std::string& line) {
    const auto words = split_trimmed(line, ' ');
    const std::string& verb = words.at(0);
    if (verb == "feature") {
      coordinator_ = std::make_unique<TransactionCoordinator>(
          TransactionCoordinator::Options{.transaction_version = static_cast<std::int16_t>(number(words.at(1)))},
          nullptr);
      Effects effects;
      coordinator_->loaded(now_, wall_, effects);
      return "";
    }
    if (verb == "markers") {
      write_markers();
      return "";
    }
    const std::string id = words.at(1).substr(1, words.at(1).size() - 2);
    if (verb == "bump") {
      return bump(id, words.at(2));
    }
    const std::int64_t producer_id = number(words.at(2));
    const auto epoch = static_cast<std::int16_t>(number(words.at(3)));
    const int version = static_cast<int>(number(words.back().substr(1)));
    if (verb == "init") {
      const wire::InitProducerIdRequest request{.transactional_id = id,
                                                .transaction_timeout_ms = static_cast<std::int32_t>(number(words[4])),
                                                .producer_id = producer_id,
                                                .producer_epoch = epoch};
      return step(events_in::InitProducerId{.version = version, .request = request}, version);
    }
    if (verb == "end") {
      const wire::EndTxnRequest request{.transactional_id = id,
                                        .producer_id = producer_id,
                                        .producer_epoch = epoch,
                                        .committed = words[4] == "commit"};
      return step(events_in::EndTxn{.version = version, .request = request}, version);
    }
    std::vector<std::int32_t> partitions;
    for (const std::string& one : split_trimmed(words[4], ',')) {
      partitions.push_back(static_cast<std::int32_t>(number(one)));
    }
    std::vector<wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTopic> topics{
        {.name = "t", .partitions = partitions}};
    if (verb == "add") {
      const wire::AddPartitionsToTxnRequest request{.v3_and_below_transactional_id = id,
                                                    .v3_and_below_producer_id = producer_id,
                                                    .v3_and_below_producer_epoch = epoch,
                                                    .v3_and_below_topics = topics};
      return step(events_in::AddPartitionsToTxn{.version = version, .request = request}, version);
    }
    EXPECT_TRUE(verb == "verify" || verb == "broker") << line;
    const wire::AddPartitionsToTxnRequest::AddPartitionsToTxnTransaction transaction{.transactional_id = id,
                                                                                     .producer_id = producer_id,
                                                                                     .producer_epoch = epoch,
                                                                                     .verify_only = verb == "verify",
                                                                                     .topics = topics};
    return step(events_in::VerifyPartitions{.version = version, .transaction = transaction}, version);
  }
  const std::vector<LogRecord>& log() const { return log_; }

 private:
  static std::int64_t number(const std::string& text) { return parse_integer(text).value(); }

  std::string bump(const std::string& id, const std::string& epoch) {
    const wire::InitProducerIdRequest request{.transactional_id = id, .transaction_timeout_ms = 60000};
    std::string answer;
    for (int i = 0; i < 40000 && !answer.ends_with(" " + epoch); ++i) {
      answer = step(events_in::InitProducerId{.version = 5, .request = request}, 5);
    }
    return answer;
  }

  template <class Event>
  std::string step(const Event& event, int version) {
    Effects effects;
    coordinator_->step(event, now_, wall_, effects);
    return carry_out(effects, version);
  }

  std::string carry_out(Effects& effects, int version) {
    std::string out;
    for (Effect& effect : effects.list) {
      if (auto* append = std::get_if<effects::Append>(&effect)) {
        std::ranges::move(append->records, std::back_inserter(log_));
      } else if (auto* respond = std::get_if<effects::Respond>(&effect)) {
        out = answer(respond->response, version);
      } else if (auto* markers = std::get_if<effects::SendMarkers>(&effect)) {
        markers_.push_back(std::move(*markers));
      } else if (auto* allocate = std::get_if<effects::AllocateProducerId>(&effect)) {
        return step(events_in::ProducerIdAllocated{allocate->transactional_id, next_producer_id_++}, version);
      }
    }
    return out;
  }

  static std::string answer(const Response& response, int version) {
    if (const auto* init = std::get_if<wire::Message<wire::InitProducerIdResponse>>(&response)) {
      return fmt::format("{} {} {}", init->value.error_code, init->value.producer_id, init->value.producer_epoch);
    }
    if (const auto* end = std::get_if<wire::Message<wire::EndTxnResponse>>(&response)) {
      return version < 5
                 ? std::to_string(end->value.error_code)
                 : fmt::format("{} {} {}", end->value.error_code, end->value.producer_id, end->value.producer_epoch);
    }
    const auto& add = std::get<wire::Message<wire::AddPartitionsToTxnResponse>>(response).value;
    if (version < 4) {
      const auto results = add.results_by_topic_v3_and_below[0].results_by_partition;
      for (const auto& partition : results) {
        EXPECT_EQ(partition.partition_error_code, results[0].partition_error_code);
      }
      return std::to_string(results[0].partition_error_code);
    }
    std::string out;
    for (const auto& partition : add.results_by_transaction[0].topic_results[0].results_by_partition) {
      out += (out.empty() ? "" : " ") + std::to_string(partition.partition_error_code);
    }
    return out;
  }

  void write_markers() {
    for (const effects::SendMarkers& sent : std::exchange(markers_, {})) {
      events_in::MarkersWritten written{.transactional_id = sent.transactional_id,
                                        .producer_id = sent.producer_id,
                                        .producer_epoch = sent.producer_epoch,
                                        .partitions = {}};
      for (const TopicPartition& partition : sent.partitions) {
        written.partitions.push_back({partition, MarkerOutcome::done});
      }
      step(written, 0);
    }
  }

  std::unique_ptr<TransactionCoordinator> coordinator_;
  std::vector<LogRecord> log_;
  std::vector<effects::SendMarkers> markers_;
  std::int64_t next_producer_id_ = 0;
  MonoTime now_{1000s};
  WallTime wall_{std::chrono::milliseconds(1'700'000'000'000)};
};

// A record's version and content, without the times.
std::string described(const LogRecord& record) {
  const auto& value = record.value.value();
  const Transaction t = decode_value(value).value();
  return fmt::format("v{} {} {} {}/{} next {} previous {} timeout {} partitions {} client {} {}",
                     std::to_integer<int>(value.at(1)), decode_key(record.key).value(), name_of(t.state), t.producer_id,
                     t.producer_epoch, t.next_producer_id, t.previous_producer_id, t.timeout_ms, t.partitions.size(),
                     t.client_version, t.start_ms == -1 ? "not begun" : "begun");
}

TEST(TransactionConversations, AnswersAndRecordsAreThoseOfKafka) {
  const std::filesystem::path folder = std::string(VERDICT_SOURCE_DIR) + "/tests/data/conversations/transaction";
  int answers = 0;
  std::size_t records = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    Player player;
    std::ifstream in(entry.path());
    int number = 0;
    for (std::string line; std::getline(in, line);) {
      ++number;
      const auto arrow = line.find(" => ");
      const std::string answer = player.tell(line.substr(0, arrow));
      EXPECT_EQ(answer, arrow == std::string::npos ? "" : line.substr(arrow + 4))
          << entry.path() << ":" << number << ": " << line;
      answers += arrow == std::string::npos ? 0 : 1;
    }
    const std::string log =
        std::string(VERDICT_SOURCE_DIR) + "/tests/data/transaction/" + entry.path().stem().string() + ".log";
    if (!std::filesystem::exists(log)) {
      continue;  // it would be long
    }
    const auto kafka = storage::testing::records_of<LogRecord>(log);
    for (std::size_t i = 0; i < std::max(kafka.size(), player.log().size()); ++i) {
      const std::string ours = i < player.log().size() ? described(player.log()[i]) : "";
      const std::string theirs = i < kafka.size() ? described(kafka[i]) : "";
      EXPECT_EQ(ours, theirs) << entry.path().stem() << ", record " << i;
    }
    records += kafka.size();
  }
  EXPECT_EQ(answers, 166);
  EXPECT_EQ(records, 63U);
}

}  // namespace
}  // namespace verdict::transaction
