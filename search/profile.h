#pragma once

#include <cstdint>
#include <span>
#include <string_view>

// What a campaign draws its scenarios from, as data: bounds, weights and lists of values. profile.cpp holds the table.
namespace verdict::search {

struct Range {
  std::int64_t min = 0;
  std::int64_t max = 0;  // included
};

// A name and how often it is chosen among its list; 0: never.
struct Weight {
  std::string_view name;
  std::int32_t weight = 1;
};

// A configuration key and the values that are drawn for it.
struct Setting {
  std::string_view key;
  std::span<const std::string_view> values;
};

// Shares are in percent.
struct Profile {
  std::string_view name;
  std::string_view title;
  Range brokers;
  std::int32_t narrow = 0;  // share of runs with three brokers and one partition, most records in batches of their own
  std::int32_t combined = 0;  // share of runs in which broker 1 is the controller too
  Range topics;
  Range partitions;  // of the first topic; further ones have one or two
  Range run_ms;
  Range groups;  // fault patterns in a run
  Range producers;
  Range consumers;
  std::int32_t triggered = 45;               // share of single faults that come at an event, not at a uniform time
  std::int32_t enabled = 50;                 // swarm: share of runs that may use one action or operation
  std::int32_t setting = 25;                 // swarm: share of runs that set one key
  std::int32_t unclean = 0;                  // share of topics with unclean.leader.election.enable
  std::int32_t stays_down = 0;               // share of runs in which one broker that dies late never returns
  std::span<const Weight> actions;           // of single faults, and where a pattern leaves the choice open
  std::span<const Weight> patterns;          // see patterns.cpp
  std::span<const Weight> narrow_patterns;   // of narrow runs, one or two in each
  std::span<const Setting> cluster;          // server.properties
  std::span<const Setting> topic;            // topic configuration
  std::span<const std::string_view> fields;  // further paths of a scenario that vary: "network.latency_us"
  // What coordinators serve (coordinated.cpp).
  std::span<const Weight> loads;          // a run's: plain, transactions, zombies, groups, transforms; none: plain
  std::int32_t idempotent = 0;            // share of the producers with acks=all
  std::span<const Setting> coordinators;  // server.properties of runs that are not plain
  std::span<const Weight> transaction_patterns;  // of runs with transactions, beside the others
  std::span<const Weight> group_patterns;        // of runs with groups
};

std::span<const Profile> profiles();
const Profile* find_profile(std::string_view name);  // null: none
std::string_view default_profile();

}  // namespace verdict::search
