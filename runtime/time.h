#pragma once

#include <chrono>
#include <cstdint>

// Times without clocks: only a Runtime says what time it is.
namespace verdict {

using Duration = std::chrono::nanoseconds;
using std::chrono_literals::operator""ms;
using std::chrono_literals::operator""us;
using std::chrono_literals::operator""ns;
using std::chrono_literals::operator""s;

struct MonotonicTag {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicTag, Duration>;
  static constexpr bool is_steady = true;
};
// Never goes back; its zero means nothing. In a simulation it may run at another rate than virtual time.
using MonoTime = MonotonicTag::time_point;

struct WallTag {
  using rep = std::int64_t;
  using period = std::milli;
  using duration = std::chrono::milliseconds;
  using time_point = std::chrono::time_point<WallTag, std::chrono::milliseconds>;
  static constexpr bool is_steady = false;
};
// Milliseconds since the Unix epoch (a record's timestamp); may jump in both directions.
using WallTime = WallTag::time_point;

constexpr std::int64_t to_ms(Duration d) { return std::chrono::duration_cast<std::chrono::milliseconds>(d).count(); }
constexpr std::int64_t to_ms(WallTime t) { return t.time_since_epoch().count(); }
constexpr Duration from_ms(std::int64_t ms) { return std::chrono::milliseconds(ms); }

}  // namespace verdict
