#include "sim/clock.h"

namespace verdict::sim {

VirtualTime NodeClock::virtual_time(MonoTime when) const {
  const std::int64_t ahead = when.time_since_epoch().count() - mono_anchor_.time_since_epoch().count();
  if (ahead <= 0) return anchor_;
  // elapsed * (1 + ppm / 10^6) >= ahead, elapsed the least such integer but for scaled()'s rounding towards zero.
  // Whole multiples of the rate apart from the rest: no division of 128 bits.
  const std::int64_t rate = 1'000'000 + rate_ppm_;
  const std::int64_t rest = (ahead % rate * 1'000'000 + rate - 1) / rate;
  __int128 elapsed = static_cast<__int128>(ahead / rate) * 1'000'000 + rest;
  const __int128 limit = VirtualTime::max().time_since_epoch().count() - to_ns(anchor_);
  if (elapsed >= limit) return VirtualTime::max();
  while (mono(anchor_ + Duration(static_cast<std::int64_t>(elapsed))) < when) ++elapsed;
  return anchor_ + Duration(static_cast<std::int64_t>(elapsed));
}

}  // namespace verdict::sim
