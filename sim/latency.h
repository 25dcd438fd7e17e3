#pragma once

#include <array>
#include <cstdint>

#include "runtime/random.h"
#include "runtime/time.h"

namespace verdict::sim {

// A distribution of delays out of integers and one table: a body of 16 quantiles scaled to `median`, and once in
// `tail_one_in` draws a heavy tail of tail_unit << k, each k half as likely as the one before.
struct LatencyModel {
  Duration median = 100us;
  std::uint32_t tail_one_in = 1000;  // 0: no tail
  Duration tail_unit = 1ms;
  std::uint32_t tail_doublings = 8;  // k < this

  struct Sample {
    Duration delay;
    bool tail = false;
  };
  // Quantiles of the body in 1/64 of the median, one for each 16th of the probability, linear in between.
  static constexpr std::array<std::uint16_t, 17> kBody{40, 44, 48, 51, 54, 57,  59,  61, 64,
                                                       67, 71, 76, 82, 92, 110, 150, 260};

  constexpr Sample sample(std::uint64_t draw) const {
    const std::uint64_t slot = draw >> 60;
    const std::uint64_t within = draw >> 44 & 0xffff;
    const std::uint64_t low = kBody[slot];
    const std::uint64_t scaled = (low << 16) + (kBody[slot + 1] - low) * within;
    const auto body = static_cast<std::int64_t>(static_cast<std::uint64_t>(median.count()) * scaled >> 22);
    if (tail_one_in == 0 || (draw & 0xffffff) % tail_one_in != 0) return {Duration(body), false};
    std::uint32_t k = 0;
    for (std::uint64_t bits = draw >> 24 & 0xfffff; k + 1 < tail_doublings && (bits & 1) != 0; bits >>= 1) ++k;
    return {Duration(body) + tail_unit * (std::int64_t{1} << k), true};
  }
};

}  // namespace verdict::sim
