#pragma once

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "checker/black_box.h"

namespace verdict::checker {

// A history that a test tells line by line, through the writer and the reader.
struct HistoryLines {
  std::string lines;
  std::int64_t ops = 0;

  void line(const HistoryEntry& e) { write_history_line(e, lines); }
  void line_as(HistoryEntry e, HistoryType type) {
    e.type = type;
    line(e);
  }
  HistoryResult check() const {
    std::istringstream in(lines);
    const auto result = check_history(in);
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error());
    return *result;
  }
  // "lost-write G0(allowed)"
  std::string names() const {
    std::string out;
    for (const Anomaly& a : check().anomalies)
      out += (out.empty() ? "" : " ") + std::string(a.name) + (a.allowed ? "(allowed)" : "");
    return out;
  }
};

}  // namespace verdict::checker
