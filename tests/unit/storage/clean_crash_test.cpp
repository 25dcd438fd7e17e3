#include <gtest/gtest.h>

#include "tests/unit/storage/cleaning.h"

// A kill at each change that a pass makes to the disk, and at each that the start after it makes: the log's last values
// are the same, and nothing of the pass is left but what it had finished.
namespace verdict::storage {
namespace {

using testing::CleaningHarness;
using testing::describe;
using testing::MemoryState;

using Names = std::vector<std::string>;

constexpr LogConfig kConfig{.segment_bytes = 4000, .index_interval_bytes = 200, .compacted = true};
constexpr Log::OpenInput kKilled{.clean = false, .high_watermark = Offset(100)};

void fill(CleaningHarness& h) {
  h.open();
  h.put("x", "old");
  h.put({.records = {{"a", "1"}, {"b", "1"}}, .producer = 7, .transactional = true});
  h.end(7, 0, false);
  h.roll();
  h.put({.records = {{"a", "2"}, {"x", std::nullopt}}, .producer = 8});
  h.roll();
  for (int i = 0; i < 5; ++i) h.put("c", std::string(1200, static_cast<char>('0' + i)));
  h.put({.records = {{"b", "2"}}, .producer = 7, .sequence = 2, .transactional = true});
  h.end(7, 0, true);
  h.roll();
  h.put("d", "1");
}

Names left_of_passes(CleaningHarness& h) { return h.files_ending({".cleaned", ".swap", ".deleted"}); }

void check(CleaningHarness& h, const std::map<std::string, std::string>& view, const std::string& producers) {
  EXPECT_EQ(h.view(), view);
  EXPECT_EQ(h.log->recovery().bytes_cut, 0U);
  h.log->note_high_watermark(h.log->log_end());
  EXPECT_EQ(describe(h.log->producers()), producers);
  EXPECT_EQ(left_of_passes(h), Names());
}

TEST(CleanCrash, AtEachChangeOfThePassAndOfTheStartAfterIt) {
  CleaningHarness h{kConfig};
  fill(h);
  const auto view = h.view();
  ASSERT_EQ(view.size(), 4U);
  const MemoryState before = h.runtime.disk().copy();
  h.open(kKilled);
  // Of the batches before a producer's newest one a compacted log says nothing.
  h.clean();
  h.open(kKilled);
  h.log->note_high_watermark(h.log->log_end());
  const std::string producers = describe(h.log->producers());
  std::uint64_t completed = 0;
  std::uint64_t dropped = 0;
  bool finished = false;
  for (std::uint64_t kill = 0; !finished; ++kill) {
    SCOPED_TRACE(kill);
    h.runtime.disk().changes_left.reset();
    h.runtime.disk().restore(before);
    h.open(kKilled);
    h.runtime.disk().changes_left = kill;
    const auto done = h.try_clean();
    finished = done.has_value() && !h.log->offline();
    h.log.reset();
    const MemoryState left = h.runtime.disk().copy();
    // The start is killed, too.
    for (std::uint64_t again = 0;; ++again) {
      SCOPED_TRACE(again);
      h.runtime.disk().changes_left.reset();
      h.runtime.disk().restore(left);
      h.runtime.disk().changes_left = again;
      const bool opened = h.try_open(kKilled).has_value();
      const bool whole = *h.runtime.disk().changes_left > 0;
      h.log.reset();
      h.runtime.disk().changes_left.reset();
      h.runtime.marks.clear();
      h.open(kKilled);
      EXPECT_EQ(h.view(), view);
      EXPECT_EQ(left_of_passes(h), Names());
      completed += static_cast<std::uint64_t>(h.runtime.marks[Mark::SwapCompleted]);
      dropped += static_cast<std::uint64_t>(h.runtime.marks[Mark::SwapDropped]);
      if (opened && whole) break;
    }
    h.clean();  // and the next pass does what was left to do
    h.open(kKilled);
    check(h, view, producers);
    EXPECT_EQ(h.records().count(6), 0U);
  }
  EXPECT_GT(completed, 0U);
  EXPECT_GT(dropped, 0U);
}

// A disk that refuses one call of a pass: the log is what it was, or goes offline in the middle of a swap.
TEST(CleanCrash, AnErrorOfEachCall) {
  CleaningHarness h{kConfig};
  fill(h);
  const auto view = h.view();
  const MemoryState before = h.runtime.disk().copy();
  bool refused = true;
  for (int nth = 0; refused; ++nth) {
    SCOPED_TRACE(nth);
    h.runtime.disk().fault = nullptr;
    h.runtime.disk().restore(before);
    h.open(kKilled);
    int calls = 0;
    refused = false;
    h.runtime.disk().fault = [&](std::string_view, const std::string&) {
      if (calls++ != nth) return std::error_code();
      refused = true;
      return std::make_error_code(std::errc::io_error);
    };
    const auto done = h.try_clean();
    h.runtime.disk().fault = nullptr;
    if (!h.log->offline()) {
      EXPECT_EQ(h.view(), view);
    } else {
      EXPECT_FALSE(done);
    }
    h.open(kKilled);
    EXPECT_EQ(h.view(), view);
  }
}

}  // namespace
}  // namespace verdict::storage
