#include "protocol/broker/coordinators.h"

#include <gtest/gtest.h>

#include <limits>
#include <string_view>
#include <utility>

#include "protocol/java_order.h"

// The numbers are Java's: new String(bytes, UTF_8).hashCode().
namespace verdict::broker {
namespace {

TEST(Coordinators, HashesAreThoseOfJava) {
  const std::pair<std::string_view, std::int32_t> texts[] = {
      {"", 0},
      {"g", 103},
      {"console-consumer-1", 35782224},
      {"polygne", -397519598},
      {"polygenelubricants", std::numeric_limits<std::int32_t>::min()},
      {"\xc3\xa9", 233},
      {"\xe2\x82\xac", 8364},
      {"\xf0\x9f\x98\x80", 1772899},  // a surrogate pair
      {"a\xf0\x9f\x98\x80\xc3\xa9\x62", 1793344797},
  };
  for (const auto& [text, hash] : texts) EXPECT_EQ(protocol::java_hash(text), hash) << text;
}

TEST(Coordinators, WhatIsNoUtf8IsReplacedAsJavaDoesIt) {
  const std::pair<std::string_view, std::int32_t> bytes[] = {
      {"\xc0\xaf", 2097056},             // overlong: two
      {"\x80", 65533},                   // a continuation without a beginning
      {"\xe2\x82", 65533},               // cut off: one
      {"\xf0\x9f\x98", 65533},           // the same
      {"\xed\xa0\x80", 65533},           // a surrogate: Java says one
      {"\xf4\x90\x80\x80", 2017367872},  // above U+10FFFF: four
      {"\xe2\x82\x41", 2031588},         // cut off by a letter
      {"\xf0\x9f\x41", 2031588},         // the same
      {"\xc3", 65533},                   //
      {"\xff\x61\xfe", 63045753},        // never a byte of UTF-8
      {"\xe0\x80\x9f", 65074269},        // overlong
  };
  for (const auto& [text, hash] : bytes) EXPECT_EQ(protocol::java_hash(text), hash) << testing::PrintToString(text);
}

TEST(Coordinators, APartitionIsTheHashWithoutItsSign) {
  EXPECT_EQ(coordinator_partition("g", 50), 3);
  EXPECT_EQ(coordinator_partition("polygne", 50), 48);
  EXPECT_EQ(coordinator_partition("polygenelubricants", 50), 0);  // the one hash that has no opposite
  EXPECT_EQ(coordinator_partition("polygenelubricants", 7), 0);
  EXPECT_EQ(coordinator_partition("", 50), 0);
}

TEST(Coordinators, TheTopicSaysHowManyPartitionsThereAre) {
  protocol::BrokerConfig config;
  protocol::MetadataImage image;
  EXPECT_EQ(coordinator_partitions(CoordinatorType::group, image, config), 50);
  EXPECT_EQ(coordinator_of(CoordinatorType::group, "g", image), std::nullopt);
  const Uuid id{1, 2};
  ASSERT_TRUE(image.apply(protocol::records::Topic{.name = std::string(kOffsetsTopic), .id = id}, Offset(0)));
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(image.apply(protocol::records::Partition{.key = {id, i}, .replicas = {NodeId(1)}}, Offset(1 + i)));
  }
  EXPECT_EQ(coordinator_partitions(CoordinatorType::group, image, config), 4);
  EXPECT_EQ(coordinator_partitions(CoordinatorType::transaction, image, config), 50);
  EXPECT_EQ(coordinator_of(CoordinatorType::group, "g", image), (PartitionKey{id, 103 % 4}));
}

}  // namespace
}  // namespace verdict::broker
