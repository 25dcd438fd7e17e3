#include "reports/curve.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "reports/json_text.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;

// The diagram, in the units of its view box.
constexpr double kLeft = 60, kTop = 10, kWidth = 700, kHeight = 160;

std::string percent(std::int64_t thousandths) { return fmt::format("{}%", (thousandths + 5) / 10); }

std::string seconds(std::int64_t ms) { return fmt::format("{}.{:03} s", ms / 1000, ms % 1000); }

double y_of(std::int64_t thousandths) { return kTop + kHeight * (1.0 - static_cast<double>(thousandths) / 1000.0); }

std::string diagram(const Curve& curve) {
  const std::int64_t from = curve.points.front().at_ms;
  const std::int64_t to = std::max({curve.points.back().at_ms, curve.failed_at_ms, from + 1});
  const auto x_of = [&](std::int64_t ms) {
    return kLeft + kWidth * static_cast<double>(ms - from) / static_cast<double>(to - from);
  };
  std::string out =
      "<svg viewBox=\"0 0 780 200\" role=\"img\" aria-label=\"probability of the failure over time\" "
      "style=\"max-width:60rem;font-size:11px\" fill=\"currentColor\">";
  for (const std::int64_t level : {0, 500, 1000}) {
    out +=
        fmt::format("<path d=\"M{} {:.1f}h{}\" stroke=\"currentColor\" opacity=\".2\"/>", kLeft, y_of(level), kWidth);
    out += fmt::format("<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>", kLeft - 6, y_of(level) + 4,
                       percent(level));
  }
  if (curve.failed_at_ms >= from) {
    out += fmt::format("<path d=\"M{:.1f} {}v{}\" stroke=\"#c22\" stroke-dasharray=\"4 3\"/>", x_of(curve.failed_at_ms),
                       kTop, kHeight);
  }
  std::string line;
  for (const CurvePoint& point : curve.points) {
    const Share share = share_of(point.failed, point.runs);
    const double x = x_of(point.at_ms);
    line += fmt::format("{}{:.1f} {:.1f}", line.empty() ? "M" : "L", x, y_of(share.value));
    out += fmt::format("<path d=\"M{0:.1f} {1:.1f}V{2:.1f}\" stroke=\"currentColor\" opacity=\".4\"/>", x,
                       y_of(share.low), y_of(share.high));
    out += fmt::format("<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>", x, y_of(share.value));
  }
  out += fmt::format("<path d=\"{}\" fill=\"none\" stroke=\"currentColor\"/>", line);
  out += fmt::format("<text x=\"{}\" y=\"{}\">{}</text>", kLeft, kTop + kHeight + 18, seconds(from));
  out += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", kLeft + kWidth, kTop + kHeight + 18,
                     seconds(to));
  return out + "</svg>";
}

}  // namespace

Share share_of(std::int64_t failed, std::int64_t runs) {
  if (runs <= 0) return {};
  const double n = static_cast<double>(runs), p = static_cast<double>(failed) / n, z = 1.96;
  const double middle = (p + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(p * (1 - p) / n + z * z / (4 * n * n));
  const auto thousandths = [](double x) { return static_cast<std::int64_t>(std::clamp(x, 0.0, 1.0) * 1000 + 0.5); };
  return {thousandths(p), thousandths(middle - half), thousandths(middle + half)};
}

std::string to_json(const Curve& curve) {
  Json json{{"failure", curve.failure}, {"failed_at_ms", curve.failed_at_ms}, {"points", Json::array()}};
  for (const CurvePoint& point : curve.points) {
    const Share share = share_of(point.failed, point.runs);
    json["points"].push_back({{"at_ms", point.at_ms},
                              {"runs", point.runs},
                              {"failed", point.failed},
                              {"otherwise", point.otherwise},
                              {"low", static_cast<double>(share.low) / 1000},
                              {"high", static_cast<double>(share.high) / 1000}});
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::expected<Curve, std::string> parse_curve(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::unexpected("is no JSON object");
  try {
    Curve curve{.failure = json.at("failure"), .failed_at_ms = json.at("failed_at_ms"), .points = {}};
    for (const Json& point : json.at("points")) {
      curve.points.push_back({.at_ms = point.at("at_ms"),
                              .runs = point.at("runs"),
                              .failed = point.at("failed"),
                              .otherwise = point.at("otherwise")});
    }
    return curve;
  } catch (const Json::exception&) {
    return std::unexpected("is no curve of a failure");
  }
}

std::string curve_text(const Curve& curve) {
  std::string out;
  for (const CurvePoint& point : curve.points) {
    const Share share = share_of(point.failed, point.runs);
    out += fmt::format("    {:>10}  {:>3} of {} branches fail, {} (95%: {} to {})", seconds(point.at_ms), point.failed,
                       point.runs, percent(share.value), percent(share.low), percent(share.high));
    if (point.otherwise > 0) out += fmt::format("; {} of something else", point.otherwise);
    out += '\n';
  }
  return out;
}

std::string curve_section(const Curve& curve) {
  if (curve.points.empty()) return {};
  std::string out = fmt::format(
      "<section id=\"curve\"><h2>How likely it was</h2><p>Share of the branches that fail of {} when everything is "
      "drawn "
      "anew from the given moment on, with bounds of 95%.</p>",
      escape_markup(curve.failure));
  out += diagram(curve);
  out += "<table><thead><tr><th>from</th><th>branches</th><th>fail</th><th>of something else</th></tr></thead><tbody>";
  for (const CurvePoint& point : curve.points) {
    out += fmt::format(
        "<tr><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td><td class=\"num\">{}</td></tr>",
        seconds(point.at_ms), point.runs, point.failed, point.otherwise);
  }
  return out + "</tbody></table></section>";
}

}  // namespace verdict::reports
