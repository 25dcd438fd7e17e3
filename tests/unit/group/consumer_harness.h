#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "protocol/group/consumer_records.h"
#include "protocol/metadata_image.h"
#include "tests/unit/group/harness.h"

namespace verdict::group {

// A cluster's topics, as its brokers know them.
class Topics {
 public:
  Topics() {
    apply(protocol::records::RegisterBroker{.broker = NodeId(1), .incarnation = {1, 1}, .epoch = BrokerEpoch(1)});
  }
  Uuid create(const std::string& name, std::int32_t partitions) {
    const Uuid id{.high = 0x1000 + ++topics_, .low = 7 * topics_};
    apply(protocol::records::Topic{.name = name, .id = id});
    for (std::int32_t i = 0; i < partitions; ++i) {
      add(name, i);
    }
    return id;
  }
  void add(const std::string& name, std::int32_t partition) {
    apply(protocol::records::Partition{.key = {.topic = id(name), .index = partition},
                                       .replicas = {NodeId(1)},
                                       .isr = {NodeId(1)},
                                       .leader = NodeId(1)});
  }
  void remove(const std::string& name) { apply(protocol::records::RemoveTopic{.id = id(name)}); }
  Uuid id(const std::string& name) const { return image.topic(name)->id; }

  protocol::MetadataImage image;

 private:
  void apply(const protocol::MetadataRecord& record) {
    const auto done = image.apply(record, image.applied_to());
    ASSERT_TRUE(done.has_value()) << done.error();
  }
  std::uint64_t topics_ = 0;
};

using Named = std::map<std::string, std::set<std::int32_t>>;  // partitions by topic

struct Beating {  // what a test says of a ConsumerGroupHeartbeat
  std::string member = "m";
  std::int32_t epoch = 0;
  std::optional<std::vector<std::string>> topics = std::nullopt;
  std::optional<Named> owned = std::nullopt;
  std::optional<std::string> instance = std::nullopt;
  std::optional<std::string> regex = std::nullopt;
  std::optional<std::string> assignor = std::nullopt;
  std::int32_t rebalance_ms = -1;
  std::string group = "g";
  int version = 1;
};

struct Beaten {
  ErrorCode error = ErrorCode::NONE;
  std::string message;
  std::string member;
  std::int32_t epoch = 0;
  std::optional<Named> assignment;
};

class ConsumerHarness : public Harness {
 public:
  explicit ConsumerHarness(Topics& t, GroupCoordinator::Options o = {}, const std::vector<Logged>& from = {},
                           MonoTime at = MonoTime{1000s}, protocol::Observer* observer = nullptr)
      : Harness(with(o, t), from, at, observer), topics(t) {}

  Named named(const auto& partitions) const {
    Named out;
    for (const auto& topic : partitions) {
      const protocol::TopicImage* known = topics.image.topic(topic.topic_id);
      out[known == nullptr ? topic.topic_id.to_string() : known->name].insert(topic.partitions.begin(),
                                                                              topic.partitions.end());
    }
    return out;
  }

  Beaten beat(const Beating& who) {
    wire::Arena arena;
    using Request = wire::ConsumerGroupHeartbeatRequest;
    Request request{.group_id = who.group,
                    .member_id = who.member,
                    .member_epoch = who.epoch,
                    .instance_id = who.instance,
                    .rack_id = std::nullopt,
                    .rebalance_timeout_ms = who.rebalance_ms,
                    .subscribed_topic_names = std::nullopt,
                    .subscribed_topic_regex = who.regex,
                    .server_assignor = who.assignor,
                    .topic_partitions = std::nullopt};
    if (who.topics) {
      request.subscribed_topic_names = arena.make_span<std::string_view>(who.topics->size());
      std::ranges::copy(*who.topics, request.subscribed_topic_names->begin());
    }
    if (who.owned) {
      const auto owned = arena.make_span<Request::TopicPartitions>(who.owned->size());
      std::size_t i = 0;
      for (const auto& [topic, partitions] : *who.owned) {
        owned[i].topic_id = topics.id(topic);
        owned[i].partitions = arena.make_span<std::int32_t>(partitions.size());
        std::ranges::copy(partitions, owned[i++].partitions.begin());
      }
      request.topic_partitions = owned;
    }
    step(events_in::ConsumerHeartbeat{.token = ++last,
                                      .version = who.version,
                                      .client_id = "c",
                                      .client_host = "/127.0.0.1",
                                      .request = request,
                                      .random = {0x77, last}});
    const auto& answer_of = answer<wire::ConsumerGroupHeartbeatResponse>(last);
    Beaten out{.error = wire::error_from_code(answer_of.error_code),
               .message = std::string(answer_of.error_message.value_or("")),
               .member = std::string(answer_of.member_id.value_or("")),
               .epoch = answer_of.member_epoch,
               .assignment = std::nullopt};
    if (answer_of.assignment) {
      out.assignment = named(answer_of.assignment->topic_partitions);
    }
    return out;
  }
  // The first heartbeat of a member.
  Beaten join(const std::string& member, const std::vector<std::string>& of, Beating how = {}) {
    how.member = member;
    how.epoch = 0;
    how.rebalance_ms = how.rebalance_ms == -1 ? 60'000 : how.rebalance_ms;
    if (!how.regex) {
      how.topics = of;
    }
    how.owned = Named{};
    return beat(how);
  }
  using Harness::join;
  ErrorCode go(const std::string& member, std::int32_t epoch = kLeftEpoch,
               std::optional<std::string> instance = std::nullopt) {
    return beat({.member = member, .epoch = epoch, .instance = std::move(instance)}).error;
  }

  const wire::ConsumerGroupDescribeResponse::DescribedGroup& consumers(const std::string& group = "g") {
    step(events_in::DescribeConsumerGroup{.token = ++last, .group_id = group});
    return answer<wire::ConsumerGroupDescribeResponse>(last).groups[0];
  }
  // "Stable 3/3 m1@3 t[0,1] | m2@3 t[2]": the state, group and assignment epoch, and what each member has.
  std::string seen(const std::string& group = "g") {
    const auto& described = consumers(group);
    if (described.error_code != 0) {
      return std::string(described.error_message.value_or("?"));
    }
    std::string out = std::string(described.group_state) + " " + std::to_string(described.group_epoch) + "/" +
                      std::to_string(described.assignment_epoch);
    std::string between = " ";
    for (const auto& member : described.members) {
      out += between + std::string(member.member_id) + "@" + std::to_string(member.member_epoch);
      between = " | ";
      for (const auto& [topic, partitions] : named(member.assignment.topic_partitions)) {
        out += " " + topic + "[" + joined_text(partitions) + "]";
      }
    }
    return out;
  }
  static std::string joined_text(const std::set<std::int32_t>& partitions) {
    std::string out;
    for (const std::int32_t one : partitions) {
      out += (out.empty() ? "" : ",") + std::to_string(one);
    }
    return out;
  }

  void topics_changed(const std::vector<std::string>& names, bool created = false) {
    step(events_in::TopicsChanged{.names = names, .any_created = created});
  }
  // The types of the records that stand in the log from `from` on, and '-' behind those of tombstones.
  std::string written(std::size_t from) const {
    std::string out;
    for (std::size_t i = from; i < log.size(); ++i) {
      const LogRecord& record = log[i].record;
      out += (out.empty() ? "" : " ") + std::to_string(std::to_integer<int>(record.key[1])) + (record.value ? "" : "-");
    }
    return out;
  }

  Topics& topics;

 private:
  static GroupCoordinator::Options with(GroupCoordinator::Options o, const Topics& t) {
    o.image = &t.image;
    return o;
  }
};

// A consumer that does what it is told: it gives up at once what it shall not have.
struct Consumer {
  std::string id;
  std::vector<std::string> topics;
  std::int32_t epoch = 0;
  Named owned = {};

  ErrorCode beat(ConsumerHarness& at) {
    const Beaten said = at.beat({.member = id,
                                 .epoch = epoch,
                                 .topics = epoch == 0 ? std::optional(topics) : std::nullopt,
                                 .owned = owned,
                                 .rebalance_ms = epoch == 0 ? 60'000 : -1});
    if (said.error != ErrorCode::NONE) {
      epoch = 0;
      owned.clear();
      return said.error;
    }
    epoch = said.epoch;
    owned = said.assignment.value_or(owned);
    return said.error;
  }
};

}  // namespace verdict::group
