#include "protocol/metadata_records.h"

#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "protocol/metadata_image.h"
#include "protocol/wire/registry.h"

namespace verdict::protocol {
namespace {

struct Line {
  std::int64_t offset;
  std::vector<std::byte> value;
  std::string json;
};

// What Apache Kafka 4.1 wrote, beside what its own DumpLogSegments says of it.
std::vector<Line> kafka_records() {
  std::ifstream in(std::string(VERDICT_SOURCE_DIR) + "/tests/data/metadata/kafka_records.txt");
  std::vector<Line> out;
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    Line one;
    std::string hex;
    words >> one.offset >> hex >> std::ws;
    std::getline(words, one.json);
    one.value = wire::from_hex(hex).value();
    out.push_back(std::move(one));
  }
  return out;
}

TEST(MetadataRecords, ReadsAndWritesWhatKafkaWrote) {
  const auto lines = kafka_records();
  ASSERT_GT(lines.size(), 50U);
  for (const Line& line : lines) {
    const auto record = decode_record(line.value);
    ASSERT_TRUE(record) << record.error() << " " << line.json;
    EXPECT_EQ(encode_record(*record), line.value) << line.json;
    const auto theirs = nlohmann::json::parse(line.json);
    auto ours = nlohmann::json::parse(to_json(*record));
    EXPECT_EQ(ours["type"], theirs["type"]);
    EXPECT_EQ(ours["version"], theirs["version"]);
    for (const auto& [field, value] : ours["data"].items()) {  // Kafka leaves out tagged fields at their defaults
      const bool is_default = value.is_null() || value == 0 || (value.is_array() && value.empty());
      EXPECT_TRUE(theirs["data"].contains(field) ? theirs["data"][field] == value : is_default)
          << field << " of " << line.json;
    }
    EXPECT_GE(ours["data"].size(), theirs["data"].size());
  }
}

TEST(MetadataRecords, KafkasLogMakesAnImage) {
  MetadataImage image;
  for (const Line& line : kafka_records()) {
    const auto applied = image.apply(decode_record(line.value).value(), Offset(line.offset));
    ASSERT_TRUE(applied) << applied.error();
  }
  EXPECT_EQ(image.topics().size(), 10U);
  EXPECT_EQ(image.features().at("metadata.version"), kMetadataVersion);
  EXPECT_TRUE(image.active(NodeId(1)));
  EXPECT_EQ(image.leaderships(NodeId(1)), static_cast<std::int32_t>(image.partition_count()));
}

TEST(MetadataRecords, EveryTruncationIsRefused) {
  for (const Line& line : kafka_records()) {
    const auto whole = decode_record(line.value).value();
    if (std::holds_alternative<records::Other>(whole)) {
      continue;
    }
    for (std::size_t size = 0; size < line.value.size(); ++size) {
      EXPECT_FALSE(decode_record(std::span(line.value).first(size))) << size << " of " << line.json;
    }
  }
}

TEST(MetadataRecords, UnknownVersionsAndFramesAreErrors) {
  EXPECT_FALSE(decode_record(std::vector{std::byte{2}, std::byte{20}, std::byte{0}, std::byte{0}})) << "frame version";
  EXPECT_FALSE(decode_record(std::vector{std::byte{1}, std::byte{20}, std::byte{9}, std::byte{0}})) << "record version";
  const auto foreign = decode_record(std::vector{std::byte{1}, std::byte{100}, std::byte{0}, std::byte{0}});
  ASSERT_TRUE(foreign);
  EXPECT_TRUE(std::holds_alternative<records::Other>(*foreign));
}

TEST(MetadataImage, TellsWhatABatchTouched) {
  MetadataImage image;
  MetadataDelta delta;
  const PartitionKey key{{1, 1}, 0};
  ASSERT_TRUE(image.apply(records::Topic{"t", key.topic}, Offset(0), &delta));
  ASSERT_TRUE(
      image.apply(records::Partition{.key = key, .replicas = {NodeId(1)}, .isr = {NodeId(1)}, .leader = NodeId(1)},
                  Offset(1), &delta));
  EXPECT_EQ(delta.topics_created, std::set{key.topic});
  EXPECT_EQ(delta.partitions, std::set{key});
  EXPECT_EQ(image.leaderships(NodeId(1)), 1);
  delta.clear();
  ASSERT_TRUE(image.apply(records::PartitionChange{.key = key, .leader = kNoNode}, Offset(2), &delta));
  EXPECT_EQ(image.partition(key)->leader_epoch, LeaderEpoch(1));
  EXPECT_EQ(image.partition(key)->partition_epoch, PartitionEpoch(1));
  EXPECT_EQ(image.leaderships(NodeId(1)), 0);
  EXPECT_TRUE(image.leaderless().contains(key));
  ASSERT_TRUE(image.apply(records::RemoveTopic{key.topic}, Offset(3), &delta));
  EXPECT_TRUE(delta.partitions.empty());
  EXPECT_EQ(delta.topics_removed.at(key.topic).partitions, std::vector<std::int32_t>{0});
  EXPECT_TRUE(image.leaderless().empty());
  EXPECT_EQ(image.applied_to(), Offset(4));
}

TEST(MetadataImage, RecordsThatDontFitAreErrors) {
  MetadataImage image;
  const PartitionKey key{{1, 1}, 0};
  EXPECT_FALSE(image.apply(records::PartitionChange{.key = key}, Offset(0)));
  EXPECT_FALSE(image.apply(records::Partition{.key = key}, Offset(0)));
  EXPECT_FALSE(image.apply(records::RemoveTopic{key.topic}, Offset(0)));
  EXPECT_FALSE(image.apply(records::BrokerRegistrationChange{.broker = NodeId(1)}, Offset(0)));
  EXPECT_FALSE(image.apply(records::UnregisterBroker{.broker = NodeId(1)}, Offset(0)));
  ASSERT_TRUE(image.apply(records::Topic{"t", key.topic}, Offset(0)));
  EXPECT_FALSE(image.apply(records::Topic{"t", {2, 2}}, Offset(1)));
  EXPECT_EQ(image.applied_to(), Offset(1));
}

}  // namespace
}  // namespace verdict::protocol
