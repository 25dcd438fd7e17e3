#include "protocol/wire/errors.h"

#include <algorithm>
#include <array>

namespace verdict::wire {
namespace {

struct Row {
  ErrorCode error;
  std::string_view name;
  bool retriable;
};

#define VERDICT_ROW(name, code, retriable) Row{ErrorCode::name, #name, retriable},
constexpr auto kRows = std::to_array<Row>({VERDICT_ERROR_CODES(VERDICT_ROW)});
#undef VERDICT_ROW

// Rows are dense from -1, so that a code is its index.
constexpr bool dense() {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (static_cast<int>(kRows[i].error) != static_cast<int>(i) - 1) {
      return false;
    }
  }
  return true;
}
static_assert(dense());

const Row& row(ErrorCode error) {
  const auto index = static_cast<std::size_t>(static_cast<int>(error) + 1);
  return index < kRows.size() ? kRows[index] : kRows.front();
}

}  // namespace

ErrorCode error_from_code(std::int16_t code) { return row(static_cast<ErrorCode>(code)).error; }
std::string_view to_string(ErrorCode error) { return row(error).name; }
bool is_retriable(ErrorCode error) { return row(error).retriable; }

std::optional<ErrorCode> find_error(std::string_view name) {
  const auto found = std::ranges::find(kRows, name, &Row::name);
  return found == kRows.end() ? std::nullopt : std::optional(found->error);
}

}  // namespace verdict::wire
