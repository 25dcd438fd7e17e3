#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace verdict::reports {

// How likely a run's failure was at moments of it: the share of branches that failed in the same way, each a replay up
// to the moment and other draws from there on. curve.json of a bundle.
struct CurvePoint {
  std::int64_t at_ms = 0;  // virtual time
  std::int64_t runs = 0;
  std::int64_t failed = 0;     // in the same way
  std::int64_t otherwise = 0;  // of something else
};
struct Curve {
  std::string failure;  // the invariant, or the outcome
  std::int64_t failed_at_ms = -1;
  std::vector<CurvePoint> points;  // by time
};

struct Share {  // in thousandths, with the bounds of 95% (Wilson)
  std::int64_t value = 0, low = 0, high = 1000;
};
Share share_of(std::int64_t failed, std::int64_t runs);

std::string to_json(const Curve& curve);
std::expected<Curve, std::string> parse_curve(std::string_view json);
std::string curve_text(const Curve& curve);     // one line a point
std::string curve_section(const Curve& curve);  // the report's section: a diagram, and the numbers as a table

}  // namespace verdict::reports
