// One run is a function of its seed: hashes agree and differ as they should, a planted nondeterminism is named, and a
// run that does not end is a failure of its own kind.
#include <cstdio>
#include <cstdlib>
#include <new>

#include "tests/unit/sim/machine.h"

// NOLINTBEGIN: counts what the loop allocates.
#if !defined(__has_feature) || !__has_feature(address_sanitizer)
#define VERDICT_COUNTS_ALLOCATIONS 1
namespace {
std::uint64_t allocations = 0;
}
void* operator new(std::size_t size) {
  ++allocations;
  if (void* p = std::malloc(size)) return p;
  std::abort();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
#endif
// NOLINTEND

namespace verdict::sim::testing {
namespace {

Task<void> writer(Runtime* runtime, void*) {
  auto file = runtime->disk().open("log", OpenMode::create);
  if (!file.has_value()) co_return;
  for (;;) {
    const std::uint64_t n = 1 + runtime->random(Purpose::Workload, 1) % 5000;
    const std::string text(n, 'w');
    if (!append(**file, text).has_value()) co_return;
    const IoResult synced = co_await sync(**file);
    if (!synced.ok()) co_return;
    co_await sleep_until(*runtime, runtime->now() + 3ms);
  }
}

struct Outcomes {
  std::uint64_t hash = 0;
  std::uint64_t events = 0;
  std::uint64_t messages = 0;
  TraceLog log;
};

// Everything at once: streams, files, faults. `planted` makes one draw more at 1.5 s.
Outcomes everything(std::uint64_t seed, bool planted = false) {
  Outcomes out;
  std::array<Client, 3> saw;
  World world({.seed = seed});
  world.record(&out.log);
  const NodeIndex server = world.add_node(node_of("server", echo_server));
  std::vector<NodeIndex> clients;
  for (Client& client : saw) {
    client.think = 500us;
    clients.push_back(world.add_node(node_of("client" + std::to_string(clients.size()), echo_client, &client)));
  }
  const NodeIndex disk = world.add_node(node_of("disk", writer));
  world.start(server);
  for (const NodeIndex client : clients) world.start(client);
  world.start(disk);
  world.after(300ms, [&] { world.partition_pair(clients[0], server, true); });
  world.after(600ms, [&] { world.partition_pair(clients[0], server, false); });
  world.after(700ms, [&] { world.reset_connections(clients[1], server); });
  world.after(800ms, [&] { world.power_loss(disk, PowerLossPolicy::everything()); });
  world.after(900ms, [&] { world.start(disk); });
  world.after(1000ms, [&] { world.set_clock_rate(clients[2], 300); });
  world.after(1100ms, [&] { world.kill(server); });
  world.after(1200ms, [&] { world.start(server); });
  if (planted)
    world.after(1500ms, [&] { world.hash_value(static_cast<std::uint64_t>(std::rand())); });
  else
    world.after(1500ms, [&] { world.hash_value(0x5eed); });
  world.run_for(3s);
  out.hash = world.hash();
  out.events = world.events();
  out.messages = world.messages();
  world.record(nullptr);
  return out;
}

TEST(Determinism, OneSeedOneRun) {
  std::vector<std::uint64_t> hashes;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Outcomes a = everything(seed);
    const Outcomes b = everything(seed);
    EXPECT_EQ(a.hash, b.hash);
    EXPECT_EQ(first_difference(a.log, b.log), std::nullopt);
    EXPECT_EQ(a.log.entries.size(), a.events);
    EXPECT_GT(a.messages, 1000U);
    for (const std::uint64_t other : hashes) EXPECT_NE(a.hash, other);
    hashes.push_back(a.hash);
  }
}

// Equal for every build: -O0, -O2, sanitizers. The value changes only when the machine's behaviour does.
TEST(Determinism, TheHashIsPrinted) {
  const Outcomes run = everything(42);
  std::printf("hash of seed 42: %016llx, %llu events\n", static_cast<unsigned long long>(run.hash),
              static_cast<unsigned long long>(run.events));
}

TEST(Determinism, APlantedNondeterminismIsNamedByItsFirstEvent) {
  std::srand(1);
  const Outcomes a = everything(7, true);
  const Outcomes b = everything(7, true);
  EXPECT_NE(a.hash, b.hash);
  const auto difference = first_difference(a.log, b.log);
  ASSERT_TRUE(difference.has_value());
  EXPECT_EQ(a.log.entries[difference->index].at_ns, 1'500'000'000);
  EXPECT_EQ(a.log.entries[difference->index].what >> 56, static_cast<std::uint64_t>(EventKind::call));
  EXPECT_NE(difference->description.find("call of"), std::string::npos);
  EXPECT_NE(difference->description.find("at 1500000000 ns"), std::string::npos);
}

Task<void> spins(Runtime* runtime, void*) {
  Signal signal(*runtime);
  struct Post : Op {};
  for (;;) co_await Awaited([runtime](Op& op) { return runtime->post(op), false; });
}

TEST(Endings, ALoopAtOneInstantIsAFailureOfItsOwn) {
  World world({.instant_budget = 10'000});
  world.start(world.add_node(node_of("node", spins)));
  EXPECT_EQ(world.run_for(1s), RunEnd::instant_loop);
  EXPECT_EQ(world.now(), VirtualTime());
  EXPECT_EQ(name_of(RunEnd::instant_loop), "instant-loop");
}

TEST(Endings, SoIsARunThatOutrunsItsBudget) {
  Client saw;
  World world({.event_budget = 5000});
  world.start(world.add_node(node_of("server", echo_server)));
  world.start(world.add_node(node_of("client", echo_client, &saw)));
  EXPECT_EQ(world.run_for(3600s), RunEnd::event_budget);
  EXPECT_EQ(world.events(), 5000U);
}

TEST(Endings, IdleStopAndCalls) {
  World world({});
  EXPECT_EQ(world.run_until_idle(), RunEnd::idle);
  int calls = 0;
  const CallId first = world.after(1s, [&] { ++calls; });
  world.after(2s, [&] { ++calls, world.stop(); });
  world.after(3s, [&] { ++calls; });
  world.cancel(first);
  world.cancel(first);
  EXPECT_EQ(world.run_until_idle(), RunEnd::stopped);
  EXPECT_EQ(calls, 1);
  EXPECT_EQ(world.now(), virtual_ns(2'000'000'000));
  EXPECT_EQ(world.run_until_idle(), RunEnd::idle);
  EXPECT_EQ(calls, 2);
}

TEST(Cost, TheLoopAllocatesNothing) {
#ifdef VERDICT_COUNTS_ALLOCATIONS
  std::array<Client, 4> saw;
  World world({.seed = 5});
  world.start(world.add_node(node_of("server", echo_server)));
  for (std::size_t i = 0; i < saw.size(); ++i) {
    world.start(world.add_node(node_of("client" + std::to_string(i), echo_client, &saw[i])));
  }
  world.run_for(2s);
  const std::uint64_t messages = world.messages();
  const std::uint64_t before = allocations;
  world.run_for(10s);
  const std::uint64_t allocated = allocations - before;
  EXPECT_GT(world.messages() - messages, 100'000U);
  EXPECT_LT(allocated, 50U);  // rings and heap that still grow
  RecordProperty("allocations", static_cast<int>(allocated));
#endif
}

}  // namespace
}  // namespace verdict::sim::testing
