#include "protocol/group/consumer_records.h"

#include <string>
#include <utility>
#include <vector>

#include "protocol/group/assignment.h"
#include "protocol/group/record_codec.h"
#include "protocol/wire/gen/group_records.h"

namespace verdict::group {
namespace {

using EpochKey = wire::ConsumerGroupMetadataKey;
using PartitionMetadataKey = wire::ConsumerGroupPartitionMetadataKey;
using MetadataKey = wire::ConsumerGroupMemberMetadataKey;
using TargetEpochKey = wire::ConsumerGroupTargetAssignmentMetadataKey;
using TargetKey = wire::ConsumerGroupTargetAssignmentMemberKey;
using CurrentKey = wire::ConsumerGroupCurrentMemberAssignmentKey;
using RegexKey = wire::ConsumerGroupRegularExpressionKey;

using Value = std::optional<std::span<const std::byte>>;

std::span<std::string_view> strings_of(wire::Arena& arena, const std::set<std::string, std::less<>>& from) {
  const auto out = arena.make_span<std::string_view>(from.size());
  std::size_t i = 0;
  for (const std::string& one : from) {
    out[i++] = one;
  }
  return out;
}

std::set<std::string, std::less<>> strings_from(std::span<const std::string_view> from) {
  return {from.begin(), from.end()};
}

Blob metadata_value(const MemberMetadata& metadata) {
  wire::Arena arena;
  wire::ConsumerGroupMemberMetadataValue value{.instance_id = metadata.instance_id,
                                               .rack_id = metadata.rack_id,
                                               .client_id = metadata.client_id,
                                               .client_host = metadata.client_host,
                                               .subscribed_topic_names = strings_of(arena, metadata.topics),
                                               .subscribed_topic_regex = metadata.regex,
                                               .rebalance_timeout_ms = metadata.rebalance_timeout_ms,
                                               .server_assignor = metadata.assignor,
                                               .classic_member_metadata = std::nullopt};
  if (metadata.classic) {
    using Protocol = wire::ConsumerGroupMemberMetadataValue::ClassicProtocol;
    const auto protocols = arena.make_span<Protocol>(metadata.classic->protocols.size());
    for (std::size_t i = 0; i < protocols.size(); ++i) {
      protocols[i] = {.name = metadata.classic->protocols[i].name, .metadata = metadata.classic->protocols[i].metadata};
    }
    value.classic_member_metadata = wire::ConsumerGroupMemberMetadataValue::ClassicMemberMetadata{
        .session_timeout_ms = metadata.classic->session_timeout_ms, .supported_protocols = protocols};
  }
  return value_of(value, 0);
}

struct Writer {
  std::string_view group;

  template <class Key, class Wire>
  LogRecord put(const Key& key, const Wire& value) const {
    return {.key = key_of(key), .value = value_of(value, 0)};
  }
  template <class Key>
  LogRecord remove(const Key& key) const {
    return {.key = key_of(key), .value = std::nullopt};
  }

  LogRecord operator()(const changes::Epoch& change) const {
    const EpochKey key{.group_id = group};
    if (!change.value) {
      return remove(key);
    }
    return put(key, wire::ConsumerGroupMetadataValue{.epoch = change.value->epoch,
                                                     .metadata_hash = change.value->metadata_hash});
  }
  LogRecord operator()(const changes::Metadata& change) const {
    const MetadataKey key{.group_id = group, .member_id = change.member};
    if (!change.value) {
      return remove(key);
    }
    return {.key = key_of(key), .value = metadata_value(*change.value)};
  }
  LogRecord operator()(const changes::TargetEpoch& change) const {
    const TargetEpochKey key{.group_id = group};
    if (!change.value) {
      return remove(key);
    }
    return put(key, wire::ConsumerGroupTargetAssignmentMetadataValue{.assignment_epoch = *change.value});
  }
  LogRecord operator()(const changes::Target& change) const {
    const TargetKey key{.group_id = group, .member_id = change.member};
    if (!change.value) {
      return remove(key);
    }
    using Wire = wire::ConsumerGroupTargetAssignmentMemberValue;
    wire::Arena arena;
    return put(key, Wire{.topic_partitions = topics_of<Wire::TopicPartition>(arena, *change.value)});
  }
  LogRecord operator()(const changes::Current& change) const {
    const CurrentKey key{.group_id = group, .member_id = change.member};
    if (!change.value) {
      return remove(key);
    }
    using Wire = wire::ConsumerGroupCurrentMemberAssignmentValue;
    wire::Arena arena;
    return put(key,
               Wire{.member_epoch = change.value->epoch,
                    .previous_member_epoch = change.value->previous_epoch,
                    .state = static_cast<std::int8_t>(change.value->state),
                    .assigned_partitions = topics_of<Wire::TopicPartitions>(arena, change.value->assigned),
                    .partitions_pending_revocation = topics_of<Wire::TopicPartitions>(arena, change.value->revoking)});
  }
  LogRecord operator()(const changes::Regex& change) const {
    const RegexKey key{.group_id = group, .regular_expression = change.pattern};
    if (!change.value) {
      return remove(key);
    }
    wire::Arena arena;
    return put(key, wire::ConsumerGroupRegularExpressionValue{.topics = strings_of(arena, change.value->topics),
                                                              .version = change.value->version,
                                                              .timestamp = change.value->timestamp_ms});
  }
  LogRecord operator()(const changes::PartitionMetadata& change) const {
    VERDICT_ASSERT(!change.present, "only its tombstone is written");
    return remove(PartitionMetadataKey{.group_id = group});
  }
};

// ---- reading ----

using Read = std::expected<ConsumerRecord, std::string>;

// The key, then change(key, value) of what is there; `value` is null for a tombstone.
template <class Key, class Wire, class Make>
Read read_as(std::span<const std::byte> body, const Value& value, Make make) {
  wire::Arena arena;
  Key key;
  if (auto done = decode_key(arena, body, key); !done) {
    return std::unexpected(done.error());
  }
  Wire read;
  if (value) {
    if (auto done = decode_value(arena, *value, read); !done) {
      return std::unexpected(done.error());
    }
  }
  return ConsumerRecord{.group = std::string(key.group_id),
                        .change = make(key, value ? &read : nullptr),
                        .tombstone = !value.has_value()};
}

Read read_metadata(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupMemberMetadataValue;
  return read_as<MetadataKey, Wire>(body, value, [](const MetadataKey& key, const Wire* read) -> ConsumerChange {
    changes::Metadata out{.member = std::string(key.member_id), .value = std::nullopt};
    if (read == nullptr) {
      return out;
    }
    out.value = MemberMetadata{.instance_id = owned(read->instance_id),
                               .rack_id = owned(read->rack_id),
                               .client_id = std::string(read->client_id),
                               .client_host = std::string(read->client_host),
                               .topics = strings_from(read->subscribed_topic_names),
                               .regex = owned(read->subscribed_topic_regex),
                               .rebalance_timeout_ms = read->rebalance_timeout_ms,
                               .assignor = owned(read->server_assignor),
                               .classic = std::nullopt};
    if (read->classic_member_metadata) {
      out.value->classic =
          ClassicMembership{.session_timeout_ms = read->classic_member_metadata->session_timeout_ms, .protocols = {}};
      for (const auto& one : read->classic_member_metadata->supported_protocols) {
        out.value->classic->protocols.push_back(
            {.name = std::string(one.name), .metadata = Blob(one.metadata.begin(), one.metadata.end())});
      }
    }
    return out;
  });
}

MemberState state_from(std::int8_t state) {
  return state >= 0 && state <= static_cast<std::int8_t>(MemberState::unreleased) ? static_cast<MemberState>(state)
                                                                                  : MemberState::unknown;
}

Read read_current(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupCurrentMemberAssignmentValue;
  return read_as<CurrentKey, Wire>(body, value, [](const CurrentKey& key, const Wire* read) -> ConsumerChange {
    changes::Current out{.member = std::string(key.member_id), .value = std::nullopt};
    if (read != nullptr) {
      out.value = MemberAssignment{.epoch = read->member_epoch,
                                   .previous_epoch = read->previous_member_epoch,
                                   .state = state_from(read->state),
                                   .assigned = assignment_of(read->assigned_partitions),
                                   .revoking = assignment_of(read->partitions_pending_revocation)};
    }
    return out;
  });
}

Read read_regex(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupRegularExpressionValue;
  return read_as<RegexKey, Wire>(body, value, [](const RegexKey& key, const Wire* read) -> ConsumerChange {
    changes::Regex out{.pattern = std::string(key.regular_expression), .value = std::nullopt};
    if (read != nullptr) {
      out.value = ResolvedRegex{
          .topics = strings_from(read->topics), .version = read->version, .timestamp_ms = read->timestamp};
    }
    return out;
  });
}

Read read_target(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupTargetAssignmentMemberValue;
  return read_as<TargetKey, Wire>(body, value, [](const TargetKey& key, const Wire* read) -> ConsumerChange {
    return changes::Target{
        .member = std::string(key.member_id),
        .value = read == nullptr ? std::nullopt : std::optional(assignment_of(read->topic_partitions))};
  });
}

Read read_epoch(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupMetadataValue;
  return read_as<EpochKey, Wire>(body, value, [](const EpochKey&, const Wire* read) -> ConsumerChange {
    changes::Epoch out;
    if (read != nullptr) {
      out.value = {.epoch = read->epoch, .metadata_hash = read->metadata_hash};
    }
    return out;
  });
}

Read read_target_epoch(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupTargetAssignmentMetadataValue;
  return read_as<TargetEpochKey, Wire>(body, value, [](const TargetEpochKey&, const Wire* read) -> ConsumerChange {
    return changes::TargetEpoch{read == nullptr ? std::nullopt : std::optional(read->assignment_epoch)};
  });
}

Read read_partition_metadata(std::span<const std::byte> body, const Value& value) {
  using Wire = wire::ConsumerGroupPartitionMetadataValue;
  return read_as<PartitionMetadataKey, Wire>(body, value,
                                             [](const PartitionMetadataKey&, const Wire* read) -> ConsumerChange {
                                               return changes::PartitionMetadata{.present = read != nullptr};
                                             });
}

}  // namespace

bool is_consumer_record(std::int16_t type) {
  return (type >= EpochKey::api_key && type <= CurrentKey::api_key) || type == RegexKey::api_key;
}

LogRecord consumer_record(std::string_view group, const ConsumerChange& change) {
  return std::visit(Writer{group}, change);
}

std::vector<LogRecord> tombstones(const ConsumerGroup& group) {
  std::vector<ConsumerChange> gone;
  for (const auto& [id, member] : group.members()) {
    gone.emplace_back(changes::Current{.member = id, .value = std::nullopt});
  }
  for (const auto& [id, member] : group.members()) {
    gone.emplace_back(changes::Target{.member = id, .value = std::nullopt});
  }
  gone.emplace_back(changes::TargetEpoch{});
  for (const auto& [id, member] : group.members()) {
    gone.emplace_back(changes::Metadata{.member = id, .value = std::nullopt});
  }
  for (const auto& [pattern, regex] : group.regexes()) {
    gone.emplace_back(changes::Regex{.pattern = pattern, .value = std::nullopt});
  }
  gone.emplace_back(changes::PartitionMetadata{.present = false});
  gone.emplace_back(changes::Epoch{});
  std::vector<LogRecord> out;
  for (const ConsumerChange& change : gone) {
    out.push_back(consumer_record(group.id(), change));
  }
  return out;
}

Read read_consumer_record(std::int16_t type, std::span<const std::byte> body, Value value) {
  switch (type) {
    case EpochKey::api_key:
      return read_epoch(body, value);
    case PartitionMetadataKey::api_key:
      return read_partition_metadata(body, value);
    case MetadataKey::api_key:
      return read_metadata(body, value);
    case TargetEpochKey::api_key:
      return read_target_epoch(body, value);
    case TargetKey::api_key:
      return read_target(body, value);
    case CurrentKey::api_key:
      return read_current(body, value);
    case RegexKey::api_key:
      return read_regex(body, value);
    default:
      return std::unexpected("records of type " + std::to_string(type) + " are not of consumer groups");
  }
}

}  // namespace verdict::group
