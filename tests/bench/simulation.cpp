// How fast the simulator runs whole trials, checker on: `bench_simulation`. Names: `library` runs every scenario of the
// library once an iteration, `scenario/NAME` one of them.
#include <benchmark/benchmark.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <utility>

#include "scenarios/catalogue.h"
#include "scenarios/runner.h"
#include "sim/cluster.h"

namespace verdict {
namespace {

struct Sum {
  double messages = 0;
  double events = 0;
  double simulated_s = 0;

  void add(const scenarios::RunResult& result) {
    messages += static_cast<double>(result.messages);
    events += static_cast<double>(result.events);
    simulated_s += static_cast<double>(result.simulated_ms) / 1e3;
  }
  void show(benchmark::State& state) const {
    state.counters["messages"] = benchmark::Counter(messages, benchmark::Counter::kIsRate);
    state.counters["events"] = benchmark::Counter(events, benchmark::Counter::kIsRate);
    state.counters["simulated:wall"] = benchmark::Counter(simulated_s, benchmark::Counter::kIsRate);
    state.counters["messages_a_simulated_s"] = messages / simulated_s;
  }
};

void run_all(benchmark::State& state, const std::vector<scenarios::Scenario>& all) {
  Sum sum;
  std::uint64_t seed = 0;
  for (auto _ : state) {
    ++seed;
    for (const scenarios::Scenario& scenario : all) sum.add(scenarios::run(scenario, seed));
  }
  sum.show(state);
}

// A controller and three brokers, machines and disks included, their processes started.
void cluster_built(benchmark::State& state) {
  for (auto _ : state) {
    sim::World world({.seed = 1});
    sim::Cluster cluster(world, {}, nullptr);
    cluster.start_all();
    benchmark::DoNotOptimize(cluster.observed());
  }
}
BENCHMARK(cluster_built)->Unit(benchmark::kMillisecond);

// Peak resident bytes of a process that runs `minutes` of undisturbed load on a log of bounded size, and its batches.
std::pair<double, double> peak_of(std::int64_t minutes) {
  scenarios::Scenario scenario = *scenarios::library_scenario("slow-follower");
  scenario.faults.clear();
  scenario.phases.run_ms = minutes * 60'000;
  scenario.phases.event_budget = 1'000'000'000;
  for (scenarios::TopicSpec& topic : scenario.topics) {
    topic.config["retention.bytes"] = "100000";
    topic.config["internal.segment.bytes"] = "50000";
  }
  scenario.workload.producers = {scenarios::ProducerSpec{}};
  scenario.workload.consumers = {scenarios::ConsumerSpec{}};
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return {};
  const pid_t child = fork();
  if (child == 0) {
    const auto result = scenarios::run(scenario, 1);
    const auto batches = static_cast<double>(result.event_counts.at("produce_acknowledged"));
    _exit(write(ends[1], &batches, sizeof batches) == sizeof batches ? 0 : 1);
  }
  double batches = 0;
  if (read(ends[0], &batches, sizeof batches) != sizeof batches) batches = 0;
  close(ends[0]);
  close(ends[1]);
  rusage usage{};
  int status = 0;
  wait4(child, &status, 0, &usage);
  return {static_cast<double>(usage.ru_maxrss) * 1024, batches};
}

// By how much a run's memory grows for each batch that its partitions commit: what checker and logs keep of it.
void memory_of_an_hour(benchmark::State& state) {
  for (auto _ : state) {
    const auto [bytes, batches] = peak_of(10);
    const auto [more_bytes, more_batches] = peak_of(70);
    state.counters["bytes_a_batch"] = (more_bytes - bytes) / (more_batches - batches);
    state.counters["batches"] = more_batches - batches;
    state.counters["peak_MB"] = more_bytes / 1e6;
  }
}
BENCHMARK(memory_of_an_hour)->Unit(benchmark::kSecond)->Iterations(1);

void register_scenarios() {
  std::vector<scenarios::Scenario> all;
  for (const scenarios::LibraryEntry& entry : scenarios::library()) {
    all.push_back(*scenarios::library_scenario(entry.name));
    benchmark::RegisterBenchmark(
        ("scenario/" + all.back().name).c_str(),
        [](benchmark::State& state, const scenarios::Scenario& one) { run_all(state, {one}); }, all.back())
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RegisterBenchmark("library", run_all, all)->Unit(benchmark::kMillisecond);
}

}  // namespace
}  // namespace verdict

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 64;
  verdict::register_scenarios();
  benchmark::RunSpecifiedBenchmarks();
}
