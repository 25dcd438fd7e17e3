// The conformance suite on the real machine: two runtimes on one thread, loopback TCP, a directory under TMPDIR.
#include <array>
#include <cstdlib>
#include <filesystem>

#include "runtime/asio/asio_runtime.h"
#include "tests/unit/runtime/world.h"

namespace verdict::conformance {
namespace {

class AsioWorld final : public World {
 public:
  AsioWorld() {
    std::string pattern = (std::filesystem::temp_directory_path() / "verdict-conformance-XXXXXX").string();
    VERDICT_ASSERT(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
    for (int i = 0; i < kNodes; ++i) std::filesystem::create_directory(root(i));
  }
  ~AsioWorld() override { std::filesystem::remove_all(root_); }

  Runtime& node(int index) override { return nodes_[static_cast<std::size_t>(index)]; }
  std::string host(int) override { return "127.0.0.1"; }
  std::string root(int index) override { return root_ + "/" + std::to_string(index); }
  bool run_until(const std::function<bool()>& done, Duration limit) override {
    const MonoTime end = nodes_[0].now() + limit;
    while (!done()) {
      if (nodes_[0].now() >= end) return false;
      bool ran = false;
      for (AsioRuntime& node : nodes_) ran = node.turn(Duration::zero()) || ran;
      if (!ran) nodes_[0].turn(100us);
    }
    return true;
  }

 private:
  std::string root_;
  std::array<AsioRuntime, kNodes> nodes_;
};

std::unique_ptr<World> make_world() { return std::make_unique<AsioWorld>(); }

}  // namespace
}  // namespace verdict::conformance

VERDICT_INSTANTIATE_CONFORMANCE(Asio, verdict::conformance::make_world);
