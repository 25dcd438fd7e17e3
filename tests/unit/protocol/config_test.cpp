#include <gtest/gtest.h>

#include <random>

#include "protocol/config_keys.h"
#include "protocol/config_text.h"
#include "protocol/config_values.h"

namespace verdict::protocol {
namespace {

using Pairs = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view kCombined = R"(# one node
process.roles=broker,controller
node.id = 1
controller.quorum.voters: 1@localhost:9093
listeners=PLAINTEXT://:9092,\
          CONTROLLER://localhost:9093
advertised.listeners=PLAINTEXT://localhost:9092
controller.listener.names=CONTROLLER
log.dirs=/a, /b
log.retention.minutes=2
num.io.threads=8
)";

std::string problems_of(std::string_view text, const Pairs& overrides = {}) {
  const auto parsed = BrokerConfig::parse(text, "s.properties", overrides, "--override");
  if (parsed) {
    return "";
  }
  std::string out;
  for (const auto& problem : parsed.error()) {
    out += problem.text + "\n";
  }
  return out;
}

TEST(ServerProperties, AreReadAsJavaReadsThem) {
  const auto loaded = BrokerConfig::parse(kCombined, "s.properties");
  ASSERT_TRUE(loaded) << problems_of(kCombined);
  const BrokerConfig& config = loaded->config;
  EXPECT_EQ(config.node_id(), NodeId(1));
  EXPECT_TRUE(config.is_broker() && config.is_controller());
  EXPECT_EQ(config.log_dirs(), (std::vector<std::string>{"/a", "/b"}));
  ASSERT_EQ(config.listeners().size(), 2U);
  EXPECT_EQ(config.listeners()[0].host, "");
  ASSERT_EQ(config.controller_listeners().size(), 1U);
  EXPECT_EQ(config.controller_listeners()[0].port, 9093);
  ASSERT_EQ(config.advertised_listeners().size(), 1U);
  EXPECT_EQ(config.quorum_voters()[0].host, "localhost");
  EXPECT_EQ(config.integer("log.segment.bytes"), 1073741824);
  ASSERT_EQ(loaded->warnings.size(), 1U);
  EXPECT_EQ(loaded->warnings[0],
            "s.properties:11: num.io.threads is a property of Kafka that this build doesn't implement; ignored");
}

TEST(ServerProperties, OverridesWin) {
  const auto loaded =
      BrokerConfig::parse(kCombined, "f", Pairs{{"num.partitions", "7"}, {"log.dirs", "/c"}}, "--override");
  ASSERT_TRUE(loaded);
  EXPECT_EQ(loaded->config.integer("num.partitions"), 7);
  EXPECT_EQ(loaded->config.log_dirs(), std::vector<std::string>{"/c"});
}

TEST(ServerProperties, ProblemsNameFileLineKeyValueAndWhatIsAllowed) {
  EXPECT_EQ(problems_of(std::string(kCombined) + "no.such.key=5\n"),
            "s.properties:12: unknown property no.such.key=5: allowed are Kafka's broker and controller properties\n");
  EXPECT_EQ(problems_of(std::string(kCombined) + "num.partitions=0\n"),
            "s.properties:12: Invalid value 0 for configuration num.partitions: Value must be at least 1 (allowed: a "
            "number, at least 1)\n");
  EXPECT_EQ(
      problems_of(std::string(kCombined) + "process.roles=king\n"),
      "s.properties:12: Invalid value king for configuration process.roles: String must be one of: broker, controller "
      "(allowed: any of broker, controller)\n");
  EXPECT_EQ(
      problems_of(kCombined, {{"log.preallocate", "maybe"}}),
      "--override: Invalid value maybe for configuration log.preallocate: Expected value to be either true or false "
      "(allowed: true or false)\n");
  EXPECT_NE(problems_of(kCombined, {{"listeners", "PLAINTEXT://x"}}).find("'PLAINTEXT://x' is no listener"),
            std::string::npos);
  EXPECT_NE(problems_of(kCombined, {{"controller.quorum.voters", "1@:9"}}).find("is no voter"), std::string::npos);
  EXPECT_NE(
      problems_of(kCombined, {{"listeners", "SSL://:1,CONTROLLER://:2"}}).find("doesn't speak (allowed: PLAINTEXT)"),
      std::string::npos);
  EXPECT_NE(problems_of(kCombined, {{"node.id", "4"}}).find("must be among controller.quorum.voters=1@localhost:9093"),
            std::string::npos);
  EXPECT_NE(problems_of("").find("process.roles is missing"), std::string::npos);
  EXPECT_NE(problems_of("a=\\u12").find("s.properties:1: malformed escape"), std::string::npos);
}

TEST(ServerProperties, GarbageNeverCrashes) {
  std::minstd_rand random(1);
  const std::string seed(kCombined);
  for (int round = 0; round < 2000; ++round) {
    std::string text = seed;
    for (int i = 0; i < 4; ++i) {
      text[random() % text.size()] = static_cast<char>(random());
    }
    (void)BrokerConfig::parse(text.substr(0, random() % text.size()), "f");
  }
}

TEST(Environment, BecomesProperties) {
  const Pairs in{{"PATH", "/bin"}, {"KAFKA_NODE_ID", "3"}, {"KAFKA_HEAP_OPTS", "-Xmx1G"}, {"KAFKA_A__B___C", "x"}};
  EXPECT_EQ(properties_of_environment(in), (Pairs{{"node.id", "3"}, {"a-b_c", "x"}}));
}

struct ValuesTest : testing::Test {
  void set(ConfigResourceType type, std::string name, std::string key, std::string value) {
    ASSERT_TRUE(
        image.apply(records::Config{{type, std::move(name)}, std::move(key), std::move(value)}, image.applied_to()));
  }
  ConfigEntry entry(std::string_view key) {
    return ConfigView(fixed, image, NodeId(1)).topic_entry("t", *find_topic_key(key));
  }
  BrokerConfig fixed;
  MetadataImage image;
};

TEST_F(ValuesTest, TopicThenBrokerThenClusterThenFileThenDefault) {
  const auto expect = [&](std::string_view value, ConfigSource source, std::size_t synonyms) {
    const auto now = entry("min.insync.replicas");
    EXPECT_EQ(now.value, value);
    EXPECT_EQ(now.source, source);
    EXPECT_EQ(now.synonyms.size(), synonyms);
  };
  expect("1", ConfigSource::default_value, 1);
  ASSERT_TRUE(fixed.set("min.insync.replicas", "2"));
  expect("2", ConfigSource::static_broker, 2);
  set(ConfigResourceType::broker, "", "min.insync.replicas", "3");
  expect("3", ConfigSource::dynamic_default_broker, 3);
  set(ConfigResourceType::broker, "1", "min.insync.replicas", "4");
  expect("4", ConfigSource::dynamic_broker, 4);
  set(ConfigResourceType::topic, "t", "min.insync.replicas", "5");
  expect("5", ConfigSource::dynamic_topic, 5);
  EXPECT_EQ(topic_config(ConfigView(fixed, image, NodeId(1)), "t").min_insync_replicas, 5);
  EXPECT_EQ(topic_config(ConfigView(fixed, image, NodeId(2)), "u").min_insync_replicas, 3);
}

TEST_F(ValuesTest, CoarserUnitsAreSynonyms) {
  EXPECT_EQ(entry("retention.ms").value, "604800000");
  ASSERT_TRUE(fixed.set("log.retention.hours", "1"));
  EXPECT_EQ(entry("retention.ms").value, "3600000");
  ASSERT_TRUE(fixed.set("log.retention.minutes", "1"));
  EXPECT_EQ(entry("retention.ms").value, "60000");
  ASSERT_TRUE(fixed.set("log.retention.ms", "-1"));
  EXPECT_EQ(entry("retention.ms").value, "-1");
}

TEST_F(ValuesTest, DefaultsOfTopicsAreKafkas) {
  const TopicConfig config = topic_config(ConfigView(fixed, image, NodeId(1)), "t");
  EXPECT_EQ(config.segment_ms, 604800000);
  EXPECT_EQ(config.flush_ms, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(config.max_message_bytes, 1048588);
  EXPECT_TRUE(config.cleanup_delete);
  EXPECT_FALSE(config.cleanup_compact || config.log_append_time || config.unclean_leader_election ||
               config.preallocate);
  EXPECT_EQ(config.compression_type, "producer");
  for (const ConfigKey& key : topic_keys()) {
    if (key.fallback) {
      EXPECT_EQ(entry(key.name).value, *key.fallback) << key.name;
      EXPECT_TRUE(check_value(key, *key.fallback)) << key.name;
    }
  }
  for (const ConfigKey& key : broker_keys()) {
    if (key.fallback) {
      EXPECT_TRUE(check_value(key, *key.fallback)) << key.name;
    }
  }
}

TEST(ConfigValues, NumbersWithAFraction) {
  const ConfigKey& ratio = *find_topic_key("min.cleanable.dirty.ratio");
  for (const std::string_view good : {"0", "0.5", "1", "1e-3"}) EXPECT_TRUE(check_value(ratio, good)) << good;
  for (const std::string_view bad : {"-0.1", "1.5", "half", "", "nan", "0.5x"}) EXPECT_FALSE(check_value(ratio, bad));
  EXPECT_EQ(check_value(ratio, "2").error(),
            "Invalid value 2 for configuration min.cleanable.dirty.ratio: Value must be no more than 1");
  EXPECT_EQ(check_value(ratio, "half").error(),
            "Invalid value half for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE");
}

}  // namespace
}  // namespace verdict::protocol
