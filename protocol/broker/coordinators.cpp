#include "protocol/broker/coordinators.h"

#include <cstddef>
#include <limits>

#include "runtime/assert.h"

namespace verdict::broker {
namespace {

constexpr std::uint32_t kReplacement = 0xfffd;

struct Decoded {
  std::uint32_t code_point = kReplacement;
  std::size_t bytes = 1;
};

struct Range {
  unsigned low = 0x80;
  unsigned high = 0xbf;
  bool contains(unsigned byte) const { return byte >= low && byte <= high; }
};

// The first character. Of a broken sequence the longest part that could have begun a character becomes one U+FFFD, as
// Unicode (3.9, "maximal subparts") has it; but a surrogate is one too, as in Java.
Decoded decode_first(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return {.code_point = lead};
  if (lead < 0xc2 || lead > 0xf4) return {};
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  Range second;  // no overlong forms, nothing above U+10FFFF
  if (lead == 0xe0) second.low = 0xa0;
  if (lead == 0xf0) second.low = 0x90;
  if (lead == 0xf4) second.high = 0x8f;
  std::uint32_t code_point = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (i >= text.size() || !(i == 1 ? second : Range{}).contains(byte(i))) return {.bytes = i};
    code_point = code_point << 6U | (byte(i) & 0x3fU);
  }
  const bool surrogate = code_point >= 0xd800 && code_point < 0xe000;
  return {.code_point = surrogate ? kReplacement : code_point, .bytes = length};
}

}  // namespace

std::int32_t java_hash(std::string_view utf8) {
  std::uint32_t hash = 0;
  const auto add = [&hash](std::uint32_t unit) { hash = hash * 31 + unit; };
  while (!utf8.empty()) {
    const Decoded next = decode_first(utf8);
    utf8.remove_prefix(next.bytes);
    if (next.code_point < 0x10000) {
      add(next.code_point);
    } else {
      add(0xd800 + ((next.code_point - 0x10000) >> 10U));
      add(0xdc00 + ((next.code_point - 0x10000) & 0x3ffU));
    }
  }
  return static_cast<std::int32_t>(hash);
}

std::int32_t coordinator_partition(std::string_view key, std::int32_t partitions) {
  VERDICT_ASSERT(partitions > 0);
  const std::int32_t hash = java_hash(key);
  const bool no_opposite = hash == std::numeric_limits<std::int32_t>::min();  // Kafka takes 0 for it
  return (no_opposite ? 0 : hash < 0 ? -hash : hash) % partitions;
}

std::int32_t coordinator_partitions(CoordinatorType type, const protocol::MetadataImage& image,
                                    const protocol::BrokerConfig& config) {
  const protocol::TopicImage* topic = image.topic(coordinator_topic(type));
  if (topic != nullptr && !topic->partitions.empty()) return static_cast<std::int32_t>(topic->partitions.size());
  return static_cast<std::int32_t>(config.integer(
      type == CoordinatorType::group ? "offsets.topic.num.partitions" : "transaction.state.log.num.partitions"));
}

std::optional<PartitionKey> coordinator_of(CoordinatorType type, std::string_view key,
                                           const protocol::MetadataImage& image) {
  const protocol::TopicImage* topic = image.topic(coordinator_topic(type));
  if (topic == nullptr || topic->partitions.empty()) return std::nullopt;
  const auto partitions = static_cast<std::int32_t>(topic->partitions.size());
  return PartitionKey{.topic = topic->id, .index = coordinator_partition(key, partitions)};
}

std::optional<InternalTopicSettings> internal_topic_settings(std::string_view topic,
                                                             const protocol::BrokerConfig& config) {
  const auto settings = [&config](std::string_view partitions, std::string_view factor) {
    return InternalTopicSettings{.partitions = static_cast<std::int32_t>(config.integer(partitions)),
                                 .replication_factor = static_cast<std::int16_t>(config.integer(factor))};
  };
  if (topic == kOffsetsTopic) {
    auto out = settings("offsets.topic.num.partitions", "offsets.topic.replication.factor");
    out.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "producer"},
                   {"segment.bytes", config.text("offsets.topic.segment.bytes")}};
    return out;
  }
  if (topic == kTransactionsTopic) {
    auto out = settings("transaction.state.log.num.partitions", "transaction.state.log.replication.factor");
    out.configs = {{"cleanup.policy", "compact"},
                   {"compression.type", "uncompressed"},
                   {"min.insync.replicas", config.text("transaction.state.log.min.isr")},
                   {"segment.bytes", config.text("transaction.state.log.segment.bytes")},
                   {"unclean.leader.election.enable", "false"}};
    return out;
  }
  return std::nullopt;
}

}  // namespace verdict::broker
