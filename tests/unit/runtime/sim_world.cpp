// The conformance suite on the simulated machine, under several seeds' worth of interleavings.
#include "sim/sim_runtime.h"
#include "sim/world.h"
#include "tests/unit/runtime/world.h"

namespace verdict::conformance {
namespace {

class SimulatedWorld final : public World {
 public:
  explicit SimulatedWorld(std::uint64_t seed) : world_({.seed = seed}) {
    for (int i = 0; i < kNodes; ++i) {
      const sim::NodeIndex index =
          world_.add_node({host(i), [](Runtime&) { return std::make_unique<sim::Process>(); }, {}});
      world_.start(index);
      VERDICT_ASSERT(node(i).disk().make_directory(root(i)).has_value());
    }
  }
  Runtime& node(int index) override {
    return *world_.node(sim::NodeIndex(static_cast<std::uint16_t>(index))).runtime();
  }
  std::string host(int index) override { return "node" + std::to_string(index); }
  std::string root(int) override { return "tests/root"; }
  bool run_until(const std::function<bool()>& done, Duration limit) override {
    return world_.run_until(done, world_.now() + limit) == sim::RunEnd::stopped;
  }

 private:
  sim::World world_;
};

template <std::uint64_t seed>
std::unique_ptr<World> make_world() {
  return std::make_unique<SimulatedWorld>(seed);
}

}  // namespace
}  // namespace verdict::conformance

VERDICT_INSTANTIATE_CONFORMANCE(Sim1, verdict::conformance::make_world<1>);
VERDICT_INSTANTIATE_CONFORMANCE(Sim2, verdict::conformance::make_world<2>);
VERDICT_INSTANTIATE_CONFORMANCE(Sim3, verdict::conformance::make_world<3>);
VERDICT_INSTANTIATE_CONFORMANCE(Sim4, verdict::conformance::make_world<4>);
