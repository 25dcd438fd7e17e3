#pragma once

#include <cstdint>

#include "sim/types.h"

namespace verdict::sim {

// A machine's two clocks. The monotonic one runs at a rate of its own; the wall clock runs with it from an offset that
// may be set and may jump.
class NodeClock {
 public:
  NodeClock(MonoTime boot, WallTime wall_at_boot) : mono_anchor_(boot), boot_(boot), wall_at_boot_(wall_at_boot) {}

  MonoTime mono(VirtualTime now) const {
    const Duration elapsed = now - anchor_;
    return mono_anchor_ + elapsed + (rate_ppm_ == 0 ? Duration(0) : scaled(elapsed));
  }
  WallTime wall(VirtualTime now) const {
    const Duration since_boot = mono(now) - boot_ + offset_ + jumped_;
    return wall_at_boot_ + std::chrono::floor<std::chrono::milliseconds>(since_boot);
  }
  // The first virtual time at which mono() has reached `when`; VirtualTime::max() if that lies out of reach.
  VirtualTime virtual_time(MonoTime when) const;

  void set_rate(VirtualTime now, std::int32_t ppm) {
    mono_anchor_ = mono(now);
    anchor_ = now;
    rate_ppm_ = ppm;
  }
  void set_offset(Duration offset) { offset_ = offset; }
  void jump(Duration by) { jumped_ += by; }

  std::int32_t rate_ppm() const { return rate_ppm_; }
  Duration offset() const { return offset_; }
  Duration jumped() const { return jumped_; }
  bool drifted() const { return mono_anchor_ - boot_ != anchor_ - VirtualTime() || rate_ppm_ != 0; }

 private:
  // elapsed * ppm / 10^6, rounded towards zero; no product of 128 bits.
  Duration scaled(Duration elapsed) const {
    const std::int64_t ns = elapsed.count();
    return Duration(ns / 1'000'000 * rate_ppm_ + ns % 1'000'000 * rate_ppm_ / 1'000'000);
  }

  VirtualTime anchor_{};
  MonoTime mono_anchor_;
  MonoTime boot_;
  WallTime wall_at_boot_;
  std::int32_t rate_ppm_ = 0;
  Duration offset_{};
  Duration jumped_{};
};

}  // namespace verdict::sim
