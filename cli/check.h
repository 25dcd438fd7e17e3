#pragma once

#include <expected>
#include <string>

#include "checker/black_box.h"

namespace verdict::cli {

std::expected<checker::HistoryResult, std::string> check_file(const std::string& path);
void print_history_text(const checker::HistoryResult& result);  // anomalies, counts, and whether it is valid

}  // namespace verdict::cli
