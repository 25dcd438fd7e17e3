#pragma once

#include <memory>
#include <string>
#include <utility>

#include "sim/world.h"

namespace verdict::sim::testing {

// A machine whose process is a P of (Runtime&, args...); `at` is the newest, set when the machine starts.
template <class P, class... Args>
NodeIndex add_process(World& world, std::string host, P*& at, Args... args) {
  return world.add_node({std::move(host),
                         [&at, args...](Runtime& runtime) -> std::unique_ptr<Process> {
                           auto process = std::make_unique<P>(runtime, args...);
                           at = process.get();
                           return process;
                         },
                         {}});
}

}  // namespace verdict::sim::testing
