#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "scenarios/catalogue.h"
#include "scenarios/runner.h"
#include "scenarios/scenario.h"

namespace verdict::scenarios {
namespace {

using Json = nlohmann::json;

Scenario minimal() { return *parse_scenario(R"({"version":1,"name":"a"})"); }

TEST(Format, LibraryParsesValidatesAndRoundTrips) {
  ASSERT_GE(library().size(), 30U);
  std::map<std::string, std::string> expectations;
  for (const LibraryEntry& entry : library()) {
    const auto scenario = parse_scenario(entry.json);
    ASSERT_TRUE(scenario.has_value()) << entry.name << ": " << scenario.error().text();
    EXPECT_EQ(scenario->name, entry.name);
    EXPECT_FALSE(scenario->title.empty()) << entry.name;
    const auto valid = validate(*scenario);
    EXPECT_TRUE(valid.has_value()) << entry.name << ": " << valid.error().text();
    const auto again = parse_scenario(to_json(*scenario));
    ASSERT_TRUE(again.has_value()) << entry.name << ": " << again.error().text();
    EXPECT_EQ(*again, *scenario) << entry.name;
    Scenario only;
    only.name = "x";
    only.expect = scenario->expect;
    const auto [twin, fresh] = expectations.emplace(to_json(only), entry.name);
    EXPECT_TRUE(fresh) << entry.name << " and " << twin->second << " expect the same";
  }
}

struct Bad {
  const char* json;
  const char* path;
  const char* allowed;  // a part of it
};

TEST(Format, BadScenariosNamePathAndWhatIsAllowed) {
  const Bad cases[] = {
      {R"j([])j", "$", "an object"},
      {R"j({"version":1,"name":"a","nope":1})j", "$.nope", "no such field"},
      {R"j({"version":2,"name":"a"})j", "$.version", "1, the newest that this build knows"},
      {R"j({"version":0,"name":"a"})j", "$.version", "between 1 and 1"},
      {R"j({"version":1})j", "$.name", "required"},
      {R"j({"version":1,"name":"A b"})j", "$.name", "lower-case"},
      {R"j({"version":1,"name":"a","cluster":{"brokers":0}})j", "$.cluster.brokers", "between 1 and 9"},
      {R"j({"version":1,"name":"a","cluster":{"brokers":"3"}})j", "$.cluster.brokers", "an integer"},
      {R"j({"version":1,"name":"a","cluster":{"config":{"k":[1]}}})j", "$.cluster.config[k]", "a string"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"acks":"2"}]}})j", "$.workload.producers[0].acks",
       "one of all, 1, 0"},
      {R"j({"version":1,"name":"a","seeds":"9..1"})j", "$.seeds", "range"},
      {R"j({"version":1,"name":"a","seeds":-1})j", "$.seeds", "range"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","target":"broker(1)"}]})j", "$.faults[0]", "exactly one"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1}]})j", "$.faults[0].target", "needs it"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"broker(1)","ppm":3}]})j",
       "$.faults[0].ppm", "no such field"},
      {R"j({"version":1,"name":"a","faults":[{"action":"burn","at_ms":1}]})j", "$.faults[0].action", "one of kill"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"broker(1)","when":{"event":"x"}}]})j",
       "$.faults[0]", "exactly one"},
      {R"j({"version":1,"name":"a","expect":{"events":[{"event":"x","match":{"f":[1]}}]}})j",
       "$.expect.events[0].match.f", "an integer"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"transactional":true,"acks":"1"}]}})j",
       "$.workload.producers[0].acks", "idempotent"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{},{"idempotent":true,"in_flight":6}]}})j",
       "$.workload.producers[1].in_flight", "at most 5"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"idempotent":true,"retries":0}]}})j",
       "$.workload.producers[0].retries", "1 or more"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"transactional":true,"source":"orders"}]}})j",
       "$.workload.producers[0].group", "source"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"source":"orders","group":"g"}]}})j",
       "$.workload.producers[0].source", "transactional"},
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"isolation":"serializable"}]}})j",
       "$.workload.consumers[0].isolation", "read_committed"},
      {R"j({"version":1,"name":"a")j", "$", "JSON"},
      {R"j({"version":1,"name":"a","phases":{"run_ms":99999999999999999999}})j", "$.phases.run_ms", "an integer"},
  };
  for (const Bad& bad : cases) {
    const auto parsed = parse_scenario(bad.json);
    ASSERT_FALSE(parsed.has_value()) << bad.json;
    EXPECT_EQ(parsed.error().path, bad.path) << bad.json;
    EXPECT_NE(parsed.error().allowed.find(bad.allowed), std::string::npos) << parsed.error().text();
  }
  EXPECT_FALSE(parse_scenario(std::string(100'000, '[')).has_value());
}

void expect_invalid(std::span<const Bad> cases) {
  for (const Bad& bad : cases) {
    const auto parsed = parse_scenario(bad.json);
    ASSERT_TRUE(parsed.has_value()) << bad.json << parsed.error().text();
    const auto valid = validate(*parsed);
    ASSERT_FALSE(valid.has_value()) << bad.json;
    EXPECT_EQ(valid.error().path, bad.path) << bad.json;
    EXPECT_NE(valid.error().allowed.find(bad.allowed), std::string::npos) << valid.error().text();
  }
}

TEST(Format, ValidationNamesWhatParsingCannotSee) {
  const Bad cases[] = {
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"broker(4)"}]})j",
       "$.faults[0].target", "broker(1) to broker(3)"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"leader(nope-0)"}]})j",
       "$.faults[0].target", "topics"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"coordinator(g)"}]})j",
       "$.faults[0].target", "a group of the workload"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"transaction_coordinator(txn-2)"}],)j"
       R"j("workload":{"producers":[{"transactional":true}]}})j",
       "$.faults[0].target", "a transactional id of the workload"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"coordinator()"}]})j",
       "$.faults[0].target", "coordinator(GROUP)"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"client(9)"}]})j",
       "$.faults[0].target", "a client of the workload"},
      {R"j({"version":1,"name":"a","faults":[{"action":"power_loss","at_ms":1,"target":"client(1)"}]})j",
       "$.faults[0].target", "clients are killed"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","at_ms":1,"target":"of(x)"}]})j", "$.faults[0].target",
       "id of a fault"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","target":"node","when":{"event":"no_event"}}]})j",
       "$.faults[0].when.event", "log_opened"},
      {R"j({"version":1,"name":"a","faults":[{"action":"kill","target":"node",)j"
       R"j("when":{"event":"log_opened","match":{"isr":1}}}]})j",
       "$.faults[0].when.match.isr", "log_end"},
      {R"j({"version":1,"name":"a","faults":[{"action":"message","at_ms":1,"api":"Nope"}]})j", "$.faults[0].api",
       "Kafka"},
      {R"j({"version":1,"name":"a","expect":{"marks":["nope"]}})j", "$.expect.marks[0]", "a mark"},
      {R"j({"version":1,"name":"a","expect":{"faults":["nope"]}})j", "$.expect.faults[0]", "a fault"},
      {R"j({"version":1,"name":"a","defects":["nope"]})j", "$.defects[0]", "a defect"},
      {R"j({"version":1,"name":"a","cluster":{"config":{"no.such.key":1}}})j", "$.cluster.config[no.such.key]",
       "broker configuration key"},
      {R"j({"version":1,"name":"a","cluster":{"features":{"no.such.feature":1}}})j",
       "$.cluster.features[no.such.feature]", "a feature"},
      {R"j({"version":1,"name":"a","cluster":{"features":{"transaction.version":3}}})j",
       "$.cluster.features[transaction.version]", "0 to 2"},
      {R"j({"version":1,"name":"a","topics":[{"name":"t","config":{"min.insync.replicas":0}}]})j",
       "$.topics[0].config[min.insync.replicas]", "1"},
      {R"j({"version":1,"name":"a","topics":[{"name":"t","replication_factor":5}]})j", "$.topics[0].replication_factor",
       "at most"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"topic":"t"}]}})j", "$.workload.producers[0].topic",
       "topics"},
  };
  expect_invalid(cases);
}

TEST(Format, ValidationKnowsWhoMayBeAMember) {
  const Bad cases[] = {
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"instance":"one"}]}})j",
       "$.workload.consumers[0].instance", "a member of a group"},
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"group":"g"},{"group":"g","assignor":"roundrobin"}]}})j",
       "$.workload.consumers[1].assignor", "range, as others of its group"},
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"group":"g"},{"group":"g","protocol":"consumer"}]}})j",
       "$.workload.consumers[1].protocol", "classic, as others of its group"},
      {R"j({"version":1,"name":"a","workload":{"producers":[{"transactional":true,"protocol":"consumer"}]}})j",
       "$.workload.producers[0].protocol", "a member of a group"},
      {R"j({"version":1,"name":"a","workload":{"producers":[)j"
       R"j({"transactional":true,"source":"orders","group":"g","protocol":"consumer"}],"consumers":[{"group":"g"}]}})j",
       "$.workload.consumers[0].protocol", "consumer, as others of its group"},
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"group":"g","remote_assignor":"range"}]}})j",
       "$.workload.consumers[0].remote_assignor", "a member of protocol consumer"},
      {R"j({"version":1,"name":"a","workload":{"consumers":[{"protocol":"consumer"}]}})j",
       "$.workload.consumers[0].protocol", "a member of a group"},
      {R"j({"version":1,"name":"a","workload":{"consumers":)j"
       R"j([{"group":"g","protocol":"consumer","assignor":"roundrobin"}]}})j",
       "$.workload.consumers[0].assignor", "the coordinator assigns"},
      {R"j({"version":1,"name":"a","workload":{"consumers":)j"
       R"j([{"group":"g","protocol":"consumer","session_timeout_ms":900}]}})j",
       "$.workload.consumers[0].session_timeout_ms", "group.consumer.session.timeout.ms"},
  };
  expect_invalid(cases);
}

TEST(Format, SettingsChangeOneField) {
  Scenario scenario = *library_scenario("leader-crash-acks-all");
  EXPECT_EQ(with_setting(scenario, "phases.run_ms=77")->phases.run_ms, 77);
  EXPECT_EQ(with_setting(scenario, "faults[0].at_ms=5")->faults[0].at_ms, 5);
  EXPECT_EQ(with_setting(scenario, "cluster.config[broker.session.timeout.ms]=900")
                ->cluster.config.at("broker.session.timeout.ms"),
            "900");
  EXPECT_EQ(with_setting(scenario, "name=other")->name, "other");
  EXPECT_EQ(with_setting(scenario, "phases.nope=1").error().path, "$.phases.nope");
  EXPECT_FALSE(with_setting(scenario, "faults[9].at_ms=5").has_value());
  EXPECT_FALSE(with_setting(scenario, "nothing").has_value());
}

// The schema speaks of the same fields as the parser: whatever it names parses somewhere, whatever it doesn't is
// refused.
TEST(Format, SchemaNamesTheParsersFields) {
  const Json schema = Json::parse(scenario_schema());
  EXPECT_EQ(schema["additionalProperties"], false);
  const Json written = Json::parse(to_json(*library_scenario("torn-write")));
  for (const auto& [name, value] : written.items()) EXPECT_TRUE(schema["properties"].contains(name)) << name;
  for (const auto& [name, member] : schema["properties"].items()) {
    Json probe{{"version", 1}, {"name", "a"}};
    probe[name] = Json::array({nullptr});
    const auto parsed = parse_scenario(probe.dump());
    if (!parsed) EXPECT_EQ(parsed.error().allowed.find("no such field"), std::string::npos) << name;
    EXPECT_TRUE(member.contains("description")) << name;
  }
  const Json& fault = schema["properties"]["faults"]["items"]["properties"];
  for (const char* field : {"action", "at_ms", "when", "target", "restart_ms", "policy", "topic"})
    EXPECT_TRUE(fault.contains(field)) << field;
}

TEST(Format, DefaultsAreResolved) {
  const Scenario scenario = resolve(minimal());
  ASSERT_EQ(scenario.topics.size(), 1U);
  EXPECT_GE(scenario.topics[0].partitions, 3);
  EXPECT_GE(scenario.workload.producers.size(), 2U);
  EXPECT_EQ(resolve(scenario), scenario);
}

TEST(Catalogue, EveryDefectIsListedOnceWithAcceptedInvariants) {
  ASSERT_EQ(defects().size(), kDefectCount);
  for (const DefectEntry& entry : defects()) {
    EXPECT_EQ(entry.id, name_of(entry.defect));
    EXPECT_FALSE(entry.accepted.empty());
  }
  EXPECT_FALSE(find_defect_entry("nope").has_value());
}

}  // namespace
}  // namespace verdict::scenarios
