#include "protocol/group/records.h"

#include <set>
#include <utility>
#include <vector>

#include "protocol/group/record_codec.h"
#include "protocol/wire/gen/group_records.h"
#include "protocol/wire/reader.h"
#include "runtime/assert.h"
#include "storage/batch.h"

namespace verdict::group {
namespace {

constexpr int kOffsetValueVersion = 4;
constexpr int kExpiringOffsetValueVersion = 1;
constexpr int kGroupValueVersion = 3;
constexpr std::int16_t kLegacyOffsetKey = 0;

std::expected<ReadRecord, std::string> read_offset(std::span<const std::byte> body,
                                                   std::optional<std::span<const std::byte>> value) {
  wire::Arena arena;
  wire::OffsetCommitKey key;
  if (auto done = decode_key(arena, body, key); !done) {
    return std::unexpected(done.error());
  }
  OffsetRecord out{.group = std::string(key.group), .topic = std::string(key.topic), .partition = key.partition};
  if (value) {
    wire::OffsetCommitValue read;
    if (auto done = decode_value(arena, *value, read); !done) {
      return std::unexpected(done.error());
    }
    out.value = CommittedOffset{
        .offset = read.offset,
        .leader_epoch = read.leader_epoch,
        .metadata = std::string(read.metadata),
        .commit_timestamp_ms = read.commit_timestamp,
        .expire_timestamp_ms = read.expire_timestamp == -1 ? std::nullopt : std::optional(read.expire_timestamp),
        .topic_id = read.topic_id};
  }
  return out;
}

std::expected<ReadRecord, std::string> read_group(std::span<const std::byte> body,
                                                  std::optional<std::span<const std::byte>> value) {
  wire::Arena arena;
  wire::GroupMetadataKey key;
  if (auto done = decode_key(arena, body, key); !done) {
    return std::unexpected(done.error());
  }
  GroupRecord out{.group = std::string(key.group), .value = std::nullopt};
  if (!value) {
    return out;
  }
  wire::GroupMetadataValue read;
  if (auto done = decode_value(arena, *value, read); !done) {
    return std::unexpected(done.error());
  }
  if (!read.members.empty() && (!read.protocol || read.protocol_type.empty())) {
    return std::unexpected("GroupMetadataValue: members without a protocol");
  }
  std::vector<Member> members;
  std::set<std::string_view> ids;
  std::set<std::string_view> instances;
  for (const auto& one : read.members) {
    if (!ids.insert(one.member_id).second ||
        (one.group_instance_id && !instances.insert(*one.group_instance_id).second)) {
      return std::unexpected("GroupMetadataValue: two members with one id");
    }
    Member member{.id = std::string(one.member_id),
                  .instance_id = owned(one.group_instance_id),
                  .client_id = std::string(one.client_id),
                  .client_host = std::string(one.client_host),
                  .rebalance_timeout_ms = one.rebalance_timeout == -1 ? one.session_timeout : one.rebalance_timeout,
                  .session_timeout_ms = one.session_timeout,
                  .assignment = Blob(one.assignment.begin(), one.assignment.end())};
    member.protocols.push_back(
        {.name = std::string(*read.protocol), .metadata = Blob(one.subscription.begin(), one.subscription.end())});
    members.push_back(std::move(member));
  }
  out.value.emplace(out.group, read.generation,
                    read.protocol_type.empty() ? std::nullopt : std::optional<std::string>(read.protocol_type),
                    owned(read.protocol), owned(read.leader),
                    read.current_state_timestamp == -1 ? std::nullopt : std::optional(read.current_state_timestamp),
                    std::move(members));
  return out;
}

}  // namespace

LogRecord offset_record(std::string_view group, std::string_view topic, std::int32_t partition,
                        const CommittedOffset& offset) {
  const wire::OffsetCommitValue value{.offset = offset.offset,
                                      .leader_epoch = offset.leader_epoch,
                                      .metadata = offset.metadata,
                                      .commit_timestamp = offset.commit_timestamp_ms,
                                      .expire_timestamp = offset.expire_timestamp_ms.value_or(-1),
                                      .topic_id = offset.topic_id};
  return {.key = key_of(wire::OffsetCommitKey{.group = group, .topic = topic, .partition = partition}),
          .value = value_of(value, offset.expire_timestamp_ms ? kExpiringOffsetValueVersion : kOffsetValueVersion)};
}

LogRecord offset_tombstone(std::string_view group, std::string_view topic, std::int32_t partition) {
  return {.key = key_of(wire::OffsetCommitKey{.group = group, .topic = topic, .partition = partition}),
          .value = std::nullopt};
}

LogRecord group_record(const ClassicGroup& group) {
  std::vector<wire::GroupMetadataValue::MemberMetadata> members;
  members.reserve(group.members().size());
  for (const auto& [id, member] : group.members()) {
    VERDICT_ASSERT(group.protocol().has_value(), "members without a protocol");
    members.push_back({.member_id = id,
                       .group_instance_id = member.instance_id,
                       .client_id = member.client_id,
                       .client_host = member.client_host,
                       .rebalance_timeout = member.rebalance_timeout_ms,
                       .session_timeout = member.session_timeout_ms,
                       .subscription = member.metadata(*group.protocol()),
                       .assignment = member.assignment});
  }
  const wire::GroupMetadataValue value{
      .protocol_type = group.protocol_type() ? *group.protocol_type() : std::string_view{},
      .generation = group.generation(),
      .protocol = group.protocol(),
      .leader = group.leader(),
      .current_state_timestamp = group.state_timestamp_ms().value_or(-1),
      .members = members};
  return {.key = key_of(wire::GroupMetadataKey{.group = group.id()}), .value = value_of(value, kGroupValueVersion)};
}

LogRecord group_tombstone(std::string_view group) {
  return {.key = key_of(wire::GroupMetadataKey{.group = group}), .value = std::nullopt};
}

std::expected<ReadRecord, std::string> read_record(std::span<const std::byte> key,
                                                   std::optional<std::span<const std::byte>> value) {
  if (key.size() < 2) {
    return std::unexpected("a key of " + std::to_string(key.size()) + " bytes has no type");
  }
  const auto type = wire::load_big_endian<std::int16_t>(key.data());
  switch (type) {
    case kLegacyOffsetKey:  // the same fields
    case wire::OffsetCommitKey::api_key:
      return read_offset(key.subspan(2), value);
    case wire::GroupMetadataKey::api_key:
      return read_group(key.subspan(2), value);
    default:
      break;
  }
  if (!is_consumer_record(type)) {
    return OtherRecord{.type = type};
  }
  auto read = read_consumer_record(type, key.subspan(2), value);
  if (!read) {
    return std::unexpected(read.error());
  }
  return std::move(*read);
}

std::size_t batch_bytes(std::span<const LogRecord> records) {
  constexpr std::size_t kRecordOverhead = 26;  // five varints of at most 5 bytes, attributes
  std::size_t total = storage::kBatchHeaderSize;
  for (const LogRecord& record : records) {
    total += kRecordOverhead + record.key.size() + (record.value ? record.value->size() : 0);
  }
  return total;
}

}  // namespace verdict::group
