#include "protocol/metadata_records.h"

#include <algorithm>
#include <utility>

#include "protocol/wire/arena.h"
#include "protocol/wire/codec.h"
#include "protocol/wire/gen/metadata_records.h"
#include "protocol/wire/registry.h"
#include "runtime/assert.h"

namespace verdict::protocol {
namespace {

constexpr std::uint32_t kFrameVersion = 1;
constexpr std::int32_t kNoLeaderChange = -2;

// ---- to the wire's structs; arrays live in the arena, texts in the record ----

std::span<std::int32_t> ids_to_wire(wire::Arena& arena, const NodeIds& ids) {
  const auto out = arena.make_span<std::int32_t>(ids.size());
  std::ranges::transform(ids, out.begin(), [](NodeId id) { return id.value(); });
  return out;
}

std::optional<std::span<std::int32_t>> ids_to_wire(wire::Arena& arena, const std::optional<NodeIds>& ids) {
  if (!ids) {
    return std::nullopt;
  }
  return ids_to_wire(arena, *ids);
}

std::span<Uuid> uuids_to_wire(wire::Arena& arena, const std::vector<Uuid>& ids) {
  return arena.copy_span(std::span<const Uuid>(ids));
}

template <class Endpoint>
std::span<Endpoint> listeners_to_wire(wire::Arena& arena, const std::vector<BrokerListener>& listeners) {
  const auto out = arena.make_span<Endpoint>(listeners.size());
  std::ranges::transform(listeners, out.begin(), [](const BrokerListener& l) {
    return Endpoint{.name = l.name, .host = l.host, .port = l.port, .security_protocol = l.security_protocol};
  });
  return out;
}

template <class Feature>
std::span<Feature> features_to_wire(wire::Arena& arena, const std::vector<FeatureRange>& features) {
  const auto out = arena.make_span<Feature>(features.size());
  std::ranges::transform(features, out.begin(), [](const FeatureRange& f) {
    return Feature{.name = f.name, .min_supported_version = f.min, .max_supported_version = f.max};
  });
  return out;
}

wire::RegisterBrokerRecord to_wire(wire::Arena& arena, const records::RegisterBroker& r) {
  return {.broker_id = r.broker.value(),
          .incarnation_id = r.incarnation,
          .broker_epoch = r.epoch.value(),
          .end_points = listeners_to_wire<wire::RegisterBrokerRecord::BrokerEndpoint>(arena, r.listeners),
          .features = features_to_wire<wire::RegisterBrokerRecord::BrokerFeature>(arena, r.features),
          .rack = r.rack ? std::optional<std::string_view>(*r.rack) : std::nullopt,
          .fenced = r.fenced,
          .in_controlled_shutdown = r.in_controlled_shutdown,
          .log_dirs = uuids_to_wire(arena, r.log_dirs)};
}

wire::UnregisterBrokerRecord to_wire(wire::Arena&, const records::UnregisterBroker& r) {
  return {.broker_id = r.broker.value(), .broker_epoch = r.epoch.value()};
}

wire::TopicRecord to_wire(wire::Arena&, const records::Topic& r) { return {.name = r.name, .topic_id = r.id}; }

wire::RemoveTopicRecord to_wire(wire::Arena&, const records::RemoveTopic& r) { return {.topic_id = r.id}; }

wire::PartitionRecord to_wire(wire::Arena& arena, const records::Partition& r) {
  return {.partition_id = r.key.index,
          .topic_id = r.key.topic,
          .replicas = ids_to_wire(arena, r.replicas),
          .isr = ids_to_wire(arena, r.isr),
          .removing_replicas = ids_to_wire(arena, r.removing),
          .adding_replicas = ids_to_wire(arena, r.adding),
          .leader = r.leader.value(),
          .leader_recovery_state = static_cast<std::int8_t>(r.recovery),
          .leader_epoch = r.leader_epoch.value(),
          .partition_epoch = r.partition_epoch.value(),
          .directories = uuids_to_wire(arena, r.directories),
          .eligible_leader_replicas = ids_to_wire(arena, r.elr),
          .last_known_elr = ids_to_wire(arena, r.last_known_elr)};
}

wire::PartitionChangeRecord to_wire(wire::Arena& arena, const records::PartitionChange& r) {
  wire::PartitionChangeRecord out{.partition_id = r.key.index, .topic_id = r.key.topic};
  out.isr = ids_to_wire(arena, r.isr);
  out.leader = r.leader ? r.leader->value() : kNoLeaderChange;
  out.replicas = ids_to_wire(arena, r.replicas);
  out.removing_replicas = ids_to_wire(arena, r.removing);
  out.adding_replicas = ids_to_wire(arena, r.adding);
  if (r.recovery) {
    out.leader_recovery_state = static_cast<std::int8_t>(*r.recovery);
  }
  if (r.directories) {
    out.directories = uuids_to_wire(arena, *r.directories);
  }
  out.eligible_leader_replicas = ids_to_wire(arena, r.elr);
  out.last_known_elr = ids_to_wire(arena, r.last_known_elr);
  return out;
}

wire::ConfigRecord to_wire(wire::Arena&, const records::Config& r) {
  return {.resource_type = static_cast<std::int8_t>(r.resource.type),
          .resource_name = r.resource.name,
          .name = r.name,
          .value = r.value ? std::optional<std::string_view>(*r.value) : std::nullopt};
}

wire::FeatureLevelRecord to_wire(wire::Arena&, const records::FeatureLevel& r) {
  return {.name = r.name, .feature_level = r.level};
}

wire::BrokerRegistrationChangeRecord to_wire(wire::Arena& arena, const records::BrokerRegistrationChange& r) {
  return {.broker_id = r.broker.value(),
          .broker_epoch = r.epoch.value(),
          .fenced = static_cast<std::int8_t>(r.fenced ? (*r.fenced ? 1 : -1) : 0),
          .in_controlled_shutdown = static_cast<std::int8_t>(r.in_controlled_shutdown ? 1 : 0),
          .log_dirs = uuids_to_wire(arena, r.log_dirs)};
}

wire::RegisterControllerRecord to_wire(wire::Arena& arena, const records::RegisterController& r) {
  return {.controller_id = r.controller.value(),
          .incarnation_id = r.incarnation,
          .end_points = listeners_to_wire<wire::RegisterControllerRecord::ControllerEndpoint>(arena, r.listeners),
          .features = features_to_wire<wire::RegisterControllerRecord::ControllerFeature>(arena, r.features)};
}

wire::ProducerIdsRecord to_wire(wire::Arena&, const records::ProducerIds& r) {
  return {.broker_id = r.broker.value(), .broker_epoch = r.epoch.value(), .next_producer_id = r.next};
}

wire::ClearElrRecord to_wire(wire::Arena&, const records::ClearElr& r) { return {.topic_name = r.topic}; }

wire::NoOpRecord to_wire(wire::Arena&, const records::NoOp&) { return {}; }

// The lowest version that can say it, as Kafka 4.1 chooses.
template <class Record>
int version_of(const Record& record) {
  using R = Record;
  if constexpr (std::is_same_v<R, records::BrokerRegistrationChange>) {
    return !record.log_dirs.empty() ? 2 : record.in_controlled_shutdown ? 1 : 0;
  } else {
    wire::Arena arena;
    return decltype(to_wire(arena, record))::highest_version;
  }
}

// ---- from the wire's structs ----

NodeIds ids_from_wire(std::span<const std::int32_t> ids) {
  NodeIds out(ids.size());
  std::ranges::transform(ids, out.begin(), [](std::int32_t id) { return NodeId(id); });
  return out;
}

std::optional<NodeIds> some_ids_from_wire(const std::optional<std::span<std::int32_t>>& ids) {
  if (!ids) {
    return std::nullopt;
  }
  return ids_from_wire(*ids);
}

std::vector<Uuid> uuids_from_wire(std::span<const Uuid> ids) { return {ids.begin(), ids.end()}; }

std::optional<std::string> text_from_wire(const std::optional<std::string_view>& text) {
  return text ? std::optional<std::string>(*text) : std::nullopt;
}

template <class Endpoint>
std::vector<BrokerListener> listeners_from_wire(std::span<Endpoint> from) {
  std::vector<BrokerListener> out;
  for (const Endpoint& l : from) {
    out.push_back({std::string(l.name), std::string(l.host), l.port, l.security_protocol});
  }
  return out;
}

template <class Feature>
std::vector<FeatureRange> features_from_wire(std::span<Feature> from) {
  std::vector<FeatureRange> out;
  for (const Feature& f : from) {
    out.push_back({std::string(f.name), f.min_supported_version, f.max_supported_version});
  }
  return out;
}

using Decoded = std::expected<MetadataRecord, std::string>;

Decoded from_wire(const wire::RegisterBrokerRecord& r) {
  return records::RegisterBroker{NodeId(r.broker_id),
                                 r.incarnation_id,
                                 BrokerEpoch(r.broker_epoch),
                                 listeners_from_wire(r.end_points),
                                 features_from_wire(r.features),
                                 text_from_wire(r.rack),
                                 r.fenced,
                                 r.in_controlled_shutdown,
                                 uuids_from_wire(r.log_dirs)};
}

Decoded from_wire(const wire::UnregisterBrokerRecord& r) {
  return records::UnregisterBroker{NodeId(r.broker_id), BrokerEpoch(r.broker_epoch)};
}

Decoded from_wire(const wire::TopicRecord& r) { return records::Topic{std::string(r.name), r.topic_id}; }

Decoded from_wire(const wire::RemoveTopicRecord& r) { return records::RemoveTopic{r.topic_id}; }

Decoded from_wire(const wire::PartitionRecord& r) {
  if (r.leader_recovery_state < 0 || r.leader_recovery_state > 1) {
    return std::unexpected("PartitionRecord with leader recovery state " + std::to_string(r.leader_recovery_state));
  }
  return records::Partition{{r.topic_id, r.partition_id},
                            ids_from_wire(r.replicas),
                            ids_from_wire(r.isr),
                            ids_from_wire(r.removing_replicas),
                            ids_from_wire(r.adding_replicas),
                            NodeId(r.leader),
                            static_cast<LeaderRecovery>(r.leader_recovery_state),
                            LeaderEpoch(r.leader_epoch),
                            PartitionEpoch(r.partition_epoch),
                            uuids_from_wire(r.directories),
                            some_ids_from_wire(r.eligible_leader_replicas),
                            some_ids_from_wire(r.last_known_elr)};
}

Decoded from_wire(const wire::PartitionChangeRecord& r) {
  if (r.leader_recovery_state < -1 || r.leader_recovery_state > 1) {
    return std::unexpected("PartitionChangeRecord with leader recovery state " +
                           std::to_string(r.leader_recovery_state));
  }
  records::PartitionChange out{.key = {r.topic_id, r.partition_id}, .isr = some_ids_from_wire(r.isr)};
  if (r.leader != kNoLeaderChange) {
    out.leader = NodeId(r.leader);
  }
  out.replicas = some_ids_from_wire(r.replicas);
  out.removing = some_ids_from_wire(r.removing_replicas);
  out.adding = some_ids_from_wire(r.adding_replicas);
  if (r.leader_recovery_state >= 0) {
    out.recovery = static_cast<LeaderRecovery>(r.leader_recovery_state);
  }
  if (r.directories) {
    out.directories = uuids_from_wire(*r.directories);
  }
  out.elr = some_ids_from_wire(r.eligible_leader_replicas);
  out.last_known_elr = some_ids_from_wire(r.last_known_elr);
  return out;
}

Decoded from_wire(const wire::ConfigRecord& r) {
  if (r.resource_type != 2 && r.resource_type != 4) {  // broker loggers, client metrics, groups: not ours to act on
    return records::Other{.type = wire::ConfigRecord::api_key};
  }
  return records::Config{{static_cast<ConfigResourceType>(r.resource_type), std::string(r.resource_name)},
                         std::string(r.name),
                         text_from_wire(r.value)};
}

Decoded from_wire(const wire::FeatureLevelRecord& r) {
  return records::FeatureLevel{std::string(r.name), r.feature_level};
}

Decoded from_wire(const wire::FenceBrokerRecord& r) {
  return records::BrokerRegistrationChange{.broker = NodeId(r.id), .epoch = BrokerEpoch(r.epoch), .fenced = true};
}

Decoded from_wire(const wire::UnfenceBrokerRecord& r) {
  return records::BrokerRegistrationChange{.broker = NodeId(r.id), .epoch = BrokerEpoch(r.epoch), .fenced = false};
}

Decoded from_wire(const wire::BrokerRegistrationChangeRecord& r) {
  if (r.fenced < -1 || r.fenced > 1 || r.in_controlled_shutdown < 0 || r.in_controlled_shutdown > 1) {
    return std::unexpected("BrokerRegistrationChangeRecord with fenced " + std::to_string(r.fenced) +
                           " and inControlledShutdown " + std::to_string(r.in_controlled_shutdown));
  }
  return records::BrokerRegistrationChange{NodeId(r.broker_id), BrokerEpoch(r.broker_epoch),
                                           r.fenced == 0 ? std::nullopt : std::optional<bool>(r.fenced == 1),
                                           r.in_controlled_shutdown == 1, uuids_from_wire(r.log_dirs)};
}

Decoded from_wire(const wire::RegisterControllerRecord& r) {
  return records::RegisterController{NodeId(r.controller_id), r.incarnation_id, listeners_from_wire(r.end_points),
                                     features_from_wire(r.features)};
}

Decoded from_wire(const wire::ProducerIdsRecord& r) {
  return records::ProducerIds{NodeId(r.broker_id), BrokerEpoch(r.broker_epoch), r.next_producer_id};
}

Decoded from_wire(const wire::ClearElrRecord& r) { return records::ClearElr{std::string(r.topic_name)}; }

Decoded from_wire(const wire::NoOpRecord&) { return records::NoOp{}; }

template <class Wire>
Decoded decode_body(std::span<const std::byte> body, int version) {
  if (version < Wire::lowest_version || version > Wire::highest_version) {
    return std::unexpected(std::string(Wire::message_name) + " version " + std::to_string(version) + " is not known");
  }
  wire::Arena arena;
  Wire value;
  if (auto done = wire::decode_exact(arena, body, version, value); !done) {
    return std::unexpected(std::string(Wire::message_name) + ": " + done.error().to_string());
  }
  return from_wire(value);
}

template <class... Wires>
Decoded decode_one_of(std::uint32_t type, std::uint32_t version, std::span<const std::byte> body) {
  Decoded out =
      records::Other{static_cast<std::int16_t>(type), static_cast<std::int16_t>(version), {body.begin(), body.end()}};
  const auto attempt = [&]<class Wire>() {
    if (type != static_cast<std::uint32_t>(Wire::api_key)) {
      return false;
    }
    out = decode_body<Wire>(body, static_cast<int>(version));
    return true;
  };
  (attempt.template operator()<Wires>() || ...);
  // A known record about what isn't ours to act on keeps its bytes.
  if (auto* other = out ? std::get_if<records::Other>(&*out) : nullptr; other != nullptr && other->body.empty()) {
    other->version = static_cast<std::int16_t>(version);
    other->body.assign(body.begin(), body.end());
  }
  return out;
}

void put_uvarint(std::vector<std::byte>& out, std::uint32_t value) {
  for (; value >= 0x80; value >>= 7) {
    out.push_back(static_cast<std::byte>(value | 0x80));
  }
  out.push_back(static_cast<std::byte>(value));
}

std::optional<std::uint32_t> take_uvarint(std::span<const std::byte>& in) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 35; shift += 7) {
    if (in.empty()) {
      return std::nullopt;
    }
    const auto byte = std::to_integer<std::uint64_t>(in.front());
    in = in.subspan(1);
    value |= (byte & 0x7f) << shift;
    if (byte < 0x80) {
      return value <= 0xffffffffU ? std::optional(static_cast<std::uint32_t>(value)) : std::nullopt;
    }
  }
  return std::nullopt;
}

// "PartitionChangeRecord" -> "PARTITION_CHANGE_RECORD"
std::string kafka_type_name(std::string_view camel) {
  std::string out;
  for (const char c : camel) {
    const bool upper = c >= 'A' && c <= 'Z';
    if (upper && !out.empty()) {
      out += '_';
    }
    out += upper ? c : static_cast<char>(c - 'a' + 'A');
  }
  return out;
}

}  // namespace

std::vector<std::byte> encode_record(const MetadataRecord& record) {
  std::vector<std::byte> out;
  put_uvarint(out, kFrameVersion);
  const auto encode_as = [&](const auto& r) {
    wire::Arena arena;
    const auto value = to_wire(arena, r);
    const int version = version_of(r);
    put_uvarint(out, static_cast<std::uint32_t>(value.api_key));
    put_uvarint(out, static_cast<std::uint32_t>(version));
    const auto done = wire::append(out, value, version);
    VERDICT_ASSERT(done.has_value(), "a metadata record can't be encoded");
  };
  if (const auto* other = std::get_if<records::Other>(&record)) {
    put_uvarint(out, static_cast<std::uint16_t>(other->type));
    put_uvarint(out, static_cast<std::uint16_t>(other->version));
    out.insert(out.end(), other->body.begin(), other->body.end());
    return out;
  }
  std::visit(
      [&](const auto& r) {
        if constexpr (!std::is_same_v<std::decay_t<decltype(r)>, records::Other>) {
          encode_as(r);
        }
      },
      record);
  return out;
}

std::expected<MetadataRecord, std::string> decode_record(std::span<const std::byte> value) {
  const auto frame = take_uvarint(value);
  if (!frame || *frame != kFrameVersion) {
    return std::unexpected(std::string("not a metadata record: its frame version isn't 1"));
  }
  const auto type = take_uvarint(value);
  const auto version = take_uvarint(value);
  if (!type || !version || *type > 0x7fff || *version > 0x7fff) {
    return std::unexpected(std::string("not a metadata record: its type or version is malformed"));
  }
  return decode_one_of<wire::RegisterBrokerRecord, wire::UnregisterBrokerRecord, wire::TopicRecord,
                       wire::PartitionRecord, wire::ConfigRecord, wire::PartitionChangeRecord, wire::FenceBrokerRecord,
                       wire::UnfenceBrokerRecord, wire::RemoveTopicRecord, wire::FeatureLevelRecord,
                       wire::ProducerIdsRecord, wire::BrokerRegistrationChangeRecord, wire::NoOpRecord,
                       wire::RegisterControllerRecord, wire::ClearElrRecord>(*type, *version, value);
}

std::string to_json(const MetadataRecord& record) {
  std::string name;
  int version = 0;
  std::string data;
  std::visit(
      [&](const auto& r) {
        using R = std::decay_t<decltype(r)>;
        if constexpr (std::is_same_v<R, records::Other>) {
          const auto* info = wire::find_metadata_record(r.type);
          name = info != nullptr ? std::string(info->name) : "Type" + std::to_string(r.type);
          version = r.version;
          data = info == nullptr ? "null" : wire::bytes_to_json(*info, r.version, r.body).value_or("null");
        } else {
          wire::Arena arena;
          const auto value = to_wire(arena, r);
          name = value.message_name;
          version = version_of(r);
          data = wire::to_json(value, version);
        }
      },
      record);
  return "{\"type\":\"" + kafka_type_name(name) + "\",\"version\":" + std::to_string(version) + ",\"data\":" + data +
         "}";
}

std::vector<FeatureRange> supported_features() {
  return {{std::string(kGroupFeature), 0, kGroupVersion},
          {std::string(kMetadataFeature), kMinMetadataVersion, kMetadataVersion},
          {std::string(kTransactionFeature), 0, kTransactionVersion}};
}

std::vector<MetadataRecord> bootstrap_records() {
  return {records::FeatureLevel{std::string(kMetadataFeature), kMetadataVersion},
          records::FeatureLevel{std::string(kGroupFeature), kGroupVersion},
          records::FeatureLevel{std::string(kTransactionFeature), kTransactionVersion}};
}

}  // namespace verdict::protocol
