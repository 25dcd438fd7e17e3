// The cluster, its topics, clients and machines of a drawn scenario, and the swarm: what a run may use at all.
#include "search/generator.h"

#include <rapidcheck/Gen.h>
#include <rapidcheck/Random.h>
#include <rapidcheck/gen/Exec.h>
#include <rapidcheck/gen/Transform.h>

#include <algorithm>
#include <charconv>

#include "search/conditions.h"
#include "search/maker.h"

namespace verdict::search {
namespace {

constexpr std::int32_t kOften = 75;  // share of runs that set the time-outs which elections and shrinks wait for

// Share of runs in which a partition outlasts what TCP bears (the machine room's stream_timeout, 5 s).
constexpr std::int32_t kLongCut = 2;
constexpr std::int64_t kLongCutMs = 6'000;
constexpr std::int32_t kCoordinated = 70;  // share of patterns that are about coordinators, in runs that have them

// Kafka's defaults.
constexpr std::int64_t kSocketTimeoutMs = 30'000;
constexpr std::int64_t kFetchResponseBytes = 10'485'760;

constexpr Range kBurst{1, 6};
constexpr Range kIntervalUs{4'000, 25'000};

}  // namespace

bool Maker::varies(std::string_view field) const {
  return std::ranges::find(profile_.fields, field) != profile_.fields.end() && share(profile_.setting);
}

std::int64_t Maker::effective(std::string_view key, std::int64_t otherwise) const {
  const auto found = scenario_.cluster.config.find(std::string(key));
  std::int64_t value = otherwise;
  if (found != scenario_.cluster.config.end())
    std::from_chars(found->second.data(), found->second.data() + found->second.size(), value);
  return value;
}

void Maker::cluster() {
  scenarios::ClusterSpec& cluster = scenario_.cluster;
  cluster.brokers = narrow_ ? 3 : static_cast<std::int32_t>(within(profile_.brokers));
  cluster.combined = share(profile_.combined);
  for (const Setting& setting : profile_.cluster) {
    const bool often = setting.key == "broker.session.timeout.ms" || setting.key == "replica.lag.time.max.ms" ||
                       (narrow_ && setting.key == "leader.imbalance.check.interval.seconds");
    // A narrow run has several elections in it, by sessions that end soon, and messages that outlive them.
    const bool short_session = narrow_ && setting.key == "broker.session.timeout.ms";
    const bool patient = narrow_ && setting.key == "replica.socket.timeout.ms" && share(50);
    if (short_session) {
      cluster.config[std::string(setting.key)] = one_of(setting.values.first(3));
    } else if (patient) {
      cluster.config[std::string(setting.key)] = setting.values.back();
    } else if (share(often ? kOften : profile_.setting))
      cluster.config[std::string(setting.key)] = one_of(setting.values);
  }
  if (varies("cluster.clock_offset_ms")) cluster.clock_offset_ms = static_cast<std::int32_t>(within(1, 60'000));
  if (varies("cluster.clock_drift_ppm")) cluster.clock_drift_ppm = static_cast<std::int32_t>(within(1, 100'000));
  // With a combined controller broker 1's disk holds the only metadata log.
  damaged_ = static_cast<std::int32_t>(within(cluster.combined ? 2 : 1, cluster.brokers));
}

scenarios::TopicSpec Maker::topic(const std::string& name, std::int64_t partitions) {
  scenarios::TopicSpec topic;
  topic.name = name;
  const std::int32_t brokers = scenario_.cluster.brokers;
  std::int64_t replicas = std::min(3, brokers);
  if (!narrow_ && share(20)) replicas = within(1, brokers);
  topic.partitions = static_cast<std::int32_t>(partitions);
  topic.replication_factor = static_cast<std::int32_t>(replicas);
  const std::int64_t first = within(0, brokers - 1);
  for (std::int64_t p = 0; p < partitions; ++p) {
    std::vector<std::int32_t>& assigned = topic.assignment.emplace_back();
    for (std::int64_t r = 0; r < replicas; ++r)
      assigned.push_back(static_cast<std::int32_t>((first + p + r) % brokers) + 1);
  }
  std::int64_t min_isr = 1;
  if (replicas > 1 && share(narrow_ ? 30 : 60)) min_isr = within(2, replicas);
  topic.config["min.insync.replicas"] = std::to_string(min_isr);
  for (const Setting& setting : profile_.topic) {
    const bool often = setting.key == "internal.segment.bytes";
    if (share(often ? 50 : profile_.setting)) topic.config[std::string(setting.key)] = one_of(setting.values);
  }
  if (share(profile_.unclean)) topic.config["unclean.leader.election.enable"] = "true";
  return topic;
}

void Maker::topics() {
  constexpr const char* kNames[] = {"orders", "payments", "audit"};
  const std::int64_t drawn = narrow_ ? 1 : within(profile_.topics);
  const std::int64_t count = load_ == "transforms" ? std::max<std::int64_t>(drawn, 2) : drawn;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t partitions = narrow_ ? 1 : i == 0 ? within(profile_.partitions) : within(1, 2);
    scenario_.topics.push_back(topic(kNames[i], partitions));
    for (std::int64_t p = 0; p < partitions; ++p)
      partitions_.push_back(std::string(kNames[i]) + "-" + std::to_string(p));
  }
  if (coordinated()) coordinator_settings();
  focus_ = partitions_[static_cast<std::size_t>(within(0, static_cast<std::int64_t>(partitions_.size()) - 1))];
}

// Each has a number of its own, so that faults can name it and one that comes later moves nobody's place.
void Maker::add_producer(ProducerSpec load) {
  load.client = ++clients_;
  scenario_.workload.producers.push_back(std::move(load));
}

void Maker::add_consumer(scenarios::ConsumerSpec reader) {
  reader.client = ++clients_;
  scenario_.workload.consumers.push_back(std::move(reader));
}

Maker::ProducerSpec Maker::producer(const std::string& name, std::size_t number) {
  ProducerSpec load;
  load.topic = name;
  if (number > 0 && share(40)) load.acks = "1";
  if (number > 1 && share(30)) load.acks = "0";
  load.burst = static_cast<std::int32_t>(within(kBurst));
  load.interval_us = within(kIntervalUs);
  // Two producers stay pipelined, so that several batches are in flight at every election.
  if (number > 1 || share(10)) load.in_flight = static_cast<std::int32_t>(within(1, 8));
  if (varies("workload.producers.linger_us")) load.linger_us = within(1, 8'000);
  if (varies("workload.producers.batch_bytes")) load.batch_bytes = static_cast<std::int32_t>(within(100, 4'000));
  if (narrow_ && share(70)) {  // logs part between any two records
    load.batch_bytes = kOneRecord;
    load.burst = static_cast<std::int32_t>(within(1, 2));
    load.interval_us = share(70) ? within(6'000, 20'000) : within(40'000, 150'000);
  }
  if (varies("workload.producers.value_bytes")) load.value_bytes = static_cast<std::int32_t>(within(16, 600));
  if (varies("workload.producers.compression")) load.compression = share(50) ? "lz4" : "zstd";
  if (number > 0 && share(25)) load.retries = static_cast<std::int32_t>(within(0, 2));
  if (load.acks == "all" && share(profile_.idempotent)) {
    load.idempotent = true;
    load.in_flight = std::min(load.in_flight, 5);
    load.retries = std::max(load.retries, 1);
  }
  return load;
}

void Maker::clients() {
  scenarios::WorkloadSpec& load = scenario_.workload;
  const std::string first = scenario_.topics.front().name;
  const auto some_topic = [this] {
    const std::int64_t last = static_cast<std::int64_t>(scenario_.topics.size()) - 1;
    return scenario_.topics[static_cast<std::size_t>(within(0, last))].name;
  };
  const auto producers = narrow_ ? std::size_t{2} : static_cast<std::size_t>(within(profile_.producers));
  for (std::size_t i = 0; i < producers; ++i) add_producer(producer(i < 2 ? first : some_topic(), i));
  for (std::size_t t = 1; t < scenario_.topics.size(); ++t) {
    const std::string& name = scenario_.topics[t].name;
    if (std::ranges::find(load.producers, name, &ProducerSpec::topic) == load.producers.end())
      add_producer(producer(name, t));
  }
  const std::int64_t consumers = narrow_ ? 1 : within(profile_.consumers);
  for (std::int64_t i = 0; i < consumers; ++i) {
    scenarios::ConsumerSpec reader;
    reader.topic = i == 0 ? first : some_topic();
    if (varies("workload.consumers.seek_one_in")) reader.seek_one_in = static_cast<std::int32_t>(within(5, 40));
    if (varies("workload.consumers.poll_interval_ms")) reader.poll_interval_ms = within(5, 100);
    if (varies("workload.consumers.isolation")) reader.isolation = "read_committed";
    add_consumer(reader);
  }
  load.request_timeout_ms = one_of({500, 1000, 2000});
  load.delivery_timeout_ms = 4 * load.request_timeout_ms;
  if (varies("workload.producers.stop_ms")) {  // what happens then happens in silence
    const std::int64_t stop_ms = within(scenario_.phases.run_ms / 4, scenario_.phases.run_ms);
    for (ProducerSpec& spec : load.producers) spec.stop_ms = stop_ms;
  }
  if (varies("workload.delivery_timeout_ms")) load.delivery_timeout_ms = load.request_timeout_ms + within(0, 500);
  if (coordinated()) coordinated_clients();
}

void Maker::environment() {
  if (varies("network.latency_us")) scenario_.network.latency_us = one_of({20, 500, 2'000, 5'000});
  if (varies("network.tail_one_in")) scenario_.network.tail_one_in = one_of({0, 50, 200});
  if (varies("network.tail_ms")) scenario_.network.tail_ms = one_of({2, 4});
  if (varies("network.bytes_per_ms")) scenario_.network.bytes_per_ms = one_of({0, 1'000, 10'000});
  scenarios::SchedulingSpec& scheduling = scenario_.scheduling;
  if (varies("scheduling.shuffle")) scheduling.shuffle = false;
  if (varies("scheduling.yields_in_256")) scheduling.yields_in_256 = static_cast<std::int32_t>(one_of({0, 8, 200}));
  if (varies("scheduling.stall_one_in")) {
    scheduling.stall_one_in = static_cast<std::int32_t>(one_of({20, 100, 1'000}));
    if (share(50)) scheduling.stall_us = one_of({100, 5'000});
  }
  if (varies("disk.sync_us")) scenario_.disk.sync_us = one_of({50, 2'000, 10'000, 30'000});
}

// A slow network brings a follower what it asks for within its socket's time-out: an answer that never arrives whole is
// asked for again and again, and a follower without anything never gets anywhere.
void Maker::fit_answers() {
  if (scenario_.network.bytes_per_ms == 0) return;
  constexpr const char* kMost = "replica.fetch.response.max.bytes";
  const std::int64_t timeout_ms = effective("replica.socket.timeout.ms", kSocketTimeoutMs);
  const std::int64_t fits = scenario_.network.bytes_per_ms * timeout_ms / 4;
  if (effective(kMost, kFetchResponseBytes) > fits) scenario_.cluster.config[kMost] = std::to_string(fits);
}

scenarios::Scenario Maker::make() {
  scenario_.name = "search-" + std::string(profile_.name);
  scenario_.title = "Drawn by the search, profile " + std::string(profile_.name);
  scenario_.tags = {"search"};
  scenario_.phases.run_ms = within(profile_.run_ms);
  if (!profile_.loads.empty()) load_ = weighted(profile_.loads);
  // Members of a group want partitions to share.
  narrow_ = share(profile_.narrow) && !has_groups();
  scenario_.phases.final_leaders = share(50);
  scenario_.expect.delivered = 0;
  for (const Weight& action : profile_.actions) {
    if (share(profile_.enabled)) actions_.push_back(action);
  }
  cluster();
  topics();
  clients();
  environment();
  const std::int64_t groups = narrow_ ? within(1, 2) : within(profile_.groups);
  const std::span<const Weight> known = narrow_ ? profile_.narrow_patterns : profile_.patterns;
  // Of the patterns, too, a run knows only some.
  std::vector<Weight> patterns;
  for (const Weight& pattern : known) {
    if (share(profile_.enabled)) patterns.push_back(pattern);
  }
  if (patterns.empty()) patterns.assign(known.begin(), known.end());
  const bool own = coordinated() && !(profile_.transaction_patterns.empty() && profile_.group_patterns.empty());
  for (std::int64_t i = 0; i < groups; ++i) {
    if (own && share(kCoordinated)) {
      coordinated_pattern();
    } else {
      pattern(weighted(patterns));
    }
  }
  if (share(kLongCut) && std::ranges::find(profile_.actions, "partition", &Weight::name) != profile_.actions.end()) {
    FaultSpec& cut = add("partition");
    cut.at_ms = within(50, 300);
    cut.a = {leader_of(focus_)};
    cut.b = {share(50) ? "controller" : "brokers"};
    scenario_.phases.run_ms = kLongCutMs;
  }
  if (share(profile_.stays_down)) {  // the others must do: never the only controller
    FaultSpec& fault = add("kill");
    fault.at_ms = moment(100);
    fault.target = damaged();
    fault.stays_down = true;
  }
  fit_answers();
  compaction();
  fit_markers();
  // As a file has them: by name.
  for (FaultSpec& fault : scenario_.faults) {
    if (fault.when) std::ranges::sort(fault.when->match, {}, &scenarios::Condition::field);
  }
  return std::move(scenario_);
}

rc::Gen<scenarios::Scenario> scenario_of(const Profile& profile) {
  return rc::gen::resize(rc::kNominalSize, rc::gen::exec([profile] { return Maker(profile).make(); }));
}

scenarios::Scenario generate(const Profile& profile, std::uint64_t seed) {
  scenarios::Scenario scenario = scenario_of(profile)(rc::Random(seed)).value();
  scenario.seeds = {.first = seed, .last = seed};
  return scenario;
}

}  // namespace verdict::search
