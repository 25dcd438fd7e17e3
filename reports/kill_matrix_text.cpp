// The kill matrix as text, Markdown, HTML and JSON.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "reports/json_text.h"
#include "reports/kill_matrix.h"

namespace verdict::reports {
namespace {

using Json = nlohmann::ordered_json;

// "> 12.3": a time in seconds.
std::string seconds(const std::optional<Estimate>& ms) {
  if (!ms) return "-";
  return fmt::format("{}{:.1f}", ms->above ? "> " : "", static_cast<double>(ms->value) / 1000);
}

std::string killers(const MatrixRow& row) {
  std::vector<std::string> by;
  for (const auto& [invariant, count] : row.kills) by.push_back(fmt::format("{} x{}", invariant, count));
  for (const auto& [invariant, count] : row.other_failures)
    by.push_back(fmt::format("({} x{} does not count)", invariant, count));
  return fmt::format("{}", fmt::join(by, ", "));
}

std::string reproduce(const KillMatrix& matrix, const MatrixRow& row) {
  const std::uint64_t seed = row.kill_seeds.front();
  return fmt::format("./verdict search --profile {} --seeds {}..{} --set 'defects=[\"{}\"]'", matrix.profile, seed,
                     seed, row.defect.id);
}

constexpr std::array kColumns{"defect",  "half",    "",      "trials",  "runs",   "median", "p90",     "median s",
                              "reached", "clients", "crash", "overrun", "wall s", "core s", "minimal", "killed by"};
constexpr std::size_t kLeft = 3;  // columns of words; numbers follow, and words in the last

std::vector<std::string> cells(const MatrixRow& row) {
  return {std::string(row.defect.id),
          std::string(name_of(half_of(row.defect.id))),
          std::string(name_of(row.state())),
          fmt::format("{}/{}", row.killed(), row.trials.size()),
          fmt::format("{}", row.runs),
          text_of(row.runs_to_kill(0.5)),
          text_of(row.runs_to_kill(0.9)),
          seconds(row.wall_ms_to_kill(0.5)),
          fmt::format("{}", row.reached),
          row.killed() == 0 ? "-" : fmt::format("{}/{}", row.black_box, row.killed()),
          fmt::format("{}", row.crashes),
          fmt::format("{}", row.overruns),
          fmt::format("{:.1f}", static_cast<double>(row.wall_ms) / 1000),
          fmt::format("{:.1f}", static_cast<double>(row.core_ms) / 1000),
          row.minimal ? fmt::format("{}f {}o", row.minimal->faults, row.minimal->operations) : "-",
          killers(row)};
}

std::vector<std::string> sums(const KillMatrix& matrix) {
  std::vector<std::string> out;
  std::uint64_t kills = 0, seen = 0;
  for (const MatrixRow& row : matrix.rows) {
    kills += row.killed();
    seen += row.black_box;
  }
  for (const Half half : {Half::tuned, Half::held_out}) {
    std::vector<Cost> medians;
    for (const MatrixRow& row : matrix.rows) {
      const auto median = row.runs_to_kill(0.5);
      if (half_of(row.defect.id) == half && median) medians.push_back({median->value, !median->above});
    }
    out.push_back(fmt::format("{}: {} of {} killed, median of their medians {} runs", name_of(half),
                              matrix.killed(half), matrix.count(half), text_of(cost_to_kill(medians, 0.5))));
  }
  if (kills > 0) {
    out.push_back(fmt::format("clients saw an anomaly in {} of {} kills ({:.0f}%)", seen, kills,
                              100 * static_cast<double>(seen) / static_cast<double>(kills)));
  }
  if (const auto minimal = matrix.median_minimal()) {
    out.push_back(
        fmt::format("shrunk: in the median {} faults and {} operations", minimal->faults, minimal->operations));
  }
  for (const std::string& line : matrix.healthy_failures) out.push_back("healthy core: " + line);
  out.push_back(fmt::format("healthy core, the same scenarios and seeds: {}", matrix.healthy.last_line()));
  return out;
}

std::string last_line(const KillMatrix& matrix) {
  return fmt::format("{} killed, {} not", matrix.killed(), matrix.count() - matrix.killed());
}

Json number(const std::optional<Estimate>& estimate) {
  return estimate && !estimate->above ? Json(estimate->value) : Json();
}

Json above(const std::optional<Estimate>& estimate) {
  return estimate && estimate->above ? Json(estimate->value) : Json();
}

Json row_json(const MatrixRow& row) {
  const auto median = row.runs_to_kill(0.5), p90 = row.runs_to_kill(0.9), wall = row.wall_ms_to_kill(0.5);
  Json json{
      {"id", row.defect.id},
      {"killed", row.killed() > 0},
      {"runs", row.runs},
      {"seeds_to_kill_median", number(median)},
      {"seeds_to_kill_p90", number(p90)},
      {"wall_s", static_cast<double>(row.wall_ms) / 1000},
      {"invariant", row.invariant()},
      {"trials", row.trials.size()},
      {"minimal",
       row.minimal ? Json{{"faults", row.minimal->faults}, {"operations", row.minimal->operations}} : Json()},
      {"black_box",
       row.killed() == 0 ? Json() : Json(static_cast<double>(row.black_box) / static_cast<double>(row.killed()))}};
  json["state"] = name_of(row.state());
  json["half"] = name_of(half_of(row.defect.id));
  json["trials_killed"] = row.killed();
  json["seeds_to_kill_median_above"] = above(median);
  json["seeds_to_kill_p90_above"] = above(p90);
  json["wall_s_to_kill_median"] = wall && !wall->above ? Json(static_cast<double>(wall->value) / 1000) : Json();
  json["core_s"] = static_cast<double>(row.core_ms) / 1000;
  json["reached"] = row.reached;
  json["differs"] = row.differs;
  json["crashes"] = row.crashes;
  json["overruns"] = row.overruns;
  json["not_accepted"] = row.not_accepted;
  json["kills"] = row.kills;
  json["other_failures"] = row.other_failures;
  json["kill_seeds"] = row.kill_seeds;
  return json;
}

std::string markdown_cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out;
}

}  // namespace

std::string matrix_plain(const KillMatrix& matrix) {
  std::vector<std::vector<std::string>> table{{kColumns.begin(), kColumns.end()}};
  for (const MatrixRow& row : matrix.rows) table.push_back(cells(row));
  std::array<std::size_t, kColumns.size()> width{};
  for (const auto& line : table) {
    for (std::size_t i = 0; i < line.size(); ++i) width[i] = std::max(width[i], line[i].size());
  }
  std::string out;
  for (std::size_t n = 0; n < table.size(); ++n) {
    for (std::size_t i = 0; i + 1 < table[n].size(); ++i)
      out +=
          i < kLeft ? fmt::format("{:<{}}  ", table[n][i], width[i]) : fmt::format("{:>{}}  ", table[n][i], width[i]);
    out += table[n].back();
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
    if (n > 0 && matrix.rows[n - 1].killed() > 0) out += fmt::format("    {}\n", reproduce(matrix, matrix.rows[n - 1]));
  }
  for (const std::string& line : sums(matrix)) out += line + "\n";
  return out + last_line(matrix) + "\n";
}

std::string matrix_markdown(const KillMatrix& matrix) {
  std::string out = fmt::format("# Kill matrix\n\nProfile {}, build {}.\n\n|", matrix.profile, matrix.build);
  for (const char* column : kColumns) out += fmt::format(" {} |", column);
  out += "\n|";
  for (std::size_t i = 0; i < kColumns.size(); ++i) out += i < kLeft || i + 1 == kColumns.size() ? "---|" : "---:|";
  out += '\n';
  for (const MatrixRow& row : matrix.rows) {
    out += '|';
    for (const std::string& cell : cells(row)) out += fmt::format(" {} |", markdown_cell(cell));
    out += '\n';
  }
  out += '\n';
  for (const std::string& line : sums(matrix)) out += "- " + markdown_cell(line) + "\n";
  return out + "\n" + last_line(matrix) + "\n";
}

std::string matrix_html(const KillMatrix& matrix) {
  constexpr std::string_view kHead =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Kill matrix</title><style>"
      "body{font:14px/1.5 system-ui,sans-serif;margin:2em;max-width:100em}table{border-collapse:collapse}"
      "th,td{padding:.2em .6em;text-align:right;border-bottom:1px solid #8884;white-space:nowrap}"
      "th{position:sticky;top:0;background:Canvas}td:nth-child(-n+3),th:nth-child(-n+3),td:last-child,th:last-child"
      "{text-align:left}td:last-child{white-space:normal}.survived td:nth-child(3){color:#c22;font-weight:bold}"
      ".open td:nth-child(3){color:#b60;font-weight:bold}code{font-size:12px}:root{color-scheme:light dark}"
      "</style></head><body>\n";
  std::string out(kHead);
  out += fmt::format("<h1>Kill matrix: {}</h1><p>Profile {}, build {}.</p>\n<table><thead><tr>", last_line(matrix),
                     escape_markup(matrix.profile), escape_markup(matrix.build));
  for (const char* column : kColumns) out += fmt::format("<th>{}</th>", column);
  out += "</tr></thead><tbody>\n";
  for (const MatrixRow& row : matrix.rows) {
    const DefectState state = row.state();
    out += fmt::format("<tr class=\"{}\" title=\"{}\">",
                       state == DefectState::killed     ? "killed"
                       : state == DefectState::survived ? "survived"
                                                        : "open",
                       escape_markup(row.defect.title));
    for (const std::string& cell : cells(row)) out += fmt::format("<td>{}</td>", escape_markup(cell));
    out += "</tr>\n";
  }
  out += "</tbody></table>\n<ul>";
  for (const std::string& line : sums(matrix)) out += fmt::format("<li>{}</li>", escape_markup(line));
  out += "</ul>\n<h2>To see one of each</h2><ul>";
  for (const MatrixRow& row : matrix.rows) {
    if (row.killed() > 0) out += fmt::format("<li><code>{}</code></li>", escape_markup(reproduce(matrix, row)));
  }
  return out + "</ul></body></html>\n";
}

std::string matrix_json(const KillMatrix& matrix) {
  Json json;
  json["defects"] = Json::array();
  for (const MatrixRow& row : matrix.rows) json["defects"].push_back(row_json(row));
  json["profile"] = matrix.profile;
  json["build"] = matrix.build;
  for (const Half half : {Half::tuned, Half::held_out})
    json["halves"][name_of(half)] = {{"defects", matrix.count(half)}, {"killed", matrix.killed(half)}};
  const auto minimal = matrix.median_minimal();
  json["minimal_median"] = minimal ? Json{{"faults", minimal->faults}, {"operations", minimal->operations}} : Json();
  json["healthy"] = {{"passed", matrix.healthy.passed},
                     {"failed", matrix.healthy.failed},
                     {"inconclusive", matrix.healthy.inconclusive},
                     {"failures", matrix.healthy_failures}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace verdict::reports
