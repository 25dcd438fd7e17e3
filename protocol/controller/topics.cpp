#include <algorithm>
#include <map>
#include <set>

#include "protocol/controller/placement.h"
#include "protocol/controller/state.h"
#include "protocol/controller/topic_rules.h"
#include "runtime/random.h"

// Creation and deletion of topics.
namespace verdict::controller {
namespace {

namespace rec = protocol::records;
using CreatableTopic = wire::CreateTopicsRequest::CreatableTopic;
using Created = wire::CreateTopicsResponse::CreatableTopicResult;
using Deleted = wire::DeleteTopicsResponse::DeletableTopicResult;

constexpr std::int64_t kMostRecords = 10'000;  // of one request; Kafka's MAX_RECORDS_PER_USER_OP
constexpr int kTopicIdsVersion = 6;            // of DeleteTopics: topics by name or id
constexpr int kResultConfigsVersion = 5;       // of CreateTopics
constexpr std::string_view kMetadataTopic = "__cluster_metadata";

struct Refusal {
  ErrorCode error;
  std::string message;
};

template <class T>
using Outcome = std::expected<T, Refusal>;

std::unexpected<Refusal> refuse(ErrorCode error, std::string message) {
  return std::unexpected(Refusal{error, std::move(message)});
}

// Type 4 UUIDs whose text doesn't begin with '-' (a nuisance on command lines), as Kafka makes them.
Uuid topic_id_from(KeyedRandom& random, const protocol::MetadataImage& image) {
  for (;;) {
    const std::uint64_t high = (random.next() & ~std::uint64_t{0xf000}) | 0x4000;
    const std::uint64_t low = (random.next() & ~(std::uint64_t{3} << 62)) | (std::uint64_t{1} << 63);
    const Uuid id{high, low};
    if (image.topic(id) == nullptr && !id.to_string().starts_with('-')) {
      return id;
    }
  }
}

class Creation {
 public:
  Creation(const protocol::MetadataImage& image, const protocol::BrokerConfig& config, const CreatableTopic& topic)
      : image_(image), config_(config), topic_(topic) {}

  // The replicas of each partition, from 0 on.
  Outcome<std::vector<NodeIds>> replicas(std::uint64_t random) const {
    if (!topic_.assignments.empty()) {
      return manual();
    }
    if (topic_.replication_factor < -1 || topic_.replication_factor == 0) {
      return refuse(ErrorCode::INVALID_REPLICATION_FACTOR,
                    "Replication factor must be larger than 0, or -1 to use the default value.");
    }
    if (topic_.num_partitions < -1 || topic_.num_partitions == 0) {
      return refuse(ErrorCode::INVALID_PARTITIONS, "Number of partitions was set to an invalid non-positive value.");
    }
    return placed(random);
  }

  NodeIds active(const NodeIds& ids) const {
    NodeIds out = ids;
    std::erase_if(out, [&](NodeId id) { return !image_.active(id); });
    return out;
  }

  // A broker with one log directory: that one. With several the broker chooses and says so later (zero: unassigned).
  std::vector<Uuid> directories(const NodeIds& ids) const {
    std::vector<Uuid> out;
    for (const NodeId id : ids) {
      const auto* broker = image_.broker(id);
      out.push_back(broker != nullptr && broker->log_dirs.size() == 1 ? broker->log_dirs.front() : Uuid{});
    }
    return out;
  }

  std::optional<Refusal> add_partitions(Uuid topic, const std::vector<NodeIds>& replicas,
                                        std::vector<MetadataRecord>& records) const {
    for (std::size_t i = 0; i < replicas.size(); ++i) {
      const NodeIds& ids = replicas[i];
      NodeIds isr = active(ids);
      if (isr.empty()) {
        return Refusal{ErrorCode::INVALID_REPLICATION_FACTOR,
                       "Unable to replicate the partition " + std::to_string(ids.size()) +
                           " time(s): All brokers are currently fenced or in controlled shutdown."};
      }
      const NodeId leader = isr.front();
      records.emplace_back(rec::Partition{.key = {topic, static_cast<std::int32_t>(i)},
                                          .replicas = ids,
                                          .isr = std::move(isr),
                                          .leader = leader,
                                          .directories = directories(ids)});
    }
    return std::nullopt;
  }

  Outcome<protocol::ConfigValues> configs(std::vector<std::string>& warnings) const {
    protocol::ConfigValues out;
    for (const auto& config : topic_.configs) {
      const auto* key = protocol::find_topic_key(config.name);
      if (key == nullptr && !protocol::is_known_topic_key(config.name)) {
        return refuse(ErrorCode::INVALID_CONFIG, "Unknown topic config name: " + std::string(config.name));
      }
      if (!config.value) {
        return refuse(ErrorCode::INVALID_CONFIG,
                      "Null value not supported for topic configs: " + std::string(config.name));
      }
      if (key == nullptr) {
        warnings.push_back("topic " + std::string(topic_.name) + ": " + std::string(config.name) +
                           " is a topic config of Kafka that this build doesn't implement; kept, not acted on");
      } else if (auto good = protocol::check_value(*key, *config.value); !good) {
        return refuse(ErrorCode::INVALID_CONFIG, good.error());
      }
      out[std::string(config.name)] = std::string(*config.value);
    }
    return out;
  }

 private:
  Outcome<std::vector<NodeIds>> placed(std::uint64_t random) const {
    const auto partitions = topic_.num_partitions == -1 ? static_cast<std::int32_t>(config_.integer("num.partitions"))
                                                        : topic_.num_partitions;
    const auto factor = topic_.replication_factor == -1
                            ? static_cast<std::int16_t>(config_.integer("default.replication.factor"))
                            : topic_.replication_factor;
    if (partitions > kMostRecords) {
      return refuse(ErrorCode::POLICY_VIOLATION, "Excessively large number of partitions per request.");
    }
    auto out = place_replicas(image_, partitions, factor, random);
    if (!out) {
      return refuse(ErrorCode::INVALID_REPLICATION_FACTOR,
                    "Unable to replicate the partition " + std::to_string(factor) + " time(s): " + out.error());
    }
    return std::move(*out);
  }

  Outcome<std::vector<NodeIds>> manual() const {
    if (topic_.replication_factor != -1) {
      return refuse(ErrorCode::INVALID_REQUEST,
                    "A manual partition assignment was specified, but replication factor was not set to -1.");
    }
    if (topic_.num_partitions != -1) {
      return refuse(ErrorCode::INVALID_REQUEST,
                    "A manual partition assignment was specified, but numPartitions was not set to -1.");
    }
    std::map<std::int32_t, NodeIds> by_index;
    std::optional<std::size_t> factor;
    for (const auto& assignment : topic_.assignments) {
      if (by_index.contains(assignment.partition_index)) {
        return refuse(
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            "Found multiple manual partition assignments for partition " + std::to_string(assignment.partition_index));
      }
      NodeIds ids;
      std::ranges::transform(assignment.broker_ids, std::back_inserter(ids),
                             [](std::int32_t id) { return NodeId(id); });
      if (auto why = bad_assignment(ids, factor)) {
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT, std::move(*why));
      }
      factor = ids.size();
      if (active(ids).empty()) {
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                      "All brokers specified in the manual partition assignment for partition " +
                          std::to_string(assignment.partition_index) + " are fenced or in controlled shutdown.");
      }
      by_index[assignment.partition_index] = std::move(ids);
    }
    std::vector<NodeIds> out;
    for (auto& [index, ids] : by_index) {
      if (index != static_cast<std::int32_t>(out.size())) {
        return refuse(ErrorCode::INVALID_REPLICA_ASSIGNMENT,
                      "partitions should be a consecutive 0-based integer sequence");
      }
      out.push_back(std::move(ids));
    }
    return out;
  }

  std::optional<std::string> bad_assignment(NodeIds ids, std::optional<std::size_t> factor) const {
    if (ids.empty()) {
      return "The manual partition assignment includes an empty replica list.";
    }
    std::ranges::sort(ids);
    NodeId previous = kNoNode;
    for (const NodeId id : ids) {
      if (image_.broker(id) == nullptr) {
        return "The manual partition assignment includes broker " + std::to_string(id.value()) +
               ", but no such broker is registered.";
      }
      if (id == previous) {
        return "The manual partition assignment includes the broker " + std::to_string(id.value()) + " more than once.";
      }
      previous = id;
    }
    if (factor && *factor != ids.size()) {
      return "The manual partition assignment includes a partition with " + std::to_string(ids.size()) +
             " replica(s), but this is not consistent with previous partitions, which have " + std::to_string(*factor) +
             " replica(s).";
    }
    return std::nullopt;
  }

  const protocol::MetadataImage& image_;
  const protocol::BrokerConfig& config_;
  const CreatableTopic& topic_;
};

std::optional<Refusal> bad_name(const CreatableTopic& topic, const protocol::MetadataImage& image,
                                const std::map<std::string_view, int>& mentions) {
  const std::string name(topic.name);
  if (mentions.at(topic.name) > 1) {
    return Refusal{ErrorCode::INVALID_REQUEST, "Duplicate topic name."};
  }
  if (name == kMetadataTopic) {
    return Refusal{ErrorCode::INVALID_REQUEST, "Creation of internal topic __cluster_metadata is prohibited."};
  }
  if (image.topic(topic.name) != nullptr) {
    return Refusal{ErrorCode::TOPIC_ALREADY_EXISTS, "Topic '" + name + "' already exists."};
  }
  if (auto why = bad_topic_name(name)) {
    return Refusal{ErrorCode::INVALID_TOPIC_EXCEPTION, std::move(*why)};
  }
  if (has_collision_character(name)) {
    const std::string form = collision_form(name);
    for (const auto& [other, id] : image.topics_by_name()) {
      if (has_collision_character(other) && collision_form(other) == form) {
        return Refusal{ErrorCode::INVALID_TOPIC_EXCEPTION,
                       "Topic '" + name + "' collides with existing topic: " + other};
      }
    }
  }
  return std::nullopt;
}

void put_configs(const protocol::ConfigView& view, const protocol::ConfigValues& values, wire::Arena& arena,
                 Created& result) {
  std::vector<wire::CreateTopicsResponse::CreatableTopicConfigs> out;
  for (const protocol::ConfigKey& key : protocol::topic_keys()) {
    if (key.name.starts_with("internal.")) {
      continue;
    }
    const auto entry = view.topic_entry(values, key);
    out.push_back({.name = key.name,
                   .value = entry.value ? std::optional(arena.copy(*entry.value)) : std::nullopt,
                   .read_only = entry.read_only,
                   .config_source = static_cast<std::int8_t>(entry.source),
                   .is_sensitive = entry.sensitive});
  }
  result.configs = arena.copy_span(std::span<const wire::CreateTopicsResponse::CreatableTopicConfigs>(out));
}

// One answer a name, in the request's order; names that are refused unseen come last.
std::vector<const CreatableTopic*> answer_order(const wire::CreateTopicsRequest& request,
                                                const std::map<std::string_view, int>& mentions) {
  std::vector<const CreatableTopic*> out;
  std::vector<const CreatableTopic*> unseen;
  for (const CreatableTopic& topic : request.topics) {
    const bool refused = topic.name == kMetadataTopic || mentions.at(topic.name) > 1;
    const auto same = [&](const CreatableTopic* other) { return other->name == topic.name; };
    if (!refused) {
      out.push_back(&topic);
    } else if (std::ranges::none_of(unseen, same)) {
      unseen.push_back(&topic);
    }
  }
  out.insert(out.end(), unseen.begin(), unseen.end());
  return out;
}

// Which of the image's topics a deletion means, or why none.
Outcome<const protocol::TopicImage*> find_topic(const protocol::MetadataImage& image,
                                                std::optional<std::string_view> name, Uuid id) {
  if (name && !id.is_zero()) {
    return refuse(ErrorCode::INVALID_REQUEST, "You may not specify both topic name and topic id.");
  }
  if (!name && id.is_zero()) {
    return refuse(ErrorCode::INVALID_REQUEST, "Neither topic name nor id were specified.");
  }
  const auto* topic = name ? image.topic(*name) : image.topic(id);
  if (topic == nullptr) {
    return name ? refuse(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "This server does not host this topic-partition.")
                : refuse(ErrorCode::UNKNOWN_TOPIC_ID, "This server does not host this topic ID.");
  }
  return topic;
}

}  // namespace

wire::CreateTopicsResponse Controller::State::create_topics(const events_in::CreateTopics& event, wire::Arena& arena,
                                                            Effects& out) {
  const wire::CreateTopicsRequest& request = event.request;
  KeyedRandom random(event.random);
  std::map<std::string_view, int> mentions;
  for (const auto& topic : request.topics) {
    ++mentions[topic.name];
  }
  std::int64_t budget = kMostRecords;
  // An Outcome<std::vector<MetadataRecord>> a topic; the valid ones of a request are one atomic batch.
  const auto create_one = [&](const CreatableTopic& topic, Created& result) -> Outcome<std::vector<MetadataRecord>> {
    if (auto bad = bad_name(topic, image, mentions)) {
      return std::unexpected(std::move(*bad));
    }
    const Creation creation(image, options.config, topic);
    std::vector<std::string> warnings;
    const auto configs = creation.configs(warnings);
    if (!configs) {
      return std::unexpected(configs.error());
    }
    const auto replicas = creation.replicas(random.next());
    if (!replicas) {
      return std::unexpected(replicas.error());
    }
    budget -= std::ssize(*replicas) + std::ssize(*configs) + 1;
    if (budget < 0) {
      return refuse(ErrorCode::POLICY_VIOLATION, "Excessively large number of partitions per request.");
    }
    const Uuid id = topic_id_from(random, image);
    const std::string name(topic.name);
    std::vector<MetadataRecord> records{rec::Topic{.name = name, .id = id}};
    for (const auto& [key, value] : *configs) {
      records.emplace_back(
          rec::Config{.resource = {protocol::ConfigResourceType::topic, name}, .name = key, .value = value});
    }
    if (auto bad = creation.add_partitions(id, *replicas, records)) {
      return std::unexpected(std::move(*bad));
    }
    for (std::string& warning : warnings) {
      log(out, true, std::move(warning));
    }
    result.topic_id = id;
    result.num_partitions = static_cast<std::int32_t>(replicas->size());
    result.replication_factor = static_cast<std::int16_t>(replicas->front().size());
    if (event.version >= kResultConfigsVersion) {
      put_configs(view(), *configs, arena, result);
    }
    return records;
  };
  const std::vector<const CreatableTopic*> order = answer_order(request, mentions);
  std::vector<MetadataRecord> records;
  const auto results = arena.make_span<Created>(order.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    results[i].name = order[i]->name;
    results[i].error_message = std::nullopt;
    if (request.timeout_ms <= 0) {
      results[i].error_code = code(ErrorCode::REQUEST_TIMED_OUT);
    } else if (auto made = create_one(*order[i], results[i])) {
      std::ranges::move(*made, std::back_inserter(records));
    } else {
      results[i].error_code = code(made.error().error);
      results[i].error_message = arena.copy(made.error().message);
    }
  }
  if (!request.validate_only) {
    append(std::move(records), out);
  }
  return {.topics = results};
}

wire::DeleteTopicsResponse Controller::State::delete_topics(const events_in::DeleteTopics& event, wire::Arena& arena,
                                                            Effects& out) {
  const wire::DeleteTopicsRequest& request = event.request;
  struct Asked {
    std::optional<std::string_view> name;
    Uuid id;
  };
  std::vector<Asked> asked;
  if (event.version >= kTopicIdsVersion) {
    for (const auto& topic : request.topics) {
      asked.push_back({topic.name, topic.topic_id});
    }
  } else {
    for (const auto& name : request.topic_names) {
      asked.push_back({name, Uuid{}});
    }
  }
  // A name or an id that stands in the request twice is refused, and answered once.
  std::map<std::pair<std::optional<std::string_view>, Uuid>, int> mentions;
  std::map<Uuid, int> ids;
  for (const Asked& one : asked) {
    ++mentions[{one.name, one.id}];
    if (!one.name) ++ids[one.id];
  }
  std::vector<Asked> once;
  for (const Asked& one : asked) {
    const auto same = [&](const Asked& other) { return other.name == one.name && other.id == one.id; };
    const bool also_by_name = !one.name && std::ranges::any_of(asked, [&](const Asked& other) {
      const auto* named = other.name && other.id.is_zero() ? image.topic(*other.name) : nullptr;
      return named != nullptr && named->id == one.id;
    });
    if (also_by_name || std::ranges::any_of(once, same)) continue;
    once.push_back(one);
  }
  std::vector<MetadataRecord> records;
  const bool enabled = options.config.boolean("delete.topic.enable");
  const auto results = arena.make_span<Deleted>(once.size());
  for (std::size_t i = 0; i < results.size(); ++i) {
    const Asked& one = once[i];
    results[i] = {.name = one.name, .topic_id = one.id};
    const auto fail = [&](ErrorCode error, std::optional<std::string_view> message) {
      results[i].error_code = code(error);
      results[i].error_message = message ? std::optional(arena.copy(*message)) : std::nullopt;
    };
    const auto found = find_topic(image, one.name, one.id);
    if (!enabled) {
      fail(event.version < 3 ? ErrorCode::INVALID_REQUEST : ErrorCode::TOPIC_DELETION_DISABLED, std::nullopt);
    } else if (one.name && one.id.is_zero() && found && ids.contains((*found)->id)) {
      fail(ErrorCode::INVALID_REQUEST, "The provided topic name maps to an ID that was already supplied.");
      results[i].topic_id = (*found)->id;
    } else if (mentions[{one.name, one.id}] > 1 && (one.name.has_value() == one.id.is_zero())) {
      fail(ErrorCode::INVALID_REQUEST, one.name ? "Duplicate topic name." : "Duplicate topic id.");
    } else if (!found) {
      fail(found.error().error, found.error().message);
    } else {
      records.emplace_back(rec::RemoveTopic{.id = (*found)->id});
      results[i].name = arena.copy((*found)->name);
      results[i].topic_id = (*found)->id;
    }
  }
  append(std::move(records), out);
  return {.responses = results};
}

}  // namespace verdict::controller
