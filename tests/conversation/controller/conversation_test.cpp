#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "protocol/config_text.h"
#include "protocol/controller/controller.h"
#include "protocol/wire/errors.h"

// Golden conversations: a line at the margin is an event, the indented lines below it are what came of it ("append" a
// record in Kafka's JSON, "respond" an answer, "mark" a rare branch). --regenerate writes the answers anew.
//
//   config NAME=VALUE             before the first event      defect ID
//   register ID incarnation=N [previous=E] [without=FEATURE]    heartbeat ID [reached=O] [fence] [shutdown]
//   create NAME 1,2 2,3 [config=value]        delete NAME
//   alter SENDER NAME-P leader_epoch=E partition_epoch=E isr=1,2 [epochs=E,E] [broker_epoch=E]
//   allocate ID [broker_epoch=E]              features NAME=LEVEL... [upgrade_type=N] [version=V] [validate_only]
//   wait MS     commit     resign
namespace verdict::controller {
namespace {

bool& regenerate() {
  static bool on = false;
  return on;
}

class Player {
 public:
  std::string play(const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("  ")) {
        continue;
      }
      out_ << line << "\n";
      if (!line.empty() && line[0] != '#') {
        tell(line);
      }
    }
    return out_.str();
  }

 private:
  struct Words {
    std::vector<std::string> plain;
    std::map<std::string, std::string> named;
    std::int64_t number(const std::string& name, std::int64_t fallback) const {
      const auto found = named.find(name);
      return found == named.end() ? fallback : protocol::parse_integer(found->second).value();
    }
    int id(std::size_t at) const { return static_cast<int>(protocol::parse_integer(plain.at(at)).value()); }
    bool has(const std::string& word) const { return protocol::has_element(plain, word); }
  };

  static Words split(const std::string& line) {
    Words out;
    for (const std::string& word : protocol::split_trimmed(line, ' ')) {
      const auto equals = word.find('=');
      if (equals == std::string::npos) {
        out.plain.push_back(word);
      } else {
        out.named[word.substr(0, equals)] = word.substr(equals + 1);
      }
    }
    return out;
  }
  static std::vector<std::int32_t> numbers(const std::string& text) {
    std::vector<std::int32_t> out;
    for (const std::string& one : protocol::split_trimmed(text, ',')) {
      out.push_back(static_cast<std::int32_t>(protocol::parse_integer(one).value()));
    }
    return out;
  }

  void tell(const std::string& line) {
    const Words words = split(line);
    const std::string& verb = words.plain.at(0);
    if (verb == "config") {
      for (const auto& [name, value] : words.named) {
        ASSERT_TRUE(options_.config.set(name, value)) << line;
      }
      return;
    }
    if (verb == "defect") {
      options_.defects.add(find_defect(words.plain.at(1)).value());
      return;
    }
    if (!controller_) {
      ASSERT_TRUE(options_.config.set("metadata.max.idle.interval.ms", "0"));
      controller_ = std::make_unique<Controller>(options_, nullptr);
      Effects quiet;
      controller_->step(events_in::BecameLeader{.epoch = 1, .next_offset = Offset(1)}, now_, quiet);
      controller_->step(events_in::Committed{.to = controller_->next_offset()}, now_, quiet);
    }
    if (verb == "register") {
      register_broker(words);
    } else if (verb == "heartbeat") {
      heartbeat(words);
    } else if (verb == "create") {
      create(words);
    } else if (verb == "delete") {
      std::vector<wire::DeleteTopicsRequest::DeleteTopicState> topics{{.name = words.plain.at(1)}};
      const wire::DeleteTopicsRequest request{.topics = topics};
      step(events_in::DeleteTopics{.token = ++token_, .version = 6, .request = request});
    } else if (verb == "allocate") {
      const int id = words.id(1);
      const wire::AllocateProducerIdsRequest request{.broker_id = id,
                                                     .broker_epoch = words.number("broker_epoch", epoch_of(id))};
      step(events_in::AllocateProducerIds{.token = ++token_, .version = 0, .request = request});
    } else if (verb == "features") {
      update_features(words);
    } else if (verb == "alter") {
      alter(words);
    } else if (verb == "wait") {
      now_ += from_ms(words.id(1));
      step(events_in::Tick{});
    } else if (verb == "resign") {
      step(events_in::LostLeadership{});
    } else if (verb == "commit") {
      step(events_in::Committed{.to = controller_->next_offset()});
    } else {
      FAIL() << "unknown event: " << line;
    }
  }

  void register_broker(const Words& words) {
    const int id = words.id(1);
    std::vector<Uuid> dirs{{0x1000, static_cast<std::uint64_t>(id)}};
    const std::vector<protocol::FeatureRange> supported = protocol::supported_features();
    std::vector<wire::BrokerRegistrationRequest::Feature> features;
    for (const auto& one : supported) {
      if (words.named.contains("without") && words.named.at("without") == one.name) continue;
      features.push_back({.name = one.name, .min_supported_version = one.min, .max_supported_version = one.max});
    }
    const wire::BrokerRegistrationRequest request{
        .broker_id = id,
        .cluster_id = "cluster",
        .incarnation_id = {7, static_cast<std::uint64_t>(words.number("incarnation", 0))},
        .features = features,
        .rack = std::nullopt,
        .log_dirs = dirs,
        .previous_broker_epoch = words.number("previous", -1)};
    step(events_in::RegisterBroker{.token = ++token_, .version = 4, .request = request});
  }

  std::int64_t epoch_of(int id) const {
    const auto* broker = controller_->image().broker(NodeId(id));
    return broker == nullptr ? -1 : broker->epoch.value();
  }

  void heartbeat(const Words& words) {
    const int id = words.id(1);
    const wire::BrokerHeartbeatRequest request{
        .broker_id = id,
        .broker_epoch = words.number("broker_epoch", epoch_of(id)),
        .current_metadata_offset = words.number("reached", controller_->next_offset().value() - 1),
        .want_fence = words.has("fence"),
        .want_shut_down = words.has("shutdown")};
    step(events_in::Heartbeat{.token = ++token_, .version = 1, .request = request});
  }

  void create(const Words& words) {
    std::vector<std::vector<std::int32_t>> replicas;
    for (std::size_t i = 2; i < words.plain.size(); ++i) {
      replicas.push_back(numbers(words.plain[i]));
    }
    std::vector<wire::CreateTopicsRequest::CreatableReplicaAssignment> assignments;
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      assignments.push_back({.partition_index = static_cast<std::int32_t>(i), .broker_ids = replicas[i]});
    }
    std::vector<wire::CreateTopicsRequest::CreatableTopicConfig> configs;
    for (const auto& [name, value] : words.named) {
      configs.push_back({.name = name, .value = value});
    }
    std::vector<wire::CreateTopicsRequest::CreatableTopic> topics{{.name = words.plain.at(1),
                                                                   .num_partitions = -1,
                                                                   .replication_factor = -1,
                                                                   .assignments = assignments,
                                                                   .configs = configs}};
    const wire::CreateTopicsRequest request{.topics = topics};
    // Version 4: without the list of all configurations.
    step(events_in::CreateTopics{.token = ++token_, .version = 4, .request = request, .random = token_});
  }

  void update_features(const Words& words) {
    std::vector<wire::UpdateFeaturesRequest::FeatureUpdateKey> updates;
    for (const auto& [name, level] : words.named) {
      if (name == "upgrade_type" || name == "version") continue;
      updates.push_back({.feature = name,
                         .max_version_level = static_cast<std::int16_t>(protocol::parse_integer(level).value()),
                         .upgrade_type = static_cast<std::int8_t>(words.number("upgrade_type", 1))});
    }
    const wire::UpdateFeaturesRequest request{.feature_updates = updates, .validate_only = words.has("validate_only")};
    const auto version = static_cast<int>(words.number("version", 1));
    step(events_in::UpdateFeatures{.token = ++token_, .version = version, .request = request});
  }

  void alter(const Words& words) {
    const std::string& name = words.plain.at(2);
    const auto dash = name.rfind('-');
    const auto* topic = controller_->image().topic(std::string_view(name).substr(0, dash));
    ASSERT_NE(topic, nullptr) << name;
    const auto isr = numbers(words.named.at("isr"));
    const auto given = words.named.contains("epochs") ? numbers(words.named.at("epochs")) : std::vector<std::int32_t>{};
    std::vector<wire::AlterPartitionRequest::BrokerState> states;
    for (std::size_t i = 0; i < isr.size(); ++i) {
      states.push_back({.broker_id = isr[i], .broker_epoch = i < given.size() ? given[i] : epoch_of(isr[i])});
    }
    std::vector<wire::AlterPartitionRequest::PartitionData> partitions{
        {.partition_index = numbers(name.substr(dash + 1)).at(0),
         .leader_epoch = static_cast<std::int32_t>(words.number("leader_epoch", 0)),
         .new_isr_with_epochs = states,
         .partition_epoch = static_cast<std::int32_t>(words.number("partition_epoch", 0))}};
    std::vector<wire::AlterPartitionRequest::TopicData> topics{{.topic_id = topic->id, .partitions = partitions}};
    const wire::AlterPartitionRequest request{.broker_id = words.id(1),
                                              .broker_epoch = words.number("broker_epoch", epoch_of(words.id(1))),
                                              .topics = topics};
    step(events_in::AlterPartition{.token = ++token_, .version = 3, .request = request});
  }

  template <class Event>
  void step(const Event& event) {
    Effects effects;
    controller_->step(event, now_, effects);
    for (const Mark mark : effects.marks) {
      out_ << "  mark " << name_of(mark) << "\n";
    }
    for (const Effect& effect : effects.list) {
      if (const auto* append = std::get_if<effects::Append>(&effect)) {
        Offset at = append->base;
        for (const auto& record : append->records) {
          out_ << "  append " << at.value() << " " << protocol::to_json(record) << "\n";
          ++at;
        }
      } else if (const auto* respond = std::get_if<effects::Respond>(&effect)) {
        std::visit(
            [&](const auto& message) {
              using Wire = std::decay_t<decltype(message.value)>;
              const int version = std::is_same_v<Wire, wire::CreateTopicsResponse>     ? 4
                                  : std::is_same_v<Wire, wire::UpdateFeaturesResponse> ? 1
                                                                                       : Wire::highest_version;
              out_ << "  respond " << wire::to_json(message.value, version) << "\n";
            },
            respond->response);
      }
    }
  }

  Controller::Options options_{.self = NodeId(0), .cluster_id = "cluster"};
  std::unique_ptr<Controller> controller_;
  MonoTime now_{1000s};
  Token token_ = 0;
  std::ostringstream out_;
};

TEST(ControllerConversations, AreAsRecorded) {
  const std::filesystem::path folder = std::string(VERDICT_SOURCE_DIR) + "/tests/data/conversations/controller";
  int played = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream in(entry.path());
    const std::string recorded{std::istreambuf_iterator<char>(in), {}};
    const std::string now = Player().play(recorded);
    if (regenerate()) {
      std::ofstream(entry.path()) << now;
    } else {
      EXPECT_EQ(now, recorded) << entry.path() << " (--regenerate writes it anew; review the diff)";
    }
    ++played;
  }
  EXPECT_GE(played, 6);
}

}  // namespace

void regenerate_conversations();
void regenerate_conversations() { regenerate() = true; }

}  // namespace verdict::controller

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (std::any_of(argv + 1, argv + argc, [](std::string_view arg) { return arg == "--regenerate"; })) {
    verdict::controller::regenerate_conversations();
  }
  return RUN_ALL_TESTS();
}
