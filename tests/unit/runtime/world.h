#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <string>

#include "runtime/runtime.h"
#include "runtime/scope.h"

// The conformance suite of the seam: conformance_*.cpp hold one set of test bodies, each world_*.cpp names a world in
// which they run. A world is two machines that reach each other over a network, both driven by the calling thread.
namespace verdict::conformance {

inline constexpr int kNodes = 2;

class World {
 public:
  virtual ~World() = default;
  virtual Runtime& node(int index) = 0;  // 0 or 1; the same object for the world's life
  // Where the node listens, as the other one (and itself) names it.
  virtual std::string host(int index) = 0;
  // An existing empty directory of the node's disk that is the test's own; no trailing '/'.
  virtual std::string root(int index) = 0;
  // Runs both nodes until done() (asked before the first event and after each) or until `limit` of the world's own time
  // has passed or nothing can happen any more. Returns done().
  virtual bool run_until(const std::function<bool()>& done, Duration limit) = 0;
};

struct WorldKind {
  const char* name;
  std::unique_ptr<World> (*make)();
};

class Conformance : public ::testing::TestWithParam<WorldKind> {
 protected:
  void SetUp() override { world_ = GetParam().make(); }
  Runtime& node(int index = 0) { return world_->node(index); }
  std::string path(const std::string& name, int index = 0) { return world_->root(index) + "/" + name; }

  // Runs a test's coroutines to their end; a hang is a failure. A scope that still has tasks must not die, so a test
  // that hangs stops the process.
  void run(Scope& scope, Duration limit = 20s) {
    const bool finished = world_->run_until([&] { return scope.size() == 0; }, limit);
    VERDICT_ASSERT(finished, "the test's tasks hang");
  }
  // Lets the world go on for a while, whatever it does.
  void pass(Duration time) {
    const MonoTime end = node().now() + time;
    bool fired = false;
    struct Wake : Op {
      bool* fired;
    } wake;
    wake.fired = &fired;
    wake.complete = [](Op* op) { *static_cast<Wake*>(op)->fired = true; };
    if (!node().sleep_until(wake, end)) world_->run_until([&] { return fired; }, time * 10 + 10s);
  }

  std::unique_ptr<World> world_;
};

struct StreamPair {
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Stream> server;  // of node 0
  std::unique_ptr<Stream> client;  // of node 1
};

struct Received {
  std::string text;
  IoResult last;
  std::size_t reads = 0;
};

class StreamConformance : public Conformance {
 protected:
  std::unique_ptr<Listener> listen();
  Endpoint address(const Listener& listener) { return {world_->host(0), listener.local().port}; }
  StreamPair connected();
  IoResult send_now(int at, Stream& stream, const std::string& text);
  Received receive_now(int at, Stream& stream, std::size_t limit = ~std::size_t{0});
};
class TimerConformance : public Conformance {};
class FileConformance : public Conformance {};

inline std::string kind_name(const ::testing::TestParamInfo<WorldKind>& info) { return info.param.name; }

}  // namespace verdict::conformance

// NAME: an identifier; MAKE: a function without arguments that returns a std::unique_ptr<World>.
#define VERDICT_INSTANTIATE_CONFORMANCE(NAME, MAKE)                                                        \
  namespace verdict::conformance {                                                                         \
  INSTANTIATE_TEST_SUITE_P(NAME, StreamConformance, ::testing::Values(WorldKind{#NAME, MAKE}), kind_name); \
  INSTANTIATE_TEST_SUITE_P(NAME, TimerConformance, ::testing::Values(WorldKind{#NAME, MAKE}), kind_name);  \
  INSTANTIATE_TEST_SUITE_P(NAME, FileConformance, ::testing::Values(WorldKind{#NAME, MAKE}), kind_name);   \
  }                                                                                                        \
  static_assert(true)
