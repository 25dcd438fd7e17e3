// Any bytes as a clients' history: refused by the number of a line, or judged; and each line that can be read is
// written back with the same meaning.
#include "checker/history.h"

#include <sstream>

#include "checker/black_box.h"
#include "runtime/assert.h"
#include "tests/fuzz/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace verdict::checker;
  const std::string text(verdict::fuzz::text_of(data, size));
  std::istringstream lines(text);
  HistoryEntry entry, again;
  std::string written, twice;
  for (std::string line; std::getline(lines, line);) {
    if (!parse_history_line(line, entry)) continue;
    written.clear(), twice.clear();
    write_history_line(entry, written);
    VERDICT_ASSERT(parse_history_line(std::string_view(written).substr(0, written.size() - 1), again),
                   "what is written");
    write_history_line(again, twice);
    VERDICT_ASSERT(written == twice, "a line changes");
  }
  std::istringstream whole(text);
  if (const auto result = check_history(whole)) static_cast<void>(result->to_json());
  return 0;
}
